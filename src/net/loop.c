/* The loops: their threads, and what other threads may do to them. See net/loop.h.
 *
 * Another thread touches a loop in four places, all of them here: the mailbox (atomic exchange),
 * the inbox of descriptors (a lock held for one copy), the command (atomic), and ev_async_send(),
 * which is the only call of libev that is allowed across threads.
 */
#include "conn.h"

#include "core/log.h"
#include "core/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { AHEAD_MAX = 32 }; /* connections that are accepted while loops make room for them */

enum command { COMMAND_RUN, COMMAND_DRAIN, COMMAND_STOP };

/* Descriptors on their way to a loop. */
struct inbox {
    int *fds;
    size_t count;
    size_t capacity;
};

struct loop {
    struct loops *loops;
    struct ev_loop *events;
    struct ev_async wake;
    struct ev_timer drain_deadline;
    struct ev_timer application_timer;
    struct conn_set conns;
    pthread_t thread;
    unsigned index;

    _Atomic(void *) mailbox;
    _Atomic int command;
    _Atomic unsigned drain_ms;
    pthread_mutex_t inbox_lock;
    struct inbox inbox; /* under the lock */
    struct inbox taken; /* the loop's own: swapped with the inbox, so that neither is freed */
};

struct loops {
    struct loops_settings settings;
    struct loop_handler handler;
    unsigned started_count; /* threads to join */
    unsigned next_index;    /* where the search for the least loaded begins */
    _Atomic unsigned running_count;
    unsigned count;
    struct loop loops[];
};

static void take_inbox(struct loop *loop)
{
    pthread_mutex_lock(&loop->inbox_lock);
    struct inbox full = loop->inbox;
    loop->inbox = loop->taken;
    loop->inbox.count = 0;
    pthread_mutex_unlock(&loop->inbox_lock);
    loop->taken = full;
}

static void take_value(struct loop *loop)
{
    void *value = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acq_rel);
    if (value == NULL)
        return;
    conn_set_count(&loop->conns, LOOP_VALUES, 1);
    loop->loops->handler.on_value(loop->conns.context, value);
}

static void obey(struct loop *loop)
{
    int command = atomic_load_explicit(&loop->command, memory_order_acquire);
    if (command == COMMAND_STOP) {
        ev_break(loop->events, EVBREAK_ALL);
    } else if (command == COMMAND_DRAIN) {
        if (!loop->conns.is_leaving) {
            unsigned drain_ms = atomic_load_explicit(&loop->drain_ms, memory_order_relaxed);
            ev_timer_set(&loop->drain_deadline, drain_ms / 1000.0, 0.0);
            ev_timer_start(loop->events, &loop->drain_deadline);
        }
        /* Again for those who came late. */
        conn_set_leave(&loop->conns);
    }
}

/* The inbox is emptied before the mailbox, and its connections are opened after: so whatever was
 * published before a connection was handed out is there when that connection asks. */
static void on_wake(struct ev_loop *events, struct ev_async *wake, int revents)
{
    struct loop *loop = CONTAINER_OF(wake, struct loop, wake);
    (void)events;
    (void)revents;
    take_inbox(loop);
    take_value(loop);
    conn_set_make_room(&loop->conns, 0);
    for (size_t i = 0; i < loop->taken.count; i++)
        conn_open(&loop->conns, loop->taken.fds[i]);
    loop->taken.count = 0;
    obey(loop);
}

static void on_drain_deadline(struct ev_loop *events, struct ev_timer *timer, int revents)
{
    (void)timer;
    (void)revents;
    ev_break(events, EVBREAK_ALL);
}

static void on_application_timer(struct ev_loop *events, struct ev_timer *timer, int revents)
{
    struct loop *loop = CONTAINER_OF(timer, struct loop, application_timer);
    (void)events;
    (void)revents;
    if (loop->loops->handler.on_timer != NULL)
        loop->loops->handler.on_timer(loop->conns.context);
}

static void *loop_main(void *argument)
{
    struct loop *loop = argument;
    struct loops *loops = loop->loops;
    char name[16];

    snprintf(name, sizeof(name), "loop-%u", loop->index);
    pthread_setname_np(pthread_self(), name);
    patience_begin(&loop->conns.patience, ev_now(loop->events));
    ev_run(loop->events, 0);
    patience_end(&loop->conns.patience);
    conn_set_close_all(&loop->conns);
    if (atomic_fetch_sub(&loops->running_count, 1) == 1 && loops->settings.on_stopped != NULL)
        loops->settings.on_stopped(loops->settings.stopped_context);
    return NULL;
}

MUST_CHECK static bool loop_init(struct loop *loop, struct loops *loops, unsigned index,
                                 unsigned share)
{
    loop->loops = loops;
    loop->index = index;
    loop->events = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (loop->events == NULL)
        return false;
    pthread_mutex_init(&loop->inbox_lock, NULL);
    conn_set_init(&loop->conns, loop->events, index, &loops->handler, &loops->settings);
    loop->conns.connections_max = share;
    ev_init(&loop->drain_deadline, on_drain_deadline);
    ev_init(&loop->application_timer, on_application_timer);
    ev_async_init(&loop->wake, on_wake);
    ev_async_start(loop->events, &loop->wake);
    return true;
}

static void inbox_fini(struct inbox *inbox)
{
    for (size_t i = 0; i < inbox->count; i++)
        close(inbox->fds[i]);
    free(inbox->fds);
}

static void loop_fini(struct loop *loop)
{
    void *value = atomic_exchange(&loop->mailbox, NULL);
    if (value != NULL)
        loop->loops->handler.drop_value(value);
    conn_set_fini(&loop->conns);
    inbox_fini(&loop->inbox);
    inbox_fini(&loop->taken);
    ev_async_stop(loop->events, &loop->wake);
    ev_timer_stop(loop->events, &loop->drain_deadline);
    ev_timer_stop(loop->events, &loop->application_timer);
    ev_loop_destroy(loop->events);
    pthread_mutex_destroy(&loop->inbox_lock);
}

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value != 0 ? value : otherwise;
}

/* A loop makes room before all loops together are full: else nobody would be accepted for whom it
 * could. */
static unsigned share_of(unsigned connections_max, unsigned loop_count)
{
    unsigned eighth = connections_max / 8;
    unsigned ahead = eighth < 1 ? 1 : eighth < AHEAD_MAX ? eighth : AHEAD_MAX;
    return connections_max > 0 ? (connections_max - ahead) / loop_count : 0;
}

struct loops *loops_new(const struct loops_settings *settings, const struct loop_handler *handler,
                        struct error_text *text)
{
    unsigned count = or_default(settings->loop_count, 1);
    if (count > LOOPS_MAX)
        count = LOOPS_MAX;
    struct loops *loops = memory_new(sizeof(*loops) + count * sizeof(loops->loops[0]));
    loops->handler = *handler;
    loops->settings = *settings;
    loops->settings.loop_count = count;
    loops->settings.hello_timeout_ms = or_default(settings->hello_timeout_ms, 10000);
    loops->settings.frame_timeout_ms = or_default(settings->frame_timeout_ms, 10000);
    loops->settings.write_timeout_ms = or_default(settings->write_timeout_ms, 30000);
    loops->settings.linger_ms = or_default(settings->linger_ms, 1000);
    if (settings->connections_max > 0 && settings->connections_max <= count)
        loops->settings.connections_max = count + 1;
    unsigned share = share_of(loops->settings.connections_max, count);
    for (; loops->count < count; loops->count++) {
        if (!loop_init(&loops->loops[loops->count], loops, loops->count, share)) {
            error_set_errno(text, "cannot make event loop %u of %u (descriptor limit too low?)",
                            loops->count + 1, count);
            loops_free(loops);
            return NULL;
        }
    }
    return loops;
}

void loops_free(struct loops *loops)
{
    if (loops == NULL)
        return;
    assert(loops->started_count == 0);
    for (unsigned i = 0; i < loops->count; i++)
        loop_fini(&loops->loops[i]);
    free(loops);
}

unsigned loops_count(const struct loops *loops)
{
    return loops->count;
}

struct loop *loops_at(struct loops *loops, unsigned index)
{
    assert(index < loops->count);
    return &loops->loops[index];
}

void loop_set_context(struct loop *loop, void *context)
{
    loop->conns.context = context;
}

/* Signals are the main thread's: the loops block them all. SIGBUS alone is the thread's own, for
 * touching a file that was cut short: blocked, it would end the process whatever its handler is. */
enum error loops_start(struct loops *loops, struct error_text *text)
{
    sigset_t all, before;
    int error = 0;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&loops->running_count, loops->count);
    while (loops->started_count < loops->count && error == 0) {
        struct loop *loop = &loops->loops[loops->started_count];
        error = pthread_create(&loop->thread, NULL, loop_main, loop);
        if (error == 0)
            loops->started_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return ERROR_OK;
    unsigned started_count = loops->started_count;
    loops_stop(loops);
    loops_join(loops);
    errno = error;
    return error_set_errno(text, "cannot start thread %u of %u", started_count + 1, loops->count);
}

void loop_publish(struct loop *loop, void *value)
{
    void *replaced = atomic_exchange_explicit(&loop->mailbox, value, memory_order_acq_rel);
    if (replaced != NULL)
        loop->loops->handler.drop_value(replaced);
    ev_async_send(loop->events, &loop->wake);
}

static uint64_t open_count(const struct loop *loop)
{
    return loop_counter(loop, LOOP_CONNECTIONS_OPEN);
}

/* Ties go round, so that a burst is spread before any of it is closed. */
static struct loop *least_loaded(struct loops *loops)
{
    struct loop *best = NULL;
    for (unsigned i = 0; i < loops->count; i++) {
        struct loop *loop = &loops->loops[(loops->next_index + i) % loops->count];
        if (best == NULL || open_count(loop) < open_count(best))
            best = loop;
    }
    assert(best != NULL);
    loops->next_index = (best->index + 1) % loops->count;
    return best;
}

MUST_CHECK static bool inbox_put(struct inbox *inbox, int fd)
{
    if (inbox->count == inbox->capacity) {
        size_t capacity = inbox->capacity > 0 ? inbox->capacity * 2 : 64;
        int *fds = reallocarray(inbox->fds, capacity, sizeof(*fds));
        if (fds == NULL)
            return false;
        inbox->fds = fds;
        inbox->capacity = capacity;
    }
    inbox->fds[inbox->count++] = fd;
    return true;
}

void loops_add(struct loops *loops, int fd)
{
    struct loop *loop = least_loaded(loops);
    _Atomic uint64_t *open = &loop->conns.counters[LOOP_CONNECTIONS_OPEN];
    atomic_fetch_add_explicit(open, 1, memory_order_relaxed);
    pthread_mutex_lock(&loop->inbox_lock);
    bool is_kept = inbox_put(&loop->inbox, fd);
    pthread_mutex_unlock(&loop->inbox_lock);
    if (!is_kept) {
        close(fd);
        atomic_fetch_sub_explicit(open, 1, memory_order_relaxed);
        log_event(LOG_ERROR, "connection_lost", LOG_TEXT("reason", "out of memory"));
        return;
    }
    ev_async_send(loop->events, &loop->wake);
}

bool loops_are_full(const struct loops *loops)
{
    unsigned max = loops->settings.connections_max;
    return max > 0 && loops_counter(loops, LOOP_CONNECTIONS_OPEN) >= max;
}

void loops_wake(struct loops *loops)
{
    for (unsigned i = 0; i < loops->count; i++)
        ev_async_send(loops->loops[i].events, &loops->loops[i].wake);
}

static void command_all(struct loops *loops, enum command command)
{
    for (unsigned i = 0; i < loops->count; i++) {
        struct loop *loop = &loops->loops[i];
        atomic_store_explicit(&loop->command, (int)command, memory_order_release);
        ev_async_send(loop->events, &loop->wake);
    }
}

void loops_drain(struct loops *loops, unsigned deadline_ms)
{
    for (unsigned i = 0; i < loops->count; i++)
        atomic_store_explicit(&loops->loops[i].drain_ms, deadline_ms, memory_order_relaxed);
    command_all(loops, COMMAND_DRAIN);
}

void loops_stop(struct loops *loops)
{
    command_all(loops, COMMAND_STOP);
}

void loops_join(struct loops *loops)
{
    for (unsigned i = 0; i < loops->started_count; i++)
        pthread_join(loops->loops[i].thread, NULL);
    loops->started_count = 0;
}

uint64_t loop_counter(const struct loop *loop, enum loop_counter counter)
{
    assert(counter < LOOP_COUNTER__MAX);
    return atomic_load_explicit(&loop->conns.counters[counter], memory_order_relaxed);
}

uint64_t loops_counter(const struct loops *loops, enum loop_counter counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < loops->count; i++)
        sum += loop_counter(&loops->loops[i], counter);
    return sum;
}

int64_t loops_gave_way_mono_ms(const struct loops *loops)
{
    int64_t latest_mono_ms = 0;
    for (unsigned i = 0; i < loops->count; i++) {
        const struct conn_set *conns = &loops->loops[i].conns;
        int64_t when = atomic_load_explicit(&conns->gave_way_mono_ms, memory_order_relaxed);
        latest_mono_ms = when > latest_mono_ms ? when : latest_mono_ms;
    }
    return latest_mono_ms;
}

uint64_t loop_current_connection(const struct loop *loop)
{
    return loop->conns.current_id;
}

double loop_turn_s(const struct loop *loop)
{
    return ev_now(loop->events);
}

bool loop_answer(struct loop *loop, uint64_t connection_id, uint64_t stream_id, uint64_t frame_id,
                 struct slice actions)
{
    assert(loop->conns.current_id == 0);
    struct conn *conn = conn_set_find(&loop->conns, connection_id);
    return conn != NULL && conn_answer(conn, stream_id, frame_id, actions);
}

void loop_timer(struct loop *loop, int64_t delay_ms)
{
    ev_timer_stop(loop->events, &loop->application_timer);
    if (delay_ms < 0)
        return;
    ev_timer_set(&loop->application_timer, (double)delay_ms / 1000.0, 0.0);
    ev_timer_start(loop->events, &loop->application_timer);
}
