/* One tenant of the sources: its addresses, and how it comes in force. */
#include "sources_shared.h"

#include "agent/answer.h"
#include "conf/own_address.h"
#include "core/hash.h"
#include "core/memory.h"
#include "route/label_map.h"

#include <stdlib.h>

uint64_t sources_address_hash(const struct tenant *tenant)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        const struct upstream *upstream = tenant_upstream_peek(tenant, i);
        const struct ip *address = &upstream->address;
        if (address->family != IP_NONE && upstream_has_name(upstream))
            hash ^= hash_content(slice_from(address->bytes, sizeof(address->bytes)),
                                 address->family + i * 4);
    }
    return hash;
}

bool sources_can_serve(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++)
        if (tenant_upstream_peek(tenant, i)->address.family != IP_NONE)
            return true;
    return tenant_upstream_count(tenant) == 0;
}

/* Takes the addresses that are known now. False while no upstream of the tenant has one. */
static bool resolve(struct sources *sources, struct tenant *tenant)
{
    tenant->content_hash ^= sources_address_hash(tenant);
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        struct upstream *upstream = tenant_upstream_at(tenant, i);
        struct ip address;
        if (upstream_has_name(upstream) &&
            sources->needs.resolve(sources->needs.context, upstream->host, &address) &&
            own_address_allowed(sources->configuration, &address, upstream->port))
            upstream->address = address;
    }
    tenant->content_hash ^= sources_address_hash(tenant);
    return sources_can_serve(tenant);
}

void sources_drop_parked(struct sources *sources, const char *name)
{
    tenant_free(parked_take(&sources->parked, name));
}

struct putting {
    struct sources *sources;
    struct diagnostics *diagnostics;
};

static void on_conflict(void *context, const struct route_conflict *conflict)
{
    const struct putting *putting = context;
    diagnostics_add_conflict(putting->diagnostics, conflict);
    sources_note_contest(putting->sources, conflict->key);
}

bool sources_put(struct sources *sources, struct tenant *tenant, struct diagnostics *diagnostics)
{
    struct putting putting = {sources, diagnostics};
    struct error_text why;
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(tenant->name));
    if (existing != NULL && existing->labels != NULL && tenant->labels != NULL)
        label_map_keep(tenant->labels, existing->labels);
    bool is_resolved = resolve(sources, tenant);
    if (answer_prepare(tenant, &why) != ERROR_OK) {
        diagnostics_add_code(diagnostics, CODE_ANSWER_TOO_BIG, &tenant->place, NULL,
                             "tenant \"%s\": %s", tenant->name, why.text);
        tenant_free(tenant);
        return false;
    }
    unsigned needs = configuration_arguments_for(tenant);
    sources->counts.wants_arguments |= (needs & ~sources->arguments) != 0;
    sources->arguments |= needs;
    sources_drop_parked(sources, tenant->name);
    if (!is_resolved && existing != NULL && sources_can_serve(existing)) {
        parked_put(&sources->parked, tenant);
        return true;
    }
    sources->needs.on_tenant(sources->needs.context, tenant);
    route_registry_put(sources->registry, tenant, on_conflict, &putting);
    return true;
}

void sources_settle_parked(struct sources *sources, struct diagnostics *diagnostics)
{
    for (size_t i = sources->parked.count; i-- > 0;) {
        struct tenant *tenant = parked_at(&sources->parked, i);
        if (!resolve(sources, tenant))
            continue;
        /* One that has been looked at takes its place. */
        (void)!parked_take(&sources->parked, tenant->name);
        if (sources_put(sources, tenant, diagnostics))
            sources->counts.changed++; /* its name was noted when it was parked */
    }
}

void sources_put_moved(struct sources *sources, struct tenant *moved)
{
    struct error_text why;
    if (answer_prepare(moved, &why) != ERROR_OK) {
        /* Room for an address was left when the tenant was first prepared. */
        assert(false);
        tenant_free(moved);
        return;
    }
    sources->needs.on_tenant(sources->needs.context, moved);
    route_registry_put(sources->registry, moved, NULL, NULL);
}

void sources_refresh_addresses(struct sources *sources, const struct tenant *tenant)
{
    struct tenant *moved = tenant_clone(tenant);
    if (!resolve(sources, moved))
        tenant_free(moved);
    else
        sources_put_moved(sources, moved);
}
