/* spop: the session. Vectors whole and byte by byte, every event in every state, lack of room. */
#include "spop/spop_session.h"
#include "support/guard.h"
#include "support/spop_peer.h"
#include "support/vector.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <stdio.h>

/* ---- Handlers ---- */

/* Answers with the number of arguments, and without actions when the bytes are not valid. */
static enum spop_answer count_arguments(void *context, const struct spop_notify *notify,
                                        struct writer *actions)
{
    (void)context;
    struct reader messages = reader_of(notify->messages);
    struct spop_message message;
    int64_t count = 0;
    while (spop_message_next(&messages, &message)) {
        struct slice name;
        struct spop_value value;
        while (spop_argument_next(&message, &name, &value))
            count++;
        if (!spop_message_skip(&message, &messages))
            break;
    }
    if (!messages.failed)
        spop_write_set_integer(actions, SPOP_SCOPE_TRANSACTION, SLICE("count"), count);
    return SPOP_ANSWERED;
}

static enum spop_answer hold(void *context, const struct spop_notify *notify,
                             struct writer *actions)
{
    (void)context;
    (void)notify;
    writer_bytes(actions, SLICE("what a held answer writes is not sent"));
    return SPOP_HELD;
}

/* ---- Vectors ---- */

struct run {
    struct spop_session session;
    uint8_t *out_bytes;
    struct writer out;
    const char *reason;
};

static void run_start(struct run *run)
{
    enum { ROOM = 4096 };
    spop_session_init(&run->session);
    run->out_bytes = guard_new(ROOM);
    run->out = writer_of(run->out_bytes, ROOM);
    run->reason = NULL;
}

/* Feeds once; the input ends at an unreadable page. */
static size_t run_feed(struct run *run, struct slice input)
{
    const char *reason;
    size_t consumed =
        spop_session_feed(&run->session, input, &run->out, count_arguments, NULL, &reason);
    if (reason != NULL)
        run->reason = reason;
    return consumed;
}

static void run_whole(struct run *run, struct slice input)
{
    (void)run_feed(run, guard_copy(input));
}

/* One byte more each time, as the slowest peer sends them. */
static void run_bytewise(struct run *run, struct slice input)
{
    size_t consumed = 0;
    char *guarded = guard_new(input.size);
    for (size_t arrived = 1; arrived <= input.size; arrived++) {
        struct slice part = slice_skip(slice_head(input, arrived), consumed);
        char *place = guarded + (input.size - part.size);
        memcpy(place, part.data, part.size);
        consumed += run_feed(run, slice_from(place, part.size));
    }
}

struct expectation {
    char state[32];
    char reason[64];
    unsigned status;
    unsigned notifies;
    struct slice out_text;
    char *text; /* owns out_text */
};

static struct expectation load_expectation(const char *path)
{
    struct expectation expected = {0};
    size_t size;
    int out_at = 0;
    expected.text = file_load(path, &size);
    int fields =
        sscanf(expected.text, "state %31[^\n]\nstatus %u\nnotifies %u\nreason %63[^\n]\nout\n%n",
               expected.state, &expected.status, &expected.notifies, expected.reason, &out_at);
    cr_assert(fields == 4 && out_at > 0, "%s: not in the format of the others", path);
    expected.out_text = slice_skip(slice_from(expected.text, size), (size_t)out_at);
    return expected;
}

/* As the files of vectors have them. */
static const char *const STATE_NAMES[] = {
    [SPOP_WAIT_HELLO] = "waiting for HELLO",
    [SPOP_RUNNING] = "running",
    [SPOP_DRAINING] = "draining",
    [SPOP_CLOSED] = "closed",
};
static_assert(COUNT_OF(STATE_NAMES) == SPOP_STATE__MAX, "a state has no name");

static void expect_run(const char *name, const char *how, const struct run *run,
                       const struct expectation *expected)
{
    static uint8_t out[65536];
    size_t out_size = vector_decode(name, expected->out_text, out, sizeof(out));
    const struct spop_session *session = &run->session;
    const char *state = STATE_NAMES[session->state];
    const char *reason = run->reason != NULL ? run->reason : "-";
    cr_expect(strcmp(state, expected->state) == 0, "%s %s: %s", name, how, state);
    cr_expect(strcmp(reason, expected->reason) == 0, "%s %s: %s", name, how, reason);
    cr_expect(eq(u32, session->close_status, expected->status), "%s %s", name, how);
    cr_expect(eq(u32, session->notifies, expected->notifies), "%s %s", name, how);
    cr_expect(slice_equal(writer_written(&run->out), slice_from(out, out_size)),
              "%s %s: %zu bytes answered, %zu expected", name, how, writer_used(&run->out),
              out_size);
}

static void check_vector(const char *directory, const char *name)
{
    static uint8_t bytes[65536];
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.hex", directory, name);
    size_t size;
    char *text = file_load(path, &size);
    size = vector_decode(path, slice_from(text, size), bytes, sizeof(bytes));
    free(text);
    struct slice input = slice_from(bytes, size);
    snprintf(path, sizeof(path), "%s/%s.expect", directory, name);
    struct expectation expected = load_expectation(path);

    struct run run;
    run_start(&run);
    run_whole(&run, input);
    expect_run(name, "whole", &run, &expected);
    run_start(&run);
    run_bytewise(&run, input);
    expect_run(name, "byte by byte", &run, &expected);
    free(expected.text);
}

Test(spop_session, vectors_whole_and_byte_by_byte)
{
    const char *path = TEST_DATA_DIR "/vectors/spop";
    DIR *directory = opendir(path);
    cr_assert(directory != NULL, "%s", path);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct slice file = slice_of(entry->d_name);
        if (!slice_ends_with(file, SLICE(".hex")))
            continue;
        entry->d_name[file.size - 4] = '\0';
        check_vector(path, entry->d_name);
        count++;
    }
    closedir(directory);
    cr_expect(count >= 40, "%u vectors found", count);
}

/* ---- Every event in every state ---- */

enum event {
    EVENT_HELLO,
    EVENT_HEALTH_CHECK,
    EVENT_NOTIFY,
    EVENT_NOTIFY_HELD,
    EVENT_DISCONNECT,
    EVENT_UNSET,
    EVENT_NO_FIN,
    EVENT_AGENT_FRAME,
    EVENT_UNKNOWN_FRAME,
    EVENT_BAD_HEADER,
    EVENT_TOO_SHORT,
    EVENT_TOO_BIG,
    EVENT_PART_OF_A_FRAME,
    EVENT_NOTHING,
    EVENT_DRAIN,
    EVENT_LATE_ACK,
    EVENT__MAX,
};

/* What is written in answer: a frame type and, for a DISCONNECT, its status. */
enum { NOTHING = -1 };
struct outcome {
    enum spop_state state;
    int frame;
    enum spop_status status;
    bool consumed;
};

#define STAYS(STATE)                    \
    {                                   \
        SPOP_##STATE, NOTHING, 0, false \
    }
#define SKIPS(STATE)                   \
    {                                  \
        SPOP_##STATE, NOTHING, 0, true \
    }
#define ACKS(STATE)                           \
    {                                         \
        SPOP_##STATE, SPOP_FRAME_ACK, 0, true \
    }
#define GREETS(STATE)                                 \
    {                                                 \
        SPOP_##STATE, SPOP_FRAME_AGENT_HELLO, 0, true \
    }
#define ENDS(STATUS, CONSUMED)                                                     \
    {                                                                              \
        SPOP_CLOSED, SPOP_FRAME_AGENT_DISCONNECT, SPOP_STATUS_##STATUS, (CONSUMED) \
    }

static const struct outcome OUTCOMES[SPOP_STATE__MAX][EVENT__MAX] =
    {
        [SPOP_WAIT_HELLO] =
            {
                [EVENT_HELLO] = GREETS(RUNNING),
                [EVENT_HEALTH_CHECK] = GREETS(CLOSED),
                [EVENT_NOTIFY] = ENDS(INVALID, true),
                [EVENT_NOTIFY_HELD] = ENDS(INVALID, true),
                [EVENT_DISCONNECT] = ENDS(NORMAL, true),
                [EVENT_UNSET] = ENDS(FRAGMENTATION, true),
                [EVENT_NO_FIN] = ENDS(FRAGMENTATION, true),
                [EVENT_AGENT_FRAME] = ENDS(INVALID, true),
                [EVENT_UNKNOWN_FRAME] = ENDS(INVALID, true),
                [EVENT_BAD_HEADER] = ENDS(INVALID, true),
                [EVENT_TOO_SHORT] = ENDS(INVALID, false),
                [EVENT_TOO_BIG] = ENDS(TOO_BIG, false),
                [EVENT_PART_OF_A_FRAME] = STAYS(WAIT_HELLO),
                [EVENT_NOTHING] = STAYS(WAIT_HELLO),
                [EVENT_DRAIN] = STAYS(CLOSED),
                [EVENT_LATE_ACK] = STAYS(WAIT_HELLO),
            },
        [SPOP_RUNNING] =
            {
                [EVENT_HELLO] = ENDS(INVALID, true),
                [EVENT_HEALTH_CHECK] = ENDS(INVALID, true),
                [EVENT_NOTIFY] = ACKS(RUNNING),
                [EVENT_NOTIFY_HELD] = SKIPS(RUNNING),
                [EVENT_DISCONNECT] = ENDS(NORMAL, true),
                [EVENT_UNSET] = ENDS(FRAGMENTATION, true),
                [EVENT_NO_FIN] = ENDS(FRAGMENTATION, true),
                [EVENT_AGENT_FRAME] = ENDS(INVALID, true),
                [EVENT_UNKNOWN_FRAME] = SKIPS(RUNNING),
                [EVENT_BAD_HEADER] = ENDS(INVALID, true),
                [EVENT_TOO_SHORT] = ENDS(INVALID, false),
                [EVENT_TOO_BIG] = ENDS(TOO_BIG, false),
                [EVENT_PART_OF_A_FRAME] = STAYS(RUNNING),
                [EVENT_NOTHING] = STAYS(RUNNING),
                [EVENT_DRAIN] = ENDS(NORMAL, false),
                /* A late ACK in RUNNING without a held NOTIFY is the caller's error: an assertion.
                 */
            },
        [SPOP_DRAINING] =
            {
                [EVENT_HELLO] = ENDS(INVALID, true),
                [EVENT_HEALTH_CHECK] = ENDS(INVALID, true),
                [EVENT_NOTIFY] = ACKS(DRAINING),
                [EVENT_NOTIFY_HELD] = SKIPS(DRAINING),
                [EVENT_DISCONNECT] = ENDS(NORMAL, true),
                [EVENT_UNSET] = ENDS(FRAGMENTATION, true),
                [EVENT_NO_FIN] = ENDS(FRAGMENTATION, true),
                [EVENT_AGENT_FRAME] = ENDS(INVALID, true),
                [EVENT_UNKNOWN_FRAME] = SKIPS(DRAINING),
                [EVENT_BAD_HEADER] = ENDS(INVALID, true),
                [EVENT_TOO_SHORT] = ENDS(INVALID, false),
                [EVENT_TOO_BIG] = ENDS(TOO_BIG, false),
                [EVENT_PART_OF_A_FRAME] = STAYS(DRAINING),
                [EVENT_NOTHING] = STAYS(DRAINING),
                [EVENT_DRAIN] = STAYS(DRAINING),
                [EVENT_LATE_ACK] = ACKS(CLOSED), /* and a DISCONNECT(0) behind it */
            },
        [SPOP_CLOSED] =
            {
                [EVENT_HELLO] = STAYS(CLOSED),
                [EVENT_HEALTH_CHECK] = STAYS(CLOSED),
                [EVENT_NOTIFY] = STAYS(CLOSED),
                [EVENT_NOTIFY_HELD] = STAYS(CLOSED),
                [EVENT_DISCONNECT] = STAYS(CLOSED),
                [EVENT_UNSET] = STAYS(CLOSED),
                [EVENT_NO_FIN] = STAYS(CLOSED),
                [EVENT_AGENT_FRAME] = STAYS(CLOSED),
                [EVENT_UNKNOWN_FRAME] = STAYS(CLOSED),
                [EVENT_BAD_HEADER] = STAYS(CLOSED),
                [EVENT_TOO_SHORT] = STAYS(CLOSED),
                [EVENT_TOO_BIG] = STAYS(CLOSED),
                [EVENT_PART_OF_A_FRAME] = STAYS(CLOSED),
                [EVENT_NOTHING] = STAYS(CLOSED),
                [EVENT_DRAIN] = STAYS(CLOSED),
                [EVENT_LATE_ACK] = STAYS(CLOSED),
            },
};

static void write_event(struct writer *input, enum event event)
{
    switch (event) {
    case EVENT_HELLO: peer_write_hello(input, SPOP_MAX_FRAME_BYTES, false); break;
    case EVENT_HEALTH_CHECK: peer_write_hello(input, SPOP_MAX_FRAME_BYTES, true); break;
    case EVENT_NOTIFY:
    case EVENT_NOTIFY_HELD: peer_write_frame(input, 3, 1, 7, 9, SLICE("")); break;
    case EVENT_DISCONNECT: peer_write_disconnect(input, SPOP_STATUS_TIMEOUT); break;
    case EVENT_UNSET: peer_write_frame(input, 0, 1, 7, 9, SLICE("")); break;
    case EVENT_NO_FIN: peer_write_frame(input, 3, 0, 7, 9, SLICE("")); break;
    case EVENT_AGENT_FRAME: peer_write_frame(input, 103, 1, 7, 9, SLICE("")); break;
    case EVENT_UNKNOWN_FRAME: peer_write_frame(input, 42, 1, 7, 9, SLICE("?")); break;
    case EVENT_BAD_HEADER: writer_bytes(input, SLICE("\0\0\0\7\3\0\0\0\1\xff\xff")); break;
    case EVENT_TOO_SHORT: writer_bytes(input, SLICE("\0\0\0\6\3\0\0\0\1\1")); break;
    case EVENT_TOO_BIG: writer_bytes(input, SLICE("\0\0\x3f\xfd")); break;
    case EVENT_PART_OF_A_FRAME: writer_bytes(input, SLICE("\0\0\x3f\xfc\3")); break;
    case EVENT_NOTHING:
    case EVENT_DRAIN:
    case EVENT_LATE_ACK:
    case EVENT__MAX: break;
    }
}

static size_t feed_event(struct spop_session *session, enum event event, struct writer *out)
{
    uint8_t bytes[256];
    struct writer input = writer_of(bytes, sizeof(bytes));
    spop_notify_fn *handler = event == EVENT_NOTIFY_HELD ? hold : count_arguments;
    write_event(&input, event);
    cr_assert(not(input.failed));
    return spop_session_feed(session, guard_copy(writer_written(&input)), out, handler, NULL, NULL);
}

static void bring_to(struct spop_session *session, enum spop_state state)
{
    uint8_t buffer[4096];
    struct writer out = writer_of(buffer, sizeof(buffer));
    spop_session_init(session);
    if (state == SPOP_WAIT_HELLO)
        return;
    cr_assert(lt(sz, 0, feed_event(session, EVENT_HELLO, &out)));
    if (state == SPOP_DRAINING)
        cr_assert(lt(sz, 0, feed_event(session, EVENT_NOTIFY_HELD, &out)));
    if (state != SPOP_RUNNING)
        spop_session_drain(session, &out);
    cr_assert(session->state == state);
}

/* The first frame of `bytes`: its type and, for a DISCONNECT, its status. */
static int first_frame(struct slice bytes, enum spop_status *status)
{
    struct reader reader = reader_of(bytes);
    struct spop_frame frame;
    if (bytes.size == 0)
        return NOTHING;
    cr_assert(spop_frame_parse(reader_bytes(&reader, reader_u32(&reader)), &frame));
    cr_assert(not(reader.failed));
    if (frame.type == SPOP_FRAME_AGENT_DISCONNECT) {
        struct reader keys = reader_of(frame.payload);
        cr_assert(slice_equal(spop_read_string(&keys), SLICE("status-code")));
        *status = (enum spop_status)spop_read_value(&keys).integer;
    }
    return frame.type;
}

static void check_outcome(enum spop_state state, enum event event)
{
    const struct outcome *expected = &OUTCOMES[state][event];
    uint8_t *buffer = guard_new(1024);
    struct writer out = writer_of(buffer, 1024);
    struct spop_session session;
    size_t consumed = 0;
    bring_to(&session, state);

    if (event == EVENT_DRAIN)
        spop_session_drain(&session, &out);
    else if (event == EVENT_LATE_ACK)
        spop_session_ack(&session, 7, 9, SLICE(""), &out);
    else
        consumed = feed_event(&session, event, &out);

    enum spop_status status = SPOP_STATUS_NORMAL;
    int frame = first_frame(writer_written(&out), &status);
    const char *where = STATE_NAMES[state];
    cr_expect(eq(int, session.state, expected->state), "%s, event %d", where, event);
    cr_expect(eq(int, frame, expected->frame), "%s, event %d", where, event);
    cr_expect(eq(int, status, expected->status), "%s, event %d", where, event);
    if (event != EVENT_LATE_ACK)
        cr_expect(eq(int, consumed > 0, expected->consumed), "%s, event %d", where, event);
}

Test(spop_session, every_event_in_every_state)
{
    for (int state = 0; state < SPOP_STATE__MAX; state++)
        for (int event = 0; event < EVENT__MAX; event++)
            if (state != SPOP_RUNNING || event != EVENT_LATE_ACK)
                check_outcome((enum spop_state)state, (enum event)event);
}

/* ---- Held answers and the end ---- */

Test(spop_session, the_last_held_ack_of_a_draining_session_is_followed_by_a_disconnect)
{
    uint8_t buffer[2048];
    struct writer out = writer_of(buffer, sizeof(buffer));
    struct spop_session session;
    bring_to(&session, SPOP_RUNNING);
    cr_assert(lt(sz, 0, feed_event(&session, EVENT_NOTIFY_HELD, &out)));
    cr_assert(lt(sz, 0, feed_event(&session, EVENT_NOTIFY_HELD, &out)));
    cr_expect(eq(u32, session.held, 2));
    cr_expect(eq(sz, writer_used(&out), 0));

    spop_session_drain(&session, &out);
    spop_session_ack(&session, 7, 9, SLICE("one"), &out);
    cr_expect(session.state == SPOP_DRAINING);
    spop_session_ack(&session, 240, 9, SLICE("two"), &out);
    cr_expect(session.state == SPOP_CLOSED);
    cr_expect(session.close_status == SPOP_STATUS_NORMAL);
    cr_expect(slice_equal(writer_written(&out),
                          SLICE("\0\0\0\x0a\x67\0\0\0\1\7\x09one"
                                "\0\0\0\x0b\x67\0\0\0\1\xf0\0\x09two"
                                "\0\0\0\x25\x66\0\0\0\1\0\0\x0bstatus-code\3\0\7message\x08\6"
                                "normal")));
}

/* What is around the actions of an ACK whose ids are the longest of HAProxy's. */
enum { HAPROXYS_HEADER_BYTES = SPOP_ACK_MAX_BYTES - SPOP_ACTIONS_MAX_BYTES };

Test(spop_session, a_held_ack_with_too_many_actions_is_sent_without_any)
{
    uint8_t *buffer = guard_new(SPOP_ACK_MAX_BYTES);
    char actions[SPOP_ACTIONS_MAX_BYTES + 1] = {0};
    for (size_t excess = 0; excess <= 1; excess++) {
        struct spop_session session;
        struct writer out = writer_of(buffer, SPOP_ACK_MAX_BYTES);
        bring_to(&session, SPOP_RUNNING);
        cr_assert(lt(sz, 0, feed_event(&session, EVENT_NOTIFY_HELD, &out)));
        spop_session_ack(&session, UINT32_MAX, UINT32_MAX,
                         slice_from(actions, SPOP_ACTIONS_MAX_BYTES + excess), &out);
        size_t expected = excess == 0 ? SPOP_ACK_MAX_BYTES : HAPROXYS_HEADER_BYTES;
        cr_expect(eq(sz, writer_used(&out), expected));
        cr_expect(not(out.failed));
    }
}

static enum spop_answer write_too_much(void *context, const struct spop_notify *notify,
                                       struct writer *actions)
{
    (void)notify;
    size_t *room = context;
    *room = writer_left(actions);
    char huge[SPOP_ACTIONS_MAX_BYTES] = {0};
    writer_bytes(actions, slice_from(huge, sizeof(huge)));
    writer_u8(actions, 0);
    return SPOP_ANSWERED;
}

/* The handler has `room` for actions to a question with this id, and what it writes beyond that is
 * no answer. */
static void expect_too_much_refused(struct spop_session *session, struct writer *out, uint64_t id,
                                    size_t room)
{
    uint8_t bytes[64];
    struct writer input = writer_of(bytes, sizeof(bytes));
    size_t given = 0;
    peer_write_frame(&input, SPOP_FRAME_NOTIFY, 1, id, id, SLICE(""));
    cr_assert(
        lt(sz, 0,
           spop_session_feed(session, writer_written(&input), out, write_too_much, &given, NULL)));
    cr_expect(eq(sz, given, room));
    cr_expect(eq(sz, writer_used(out),
                 id > UINT32_MAX ? SPOP_ACK_HEADER_MAX_BYTES : HAPROXYS_HEADER_BYTES));
}

Test(spop_session, actions_beyond_the_limit_leave_an_empty_ack)
{
    uint8_t *buffer = guard_new(SPOP_ACK_MAX_BYTES);
    struct writer out = writer_of(buffer, SPOP_ACK_MAX_BYTES);
    struct spop_session session;
    bring_to(&session, SPOP_RUNNING);
    expect_too_much_refused(&session, &out, UINT32_MAX, SPOP_ACTIONS_MAX_BYTES);
}

Test(spop_session, longer_ids_than_haproxys_leave_less_room)
{
    uint8_t *buffer = guard_new(SPOP_ACK_MAX_BYTES);
    struct writer out = writer_of(buffer, SPOP_ACK_MAX_BYTES);
    struct spop_session session;
    bring_to(&session, SPOP_RUNNING);
    expect_too_much_refused(&session, &out, UINT64_MAX,
                            SPOP_ACK_MAX_BYTES - SPOP_ACK_HEADER_MAX_BYTES);
}

static void bring_to_small_frames(struct spop_session *session)
{
    uint8_t bytes[256], buffer[SPOP_ACK_MAX_BYTES];
    struct writer input = writer_of(bytes, sizeof(bytes));
    struct writer out = writer_of(buffer, sizeof(buffer));
    spop_session_init(session);
    peer_write_hello(&input, SPOP_MIN_FRAME_BYTES, false);
    cr_assert(
        lt(sz, 0,
           spop_session_feed(session, writer_written(&input), &out, count_arguments, NULL, NULL)));
    cr_assert(eq(u32, session->max_frame_bytes, SPOP_MIN_FRAME_BYTES));
}

/* HAProxy ends a connection with a frame that is larger: "max-frame-size 256" in its spoe-agent. */
Test(spop_session, no_ack_is_larger_than_the_frames_that_the_peer_takes)
{
    enum { ROOM = SPOP_LENGTH_BYTES + SPOP_MIN_FRAME_BYTES - SPOP_ACK_HEADER_MAX_BYTES };
    struct spop_session session;
    uint8_t buffer[SPOP_ACK_MAX_BYTES];
    char actions[ROOM + 1] = {0};
    struct writer out = writer_of(buffer, sizeof(buffer));
    bring_to_small_frames(&session);
    expect_too_much_refused(&session, &out, UINT64_MAX, ROOM);
    for (size_t excess = 0; excess <= 1; excess++) {
        out = writer_of(buffer, sizeof(buffer));
        cr_assert(lt(sz, 0, feed_event(&session, EVENT_NOTIFY_HELD, &out)));
        spop_session_ack(&session, UINT64_MAX, UINT64_MAX, slice_from(actions, ROOM + excess),
                         &out);
        size_t expected =
            excess == 0 ? SPOP_LENGTH_BYTES + SPOP_MIN_FRAME_BYTES : SPOP_ACK_HEADER_MAX_BYTES;
        cr_expect(eq(sz, writer_used(&out), expected));
    }
}

/* ---- Lack of room ---- */

Test(spop_session, nothing_is_consumed_without_room_for_an_ack)
{
    for (int state = SPOP_WAIT_HELLO; state <= SPOP_DRAINING; state++) {
        uint8_t *buffer = guard_new(SPOP_ACK_MAX_BYTES);
        struct spop_session session;
        bring_to(&session, (enum spop_state)state);
        struct writer small = writer_of(buffer, SPOP_ACK_MAX_BYTES - 1);
        enum event event = state == SPOP_WAIT_HELLO ? EVENT_HELLO : EVENT_NOTIFY;
        cr_expect(eq(sz, feed_event(&session, event, &small), 0));
        cr_expect(eq(sz, writer_used(&small), 0));
        struct writer enough = writer_of(buffer, SPOP_ACK_MAX_BYTES);
        cr_expect(lt(sz, 0, feed_event(&session, event, &enough)));
        cr_expect(lt(sz, 0, writer_used(&enough)));
    }
}

Test(spop_session, a_drain_without_room_closes_in_silence)
{
    for (size_t room = 0; room < 42; room++) {
        struct spop_session session;
        bring_to(&session, SPOP_RUNNING);
        struct writer out = writer_of(guard_new(room), room);
        spop_session_drain(&session, &out);
        cr_expect(session.state == SPOP_CLOSED);
        cr_expect(eq(int, writer_used(&out) != 0, room == 41), "room for %zu", room);
        cr_expect(not(out.failed));
    }
}

Test(spop_session, a_burst_is_answered_in_one_go_and_in_order)
{
    enum { COUNT = 20 };
    static uint8_t bytes[COUNT * 16];
    static uint8_t buffer[COUNT * SPOP_ACK_MAX_BYTES];
    struct writer input = writer_of(bytes, sizeof(bytes));
    struct writer out = writer_of(buffer, sizeof(buffer));
    struct spop_session session;
    bring_to(&session, SPOP_RUNNING);
    for (unsigned i = 0; i < COUNT; i++)
        peer_write_frame(&input, SPOP_FRAME_NOTIFY, 1, 2 * i + 1, 1, SLICE(""));
    size_t consumed =
        spop_session_feed(&session, writer_written(&input), &out, count_arguments, NULL, NULL);
    cr_expect(eq(sz, consumed, writer_used(&input)));
    cr_expect(eq(u32, session.notifies, COUNT));
    struct reader reader = reader_of(writer_written(&out));
    for (unsigned i = 0; i < COUNT; i++) {
        struct spop_frame frame;
        cr_assert(spop_frame_parse(reader_bytes(&reader, reader_u32(&reader)), &frame));
        cr_expect(eq(u64, frame.stream_id, 2 * i + 1));
        cr_expect(eq(u64, frame.frame_id, 1));
    }
    cr_expect(eq(sz, reader_left(&reader), 0));
}

Test(spop_session, a_frame_of_exactly_the_negotiated_size_is_taken)
{
    static uint8_t bytes[4 + SPOP_MAX_FRAME_BYTES];
    static char payload[SPOP_MAX_FRAME_BYTES - SPOP_SMALLEST_FRAME_BYTES];
    uint8_t buffer[SPOP_ACK_MAX_BYTES];
    struct writer input = writer_of(bytes, sizeof(bytes));
    struct writer out = writer_of(buffer, sizeof(buffer));
    struct spop_session session;
    bring_to(&session, SPOP_RUNNING);
    peer_write_frame(&input, SPOP_FRAME_NOTIFY, 1, 1, 1, slice_from(payload, sizeof(payload)));
    size_t consumed = spop_session_feed(&session, guard_copy(writer_written(&input)), &out,
                                        count_arguments, NULL, NULL);
    cr_expect(eq(sz, consumed, sizeof(bytes)));
    cr_expect(session.state == SPOP_RUNNING);
}
