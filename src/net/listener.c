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
    _Atomic uint64_t accepted;
    _Atomic uint64_t pauses;
    int64_t paused_mono_ms;
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

/* Refusing would be worse than waiting: HAProxy answers a refusal with more connections. */
static void pause_accepting(struct listener *listener, const char *reason, const char *hint)
{
    atomic_fetch_add_explicit(&listener->pauses, 1, memory_order_relaxed);
    listener->paused_mono_ms = clock_mono_ms();
    set_watches(listener, 0);
    main_timer_once(listener->pause, PAUSE_MS);
    log_event(LOG_WARNING, "accept_paused", LOG_TEXT("reason", reason), LOG_TEXT("hint", hint));
}

/* What became of a connection while it waited, or a signal: accept(2). */
static bool is_gone(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case ENONET:
    case EOPNOTSUPP: return true;
    default: return false;
    }
}

static void on_connect(void *context)
{
    struct accepting *accepting = context;
    struct listener *listener = accepting->listener;

    for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
        int fd = accept4(accepting->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            atomic_fetch_add_explicit(&listener->accepted, 1, memory_order_relaxed);
            loops_add(listener->loops, fd);
            continue;
        }
        switch (errno) {
        case EMFILE:
        case ENFILE:
            pause_accepting(listener, "no descriptor left", "raise LimitNOFILE= of the service");
            return;
        case ENOBUFS:
        case ENOMEM: pause_accepting(listener, "out of memory", NULL); return;
        case EAGAIN: return;
        default:
            /* Only of a connection that is gone it is known that the next one need not fail. */
            if (is_gone(errno))
                break;
            pause_accepting(listener, strerror(errno), NULL);
            return;
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

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    for (size_t i = 0; i < listener->sockets.count; i++)
        main_watch_free(listener->accepting[i].watch);
    main_timer_free(listener->pause);
    listen_sockets_close(&listener->sockets);
    free(listener);
}

uint64_t listener_accepted(const struct listener *listener)
{
    return atomic_load_explicit(&listener->accepted, memory_order_relaxed);
}

uint64_t listener_pauses(const struct listener *listener)
{
    return atomic_load_explicit(&listener->pauses, memory_order_relaxed);
}

int64_t listener_paused_mono_ms(const struct listener *listener)
{
    return listener->paused_mono_ms;
}
