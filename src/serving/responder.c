/* What a loop does with a NOTIFY: see responder.h. */
#include "serving/responder.h"

#include "agent/ahead.h"
#include "agent/instance.h"
#include "core/clock.h"
#include "core/fair.h"
#include "core/hash.h"
#include "core/memory.h"
#include "identity_log.h"
#include "route/label_map.h"
#include "serving/trace.h"
#include "upstreams/label_desk.h"

#include <stdlib.h>

enum {
    HELD_MAX = 256,            /* per loop; one tenant gets half at most (core/fair.h) */
    HELD_MESSAGE_BYTES = 4096, /* the messages of a NOTIFY that can be held */
    UNKNOWN_LABEL_SLOTS =
        1024,             /* labels that led nowhere; two that share a slot evict each other */
    ASK_PAUSE_MS = 10,    /* between a tenant's labels that are asked for while nobody is held */
    ASK_TENANTS_MAX = 16, /* that may ask so in the same time */
};

static const double TIMED_EVERY_S = 0.001;

/* A request that waits for a snapshot, with its own copy of HAProxy's message. */
struct held {
    uint64_t connection;
    uint64_t stream;
    uint64_t frame;
    uint64_t tenant; /* the hash of its name: tenants change between two snapshots */
    int64_t deadline_ms;
    uint16_t size;
    uint16_t room; /* for actions, on its connection */
    uint8_t messages[HELD_MESSAGE_BYTES];
};

struct unknown_label {
    uint64_t hash;
    int64_t until_ms;
};

/* Who has asked for a label that nobody is held for, since then. */
struct late_askers {
    int64_t since_ms;
    unsigned count;
    uint64_t tenants[ASK_TENANTS_MAX];
};

/* The last entries of the trace, for another thread. */
struct trace_copy {
    atomic_bool is_wanted;
    _Atomic(struct trace_recent *) made; /* NULL: not yet, or taken */
};

struct responder {
    struct loop *loop;
    struct snapshot *snapshot; /* one reference; there before the first connection is */
    struct ahead ahead;        /* into it */
    struct label_desk *desk;
    struct verifier *verifier;
    struct identity_log identity_log;
    struct trace_ring *trace; /* NULL: off */
    struct trace_copy dump;   /* for SIGUSR1 */
    struct trace_copy recent; /* for whoever asks the admin interface */

    struct decision_counts *counts;
    bool times_next; /* the next decision is timed */
    double timed_s;  /* the turn in which one was last */

    /* Written by the loop's thread alone. */
    _Atomic uint64_t held_total;
    _Atomic uint64_t held_in_vain;

    struct late_askers late_askers;
    unsigned held_count;
    uint8_t held_order[HELD_MAX]; /* indices into `held`: those in use, oldest first, then free */
    struct unknown_label unknown_labels[UNKNOWN_LABEL_SLOTS];
    struct held held[HELD_MAX];
};
static_assert(HELD_MAX <= UINT8_MAX + 1, "an index does not fit");

/* One writer, so that no locked instruction is needed. */
static void count(_Atomic uint64_t *counter)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

static void note(struct responder *responder, uint64_t connection, const struct spop_notify *notify,
                 const struct decision *decision)
{
    decision_counts_add(responder->counts, decision);
    identity_log_add(&responder->identity_log, decision);
    if (decision->target != NULL && decision->target != decision->match.brief)
        instance_use(decision->target->tenant);
    if (responder->trace != NULL)
        trace_add(responder->trace, responder->snapshot->generation, connection, notify, decision);
}

/* A wildcard host's label without an instance: the main thread can make one. */
static bool lacks_instance(const struct decision *decision)
{
    return decision->outcome == OUTCOME_DENY_UNRESOLVED && decision->target == NULL;
}

static uint64_t label_hash(const struct decision *decision)
{
    char name[INSTANCE_NAME_MAX_BYTES];
    const struct label_map *labels = decision->match.tenant->labels;
    uint64_t hash = hash_bytes(instance_name(decision->match.tenant, decision->match.label, name));
    return labels != NULL ? hash ^ labels->content_hash : hash; /* another list, another chance */
}

static struct unknown_label *unknown_slot(struct responder *responder, uint64_t hash)
{
    return &responder->unknown_labels[hash % UNKNOWN_LABEL_SLOTS];
}

static bool ask_for(struct responder *responder, const struct decision *decision)
{
    return label_desk_ask(responder->desk, slice_of(decision->match.tenant->name),
                          decision->match.label);
}

static bool may_ask_late(struct late_askers *askers, uint64_t tenant, int64_t now_ms)
{
    if (now_ms - askers->since_ms >= ASK_PAUSE_MS) {
        askers->since_ms = now_ms;
        askers->count = 0;
    }
    for (unsigned i = 0; i < askers->count; i++)
        if (askers->tenants[i] == tenant)
            return false;
    if (askers->count == ASK_TENANTS_MAX)
        return false;
    askers->tenants[askers->count++] = tenant;
    return true;
}

static bool has_place(const struct responder *responder, uint64_t tenant)
{
    unsigned own = 0;
    for (unsigned i = 0; i < responder->held_count; i++)
        own += responder->held[responder->held_order[i]].tenant == tenant;
    return fair_has_room(own, responder->held_count, HELD_MAX);
}

/* True when the ACK will come later. */
static bool hold(struct responder *responder, const struct spop_notify *notify,
                 const struct decision *decision, size_t room)
{
    int64_t now_ms = clock_mono_ms();
    uint64_t hash = label_hash(decision);
    const struct unknown_label *unknown = unknown_slot(responder, hash);
    if (unknown->hash == hash && now_ms < unknown->until_ms)
        return false;
    uint64_t tenant = hash_bytes(slice_of(decision->match.tenant->name));
    bool is_kept = notify->messages.size <= HELD_MESSAGE_BYTES && has_place(responder, tenant);
    /* Who cannot wait asks for those who come later: all requests of a label may be too long to be
     * held. Since nobody is kept waiting, nothing else holds up who makes labels up. */
    if (!is_kept && !may_ask_late(&responder->late_askers, tenant, now_ms))
        return false;
    if (!ask_for(responder, decision) || !is_kept)
        return false;

    struct held *held = &responder->held[responder->held_order[responder->held_count++]];
    held->connection = loop_current_connection(responder->loop);
    held->stream = notify->stream_id;
    held->frame = notify->frame_id;
    held->tenant = tenant;
    held->deadline_ms = now_ms + HELD_WAIT_MS;
    held->size = (uint16_t)notify->messages.size;
    held->room = (uint16_t)room;
    memcpy(held->messages, notify->messages.data, held->size);
    count(&responder->held_total);
    if (responder->held_count == 1)
        loop_timer(responder->loop, HELD_WAIT_MS);
    return true;
}

static enum spop_answer on_notify(void *context, const struct spop_notify *notify,
                                  struct writer *actions)
{
    struct responder *responder = context;
    struct decision decision;
    size_t room = writer_left(actions);
    bool is_timed = responder->times_next;
    int64_t start_ns = is_timed ? clock_mono_ns() : 0;

    responder->times_next = false;
    answer_notify(responder->snapshot, responder->verifier, &responder->ahead, notify, &decision,
                  actions);
    if (is_timed)
        decision_counts_time(responder->counts, &decision, clock_mono_ns() - start_ns);
    if (lacks_instance(&decision) && hold(responder, notify, &decision, room))
        return SPOP_HELD;
    uint64_t connection = responder->trace != NULL ? loop_current_connection(responder->loop) : 0;
    note(responder, connection, notify, &decision);
    return SPOP_ANSWERED;
}

/* To read the clock costs as much as a small part of a decision. So one is timed in a millisecond,
 * by the loop's own clock that has been read already: when there is little to do that is nearly
 * every one. */
static void on_input(void *context, const struct slice *received, size_t count)
{
    struct responder *responder = context;
    double turn_s = loop_turn_s(responder->loop);
    double since_s = turn_s - responder->timed_s;
    if (since_s >= TIMED_EVERY_S || since_s < 0) {
        responder->timed_s = turn_s;
        responder->times_next = true;
    }
    answer_ahead(responder->snapshot, received, count, &responder->ahead);
}

/* Decides a held request again. True when it has been answered, which it is at the latest when its
 * time is up. */
static bool settle(struct responder *responder, const struct held *held, int64_t now_ms)
{
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, held->room);
    const struct spop_notify notify = {held->stream, held->frame,
                                       slice_from(held->messages, held->size)};
    struct decision decision;

    answer_notify(responder->snapshot, responder->verifier, NULL, &notify, &decision, &actions);
    if (lacks_instance(&decision)) {
        if (now_ms < held->deadline_ms)
            return false;
        uint64_t hash = label_hash(&decision);
        *unknown_slot(responder, hash) =
            (struct unknown_label){.hash = hash, .until_ms = now_ms + LABEL_NEGATIVE_MS};
        count(&responder->held_in_vain);
    }
    note(responder, held->connection, &notify, &decision);
    loop_answer(responder->loop, held->connection, held->stream, held->frame,
                writer_written(&actions));
    return true;
}

static void settle_all(struct responder *responder)
{
    uint8_t settled[HELD_MAX];
    unsigned settled_count = 0;
    unsigned kept_count = 0;
    int64_t now_ms = clock_mono_ms();

    for (unsigned i = 0; i < responder->held_count; i++) {
        uint8_t index = responder->held_order[i];
        if (settle(responder, &responder->held[index], now_ms))
            settled[settled_count++] = index;
        else
            responder->held_order[kept_count++] = index;
    }
    memcpy(responder->held_order + kept_count, settled, settled_count);
    responder->held_count = kept_count;
    if (kept_count > 0)
        loop_timer(responder->loop, responder->held[responder->held_order[0]].deadline_ms - now_ms);
    else
        loop_timer(responder->loop, -1);
}

static void on_timer(void *context)
{
    settle_all(context);
}

static void copy_trace(const struct responder *responder, struct trace_copy *copy)
{
    if (atomic_exchange(&copy->is_wanted, false) && responder->trace != NULL)
        free(atomic_exchange(&copy->made, trace_recent(responder->trace)));
}

static void on_value(void *context, void *value)
{
    struct responder *responder = context;
    struct snapshot *previous = responder->snapshot;

    ahead_forget(&responder->ahead);
    responder->snapshot = value;
    if (responder->held_count > 0)
        settle_all(responder);
    if (previous != NULL)
        snapshot_unref(previous);
    copy_trace(responder, &responder->dump);
    copy_trace(responder, &responder->recent);
}

static void drop_value(void *value)
{
    snapshot_unref(value);
}

const struct loop_handler RESPONDER_HANDLER = {
    .on_notify = on_notify,
    .on_input = on_input,
    .on_value = on_value,
    .drop_value = drop_value,
    .on_timer = on_timer,
};

struct responder *responder_new(struct loop *loop, struct label_desk *desk, unsigned count_places,
                                struct trace_ring *trace)
{
    struct responder *responder = memory_new(sizeof(*responder));
    responder->loop = loop;
    responder->desk = desk;
    responder->verifier = verifier_new(clock_wall_s, clock_mono_ns);
    responder->trace = trace;
    responder->counts = decision_counts_new(count_places);
    for (unsigned i = 0; i < HELD_MAX; i++)
        responder->held_order[i] = (uint8_t)i;
    return responder;
}

void responder_free(struct responder *responder)
{
    if (responder == NULL)
        return;
    if (responder->snapshot != NULL)
        snapshot_unref(responder->snapshot);
    verifier_free(responder->verifier);
    free(atomic_load(&responder->dump.made));
    free(atomic_load(&responder->recent.made));
    decision_counts_free(responder->counts);
    free(responder);
}

void responder_want_dump(struct responder *responder)
{
    free(atomic_exchange(&responder->dump.made, NULL));
    atomic_store(&responder->dump.is_wanted, true);
}

struct trace_recent *responder_take_dump(struct responder *responder)
{
    return atomic_exchange(&responder->dump.made, NULL);
}

bool responder_records(const struct responder *responder)
{
    return responder->trace != NULL;
}

struct trace_recent *responder_take_recent(struct responder *responder)
{
    struct trace_recent *recent = atomic_exchange(&responder->recent.made, NULL);
    atomic_store(&responder->recent.is_wanted, true);
    return recent;
}

const struct decision_counts *responder_counts(const struct responder *responder)
{
    return responder->counts;
}

struct responder_sums responder_sums(struct responder *const *responders, unsigned count)
{
    struct responder_sums sums = {0};
    for (unsigned loop = 0; loop < count; loop++) {
        const struct responder *responder = responders[loop];
        for (unsigned i = 0; i < OUTCOME__MAX; i++)
            sums.outcomes[i] += decision_counts_outcome(responder->counts, (enum outcome)i);
        for (unsigned i = 0; i < REFUSAL__MAX; i++)
            sums.refusals[i] += decision_counts_refusal(responder->counts, (enum refusal)i);
        decision_counts_tell_times(responder->counts, &sums.times);
        sums.held += atomic_load_explicit(&responder->held_total, memory_order_relaxed);
        sums.held_in_vain += atomic_load_explicit(&responder->held_in_vain, memory_order_relaxed);
    }
    return sums;
}
