/* What a loop counts of its decisions: by outcome, by tenant and outcome, and how long they took.
 *
 * One writer, the loop's thread, and any number of readers: relaxed loads and stores, so that no
 * locked instruction is needed and no two threads write to one cache line. The memory is there
 * before the first decision.
 *
 * Tenants have places, which the publisher gives out (tenant_brief.count_place). Those that have
 * none are counted together at COUNT_PLACE_OTHER; decisions about no tenant, by outcome alone.
 */
#pragma once

#include "agent/answer.h"

enum { COUNT_PLACE_OTHER = 0, COUNT_PLACES_MAX = 10000 };

/* Upper bounds in nanoseconds; above the last one there is one bucket more. */
#define DECISION_TIME_TABLE(X) \
    X(100)                     \
    X(200)                     \
    X(500)                     \
    X(1000)                    \
    X(2000)                    \
    X(5000)                    \
    X(10000)                   \
    X(20000)                   \
    X(50000)                   \
    X(100000)                  \
    X(200000)                  \
    X(500000)                  \
    X(1000000)                 \
    X(2000000)                 \
    X(5000000)                 \
    X(10000000)

enum {
#define X(BOUND) +1
    DECISION_TIME_BOUNDS = 0 DECISION_TIME_TABLE(X),
#undef X
    DECISION_TIME_BUCKETS = DECISION_TIME_BOUNDS + 1,
};

struct decision_counts;

/* With room for `places` besides COUNT_PLACE_OTHER. */
struct decision_counts *decision_counts_new(unsigned places)
    __attribute__((malloc, returns_nonnull));
void decision_counts_free(struct decision_counts *counts); /* NULL is fine */

/* The loop's thread. */
void decision_counts_add(struct decision_counts *counts, const struct decision *decision);
void decision_counts_time(struct decision_counts *counts, const struct decision *decision,
                          int64_t took_ns);

/* Any thread. */
uint64_t decision_counts_outcome(const struct decision_counts *counts, enum outcome outcome);
uint64_t decision_counts_refusal(const struct decision_counts *counts, enum refusal refusal);

/* Durations, as counts of each bucket alone. */
struct decision_times {
    uint64_t buckets[DECISION_TIME_BUCKETS];
    uint64_t sum_ns;
};
/* What one place has, or, added up, several loops' places. */
struct decision_tally {
    uint64_t outcomes[OUTCOME__MAX];
    uint32_t times[DECISION_TIME_BUCKETS]; /* modulo 2^32: to be compared with earlier ones */
};
/* Both add to what is there. */
void decision_counts_tell_times(const struct decision_counts *counts, struct decision_times *times);
void decision_counts_tell_place(const struct decision_counts *counts, unsigned place,
                                struct decision_tally *tally);

/* The bound of a bucket in nanoseconds; INT64_MAX for the last one. */
int64_t decision_time_bound_ns(unsigned bucket);
