/* Keys made in a thread: see key_maker.h.
 *
 * The order of the two ends is not known: whoever is the last to let go of the workbench frees it.
 */
#include "key_maker.h"

#include "core/memory.h"
#include "core/thread.h"

#include <stdlib.h>

/* What both threads know. */
struct workbench {
    pthread_mutex_t lock; /* over what follows, never held while a key is made */
    enum crypto_key_type type;
    struct main_waker *waker; /* NULL: nobody waits any more */
    bool done;
    struct crypto_key *key; /* NULL when none could be made */
    struct error_text why;
};

struct key_maker {
    struct workbench *bench;
    struct main_waker *waker;
    key_made_fn *on_made;
    void *context;
};

static void free_bench(struct workbench *bench)
{
    crypto_key_free(bench->key);
    pthread_mutex_destroy(&bench->lock);
    free(bench);
}

static void *make_key(void *context)
{
    struct workbench *bench = context;
    struct error_text why = {0};
    struct crypto_key *key = crypto_key_new(bench->type, &why);
    pthread_mutex_lock(&bench->lock);
    bench->key = key;
    bench->why = why;
    bench->done = true;
    bool abandoned = bench->waker == NULL;
    if (!abandoned)
        main_waker_wake(bench->waker);
    pthread_mutex_unlock(&bench->lock);
    if (abandoned)
        free_bench(bench);
    return NULL;
}

static void on_wake(void *context)
{
    struct key_maker *maker = context;
    struct workbench *bench = maker->bench;
    struct error_text why;
    pthread_mutex_lock(&bench->lock);
    struct crypto_key *key = bench->key;
    why = bench->why;
    bench->key = NULL;
    pthread_mutex_unlock(&bench->lock);
    maker->on_made(maker->context, key, key == NULL ? why.text : NULL);
}

struct key_maker *key_maker_new(struct main_loop *loop, enum crypto_key_type type,
                                key_made_fn *on_made, void *context, struct error_text *why)
{
    pthread_t thread;
    struct key_maker *maker = memory_new(sizeof(*maker));
    struct workbench *bench = memory_new(sizeof(*bench));
    pthread_mutex_init(&bench->lock, NULL);
    bench->type = type;
    *maker = (struct key_maker){.bench = bench, .on_made = on_made, .context = context};
    maker->waker = bench->waker = main_waker_new(loop, on_wake, maker);
    if (thread_start(&thread, "key", make_key, bench, why) == ERROR_OK) {
        pthread_detach(thread);
        return maker;
    }
    main_waker_free(maker->waker);
    free_bench(bench);
    free(maker);
    return NULL;
}

void key_maker_free(struct key_maker *maker)
{
    if (maker == NULL)
        return;
    struct workbench *bench = maker->bench;
    pthread_mutex_lock(&bench->lock);
    bench->waker = NULL;
    bool done = bench->done;
    pthread_mutex_unlock(&bench->lock);
    main_waker_free(maker->waker);
    if (done)
        free_bench(bench);
    free(maker);
}
