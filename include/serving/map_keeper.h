/* Keeps a map of HAProxy's as the present snapshot has it: in every running HAProxy, through its
 * Runtime API, and in its file, which HAProxy reads when it starts.
 *
 * A change is in the file first, so that a HAProxy which is reloaded meanwhile has it too; one that
 * was reloaded or restarted is noticed by its process id and given the map as a whole.
 *
 * Main thread only.
 */
#pragma once

#include "agent/snapshot.h"
#include "hap/config.h"
#include "hap/runtime_map.h"
#include "net/main_loop.h"

struct map_kind {
    /* Where it is wanted; NULL: it is not. */
    const char *(*path)(const struct hap_config *haproxy);
    /* What it holds. `*changes`: with the same snapshot it may be another one later. */
    struct runtime_map *(*make)(const struct snapshot *snapshot, bool *changes);
    const char *comment; /* of the file; NULL: it is made once and stays empty */
    unsigned collect_ms; /* how long snapshots are collected; 0: each is told at once */
    /* Events of the log. */
    const char *loaded;
    const char *not_loaded;
    const char *not_written;
};

/* "fallback_map": what HAProxies go by while no agent answers (agent/fallback.h). */
extern const struct map_kind MAP_OF_FALLBACK;
/* "decision_map": which decisions hold for more than one request (hap/config.h): the stamp of the
 * present snapshot under "now". The latest of several agents has the word. */
extern const struct map_kind MAP_OF_DECISIONS;

struct map_keeper;

struct map_keeper_host {
    const struct snapshot *(*snapshot)(void *context);
    void *context;
};

struct map_keeper *map_keeper_new(struct main_loop *main_loop, const struct map_kind *kind,
                                  const struct map_keeper_host *host)
    __attribute__((returns_nonnull));
void map_keeper_free(struct map_keeper *keeper); /* NULL is fine, below too */

/* At the start and when the global file has changed. A map that is not wanted any more is emptied.
 * False when another file is wanted than the one at work, which stays. */
bool map_keeper_configure(struct map_keeper *keeper, const struct hap_config *haproxy);
/* There is a new snapshot. */
void map_keeper_look(struct map_keeper *keeper);
