/* One SPOP connection as a machine without sockets: bytes in, bytes out.
 *
 *     WAIT_HELLO --HELLO--> RUNNING --drain--> DRAINING --last ACK--> CLOSED (sends DISCONNECT)
 *         |                    |                  |
 *         |                    +------------------+--DISCONNECT / bad frame--> CLOSED (answers
 *         |                                                                    DISCONNECT)
 *         +--healthcheck HELLO--> CLOSED (answers HELLO only)
 *         +--DISCONNECT / bad frame--> CLOSED (answers DISCONNECT)
 *         +--drain--> CLOSED (sends nothing)
 *
 * A HELLO is never refused: HAProxy 2.6 and 3.0 answer a refusal with a storm of connections. One
 * without a common version or with an impossible frame size gets an AGENT-HELLO with what this side
 * can do, and HAProxy decides. Only bytes that are no HELLO at all end the connection.
 * The session never closes an idle connection first: HAProxy would lose the request that is on its
 * way. The only capability announced is pipelining, always. Frames of an unknown type are skipped,
 * as the specification allows.
 */
#pragma once

#include "core/error.h"
#include "spop/spop_frame.h"

enum spop_state {
    SPOP_WAIT_HELLO,
    SPOP_RUNNING,
    SPOP_DRAINING,
    SPOP_CLOSED,
    SPOP_STATE__MAX,
};

/* Status codes of a DISCONNECT frame (doc/SPOE.txt 3.3). */
enum spop_status {
    SPOP_STATUS_NORMAL = 0,
    SPOP_STATUS_IO = 1,
    SPOP_STATUS_TIMEOUT = 2,
    SPOP_STATUS_TOO_BIG = 3,
    SPOP_STATUS_INVALID = 4,
    SPOP_STATUS_NO_VERSION = 5,
    SPOP_STATUS_NO_FRAME_SIZE = 6,
    SPOP_STATUS_NO_CAPABILITIES = 7,
    SPOP_STATUS_BAD_VERSION = 8,
    SPOP_STATUS_BAD_FRAME_SIZE = 9,
    SPOP_STATUS_FRAGMENTATION = 10,
    SPOP_STATUS_INTERLACED = 11,
    SPOP_STATUS_NO_FRAME_ID = 12,
    SPOP_STATUS_RESOURCES = 13,
    SPOP_STATUS_UNKNOWN = 99,
};

enum spop_answer {
    SPOP_ANSWERED, /* `actions` holds the answer (none is fine): send the ACK now */
    SPOP_HELD,     /* the handler will call spop_session_ack() later, or never */
};

/* Called for each NOTIFY. `actions` has room for SPOP_ACTIONS_MAX_BYTES, or for less where the peer
 * takes no frames that large or has ids that HAProxy has not; if it is left failed (too small), an
 * ACK without actions is sent, which the HAProxy side treats as a refusal. Views into `notify` end
 * with the call. */
typedef enum spop_answer spop_notify_fn(void *context, const struct spop_notify *notify,
                                        struct writer *actions);

struct spop_session {
    enum spop_state state;         /* written by session_move() only */
    uint32_t max_frame_bytes;      /* negotiated; of a frame without its length word */
    uint32_t notifies;             /* answered or held */
    uint32_t held;                 /* NOTIFYs whose ACK is owed */
    enum spop_status close_status; /* why it closed: what this side sent, or else the peer */
    bool health_check;
};

enum {
    /* HAProxy's default (tune.bufsize - 4). Announced sizes above are cut down to it. */
    SPOP_MAX_FRAME_BYTES = 16380,
    SPOP_MIN_FRAME_BYTES = 256,
};

void spop_session_init(struct spop_session *session);

/* Consumes as many whole frames of `input` as are there and as `output` has room to answer
 * (SPOP_ACK_MAX_BYTES each), and returns how many bytes were consumed; the caller keeps the rest
 * and calls again when more has arrived or `output` has been drained. `*reason` (may be NULL) is
 * set to a literal when the session closed for another cause than the peer's wish. In state CLOSED
 * nothing is consumed: send what `output` holds, then close. */
MUST_CHECK size_t spop_session_feed(struct spop_session *session, struct slice input,
                                    struct writer *output, spop_notify_fn *on_notify, void *context,
                                    const char **reason);

/* Writes the ACK of a held NOTIFY, or nothing when the session has closed meanwhile. `output` must
 * have room for SPOP_ACK_MAX_BYTES. More actions than fit in an ACK become none. */
void spop_session_ack(struct spop_session *session, uint64_t stream_id, uint64_t frame_id,
                      struct slice actions, struct writer *output);

/* Shutdown. When no NOTIFY is held a DISCONNECT(0) is written at once, where `output` has room for
 * it, and the state is CLOSED. Until then NOTIFYs are still answered, since HAProxy sent them
 * before it could know; the caller bounds the wait with a deadline of its own. */
void spop_session_drain(struct spop_session *session, struct writer *output);
