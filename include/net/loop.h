/* The agent's loops: n threads, each an event loop that owns its connections and shares nothing.
 *
 *     main thread, acceptor                    loop thread
 *     loops_add(fd)        -- locked inbox -->  a connection: SPOP session, on_notify()
 *     loop_publish(value)  -- mailbox of one ->  on_value()
 *     loops_drain / stop   -- atomic + wake -->  drains its connections, leaves
 *
 * A loop takes no lock and allocates nothing while it answers: one recv() and one send() per wake
 * of a connection, into and out of buffers that all connections of the loop share. A connection
 * keeps bytes of its own only while a frame is incomplete or its peer does not read.
 *
 * Connections that wait are not closed, however long: HAProxy would lose the request that is on
 * its way. A HELLO and a frame that has begun must be complete in time, and answers must be read in
 * time; a peer that fails there loses its connection, and a counter tells. Only where there are as
 * many connections as there may be, one that has long asked nothing, and is in the middle of
 * nothing, gives way to a new one: else whoever opens many would keep everybody else out.
 *
 * Nothing here knows libev's types; functions say which thread may call them.
 */
#pragma once

#include "core/error.h"
#include "net/counters.h"
#include "spop/spop_session.h"

struct loop;
struct loops;

/* What the application does in a loop's thread. `context` is the one given to loop_set_context().
 */
struct loop_handler {
    /* Answers a NOTIFY, see spop_session.h. loop_current_connection() names the connection. */
    spop_notify_fn *on_notify;
    /* Called before the frames of one or more receives are answered, with all that each has
     * brought: a chance to look ahead. Again for what had to wait until its peer has read, since
     * it lies elsewhere by then. May be NULL. */
    void (*on_input)(void *context, const struct slice *received, size_t count);
    /* Takes over a published value; what it replaces is the application's to release. */
    void (*on_value)(void *context, void *value);
    /* Releases a value that was replaced before it was delivered, or never delivered. Runs in the
     * publisher's thread or in loops_free(). */
    void (*drop_value)(void *value);
    /* The timer set with loop_timer() ran out. May be NULL. */
    void (*on_timer)(void *context);
};

/* Zero means the default that the comment names. */
struct loops_settings {
    unsigned loop_count;       /* 1; at most LOOPS_MAX */
    unsigned hello_timeout_ms; /* 10000: from accept to a whole HELLO */
    unsigned frame_timeout_ms; /* 10000: from a frame's first byte to its last */
    unsigned write_timeout_ms; /* 30000: for a peer that does not read its answers */
    unsigned linger_ms;        /* 1000: for a peer to close after our last frame */
    unsigned connections_max;  /* of all loops, in equal shares; 0: no bound */
    /* Called once, in the thread of the loop that ended last. May be NULL. */
    void (*on_stopped)(void *stopped_context);
    void *stopped_context;
};

enum { LOOPS_MAX = 64 };

/* Main thread ------------------------------------------------------------------------------- */

/* NULL with the reason in `text` when an event loop cannot be made. `handler` is copied. */
MUST_CHECK struct loops *loops_new(const struct loops_settings *settings,
                                   const struct loop_handler *handler, struct error_text *text);
unsigned loops_count(const struct loops *loops);
struct loop *loops_at(struct loops *loops, unsigned index);
/* Before loops_start(). */
void loop_set_context(struct loop *loop, void *context);
/* Values and connections given before are delivered when the threads run. On failure none runs. */
MUST_CHECK enum error loops_start(struct loops *loops, struct error_text *text);

/* Hands `value` (one reference, not NULL) to the loop; the latest wins. What was published before a
 * loops_add() is delivered before that connection's first NOTIFY. One publisher at a time. */
void loop_publish(struct loop *loop, void *value);

/* Hands a connected, non-blocking stream socket to the loop with the fewest connections. One thread
 * at a time, which need not be the main one. */
void loops_add(struct loops *loops, int fd);

/* Whether there are as many connections as there may be. Loops make room before that, but in their
 * own time: who would add one more wakes them, and looks again. */
bool loops_are_full(const struct loops *loops);

/* Has every loop make room if it should, and come round: LOOP_TURNS of one that is stuck stays. */
void loops_wake(struct loops *loops);

/* Every connection answers what has arrived and what is held, takes its leave with a DISCONNECT and
 * is closed; what is left after `deadline_ms` is closed as it is. The loops then end. */
void loops_drain(struct loops *loops, unsigned deadline_ms);
/* The same without waiting for anybody. May follow loops_drain(). */
void loops_stop(struct loops *loops);
/* Waits for the threads to end, which only loops_drain() and loops_stop() make them do. */
void loops_join(struct loops *loops);
/* After loops_join(), or before loops_start(). NULL is fine. */
void loops_free(struct loops *loops);

/* Any thread -------------------------------------------------------------------------------- */

uint64_t loop_counter(const struct loop *loop, enum loop_counter counter);
uint64_t loops_counter(const struct loops *loops, enum loop_counter counter); /* over all loops */
/* When a connection last gave way to a new one, 0: never. */
int64_t loops_gave_way_mono_ms(const struct loops *loops);

/* The loop's own thread ---------------------------------------------------------------------- */

/* The connection whose NOTIFY is being answered; 0 outside of on_notify(). Never used twice in a
 * process. */
uint64_t loop_current_connection(const struct loop *loop);

/* When this turn of the loop began, in seconds of a clock that may jump. Costs nothing, because the
 * loop has read the clock already. */
double loop_turn_s(const struct loop *loop);

/* Sends the ACK of a NOTIFY for which on_notify() said SPOP_HELD. Answers given in one turn leave
 * in one send per connection. False when the connection is gone: forget the request. Not to be
 * called from on_notify(). */
bool loop_answer(struct loop *loop, uint64_t connection_id, uint64_t stream_id, uint64_t frame_id,
                 struct slice actions);

/* Calls on_timer() once, `delay_ms` from now, instead of any earlier request; < 0 cancels. */
void loop_timer(struct loop *loop, int64_t delay_ms);
