/* Counters of decisions: see agent/decision_counts.h. */
#include "agent/decision_counts.h"

#include "core/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

/* One place; its first line has the outcomes that nearly all decisions have. */
struct place_counts {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t outcomes[OUTCOME__MAX];
    _Atomic uint64_t times[DECISION_TIME_BUCKETS];
};

struct decision_counts {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t outcomes[OUTCOME__MAX];
    _Atomic uint64_t refusals[REFUSAL__MAX];
    _Atomic uint64_t times[DECISION_TIME_BUCKETS];
    _Atomic uint64_t sum_ns;
    unsigned places;
    struct place_counts *of_place; /* within: */
    void *block;
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

/* The places come from calloc(), and are aligned by hand, so that those that nobody has take no
 * memory. */
struct decision_counts *decision_counts_new(unsigned places)
{
    struct decision_counts *counts = memory_new_aligned(CACHE_LINE_BYTES, sizeof(*counts));
    counts->places = places;
    counts->block = memory_new((places + 1) * sizeof(struct place_counts) + CACHE_LINE_BYTES - 1);
    uintptr_t start = (uintptr_t)counts->block;
    counts->of_place =
        (void *)((start + CACHE_LINE_BYTES - 1) & ~(uintptr_t)(CACHE_LINE_BYTES - 1));
    return counts;
}

void decision_counts_free(struct decision_counts *counts)
{
    if (counts == NULL)
        return;
    free(counts->block);
    free(counts);
}

static struct place_counts *place_of(const struct decision_counts *counts,
                                     const struct decision *decision)
{
    const struct tenant *tenant = decision->match.tenant;
    if (tenant == NULL)
        return NULL;
    unsigned place = tenant->count_place;
    return &counts->of_place[place <= counts->places ? place : COUNT_PLACE_OTHER];
}

void decision_counts_add(struct decision_counts *counts, const struct decision *decision)
{
    struct place_counts *place = place_of(counts, decision);
    add(&counts->outcomes[decision->outcome], 1);
    if (place != NULL)
        add(&place->outcomes[decision->outcome], 1);
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
    struct place_counts *place = place_of(counts, decision);
    unsigned bucket = bucket_of(took_ns);
    add(&counts->times[bucket], 1);
    add(&counts->sum_ns, (uint64_t)took_ns);
    if (place != NULL)
        add(&place->times[bucket], 1);
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
    const struct place_counts *told = &counts->of_place[place];
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        tally->outcomes[i] += load(&told->outcomes[i]);
    for (unsigned i = 0; i < DECISION_TIME_BUCKETS; i++)
        tally->times[i] += load(&told->times[i]);
}

int64_t decision_time_bound_ns(unsigned bucket)
{
    return bucket < DECISION_TIME_BOUNDS ? BOUNDS_NS[bucket] : INT64_MAX;
}
