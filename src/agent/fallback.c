/* The map for the time without an agent: see agent/fallback.h. */
#include "agent/fallback.h"

#include "core/memory.h"
#include "core/text_stream.h"
#include "limits.h"
#include "route/label.h"
#include "route/replica.h"

#include <stdio.h>
#include <stdlib.h>

static const char REFUSED[] = "-";

struct builder {
    const struct route_table *table;
    struct runtime_map *map;
    size_t capacity;
    int64_t now_s;
    struct slice host; /* what leads there is all that is wanted; empty: all of the map */
    bool changes;
};

static bool is_wanted(const struct builder *builder, const char *host, bool is_wildcard)
{
    struct slice wanted = builder->host;
    if (is_wildcard)
        wanted = slice_skip(wanted, size_min(wanted.size, slice_before(wanted, '.').size + 1));
    return builder->host.size == 0 || slice_equal(slice_of(host), wanted);
}

static void add(struct builder *builder, char *key, char *value)
{
    struct runtime_map *map = builder->map;
    if (map->count == builder->capacity) {
        builder->capacity = builder->capacity * 2 + 64;
        map->entries = memory_resize(map->entries, builder->capacity, sizeof(*map->entries));
    }
    map->entries[map->count++] = (struct runtime_map_entry){key, value};
}

/* -- What stands in the way ------------------------------------------------------------------- */

static bool is_window_over(const struct maintenance *maintenance, int64_t now_s)
{
    return !maintenance->has_window || now_s >= maintenance->to_s;
}

static const char *outage_obstacle(const struct tenant *tenant, int64_t now_s)
{
    if (tenant->suspended != NULL)
        return "suspended";
    /* Nobody would be there to begin a window. */
    if (tenant->maintenance != NULL &&
        (tenant->maintenance->on || !is_window_over(tenant->maintenance, now_s)))
        return "maintenance";
    return NULL;
}

static const char *identity_obstacle(const struct identity_rule *rule)
{
    if (rule == NULL)
        return NULL;
    if (rule->required)
        return "an identity is required";
    if (rule->from == IDENTITY_FROM_SHARED || rule->domain_count > 0)
        return "users are told apart by e-mail domain";
    return NULL;
}

static const char *policy_obstacle(const struct policy *policy)
{
    if (policy == NULL)
        return NULL;
    if (policy->allow_ips.count > 0 || policy->deny_ips.count > 0)
        return "clients' addresses are looked at";
    if (policy->rule_count > 0)
        return "routes";
    if (policy->require_sni_match)
        return "the handshake's name must match";
    if (policy->origin_check == ORIGIN_REQUIRED)
        return "an Origin is required";
    return NULL;
}

static const char *header_obstacle(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct template *value = &tenant->headers[i].value;
        if (value->dynamic && !value->has_identity)
            return "a header depends on the request";
    }
    return NULL;
}

/* The replica that takes all, the first of the best: without the agent nobody is kept at one. Those
 * of a route's pool are for that alone. */
static const struct replica *find_replica(const struct replica_set *set)
{
    const struct replica *best = NULL;
    int best_grade = -1;
    for (size_t i = 0; i < set->count; i++) {
        const struct replica *replica = &set->items[i];
        int grade = 2 * (replica_share(replica) > 0) + !replica->draining;
        bool is_pooled = set->pooled >> i & 1;
        if (is_pooled || replica->upstream.address.family == IP_NONE || grade <= best_grade)
            continue;
        best = replica;
        best_grade = grade;
    }
    return best;
}

static const struct upstream *find_upstream(const struct tenant *tenant)
{
    const struct upstream *upstream = &tenant->upstream;
    if (tenant->replicas != NULL) {
        const struct replica *replica = find_replica(tenant->replicas);
        upstream = replica != NULL ? &replica->upstream : NULL;
    }
    return upstream != NULL && upstream->address.family != IP_NONE ? upstream : NULL;
}

/* All but the address, which a label's instance has and its parent has not. */
static const char *rule_obstacle(const struct tenant *tenant, int64_t now_s)
{
    const char *why = outage_obstacle(tenant, now_s);
    if (why == NULL)
        why = identity_obstacle(tenant->identity);
    if (why == NULL)
        why = policy_obstacle(tenant->policy);
    if (why == NULL)
        why = header_obstacle(tenant);
    if (why == NULL && tenant->label != NULL)
        why = "labels are looked at";
    return why;
}

const char *fallback_obstacle(const struct tenant *tenant, int64_t now_s)
{
    const char *why = rule_obstacle(tenant, now_s);
    if (why != NULL)
        return why;
    if (tenant->host_count == 0 && tenant->instance_of == NULL)
        return "it has no host of its own";
    if (tenant->backend != NULL)
        return NULL;
    if (tenant->upstream.per_label)
        return "its upstream depends on the label";
    return find_upstream(tenant) == NULL ? "no address is known" : NULL;
}

/* -- Values ----------------------------------------------------------------------------------- */

static void put_upstream(const struct tenant *tenant, FILE *out)
{
    char ip_text[IP_TEXT_SIZE];
    if (tenant->backend != NULL) {
        fprintf(out, "/backend/%s/0/-", tenant->backend);
        return;
    }
    const struct upstream *upstream = find_upstream(tenant);
    fprintf(out, "/%s/%s/%u/%s", upstream_scheme_name(upstream->scheme),
            ip_print(&upstream->address, ip_text), upstream->port,
            upstream->server_name != NULL ? upstream->server_name : "-");
}

static void put_stripped(const struct tenant *tenant, FILE *out)
{
    fputs("/.", out);
    for (size_t i = 0; i < tenant->header_count; i++)
        if (tenant->headers[i].value.has_identity)
            fprintf(out, "%s.", tenant->headers[i].variable + 2);
}

/* As with an agent, each label counts by itself. */
static void put_limits(const struct tenant *tenant, const struct tenant *shown, FILE *out)
{
    char buffer[LIMITS_TEXT_MAX_BYTES];
    if (shown->policy != NULL && policy_has_limits(shown->policy))
        fprintf(out, "/%.*s", SLICE_PRINT(limits_text(tenant, shown->policy, NULL, true, buffer)));
}

/* `shown` is whose requests they are: an instance's are its parent's. */
static char *make_value(const struct tenant *tenant, const struct tenant *shown)
{
    struct text_stream value;
    text_stream_open(&value);
    FILE *out = value.out;
    fputs(shown->name, out);
    put_upstream(tenant, out);
    fprintf(out, "/%c", shown->https_redirect ? 's' : 'p');
    put_stripped(shown, out);
    put_limits(tenant, shown, out);
    return text_stream_close(&value);
}

/* -- Entries ---------------------------------------------------------------------------------- */

/* Names that a request's Host is compared with: no address in brackets. */
static bool is_plain_host(const char *name)
{
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(name);
}

static char *make_key(const char *host, bool is_wildcard)
{
    return memory_format(is_wildcard ? "%s/*" : "%s", host);
}

static void add_hosts(struct builder *builder, const struct tenant *tenant)
{
    const char *why = fallback_obstacle(tenant, builder->now_s);
    for (size_t i = 0; i < tenant->host_count; i++) {
        const struct tenant_host *host = &tenant->hosts[i];
        if (is_wanted(builder, host->name, host->wildcard) && is_plain_host(host->name))
            add(builder, make_key(host->name, host->wildcard),
                why == NULL ? make_value(tenant, tenant) : memory_copy_text(slice_of(REFUSED)));
    }
    /* Whose a path is, the map does not know. */
    for (size_t i = 0; i < tenant->path_count; i++) {
        const struct path_rule *path = &tenant->paths[i];
        if (is_wanted(builder, path->host, path->wildcard) && is_plain_host(path->host))
            add(builder, make_key(path->host, path->wildcard), memory_copy_text(slice_of(REFUSED)));
    }
}

static void add_headers(struct builder *builder, const struct tenant *tenant)
{
    char buffer[HEADER_VALUE_MAX_BYTES + TENANT_NAME_MAX_BYTES * TEMPLATE_MAX_PARTS];
    const struct template_values values = {.value = {[HEADER_TENANT] = slice_of(tenant->name)}};
    if (builder->host.size > 0 || tenant->header_count == 0 ||
        fallback_obstacle(tenant, builder->now_s) != NULL)
        return;
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct header *header = &tenant->headers[i];
        struct writer value = writer_of(buffer, sizeof(buffer));
        if (header->value.has_identity)
            continue;
        template_write(&header->value, &values, &value);
        assert(!value.failed);
        if (writer_used(&value) > 0)
            add(builder, memory_format("%s/%s", tenant->name, header->variable),
                memory_copy_text(writer_written(&value)));
    }
}

/* Whether all of the host is what the parent's wildcard leads there. */
static bool is_whole(const struct builder *builder, const struct tenant *parent, const char *host)
{
    struct route_match match;
    route_table_find(builder->table, slice_of(host), SLICE("/"), &match);
    return match.tenant == parent && !match.host_has_paths;
}

/* A label's own instance: an exact host for each wildcard of its parent. */
static void add_instance(struct builder *builder, const struct tenant *instance)
{
    const struct tenant *parent = instance->instance_of;
    const char *label = strchr(instance->name, '/');
    if (label == NULL || rule_obstacle(parent, builder->now_s) != NULL ||
        find_upstream(instance) == NULL)
        return;
    for (size_t i = 0; i < parent->host_count; i++) {
        const struct tenant_host *host = &parent->hosts[i];
        if (!host->wildcard)
            continue;
        char *name = memory_format("%s.%s", label + 1, host->name);
        if (is_wanted(builder, name, false) && is_plain_host(name) &&
            is_whole(builder, parent, name))
            add(builder, name, make_value(instance, parent));
        else
            free(name);
    }
}

static void add_tenant(void *context, const struct tenant *tenant)
{
    struct builder *builder = context;
    if (tenant->instance_of != NULL) {
        add_instance(builder, tenant);
        return;
    }
    builder->changes |=
        tenant->replicas != NULL || (tenant->maintenance != NULL && !tenant->maintenance->on &&
                                     !is_window_over(tenant->maintenance, builder->now_s));
    add_hosts(builder, tenant);
    add_headers(builder, tenant);
}

/* -- The whole -------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    const struct runtime_map_entry *left = a, *right = b;
    return strcmp(left->key, right->key);
}

static const char *find_value(const struct runtime_map *map, char *key)
{
    struct runtime_map_entry wanted = {.key = key};
    const struct runtime_map_entry *found =
        map->count > 0 ? bsearch(&wanted, map->entries, map->count, sizeof(wanted), compare_keys)
                       : NULL;
    free(key);
    return found != NULL ? found->value : NULL;
}

/* A header's value may be anything. */
static bool is_refused(const struct runtime_map_entry *entry)
{
    return strcmp(entry->value, REFUSED) == 0 && strstr(entry->key, "/h_") == NULL;
}

static void free_entry(struct runtime_map_entry *entry)
{
    free(entry->key);
    free(entry->value);
}

/* What two claim is nobody's: who of them had it first, only the registry knows. */
static void merge_claims(struct runtime_map *map)
{
    size_t kept = 0;
    for (size_t i = 0; i < map->count; i++) {
        struct runtime_map_entry *last = kept > 0 ? &map->entries[kept - 1] : NULL;
        if (last == NULL || strcmp(last->key, map->entries[i].key) != 0) {
            map->entries[kept++] = map->entries[i];
            continue;
        }
        if (strcmp(last->value, map->entries[i].value) != 0) {
            free(last->value);
            last->value = memory_copy_text(slice_of(REFUSED));
        }
        free_entry(&map->entries[i]);
    }
    map->count = kept;
}

/* Whether a wildcard would lead the host to some tenant. */
static bool is_below_wildcard(const struct runtime_map *map, const char *host)
{
    const char *dot = strchr(host, '.');
    if (dot == NULL)
        return false;
    return find_value(map, make_key(dot + 1, true)) != NULL;
}

/* Who is not in the map is refused anyway. */
static void drop_needless(struct runtime_map *map)
{
    size_t kept = 0;
    struct runtime_map all = *map;
    bool *needless = memory_new(map->count + 1);
    for (size_t i = 0; i < all.count; i++)
        needless[i] = is_refused(&all.entries[i]) && !is_below_wildcard(&all, all.entries[i].key);
    for (size_t i = 0; i < all.count; i++)
        if (needless[i])
            free_entry(&all.entries[i]);
        else
            map->entries[kept++] = all.entries[i];
    map->count = kept;
    free(needless);
}

static struct runtime_map *build(struct builder *builder)
{
    struct runtime_map *map = memory_new(sizeof(*map));
    builder->map = map;
    route_table_each_tenant(builder->table, add_tenant, builder);
    if (map->count > 0)
        qsort(map->entries, map->count, sizeof(*map->entries), compare_keys);
    merge_claims(map);
    drop_needless(map);
    return map;
}

struct runtime_map *fallback_map(const struct route_table *table, int64_t now_s, bool *changes)
{
    struct builder builder = {.table = table, .now_s = now_s};
    struct runtime_map *map = build(&builder);
    *changes = builder.changes;
    return map;
}

/* Why it is not in the map, though its tenant could be. */
static const char *host_obstacle(bool is_plain)
{
    return is_plain ? "paths of the host are others', or it has more than one claimant"
                    : "the host's name has other bytes than letters, digits, '-' and '.'";
}

char *fallback_text(const struct route_table *table, const struct tenant *tenant, struct slice host,
                    int64_t now_s)
{
    const char *why = fallback_obstacle(tenant, now_s);
    if (why != NULL && !tenant->upstream.per_label)
        return memory_format("refused: %s", why);
    struct builder builder = {.table = table, .now_s = now_s, .host = host};
    struct runtime_map *map = build(&builder);
    struct slice below = slice_skip(host, slice_before(host, '.').size);
    char *name = memory_copy_text(host);
    bool is_plain = is_plain_host(name);
    const char *value = find_value(map, name);
    if (value == NULL && is_plain && below.size > 0)
        value = find_value(map, memory_format("%.*s/*", SLICE_PRINT(slice_skip(below, 1))));
    bool is_served = value != NULL && strcmp(value, REFUSED) != 0;
    char *text = is_served     ? memory_format("forwarded by the fallback map: %s", value)
                 : why != NULL ? memory_format("refused: %s", why)
                               : memory_format("refused: %s", host_obstacle(is_plain));
    runtime_map_free(map);
    return text;
}
