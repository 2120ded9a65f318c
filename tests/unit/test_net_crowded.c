/* net: as many connections as there may be, and more that come. */
#include "net/loop.h"
#include "support/net_peer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* An eighth is for those who are accepted while a loop makes room. */
enum { ALL = 16, SHARE = 14, NEWCOMERS = 100 };

static uint64_t count(const struct test_net *net, enum loop_counter counter)
{
    return loops_counter(net->loops, counter);
}

static struct test_net *start(unsigned loop_count, unsigned connections_max)
{
    const struct loops_settings settings = {.loop_count = loop_count,
                                            .connections_max = connections_max};
    return test_net_start(&settings);
}

static void free_peers(struct net_peer *const *peers, size_t peer_count)
{
    for (size_t i = 0; i < peer_count; i++)
        net_peer_free(peers[i]);
}

static void expect_given_way(struct net_peer *peer)
{
    net_peer_expect_disconnect(peer, SPOP_STATUS_NORMAL);
    net_peer_expect_end(peer);
}

Test(crowded, the_first_to_come_gives_way_first)
{
    struct test_net *net = start(1, ALL);
    struct net_peer *peers[NEWCOMERS];
    for (size_t i = 0; i < NEWCOMERS; i++) {
        peers[i] = net_peer_greeted(net->loops);
        cr_assert(le(u64, count(net, LOOP_CONNECTIONS_OPEN), SHARE));
        if (i >= SHARE)
            expect_given_way(peers[i - SHARE]);
    }
    cr_assert(eq(u64, count(net, LOOP_CLOSED_GAVE_WAY), NEWCOMERS - SHARE));
    cr_assert(lt(i64, 0, loops_gave_way_mono_ms(net->loops)));
    free_peers(peers, NEWCOMERS);
    test_net_free(net);
}

Test(crowded, nobody_gives_way_where_there_is_room)
{
    struct test_net *net = start(1, ALL);
    struct net_peer *peers[SHARE];
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < SHARE; i++)
            peers[i] = net_peer_greeted(net->loops);
        free_peers(peers, SHARE);
        cr_assert(test_net_becomes(net, LOOP_CONNECTIONS_OPEN, 0));
    }
    cr_assert(zero(u64, count(net, LOOP_CLOSED_GAVE_WAY)));
    cr_assert(zero(i64, loops_gave_way_mono_ms(net->loops)));
    test_net_free(net);
}

/* Whenever it came, and although it rests now and then for as long as others take to come by. */
Test(crowded, who_asks_stays)
{
    enum { RESTS = SHARE / 2 };
    struct test_net *net = start(1, ALL);
    struct net_peer *peers[NEWCOMERS], *busy[2];
    busy[0] = net_peer_greeted(net->loops);
    for (size_t i = 0; i < NEWCOMERS; i++) {
        if (i == 3)
            busy[1] = net_peer_greeted(net->loops);
        peers[i] = net_peer_greeted(net->loops);
        for (size_t k = 0; i % RESTS == 0 && k < (i > 3 ? 2 : 1); k++) {
            net_peer_notify(busy[k], SLICE("echo"), i);
            net_peer_expect_ack(busy[k], i);
        }
    }
    cr_assert(le(u64, count(net, LOOP_CONNECTIONS_OPEN), SHARE));
    free_peers(peers, NEWCOMERS);
    free_peers(busy, 2);
    test_net_free(net);
}

/* It has asked, and cannot ask more before that. */
Test(crowded, who_is_owed_an_answer_stays)
{
    struct test_net *net = start(1, ALL);
    struct net_peer *peers[NEWCOMERS], *waiting = net_peer_greeted(net->loops);
    net_peer_notify(waiting, SLICE("hold"), 7);
    cr_assert(test_net_reaches(net, LOOP_NOTIFIES, 1));
    for (size_t i = 0; i < NEWCOMERS; i++)
        peers[i] = net_peer_greeted(net->loops);
    struct test_value *value = test_value_new(1);
    value->held = ANSWER_FIRST_FIRST;
    loop_publish(loops_at(net->loops, 0), value);
    net_peer_expect_ack(waiting, 7);
    free_peers(peers, NEWCOMERS);
    net_peer_free(waiting);
    test_net_free(net);
}

/* The rest of its request is on its way. */
Test(crowded, who_is_in_the_middle_of_a_frame_stays)
{
    enum { FIRST_BYTES = 7 };
    struct test_net *net = start(1, ALL);
    struct net_peer *peers[NEWCOMERS], *slow = net_peer_greeted(net->loops);
    uint8_t bytes[128];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    net_write_notify(&writer, SLICE("echo"), 7);
    struct slice frame = writer_written(&writer);
    uint64_t before = count(net, LOOP_BYTES_IN);
    net_peer_send(slow, slice_from(frame.data, FIRST_BYTES));
    cr_assert(test_net_reaches(net, LOOP_BYTES_IN, before + FIRST_BYTES));
    for (size_t i = 0; i < NEWCOMERS; i++)
        peers[i] = net_peer_greeted(net->loops);
    net_peer_send(slow, slice_skip(frame, FIRST_BYTES));
    net_peer_expect_ack(slow, 7);
    free_peers(peers, NEWCOMERS);
    net_peer_free(slow);
    test_net_free(net);
}

/* A HAProxy that has no processor for a moment. */
Test(crowded, who_has_yet_to_read_its_answers_stays)
{
    enum { SMALLEST_BUFFER = 1, NOTIFIES = 100 };
    struct test_net *net = start(1, ALL);
    struct net_peer *peers[NEWCOMERS];
    static uint8_t bytes[64 * 1024];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    struct slice sent = net_write_burst(&burst, SLICE("big"), 0, NOTIFIES);
    struct net_peer *stalled = net_peer_join(net->loops, sent, SMALLEST_BUFFER);
    cr_assert(test_net_reaches(net, LOOP_SHORT_SENDS, 1));
    for (size_t i = 0; i < NEWCOMERS; i++)
        peers[i] = net_peer_greeted(net->loops);
    cr_assert(le(u64, count(net, LOOP_CONNECTIONS_OPEN), SHARE));
    net_peer_expect_hello(stalled);
    for (uint64_t i = 0; i < NOTIFIES; i++)
        net_peer_expect_ack(stalled, i);
    free_peers(peers, NEWCOMERS);
    net_peer_free(stalled);
    test_net_free(net);
}

/* A HELLO that does not come or does not end has its timeout, which newcomers do not wait for. */
Test(crowded, who_has_not_greeted_gives_way)
{
    static const struct slice BEGINNINGS[] = {{"", 0}, {"\0\0", 2}};
    for (size_t k = 0; k < COUNT_OF(BEGINNINGS); k++) {
        struct test_net *net = start(1, ALL);
        struct net_peer *idle[ALL], *peers[NEWCOMERS];
        for (size_t i = 0; i < SHARE; i++)
            idle[i] = net_peer_join(net->loops, BEGINNINGS[k], 0);
        for (size_t i = 0; i < NEWCOMERS; i++)
            peers[i] = net_peer_greeted(net->loops);
        for (size_t i = 0; i < SHARE; i++)
            net_peer_expect_end(idle[i]);
        free_peers(idle, SHARE);
        free_peers(peers, NEWCOMERS);
        test_net_free(net);
    }
}

Test(crowded, loops_have_equal_shares)
{
    enum { LOOPS = 4 };
    struct test_net *net = start(LOOPS, LOOPS * ALL);
    struct net_peer *peers[NEWCOMERS];
    for (size_t i = 0; i < NEWCOMERS; i++)
        peers[i] = net_peer_greeted(net->loops);
    for (unsigned i = 0; i < LOOPS; i++)
        cr_expect(eq(u64, loop_counter(loops_at(net->loops, i), LOOP_CONNECTIONS_OPEN), SHARE));
    cr_expect(zero(int, loops_are_full(net->loops)));
    free_peers(peers, NEWCOMERS);
    test_net_free(net);
}

/* One place for each, however little there is. */
Test(crowded, few_places_are_places)
{
    for (unsigned all = 1; all <= 3; all++) {
        struct test_net *net = start(2, all);
        struct net_peer *peers[NEWCOMERS];
        for (size_t i = 0; i < NEWCOMERS; i++)
            peers[i] = net_peer_greeted(net->loops);
        cr_expect(eq(u64, count(net, LOOP_CONNECTIONS_OPEN), 2));
        cr_expect(zero(int, loops_are_full(net->loops)));
        free_peers(peers, NEWCOMERS);
        test_net_free(net);
    }
}
