/* Policies as values: see route/policy.h. */
#include "route/policy.h"

#include "core/memory.h"
#include "route/path.h"

#include <stdlib.h>

enum { PREFETCHED_RULES = 4 };

struct policy *policy_new(void)
{
    struct policy *policy = memory_new(sizeof(*policy));
    policy->references = 1;
    return policy;
}

void policy_rule_set_path(struct policy_rule *rule, struct slice path)
{
    rule->path = path.size > 0 ? memory_copy_text(path) : NULL;
    rule->path_size = path.size;
}

static char **copy_texts(char *const *texts, size_t count)
{
    char **copy = count > 0 ? memory_resize(NULL, count, sizeof(*copy)) : NULL;
    for (size_t i = 0; i < count; i++)
        copy[i] = memory_copy_text(slice_of(texts[i]));
    return copy;
}

static void copy_networks(const struct networks *networks, struct networks *copy)
{
    size_t size = networks->count * sizeof(*networks->items);
    *copy = (struct networks){0};
    if (networks->count == 0)
        return;
    copy->items = memory_new(size);
    copy->count = networks->count;
    memcpy(copy->items, networks->items, size);
}

static void copy_rule(const struct policy_rule *rule, struct policy_rule *copy)
{
    *copy = *rule;
    policy_rule_set_path(copy, slice_from(rule->path, rule->path_size));
    copy->tenant = memory_copy_optional(rule->tenant);
    copy->pool = memory_copy_optional(rule->pool);
    copy->hours = hours_copy(rule->hours);
    copy->not_hours = hours_copy(rule->not_hours);
    copy_networks(&rule->ip, &copy->ip);
    copy_networks(&rule->not_ip, &copy->not_ip);
}

struct policy *policy_clone(const struct policy *policy)
{
    struct policy *copy = memory_new(sizeof(*copy));
    *copy = *policy;
    copy->references = 1;
    copy->origins = copy_texts(policy->origins, policy->origin_count);
    copy_networks(&policy->allow_ips, &copy->allow_ips);
    copy_networks(&policy->deny_ips, &copy->deny_ips);
    copy->rules = policy->rule_count > 0
                      ? memory_resize(NULL, policy->rule_count, sizeof(*copy->rules))
                      : NULL;
    for (size_t i = 0; i < policy->rule_count; i++)
        copy_rule(&policy->rules[i], &copy->rules[i]);
    return copy;
}

struct policy *policy_ref(struct policy *policy)
{
    if (policy != NULL)
        policy->references++;
    return policy;
}

static void free_rule(struct policy_rule *rule)
{
    free(rule->path);
    free(rule->tenant);
    free(rule->pool);
    hours_free(rule->hours);
    hours_free(rule->not_hours);
    free(rule->ip.items);
    free(rule->not_ip.items);
}

void policy_unref(struct policy *policy)
{
    if (policy == NULL || --policy->references > 0)
        return;
    memory_free_texts(policy->origins, policy->origin_count);
    free(policy->allow_ips.items);
    free(policy->deny_ips.items);
    for (size_t i = 0; i < policy->rule_count; i++)
        free_rule(&policy->rules[i]);
    free(policy->rules);
    free(policy);
}

unsigned policy_needs(const struct policy *policy)
{
    if (policy == NULL)
        return POLICY_NEEDS_DEFAULT;
    unsigned needs = policy->origin_check != ORIGIN_IGNORED ? POLICY_NEEDS_ORIGIN : 0;
    if (policy->require_sni_match)
        needs |= POLICY_NEEDS_SNI;
    for (size_t i = 0; i < policy->rule_count; i++) {
        needs |= policy->rules[i].methods != 0 ? POLICY_NEEDS_METHOD : 0;
        needs |= policy->rules[i].credentials != 0 ? POLICY_NEEDS_CREDENTIAL : 0;
    }
    return needs;
}

static const struct slice METHODS[] = {{"GET", 3},   {"HEAD", 4},   {"POST", 4},   {"PUT", 3},
                                       {"PATCH", 5}, {"DELETE", 6}, {"OPTIONS", 7}};

struct slice policy_method_name(unsigned method)
{
    if (method == 0)
        return (struct slice){0};
    for (unsigned i = 0; i < COUNT_OF(METHODS); i++)
        if (method == 1u << i)
            return METHODS[i];
    return SLICE("OTHER");
}

unsigned policy_method(struct slice method)
{
    if (method.size == 0)
        return 0;
    for (unsigned i = 0; i < COUNT_OF(METHODS); i++)
        if (slice_equal(method, METHODS[i]))
            return 1u << i;
    return 1u << COUNT_OF(METHODS);
}

bool networks_contain(const struct networks *networks, const struct ip *ip)
{
    return ip_networks_contain(networks->items, networks->count, ip);
}

bool policy_allows_ip(const struct policy *policy, const struct ip *ip)
{
    if (ip == NULL)
        return policy->allow_ips.count == 0 && policy->deny_ips.count == 0;
    return (policy->allow_ips.count == 0 || networks_contain(&policy->allow_ips, ip)) &&
           !networks_contain(&policy->deny_ips, ip);
}

/* `told` is what it may be; nothing: anything. */
static bool set_matches(unsigned wanted, unsigned told, bool is_denial)
{
    if (wanted == 0)
        return true;
    if (told == 0)
        return is_denial;
    return is_denial ? (wanted & told) != 0 : (told & ~wanted) == 0;
}

static bool ip_matches(const struct policy_rule *rule, const struct policy_question *question)
{
    if (question->ip_untold && rule->ip.count + rule->not_ip.count > 0)
        return rule->deny;
    return (rule->ip.count == 0 || networks_contain(&rule->ip, &question->ip)) &&
           !networks_contain(&rule->not_ip, &question->ip);
}

static bool matches(const struct policy_rule *rule, const struct policy_question *question)
{
    return (rule->path == NULL ||
            path_covers(slice_from(rule->path, rule->path_size), question->path)) &&
           set_matches(rule->methods, question->method, rule->deny) &&
           set_matches(rule->credentials, question->credentials, rule->deny) &&
           ip_matches(rule, question) &&
           (rule->hours == NULL || hours_hold(rule->hours, question->wall_s)) &&
           (rule->not_hours == NULL || !hours_hold(rule->not_hours, question->wall_s)) &&
           (rule->share == 0 || question->share_of < rule->share);
}

const struct policy_rule *policy_find_rule(const struct policy *policy,
                                           const struct policy_question *question)
{
    for (size_t i = 0; i < policy->rule_count; i++)
        if (matches(&policy->rules[i], question))
            return &policy->rules[i];
    return NULL;
}

static bool is_own(unsigned limit)
{
    return limit != (unsigned)LIMIT_INHERITED && limit != 0;
}

void policy_complete(struct policy *policy)
{
    const struct limits *all = &policy->limits;
    for (size_t i = 0; i < policy->rule_count; i++) {
        struct limits *limits = &policy->rules[i].limits;
        policy->rules[i].counts_requests = is_own(limits->requests_per_10s);
        policy->rules[i].counts_websockets = is_own(limits->websockets);
        if (limits->requests_per_10s == (unsigned)LIMIT_INHERITED)
            limits->requests_per_10s = all->requests_per_10s;
        if (limits->websockets == (unsigned)LIMIT_INHERITED)
            limits->websockets = all->websockets;
        if (limits->max_body_bytes == (uint64_t)LIMIT_INHERITED)
            limits->max_body_bytes = all->max_body_bytes;
        if (limits->server_timeout_ms == (unsigned)LIMIT_INHERITED)
            limits->server_timeout_ms = all->server_timeout_ms;
        if (limits->tunnel_timeout_ms == (unsigned)LIMIT_INHERITED)
            limits->tunnel_timeout_ms = all->tunnel_timeout_ms;
        limits->signin_per_minute_per_ip = all->signin_per_minute_per_ip;
        limits->signin_per_minute_per_subnet = all->signin_per_minute_per_subnet;
        policy->looks_at_method |= policy->rules[i].methods != 0;
        policy->looks_at_clock |=
            policy->rules[i].hours != NULL || policy->rules[i].not_hours != NULL;
        policy->has_shares |= policy->rules[i].share != 0;
    }
}

void policy_prefetch(const struct policy *policy)
{
    prefetch(policy->rules,
             size_min(policy->rule_count, PREFETCHED_RULES) * sizeof(*policy->rules));
    if (policy->deny_ips.count > 0)
        __builtin_prefetch(policy->deny_ips.items);
}

static bool has_limits(const struct limits *limits)
{
    return limits->requests_per_10s != 0 || limits->signin_per_minute_per_ip != 0 ||
           limits->signin_per_minute_per_subnet != 0 || limits->websockets != 0 ||
           limits->max_body_bytes != 0 || limits->server_timeout_ms != 0 ||
           limits->tunnel_timeout_ms != 0;
}

bool policy_has_limits(const struct policy *policy)
{
    bool any = has_limits(&policy->limits);
    for (size_t i = 0; i < policy->rule_count; i++)
        any |= has_limits(&policy->rules[i].limits);
    return any;
}

bool policy_limits_sign_in(const struct policy *policy)
{
    return policy->limits.signin_per_minute_per_ip != 0 ||
           policy->limits.signin_per_minute_per_subnet != 0;
}

bool path_is_sign_in(struct slice path)
{
    /* Who has no more than somebody's session or key could guess the password by changing it. */
    static const char *const PATHS[] = {"/api/v1/auths/signin", "/api/v1/auths/signup",
                                        "/api/v1/auths/ldap", "/api/v1/auths/mfa",
                                        "/api/v1/auths/update/password"};
    if (slice_starts_with(path, SLICE("/oauth/")))
        return slice_ends_with(path, SLICE("/token/exchange"));
    if (!slice_starts_with(path, SLICE("/api/v1/auths/"))) /* nearly all requests */
        return false;
    for (size_t i = 0; i < COUNT_OF(PATHS); i++)
        if (path_covers(slice_of(PATHS[i]), path))
            return true;
    return slice_starts_with(path, SLICE("/api/v1/auths/oauth/")) &&
           slice_ends_with(path, SLICE("/token/exchange"));
}
