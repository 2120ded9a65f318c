/* The connections of one loop: places and ids, deadlines, the end of a turn. See conn.h.
 *
 * An id is a sequence number above the connection's place in the table: it finds the connection at
 * once, and one that is gone is never mistaken for the next in its place.
 */
#include "conn.h"

#include "core/clock.h"
#include "core/memory.h"

#include <stdlib.h>

enum {
    PLACE_BITS = 24,
    SMALLEST_CAPACITY = 64,
    SWEEP_MS = 1000,
    SWEEPS_PER_TIMEOUT = 4,
};

/* Often enough for the shortest timeout to be kept within a quarter. */
static int64_t sweep_interval_ms(const struct loops_settings *settings)
{
    unsigned shortest = settings->hello_timeout_ms;
    if (settings->frame_timeout_ms < shortest)
        shortest = settings->frame_timeout_ms;
    if (settings->write_timeout_ms < shortest)
        shortest = settings->write_timeout_ms;
    if (settings->linger_ms < shortest)
        shortest = settings->linger_ms;
    unsigned interval = shortest / SWEEPS_PER_TIMEOUT;
    return interval < 1 ? 1 : interval > SWEEP_MS ? SWEEP_MS : interval;
}

static void on_sweep(struct ev_loop *events, struct ev_timer *timer, int revents)
{
    struct conn_set *set = CONTAINER_OF(timer, struct conn_set, sweep);
    int64_t now_ms = clock_mono_ms();
    (void)revents;
    conn_serve_gathered(set);
    for (uint32_t i = 0; i < set->capacity && set->timed_count > 0; i++) {
        struct conn *conn = set->conns[i];
        if (conn != NULL && conn->deadline_mono_ms != 0 && conn->deadline_mono_ms <= now_ms)
            conn_expire(conn);
    }
    if (set->timed_count == 0)
        ev_timer_stop(events, timer);
}

static void flush_unsent(struct conn_set *set)
{
    struct conn *conn = set->unsent;
    set->unsent = NULL;
    while (conn != NULL) {
        struct conn *next = conn->next_unsent;
        conn->has_unsent = false;
        conn_flush(conn);
        conn = next;
    }
}

/* Nothing points at these any more: no watcher is pending and the turn is over. */
static void free_gone(struct conn_set *set)
{
    struct conn *conn = set->gone;
    set->gone = NULL;
    while (conn != NULL) {
        struct conn *next = conn->next_gone;
        free(conn);
        conn = next;
    }
}

static bool is_empty(const struct conn_set *set)
{
    return set->free_count == set->capacity;
}

static void on_end_of_turn(struct ev_loop *events, struct ev_prepare *prepare, int revents)
{
    struct conn_set *set = CONTAINER_OF(prepare, struct conn_set, end_of_turn);
    (void)revents;
    conn_set_count(set, LOOP_TURNS, 1);
    conn_serve_gathered(set);
    flush_unsent(set);
    free_gone(set);
    patience_keep(&set->patience, ev_now(events));
    if (set->is_leaving && is_empty(set))
        ev_break(events, EVBREAK_ALL);
}

void conn_set_init(struct conn_set *set, struct ev_loop *events, unsigned index,
                   const struct loop_handler *handler, const struct loops_settings *settings)
{
    double interval_s = (double)sweep_interval_ms(settings) / 1000.0;
    *set = (struct conn_set){
        .events = events,
        .handler = handler,
        .settings = settings,
        .next_sequence = LOOPS_MAX + index,
        .sequence_step = LOOPS_MAX,
        .receive_buffer = memory_new(GATHER_BYTES + RECEIVE_BYTES),
        .send_buffer = memory_new(SEND_BYTES),
    };
    ev_timer_init(&set->sweep, on_sweep, interval_s, interval_s);
    ev_set_priority(&set->sweep, EV_MINPRI); /* what is here already has come in time */
    ev_prepare_init(&set->end_of_turn, on_end_of_turn);
    ev_prepare_start(events, &set->end_of_turn);
}

void conn_set_fini(struct conn_set *set)
{
    conn_set_close_all(set);
    flush_unsent(set);
    free_gone(set);
    ev_timer_stop(set->events, &set->sweep);
    ev_prepare_stop(set->events, &set->end_of_turn);
    free(set->conns);
    free(set->free_places);
    free(set->receive_buffer);
    free(set->send_buffer);
}

void conn_set_leave(struct conn_set *set)
{
    set->is_leaving = true;
    conn_serve_gathered(set);
    for (uint32_t i = 0; i < set->capacity; i++)
        if (set->conns[i] != NULL)
            conn_leave(set->conns[i]);
    /* At once: who is ready in this turn too will be received from again, behind what is kept. */
    conn_serve_gathered(set);
}

void conn_set_close_all(struct conn_set *set)
{
    for (uint32_t i = 0; i < set->capacity; i++)
        if (set->conns[i] != NULL)
            conn_end(set->conns[i], LOOP_CLOSED_STOPPED);
}

bool conn_set_is_young(const struct conn_set *set, const struct conn *conn)
{
    uint64_t since = (set->next_sequence - (conn->id >> PLACE_BITS)) / set->sequence_step;
    return since <= set->connections_max / 4;
}

MUST_CHECK static bool has_room(const struct conn_set *set, uint32_t newcomers)
{
    return set->connections_max == 0 ||
           set->capacity - set->free_count + newcomers <= set->connections_max;
}

/* A hand goes round the places, as that of a clock does, and takes whom it has met before and who
 * has asked nothing since: among many that is nearly the one that has been idle for longest. What
 * it goes by is counted anyway, where a list in the order of use would have to be kept for each
 * request; and who is passed over has asked something for it, so that a step or two do for most.
 * Who has yet to ask for the first time is not spared: those who only open connections lose theirs
 * first. */
void conn_set_make_room(struct conn_set *set, uint32_t newcomers)
{
    if (has_room(set, newcomers) || set->is_leaving)
        return;
    conn_serve_gathered(set);
    for (uint32_t steps = 0; steps < set->capacity && !has_room(set, newcomers); steps++) {
        struct conn *conn = set->conns[set->hand];
        set->hand = (set->hand + 1) % set->capacity;
        if (conn != NULL && conn_has_rested(conn))
            conn_give_way(conn);
    }
}

struct conn *conn_set_find(const struct conn_set *set, uint64_t id)
{
    uint64_t place = id & ((UINT64_C(1) << PLACE_BITS) - 1);
    struct conn *conn = place < set->capacity ? set->conns[place] : NULL;
    return conn != NULL && conn->id == id ? conn : NULL;
}

MUST_CHECK static bool grow(struct conn_set *set)
{
    uint32_t capacity = set->capacity > 0 ? set->capacity * 2 : SMALLEST_CAPACITY;
    if (capacity > UINT32_C(1) << PLACE_BITS)
        return false;
    struct conn **conns = reallocarray(set->conns, capacity, sizeof(*conns));
    if (conns == NULL)
        return false;
    set->conns = conns;
    uint32_t *free_places = reallocarray(set->free_places, capacity, sizeof(*free_places));
    if (free_places == NULL)
        return false;
    set->free_places = free_places;
    /* The stack of free places is empty here, and hands out low places first. */
    assert(set->free_count == 0);
    for (uint32_t place = capacity; place > set->capacity; place--) {
        set->conns[place - 1] = NULL;
        set->free_places[set->free_count++] = place - 1;
    }
    set->capacity = capacity;
    return true;
}

bool conn_set_insert(struct conn_set *set, struct conn *conn)
{
    if (set->free_count == 0 && !grow(set))
        return false;
    uint32_t place = set->free_places[--set->free_count];
    conn->set = set;
    conn->id = set->next_sequence << PLACE_BITS | place;
    set->next_sequence += set->sequence_step;
    set->conns[place] = conn;
    return true;
}

void conn_set_remove(struct conn_set *set, struct conn *conn)
{
    uint32_t place = (uint32_t)(conn->id & ((UINT64_C(1) << PLACE_BITS) - 1));
    assert(set->conns[place] == conn);
    conn_set_deadline(conn, 0);
    set->conns[place] = NULL;
    set->free_places[set->free_count++] = place;
    conn->next_gone = set->gone;
    set->gone = conn;
    atomic_fetch_sub_explicit(&set->counters[LOOP_CONNECTIONS_OPEN], 1, memory_order_relaxed);
}

void conn_set_deadline(struct conn *conn, int64_t delay_ms)
{
    struct conn_set *set = conn->set;
    if (delay_ms == 0 && conn->deadline_mono_ms == 0)
        return;
    set->timed_count += (delay_ms != 0 ? 1u : 0u) - (conn->deadline_mono_ms != 0 ? 1u : 0u);
    conn->deadline_mono_ms = delay_ms != 0 ? clock_mono_ms() + delay_ms : 0;
    /* Stopped by the sweep itself, so that it starts at most once per interval. */
    if (set->timed_count > 0 && !ev_is_active(&set->sweep))
        ev_timer_again(set->events, &set->sweep);
}

void conn_set_mark_unsent(struct conn *conn)
{
    struct conn_set *set = conn->set;
    if (conn->has_unsent)
        return;
    conn->has_unsent = true;
    conn->next_unsent = set->unsent;
    set->unsent = conn;
}
