/* Counters of decisions: see agent/decision_counts.h. */
#include "agent/decision_counts.h"

#include "core/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Of one place, but how often its requests were forwarded. */
struct outcomes {
    _Atomic uint64_t of[OUTCOME__MAX];
};
struct times {
    _Atomic uint32_t in[DECISION_TIME_BUCKETS];
};

struct decision_counts {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t outcomes[OUTCOME__MAX];
    _Atomic uint64_t refusals[REFUSAL__MAX];
    _Atomic uint64_t times[DECISION_TIME_BUCKETS];
    _Atomic uint64_t sum_ns;
    unsigned places;
    /* By place. What nearly all decisions count lies close together, which keeps it in the nearest
     * cache; of the other outcomes, pages that nobody has counted in are not there yet. */
    _Atomic uint64_t *forwards;
    struct outcomes *outcomes_of;
    struct times *times_of;
};

static const int64_t BOUNDS_NS[DECISION_TIME_BOUNDS] = {
#define X(BOUND) BOUND,
    DECISION_TIME_TABLE(X)
#undef X
};

/* One writer: what is read here is what was written here. */
static inline void add(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + more, memory_order_relaxed);
}

static inline uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static size_t outcomes_size(unsigned places)
{
    return (places + 1) * sizeof(struct outcomes);
}

struct decision_counts *decision_counts_new(unsigned places)
{
    struct decision_counts *counts = memory_new_aligned(CACHE_LINE_BYTES, sizeof(*counts));
    counts->places = places;
    counts->forwards = memory_new((places + 1) * sizeof(*counts->forwards));
    counts->outcomes_of = memory_new_pages(outcomes_size(places));
    counts->times_of = memory_new((places + 1) * sizeof(*counts->times_of));
    return counts;
}

void decision_counts_free(struct decision_counts *counts)
{
    if (counts == NULL)
        return;
    free(counts->forwards);
    memory_free_pages(counts->outcomes_of, outcomes_size(counts->places));
    free(counts->times_of);
    free(counts);
}

static unsigned place_of(const struct decision_counts *counts, const struct tenant_brief *brief)
{
    return brief->count_place <= counts->places ? brief->count_place : COUNT_PLACE_OTHER;
}

void decision_counts_add(struct decision_counts *counts, const struct decision *decision)
{
    const struct tenant_brief *brief = decision->match.brief;
    add(&counts->outcomes[decision->outcome], 1);
    if (brief != NULL && decision->outcome == OUTCOME_FORWARD)
        add(&counts->forwards[place_of(counts, brief)], 1);
    else if (brief != NULL)
        add(&counts->outcomes_of[place_of(counts, brief)].of[decision->outcome], 1);
    if (decision->refusal != REFUSAL_NONE)
        add(&counts->refusals[decision->refusal], 1);
}

static unsigned bucket_of(int64_t took_ns)
{
    unsigned bucket = 0;
    while (bucket < DECISION_TIME_BOUNDS && took_ns > BOUNDS_NS[bucket])
        bucket++;
    return bucket;
}

void decision_counts_time(struct decision_counts *counts, const struct decision *decision,
                          int64_t took_ns)
{
    const struct tenant_brief *brief = decision->match.brief;
    unsigned bucket = bucket_of(took_ns);
    add(&counts->times[bucket], 1);
    add(&counts->sum_ns, (uint64_t)took_ns);
    if (brief == NULL)
        return;
    _Atomic uint32_t *time = &counts->times_of[place_of(counts, brief)].in[bucket];
    uint32_t value = atomic_load_explicit(time, memory_order_relaxed);
    atomic_store_explicit(time, value + 1, memory_order_relaxed);
}

uint64_t decision_counts_outcome(const struct decision_counts *counts, enum outcome outcome)
{
    return load(&counts->outcomes[outcome]);
}

uint64_t decision_counts_refusal(const struct decision_counts *counts, enum refusal refusal)
{
    return load(&counts->refusals[refusal]);
}

void decision_counts_tell_times(const struct decision_counts *counts, struct decision_times *times)
{
    for (unsigned i = 0; i < DECISION_TIME_BUCKETS; i++)
        times->buckets[i] += load(&counts->times[i]);
    times->sum_ns += load(&counts->sum_ns);
}

void decision_counts_tell_place(const struct decision_counts *counts, unsigned place,
                                struct decision_tally *tally)
{
    assert(place <= counts->places);
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        tally->outcomes[i] += load(&counts->outcomes_of[place].of[i]);
    tally->outcomes[OUTCOME_FORWARD] += load(&counts->forwards[place]);
    for (unsigned i = 0; i < DECISION_TIME_BUCKETS; i++)
        tally->times[i] +=
            atomic_load_explicit(&counts->times_of[place].in[i], memory_order_relaxed);
}

int64_t decision_time_bound_ns(unsigned bucket)
{
    return bucket < DECISION_TIME_BOUNDS ? BOUNDS_NS[bucket] : INT64_MAX;
}
