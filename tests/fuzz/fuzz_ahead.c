/* Looking ahead at what a connection has received: any bytes at all. */
#include "agent/ahead.h"
#include "core/memory.h"
#include "fuzz.h"

#include <stdlib.h>

enum { TENANTS = 20000 }; /* few would not be worth looking ahead for */

static struct snapshot *make_snapshot(void)
{
    static struct snapshot snapshot;
    static struct route_registry *registry; /* kept for the process's life */
    registry = route_registry_new();
    for (unsigned i = 0; i < TENANTS; i++) {
        struct tenant *tenant = tenant_new();
        tenant->name = memory_format("t%u", i);
        tenant->hosts = memory_new(sizeof(*tenant->hosts));
        tenant->hosts[0].name = memory_format("t%u.test", i);
        tenant->host_count = 1;
        route_registry_put(registry, tenant, NULL, NULL);
    }
    snapshot.table = route_registry_build(registry, 1);
    FUZZ_REQUIRE(route_table_is_large(snapshot.table));
    return &snapshot;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct snapshot *snapshot;
    if (snapshot == NULL)
        snapshot = make_snapshot();
    const struct slice received[] = {slice_from(data, size / 2),
                                     slice_from(data + size / 2, size - size / 2)};
    static struct ahead ahead;
    answer_ahead(snapshot, received, 1 + size % 2, &ahead);
    FUZZ_REQUIRE(ahead.count <= AHEAD_MAX && ahead.count * 20 <= size);
    for (unsigned i = 0; i < ahead.count; i++) {
        const struct route_entry *guess = ahead_take(&ahead, ahead.hosts[i]);
        FUZZ_REQUIRE(guess == ahead.guesses[i] && i < ahead.settled);
    }
    return 0;
}
