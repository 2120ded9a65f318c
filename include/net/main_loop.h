/* The main thread's event loop: signals, timers, descriptors, and wakes from other threads.
 *
 * A thin cover over libev, so that nobody else has to include it. Everything but main_waker_wake()
 * belongs to the thread that runs the loop. Callbacks may free any handle, their own too.
 */
#pragma once

#include "core/error.h"

struct main_loop;
struct main_signal;
struct main_timer;
struct main_watch;
struct main_waker;

typedef void main_callback_fn(void *context);

/* NULL with the reason when the kernel refuses. */
MUST_CHECK struct main_loop *main_loop_new(struct error_text *text);
/* All handles of the loop must be freed before. NULL is fine, here and below. */
void main_loop_free(struct main_loop *loop);
/* Runs until main_loop_stop(). */
void main_loop_run(struct main_loop *loop);
void main_loop_stop(struct main_loop *loop);

/* One loop of the process may watch signals. */
struct main_signal *main_signal_new(struct main_loop *loop, int signal_number,
                                    main_callback_fn *on_signal, void *context);
void main_signal_free(struct main_signal *handle);

/* A timer that is not running yet. */
struct main_timer *main_timer_new(struct main_loop *loop, main_callback_fn *on_timer,
                                  void *context);
/* Fires once, or every `delay_ms`; replaces what was set before. */
void main_timer_once(struct main_timer *timer, int64_t delay_ms);
void main_timer_every(struct main_timer *timer, int64_t delay_ms);
void main_timer_stop(struct main_timer *timer);
void main_timer_free(struct main_timer *timer);

enum { MAIN_READ = 1, MAIN_WRITE = 2 };

/* Watches `fd`, which stays the caller's and must be open until the watch is freed. `events` is
 * MAIN_READ, MAIN_WRITE, both, or 0 for not now. */
struct main_watch *main_watch_new(struct main_loop *loop, int fd, int events,
                                  main_callback_fn *on_ready, void *context);
void main_watch_set(struct main_watch *watch, int events);
void main_watch_free(struct main_watch *watch);

/* Lets other threads have `on_wake` called in the loop's thread; wakes may be merged. */
struct main_waker *main_waker_new(struct main_loop *loop, main_callback_fn *on_wake, void *context);
void main_waker_wake(struct main_waker *waker); /* any thread, and signal handlers */
void main_waker_free(struct main_waker *waker);
