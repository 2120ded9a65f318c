/* Keeps the map that HAProxies look at while no agent answers (agent/fallback.h) as the present
 * snapshot has it: in its file, which HAProxy reads when it starts, and in every running one,
 * through its Runtime API. Off without `fallback_map`.
 *
 * A change is in the file first, so that a HAProxy which is reloaded meanwhile has it too; one that
 * was reloaded or restarted is noticed by its process id and given the map as a whole.
 *
 * Main thread only.
 */
#pragma once

#include "agent/snapshot.h"
#include "hap/config.h"
#include "net/main_loop.h"

struct fallback_keeper;

struct fallback_keeper_host {
    const struct snapshot *(*snapshot)(void *context);
    void *context;
};

struct fallback_keeper *fallback_keeper_new(struct main_loop *main_loop,
                                            const struct fallback_keeper_host *host)
    __attribute__((returns_nonnull));
void fallback_keeper_free(struct fallback_keeper *keeper); /* NULL is fine, below too */

/* At the start and when the global file has changed. A map that is not wanted any more is emptied.
 * False when another file is wanted than the one at work, which stays. */
bool fallback_keeper_configure(struct fallback_keeper *keeper, const struct hap_config *haproxy);
/* There is a new snapshot. */
void fallback_keeper_look(struct fallback_keeper *keeper);
