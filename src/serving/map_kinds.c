/* The maps there are: see map_keeper.h. */
#include "serving/map_keeper.h"

#include "agent/fallback.h"
#include "core/clock.h"
#include "core/memory.h"

static const char *fallback_path(const struct hap_config *haproxy)
{
    return haproxy->fallback_map;
}

static struct runtime_map *make_fallback(const struct snapshot *snapshot, bool *changes)
{
    return fallback_map(snapshot->table, clock_wall_s(), changes);
}

const struct map_kind MAP_OF_FALLBACK = {
    .path = fallback_path,
    .make = make_fallback,
    .comment = "Where requests go while no agent answers. Written by owui-spoa.",
    .collect_ms = 50,
    .loaded = "fallback_loaded",
    .not_loaded = "fallback_not_loaded",
    .not_written = "fallback_not_written",
};

static const char *decisions_path(const struct hap_config *haproxy)
{
    return haproxy->decision_map;
}

static struct runtime_map *make_decisions(const struct snapshot *snapshot, bool *changes)
{
    struct runtime_map *map = memory_new(sizeof(*map));
    *changes = false;
    if (snapshot->stamp_size == 0)
        return map;
    map->entries = memory_new(sizeof(*map->entries));
    map->entries[0] = (struct runtime_map_entry){
        .key = memory_copy_text(SLICE("now")),
        .value = memory_copy_text(slice_from(snapshot->stamp, snapshot->stamp_size)),
    };
    map->count = 1;
    return map;
}

/* What stands in the file when HAProxy starts would be somebody's word of another time. */
const struct map_kind MAP_OF_DECISIONS = {
    .path = decisions_path,
    .make = make_decisions,
    .loaded = "decisions_loaded",
    .not_loaded = "decisions_not_loaded",
    .not_written = "decisions_not_written",
};
