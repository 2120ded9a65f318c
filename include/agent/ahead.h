/* What a burst of NOTIFYs will need, asked of memory all at once.
 *
 * With 100,000 tenants, four dependent reads of memory per request (slot, entry, tenant, prepared
 * answer) cost as much as the rest of the decision. HAProxy pipelines, and has several connections,
 * so that a turn of a loop often has many requests to decide, whose reads do not depend on each
 * other: those of some requests are begun before the first of them is decided. What was found on
 * the way is kept for the decisions, which need not look for it again.
 */
#pragma once

#include "agent/snapshot.h"

enum {
    AHEAD_MAX = 64, /* HAProxy has up to 20 requests in flight on a connection */
};

/* What was found for a burst, in the order of its requests. Empty when zeroed. */
struct ahead {
    unsigned count;
    unsigned next;                                /* those before it have been taken */
    struct slice hosts[AHEAD_MAX];                /* the host of each, in what was received */
    uint64_t hashes[AHEAD_MAX];                   /* of the key that is looked for next */
    const struct route_entry *guesses[AHEAD_MAX]; /* the table's */
    unsigned guessed;                             /* so many have been looked for by name, */
    unsigned settled;                             /* and so many by wildcard where that was none */
    const struct route_table *table;              /* the snapshot's */
};

/* Each of `received` is what a connection has received: whole frames, then perhaps a part of one. A
 * hint only: whatever the bytes are, no answer changes. Costs nothing while the table is small.
 * What `ahead` held is forgotten. To be forgotten, too, before the snapshot is released. */
void answer_ahead(const struct snapshot *snapshot, const struct slice *received, size_t count,
                  struct ahead *ahead);
void ahead_forget(struct ahead *ahead);
/* What this host, a view into what was received, leads to, perhaps; NULL: it was not looked for. To
 * be asked in the order in which the requests came. */
const struct route_entry *ahead_take(struct ahead *ahead, struct slice host);
