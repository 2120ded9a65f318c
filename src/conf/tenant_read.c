/* Tenants as they stand in a file: see tenant_read.h. */
#include "tenant_read.h"

#include "core/hash.h"
#include "core/memory.h"
#include "core/nearest.h"
#include "headers.h"
#include "identity_read.h"
#include "labels_read.h"
#include "policy_read.h"
#include "replicas.h"
#include "route/label.h"
#include "route/label_map.h"
#include "upstream.h"
#include "value.h"
#include "versions.h"

#include <stdlib.h>

enum { HOSTS_MAX = 1000 };

/* A tenant as far as it has been read. */
struct draft {
    const struct configuration *configuration;
    struct tenant *tenant;
    struct upstream_tls tls;
    struct header_section headers;
    struct versions versions;
    struct header_list identity_headers;
    struct replica_set *replicas; /* good ones that the tenant does not have yet */
    struct check_rule check;
    bool check_off;
    struct labels_draft labels;
    size_t wrong_lines; /* of its list of labels: reported, and nobody else's fault */
};

/* -- Single keys -- */

static bool host_is_listed(const struct tenant *tenant, const char *name, bool wildcard)
{
    for (size_t i = 0; i < tenant->host_count; i++)
        if (tenant->hosts[i].wildcard == wildcard && strcmp(tenant->hosts[i].name, name) == 0)
            return true;
    return false;
}

static void read_hosts(const struct node *node, void *target)
{
    struct tenant *tenant = ((struct draft *)target)->tenant;
    if (!node_is(node, JSON_TYPE_ARRAY) || !node_is_short(node, HOSTS_MAX))
        return;
    tenant->hosts = memory_new(json_count(node->value) * sizeof(*tenant->hosts));
    for (struct node_iterator i = node_children_placed(node); node_next(&i);) {
        struct tenant_host host = {.place = node_value_place(&i.node)};
        if (!host_pattern_read(&i.node, &host.name, &host.wildcard))
            continue;
        if (host_is_listed(tenant, host.name, host.wildcard)) {
            node_report(&i.node, JSON_PART_VALUE, CODE_LISTED_TWICE, NULL,
                        "host \"%s%s\" is in the list already", host.wildcard ? "*." : "",
                        host.name);
            free(host.name);
            continue;
        }
        tenant->hosts[tenant->host_count++] = host;
    }
}

static void read_paths(const struct node *node, void *target)
{
    paths_read(node, ((struct draft *)target)->tenant);
}

static void read_upstream(const struct node *node, void *target)
{
    struct draft *draft = target;
    upstream_read(node, draft->configuration, &draft->tenant->upstream);
}

static void read_upstream_tls(const struct node *node, void *target)
{
    upstream_tls_read(node, &((struct draft *)target)->tls);
}

static void read_versions(const struct node *node, void *target)
{
    struct draft *draft = target;
    versions_read(node, draft->configuration, &draft->versions);
}

static void read_active(const struct node *node, void *target)
{
    versions_read_active(node, &((struct draft *)target)->versions);
}

static void read_replicas(const struct node *node, void *target)
{
    struct draft *draft = target;
    replicas_read(node, draft->configuration, &draft->replicas);
}

static void read_check(const struct node *node, void *target)
{
    struct draft *draft = target;
    check_read(node, &draft->check, &draft->check_off);
}

static void read_backend(const struct node *node, void *target)
{
    struct draft *draft = target;
    const struct hap_config *haproxy = &draft->configuration->haproxy;
    if (!node_plain_name(node, &draft->tenant->backend))
        return;
    for (size_t i = 0; i < haproxy->backend_count; i++)
        if (strcmp(haproxy->backends[i].name, draft->tenant->backend) == 0)
            return;
    struct slice name = slice_of(draft->tenant->backend);
    const char *nearest =
        nearest_name(name, haproxy->backends, haproxy->backend_count, sizeof(*haproxy->backends));
    node_report(node, JSON_PART_VALUE, CODE_BACKEND_UNKNOWN,
                nearest != NULL
                    ? memory_format("did you mean \"%s\"?", nearest)
                    : memory_format("add it to \"haproxy\": {\"backends\": ...}: HAProxy "
                                    "silently uses its default backend otherwise"),
                "backend \"%s\" is not in the global file", draft->tenant->backend);
}

static void read_label(const struct node *node, void *target)
{
    struct draft *draft = target;
    struct slice source;
    struct error_text why;
    if (!node_text(node, &source))
        return;
    draft->tenant->label = label_pattern_new(source, &why);
    if (draft->tenant->label == NULL)
        node_report(node, JSON_PART_VALUE, CODE_LABEL_PATTERN, NULL,
                    "\"%.*s\" is not a regular expression: %s", SLICE_PRINT(source), why.text);
}

static void read_upstream_map(const struct node *node, void *target)
{
    labels_read_map(node, &((struct draft *)target)->labels);
}

static void read_unknown_label(const struct node *node, void *target)
{
    labels_read_unknown(node, &((struct draft *)target)->labels);
}

bool https_read(const struct node *node, bool *redirect)
{
    static const struct choice CHOICES[] = {{"redirect", true}, {"off", false}};
    int value;
    if (!node_choice(node, CHOICES, COUNT_OF(CHOICES), &value))
        return false;
    *redirect = value;
    return true;
}

static void read_https(const struct node *node, void *target)
{
    bool redirect;
    if (https_read(node, &redirect))
        ((struct draft *)target)->tenant->https_redirect = redirect;
}

static void read_canonical_host(const struct node *node, void *target)
{
    bool canonical;
    if (node_bool(node, &canonical))
        ((struct draft *)target)->tenant->canonical_host = canonical;
}

/* Of a file in a folder that is HAProxy's, and by a name that its Runtime API takes. */
static void read_certificate_file(const struct node *node, void *target)
{
    struct slice name;
    if (!node_text(node, &name))
        return;
    if (!plain_name_is(name) || name.data[0] == '.' || !slice_ends_with(name, SLICE(".pem"))) {
        node_report(node, JSON_PART_VALUE, CODE_BAD_FILE_NAME,
                    memory_format("the name alone of a file in haproxy.crt_dir: \"wildcard.pem\""),
                    "\"%.*s\" is not a name for a certificate: up to 63 letters, digits, \"_\", "
                    "\"-\" and \".\", with \".pem\" at the end and no \".\" first",
                    SLICE_PRINT(name));
        return;
    }
    (void)!node_copy_text(node, &((struct draft *)target)->tenant->certificate_file);
}

static void read_secure_cookies(const struct node *node, void *target)
{
    bool secures;
    if (node_bool(node, &secures))
        ((struct draft *)target)->tenant->secures_cookies = secures;
}

static void read_nosniff(const struct node *node, void *target)
{
    bool nosniffs;
    if (node_bool(node, &nosniffs))
        ((struct draft *)target)->tenant->nosniffs = nosniffs;
}

static void read_maintenance(const struct node *node, void *target)
{
    maintenance_read(node, ((struct draft *)target)->tenant);
}

static void read_suspended(const struct node *node, void *target)
{
    suspended_read(node, ((struct draft *)target)->tenant);
}

static void read_hsts(const struct node *node, void *target)
{
    hsts_read(node, &((struct draft *)target)->tenant->hsts);
}

static void read_headers(const struct node *node, void *target)
{
    struct draft *draft = target;
    const struct configuration *configuration = draft->configuration;
    struct header_rules rules = {
        .fixed = configuration->fixed_headers,
        .fixed_count = configuration->fixed_header_count,
        .tenant_id_header = configuration->haproxy.tenant_header,
        .may_remove = true,
    };
    headers_read(node, &rules, &draft->headers);
}

static void read_policy(const struct node *node, void *target)
{
    policy_part_read(node, &((struct draft *)target)->tenant->policy);
}

static void read_identity(const struct node *node, void *target)
{
    struct draft *draft = target;
    draft->tenant->identity = identity_read(node, draft->configuration, &draft->identity_headers);
}

static const struct option OPTIONS[] = {
    {"hosts", read_hosts},
    {"paths", read_paths},
    {"upstream", read_upstream},
    {"upstream_tls", read_upstream_tls},
    {"upstream_map", read_upstream_map},
    {"unknown_label", read_unknown_label},
    {"backend", read_backend},
    {"label", read_label},
    {"https", read_https},
    {"certificate_file", read_certificate_file},
    {"canonical_host", read_canonical_host},
    {"hsts", read_hsts},
    {"secure_cookies", read_secure_cookies},
    {"nosniff", read_nosniff},
    {"headers", read_headers},
    {"identity", read_identity},
    {"maintenance", read_maintenance},
    {"suspended", read_suspended},
    {"versions", read_versions},
    {"active", read_active},
    {"replicas", read_replicas},
    {"check", read_check},
    {"origins", read_policy},
    {"origin_check", read_policy},
    {"require_sni_match", read_policy},
    {"allow_ips", read_policy},
    {"deny_ips", read_policy},
    {"refuse_scanners", read_policy},
    {"limits", read_policy},
    {"timeouts", read_policy},
    {"routes", read_policy},
};

/* -- What keys mean together -- */

/* Whether an unknown key was probably meant to be `key`: that it is missing is then no news. Takes
 * longer than all else about a tenant, and so is asked of wrong ones alone. */
static bool is_misspelt(const struct node *node, const char *key)
{
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        const char *meant = nearest_name(i.node.key, OPTIONS, COUNT_OF(OPTIONS), sizeof(*OPTIONS));
        if (meant != NULL && strcmp(meant, key) == 0 && !slice_equal(i.node.key, slice_of(key)))
            return true;
    }
    return false;
}

/* Where requests can go: one of these. */
static const struct way_out {
    const char *key;
    const char *called;
} WAYS_OUT[] = {
    {"upstream", "an \"upstream\""},
    {"backend", "a \"backend\""},
    {"versions", "\"versions\""},
    {"replicas", "\"replicas\""},
    {"upstream_map", "an \"upstream_map\""},
};

static bool has_misspelt_way_out(const struct node *node)
{
    for (size_t i = 0; i < COUNT_OF(WAYS_OUT); i++)
        if (is_misspelt(node, WAYS_OUT[i].key))
            return true;
    return false;
}

static void require_one_upstream(const struct node *node)
{
    const struct way_out *first = NULL;
    for (size_t i = 0; i < COUNT_OF(WAYS_OUT); i++) {
        struct node member;
        if (!node_member(node, WAYS_OUT[i].key, &member))
            continue;
        if (first != NULL)
            node_report(&member, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                        memory_format("remove one of the two"),
                        "requests cannot go to %s and to %s", first->called, WAYS_OUT[i].called);
        else
            first = &WAYS_OUT[i];
    }
    if (first == NULL && !has_misspelt_way_out(node))
        node_report(node, JSON_PART_KEY, CODE_NO_UPSTREAM,
                    memory_format("add \"upstream\": \"http://127.0.0.1:3000\""),
                    "it has neither an \"upstream\" nor a \"backend\"");
}

/* Whether the key is there with anything but an empty list. */
static bool is_given(const struct node *node, const char *key)
{
    struct node member;
    return node_member(node, key, &member) &&
           (json_type_of(member.value) != JSON_TYPE_ARRAY || json_count(member.value) > 0);
}

static void require_way_in(const struct node *node, const struct tenant *tenant)
{
    bool is_shared = tenant->identity != NULL && tenant->identity->from == IDENTITY_FROM_SHARED;
    if (!is_shared && !is_given(node, "hosts") && !is_given(node, "paths") &&
        !is_misspelt(node, "hosts") && !is_misspelt(node, "paths"))
        node_report(node, JSON_PART_KEY, CODE_NO_WAY_IN,
                    memory_format("add \"hosts\": [\"chat.example.com\"]"),
                    "neither a host nor a path leads to it");
}

static void apply_upstream(const struct node *node, struct draft *draft)
{
    struct node upstream, tls;
    bool has_upstream = node_member(node, "upstream", &upstream);
    bool uses_https = (has_upstream && draft->tenant->upstream.scheme != UPSTREAM_HTTP) ||
                      versions_use_https(&draft->versions) || replicas_use_https(draft->replicas);
    if (node_member(node, "upstream_tls", &tls) && !uses_https && draft->labels.path == NULL)
        node_report(&tls, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("remove it, or write https:// in \"upstream\""),
                    "\"upstream_tls\" has no meaning without an https upstream");
    else if (has_upstream)
        upstream_apply_tls(&upstream, &draft->tls, &draft->tenant->upstream);
    versions_apply(node, &draft->tls, &draft->versions, draft->tenant);
    replicas_apply(node, &draft->tls, &draft->replicas, draft->tenant);
    draft->wrong_lines =
        labels_apply(node, draft->configuration, &draft->tls, &draft->labels, draft->tenant);
}

/* Replicas are checked unless told otherwise, a lone upstream only when told to: there is nothing
 * to decide about it. */
static void apply_check(const struct node *node, struct draft *draft)
{
    struct tenant *tenant = draft->tenant;
    struct node check;
    bool is_told = node_member(node, "check", &check);
    if (is_told && tenant_upstream_count(tenant) == 0)
        node_report(&check, JSON_PART_KEY, CODE_MEANINGLESS_KEY, NULL,
                    "\"check\" has no meaning with a \"backend\", which HAProxy checks, or with "
                    "an upstream for each label");
    if (draft->check_off || (!is_told && tenant->replicas == NULL))
        return;
    tenant->check = memory_new(sizeof(*tenant->check));
    *tenant->check = draft->check;
    draft->check = (struct check_rule){0};
}

/* A route's pool is one of the tenant's replicas. */
static void apply_pools(const struct node *node, struct tenant *tenant)
{
    struct node routes, pool;
    if (tenant->policy == NULL || !node_member(node, "routes", &routes))
        return;
    size_t number = 0;
    for (struct node_iterator i = node_children(&routes); node_next(&i); number++) {
        struct policy_rule *rule = &tenant->policy->rules[number];
        if (rule->pool == NULL || !node_member(&i.node, "pool", &pool))
            continue;
        if (tenant->replicas != NULL)
            rule->pool_mask = replica_set_pool(tenant->replicas, rule->pool);
        if (rule->pool_mask == 0)
            node_report(&pool, JSON_PART_VALUE, CODE_REPLICA_UNKNOWN,
                        memory_format("\"replicas\": {\"servers\": [...], \"pools\": {\"%s\": "
                                      "[...]}}",
                                      rule->pool),
                        "the tenant has no pool \"%s\"", rule->pool);
    }
}

static bool is_wildcard_only(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->host_count; i++)
        if (!tenant->hosts[i].wildcard)
            return false;
    for (size_t i = 0; i < tenant->path_count; i++)
        if (!tenant->paths[i].wildcard)
            return false;
    return true;
}

static bool has_wildcard(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->host_count; i++)
        if (tenant->hosts[i].wildcard)
            return true;
    for (size_t i = 0; i < tenant->path_count; i++)
        if (tenant->paths[i].wildcard)
            return true;
    return false;
}

static void check_redirects(const struct node *node, const struct tenant *tenant)
{
    struct node paths;
    bool has_target = tenant->host_count > 0 && !tenant->hosts[0].wildcard;
    for (size_t i = 0; !has_target && i < tenant->path_count; i++) {
        if (tenant->paths[i].mode != PATH_REDIRECT || !node_member(node, "paths", &paths))
            continue;
        node_report(&paths, JSON_PART_VALUE, CODE_REDIRECT_WITHOUT_HOST,
                    memory_format("put a name without \"*\" first in \"hosts\""),
                    "path mode \"redirect\" leads to the tenant's first host, and it has none");
        return;
    }
}

static void check_label_upstream(const struct node *node, const struct draft *draft)
{
    const struct tenant *tenant = draft->tenant;
    struct node upstream;
    if (!tenant->upstream.per_label || (!node_member(node, "upstream", &upstream) &&
                                        !node_member(node, "upstream_map", &upstream)))
        return;
    if (!is_wildcard_only(tenant))
        node_report(&upstream, JSON_PART_VALUE, CODE_LABEL_WITHOUT_WILDCARD,
                    memory_format("only hosts such as \"*.example.com\" yield a label: give the "
                                  "others a tenant of their own"),
                    "the upstream depends on the label, and not every host has a label");
    else if (tenant->label == NULL && tenant->labels == NULL)
        node_report(&upstream, JSON_PART_VALUE, CODE_UPSTREAM_FROM_CLIENT,
                    memory_format("add a pattern, such as \"label\": "
                                  "\"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\""),
                    "the upstream's name is whatever a client asks for");
}

static void check_label_headers(const struct node *node, const struct draft *draft)
{
    const struct tenant *tenant = draft->tenant;
    struct node headers, header;
    if (!node_member(node, "headers", &headers))
        return;
    for (size_t i = 0; i < draft->headers.set.count; i++) {
        const struct header *set = &draft->headers.set.items[i];
        bool label = template_uses(&set->value, HEADER_LABEL);
        if ((!label && !template_uses(&set->value, HEADER_HOST)) ||
            !node_member(&headers, set->name, &header))
            continue;
        if (label && !has_wildcard(tenant))
            node_report(&header, JSON_PART_VALUE, CODE_LABEL_WITHOUT_WILDCARD, NULL,
                        "header \"%s\" uses {label}, and no host such as \"*.example.com\" yields "
                        "one",
                        set->name);
        else if (has_wildcard(tenant) && tenant->label == NULL && tenant->labels == NULL)
            node_report(&header, JSON_PART_VALUE, CODE_HEADER_FROM_CLIENT,
                        memory_format("add a \"label\" pattern, and do not take the value for an "
                                      "identity"),
                        "header \"%s\" takes what a client puts in front of the wildcard",
                        set->name);
    }
}

/* Preload lists take a host that redirects to https alone; it may be the defaults' "hsts" that is
 * meant. */
static void check_hsts(const struct node *node, const struct tenant *tenant)
{
    struct node hsts;
    if (tenant->hsts == NULL || tenant->https_redirect || !hsts_is_preloaded(tenant->hsts))
        return;
    node_report(node_member(node, "hsts", &hsts) ? &hsts : node, JSON_PART_KEY, CODE_HSTS_PRELOAD,
                memory_format("remove \"preload\", or write \"https\": \"redirect\""),
                "preload lists want plain HTTP to be redirected, and \"https\" is \"off\"");
}

static void check_label(const struct node *node, const struct draft *draft)
{
    struct node label;
    if (node_member(node, "label", &label) && !has_wildcard(draft->tenant))
        node_report(&label, JSON_PART_KEY, CODE_LABEL_WITHOUT_WILDCARD, NULL,
                    "\"label\" has no meaning without a host such as \"*.example.com\"");
    check_label_upstream(node, draft);
    check_label_headers(node, draft);
}

/* A header that tells who somebody is cannot tell something else too. */
static void check_identity_headers(const struct node *node, const struct draft *draft)
{
    struct node headers, header;
    if (!node_member(node, "headers", &headers))
        return;
    for (size_t i = 0; i < draft->headers.set.count; i++) {
        const struct header *own = &draft->headers.set.items[i];
        for (size_t j = 0; j < draft->identity_headers.count; j++)
            if (header_is_named(own, slice_of(draft->identity_headers.items[j].name)) &&
                node_member(&headers, own->name, &header))
                node_report(&header, JSON_PART_KEY, CODE_LISTED_TWICE,
                            memory_format("remove one of the two"),
                            "header \"%s\" is set by \"identity\" already", own->name);
    }
}

/* Fixed ones, defaults that the tenant neither sets nor drops, its own. */
static void join_headers(struct draft *draft)
{
    const struct configuration *configuration = draft->configuration;
    struct header_section *own = &draft->headers;
    struct header_list all = {0};
    for (size_t i = 0; i < configuration->fixed_header_count; i++)
        header_list_add_copy(&all, &configuration->fixed_headers[i]);
    for (size_t i = 0; i < configuration->default_header_count; i++) {
        const struct header *inherited = &configuration->default_headers[i];
        bool changed = false;
        for (size_t j = 0; j < own->set.count; j++)
            changed = changed || header_is_named(inherited, slice_of(own->set.items[j].name));
        for (size_t j = 0; j < own->removed.count; j++)
            changed = changed || header_is_named(inherited, slice_of(own->removed.items[j]));
        for (size_t j = 0; j < draft->identity_headers.count; j++)
            changed = changed ||
                      header_is_named(inherited, slice_of(draft->identity_headers.items[j].name));
        if (!changed)
            header_list_add_copy(&all, inherited);
    }
    for (size_t i = 0; i < own->set.count; i++)
        header_list_add(&all, own->set.items[i]);
    own->set.count = 0; /* they have moved */
    for (size_t i = 0; i < draft->identity_headers.count; i++)
        header_list_add(&all, draft->identity_headers.items[i]);
    free(draft->identity_headers.items);
    draft->tenant->headers = all.items;
    draft->tenant->header_count = (uint32_t)all.count;
}

/* -- A tenant -- */

static void read_members(const struct node *node, struct draft *draft)
{
    struct diagnostics *diagnostics = node->document->diagnostics;
    size_t errors = diagnostics->errors;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), draft);
    require_one_upstream(node);
    require_way_in(node, draft->tenant);
    /* What does not fit together because a part was wrong is not worth a second message. */
    if (diagnostics->errors != errors)
        return;
    apply_upstream(node, draft);
    apply_pools(node, draft->tenant);
    apply_check(node, draft);
    check_redirects(node, draft->tenant);
    check_hsts(node, draft->tenant);
    check_label(node, draft);
    check_identity_headers(node, draft);
}

/* NULL when something is wrong with it. */
static struct tenant *read_tenant(const struct node *node,
                                  const struct configuration *configuration)
{
    struct diagnostics *diagnostics = node->document->diagnostics;
    size_t errors = diagnostics->errors;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return NULL;
    struct tenant *tenant = tenant_new();
    struct draft draft = {.configuration = configuration, .tenant = tenant};
    tenant->name = memory_copy_text(node->key);
    tenant->place = node_key_place(node);
    check_init(&draft.check);
    tenant->https_redirect = configuration->default_https_redirect;
    tenant->canonical_host = configuration->default_canonical_host;
    tenant->secures_cookies = configuration->default_secure_cookies;
    tenant->nosniffs = configuration->default_nosniff;
    if (configuration->default_hsts != NULL)
        tenant->hsts = memory_copy_text(slice_of(configuration->default_hsts));
    tenant->policy = policy_ref(configuration->default_policy);
    read_members(node, &draft);
    if (tenant->policy != NULL)
        policy_complete(tenant->policy);
    join_headers(&draft);
    tenant->own_hash = node_content_hash(node->value);
    tenant->inherited_hash = configuration->inherited_hash;
    tenant->content_hash = hash_content(node->key, tenant->own_hash ^ tenant->inherited_hash);
    if (tenant->identity != NULL) /* what comes from another file is no text of this one */
        tenant->content_hash =
            hash_content(slice_of(tenant->identity->issuer_pem), tenant->content_hash);
    if (node->document->zones_hash != 0)
        tenant->content_hash = hash_content(
            slice_from(&node->document->zones_hash, sizeof(node->document->zones_hash)),
            tenant->content_hash);
    if (tenant->labels != NULL)
        tenant->content_hash ^= tenant->labels->content_hash;
    header_section_fini(&draft.headers);
    labels_draft_fini(&draft.labels);
    versions_fini(&draft.versions);
    replica_set_free(draft.replicas);
    check_fini(&draft.check);
    free(draft.tls.server_name);
    if (diagnostics->errors - draft.wrong_lines == errors)
        return tenant;
    tenant_free(tenant);
    return NULL;
}

/* NULL when it is wrong, which its name alone can be. */
static struct tenant *read_named_tenant(const struct node *node,
                                        const struct configuration *configuration)
{
    struct document *document = node->document;
    if (!tenant_name_valid(node->key)) {
        node_report(node, JSON_PART_KEY, CODE_TENANT_NAME,
                    memory_format("up to 63 of a-z, 0-9 and, inside, \".\", \"_\", \"-\""),
                    "tenant \"%.*s\": that is not a name for a tenant", SLICE_PRINT(node->key));
        return NULL;
    }
    char *subject = memory_format("tenant \"%.*s\"", SLICE_PRINT(node->key));
    document->subject = subject;
    document->zones_hash = 0;
    struct tenant *tenant = read_tenant(node, configuration);
    document->subject = NULL;
    free(subject);
    return tenant;
}

void tenants_read(const struct node *tenants, const struct configuration *configuration,
                  struct tenant_file *file)
{
    const struct news *news = tenants->document->news;
    size_t count = json_count(tenants->value);
    if (!node_is(tenants, JSON_TYPE_OBJECT))
        return;
    file->tenants = memory_new(count * sizeof(*file->tenants));
    file->broken = memory_new(count * sizeof(*file->broken));
    file->texts = memory_new(count * sizeof(*file->texts));
    struct texts named = {0};
    tenants->document->named = &named;
    for (struct node_iterator i = node_children_placed(tenants); node_next(&i);) {
        const struct news_member *member =
            news != NULL && i.node.index < news->count ? &news->members[i.node.index] : NULL;
        struct tenant_text *text = &file->texts[file->text_count++];
        text->name = memory_copy_text(i.node.key);
        text->hash = member != NULL ? member->text_hash : 0;
        if (member != NULL && member->is_known)
            continue;
        struct tenant *tenant = read_named_tenant(&i.node, configuration);
        if (tenant != NULL) {
            file->tenants[file->tenant_count++] = tenant;
            if (tenants->document->zones_hash != 0)
                text->hash = 0; /* a zone's file may be another one by now */
        } else {
            file->broken[file->broken_count++] = memory_copy_text(i.node.key);
            text->hash = 0;
            text->is_broken = true;
        }
    }
    tenants->document->named = NULL;
    file->named = named.items;
    file->named_count = memory_sort_texts_once(named.items, named.count); /* thousands share one */
}
