/* net: every allocation of a running loop fails once. One connection is lost, and a counter tells;
 * its neighbour and the loop go on. The allocator is wrapped by the linker (net.cmake). */
#include "net/loop.h"
#include "support/net_peer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Which allocation fails, counted down; 0: none. Those of the loop's thread, or of the test's. */
static _Atomic int fails_in;
static atomic_bool fails_in_test_thread;
static pthread_t test_thread;

static bool is_to_fail(void)
{
    if (atomic_load(&fails_in) == 0)
        return false;
    bool is_test_thread = pthread_equal(pthread_self(), test_thread) != 0;
    if (is_test_thread != atomic_load(&fails_in_test_thread))
        return false;
    return atomic_fetch_sub(&fails_in, 1) == 1;
}

static void fail_at(int number, bool in_test_thread)
{
    test_thread = pthread_self();
    atomic_store(&fails_in_test_thread, in_test_thread);
    atomic_store(&fails_in, number);
}

/* The names are the linker's. */
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_reallocarray(void *block, size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return is_to_fail() ? NULL : __real_realloc(block, size);
}

void *__wrap_reallocarray(void *block, size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_reallocarray(block, count, size);
}

/* Everything that a connection may need memory for: answers that are not read, a frame that comes
 * in two parts, a held answer. Returns whether all of it was answered. */
static bool run_connection(struct test_net *net, uint64_t value_number)
{
    enum { BIG_ONES = 300 };
    static uint8_t bytes[32 * 1024];
    struct writer stream = writer_of(bytes, sizeof(bytes));
    struct spop_frame frame;
    unsigned acks = 0;

    net_write_hello(&stream);
    net_write_notify(&stream, SLICE("hold"), 1);
    for (uint64_t stream_id = 2; stream_id < 2 + BIG_ONES; stream_id++)
        net_write_notify(&stream, SLICE("big"), stream_id);
    cr_assert_not(stream.failed);
    struct slice all = writer_written(&stream);
    struct net_peer *peer = net_peer_join(net->loops, slice_head(all, all.size - 5), 1);
    if (net_peer_frame(peer, &frame)) {
        struct test_value *value = test_value_new(value_number);
        value->held = ANSWER_LAST_FIRST;
        loop_publish(loops_at(net->loops, 0), value);
        /* The peer may be gone at any moment from here on. */
        struct slice rest = slice_skip(all, all.size - 5);
        bool is_sent = send(peer->fd, rest.data, rest.size, MSG_NOSIGNAL) == (ssize_t)rest.size;
        while (is_sent && acks < BIG_ONES + 1 && net_peer_frame(peer, &frame))
            acks++;
    }
    net_peer_free(peer);
    return acks == BIG_ONES + 1;
}

Test(memory, each_allocation_fails_once)
{
    /* As many neighbours as the table has places for at first: it has to grow. */
    enum { ROUNDS_AT_MOST = 60, NEIGHBOURS = 64 };
    const struct loops_settings settings = {.loop_count = 1};
    struct test_net *net = test_net_start(&settings);
    struct net_peer *neighbours[NEIGHBOURS];
    for (size_t i = 0; i < NEIGHBOURS; i++)
        neighbours[i] = net_peer_greeted(net->loops);
    uint64_t lost = 0;
    int round = 1;

    for (;; round++) {
        cr_assert(lt(int, round, ROUNDS_AT_MOST));
        fail_at(round, false);
        bool is_answered = run_connection(net, (uint64_t)round);
        bool has_failed = atomic_exchange(&fails_in, 0) == 0;
        cr_assert(test_net_becomes(net, LOOP_CONNECTIONS_OPEN, NEIGHBOURS));
        lost += has_failed ? 1 : 0;
        cr_assert(eq(u64, loops_counter(net->loops, LOOP_CLOSED_NO_MEMORY), lost), "round %d",
                  round);
        cr_assert(ne(int, is_answered, has_failed), "round %d", round);
        net_peer_notify(neighbours[0], SLICE("echo"), 99);
        net_peer_expect_ack(neighbours[0], 99);
        if (!has_failed)
            break; /* there was no such allocation any more */
    }
    cr_assert(lt(int, 5, round), "the connection allocates less than this test believes");
    for (size_t i = 0; i < NEIGHBOURS; i++)
        net_peer_free(neighbours[i]);
    test_net_free(net);
}

Test(memory, a_connection_that_cannot_be_handed_over_is_closed)
{
    const struct loops_settings settings = {.loop_count = 1};
    struct test_net *net = test_net_start(&settings);
    int fds[2];
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0));
    struct net_peer *peer = net_peer_new(fds[0]);
    fail_at(1, true);
    loops_add(net->loops, fds[1]);
    cr_assert(eq(int, atomic_load(&fails_in), 0));
    net_peer_expect_end(peer);
    cr_assert(eq(u64, loops_counter(net->loops, LOOP_CONNECTIONS_OPEN), 0));
    net_peer_free(peer);
    test_net_free(net);
}
