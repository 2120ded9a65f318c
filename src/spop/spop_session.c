/* One SPOP connection without sockets: see spop/spop_session.h. */
#include "spop/spop_session.h"

/* One call of spop_session_feed(): what its steps share. */
struct turn {
    struct spop_session *session;
    struct writer *output;
    spop_notify_fn *on_notify;
    void *context;
    const char *reason;
};

static void session_move(struct spop_session *session, enum spop_state state)
{
    static const bool MAY_FOLLOW[SPOP_STATE__MAX][SPOP_STATE__MAX] = {
        [SPOP_WAIT_HELLO] = {[SPOP_RUNNING] = true, [SPOP_CLOSED] = true},
        [SPOP_RUNNING] = {[SPOP_DRAINING] = true, [SPOP_CLOSED] = true},
        [SPOP_DRAINING] = {[SPOP_CLOSED] = true},
    };
    assert(MAY_FOLLOW[session->state][state]);
    session->state = state;
}

void spop_session_init(struct spop_session *session)
{
    *session = (struct spop_session){.max_frame_bytes = SPOP_MAX_FRAME_BYTES};
}

static const char *status_message(enum spop_status status)
{
    switch (status) {
    case SPOP_STATUS_NORMAL: return "normal";
    case SPOP_STATUS_TOO_BIG: return "frame is too big";
    case SPOP_STATUS_INVALID: return "invalid frame received";
    case SPOP_STATUS_FRAGMENTATION: return "fragmentation not supported";
    default: return "unknown error";
    }
}

static void write_key_text(struct writer *writer, struct slice key, struct slice text)
{
    spop_write_string(writer, key);
    writer_u8(writer, SPOP_STRING);
    spop_write_string(writer, text);
}

static void write_key_number(struct writer *writer, struct slice key, uint64_t number)
{
    spop_write_string(writer, key);
    writer_u8(writer, SPOP_UINT32);
    spop_write_varint(writer, number);
}

/* Closes with an AGENT-DISCONNECT, which is left out when there is no room: the peer then sees the
 * end of the connection alone and treats it alike. */
static void disconnect(struct spop_session *session, struct writer *output, enum spop_status status)
{
    struct writer frame = *output;
    spop_frame_begin(&frame, SPOP_FRAME_AGENT_DISCONNECT, 0, 0);
    write_key_number(&frame, SLICE("status-code"), status);
    write_key_text(&frame, SLICE("message"), slice_of(status_message(status)));
    spop_frame_end(&frame, output->position);
    if (!frame.failed)
        *output = frame;
    session->close_status = status;
    session_move(session, SPOP_CLOSED);
}

static void refuse(struct turn *turn, enum spop_status status, const char *reason)
{
    turn->reason = reason;
    disconnect(turn->session, turn->output, status);
}

/* What counts of a HAPROXY-HELLO. The versions do not: there is one, and HAProxy checks for itself
 * whether it is among its own. */
struct hello {
    bool health_check;
    int64_t max_frame_bytes;
};

static bool is_integer(const struct spop_value *value)
{
    return value->type >= SPOP_INT32 && value->type <= SPOP_UINT64;
}

static bool parse_hello(struct slice payload, struct hello *hello)
{
    *hello = (struct hello){.max_frame_bytes = SPOP_MAX_FRAME_BYTES};
    struct reader reader = reader_of(payload);
    while (!reader.failed && reader_left(&reader) > 0) {
        struct slice key = spop_read_string(&reader);
        struct spop_value value = spop_read_value(&reader);
        if (slice_equal(key, SLICE("max-frame-size")) && is_integer(&value))
            hello->max_frame_bytes = value.integer;
        else if (slice_equal(key, SLICE("healthcheck")))
            hello->health_check = value.boolean;
    }
    return !reader.failed;
}

static uint32_t negotiate_frame_bytes(int64_t peer_max_bytes)
{
    if (peer_max_bytes < SPOP_MIN_FRAME_BYTES)
        return SPOP_MIN_FRAME_BYTES;
    if (peer_max_bytes > SPOP_MAX_FRAME_BYTES)
        return SPOP_MAX_FRAME_BYTES;
    return (uint32_t)peer_max_bytes;
}

static void on_hello(struct turn *turn, const struct spop_frame *frame)
{
    struct spop_session *session = turn->session;
    struct hello hello;
    if (!parse_hello(frame->payload, &hello)) {
        refuse(turn, SPOP_STATUS_INVALID, "the HELLO's list of keys is not valid");
        return;
    }
    session->health_check = hello.health_check;
    /* The check of HAProxy 3.1 and later names its default, and refuses more than `tune.bufsize`
     * makes of that. Nothing follows it, so any size will do. */
    session->max_frame_bytes =
        hello.health_check ? SPOP_MIN_FRAME_BYTES : negotiate_frame_bytes(hello.max_frame_bytes);

    uint8_t *start = turn->output->position;
    spop_frame_begin(turn->output, SPOP_FRAME_AGENT_HELLO, 0, 0);
    write_key_text(turn->output, SLICE("version"), SLICE("2.0"));
    write_key_number(turn->output, SLICE("max-frame-size"), session->max_frame_bytes);
    write_key_text(turn->output, SLICE("capabilities"), SLICE("pipelining"));
    spop_frame_end(turn->output, start);
    session_move(session, hello.health_check ? SPOP_CLOSED : SPOP_RUNNING);
}

/* The peer's reason is kept; a number that is no status becomes UNKNOWN. */
static enum spop_status disconnect_status(struct slice payload)
{
    int64_t status = SPOP_STATUS_UNKNOWN;
    struct reader reader = reader_of(payload);
    while (!reader.failed && reader_left(&reader) > 0) {
        struct slice key = spop_read_string(&reader);
        struct spop_value value = spop_read_value(&reader);
        if (slice_equal(key, SLICE("status-code")) && is_integer(&value))
            status = value.integer;
    }
    if (status < SPOP_STATUS_NORMAL || status > SPOP_STATUS_RESOURCES)
        return SPOP_STATUS_UNKNOWN;
    return (enum spop_status)status;
}

static void on_disconnect(struct turn *turn, const struct spop_frame *frame)
{
    disconnect(turn->session, turn->output, SPOP_STATUS_NORMAL);
    turn->session->close_status = disconnect_status(frame->payload);
}

/* How many bytes of actions make an ACK that both sides take, behind a header of so many. */
static size_t actions_room(const struct spop_session *session, size_t header_bytes)
{
    size_t frame_bytes = SPOP_LENGTH_BYTES + session->max_frame_bytes;
    size_t room = size_min(SPOP_ACK_MAX_BYTES, frame_bytes) - header_bytes;
    return size_min(room, SPOP_ACTIONS_MAX_BYTES);
}

/* The handler's actions are written where they belong, behind a header whose ids are known; only
 * the length is filled in afterwards. */
static void on_notify(struct turn *turn, const struct spop_frame *frame)
{
    const struct spop_notify notify = {frame->stream_id, frame->frame_id, frame->payload};
    struct writer ack = *turn->output;
    spop_frame_begin(&ack, SPOP_FRAME_ACK, frame->stream_id, frame->frame_id);
    size_t header_bytes = writer_left(turn->output) - writer_left(&ack);
    struct writer actions = writer_of(ack.position, actions_room(turn->session, header_bytes));

    turn->session->notifies++;
    if (turn->on_notify(turn->context, &notify, &actions) == SPOP_HELD) {
        turn->session->held++;
        return;
    }
    if (!actions.failed)
        ack.position = actions.position;
    spop_frame_end(&ack, turn->output->position);
    turn->output->position = ack.position;
}

static void on_frame(struct turn *turn, struct slice bytes)
{
    struct spop_frame frame;
    if (!spop_frame_parse(bytes, &frame)) {
        refuse(turn, SPOP_STATUS_INVALID, "the frame's header is not valid");
        return;
    }
    if (frame.type == SPOP_FRAME_UNSET || (frame.flags & SPOP_FLAG_FINAL) == 0 ||
        (frame.flags & SPOP_FLAG_ABORT) != 0) {
        refuse(turn, SPOP_STATUS_FRAGMENTATION, "a fragment, although none was negotiated");
        return;
    }
    bool greeted = turn->session->state != SPOP_WAIT_HELLO;
    switch (frame.type) {
    case SPOP_FRAME_HAPROXY_DISCONNECT: on_disconnect(turn, &frame); return;
    case SPOP_FRAME_HAPROXY_HELLO:
        if (greeted)
            refuse(turn, SPOP_STATUS_INVALID, "a second HELLO");
        else
            on_hello(turn, &frame);
        return;
    case SPOP_FRAME_AGENT_HELLO:
    case SPOP_FRAME_AGENT_DISCONNECT:
    case SPOP_FRAME_ACK: refuse(turn, SPOP_STATUS_INVALID, "a frame that only agents send"); return;
    default: break;
    }
    if (!greeted)
        refuse(turn, SPOP_STATUS_INVALID, "a frame before the HELLO");
    else if (frame.type == SPOP_FRAME_NOTIFY)
        on_notify(turn, &frame);
}

/* Handles the frame at the start of `input`. Returns its size with the length word, or 0 when it is
 * not there as a whole or ended the session before it was. */
static size_t take_frame(struct turn *turn, struct slice input)
{
    struct reader reader = reader_of(input);
    uint32_t length = reader_u32(&reader);
    if (reader.failed)
        return 0;
    if (length < SPOP_SMALLEST_FRAME_BYTES) {
        refuse(turn, SPOP_STATUS_INVALID, "the frame is too short");
        return 0;
    }
    if (length > turn->session->max_frame_bytes) {
        refuse(turn, SPOP_STATUS_TOO_BIG, "the frame is longer than negotiated");
        return 0;
    }
    struct slice frame = reader_bytes(&reader, length);
    if (reader.failed)
        return 0;
    on_frame(turn, frame);
    return SPOP_LENGTH_BYTES + frame.size;
}

size_t spop_session_feed(struct spop_session *session, struct slice input, struct writer *output,
                         spop_notify_fn *handler, void *context, const char **reason)
{
    struct turn turn = {session, output, handler, context, NULL};
    size_t consumed = 0;
    while (session->state != SPOP_CLOSED && writer_left(output) >= SPOP_ACK_MAX_BYTES) {
        size_t taken = take_frame(&turn, slice_skip(input, consumed));
        if (taken == 0)
            break;
        consumed += taken;
    }
    if (reason != NULL)
        *reason = turn.reason;
    return consumed;
}

static bool is_open(const struct spop_session *session)
{
    return session->state == SPOP_RUNNING || session->state == SPOP_DRAINING;
}

void spop_session_ack(struct spop_session *session, uint64_t stream_id, uint64_t frame_id,
                      struct slice actions, struct writer *output)
{
    if (!is_open(session))
        return;
    assert(session->held > 0);
    assert(writer_left(output) >= SPOP_ACK_MAX_BYTES);
    uint8_t *start = output->position;
    spop_frame_begin(output, SPOP_FRAME_ACK, stream_id, frame_id);
    if (actions.size <= actions_room(session, (size_t)(output->position - start)))
        writer_bytes(output, actions);
    spop_frame_end(output, start);
    session->held--;
    if (session->state == SPOP_DRAINING && session->held == 0)
        disconnect(session, output, SPOP_STATUS_NORMAL);
}

void spop_session_drain(struct spop_session *session, struct writer *output)
{
    switch (session->state) {
    case SPOP_WAIT_HELLO: session_move(session, SPOP_CLOSED); break;
    case SPOP_RUNNING:
        if (session->held > 0)
            session_move(session, SPOP_DRAINING);
        else
            disconnect(session, output, SPOP_STATUS_NORMAL);
        break;
    case SPOP_DRAINING:
    case SPOP_CLOSED:
    case SPOP_STATE__MAX: break;
    }
}
