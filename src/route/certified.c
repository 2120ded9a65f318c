/* Which names a certificate is for: see route/certified.h. */
#include "route/certified.h"

#include <string.h>

static bool leads_to(const struct route_table *table, const char *host, const char *path,
                     const struct tenant *tenant)
{
    struct route_match match;
    route_table_find(table, slice_of(host), slice_of(path), &match);
    return match.tenant == tenant;
}

static bool has_host(const struct certified *certified, const char *host)
{
    for (size_t i = 0; i < certified->count; i++)
        if (strcmp(certified->hosts[i], host) == 0)
            return true;
    return false;
}

static void add_host(struct certified *certified, const char *host, const struct place *place)
{
    if (has_host(certified, host))
        return;
    if (certified->count < certified->room) {
        certified->hosts[certified->count++] = host;
    } else {
        certified->left_out = host;
        certified->left_out_place = place;
    }
}

void certified_hosts(const struct route_table *table, const struct tenant *tenant, size_t room,
                     struct certified *certified)
{
    assert(room <= CERTIFIED_HOSTS_MAX);
    *certified = (struct certified){.room = room};
    if (!tenant->https_redirect || tenant->instance_of != NULL)
        return;
    for (size_t i = 0; i < tenant->host_count && certified->left_out == NULL; i++) {
        const struct tenant_host *host = &tenant->hosts[i];
        if (!host->wildcard && leads_to(table, host->name, "/", tenant))
            add_host(certified, host->name, &host->place);
    }
    for (size_t i = 0; i < tenant->path_count && certified->left_out == NULL; i++) {
        const struct path_rule *path = &tenant->paths[i];
        if (!path->wildcard && leads_to(table, path->host, "/", NULL) &&
            leads_to(table, path->host, path->prefix, tenant))
            add_host(certified, path->host, &path->place);
    }
}
