/* The other end of the loops, and what is above them: see net_peer.h. */
#include "support/net_peer.h"

#include "core/clock.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FAIL(...)                     \
    do {                              \
        fprintf(stderr, __VA_ARGS__); \
        fputc('\n', stderr);          \
        abort();                      \
    } while (0)

/* ---- The peer ---- */

struct net_peer *net_peer_new(int fd)
{
    struct net_peer *peer = memory_new(sizeof(*peer));
    const struct timeval timeout = {.tv_sec = PEER_TIMEOUT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    peer->fd = fd;
    return peer;
}

struct net_peer *net_peer_join(struct loops *loops, struct slice first, int send_buffer_bytes)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        FAIL("no socket pair: errno %d", errno);
    struct net_peer *peer = net_peer_new(fds[0]);
    if (send_buffer_bytes > 0)
        setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof(send_buffer_bytes));
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    net_peer_send(peer, first);
    loops_add(loops, fds[1]);
    return peer;
}

struct net_peer *net_peer_greeted(struct loops *loops)
{
    uint8_t bytes[256];
    struct writer hello = writer_of(bytes, sizeof(bytes));
    net_write_hello(&hello);
    struct net_peer *peer = net_peer_join(loops, writer_written(&hello), 0);
    net_peer_expect_hello(peer);
    return peer;
}

void net_peer_free(struct net_peer *peer)
{
    close(peer->fd);
    free(peer);
}

void net_peer_send(struct net_peer *peer, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t count = send(peer->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (count < 0)
            FAIL("the peer cannot send: errno %d", errno);
        bytes = slice_skip(bytes, (size_t)count);
    }
}

/* False at the end of the stream. */
static bool receive_more(struct net_peer *peer)
{
    memmove(peer->bytes, peer->bytes + peer->start, peer->end - peer->start);
    peer->end -= peer->start;
    peer->start = 0;
    ssize_t count = recv(peer->fd, peer->bytes + peer->end, sizeof(peer->bytes) - peer->end, 0);
    if (count < 0 && errno != ECONNRESET)
        FAIL("nothing came: errno %d", errno);
    if (count <= 0)
        return false;
    peer->end += (size_t)count;
    return true;
}

bool net_peer_frame(struct net_peer *peer, struct spop_frame *frame)
{
    for (;;) {
        struct reader reader =
            reader_of(slice_from(peer->bytes + peer->start, peer->end - peer->start));
        struct slice bytes = reader_bytes(&reader, reader_u32(&reader));
        if (!reader.failed) {
            peer->start += SPOP_LENGTH_BYTES + bytes.size;
            if (!spop_frame_parse(bytes, frame))
                FAIL("not a frame");
            return true;
        }
        if (!receive_more(peer))
            return false;
    }
}

void net_write_hello(struct writer *writer)
{
    peer_write_hello(writer, SPOP_MAX_FRAME_BYTES, false);
}

void net_write_notify(struct writer *writer, struct slice message, uint64_t stream_id)
{
    uint8_t bytes[64];
    struct writer payload = writer_of(bytes, sizeof(bytes));
    peer_write_message(&payload, message, 0);
    peer_write_frame(writer, SPOP_FRAME_NOTIFY, SPOP_FLAG_FINAL, stream_id, 1,
                     writer_written(&payload));
}

struct slice net_write_burst(struct writer *writer, struct slice message, uint64_t first,
                             uint64_t count)
{
    net_write_hello(writer);
    for (uint64_t stream_id = first; stream_id < first + count; stream_id++)
        net_write_notify(writer, message, stream_id);
    if (writer->failed)
        FAIL("there is no room for a burst of %llu", (unsigned long long)count);
    return writer_written(writer);
}

void net_peer_notify(struct net_peer *peer, struct slice message, uint64_t stream_id)
{
    uint8_t bytes[128];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    net_write_notify(&writer, message, stream_id);
    net_peer_send(peer, writer_written(&writer));
}

static void expect(struct net_peer *peer, enum spop_frame_type type, struct spop_frame *frame)
{
    if (!net_peer_frame(peer, frame))
        FAIL("the stream ended instead of a frame of type %d", (int)type);
    if (frame->type != type)
        FAIL("a frame of type %d instead of %d", frame->type, (int)type);
}

void net_peer_expect_hello(struct net_peer *peer)
{
    struct spop_frame frame;
    expect(peer, SPOP_FRAME_AGENT_HELLO, &frame);
}

static size_t actions_of(uint64_t stream_id, bool is_big, uint8_t bytes[SPOP_ACTIONS_MAX_BYTES])
{
    size_t size = is_big ? SPOP_ACTIONS_MAX_BYTES : stream_id % 256;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(stream_id * 31 + i);
    return size;
}

void net_peer_expect_ack(struct net_peer *peer, uint64_t stream_id)
{
    uint8_t bytes[SPOP_ACTIONS_MAX_BYTES];
    struct spop_frame frame;
    expect(peer, SPOP_FRAME_ACK, &frame);
    if (frame.stream_id != stream_id || frame.frame_id != 1)
        FAIL("an ACK for %llu instead of %llu", (unsigned long long)frame.stream_id,
             (unsigned long long)stream_id);
    bool is_big = frame.payload.size == SPOP_ACTIONS_MAX_BYTES;
    size_t size = actions_of(stream_id, is_big, bytes);
    if (!slice_equal(frame.payload, slice_from(bytes, size)))
        FAIL("the ACK for %llu has other actions", (unsigned long long)stream_id);
}

void net_peer_expect_disconnect(struct net_peer *peer, uint32_t status)
{
    struct spop_frame frame;
    expect(peer, SPOP_FRAME_AGENT_DISCONNECT, &frame);
    struct reader reader = reader_of(frame.payload);
    struct slice key = spop_read_string(&reader);
    struct spop_value value = spop_read_value(&reader);
    if (reader.failed || !slice_equal(key, SLICE("status-code")) || value.integer != status)
        FAIL("a DISCONNECT with another status than %u", status);
}

void net_peer_expect_end(struct net_peer *peer)
{
    struct spop_frame frame;
    if (net_peer_frame(peer, &frame))
        FAIL("a frame of type %d instead of the end", frame.type);
    if (peer->end > peer->start)
        FAIL("the stream ends within a frame");
}

/* ---- The application ---- */

/* There is nothing to wait on but the number itself. */
static void look_again_soon(void)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    nanosleep(&millisecond, NULL);
}

_Atomic uint64_t test_values_made;
_Atomic uint64_t test_values_freed;

struct test_value *test_value_new(uint64_t number)
{
    struct test_value *value = memory_new(sizeof(*value));
    atomic_fetch_add(&test_values_made, 1);
    value->number = number;
    return value;
}

static void drop_value(void *value)
{
    atomic_fetch_add(&test_values_freed, 1);
    free(value);
}

static void stand_still(struct test_app *app)
{
    atomic_store(&app->waiting, 1);
    while (atomic_load(&app->waiting) != 0)
        look_again_soon();
}

static enum spop_answer on_notify(void *context, const struct spop_notify *notify,
                                  struct writer *actions)
{
    struct test_app *app = context;
    struct reader messages = reader_of(notify->messages);
    struct spop_message message;
    uint8_t bytes[SPOP_ACTIONS_MAX_BYTES];

    if (!spop_message_next(&messages, &message))
        return SPOP_ANSWERED;
    if (app->value_number == 0)
        atomic_fetch_add(&app->stale, 1);
    if (slice_equal(message.name, SLICE("hold")) && app->held_count < TEST_HELD_MAX) {
        app->held[app->held_count].connection_id = loop_current_connection(app->loop);
        app->held[app->held_count++].stream_id = notify->stream_id;
        return SPOP_HELD;
    }
    if (slice_equal(message.name, SLICE("wait")))
        stand_still(app);
    size_t size = actions_of(notify->stream_id, slice_equal(message.name, SLICE("big")), bytes);
    writer_bytes(actions, slice_from(bytes, size));
    return SPOP_ANSWERED;
}

static void answer(struct test_app *app, uint64_t connection_id, uint64_t stream_id)
{
    uint8_t bytes[SPOP_ACTIONS_MAX_BYTES];
    size_t size = actions_of(stream_id, false, bytes);
    bool is_there = loop_answer(app->loop, connection_id, stream_id, 1, slice_from(bytes, size));
    atomic_fetch_add(is_there ? &app->answered : &app->too_late, 1);
}

static void answer_held(struct test_app *app, bool last_first)
{
    for (size_t i = 0; i < app->held_count; i++) {
        size_t at = last_first ? app->held_count - 1 - i : i;
        answer(app, app->held[at].connection_id, app->held[at].stream_id);
    }
    app->held_count = 0;
}

static void on_value(void *context, void *taken)
{
    struct test_app *app = context;
    struct test_value *value = taken;
    if (value->number < app->value_number)
        FAIL("value %llu after %llu", (unsigned long long)value->number,
             (unsigned long long)app->value_number);
    app->value_number = value->number;
    if (value->held != HOLD)
        answer_held(app, value->held == ANSWER_LAST_FIRST);
    if (value->timer_ms != 0)
        loop_timer(app->loop, value->timer_ms);
    drop_value(value);
}

static void on_timer(void *context)
{
    struct test_app *app = context;
    atomic_fetch_add(&app->timers, 1);
}

struct test_net *test_net_new(const struct loops_settings *settings)
{
    static const struct loop_handler HANDLER = {
        .on_notify = on_notify,
        .on_value = on_value,
        .drop_value = drop_value,
        .on_timer = on_timer,
    };
    struct error_text text;
    struct test_net *net = memory_new(sizeof(*net));
    net->loops = loops_new(settings, &HANDLER, &text);
    if (net->loops == NULL)
        FAIL("%s", text.text);
    for (unsigned i = 0; i < loops_count(net->loops); i++) {
        net->apps[i].loop = loops_at(net->loops, i);
        loop_set_context(net->apps[i].loop, &net->apps[i]);
    }
    return net;
}

void test_net_run(struct test_net *net)
{
    struct error_text text;
    if (loops_start(net->loops, &text) != ERROR_OK)
        FAIL("%s", text.text);
}

struct test_net *test_net_start(const struct loops_settings *settings)
{
    struct test_net *net = test_net_new(settings);
    test_net_run(net);
    return net;
}

void test_net_free(struct test_net *net)
{
    loops_stop(net->loops);
    loops_join(net->loops);
    loops_free(net->loops);
    free(net);
}

bool test_reaches(const _Atomic uint64_t *number, uint64_t wanted)
{
    int64_t end_ms = clock_mono_ms() + PEER_TIMEOUT_S * 1000;
    while (atomic_load(number) < wanted) {
        if (clock_mono_ms() > end_ms)
            return false;
        look_again_soon();
    }
    return true;
}

bool test_net_reaches(struct test_net *net, enum loop_counter counter, uint64_t wanted)
{
    int64_t end_ms = clock_mono_ms() + PEER_TIMEOUT_S * 1000;
    while (loops_counter(net->loops, counter) < wanted) {
        if (clock_mono_ms() > end_ms)
            return false;
        look_again_soon();
    }
    return true;
}

bool test_net_becomes(struct test_net *net, enum loop_counter counter, uint64_t wanted)
{
    int64_t end_ms = clock_mono_ms() + PEER_TIMEOUT_S * 1000;
    while (loops_counter(net->loops, counter) != wanted) {
        if (clock_mono_ms() > end_ms)
            return false;
        look_again_soon();
    }
    return true;
}
