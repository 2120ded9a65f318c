/* What a burst of NOTIFYs will need, asked of memory all at once.
 *
 * With 100,000 tenants, a request's dependent reads of memory (slot, entry, tenant, and for some of
 * a wildcard's or a path's slot and entry before it, or of a long answer behind it) cost as much as
 * the rest of the decision; of tenants that have rules, limits or replicas, a hundred do, of which
 * a decision reads twenty lines. HAProxy pipelines, and has several connections, so that a turn of
 * a loop often has many requests to decide, whose reads do not depend on each other: those of some
 * requests are begun before the first of them is decided. What was found on the way is kept for the
 * decisions, which need not look for it again.
 */
#pragma once

#include "agent/snapshot.h"

enum {
    AHEAD_MAX = 64, /* the bits of a uint64_t; HAProxy pipelines up to 20 on a connection */
};

struct ahead_request {
    struct route_guess guess; /* its name lies in what was received, */
    struct slice behind;      /* and this follows it in its frame */
};

/* What is read, step by step. Most requests take three of these steps, from a host to its entry and
 * the brief that it leads to. */
enum ahead_step {
    AHEAD_HOST,     /* the bucket of the host; where that is nobody's, */
    AHEAD_WILDCARD, /* of the wildcard */
    AHEAD_ENTRY,    /* what was found there; where the host has paths, */
    AHEAD_PATH,     /* the bucket of the path, */
    AHEAD_RULE,     /* what was found there */
    AHEAD_BRIEF,    /* whose it is; where that one may have rules, limits or replicas, */
    AHEAD_TENANT,   /* where these are, */
    AHEAD_FEATURES, /* and they */
    AHEAD_DONE,
    AHEAD_STEPS
};

/* What was found for a burst, in the order of its requests. Empty when zeroed. */
struct ahead {
    const struct route_table *table; /* the snapshot's */
    unsigned count;
    unsigned next;             /* those before it have been taken */
    uint64_t due[AHEAD_STEPS]; /* who is to take a step next, a bit for each request */
    struct ahead_request requests[AHEAD_MAX];
};

/* Each of `received` is what a connection has received: whole frames, then perhaps a part of one. A
 * hint only: whatever the bytes are, no answer changes. Costs nothing while the table is small.
 * What `ahead` held is forgotten. To be forgotten, too, before the snapshot is released. */
void answer_ahead(const struct snapshot *snapshot, const struct slice *received, size_t count,
                  struct ahead *ahead);
void ahead_forget(struct ahead *ahead);
/* What the request with this host, a view into what was received, leads to, perhaps; NULL: it was
 * not looked for. To be asked in the order in which the requests came. */
const struct route_guess *ahead_take(struct ahead *ahead, struct slice host);
