/* Accepting and handing out: see net/listener.h. */
#include "net/listener.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "net/listen_socket.h"
#include "net/loop.h"
#include "net/main_loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_WAKE = 256, /* then signals and timers get their turn */
    PAUSE_MS = 100,
    ROOM_MS = 10, /* in which loops that run have made room */
};

struct accepting {
    struct listener *listener;
    struct main_watch *watch;
    int fd;
};

struct listener {
    struct listen_sockets sockets;
    struct accepting accepting[LISTEN_SOCKETS_MAX];
    struct loops *loops;
    struct main_timer *pause;
    _Atomic int64_t paused_mono_ms;
    bool waits_for_room;
};

struct listener *listener_open(const struct listen_address *address,
                               const struct listen_options *options, struct error_text *text)
{
    struct listener *listener = memory_new(sizeof(*listener));
    if (listen_sockets_open(address, options, &listener->sockets, text) == ERROR_OK)
        return listener;
    free(listener);
    return NULL;
}

static void set_watches(struct listener *listener, int events)
{
    for (size_t i = 0; i < listener->sockets.count; i++)
        main_watch_set(listener->accepting[i].watch, events);
}

static void on_pause_over(void *context)
{
    set_watches(context, MAIN_READ);
}

static void pause_for(struct listener *listener, int64_t pause_ms)
{
    set_watches(listener, 0);
    main_timer_once(listener->pause, pause_ms);
}

/* Refusing would be worse than waiting: HAProxy answers a refusal with more connections. */
static void pause_accepting(struct listener *listener, int fd, int error)
{
    atomic_store_explicit(&listener->paused_mono_ms, clock_mono_ms(), memory_order_relaxed);
    pause_for(listener, PAUSE_MS);
    listen_stuck_log(fd, error);
}

/* Connections leave some descriptors to everything else. Loops have those give way that are idle,
 * and where none is, there are no descriptors left. */
static void wait_for_room(struct listener *listener, int fd)
{
    loops_wake(listener->loops);
    if (listener->waits_for_room)
        pause_accepting(listener, fd, EMFILE);
    else
        pause_for(listener, ROOM_MS);
    listener->waits_for_room = true;
}

static void on_connect(void *context)
{
    struct accepting *accepting = context;
    struct listener *listener = accepting->listener;

    for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
        if (loops_are_full(listener->loops)) {
            wait_for_room(listener, accepting->fd);
            return;
        }
        listener->waits_for_room = false;
        int fd = accept4(accepting->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            loops_add(listener->loops, fd);
            continue;
        }
        int error = errno;
        switch (listen_failure_of(accepting->fd, error)) {
        case LISTEN_LOST: break;
        case LISTEN_EMPTY: return;
        case LISTEN_STUCK: pause_accepting(listener, accepting->fd, error); return;
        }
    }
}

void listener_start(struct listener *listener, struct main_loop *main_loop, struct loops *loops)
{
    listener->loops = loops;
    listener->pause = main_timer_new(main_loop, on_pause_over, listener);
    for (size_t i = 0; i < listener->sockets.count; i++) {
        struct accepting *accepting = &listener->accepting[i];
        accepting->listener = listener;
        accepting->fd = listener->sockets.fds[i];
        accepting->watch =
            main_watch_new(main_loop, accepting->fd, MAIN_READ, on_connect, accepting);
    }
}

void listener_stop(struct listener *listener)
{
    for (size_t i = 0; i < listener->sockets.count; i++) {
        main_watch_free(listener->accepting[i].watch);
        listener->accepting[i].watch = NULL;
    }
    main_timer_free(listener->pause);
    listener->pause = NULL;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    listener_stop(listener);
    listen_sockets_close(&listener->sockets);
    free(listener);
}

int64_t listener_paused_mono_ms(const struct listener *listener)
{
    return atomic_load_explicit(&listener->paused_mono_ms, memory_order_relaxed);
}
