/* SPOP frames: bytes in, values out, and back (HAProxy's doc/SPOE.txt, version 2.0).
 *
 * Pure functions of bytes: no I/O, allocation, clock or log. What is decoded are views into the
 * caller's bytes and lives as long as these. Every length and count that the peer sends is bounded
 * on the line that reads it.
 */
#pragma once

#include "core/cursor.h"

/* The wire's type numbers; the low nibble of a typed value's first byte. */
enum spop_type {
    SPOP_NULL = 0,
    SPOP_BOOLEAN = 1,
    SPOP_INT32 = 2,
    SPOP_UINT32 = 3,
    SPOP_INT64 = 4,
    SPOP_UINT64 = 5,
    SPOP_IPV4 = 6,
    SPOP_IPV6 = 7,
    SPOP_STRING = 8,
    SPOP_BINARY = 9,
};

/* A decoded value: `boolean` for booleans, `integer` for the four integer types, `bytes` for
 * addresses (4 or 16 raw bytes), strings and binaries. The other members are zero. */
struct spop_value {
    enum spop_type type;
    bool boolean;
    int64_t integer;
    struct slice bytes;
};

/* Variable scopes of the SET-VAR action. Process scope is shared by all clients of a HAProxy and is
 * left out on purpose. */
enum spop_scope {
    SPOP_SCOPE_SESSION = 1,
    SPOP_SCOPE_TRANSACTION = 2,
    SPOP_SCOPE_REQUEST = 3,
    SPOP_SCOPE_RESPONSE = 4,
};

/* Frame types. 1 to 3 come from HAProxy, 101 to 103 from an agent. UNSET continues a fragmented
 * frame, which is never negotiated here. */
enum spop_frame_type {
    SPOP_FRAME_UNSET = 0,
    SPOP_FRAME_HAPROXY_HELLO = 1,
    SPOP_FRAME_HAPROXY_DISCONNECT = 2,
    SPOP_FRAME_NOTIFY = 3,
    SPOP_FRAME_AGENT_HELLO = 101,
    SPOP_FRAME_AGENT_DISCONNECT = 102,
    SPOP_FRAME_ACK = 103,
};

enum { SPOP_FLAG_FINAL = 1, SPOP_FLAG_ABORT = 2 };

/* A frame on the wire is a 4-byte length, which does not count itself, and then type, flags, two
 * ids and a payload. The smallest legal one has 7 bytes behind the length. */
enum { SPOP_LENGTH_BYTES = 4, SPOP_SMALLEST_FRAME_BYTES = 7 };

struct spop_frame {
    uint8_t type; /* enum spop_frame_type, or one that is not known */
    uint32_t flags;
    uint64_t stream_id;
    uint64_t frame_id;
    struct slice payload;
};

/* Reads a frame without its length word. False when the header does not fit. */
MUST_CHECK bool spop_frame_parse(struct slice bytes, struct spop_frame *frame);

/* Writes length (to be known later), type, the FIN flag and the ids. What is then written is the
 * payload, and spop_frame_end() sets the length of the frame that starts at `start`, where the
 * writer stood before spop_frame_begin(). Both do nothing to a writer that failed. */
void spop_frame_begin(struct writer *writer, enum spop_frame_type type, uint64_t stream_id,
                      uint64_t frame_id);
void spop_frame_end(struct writer *writer, uint8_t *start);

/* A NOTIFY: who asks and the messages' bytes, which nobody has looked at yet and which are walked
 * with the two _next functions below. On HAProxy 3.1+ the ids repeat between connections, so a
 * request is named by (connection, stream-id, frame-id). */
struct spop_notify {
    uint64_t stream_id;
    uint64_t frame_id;
    struct slice messages;
};

struct spop_message {
    struct slice name;
    struct reader arguments;
    unsigned arguments_left;
};

/* Takes the next message off `messages` (made with reader_of(notify->messages)). False at the end
 * and when the bytes are not valid; `messages->failed` tells which. A message has no length of its
 * own: spop_message_skip() must come between two calls, whether or not the arguments were walked.
 */
MUST_CHECK bool spop_message_next(struct reader *messages, struct spop_message *message);

/* The next argument of a message. False at the end or on bad bytes (message->arguments.failed). */
MUST_CHECK bool spop_argument_next(struct spop_message *message, struct slice *name,
                                   struct spop_value *value);

/* Walks what is left of `message` and moves `messages` behind it. False on bad bytes. */
MUST_CHECK bool spop_message_skip(struct spop_message *message, struct reader *messages);

/* A length and that many bytes: names of messages, arguments and keys. */
struct slice spop_read_string(struct reader *reader);
void spop_write_string(struct writer *writer, struct slice text);
/* How many bytes it writes for a text of `size`. */
size_t spop_string_size(size_t size);

/* A type byte and what it announces. Reserved types fail. A STRING whose flags are not zero is a
 * BINARY, as HAProxy reads it. */
struct spop_value spop_read_value(struct reader *reader);

/* HAProxy's variable-length integer ("peers" encoding). At most 10 bytes; overflow fails. */
uint64_t spop_read_varint(struct reader *reader);
void spop_write_varint(struct writer *writer, uint64_t value);

enum { SPOP_NAME_MAX_BYTES = 40 };

/* The SET-VAR action (1) of an ACK. `name` is without the prefix that HAProxy adds (option
 * var-prefix). One of more than SPOP_NAME_MAX_BYTES fails the writer, because HAProxy assembles the
 * full name in 64 bytes. */
void spop_write_set_boolean(struct writer *writer, enum spop_scope scope, struct slice name,
                            bool value);
void spop_write_set_integer(struct writer *writer, enum spop_scope scope, struct slice name,
                            int64_t value);
void spop_write_set_string(struct writer *writer, enum spop_scope scope, struct slice name,
                           struct slice value);
/* The beginning of a string or of binary data: the caller then writes `size` bytes. */
void spop_write_set_string_head(struct writer *writer, enum spop_scope scope, struct slice name,
                                size_t size);
void spop_write_set_binary_head(struct writer *writer, enum spop_scope scope, struct slice name,
                                size_t size);
/* `bytes` holds 4 or 16 raw bytes; another size fails the writer. */
void spop_write_set_ip(struct writer *writer, enum spop_scope scope, struct slice name,
                       struct slice bytes);

/* The UNSET-VAR action (2): likewise. */
void spop_write_unset(struct writer *writer, enum spop_scope scope, struct slice name);

/* An ACK stays at or under this many bytes (length word included): HAProxy 3.1+ wedges a connection
 * whose 16 kB demultiplexing buffer fills, and it has up to 20 requests in flight. */
enum { SPOP_ACK_MAX_BYTES = 512 };
/* What an ACK's frame header takes: length, type, flags and two ids, which have up to 10 bytes;
 * HAProxy's are numbers of 32 bits, and have up to 5. What is left beside those is for actions, and
 * less is left beside longer ones. */
enum { SPOP_ACK_HEADER_MAX_BYTES = 4 + 1 + 4 + 10 + 10 };
enum { SPOP_ACTIONS_MAX_BYTES = SPOP_ACK_MAX_BYTES - (4 + 1 + 4 + 5 + 5) };
