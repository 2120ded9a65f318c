/* net: the main loop's signals, timers, descriptors and wakes. */
#include "net/main_loop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct probe {
    struct main_loop *loop;
    struct main_signal *signal;
    struct main_timer *timer;
    struct main_watch *watch;
    struct main_waker *waker;
    int fds[2];
    int calls;
};

static struct probe probe_new(void)
{
    struct error_text text;
    return (struct probe){.loop = main_loop_new(&text)};
}

static void free_own_signal(void *context)
{
    struct probe *probe = context;
    probe->calls++;
    main_signal_free(probe->signal);
    main_loop_stop(probe->loop);
}

Test(main_loop, a_signal_is_told)
{
    struct probe probe = probe_new();
    probe.signal = main_signal_new(probe.loop, SIGUSR1, free_own_signal, &probe);
    raise(SIGUSR1);
    main_loop_run(probe.loop);
    cr_assert(eq(int, probe.calls, 1));
    main_loop_free(probe.loop);
}

static void third_time(void *context)
{
    struct probe *probe = context;
    if (++probe->calls < 3)
        return;
    main_timer_free(probe->timer);
    main_loop_stop(probe->loop);
}

Test(main_loop, a_timer_repeats_until_it_is_freed)
{
    struct probe probe = probe_new();
    probe.timer = main_timer_new(probe.loop, third_time, &probe);
    main_timer_once(probe.timer, 60000);
    main_timer_every(probe.timer, 1);
    main_loop_run(probe.loop);
    cr_assert(eq(int, probe.calls, 3));
    main_loop_free(probe.loop);
}

static void stop(void *context)
{
    struct probe *probe = context;
    main_loop_stop(probe->loop);
}

static void count_call(void *context)
{
    struct probe *probe = context;
    probe->calls++;
}

Test(main_loop, a_timer_that_was_stopped_is_silent)
{
    struct probe probe = probe_new();
    struct main_timer *silent = main_timer_new(probe.loop, count_call, &probe);
    struct main_timer *last = main_timer_new(probe.loop, stop, &probe);
    main_timer_once(silent, 1);
    main_timer_stop(silent);
    main_timer_once(last, 20);
    main_loop_run(probe.loop);
    cr_assert(eq(int, probe.calls, 0));
    main_timer_free(silent);
    main_timer_free(last);
    main_loop_free(probe.loop);
}

static void read_byte(void *context)
{
    struct probe *probe = context;
    char byte;
    cr_assert(eq(int, (int)read(probe->fds[0], &byte, 1), 1));
    probe->calls++;
    main_watch_set(probe->watch, 0);
    cr_assert(eq(int, (int)write(probe->fds[1], "y", 1), 1));
    main_timer_once(probe->timer, 20);
}

Test(main_loop, a_watch_is_quiet_while_it_is_off)
{
    struct probe probe = probe_new();
    cr_assert(eq(int, pipe(probe.fds), 0));
    probe.timer = main_timer_new(probe.loop, stop, &probe);
    probe.watch = main_watch_new(probe.loop, probe.fds[0], MAIN_READ, read_byte, &probe);
    cr_assert(eq(int, (int)write(probe.fds[1], "x", 1), 1));
    main_loop_run(probe.loop);
    cr_assert(eq(int, probe.calls, 1));
    main_watch_free(probe.watch);
    main_timer_free(probe.timer);
    main_loop_free(probe.loop);
    close(probe.fds[0]);
    close(probe.fds[1]);
}

static void *wake_from_another_thread(void *waker)
{
    for (int i = 0; i < 1000; i++)
        main_waker_wake(waker);
    return NULL;
}

static void on_wake(void *context)
{
    struct probe *probe = context;
    probe->calls++;
    main_loop_stop(probe->loop);
}

static void note_timer(void *context)
{
    struct probe *probe = context;
    cr_expect(eq(int, probe->calls, 1));
    main_loop_stop(probe->loop);
}

static void note_input(void *context)
{
    struct probe *probe = context;
    probe->calls++;
    main_watch_set(probe->watch, 0);
}

/* Limits of time are timers: an answer that is there has kept them. */
Test(main_loop, what_has_come_is_looked_at_before_the_time_is_up)
{
    struct probe probe = probe_new();
    cr_assert(zero(int, pipe(probe.fds)));
    cr_assert(eq(sz, (size_t)write(probe.fds[1], "x", 1), 1));
    probe.watch = main_watch_new(probe.loop, probe.fds[0], MAIN_READ, note_input, &probe);
    probe.timer = main_timer_new(probe.loop, note_timer, &probe);
    main_timer_once(probe.timer, 1);
    usleep(20000);
    main_loop_run(probe.loop);
    main_timer_free(probe.timer);
    main_watch_free(probe.watch);
    close(probe.fds[0]);
    close(probe.fds[1]);
    main_loop_free(probe.loop);
}

Test(main_loop, another_thread_can_wake_it)
{
    struct probe probe = probe_new();
    pthread_t thread;
    probe.waker = main_waker_new(probe.loop, on_wake, &probe);
    cr_assert(eq(int, pthread_create(&thread, NULL, wake_from_another_thread, probe.waker), 0));
    main_loop_run(probe.loop);
    pthread_join(thread, NULL);
    cr_assert(ge(int, probe.calls, 1));
    main_waker_free(probe.waker);
    main_loop_free(probe.loop);
}
