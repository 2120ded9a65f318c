/* Accepting in a thread of its own: see net/acceptor.h. */
#include "net/acceptor.h"

#include "core/memory.h"
#include "core/thread.h"
#include "net/listener.h"
#include "net/main_loop.h"

#include <stdlib.h>

struct acceptor {
    struct main_loop *loop; /* the thread's */
    struct main_waker *stop;
    struct listener *const *listeners;
    size_t count;
    pthread_t thread;
};

static void *run(void *context)
{
    struct acceptor *acceptor = context;
    main_loop_run(acceptor->loop);
    return NULL;
}

static void on_stop(void *context)
{
    struct acceptor *acceptor = context;
    main_loop_stop(acceptor->loop);
}

static void acceptor_free(struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->count; i++)
        listener_stop(acceptor->listeners[i]);
    main_waker_free(acceptor->stop);
    main_loop_free(acceptor->loop);
    free(acceptor);
}

struct acceptor *acceptor_start(struct listener *const *listeners, size_t count,
                                struct loops *loops, struct error_text *why)
{
    struct main_loop *loop = main_loop_new(why);
    if (loop == NULL)
        return NULL;
    struct acceptor *acceptor = memory_new(sizeof(*acceptor));
    *acceptor = (struct acceptor){.loop = loop, .listeners = listeners, .count = count};
    acceptor->stop = main_waker_new(loop, on_stop, acceptor);
    for (size_t i = 0; i < count; i++)
        listener_start(listeners[i], loop, loops);
    if (thread_start(&acceptor->thread, "accept", run, acceptor, why) == ERROR_OK)
        return acceptor;
    acceptor_free(acceptor);
    return NULL;
}

void acceptor_stop(struct acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    main_waker_wake(acceptor->stop);
    pthread_join(acceptor->thread, NULL);
    acceptor_free(acceptor);
}
