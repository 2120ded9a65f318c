/* The SPOP session on hostile bytes.
 *
 * The input is what a peer sends. It is run as one piece and, again, in random pieces with little
 * room for answers: both runs must end alike and have answered the same bytes. Without a HELLO in
 * front it is run behind one too. What the session answers is read as HAProxy would read it.
 */
#include "fuzz/fuzz.h"
#include "spop/spop_session.h"
#include "support/spop_peer.h"

#include <stdlib.h>

enum { HELD_MAX = 16, ANSWERS_MAX = 1 << 20 };

/* A session with its caller: what net does around it, without sockets. */
struct run {
    struct spop_session session;
    uint64_t random;
    struct {
        uint64_t stream_id;
        uint64_t frame_id;
    } held[HELD_MAX];
    unsigned held_count;
    uint8_t *answers; /* ANSWERS_MAX bytes: everything that was sent */
    size_t answers_size;
    const char *reason;
};

static uint32_t next_random(struct run *run)
{
    run->random = run->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(run->random >> 33);
}

/* ---- The application ---- */

/* Tells back what was asked, so that both runs can be compared by what they understood. */
static void tell_argument(struct writer *actions, struct slice name, const struct spop_value *value)
{
    struct slice short_name = slice_head(name, size_min(name.size, SPOP_NAME_MAX_BYTES));
    struct slice start = slice_head(value->bytes, size_min(value->bytes.size, 16));
    switch (value->type) {
    case SPOP_NULL:
    case SPOP_BOOLEAN:
        spop_write_set_boolean(actions, SPOP_SCOPE_TRANSACTION, short_name, value->boolean);
        break;
    case SPOP_INT32:
    case SPOP_UINT32:
    case SPOP_INT64:
    case SPOP_UINT64:
        spop_write_set_integer(actions, SPOP_SCOPE_SESSION, short_name, value->integer);
        break;
    case SPOP_IPV4:
    case SPOP_IPV6:
        FUZZ_REQUIRE(value->bytes.size == (value->type == SPOP_IPV4 ? 4 : 16));
        spop_write_set_ip(actions, SPOP_SCOPE_REQUEST, short_name, value->bytes);
        break;
    case SPOP_STRING: spop_write_set_string(actions, SPOP_SCOPE_RESPONSE, short_name, start); break;
    case SPOP_BINARY:
        spop_write_set_binary_head(actions, SPOP_SCOPE_REQUEST, short_name, start.size);
        writer_bytes(actions, start);
        break;
    }
}

static void require_inside(struct slice part, struct slice whole)
{
    if (part.size == 0)
        return;
    FUZZ_REQUIRE(part.data >= whole.data);
    FUZZ_REQUIRE(part.data + part.size <= whole.data + whole.size);
}

static enum spop_answer on_notify(void *context, const struct spop_notify *notify,
                                  struct writer *actions)
{
    struct run *run = context;
    struct reader messages = reader_of(notify->messages);
    struct spop_message message;
    FUZZ_REQUIRE(writer_left(actions) <= SPOP_ACTIONS_MAX_BYTES);
    while (spop_message_next(&messages, &message)) {
        struct slice name;
        struct spop_value value;
        require_inside(message.name, notify->messages);
        while (spop_argument_next(&message, &name, &value)) {
            require_inside(name, notify->messages);
            require_inside(value.bytes, notify->messages);
            tell_argument(actions, name, &value);
        }
        if (!spop_message_skip(&message, &messages))
            break;
    }
    if (notify->frame_id % 4 != 3 || run->held_count == HELD_MAX)
        return SPOP_ANSWERED;
    run->held[run->held_count].stream_id = notify->stream_id;
    run->held[run->held_count++].frame_id = notify->frame_id;
    return SPOP_HELD;
}

/* ---- The connection ---- */

static void send_answers(struct run *run, const struct writer *out)
{
    FUZZ_REQUIRE(!out->failed);
    size_t size = size_min(writer_used(out), ANSWERS_MAX - run->answers_size);
    memcpy(run->answers + run->answers_size, out->start, size);
    run->answers_size += size;
}

/* Feeds until the session wants more than `arrived`. `room` is that of the output buffer. */
static size_t feed(struct run *run, struct slice arrived, size_t room)
{
    uint8_t *buffer = malloc(room);
    size_t consumed = 0;
    size_t now;
    do {
        const char *reason;
        struct writer out = writer_of(buffer, room);
        struct slice rest = slice_skip(arrived, consumed);
        now = spop_session_feed(&run->session, rest, &out, on_notify, run, &reason);
        FUZZ_REQUIRE(now <= rest.size);
        if (reason != NULL)
            run->reason = reason;
        send_answers(run, &out);
        consumed += now;
    } while (now > 0);
    free(buffer);
    return consumed;
}

static void run_bytes(struct run *run, struct slice bytes, bool in_pieces)
{
    size_t consumed = 0;
    size_t arrived = 0;
    while (arrived < bytes.size) {
        size_t left = bytes.size - arrived;
        size_t more = in_pieces ? size_min(1 + next_random(run) % 24, left) : left;
        size_t room = in_pieces ? SPOP_ACK_MAX_BYTES + next_random(run) % 64 : 65536;
        arrived += more;
        consumed += feed(run, slice_skip(slice_head(bytes, arrived), consumed), room);
    }
}

static void finish(struct run *run)
{
    uint8_t buffer[SPOP_ACK_MAX_BYTES + 64];
    struct writer out = writer_of(buffer, sizeof(buffer));
    spop_session_drain(&run->session, &out);
    send_answers(run, &out);
    for (unsigned i = 0; i < run->held_count; i++) {
        out = writer_of(buffer, sizeof(buffer));
        spop_session_ack(&run->session, run->held[i].stream_id, run->held[i].frame_id,
                         SLICE("late"), &out);
        send_answers(run, &out);
    }
    FUZZ_REQUIRE(run->session.state == SPOP_CLOSED);
}

/* ---- HAProxy ---- */

/* HELLO first and once, DISCONNECT last, ACKs between them, all of them small and whole. */
static void check_answers(const struct run *run)
{
    struct reader reader = reader_of(slice_from(run->answers, run->answers_size));
    unsigned hellos = 0, acks = 0, disconnects = 0;
    if (run->answers_size == ANSWERS_MAX)
        return;
    while (reader_left(&reader) > 0) {
        uint32_t length = reader_u32(&reader);
        struct spop_frame frame;
        FUZZ_REQUIRE(length + SPOP_LENGTH_BYTES <= SPOP_ACK_MAX_BYTES);
        FUZZ_REQUIRE(length <= run->session.max_frame_bytes);
        FUZZ_REQUIRE(spop_frame_parse(reader_bytes(&reader, length), &frame));
        FUZZ_REQUIRE(frame.flags == SPOP_FLAG_FINAL);
        FUZZ_REQUIRE(disconnects == 0);
        FUZZ_REQUIRE(frame.type == SPOP_FRAME_AGENT_HELLO || hellos == 1 ||
                     frame.type == SPOP_FRAME_AGENT_DISCONNECT);
        hellos += frame.type == SPOP_FRAME_AGENT_HELLO;
        acks += frame.type == SPOP_FRAME_ACK;
        disconnects += frame.type == SPOP_FRAME_AGENT_DISCONNECT;
    }
    FUZZ_REQUIRE(!reader.failed);
    FUZZ_REQUIRE(hellos <= 1);
    FUZZ_REQUIRE(acks <= run->session.notifies);
    FUZZ_REQUIRE(acks + run->session.held == run->session.notifies);
    FUZZ_REQUIRE(run->reason == NULL || disconnects == 1);
}

static void run_both_ways(struct slice bytes)
{
    static uint8_t answers[2][ANSWERS_MAX];
    struct run runs[2] = {0};
    for (unsigned i = 0; i < 2; i++) {
        runs[i].answers = answers[i];
        runs[i].random = bytes.size;
        spop_session_init(&runs[i].session);
        run_bytes(&runs[i], bytes, i == 1);
        finish(&runs[i]);
        check_answers(&runs[i]);
    }
    FUZZ_REQUIRE(runs[0].reason == runs[1].reason);
    FUZZ_REQUIRE(runs[0].session.close_status == runs[1].session.close_status);
    FUZZ_REQUIRE(runs[0].session.notifies == runs[1].session.notifies);
    FUZZ_REQUIRE(slice_equal(slice_from(answers[0], runs[0].answers_size),
                             slice_from(answers[1], runs[1].answers_size)));
}

/* Every integer has one spelling. */
static void check_varint(struct slice bytes)
{
    uint8_t again[10];
    struct reader reader = reader_of(bytes);
    struct writer writer = writer_of(again, sizeof(again));
    uint64_t value = spop_read_varint(&reader);
    if (reader.failed)
        return;
    spop_write_varint(&writer, value);
    size_t size = bytes.size - reader_left(&reader);
    FUZZ_REQUIRE(slice_equal(writer_written(&writer), slice_head(bytes, size)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_from(data, size);
    check_varint(bytes);
    run_both_ways(bytes);
    bool has_hello =
        size > SPOP_LENGTH_BYTES && data[SPOP_LENGTH_BYTES] == SPOP_FRAME_HAPROXY_HELLO;
    if (has_hello)
        return 0;
    enum { HELLO_ROOM = 256 };
    uint8_t *block = malloc(HELLO_ROOM + size);
    struct writer writer = writer_of(block, HELLO_ROOM + size);
    peer_write_hello(&writer, SPOP_MAX_FRAME_BYTES, false);
    writer_bytes(&writer, bytes);
    run_both_ways(writer_written(&writer));
    free(block);
    return 0;
}

/* Mends length words: without it nearly every change ends the session at the frame's start. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 == 0)
        return size;
    peer_mend_lengths(data, size, seed);
    return size;
}
