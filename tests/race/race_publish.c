/* Values are published as fast as possible while every loop serves traffic: each value is released
 * exactly once, each loop ends with the last one, and no answer is lost. */
#include "net/loop.h"
#include "support/net_peer.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 4, PUBLICATIONS = 20000, PEERS = 8, DEPTH = 10, MESSAGES_AT_LEAST = 200 };

static atomic_bool is_published;
static _Atomic uint64_t acks;

/* Asks and checks until the last publication, and some more after it. */
static void *ask(void *argument)
{
    struct net_peer *peer = argument;
    uint64_t stream_id = 0;
    for (int rounds_left = MESSAGES_AT_LEAST / DEPTH; rounds_left > 0;) {
        for (uint64_t i = 0; i < DEPTH; i++)
            net_peer_notify(peer, SLICE("echo"), stream_id + i);
        for (uint64_t i = 0; i < DEPTH; i++)
            net_peer_expect_ack(peer, stream_id + i);
        stream_id += DEPTH;
        if (atomic_load(&is_published))
            rounds_left--;
    }
    atomic_fetch_add(&acks, stream_id);
    return NULL;
}

static void check(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "race_publish: %s\n", what);
    exit(1);
}

static void publish_all(struct test_net *net)
{
    for (uint64_t number = 1; number <= PUBLICATIONS; number++) {
        for (unsigned i = 0; i < LOOPS; i++)
            loop_publish(loops_at(net->loops, i), test_value_new(number));
        if (number % 4 == 0)
            sched_yield(); /* so that many are delivered, and many are not */
    }
    atomic_store(&is_published, true);
}

int main(void)
{
    const struct loops_settings settings = {.loop_count = LOOPS};
    struct test_net *net = test_net_start(&settings);
    struct net_peer *peers[PEERS];
    pthread_t threads[PEERS];

    for (size_t i = 0; i < PEERS; i++) {
        peers[i] = net_peer_greeted(net->loops);
        check(pthread_create(&threads[i], NULL, ask, peers[i]) == 0, "no thread");
    }
    publish_all(net);
    for (size_t i = 0; i < PEERS; i++) {
        pthread_join(threads[i], NULL);
        net_peer_free(peers[i]);
    }
    loops_drain(net->loops, 10000);
    loops_join(net->loops);
    for (unsigned i = 0; i < LOOPS; i++)
        check(net->apps[i].value_number == PUBLICATIONS, "a loop missed the last value");
    check(loops_counter(net->loops, LOOP_NOTIFIES) == atomic_load(&acks), "an answer is missing");
    uint64_t delivered = loops_counter(net->loops, LOOP_VALUES);
    test_net_free(net);
    check(atomic_load(&test_values_made) == (uint64_t)LOOPS * PUBLICATIONS, "values made");
    check(atomic_load(&test_values_freed) == (uint64_t)LOOPS * PUBLICATIONS, "values released");
    printf("%d publications to %d loops, %llu values delivered, %llu answers\n", PUBLICATIONS,
           LOOPS, (unsigned long long)delivered, (unsigned long long)atomic_load(&acks));
    return 0;
}
