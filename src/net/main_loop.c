/* A thin cover over libev: see net/main_loop.h.
 *
 * Every handle is a watcher with a callback of ours in front of the application's. libev is done
 * with a watcher before it calls back, so that a callback may free any of them.
 */
#include "net/main_loop.h"

#include "core/memory.h"

#define EV_COMPAT3 0
#include <ev.h>
#include <stdlib.h>

struct main_loop {
    struct ev_loop *events;
};

struct main_signal {
    struct ev_signal watcher;
    struct ev_loop *events;
    main_callback_fn *call;
    void *context;
};

struct main_timer {
    struct ev_timer watcher;
    struct ev_loop *events;
    main_callback_fn *call;
    void *context;
};

struct main_watch {
    struct ev_io watcher;
    struct ev_loop *events;
    main_callback_fn *call;
    void *context;
};

struct main_waker {
    struct ev_async watcher;
    struct ev_loop *events;
    main_callback_fn *call;
    void *context;
};

struct main_loop *main_loop_new(struct error_text *text)
{
    struct ev_loop *events = ev_loop_new(EVFLAG_NOENV);
    if (events == NULL) {
        error_set_errno(text, "cannot make the main event loop");
        return NULL;
    }
    struct main_loop *loop = memory_new(sizeof(*loop));
    loop->events = events;
    return loop;
}

void main_loop_free(struct main_loop *loop)
{
    if (loop == NULL)
        return;
    ev_loop_destroy(loop->events);
    free(loop);
}

void main_loop_run(struct main_loop *loop)
{
    ev_run(loop->events, 0);
}

void main_loop_stop(struct main_loop *loop)
{
    ev_break(loop->events, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *events, struct ev_signal *watcher, int revents)
{
    struct main_signal *handle = CONTAINER_OF(watcher, struct main_signal, watcher);
    (void)events;
    (void)revents;
    handle->call(handle->context);
}

struct main_signal *main_signal_new(struct main_loop *loop, int signal_number,
                                    main_callback_fn *call, void *context)
{
    struct main_signal *handle = memory_new(sizeof(*handle));
    handle->events = loop->events;
    handle->call = call;
    handle->context = context;
    ev_signal_init(&handle->watcher, on_signal, signal_number);
    ev_signal_start(loop->events, &handle->watcher);
    return handle;
}

void main_signal_free(struct main_signal *handle)
{
    if (handle == NULL)
        return;
    ev_signal_stop(handle->events, &handle->watcher);
    free(handle);
}

static void on_timer(struct ev_loop *events, struct ev_timer *watcher, int revents)
{
    struct main_timer *timer = CONTAINER_OF(watcher, struct main_timer, watcher);
    (void)events;
    (void)revents;
    timer->call(timer->context);
}

struct main_timer *main_timer_new(struct main_loop *loop, main_callback_fn *call, void *context)
{
    struct main_timer *timer = memory_new(sizeof(*timer));
    timer->events = loop->events;
    timer->call = call;
    timer->context = context;
    ev_init(&timer->watcher, on_timer);
    /* After a while in which nothing was looked at: what has come in time is not late. */
    ev_set_priority(&timer->watcher, EV_MINPRI);
    return timer;
}

/* The delay counts from now, not from when the loop last looked at the clock: work that takes long
 * is done in this thread. */
static void timer_start(struct main_timer *timer, int64_t delay_ms, bool repeat)
{
    double delay_s = (double)delay_ms / 1000.0;
    ev_timer_stop(timer->events, &timer->watcher);
    ev_now_update(timer->events);
    ev_timer_set(&timer->watcher, delay_s, repeat ? delay_s : 0.0);
    ev_timer_start(timer->events, &timer->watcher);
}

void main_timer_once(struct main_timer *timer, int64_t delay_ms)
{
    timer_start(timer, delay_ms, false);
}

void main_timer_every(struct main_timer *timer, int64_t delay_ms)
{
    timer_start(timer, delay_ms, true);
}

void main_timer_stop(struct main_timer *timer)
{
    ev_timer_stop(timer->events, &timer->watcher);
}

void main_timer_free(struct main_timer *timer)
{
    if (timer == NULL)
        return;
    ev_timer_stop(timer->events, &timer->watcher);
    free(timer);
}

static void on_ready(struct ev_loop *events, struct ev_io *watcher, int revents)
{
    struct main_watch *watch = CONTAINER_OF(watcher, struct main_watch, watcher);
    (void)events;
    (void)revents;
    watch->call(watch->context);
}

struct main_watch *main_watch_new(struct main_loop *loop, int fd, int events,
                                  main_callback_fn *call, void *context)
{
    struct main_watch *watch = memory_new(sizeof(*watch));
    watch->events = loop->events;
    watch->call = call;
    watch->context = context;
    ev_io_init(&watch->watcher, on_ready, fd, 0);
    main_watch_set(watch, events);
    return watch;
}

void main_watch_set(struct main_watch *watch, int events)
{
    int wanted =
        ((events & MAIN_READ) != 0 ? EV_READ : 0) | ((events & MAIN_WRITE) != 0 ? EV_WRITE : 0);
    ev_io_stop(watch->events, &watch->watcher);
    if (wanted == 0)
        return;
    ev_io_set(&watch->watcher, watch->watcher.fd, wanted);
    ev_io_start(watch->events, &watch->watcher);
}

void main_watch_free(struct main_watch *watch)
{
    if (watch == NULL)
        return;
    ev_io_stop(watch->events, &watch->watcher);
    free(watch);
}

static void on_wake(struct ev_loop *events, struct ev_async *watcher, int revents)
{
    struct main_waker *waker = CONTAINER_OF(watcher, struct main_waker, watcher);
    (void)events;
    (void)revents;
    waker->call(waker->context);
}

struct main_waker *main_waker_new(struct main_loop *loop, main_callback_fn *call, void *context)
{
    struct main_waker *waker = memory_new(sizeof(*waker));
    waker->events = loop->events;
    waker->call = call;
    waker->context = context;
    ev_async_init(&waker->watcher, on_wake);
    ev_async_start(loop->events, &waker->watcher);
    return waker;
}

void main_waker_wake(struct main_waker *waker)
{
    ev_async_send(waker->events, &waker->watcher);
}

void main_waker_free(struct main_waker *waker)
{
    if (waker == NULL)
        return;
    ev_async_stop(waker->events, &waker->watcher);
    free(waker);
}
