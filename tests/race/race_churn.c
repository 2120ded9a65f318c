/* Connections come and go, some in the middle of a held request, while values tell the loops to
 * answer what is held, counters are read, and finally the loops are drained: nothing is counted
 * twice or forgotten. */
#include "net/loop.h"
#include "support/net_peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 4, CLIENTS = 4, ROUNDS = 250 };

static pthread_mutex_t add_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_over;

static void check(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "race_churn: %s\n", what);
    exit(1);
}

/* loops_add() is for one thread at a time. */
static struct net_peer *join(struct loops *loops)
{
    pthread_mutex_lock(&add_lock);
    struct net_peer *peer = net_peer_greeted(loops);
    pthread_mutex_unlock(&add_lock);
    return peer;
}

static void *come_and_go(void *argument)
{
    struct test_net *net = argument;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct net_peer *peer = join(net->loops);
        net_peer_notify(peer, SLICE("echo"), round);
        net_peer_expect_ack(peer, round);
        net_peer_notify(peer, SLICE("hold"), round + 1);
        if (round % 2 == 0)
            net_peer_expect_ack(peer, round + 1);
        net_peer_free(peer);
    }
    return NULL;
}

static void *publish_and_read(void *argument)
{
    struct test_net *net = argument;
    uint64_t most = 0;
    for (uint64_t number = 1; !atomic_load(&is_over); number++) {
        for (unsigned i = 0; i < LOOPS; i++) {
            struct test_value *value = test_value_new(number);
            value->held = ANSWER_LAST_FIRST;
            loop_publish(loops_at(net->loops, i), value);
        }
        uint64_t now = loops_counter(net->loops, LOOP_NOTIFIES);
        check(now >= most, "a counter fell");
        most = now;
    }
    return NULL;
}

int main(void)
{
    const struct loops_settings settings = {.loop_count = LOOPS};
    struct test_net *net = test_net_start(&settings);
    pthread_t clients[CLIENTS];
    pthread_t publisher;

    check(pthread_create(&publisher, NULL, publish_and_read, net) == 0, "no thread");
    for (size_t i = 0; i < CLIENTS; i++)
        check(pthread_create(&clients[i], NULL, come_and_go, net) == 0, "no thread");
    for (size_t i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    atomic_store(&is_over, true);
    pthread_join(publisher, NULL);
    check(test_net_becomes(net, LOOP_CONNECTIONS_OPEN, 0), "a connection is left");
    loops_drain(net->loops, 10000);
    loops_join(net->loops);
    check(loops_counter(net->loops, LOOP_CONNECTIONS_TAKEN) == CLIENTS * ROUNDS, "taken");
    check(loops_counter(net->loops, LOOP_NOTIFIES) >= CLIENTS * ROUNDS * 3 / 2, "notifies");
    test_net_free(net);
    check(atomic_load(&test_values_made) == atomic_load(&test_values_freed), "values released");
    printf("%d connections on %d loops\n", CLIENTS * ROUNDS, LOOPS);
    return 0;
}
