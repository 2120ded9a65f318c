/* Keys are made in threads of their own, and half of those who wanted one have gone when it is
 * made: no key is lost or freed twice, and nobody who has gone is told. */
#include "key_maker.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 400, AT_ONCE = 4 };

/* One that waits for a key, and how often the loop may turn before it goes. */
static struct waiter {
    struct key_maker *maker;
    int patience;
} waiters[AT_ONCE];

static struct main_loop *loop;
static struct main_timer *timer;
static unsigned begun, made, gone;

static void check(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "race_key_maker: %s\n", what);
    exit(1);
}

static void on_made(void *context, struct crypto_key *key, const char *reason)
{
    struct waiter *waiter = context;
    check(waiter->maker != NULL, "somebody who has gone was told");
    check(key != NULL, reason != NULL ? reason : "no key and no reason");
    crypto_key_free(key);
    key_maker_free(waiter->maker);
    waiter->maker = NULL;
    made++;
}

/* Every turn some begin to wait, and some lose patience. */
static void on_turn(void *context)
{
    (void)context;
    bool waiting = false;
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct waiter *waiter = &waiters[i];
        if (waiter->maker == NULL && begun < ROUNDS) {
            waiter->maker = key_maker_new(loop, CRYPTO_EC_P256, on_made, waiter, NULL);
            check(waiter->maker != NULL, "no thread");
            waiter->patience = (int)(begun++ % 4); /* 3: until it is made */
        } else if (waiter->maker != NULL && waiter->patience < 3 && waiter->patience-- == 0) {
            key_maker_free(waiter->maker);
            waiter->maker = NULL;
            gone++;
        }
        waiting = waiting || waiter->maker != NULL;
    }
    if (begun == ROUNDS && !waiting)
        main_loop_stop(loop);
    else
        main_timer_once(timer, begun % 3 == 0 ? 1 : 0);
}

int main(void)
{
    loop = main_loop_new(NULL);
    check(loop != NULL, "no loop");
    timer = main_timer_new(loop, on_turn, NULL);
    main_timer_once(timer, 0);
    main_loop_run(loop);
    check(made + gone == ROUNDS, "a key was lost");
    check(made > 0 && gone > 0, "everybody did the same");
    main_timer_free(timer);
    main_loop_free(loop);
    printf("%u keys, %u of them in vain\n", ROUNDS, gone);
    return 0;
}
