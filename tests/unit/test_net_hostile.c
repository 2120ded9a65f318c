/* net: peers that misbehave cost one connection and a counter. In every test a well-behaved
 * neighbour on the same loop is served before and after. */
#include "net/loop.h"
#include "support/net_peer.h"

#include "core/clock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct street {
    struct test_net *net;
    struct net_peer *neighbour;
};

static struct street street_new(const struct loops_settings *settings)
{
    struct street street = {.net = test_net_start(settings)};
    street.neighbour = net_peer_greeted(street.net->loops);
    return street;
}

static void street_free(struct street *street)
{
    net_peer_notify(street->neighbour, SLICE("echo"), 1234);
    net_peer_expect_ack(street->neighbour, 1234);
    net_peer_free(street->neighbour);
    test_net_free(street->net);
}

/* Who waits for the end would wait for long if our side were not shut down. */
static const struct loops_settings PATIENT = {.loop_count = 1, .linger_ms = 60000};
static const struct loops_settings HASTY = {.loop_count = 1,
                                            .hello_timeout_ms = 250,
                                            .frame_timeout_ms = 250,
                                            .write_timeout_ms = 250,
                                            .linger_ms = 250};

static void write_hello_and(struct writer *writer, struct slice more)
{
    net_write_hello(writer);
    writer_bytes(writer, more);
}

/* Bytes after a HELLO that no HAProxy would send. */
struct bad_bytes {
    const char *name;
    struct slice bytes;
    uint32_t status;
};

static const struct bad_bytes BAD_BYTES[] = {
    {"longer than negotiated", {"\x7f\xff\xff\xff", 4}, SPOP_STATUS_TOO_BIG},
    {"HTTP", {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27}, SPOP_STATUS_TOO_BIG},
    {"one byte too long", {"\x00\x00\x3f\xfd", 4}, SPOP_STATUS_TOO_BIG},
    {"no frame at all", {"\x00\x00\x00\x00", 4}, SPOP_STATUS_INVALID},
    {"too short for a header", {"\x00\x00\x00\x06", 4}, SPOP_STATUS_INVALID},
    {"endless ids",
     {"\0\0\0\x0f\x03\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 19},
     SPOP_STATUS_INVALID},
    {"a fragment", {"\0\0\0\x07\x03\0\0\0\0\x01\x01", 11}, SPOP_STATUS_FRAGMENTATION},
    {"an agent's frame", {"\0\0\0\x07\x67\0\0\0\x01\x01\x01", 11}, SPOP_STATUS_INVALID},
};

Test(hostile, bad_bytes_end_with_a_disconnect)
{
    struct street street = street_new(&PATIENT);
    for (size_t i = 0; i < COUNT_OF(BAD_BYTES); i++) {
        uint8_t bytes[512];
        struct writer stream = writer_of(bytes, sizeof(bytes));
        write_hello_and(&stream, BAD_BYTES[i].bytes);
        struct net_peer *peer = net_peer_join(street.net->loops, writer_written(&stream), 0);
        net_peer_expect_hello(peer);
        net_peer_expect_disconnect(peer, BAD_BYTES[i].status);
        net_peer_expect_end(peer);
        net_peer_free(peer);
        cr_assert(test_net_reaches(street.net, LOOP_CLOSED_PROTOCOL, i + 1), "%s",
                  BAD_BYTES[i].name);
    }
    cr_assert(test_net_becomes(street.net, LOOP_CONNECTIONS_OPEN, 1));
    cr_assert(eq(u64, loops_counter(street.net->loops, LOOP_PROTOCOL_TOO_BIG), 3));
    cr_assert(eq(u64, loops_counter(street.net->loops, LOOP_PROTOCOL_INVALID), 4));
    cr_assert(eq(u64, loops_counter(street.net->loops, LOOP_PROTOCOL_FRAGMENT), 1));
    street_free(&street);
}

Test(hostile, what_came_before_the_bad_bytes_is_answered)
{
    struct street street = street_new(&PATIENT);
    uint8_t bytes[512];
    struct writer stream = writer_of(bytes, sizeof(bytes));
    net_write_hello(&stream);
    net_write_notify(&stream, SLICE("echo"), 200);
    writer_bytes(&stream, SLICE("garbage"));
    struct net_peer *peer = net_peer_join(street.net->loops, writer_written(&stream), 0);
    net_peer_expect_hello(peer);
    net_peer_expect_ack(peer, 200);
    net_peer_expect_disconnect(peer, SPOP_STATUS_TOO_BIG);
    net_peer_expect_end(peer);
    net_peer_free(peer);
    street_free(&street);
}

/* Random bytes, a thousand times: from a fixed seed, so that a failure comes again. */
Test(hostile, noise_costs_one_connection)
{
    enum { ROUNDS = 1000, SEED = 20231 };
    struct street street = street_new(&HASTY);
    uint64_t random = SEED;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[600];
        struct writer stream = writer_of(bytes, sizeof(bytes));
        if (round % 2 == 0)
            net_write_hello(&stream);
        size_t size = (size_t)(random >> 33) % 300;
        for (size_t i = 0; i < size; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            /* Half of the time lengths that may be. */
            writer_u8(&stream, i < 3 && round % 4 < 2 ? 0 : (uint8_t)(random >> 40));
        }
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct net_peer *peer = net_peer_join(street.net->loops, writer_written(&stream), 0);
        if (round % 3 == 0)
            shutdown(peer->fd, SHUT_WR);
        net_peer_free(peer);
    }
    cr_assert(test_net_becomes(street.net, LOOP_CONNECTIONS_OPEN, 1));
    cr_assert(eq(u64, loops_counter(street.net->loops, LOOP_CONNECTIONS_TAKEN), ROUNDS + 1));
    street_free(&street);
}

Test(hostile, an_end_within_a_frame_is_told_apart)
{
    struct street street = street_new(&PATIENT);
    struct net_peer *peer = net_peer_greeted(street.net->loops);
    net_peer_send(peer, slice_from("\0\0\0\x20\x03", 5));
    net_peer_free(peer);
    cr_assert(test_net_reaches(street.net, LOOP_CLOSED_TRUNCATED, 1));
    cr_assert(eq(u64, loops_counter(street.net->loops, LOOP_CLOSED_BY_PEER), 0));
    street_free(&street);
}

Test(hostile, one_that_says_nothing_is_let_go)
{
    struct test_net *net = test_net_start(&HASTY);
    struct net_peer *silent = net_peer_join(net->loops, SLICE(""), 0);
    net_peer_expect_end(silent);
    cr_assert(eq(u64, loops_counter(net->loops, LOOP_CLOSED_HELLO_TIMEOUT), 1));
    net_peer_free(silent);
    test_net_free(net);
}

/* One byte now and then does not buy time. */
static void drip(struct net_peer *peer, struct test_net *net, enum loop_counter reason)
{
    int64_t end_ms = clock_mono_ms() + PEER_TIMEOUT_S * 1000;
    const uint8_t byte = 0;
    while (loops_counter(net->loops, reason) == 0 && clock_mono_ms() < end_ms) {
        if (send(peer->fd, &byte, 1, MSG_NOSIGNAL) < 0)
            break;
        usleep(5000);
    }
    cr_assert(lt(i64, clock_mono_ms(), end_ms), "it was not cut off while it went on");
    cr_assert(test_net_reaches(net, reason, 1));
}

Test(hostile, a_slow_hello_is_cut_off)
{
    struct street street = street_new(&HASTY);
    struct net_peer *peer = net_peer_join(street.net->loops, slice_from("\0\0\x3f\xf0", 4), 0);
    drip(peer, street.net, LOOP_CLOSED_HELLO_TIMEOUT);
    net_peer_free(peer);
    street_free(&street);
}

Test(hostile, a_slow_frame_is_cut_off)
{
    struct street street = street_new(&HASTY);
    struct net_peer *peer = net_peer_greeted(street.net->loops);
    net_peer_send(peer, slice_from("\0\0\x3f\xf0\x03", 5));
    drip(peer, street.net, LOOP_CLOSED_FRAME_TIMEOUT);
    net_peer_free(peer);
    street_free(&street);
}

/* Three other connections time out, one after the other, while these two are idle. */
Test(hostile, an_idle_connection_is_never_closed)
{
    struct street street = street_new(&HASTY);
    struct net_peer *idle = net_peer_greeted(street.net->loops);
    for (int i = 0; i < 3; i++) {
        struct net_peer *silent = net_peer_join(street.net->loops, SLICE(""), 0);
        net_peer_expect_end(silent);
        net_peer_free(silent);
    }
    net_peer_notify(idle, SLICE("echo"), 5);
    net_peer_expect_ack(idle, 5);
    net_peer_free(idle);
    street_free(&street);
}

/* A frame that was completed in time takes its deadline along: it would pass before the HELLO's. */
Test(hostile, a_split_frame_leaves_no_deadline)
{
    const struct loops_settings settings = {
        .loop_count = 1, .hello_timeout_ms = 1500, .frame_timeout_ms = 1000};
    struct street street = street_new(&settings);
    struct net_peer *peer = net_peer_greeted(street.net->loops);
    uint8_t bytes[128];
    struct writer notify = writer_of(bytes, sizeof(bytes));
    net_write_notify(&notify, SLICE("echo"), 9);
    uint64_t received = loops_counter(street.net->loops, LOOP_BYTES_IN);
    net_peer_send(peer, slice_head(writer_written(&notify), 6));
    cr_assert(test_net_reaches(street.net, LOOP_BYTES_IN, received + 6));
    net_peer_send(peer, slice_skip(writer_written(&notify), 6));
    net_peer_expect_ack(peer, 9);
    struct net_peer *silent = net_peer_join(street.net->loops, SLICE(""), 0);
    net_peer_expect_end(silent);
    net_peer_free(silent);
    net_peer_notify(peer, SLICE("echo"), 10);
    net_peer_expect_ack(peer, 10);
    net_peer_free(peer);
    street_free(&street);
}

/* There is always an unfinished frame, for longer than one may take, but never the same one. */
Test(hostile, each_frame_has_its_own_time)
{
    enum { FRAMES = 10, TIMEOUT_MS = 1000, PAUSE_MS = 200, HEAD = 6 };
    const struct loops_settings settings = {.loop_count = 1, .frame_timeout_ms = TIMEOUT_MS};
    struct street street = street_new(&settings);
    struct net_peer *peer = net_peer_greeted(street.net->loops);
    uint8_t bytes[FRAMES * 64];
    struct writer stream = writer_of(bytes, sizeof(bytes));
    for (uint64_t stream_id = 0; stream_id < FRAMES; stream_id++)
        net_write_notify(&stream, SLICE("echo"), stream_id);
    struct slice all = writer_written(&stream);
    size_t frame_size = all.size / FRAMES;
    net_peer_send(peer, slice_head(all, HEAD));
    all = slice_skip(all, HEAD);
    for (uint64_t stream_id = 0; stream_id < FRAMES; stream_id++) {
        usleep(PAUSE_MS * 1000);
        size_t size = size_min(frame_size, all.size);
        net_peer_send(peer, slice_head(all, size));
        all = slice_skip(all, size);
        net_peer_expect_ack(peer, stream_id);
    }
    net_peer_free(peer);
    street_free(&street);
}

/* One that reads again just in time, and whose frame could not be received meanwhile. */
Test(hostile, a_frame_has_its_own_time_after_answers_were_not_read)
{
    enum { NOTIFIES = 800, WRITE_MS = 1000, FRAME_MS = 60000, HEAD = 6 };
    const struct loops_settings settings = {
        .loop_count = 1, .frame_timeout_ms = FRAME_MS, .write_timeout_ms = WRITE_MS};
    struct street street = street_new(&settings);
    static uint8_t bytes[32 * 1024];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    struct slice all = net_write_burst(&burst, SLICE("big"), 0, NOTIFIES + 1);
    struct slice last = slice_skip(all, all.size - HEAD);
    struct net_peer *peer = net_peer_join(street.net->loops, slice_head(all, all.size - HEAD), 1);
    net_peer_expect_hello(peer);
    for (uint64_t stream_id = 0; stream_id < NOTIFIES; stream_id++)
        net_peer_expect_ack(peer, stream_id);
    usleep(2 * WRITE_MS * 1000);
    net_peer_send(peer, last);
    net_peer_expect_ack(peer, NOTIFIES);
    net_peer_free(peer);
    street_free(&street);
}

Test(hostile, one_that_never_reads_is_cut_off)
{
    enum { NOTIFIES = 800 };
    struct street street = street_new(&HASTY);
    static uint8_t bytes[32 * 1024];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    struct slice all = net_write_burst(&burst, SLICE("big"), 0, NOTIFIES);
    struct net_peer *peer = net_peer_join(street.net->loops, all, 1);
    cr_assert(test_net_reaches(street.net, LOOP_CLOSED_WRITE_TIMEOUT, 1));
    net_peer_free(peer);
    street_free(&street);
}

/* After our last frame we wait for the peer to close, but not for long. */
Test(hostile, one_that_does_not_close_is_closed)
{
    struct street street = street_new(&HASTY);
    struct net_peer *peer = net_peer_greeted(street.net->loops);
    uint8_t bytes[128];
    struct writer frame = writer_of(bytes, sizeof(bytes));
    peer_write_disconnect(&frame, SPOP_STATUS_NORMAL);
    net_peer_send(peer, writer_written(&frame));
    net_peer_expect_disconnect(peer, SPOP_STATUS_NORMAL);
    net_peer_expect_end(peer);
    cr_assert(test_net_reaches(street.net, LOOP_CLOSED_DISCONNECT, 1));
    cr_assert(test_net_becomes(street.net, LOOP_CONNECTIONS_OPEN, 1));
    net_peer_free(peer);
    street_free(&street);
}

Test(hostile, a_health_check_is_answered_and_closed)
{
    struct street street = street_new(&PATIENT);
    uint8_t bytes[256];
    struct writer hello = writer_of(bytes, sizeof(bytes));
    peer_write_hello(&hello, SPOP_MAX_FRAME_BYTES, true);
    struct net_peer *peer = net_peer_join(street.net->loops, writer_written(&hello), 0);
    net_peer_expect_hello(peer);
    net_peer_expect_end(peer);
    net_peer_free(peer);
    cr_assert(test_net_reaches(street.net, LOOP_CLOSED_HEALTH_CHECK, 1));
    street_free(&street);
}

/* HAProxy 3.2 ends idle connections with a reset, and that is a normal end. */
Test(hostile, a_reset_is_a_normal_end)
{
    struct street street = street_new(&PATIENT);
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    cr_assert(eq(int, bind(listening, (struct sockaddr *)&address, size), 0));
    cr_assert(eq(int, listen(listening, 1), 0));
    cr_assert(eq(int, getsockname(listening, (struct sockaddr *)&address, &size), 0));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(eq(int, connect(fd, (struct sockaddr *)&address, size), 0));
    struct net_peer *peer = net_peer_new(fd);
    loops_add(street.net->loops, accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    uint8_t bytes[256];
    struct writer hello = writer_of(bytes, sizeof(bytes));
    net_write_hello(&hello);
    net_peer_send(peer, writer_written(&hello));
    net_peer_expect_hello(peer);
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    net_peer_free(peer);
    cr_assert(test_net_reaches(street.net, LOOP_CLOSED_BY_PEER, 1));
    cr_assert(eq(u64, loops_counter(street.net->loops, LOOP_CLOSED_IO_ERROR), 0));
    close(listening);
    street_free(&street);
}
