/* What all decisions of one generation are made from. Built whole by the publisher, read by every
 * loop, counted by reference; the publisher frees it when the last loop has moved on. */
#pragma once

#include "agent/challenge_table.h"
#include "agent/seal.h"
#include "identity/jwk_set.h"
#include "route/table.h"

#include <stdatomic.h>

enum { SNAPSHOT_STAMP_MAX_BYTES = 40 };

struct snapshot {
    atomic_uint references;
    uint64_t generation;
    uint64_t content_hash;
    const struct settings *settings; /* kept by the publisher as long as a snapshot names it */
    struct route_table *table;       /* may be an older snapshot's too */
    uint64_t table_generation;       /* when it was made */
    const struct challenge_table *challenges; /* NULL: none; may be an older snapshot's too */
    struct jwk_table *keys; /* of those who issue tokens; NULL: none; may be an older snapshot's */
    struct seal_keys seal;  /* what cookies are sealed with */
    /* Names the table and the settings, among all agents and for all time. Empty: no decision is to
     * hold for more than a request. */
    char stamp[SNAPSHOT_STAMP_MAX_BYTES];
    uint8_t stamp_size;
    struct snapshot *next; /* the publisher's list of live snapshots */
};

/* Called by a loop that lets go of it. Frees nothing: the publisher does, at its next turn. */
static inline void snapshot_unref(struct snapshot *snapshot)
{
    unsigned before = atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_release);
    assert(before > 0);
    (void)before;
}
