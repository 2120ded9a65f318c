/* What a burst of NOTIFYs will need, asked of memory all at once.
 *
 * With 100,000 tenants, four dependent reads of memory per request (slot, entry, tenant, prepared
 * answer) cost as much as the rest of the decision. HAProxy pipelines, and has several connections,
 * so that a turn of a loop often has many requests to decide, whose reads do not depend on each
 * other: they are begun together before the first request is decided.
 */
#pragma once

#include "agent/snapshot.h"

/* Each of `received` is what a connection has received: whole frames, then perhaps a part of one. A
 * hint only: whatever the bytes are, no answer changes. Costs nothing while the table is small.
 * Returns for how many requests something was begun. */
size_t answer_ahead(const struct snapshot *snapshot, const struct slice *received, size_t count);
