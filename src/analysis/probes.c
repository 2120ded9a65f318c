/* What two configurations are asked: see probes.h. */
#include "probes.h"

#include "core/memory.h"
#include "core/time_text.h"
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS = 16 }; /* that replicas are shared out among */

/* RFC 5737: a client from the Internet. */
static const struct ip SOMEBODY = {.family = IP_V4, .bytes = {198, 51, 100, 1}};
#define BEHIND_A_PROXY "203.0.113.77"

/* -- One probe --------------------------------------------------------------------------------- */

static void add_option(struct probe *probe, const char *option, const char *value)
{
    bool is_plain = strchr(value, ' ') == NULL;
    char *longer =
        memory_format("%s%s%s %s%s%s", probe->options, *probe->options != '\0' ? " " : "", option,
                      is_plain ? "" : "'", value, is_plain ? "" : "'");
    free(probe->options);
    probe->options = longer;
}

static void add_header_option(struct probe *probe, const char *name, const char *value)
{
    char *line = memory_format("%s: %s", name, value);
    add_option(probe, "--header", line);
    free(line);
}

/* What differs from a page that somebody asks for. */
static void describe(struct probe *probe)
{
    char text[IP_TEXT_SIZE], time[TIME_TEXT_SIZE];
    if (strcmp(probe->method, "GET") != 0)
        add_option(probe, "--method", probe->method);
    if (!ip_equal(&probe->from, &SOMEBODY))
        add_option(probe, "--from", ip_print(&probe->from, text));
    if (probe->forwarded != NULL)
        add_header_option(probe, client_source_header(probe->source), probe->forwarded);
    if (probe->credential == CREDENTIAL_API_KEY)
        add_header_option(probe, "Authorization", "Bearer sk-");
    if (probe->credential == CREDENTIAL_SESSION)
        add_header_option(probe, "Authorization", "Bearer eyJ");
    if (probe->replica_cookie[0] != '\0') {
        char *cookie = memory_format("owui_replica=%s", probe->replica_cookie);
        add_header_option(probe, "Cookie", cookie);
        free(cookie);
    }
    if (probe->share_cookie[0] != '\0') {
        char *cookie = memory_format("owui_share=%s", probe->share_cookie);
        add_header_option(probe, "Cookie", cookie);
        free(cookie);
    }
    if (probe->is_socket)
        add_header_option(probe, "Upgrade", "websocket");
    if (probe->origin != NULL)
        add_header_option(probe, "Origin", probe->origin);
    if (probe->is_astray)
        add_option(probe, "--sni", "other.invalid");
    if (probe->wall_s != 0)
        add_option(probe, "--at", time_text_print(probe->wall_s, time));
}

/* Copies `like`, whose url and options are not looked at. */
static void add(struct probes *probes, const struct probe *like, char *url)
{
    if (probes->count == probes->capacity) {
        probes->capacity = probes->capacity * 2 + 64;
        probes->items = memory_resize(probes->items, probes->capacity, sizeof(*probes->items));
    }
    struct probe *probe = &probes->items[probes->count++];
    *probe = *like;
    probe->url = url;
    probe->options = memory_copy_text((struct slice){0});
    if (like->origin != NULL)
        probe->origin = memory_copy_text(slice_of(like->origin));
    if (like->forwarded != NULL)
        probe->forwarded = memory_copy_text(slice_of(like->forwarded));
    if (probe->from.family == IP_NONE)
        probe->from = SOMEBODY;
    if (probe->method == NULL)
        probe->method = "GET";
    describe(probe);
}

struct request probe_request(const struct probe *probe)
{
    struct request request = {
        .client = {.peer = probe->from},
        .method = slice_of(probe->method),
        .origin = slice_of(probe->origin),
        .replica_cookie = slice_of(probe->replica_cookie),
        .share_cookie = slice_of(probe->share_cookie),
        .wall_s = probe->wall_s,
        .credential_told = true,
    };
    struct slice rest = slice_of(probe->url);
    request.client.peer_tls = slice_starts_with(rest, SLICE("https://"));
    rest = slice_skip(rest, request.client.peer_tls ? 8 : 7);
    size_t host_size = strcspn(rest.data, "/");
    request.host = slice_head(rest, host_size);
    request.path = slice_skip(rest, host_size);
    if (request.client.peer_tls)
        request.sni = probe->is_astray ? SLICE("other.invalid") : request.host;
    if (probe->is_socket)
        request.upgrade = SLICE("websocket");
    if (probe->credential == CREDENTIAL_API_KEY)
        request.bearer = SLICE("Bearer sk-");
    if (probe->credential == CREDENTIAL_SESSION)
        request.bearer = SLICE("Bearer eyJ");
    if (probe->forwarded != NULL) {
        request.client.lines[probe->source][0] = slice_of(probe->forwarded);
        request.client.line_count[probe->source] = 1;
    }
    return request;
}

/* A page, the API, the socket. */
static const char *const PATHS[] = {"/", "/api/config", "/ws/socket.io/"};

/* -- Hosts and paths --------------------------------------------------------------------------- */

static void add_both(struct probes *probes, const char *label, const char *host, const char *path)
{
    static const char *const SCHEMES[] = {"https", "http"};
    const struct probe plain = {.wall_s = 0};
    for (size_t i = 0; i < COUNT_OF(SCHEMES); i++)
        add(probes, &plain,
            memory_format("%s://%s%s%s%s", SCHEMES[i], label, *label != '\0' ? "." : "", host,
                          path));
}

/* What stands in front of a host; "": nothing. */
static const char *label_of(const struct tenant *tenant, bool wildcard)
{
    return wildcard ? verdict_label(tenant) : "";
}

/* Each path with what it takes and, where it takes not all, something else. */
static void add_path(struct probes *probes, const struct tenant *tenant,
                     const struct path_rule *rule)
{
    const char *label = label_of(tenant, rule->wildcard);
    add_both(probes, label, rule->host, rule->prefix);
    for (size_t i = 0; i <= rule->only_count; i++) {
        char *path =
            memory_format("%s%s", rule->prefix, i < rule->only_count ? rule->only[i] : "/other");
        add_both(probes, label, rule->host, path);
        free(path);
    }
}

/* Where all of a tenant is, and a client that it lets in. */
struct base {
    const char *label;
    const char *host;
    const char *prefix;  /* what comes before a path as the tenant's upstream sees it */
    const char *root[2]; /* one after the other, a path that is the tenant's */
    struct ip client;
};

/* A path that makes no difference to what is asked about. */
#define ROOT NULL

/* An address of the network, which the network's own often is not in practice. */
static struct ip address_in(const struct ip_network *network)
{
    struct ip ip = network->ip;
    size_t size = ip.family == IP_V4 ? 4 : 16;
    if (network->prefix_bits < size * 8)
        ip.bytes[size - 1] |= 1;
    return ip;
}

/* Whom the lists keep out would be told the same by every rule. */
static struct ip client_of(const struct policy *policy)
{
    if (policy == NULL || policy_allows_ip(policy, &SOMEBODY))
        return SOMEBODY;
    for (size_t i = 0; i < policy->allow_ips.count; i++) {
        struct ip ip = address_in(&policy->allow_ips.items[i]);
        if (policy_allows_ip(policy, &ip))
            return ip;
    }
    return SOMEBODY;
}

/* Each host; then each path behind which the tenant answers and is told apart by nothing else: one
 * that redirects has nothing behind it, a root that is taken over needs the cookie. */
static bool base_at(const struct tenant *tenant, size_t number, struct base *base)
{
    if (number < tenant->host_count) {
        const struct tenant_host *host = &tenant->hosts[number];
        *base = (struct base){
            label_of(tenant, host->wildcard), host->name, "", {"", "/"}, client_of(tenant->policy)};
        return true;
    }
    number -= tenant->host_count;
    if (number >= tenant->path_count)
        return false;
    const struct path_rule *rule = &tenant->paths[number];
    bool is_cut = rule->mode == PATH_STRIP;
    *base = (struct base){label_of(tenant, rule->wildcard),
                          rule->host,
                          is_cut ? rule->prefix : "",
                          {rule->prefix, rule->only_count > 0 ? rule->only[0] : "/"},
                          client_of(tenant->policy)};
    return true;
}

static bool is_worth_asking(const struct tenant *tenant, size_t number)
{
    if (number < tenant->host_count)
        return true;
    const struct path_rule *rule = &tenant->paths[number - tenant->host_count];
    if (rule->mode == PATH_REDIRECT || rule->mode == PATH_TAKEOVER)
        return number == 0;
    /* "root-share" is many paths of one host. */
    return number == tenant->host_count || rule->mode != PATH_ROOT_SHARE ||
           rule[-1].mode != PATH_ROOT_SHARE || strcmp(rule[-1].host, rule->host) != 0;
}

/* The others of a tenant are https: what is the same for http has been asked. */
static void add_at(struct probes *probes, const struct base *base, const char *path,
                   const struct probe *like)
{
    struct probe probe = *like;
    if (probe.from.family == IP_NONE)
        probe.from = base->client;
    add(probes, &probe,
        memory_format("https://%s%s%s%s%s", base->label, *base->label != '\0' ? "." : "",
                      base->host, path != ROOT ? base->prefix : base->root[0],
                      path != ROOT ? path : base->root[1]));
}

/* -- Policies ---------------------------------------------------------------------------------- */

static void add_networks(struct probes *probes, const struct base *base, const char *path,
                         const struct networks *networks, struct probe like)
{
    for (size_t i = 0; i < networks->count; i++) {
        like.from = address_in(&networks->items[i]);
        add_at(probes, base, path, &like);
    }
}

static unsigned lowest_bit(unsigned set)
{
    return set & (~set + 1);
}

static const char *method_of(unsigned bit)
{
    return bit != 0 ? policy_method_name(bit).data : "GET";
}

/* The minutes of a known week, and how many seconds each has. */
enum { WEEK_S = 7 * 86400, STEP_S = 60 };
static const int64_t MONDAY_S = INT64_C(1767571200); /* 2026-01-05T00:00:00Z */

/* A time of the week at which the hours hold, or do not. */
static int64_t time_for(const struct hours *hours, bool holds)
{
    for (int64_t at_s = MONDAY_S; at_s < MONDAY_S + WEEK_S; at_s += STEP_S)
        if (hours_hold(hours, at_s) == holds)
            return at_s;
    return MONDAY_S;
}

/* Within the rule's hours and out of them, and out of its share. */
static void add_conditions(struct probes *probes, const struct base *base, const char *path,
                           const struct policy_rule *rule, const struct probe *match)
{
    struct probe probe = *match;
    for (size_t i = 0; i < 2; i++) {
        const struct hours *hours = i == 0 ? rule->hours : rule->not_hours;
        if (hours == NULL)
            continue;
        probe.wall_s = time_for(hours, true);
        add_at(probes, base, path, &probe);
        probe.wall_s = time_for(hours, false);
        add_at(probes, base, path, &probe);
    }
    if (rule->share == 0)
        return;
    probe = *match;
    share_cookie(rule->share, probe.share_cookie);
    add_at(probes, base, path, &probe);
}

static const char *path_of(const struct policy_rule *rule)
{
    return rule->path != NULL ? rule->path : ROOT;
}

/* One that the rule matches. */
static struct probe match_of(const struct policy_rule *rule)
{
    struct probe match = {
        .method = method_of(lowest_bit(rule->methods)),
        .credential = (enum credential)lowest_bit(rule->credentials),
    };
    if (rule->ip.count > 0)
        match.from = address_in(&rule->ip.items[0]);
    if (rule->share != 0)
        share_cookie(rule->share - 1u, match.share_cookie);
    if (rule->hours != NULL)
        match.wall_s = time_for(rule->hours, true);
    else if (rule->not_hours != NULL)
        match.wall_s = time_for(rule->not_hours, false);
    return match;
}

/* One that matches, and, for each thing that the rule looks at, each of what it names. */
static void add_rule(struct probes *probes, const struct base *base, const struct policy_rule *rule)
{
    const char *path = path_of(rule);
    struct probe match = match_of(rule);
    add_at(probes, base, path, &match);
    add_conditions(probes, base, path, rule, &match);
    for (unsigned left = rule->methods; left != 0; left &= left - 1) {
        struct probe probe = match;
        probe.method = method_of(lowest_bit(left));
        add_at(probes, base, path, &probe);
    }
    for (unsigned left = rule->credentials; left != 0; left &= left - 1) {
        struct probe probe = match;
        probe.credential = (enum credential)lowest_bit(left);
        add_at(probes, base, path, &probe);
    }
    add_networks(probes, base, path, &rule->ip, match);
    add_networks(probes, base, path, &rule->not_ip, match);
    add_at(probes, base, path, &(struct probe){.method = "GET"});
}

static void add_origins(struct probes *probes, const struct base *base, const struct policy *policy)
{
    static char stranger[] = "https://elsewhere.invalid";
    struct probe probe = {.is_socket = true};
    add_at(probes, base, "/ws/socket.io/", &probe);
    probe.origin = stranger;
    add_at(probes, base, "/ws/socket.io/", &probe);
    for (size_t i = 0; i < policy->origin_count; i++) {
        probe.origin = policy->origins[i];
        add_at(probes, base, "/ws/socket.io/", &probe);
    }
}

static void add_policy(struct probes *probes, const struct base *base, const struct policy *policy)
{
    const struct probe plain = {.method = "GET"};
    const struct probe sign_in = {.method = "POST"};
    const struct probe astray = {.is_astray = true};
    for (size_t i = 0; i < COUNT_OF(PATHS); i++)
        add_at(probes, base, PATHS[i], &plain);
    add_at(probes, base, "/.env", &plain);
    add_at(probes, base, "/api/v1/auths/signin", &sign_in);
    add_at(probes, base, ROOT, &astray);
    add_networks(probes, base, ROOT, &policy->allow_ips, plain);
    add_networks(probes, base, ROOT, &policy->deny_ips, plain);
    add_origins(probes, base, policy);
    for (size_t i = 0; i < policy->rule_count; i++)
        add_rule(probes, base, &policy->rules[i]);
}

/* -- Edges of hours ---------------------------------------------------------------------------- */

/* Each minute of the week at which they begin or end, and the one before. */
static void add_hours(struct probes *probes, const struct base *base, const char *path,
                      const struct hours *hours, struct probe like)
{
    bool held = hours_hold(hours, MONDAY_S - STEP_S);
    for (int64_t at_s = MONDAY_S; at_s < MONDAY_S + WEEK_S; at_s += STEP_S) {
        bool holds = hours_hold(hours, at_s);
        if (holds != held) {
            like.wall_s = at_s - STEP_S;
            add_at(probes, base, path, &like);
            like.wall_s = at_s;
            add_at(probes, base, path, &like);
        }
        held = holds;
    }
}

static void add_edges(struct probes *probes, const struct base *base, const struct policy *policy)
{
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        const struct probe match = match_of(rule);
        if (rule->hours != NULL)
            add_hours(probes, base, path_of(rule), rule->hours, match);
        if (rule->not_hours != NULL)
            add_hours(probes, base, path_of(rule), rule->not_hours, match);
    }
}

/* -- The rest ---------------------------------------------------------------------------------- */

static void add_maintenance(struct probes *probes, const struct base *base,
                            const struct maintenance *maintenance)
{
    for (size_t i = 0; i < maintenance->allow_count; i++) {
        struct probe probe = {.from = address_in(&maintenance->allow[i])};
        if (maintenance->has_window)
            probe.wall_s = maintenance->from_s;
        add_at(probes, base, ROOT, &probe);
    }
    if (!maintenance->has_window)
        return;
    add_at(probes, base, ROOT, &(struct probe){.wall_s = maintenance->from_s});
    add_at(probes, base, ROOT, &(struct probe){.wall_s = maintenance->to_s - 1});
    add_at(probes, base, ROOT, &(struct probe){.wall_s = maintenance->to_s});
}

/* Some clients, and one with each cookie. */
static void add_replicas(struct probes *probes, const struct base *base,
                         const struct replica_set *set)
{
    struct probe probe = {.from = SOMEBODY};
    for (size_t i = 0; i < CLIENTS; i++) {
        probe.from.bytes[3]++;
        add_at(probes, base, ROOT, &probe);
    }
    if (!replica_set_uses_cookie(set))
        return;
    probe.from = SOMEBODY;
    for (size_t i = 0; i < set->count; i++) {
        replica_cookie(&set->items[i], probe.replica_cookie);
        add_at(probes, base, ROOT, &probe);
    }
}

static void add_everything(struct probes *probes, const struct base *base,
                           const struct tenant *tenant)
{
    if (tenant->policy != NULL)
        add_policy(probes, base, tenant->policy);
    if (tenant->maintenance != NULL)
        add_maintenance(probes, base, tenant->maintenance);
    if (tenant->replicas != NULL)
        add_replicas(probes, base, tenant->replicas);
}

void probes_add_tenant(struct probes *probes, const struct tenant *tenant)
{
    struct base base;
    for (size_t i = 0; i < tenant->host_count; i++)
        for (size_t j = 0; j < COUNT_OF(PATHS); j++)
            add_both(probes, label_of(tenant, tenant->hosts[i].wildcard), tenant->hosts[i].name,
                     PATHS[j]);
    for (size_t i = 0; i < tenant->path_count; i++)
        add_path(probes, tenant, &tenant->paths[i]);
    size_t before = probes->count;
    size_t each = 0;
    for (size_t i = 0; base_at(tenant, i, &base); i++) {
        if (!is_worth_asking(tenant, i))
            continue;
        /* All that the first was asked for, all others are asked for, or none of it. */
        if (i > 0 && probes->count - before + each > PROBES_PER_TENANT_MAX) {
            probes->left_out++;
            continue;
        }
        size_t begin = probes->count;
        add_everything(probes, &base, tenant);
        each = probes->count - begin;
    }
    /* On one alone: with two a day for each route, there would be no room for the others. */
    if (tenant->policy != NULL && base_at(tenant, 0, &base))
        add_edges(probes, &base, tenant->policy);
}

void probes_add_label(struct probes *probes, const struct tenant *tenant, const char *label)
{
    for (size_t i = 0; i < tenant->host_count; i++)
        if (tenant->hosts[i].wildcard)
            add_both(probes, label, tenant->hosts[i].name, "/");
}

void probes_add_proxies(struct probes *probes, const struct trusted_proxies *trusted,
                        const struct tenant *tenant)
{
    static char address[] = BEHIND_A_PROXY, element[] = "for=" BEHIND_A_PROXY;
    struct base base;
    if (!base_at(tenant, 0, &base))
        return;
    for (size_t i = 0; i < trusted->group_count; i++) {
        const struct proxy_group *group = &trusted->groups[i];
        struct probe probe = {.source = group->source};
        probe.forwarded = group->source == CLIENT_FORWARDED ? element : address;
        for (size_t j = 0; j < group->network_count; j++) {
            probe.from = address_in(&group->networks[j]);
            add_at(probes, &base, ROOT, &probe);
        }
    }
}

void probes_add_nobody(struct probes *probes)
{
    add_both(probes, "", "nobody.invalid", "/");
}

/* -- All --------------------------------------------------------------------------------------- */

static void free_probe(struct probe *probe)
{
    free(probe->url);
    free(probe->options);
    free(probe->origin);
    free(probe->forwarded);
}

static int compare_probes(const void *a, const void *b)
{
    const struct probe *left = a, *right = b;
    int order = strcmp(left->url, right->url);
    return order != 0 ? order : strcmp(left->options, right->options);
}

void probes_sort(struct probes *probes)
{
    size_t kept = 1;
    if (probes->count == 0)
        return;
    qsort(probes->items, probes->count, sizeof(*probes->items), compare_probes);
    for (size_t i = 1; i < probes->count; i++) {
        if (compare_probes(&probes->items[i], &probes->items[kept - 1]) == 0)
            free_probe(&probes->items[i]);
        else
            probes->items[kept++] = probes->items[i];
    }
    probes->count = kept;
}

void probes_fini(struct probes *probes)
{
    for (size_t i = 0; i < probes->count; i++)
        free_probe(&probes->items[i]);
    free(probes->items);
    *probes = (struct probes){0};
}
