/* agent/decision_counts: what is counted where, and that counting allocates nothing. */
#include "agent/decision_counts.h"

#include "allocations.h"
#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct decision decision_of(const struct tenant *tenant, enum outcome outcome)
{
    struct decision decision = {.outcome = outcome};
    route_match_lead(&decision.match, tenant);
    return decision;
}

static uint64_t at(const struct decision_counts *counts, unsigned place, enum outcome outcome)
{
    struct decision_tally tally = {0};
    decision_counts_tell_place(counts, place, &tally);
    return tally.outcomes[outcome];
}

Test(decision_counts, are_kept_by_outcome_and_place)
{
    struct decision_counts *counts = decision_counts_new(2);
    struct tenant *first = tenant_new();
    struct tenant *beyond = tenant_new();
    first->brief->count_place = 2;
    beyond->brief->count_place =
        3; /* of a snapshot that knows more places: none may be written outside */
    struct decision forward = decision_of(first, OUTCOME_FORWARD);
    struct decision denied = decision_of(beyond, OUTCOME_DENY_ORIGIN);
    struct decision nobodys = decision_of(NULL, OUTCOME_BAD_REQUEST);
    nobodys.refusal = REFUSAL_HOST_SYNTAX;

    decision_counts_add(counts, &forward);
    decision_counts_add(counts, &forward);
    decision_counts_add(counts, &denied);
    decision_counts_add(counts, &nobodys);
    cr_expect(eq(u64, decision_counts_outcome(counts, OUTCOME_FORWARD), 2));
    cr_expect(eq(u64, decision_counts_outcome(counts, OUTCOME_DENY_ORIGIN), 1));
    cr_expect(eq(u64, decision_counts_outcome(counts, OUTCOME_BAD_REQUEST), 1));
    cr_expect(eq(u64, decision_counts_refusal(counts, REFUSAL_HOST_SYNTAX), 1));
    cr_expect(eq(u64, at(counts, 2, OUTCOME_FORWARD), 2));
    cr_expect(eq(u64, at(counts, 1, OUTCOME_FORWARD), 0));
    cr_expect(eq(u64, at(counts, COUNT_PLACE_OTHER, OUTCOME_DENY_ORIGIN), 1));
    cr_expect(eq(u64, at(counts, COUNT_PLACE_OTHER, OUTCOME_BAD_REQUEST), 0));
    decision_counts_free(counts);
    tenant_free(first);
    tenant_free(beyond);
}

Test(decision_counts, times_fall_into_the_bucket_that_reaches_them)
{
    static const struct {
        int64_t took_ns;
        unsigned bucket;
    } ROWS[] = {{0, 0},   {100, 0},       {101, 1},       {200, 1},
                {999, 3}, {10000000, 15}, {10000001, 16}, {INT32_MAX, 16}};
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct decision_counts *counts = decision_counts_new(1);
        struct decision decision = decision_of(NULL, OUTCOME_FORWARD);
        struct decision_times times = {0};
        decision_counts_time(counts, &decision, ROWS[i].took_ns);
        decision_counts_tell_times(counts, &times);
        cr_expect(eq(u64, times.buckets[ROWS[i].bucket], 1), "%lld ns", (long long)ROWS[i].took_ns);
        cr_expect(eq(u64, times.sum_ns, (uint64_t)ROWS[i].took_ns));
        cr_expect(le(i64, ROWS[i].took_ns, decision_time_bound_ns(ROWS[i].bucket)));
        decision_counts_free(counts);
    }
}

Test(decision_counts, bounds_grow)
{
    for (unsigned i = 1; i < DECISION_TIME_BUCKETS; i++)
        cr_expect(lt(i64, decision_time_bound_ns(i - 1), decision_time_bound_ns(i)));
}

Test(decision_counts, counting_allocates_nothing)
{
    struct decision_counts *counts = decision_counts_new(10);
    struct tenant *tenant = tenant_new();
    tenant->brief->count_place = 10;
    struct decision decision = decision_of(tenant, OUTCOME_FORWARD);
    size_t before = allocations_count();
    for (unsigned i = 0; i < 1000; i++) {
        decision_counts_add(counts, &decision);
        decision_counts_time(counts, &decision, i);
    }
    cr_expect(eq(sz, allocations_count(), before));
    decision_counts_free(counts);
    tenant_free(tenant);
}
