/* Tenants as values: see route/tenant.h. */
#include "route/tenant.h"

#include "core/memory.h"
#include "core/packed.h"
#include "route/label.h"
#include "route/label_map.h"
#include "route/replica.h"

#include <stdlib.h>

static_assert(sizeof(struct tenant_brief) == 2 * CACHE_LINE_BYTES,
              "what decisions read is no longer two cache lines");
static_assert(offsetof(struct tenant, header_count) < CACHE_LINE_BYTES,
              "what decisions about features read is no longer a cache line");

static const char *const SCHEME_NAMES[] = {
    [UPSTREAM_HTTP] = "http",
    [UPSTREAM_HTTPS] = "https",
    [UPSTREAM_HTTPS_NO_VERIFY] = "https-noverify",
};

static const char *const SCHEME_PORTS[] = {
    [UPSTREAM_HTTP] = "to_http",
    [UPSTREAM_HTTPS] = "to_https",
    [UPSTREAM_HTTPS_NO_VERIFY] = "to_noverify",
};

const char *upstream_scheme_name(enum upstream_scheme scheme)
{
    assert(scheme < COUNT_OF(SCHEME_NAMES));
    return SCHEME_NAMES[scheme];
}

const char *upstream_scheme_port(enum upstream_scheme scheme)
{
    assert(scheme < COUNT_OF(SCHEME_PORTS));
    return SCHEME_PORTS[scheme];
}

bool tenant_name_valid(struct slice name)
{
    if (name.size == 0 || name.size > TENANT_NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool inner = i > 0 && i < name.size - 1 && (c == '.' || c == '_' || c == '-');
        if (!ascii_is_lower(c) && !ascii_is_digit(c) && !inner)
            return false;
    }
    return true;
}

/* Room for `count` things, or NULL for none, as an empty list is. */
static void *new_list(size_t count, size_t size)
{
    return count > 0 ? memory_resize(NULL, count, size) : NULL;
}

static void copy_path(const struct path_rule *rule, struct path_rule *copy)
{
    *copy = *rule;
    copy->host = memory_copy_optional(rule->host);
    copy->prefix = memory_copy_optional(rule->prefix);
    copy->only = new_list(rule->only_count, sizeof(*copy->only));
    for (size_t i = 0; i < rule->only_count; i++)
        copy->only[i] = memory_copy_optional(rule->only[i]);
}

void upstream_copy(const struct upstream *upstream, struct upstream *copy)
{
    *copy = *upstream;
    copy->host = memory_copy_optional(upstream->host);
    copy->server_name = memory_copy_optional(upstream->server_name);
    template_copy(&upstream->host_template, &copy->host_template);
}

void upstream_fini(struct upstream *upstream)
{
    free(upstream->host);
    free(upstream->server_name);
    template_fini(&upstream->host_template);
}

unsigned tenant_response_set(const struct tenant *tenant)
{
    return (tenant->secures_cookies ? RESPONSE_SECURE_COOKIES : 0u) |
           (tenant->nosniffs ? RESPONSE_NOSNIFF : 0u);
}

bool upstream_has_name(const struct upstream *upstream)
{
    struct ip literal;
    return upstream->host != NULL && !ip_parse(slice_of(upstream->host), &literal);
}

static char *format_url(const struct upstream *upstream, const char *host, const char *path)
{
    return memory_format(strchr(host, ':') != NULL ? "%s://[%s]:%u%s" : "%s://%s:%u%s",
                         upstream->scheme == UPSTREAM_HTTP ? "http" : "https", host,
                         (unsigned)upstream->port, path);
}

char *upstream_url(const struct upstream *upstream)
{
    return format_url(upstream, upstream->host != NULL ? upstream->host : "(by label)", "");
}

char *upstream_check_url(const struct upstream *upstream, const char *path)
{
    bool has_name = upstream->scheme != UPSTREAM_HTTP && upstream->server_name != NULL;
    return format_url(upstream, has_name ? upstream->server_name : upstream->host, path);
}

size_t tenant_upstream_count(const struct tenant *tenant)
{
    if (tenant->backend != NULL || tenant->upstream.per_label)
        return 0;
    return tenant->replicas != NULL ? tenant->replicas->count : 1;
}

const struct upstream *tenant_upstream_peek(const struct tenant *tenant, size_t index)
{
    assert(index < tenant_upstream_count(tenant));
    return tenant->replicas != NULL ? &tenant->replicas->items[index].upstream : &tenant->upstream;
}

struct upstream *tenant_upstream_at(struct tenant *tenant, size_t index)
{
    assert(index < tenant_upstream_count(tenant));
    return tenant->replicas != NULL ? &tenant->replicas->items[index].upstream : &tenant->upstream;
}

static struct check_rule *copy_check(const struct check_rule *check)
{
    if (check == NULL)
        return NULL;
    struct check_rule *copy = memory_new(sizeof(*copy));
    *copy = *check;
    copy->path = memory_copy_optional(check->path);
    copy->fallback = memory_copy_optional(check->fallback);
    return copy;
}

static void free_check(struct check_rule *check)
{
    if (check == NULL)
        return;
    free(check->path);
    free(check->fallback);
    free(check);
}

static void copy_lists(const struct tenant *tenant, struct tenant *copy)
{
    copy->hosts = new_list(tenant->host_count, sizeof(*copy->hosts));
    for (size_t i = 0; i < tenant->host_count; i++) {
        copy->hosts[i] = tenant->hosts[i];
        copy->hosts[i].name = memory_copy_optional(tenant->hosts[i].name);
    }
    copy->paths = new_list(tenant->path_count, sizeof(*copy->paths));
    for (size_t i = 0; i < tenant->path_count; i++)
        copy_path(&tenant->paths[i], &copy->paths[i]);
    copy->headers = new_list(tenant->header_count, sizeof(*copy->headers));
    for (size_t i = 0; i < tenant->header_count; i++)
        header_copy(&tenant->headers[i], &copy->headers[i]);
}

struct tenant *tenant_new(void)
{
    struct tenant *tenant = packed_new(sizeof(*tenant));
    tenant->brief = packed_new(sizeof(*tenant->brief));
    tenant->brief->tenant = tenant;
    return tenant;
}

static void drop_answer(struct tenant_brief *brief)
{
    if (brief->is_far)
        free(brief->far);
    brief->is_far = false;
}

uint8_t *tenant_prepare(struct tenant *tenant, size_t size)
{
    struct tenant_brief *brief = tenant->brief;
    drop_answer(brief);
    brief->is_far = size > sizeof(brief->near);
    if (!brief->is_far)
        return brief->near;
    brief->far = memory_new(size);
    return brief->far;
}

struct tenant *tenant_clone(const struct tenant *tenant)
{
    struct tenant *copy = tenant_new();
    struct tenant_brief *brief = copy->brief;
    *copy = *tenant;
    copy->brief = brief;
    brief->count_place = tenant->brief->count_place;
    copy->name = memory_copy_optional(tenant->name);
    copy_lists(tenant, copy);
    copy->identity = identity_rule_copy(tenant->identity);
    copy->label = label_pattern_ref(tenant->label);
    copy->labels = label_map_ref(tenant->labels);
    copy->policy = policy_ref(tenant->policy);
    copy->backend = memory_copy_optional(tenant->backend);
    copy->certificate_file = memory_copy_optional(tenant->certificate_file);
    copy->active_version = memory_copy_optional(tenant->active_version);
    copy->check = copy_check(tenant->check);
    copy->health = replica_health_ref(tenant->health);
    if (tenant->replicas != NULL)
        copy->replicas = replica_set_clone(tenant->replicas);
    upstream_copy(&tenant->upstream, &copy->upstream);
    copy->hsts = memory_copy_optional(tenant->hsts);
    copy->maintenance = maintenance_copy(tenant->maintenance);
    copy->suspended = suspension_copy(tenant->suspended);
    copy->prepared_limits = NULL;
    copy->prepared_limit_count = 0;
    return copy;
}

static void free_path(struct path_rule *rule)
{
    free(rule->host);
    free(rule->prefix);
    memory_free_texts(rule->only, rule->only_count);
}

void tenant_drop_prepared_limits(struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->prepared_limit_count; i++)
        free(tenant->prepared_limits[i].bytes);
    free(tenant->prepared_limits);
    tenant->prepared_limits = NULL;
    tenant->prepared_limit_count = 0;
}

void tenant_free(struct tenant *tenant)
{
    if (tenant == NULL)
        return;
    for (size_t i = 0; i < tenant->host_count; i++)
        free(tenant->hosts[i].name);
    for (size_t i = 0; i < tenant->path_count; i++)
        free_path(&tenant->paths[i]);
    for (size_t i = 0; i < tenant->header_count; i++)
        header_fini(&tenant->headers[i]);
    free(tenant->certificate_file);
    free(tenant->active_version);
    free(tenant->hosts);
    free(tenant->paths);
    free(tenant->headers);
    free(tenant->name);
    identity_rule_free(tenant->identity);
    label_pattern_unref(tenant->label);
    label_map_unref(tenant->labels);
    policy_unref(tenant->policy);
    tenant_drop_prepared_limits(tenant);
    free(tenant->backend);
    upstream_fini(&tenant->upstream);
    free(tenant->hsts);
    maintenance_free(tenant->maintenance);
    suspension_free(tenant->suspended);
    free_check(tenant->check);
    replica_health_unref(tenant->health);
    replica_set_free(tenant->replicas);
    drop_answer(tenant->brief);
    packed_free(tenant->brief, sizeof(*tenant->brief));
    packed_free(tenant, sizeof(*tenant));
}

size_t tenant_longest_host_bytes(const struct tenant *tenant)
{
    size_t longest = 0;
    for (size_t i = 0; i < tenant->host_count; i++) {
        size_t size = strlen(tenant->hosts[i].name);
        if (tenant->hosts[i].wildcard)
            size += LABEL_MAX_BYTES + 1;
        longest = size > longest ? size : longest;
    }
    for (size_t i = 0; i < tenant->path_count; i++) {
        size_t size = strlen(tenant->paths[i].host);
        if (tenant->paths[i].wildcard)
            size += LABEL_MAX_BYTES + 1;
        longest = size > longest ? size : longest;
    }
    return size_min(longest, HOST_MAX_BYTES);
}

bool tenant_strips(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->path_count; i++)
        if (tenant->paths[i].mode == PATH_STRIP)
            return true;
    return false;
}
