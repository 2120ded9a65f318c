/* Which names a certificate is for: see route/certified.h. */
#include "route/certified.h"

#include "core/ip.h"

#include <string.h>

bool certified_is_address(const char *host)
{
    struct ip ip;
    return ip_parse(slice_of(host), &ip);
}

/* The last label decides, but for home.arpa. ".lan" and those behind it are reserved by nobody, and
 * delegated to nobody. What is set aside for documents and tests is left to these. */
bool certified_is_private(const char *host)
{
    static const char *const LAST[] = {"localhost", "local", "internal", "lan",    "localdomain",
                                       "home",      "corp",  "intranet", "private"};
    struct slice name = slice_of(host);
    const char *dot = strrchr(host, '.');
    if (certified_is_address(host))
        return false;
    if (dot == NULL || slice_ends_with(name, SLICE(".home.arpa")))
        return true;
    for (size_t i = 0; i < COUNT_OF(LAST); i++)
        if (strcmp(dot + 1, LAST[i]) == 0)
            return true;
    return false;
}

static bool leads_to(const struct route_table *table, const char *host, const char *path,
                     const struct tenant *tenant)
{
    struct route_match match;
    route_table_find(table, slice_of(host), slice_of(path), &match);
    return match.tenant == tenant;
}

static bool has_host(const struct certified *certified, const struct certified_host *host)
{
    for (size_t i = 0; i < certified->count; i++)
        if (certified->hosts[i].wildcard == host->wildcard &&
            strcmp(certified->hosts[i].name, host->name) == 0)
            return true;
    return false;
}

static void add_host(struct certified *certified, const struct certified_host *host,
                     const struct place *place)
{
    if (certified_is_address(host->name) || has_host(certified, host))
        return;
    if (certified->count < certified->room) {
        certified->hosts[certified->count++] = *host;
    } else {
        certified->left_out = host->name;
        certified->left_out_place = place;
    }
}

static void add_wildcard(struct certified *certified, const struct tenant *tenant, const char *name,
                         const struct place *place)
{
    if (tenant->certificate_file != NULL)
        add_host(certified, &(struct certified_host){.name = name, .wildcard = true}, place);
    else if (certified->wildcard == NULL)
        certified->wildcard = place;
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
        if (host->wildcard)
            add_wildcard(certified, tenant, host->name, &host->place);
        else if (leads_to(table, host->name, "/", tenant))
            add_host(certified, &(struct certified_host){.name = host->name}, &host->place);
    }
    for (size_t i = 0; i < tenant->path_count && certified->left_out == NULL; i++) {
        const struct path_rule *path = &tenant->paths[i];
        if (path->wildcard)
            add_wildcard(certified, tenant, path->host, &path->place);
        else if (leads_to(table, path->host, "/", NULL) &&
                 leads_to(table, path->host, path->prefix, tenant))
            add_host(certified, &(struct certified_host){.name = path->host}, &path->place);
    }
}
