/* net: loops that serve well-behaved peers. */
#include "core/clock.h"
#include "net/loop.h"
#include "support/net_peer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct test_net *start(unsigned loop_count)
{
    const struct loops_settings settings = {.loop_count = loop_count};
    return test_net_start(&settings);
}

static uint64_t count(struct test_net *net, enum loop_counter counter)
{
    return loops_counter(net->loops, counter);
}

Test(loop, a_peer_is_greeted_and_answered)
{
    struct test_net *net = start(1);
    struct net_peer *peer = net_peer_greeted(net->loops);
    for (uint64_t stream_id = 0; stream_id < 300; stream_id++) {
        net_peer_notify(peer, SLICE("echo"), stream_id);
        net_peer_expect_ack(peer, stream_id);
    }
    cr_assert(eq(u64, count(net, LOOP_CONNECTIONS_OPEN), 1));
    net_peer_free(peer);
    cr_assert(test_net_becomes(net, LOOP_CONNECTIONS_OPEN, 0));
    cr_assert(eq(u64, count(net, LOOP_CLOSED_BY_PEER), 1));
    cr_assert(eq(u64, count(net, LOOP_NOTIFIES), 300));
    /* One recv() and one send() per wake, and the recv() that saw the end. */
    cr_assert(eq(u64, count(net, LOOP_RECEIVES), 302));
    cr_assert(eq(u64, count(net, LOOP_SENDS), 301));
    test_net_free(net);
}

Test(loop, a_burst_is_taken_with_one_recv_and_answered_with_one_send)
{
    enum { BURST = 100 };
    struct test_net *net = start(1);
    uint8_t bytes[8192];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    struct slice all = net_write_burst(&burst, SLICE("echo"), 1, BURST);
    struct net_peer *peer = net_peer_join(net->loops, all, 0);
    net_peer_expect_hello(peer);
    for (uint64_t stream_id = 1; stream_id <= BURST; stream_id++)
        net_peer_expect_ack(peer, stream_id);
    /* The loop counts after send() has returned: the answers may be here before. */
    cr_assert(test_net_reaches(net, LOOP_SENDS, 1));
    cr_assert(eq(u64, count(net, LOOP_NOTIFIES), BURST));
    cr_assert(eq(u64, count(net, LOOP_RECEIVES), 1));
    cr_assert(eq(u64, count(net, LOOP_SENDS), 1));
    net_peer_free(peer);
    test_net_free(net);
}

Test(loop, frames_that_come_byte_by_byte_are_frames)
{
    struct test_net *net = start(1);
    uint8_t bytes[512];
    struct writer stream = writer_of(bytes, sizeof(bytes));
    net_write_hello(&stream);
    net_write_notify(&stream, SLICE("echo"), 77);
    net_write_notify(&stream, SLICE("big"), 78);
    struct net_peer *peer = net_peer_join(net->loops, SLICE(""), 0);
    for (struct slice rest = writer_written(&stream); rest.size > 0; rest = slice_skip(rest, 1)) {
        uint64_t received = count(net, LOOP_BYTES_IN);
        net_peer_send(peer, slice_head(rest, 1));
        cr_assert(test_net_reaches(net, LOOP_BYTES_IN, received + 1));
    }
    net_peer_expect_hello(peer);
    net_peer_expect_ack(peer, 77);
    net_peer_expect_ack(peer, 78);
    net_peer_free(peer);
    test_net_free(net);
}

/* The peer sends much before it reads: what cannot be sent is kept, nothing more is read from the
 * peer, and once it reads every byte is right and in order. */
Test(loop, short_sends_lose_nothing_and_hold_the_peer_back)
{
    enum { NOTIFIES = 20000, SMALLEST_BUFFER = 1 };
    struct test_net *net = start(1);
    struct net_peer *peer = net_peer_join(net->loops, SLICE(""), SMALLEST_BUFFER);
    uint8_t bytes[64];
    uint64_t sent = 0;
    struct writer hello = writer_of(bytes, sizeof(bytes));
    uint8_t hello_bytes[256];
    hello = writer_of(hello_bytes, sizeof(hello_bytes));
    net_write_hello(&hello);
    net_peer_send(peer, writer_written(&hello));
    net_peer_expect_hello(peer);

    /* Until the agent takes no more: then it waits for us, and we do for it. */
    int64_t idle_rounds = 0;
    while (sent < NOTIFIES && idle_rounds < 3) {
        struct writer notify = writer_of(bytes, sizeof(bytes));
        net_write_notify(&notify, SLICE("big"), sent);
        ssize_t size = (ssize_t)writer_used(&notify);
        if (send(peer->fd, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) == size) {
            sent++;
            idle_rounds = 0;
        } else {
            uint64_t received = count(net, LOOP_BYTES_IN);
            cr_assert(test_net_reaches(net, LOOP_SHORT_SENDS, 1));
            idle_rounds += count(net, LOOP_BYTES_IN) == received ? 1 : 0;
        }
    }
    cr_assert(lt(u64, count(net, LOOP_NOTIFIES), NOTIFIES), "the agent took everything");
    uint64_t expected = 0;
    for (; sent < NOTIFIES; sent++) {
        while (expected < sent - 100)
            net_peer_expect_ack(peer, expected++);
        net_peer_notify(peer, SLICE("big"), sent);
    }
    while (expected < NOTIFIES)
        net_peer_expect_ack(peer, expected++);
    cr_assert(eq(u64, count(net, LOOP_NOTIFIES), NOTIFIES));
    cr_assert(lt(u64, 10, count(net, LOOP_SHORT_SENDS)));
    net_peer_free(peer);
    test_net_free(net);
}

Test(loop, connections_are_dealt_out_evenly)
{
    enum { PEERS = 40 };
    struct test_net *net = start(4);
    struct net_peer *peers[PEERS];
    for (size_t i = 0; i < PEERS; i++)
        peers[i] = net_peer_greeted(net->loops);
    for (unsigned i = 0; i < 4; i++)
        cr_assert(eq(u64, loop_counter(loops_at(net->loops, i), LOOP_CONNECTIONS_OPEN), 10));
    /* What closes makes room for what comes. */
    for (size_t i = 0; i < PEERS; i += 4)
        net_peer_free(peers[i]);
    cr_assert(test_net_becomes(net, LOOP_CONNECTIONS_OPEN, PEERS - 10));
    for (size_t i = 0; i < PEERS; i += 4)
        peers[i] = net_peer_greeted(net->loops);
    for (unsigned i = 0; i < 4; i++)
        cr_assert(eq(u64, loop_counter(loops_at(net->loops, i), LOOP_CONNECTIONS_OPEN), 10));
    for (size_t i = 0; i < PEERS; i++)
        net_peer_free(peers[i]);
    test_net_free(net);
}

static void publish(struct test_net *net, uint64_t number, bool answer_held)
{
    struct test_value *value = test_value_new(number);
    value->held = answer_held ? ANSWER_LAST_FIRST : HOLD;
    loop_publish(loops_at(net->loops, 0), value);
}

Test(loop, a_value_is_there_before_the_connection_that_was_added_after_it)
{
    for (int round = 0; round < 200; round++) {
        struct test_net *net = start(1);
        uint8_t bytes[512];
        struct writer first = writer_of(bytes, sizeof(bytes));
        net_write_hello(&first);
        net_write_notify(&first, SLICE("echo"), 5);
        publish(net, 1, false);
        struct net_peer *peer = net_peer_join(net->loops, writer_written(&first), 0);
        net_peer_expect_hello(peer);
        net_peer_expect_ack(peer, 5);
        cr_assert(eq(u64, atomic_load(&net->apps[0].stale), 0));
        net_peer_free(peer);
        test_net_free(net);
    }
}

Test(loop, values_are_released_once_delivered_or_not)
{
    struct test_net *net = start(1);
    for (uint64_t number = 1; number <= 1000; number++)
        publish(net, number, false);
    loops_stop(net->loops);
    loops_join(net->loops);
    publish(net, 1001, false);
    publish(net, 1002, false);
    test_net_free(net);
    cr_assert(eq(u64, atomic_load(&test_values_made), 1002));
    cr_assert(eq(u64, atomic_load(&test_values_freed), 1002));
}

Test(loop, held_answers_leave_in_any_order_and_in_one_send)
{
    enum { HELD = 10 };
    struct test_net *net = start(1);
    struct net_peer *peer = net_peer_greeted(net->loops);
    for (uint64_t stream_id = 100; stream_id < 100 + HELD; stream_id++)
        net_peer_notify(peer, SLICE("hold"), stream_id);
    net_peer_notify(peer, SLICE("echo"), 7);
    net_peer_expect_ack(peer, 7); /* held ones hold nobody up */
    uint64_t sends = count(net, LOOP_SENDS);
    publish(net, 1, true);
    for (uint64_t stream_id = 100 + HELD; stream_id-- > 100;)
        net_peer_expect_ack(peer, stream_id);
    cr_assert(eq(u64, count(net, LOOP_HELD), HELD));
    cr_assert(test_net_reaches(net, LOOP_SENDS, sends + 1));
    cr_assert(eq(u64, count(net, LOOP_SENDS), sends + 1));
    net_peer_notify(peer, SLICE("echo"), 8);
    net_peer_expect_ack(peer, 8);
    net_peer_free(peer);
    test_net_free(net);
}

Test(loop, an_answer_to_a_connection_that_is_gone_goes_nowhere)
{
    struct test_net *net = start(1);
    struct net_peer *peer = net_peer_greeted(net->loops);
    net_peer_notify(peer, SLICE("hold"), 1);
    cr_assert(test_net_reaches(net, LOOP_NOTIFIES, 1));
    net_peer_free(peer);
    cr_assert(test_net_becomes(net, LOOP_CONNECTIONS_OPEN, 0));
    /* Another one in its place is not it, although something is held there too. */
    struct net_peer *other = net_peer_greeted(net->loops);
    net_peer_notify(other, SLICE("hold"), 2);
    cr_assert(test_net_reaches(net, LOOP_NOTIFIES, 2));
    struct test_value *value = test_value_new(1);
    value->held = ANSWER_FIRST_FIRST;
    loop_publish(loops_at(net->loops, 0), value);
    net_peer_expect_ack(other, 2);
    cr_assert(eq(u64, atomic_load(&net->apps[0].too_late), 1));
    cr_assert(eq(u64, atomic_load(&net->apps[0].answered), 1));
    net_peer_free(other);
    test_net_free(net);
}

Test(loop, held_answers_wait_behind_a_peer_that_does_not_read)
{
    enum { ECHOES = 400 };
    struct test_net *net = start(1);
    uint8_t bytes[32 * 1024];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    net_write_hello(&burst);
    net_write_notify(&burst, SLICE("hold"), 1);
    for (uint64_t stream_id = 0; stream_id < ECHOES; stream_id++)
        net_write_notify(&burst, SLICE("big"), stream_id);
    cr_assert_not(burst.failed);
    struct net_peer *peer = net_peer_join(net->loops, writer_written(&burst), 1);
    cr_assert(test_net_reaches(net, LOOP_SHORT_SENDS, 1));
    publish(net, 1, true);
    cr_assert(test_reaches(&net->apps[0].answered, 1));
    net_peer_expect_hello(peer);
    unsigned held = 0;
    for (uint64_t stream_id = 0; stream_id < ECHOES;) {
        struct spop_frame frame;
        cr_assert(net_peer_frame(peer, &frame));
        cr_assert(eq(u8, frame.type, SPOP_FRAME_ACK));
        if (frame.payload.size == 1) {
            cr_assert(eq(u64, frame.stream_id, 1));
            held++;
        } else {
            cr_assert(eq(u64, frame.stream_id, stream_id));
            stream_id++;
        }
    }
    cr_assert(eq(uint, held, 1));
    net_peer_free(peer);
    test_net_free(net);
}

/* Too much at once for the socket, although nothing was unsent before. */
Test(loop, many_held_answers_are_sent_as_the_peer_reads)
{
    enum { FIRST = 192, LAST = FIRST + TEST_HELD_MAX - 1 };
    struct test_net *net = start(1);
    uint8_t bytes[4096];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    net_write_hello(&burst);
    for (uint64_t stream_id = FIRST; stream_id <= LAST; stream_id++)
        net_write_notify(&burst, SLICE("hold"), stream_id);
    cr_assert_not(burst.failed);
    struct net_peer *peer = net_peer_join(net->loops, writer_written(&burst), 1);
    net_peer_expect_hello(peer);
    publish(net, 1, true);
    cr_assert(test_net_reaches(net, LOOP_SHORT_SENDS, 1));
    for (uint64_t stream_id = LAST; stream_id >= FIRST; stream_id--)
        net_peer_expect_ack(peer, stream_id);
    net_peer_notify(peer, SLICE("echo"), 7);
    net_peer_expect_ack(peer, 7);
    net_peer_free(peer);
    test_net_free(net);
}

Test(loop, the_applications_timer_runs_out_once)
{
    struct test_net *net = start(1);
    struct test_value *value = test_value_new(1);
    value->timer_ms = 1;
    loop_publish(loops_at(net->loops, 0), value);
    cr_assert(test_reaches(&net->apps[0].timers, 1));
    /* A later request replaces an earlier one. */
    for (uint64_t number = 2; number <= 3; number++) {
        value = test_value_new(number);
        value->timer_ms = number == 2 ? 60000 : 1;
        loop_publish(loops_at(net->loops, 0), value);
        cr_assert(test_net_reaches(net, LOOP_VALUES, number));
    }
    cr_assert(test_reaches(&net->apps[0].timers, 2));
    cr_assert(eq(u64, atomic_load(&net->apps[0].timers), 2));
    test_net_free(net);
}

static void on_stopped(void *stopped)
{
    atomic_fetch_add((_Atomic uint64_t *)stopped, 1);
}

Test(loop, a_drain_answers_what_came_and_takes_its_leave)
{
    _Atomic uint64_t stopped = 0;
    const struct loops_settings settings = {
        .loop_count = 2, .on_stopped = on_stopped, .stopped_context = &stopped};
    struct test_net *net = test_net_start(&settings);
    struct net_peer *idle = net_peer_greeted(net->loops);
    struct net_peer *held = net_peer_greeted(net->loops);
    net_peer_notify(held, SLICE("hold"), 3);
    cr_assert(test_net_reaches(net, LOOP_NOTIFIES, 1));
    loops_drain(net->loops, 60000);

    net_peer_expect_disconnect(idle, SPOP_STATUS_NORMAL);
    net_peer_expect_end(idle);
    net_peer_free(idle);
    /* One that waits for an answer gets it, and may still ask. */
    net_peer_notify(held, SLICE("echo"), 4);
    net_peer_expect_ack(held, 4);
    for (unsigned i = 0; i < 2; i++) {
        struct test_value *value = test_value_new(1);
        value->held = ANSWER_LAST_FIRST;
        loop_publish(loops_at(net->loops, i), value);
    }
    net_peer_expect_ack(held, 3);
    net_peer_expect_disconnect(held, SPOP_STATUS_NORMAL);
    net_peer_expect_end(held);
    net_peer_free(held);
    loops_join(net->loops);
    cr_assert(eq(u64, count(net, LOOP_CLOSED_DRAINED), 2));
    cr_assert(eq(u64, count(net, LOOP_CONNECTIONS_OPEN), 0));
    cr_assert(eq(u64, atomic_load(&stopped), 1));
    test_net_free(net);
}

Test(loop, what_arrived_before_a_drain_is_answered)
{
    for (int round = 0; round < 50; round++) {
        struct test_net *net = start(1);
        struct net_peer *peer = net_peer_greeted(net->loops);
        net_peer_notify(peer, SLICE("echo"), 9);
        loops_drain(net->loops, 60000);
        net_peer_expect_ack(peer, 9);
        net_peer_expect_disconnect(peer, SPOP_STATUS_NORMAL);
        net_peer_expect_end(peer);
        net_peer_free(peer);
        loops_join(net->loops);
        test_net_free(net);
    }
}

/* A burst of `count`, all of which has arrived when the drain begins. */
static void expect_whole(struct slice burst, uint64_t count)
{
    const struct loops_settings settings = {.loop_count = 1};
    struct test_net *net = test_net_new(&settings);
    struct net_peer *peer = net_peer_join(net->loops, burst, 0);
    loops_drain(net->loops, 60000);
    test_net_run(net);
    net_peer_expect_hello(peer);
    for (uint64_t stream_id = 0; stream_id < count; stream_id++)
        net_peer_expect_ack(peer, stream_id);
    net_peer_expect_disconnect(peer, SPOP_STATUS_NORMAL);
    net_peer_expect_end(peer);
    net_peer_free(peer);
    loops_join(net->loops);
    test_net_free(net);
}

/* More answers than the send buffer holds, and more than the peer's socket does. */
Test(loop, a_burst_that_meets_a_drain_is_answered_whole)
{
    enum { BURST = 1500 };
    static uint8_t bytes[32 * 1024];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    expect_whole(net_write_burst(&burst, SLICE("big"), 0, BURST), BURST);
}

/* More than is received at once. */
Test(loop, all_that_arrived_before_a_drain_is_answered)
{
    enum { NOTIFIES = 4000 };
    static uint8_t bytes[128 * 1024];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    struct slice all = net_write_burst(&burst, SLICE("echo"), 0, NOTIFIES);
    cr_assert(lt(sz, 64 * 1024, all.size));
    expect_whole(all, NOTIFIES);
}

/* The rest of a frame and the drain are found in the same turn, while an answer is owed. */
Test(loop, a_frame_that_a_drain_completes_is_taken_once)
{
    enum { HEAD = 6 };
    struct test_net *net = start(1);
    struct net_peer *peer = net_peer_greeted(net->loops);
    struct net_peer *other = net_peer_greeted(net->loops);
    uint8_t bytes[128];
    struct writer notify = writer_of(bytes, sizeof(bytes));
    net_peer_notify(peer, SLICE("hold"), 3);
    cr_assert(test_net_reaches(net, LOOP_NOTIFIES, 1));
    uint64_t received = count(net, LOOP_BYTES_IN);
    net_write_notify(&notify, SLICE("echo"), 4);
    net_peer_send(peer, slice_head(writer_written(&notify), HEAD));
    cr_assert(test_net_reaches(net, LOOP_BYTES_IN, received + HEAD));
    net_peer_notify(other, SLICE("wait"), 5);
    cr_assert(test_reaches(&net->apps[0].waiting, 1));

    net_peer_send(peer, slice_skip(writer_written(&notify), HEAD));
    loops_drain(net->loops, 60000);
    atomic_store(&net->apps[0].waiting, 0);
    net_peer_expect_ack(peer, 4);
    net_peer_notify(peer, SLICE("echo"), 6);
    net_peer_expect_ack(peer, 6);
    publish(net, 1, true);
    net_peer_expect_ack(peer, 3);
    net_peer_expect_disconnect(peer, SPOP_STATUS_NORMAL);
    net_peer_free(peer);
    net_peer_free(other);
    loops_join(net->loops);
    cr_assert(eq(u64, count(net, LOOP_CLOSED_PROTOCOL), 0));
    test_net_free(net);
}

/* Nothing else is owed to whoever is sending it. */
Test(loop, a_frame_that_has_begun_when_a_drain_does_is_answered)
{
    enum { HEAD = 6 };
    struct test_net *net = start(1);
    struct net_peer *peer = net_peer_greeted(net->loops);
    struct net_peer *idle = net_peer_greeted(net->loops);
    uint8_t bytes[128];
    struct writer notify = writer_of(bytes, sizeof(bytes));
    uint64_t received = count(net, LOOP_BYTES_IN);
    net_write_notify(&notify, SLICE("echo"), 4);
    net_peer_send(peer, slice_head(writer_written(&notify), HEAD));
    cr_assert(test_net_reaches(net, LOOP_BYTES_IN, received + HEAD));
    loops_drain(net->loops, 60000);
    net_peer_expect_disconnect(idle, SPOP_STATUS_NORMAL);
    net_peer_send(peer, slice_skip(writer_written(&notify), HEAD));
    net_peer_expect_ack(peer, 4);
    net_peer_expect_disconnect(peer, SPOP_STATUS_NORMAL);
    net_peer_free(peer);
    net_peer_free(idle);
    loops_join(net->loops);
    cr_assert(eq(u64, count(net, LOOP_CLOSED_DRAINED), 2));
    test_net_free(net);
}

Test(loop, a_drain_ends_at_its_deadline)
{
    struct test_net *net = start(1);
    struct net_peer *peer = net_peer_greeted(net->loops);
    net_peer_notify(peer, SLICE("hold"), 3);
    cr_assert(test_net_reaches(net, LOOP_NOTIFIES, 1));
    loops_drain(net->loops, 20);
    net_peer_expect_end(peer);
    loops_join(net->loops);
    cr_assert(eq(u64, count(net, LOOP_CLOSED_STOPPED), 1));
    net_peer_free(peer);
    test_net_free(net);
}

Test(loop, one_that_comes_during_a_drain_is_let_go)
{
    struct test_net *net = start(1);
    struct net_peer *held = net_peer_greeted(net->loops);
    net_peer_notify(held, SLICE("hold"), 3);
    cr_assert(test_net_reaches(net, LOOP_NOTIFIES, 1));
    loops_drain(net->loops, 60000);
    struct net_peer *late = net_peer_join(net->loops, SLICE(""), 0);
    net_peer_expect_end(late);
    net_peer_free(late);
    loops_stop(net->loops);
    loops_join(net->loops);
    net_peer_free(held);
    test_net_free(net);
}

Test(loop, loops_without_connections_drain_at_once)
{
    struct test_net *net = start(3);
    int64_t began_ms = clock_mono_ms();
    loops_drain(net->loops, 60000);
    loops_join(net->loops);
    cr_assert(lt(i64, clock_mono_ms() - began_ms, 30000));
    test_net_free(net);
}

Test(loop, loops_that_never_ran_can_be_freed)
{
    const struct loops_settings settings = {.loop_count = 2};
    const struct loop_handler handler = {0};
    struct error_text text;
    struct loops *loops = loops_new(&settings, &handler, &text);
    int fds[2];
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0));
    loops_add(loops, fds[0]);
    struct net_peer *peer = net_peer_new(fds[1]);
    loops_free(loops);
    net_peer_expect_end(peer);
    net_peer_free(peer);
}

static size_t most_together;

static void on_input(void *context, const struct slice *received, size_t count)
{
    (void)context;
    for (size_t i = 0; i < count; i++)
        cr_assert(lt(sz, 0, received[i].size));
    if (count > most_together)
        most_together = count;
}

/* They have been given out before the loop runs, so that its first look finds all of them ready. */
Test(loop, all_that_are_ready_are_received_from_before_one_is_answered)
{
    enum { PEERS = 8 };
    const struct loops_settings settings = {.loop_count = 1};
    const struct loop_handler handler = {.on_input = on_input};
    struct error_text text;
    struct loops *loops = loops_new(&settings, &handler, &text);
    struct net_peer *peers[PEERS];
    uint8_t bytes[256];
    struct writer hello = writer_of(bytes, sizeof(bytes));
    net_write_hello(&hello);
    for (size_t i = 0; i < PEERS; i++)
        peers[i] = net_peer_join(loops, writer_written(&hello), 0);
    cr_assert(eq(int, loops_start(loops, &text), ERROR_OK));
    for (size_t i = 0; i < PEERS; i++)
        net_peer_expect_hello(peers[i]);
    loops_stop(loops);
    loops_join(loops);
    cr_assert(eq(sz, most_together, PEERS));
    for (size_t i = 0; i < PEERS; i++)
        net_peer_free(peers[i]);
    loops_free(loops);
}

/* The ids of the NOTIFYs that on_input() was told of, by where their messages lie. */
static struct {
    const char *start;
    uint64_t ids[64 * 1024];
} told;
static _Atomic uint64_t untold;

static void note_input(void *context, const struct slice *received, size_t count)
{
    struct reader reader = reader_of(received[0]);
    struct spop_frame frame;
    (void)context;
    cr_assert(eq(sz, count, 1));
    told.start = received[0].data;
    memset(told.ids, 0, sizeof(told.ids));
    while (spop_frame_parse(reader_bytes(&reader, reader_u32(&reader)), &frame))
        told.ids[frame.payload.data - told.start] = frame.stream_id;
}

static enum spop_answer answer_at_length(void *context, const struct spop_notify *notify,
                                         struct writer *actions)
{
    static const char BYTES[400] = "";
    size_t place = (size_t)(notify->messages.data - told.start);
    (void)context;
    if (place >= COUNT_OF(told.ids) || told.ids[place] != notify->stream_id)
        atomic_fetch_add(&untold, 1);
    writer_bytes(actions, slice_from(BYTES, sizeof(BYTES)));
    return SPOP_ANSWERED;
}

Test(loop, what_had_to_wait_for_the_peer_is_told_of_where_it_lies_then)
{
    enum { NOTIFIES = 3000 };
    const struct loops_settings settings = {.loop_count = 1};
    const struct loop_handler handler = {.on_input = note_input, .on_notify = answer_at_length};
    static uint8_t bytes[64 * NOTIFIES];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    struct error_text text;
    struct spop_frame frame;
    struct loops *loops = loops_new(&settings, &handler, &text);
    struct net_peer *peer =
        net_peer_join(loops, net_write_burst(&burst, SLICE("big"), 1, NOTIFIES), 0);
    cr_assert(eq(int, loops_start(loops, &text), ERROR_OK));
    while (loops_counter(loops, LOOP_SHORT_SENDS) == 0)
        usleep(1000);
    net_peer_expect_hello(peer);
    for (int i = 0; i < NOTIFIES; i++)
        cr_assert(net_peer_frame(peer, &frame));
    cr_expect(zero(u64, untold));
    loops_stop(loops);
    loops_join(loops);
    net_peer_free(peer);
    loops_free(loops);
}

Test(loop, every_counter_has_a_name)
{
    for (enum loop_counter i = 0; i < LOOP_COUNTER__MAX; i++) {
        cr_assert(lt(sz, 0, strlen(loop_counter_name(i))));
        cr_assert(lt(sz, 0, strlen(loop_counter_help(i))));
    }
}
