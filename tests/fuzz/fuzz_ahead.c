/* Looking ahead at what a connection has received: any bytes at all. */
#include "agent/ahead.h"
#include "core/memory.h"
#include "fuzz.h"
#include "route/path.h"

#include <stdlib.h>

enum { TENANTS = 5000 }; /* few would not be worth looking ahead for */

/* Hosts "t1.test" and so on, for some of them wildcards, too; and paths of one that they share. */
static struct tenant *make_tenant(unsigned number)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_format("t%u", number);
    tenant->host_count = 1 + number % 2;
    tenant->hosts = memory_new(tenant->host_count * sizeof(*tenant->hosts));
    for (size_t i = 0; i < tenant->host_count; i++) {
        tenant->hosts[i].name = memory_format("t%u.test", number);
        tenant->hosts[i].wildcard = i > 0;
    }
    if (number % 3 > 0)
        return tenant;
    tenant->path_count = 1;
    tenant->paths = memory_new(sizeof(*tenant->paths));
    tenant->paths[0].host = memory_format(number % 2 > 0 ? "t%u.test" : "s.test", number);
    tenant->paths[0].wildcard = number % 2 > 0;
    tenant->paths[0].prefix = memory_format(number % 5 > 0 ? "/t%u" : "/t%u/a/b", number);
    tenant->paths[0].segments = (uint8_t)path_segments(slice_of(tenant->paths[0].prefix));
    return tenant;
}

static struct snapshot *make_snapshot(void)
{
    static struct snapshot snapshot;
    static struct route_registry *registry; /* kept for the process's life */
    registry = route_registry_new();
    for (unsigned i = 0; i < TENANTS; i++)
        route_registry_put(registry, make_tenant(i), NULL, NULL);
    snapshot.table = route_registry_build(registry, 1);
    FUZZ_REQUIRE(route_table_is_large(snapshot.table));
    return &snapshot;
}

/* Whatever was guessed, what is found is what is found without a guess. */
static void check_guess(const struct route_table *table, const struct ahead_request *request,
                        const struct route_guess *guess)
{
    struct route_match guessed, match;
    static const char *const PATHS[] = {"/", "/t6", "/t15/a/b/c"};
    FUZZ_REQUIRE(guess == &request->guess);
    for (size_t i = 0; i < COUNT_OF(PATHS); i++) {
        struct slice path = slice_of(PATHS[i]);
        route_table_find_guessed(table, guess, request->guess.name, path, &guessed);
        route_table_find(table, request->guess.name, path, &match);
        FUZZ_REQUIRE(guessed.tenant == match.tenant && guessed.path == match.path);
        FUZZ_REQUIRE(guessed.host == match.host);
    }
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
        const struct ahead_request *request = &ahead.requests[i];
        check_guess(snapshot->table, request, ahead_take(&ahead, request->guess.name));
        FUZZ_REQUIRE((ahead.due[AHEAD_DONE] >> i & 1) != 0);
    }
    return 0;
}
