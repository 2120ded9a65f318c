/* A whole configuration: see conf/whole.h. */
#include "conf/whole.h"

#include "conf/owners.h"

#include "core/file_path.h"
#include "core/hash.h"
#include "core/memory.h"
#include "file.h"
#include "load.h"
#include "route/certified.h"
#include "taken_roots.h"

#include <dirent.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is at hand while files are read. */
struct loading {
    struct whole *whole;
    struct diagnostics *diagnostics;
    whole_prepare_fn *prepare;
    struct owners *owners; /* as the daemon remembers them */
    unsigned believes_all; /* tenants that take client certificates of any authority */
    struct whole_changes changes;
    void *leads; /* struct lead by target */
};

/* What is led to a tenant, from many others perhaps. */
struct lead {
    const struct tenant *target;
    size_t fitting_bytes[2];    /* on a host of as many it has room; and for a cut prefix */
    const struct tenant *first; /* on whose hosts it has none, which was told */
};

static void on_conflict(void *context, const struct route_conflict *conflict)
{
    diagnostics_add_conflict(context, conflict);
}

/* HAProxy's files have so many places for these, and are written for all tenants or for none. */
static void add_names(struct loading *loading, const struct tenant *tenant)
{
    const struct hap_config *haproxy = &loading->whole->configuration->haproxy;
    size_t tokens = haproxy->token_count, headers = haproxy->identity_header_count;
    configuration_add_header_names(loading->whole->configuration, tenant);
    configuration_add_arguments(loading->whole->configuration, tenant);
    if (haproxy->token_count > tokens && haproxy->token_count > HAP_TOKENS_MAX)
        diagnostics_add_code(loading->diagnostics, CODE_TOO_MANY_NAMES, &tenant->place,
                             "let tenants share a name: tokens differ by \"issuer\" and "
                             "\"audience\" as well",
                             "tenant \"%s\": with it, tokens come in %zu headers and cookies of "
                             "different names; at most %d are possible",
                             tenant->name, haproxy->token_count, HAP_TOKENS_MAX);
    if (haproxy->identity_header_count > headers &&
        haproxy->identity_header_count > HAP_IDENTITY_HEADERS_MAX)
        diagnostics_add_code(loading->diagnostics, CODE_TOO_MANY_NAMES, &tenant->place,
                             "let tenants share the names of headers",
                             "tenant \"%s\": with it, identities are told in %zu headers of "
                             "different names; at most %d are possible",
                             tenant->name, haproxy->identity_header_count,
                             HAP_IDENTITY_HEADERS_MAX);
}

/* Takes the tenant. */
static void put_tenant(struct loading *loading, struct tenant *tenant)
{
    struct whole *whole = loading->whole;
    struct error_text why;
    const struct tenant *other = route_registry_find(whole->registry, slice_of(tenant->name));
    if (other != NULL && owners_prefer_tenant(loading->owners, other, tenant)) {
        diagnostics_add_name_taken(loading->diagnostics, tenant, other);
        route_registry_remove(whole->registry, slice_of(tenant->name));
        whole->tenant_count--;
        whole->broken_count++;
        other = NULL;
    }
    if (other != NULL) {
        diagnostics_add_name_taken(loading->diagnostics, other, tenant);
    } else if (loading->prepare != NULL && loading->prepare(tenant, &why) != ERROR_OK) {
        diagnostics_add_code(loading->diagnostics, CODE_ANSWER_TOO_BIG, &tenant->place, NULL,
                             "tenant \"%s\": %s", tenant->name, why.text);
        whole->has_broken = true;
    } else {
        add_names(loading, tenant);
        route_registry_put(whole->registry, tenant, on_conflict, loading->diagnostics);
        whole->tenant_count++;
        return;
    }
    whole->broken_count++;
    tenant_free(tenant);
}

static void take_tenants(struct loading *loading, struct tenant_file *file)
{
    for (size_t i = 0; i < file->tenant_count; i++) {
        put_tenant(loading, file->tenants[i]);
        file->tenants[i] = NULL;
    }
    loading->whole->broken_count += file->broken_count;
    if (file->broken_count > 0 || file->unreadable)
        loading->whole->has_broken = true;
}

/* Puts the changed file where its name stands; at the end when there is none of it. Its place. */
static size_t change_file(char ***paths, size_t *count, const char *file)
{
    size_t place = 0;
    while (place < *count && strcmp(file_path_name((*paths)[place]), file_path_name(file)) != 0)
        place++;
    if (place == *count)
        *paths = memory_resize(*paths, ++*count, sizeof(**paths));
    else
        free((*paths)[place]);
    (*paths)[place] = memory_copy_text(slice_of(file));
    return place;
}

static bool gives_up(const struct loading *loading)
{
    return loading->changes.give_up != NULL && atomic_load(loading->changes.give_up);
}

/* What may have been meant for one. Neither what is hidden, nor lists of labels, nor what has been
 * put out of force by a longer name. */
static int may_be_meant(const struct dirent *entry)
{
    static const char *const ENDS[] = {".json", ".json.txt", ".jsonc", ".json5",
                                       ".conf", ".cfg",      ".yaml",  ".yml"};
    if (entry->d_name[0] == '.' || tenant_file_name(entry->d_name))
        return 0;
    size_t size = strlen(entry->d_name);
    for (size_t i = 0; i < COUNT_OF(ENDS); i++)
        if (size > strlen(ENDS[i]) &&
            strcasecmp(entry->d_name + size - strlen(ENDS[i]), ENDS[i]) == 0)
            return 1;
    return 0;
}

static void tell_one_passed_over(struct loading *loading, const char *path)
{
    const struct place place = {file_name_keep(path), 0, 0};
    diagnostics_add_code(loading->diagnostics, CODE_FILE_PASSED_OVER, &place,
                         "give it a name that ends in \".json\", or one such as chat.off",
                         "it is not read: names of tenants' files end in \".json\"");
}

/* Some are listed; a folder that is full of them has something else in it. */
static void tell_passed_over(struct loading *loading, const char *folder)
{
    enum { LISTED_MAX = 10 };
    struct dirent **entries;
    struct stat about;
    unsigned passed_over = 0;
    int count = scandir(folder, &entries, may_be_meant, alphasort);
    for (int i = 0; i < count; i++) {
        char *path = memory_format("%s/%s", folder, entries[i]->d_name);
        bool is_folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
        if (!is_folder && passed_over++ < LISTED_MAX)
            tell_one_passed_over(loading, path);
        free(path);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (passed_over > LISTED_MAX) {
        unsigned rest = passed_over - LISTED_MAX;
        const struct place place = {file_name_keep(folder), 0, 0};
        diagnostics_add_code(loading->diagnostics, CODE_FILE_PASSED_OVER, &place,
                             "keep other files elsewhere, or name a folder of its own as "
                             "\"tenants_dir\"",
                             "%u more file%s not read", rest, rest == 1 ? " is" : "s are");
    }
}

static void read_tenant_files(struct loading *loading)
{
    struct whole *whole = loading->whole;
    const struct configuration *configuration = whole->configuration;
    const char *folder = loading->changes.tenants_dir != NULL ? loading->changes.tenants_dir
                                                              : configuration->tenants_dir;
    const struct whole_changes *changes = &loading->changes;
    char **paths;
    size_t count, changed = SIZE_MAX;
    struct error_text why;
    if (folder == NULL || (configuration->tenants_dir_optional && loading->changes.file == NULL &&
                           access(folder, F_OK) != 0))
        return;
    enum error error = tenant_files_list(folder, &paths, &count, &why);
    if (error != ERROR_OK) {
        struct place place = {file_name_keep(folder), 0, 0};
        diagnostics_add_unreadable(loading->diagnostics, &place, error, &why);
        return;
    }
    tell_passed_over(loading, folder);
    if (changes->file != NULL) {
        char *path = changes->text.data != NULL ? memory_format("%s/%s", folder, changes->file)
                                                : memory_copy_text(slice_of(changes->file));
        changed = change_file(&paths, &count, path);
        free(path);
    }
    for (size_t i = 0; i < count && !gives_up(loading); i++) {
        struct tenant_file file;
        if (i == changed && changes->text.data != NULL)
            tenant_text_load_news(paths[i], changes->text, whole->configuration, NULL, &file,
                                  loading->diagnostics);
        else
            tenant_file_load(paths[i], whole->configuration, &file, loading->diagnostics);
        take_tenants(loading, &file);
        tenant_file_fini(&file);
        whole->file_count++;
    }
    memory_free_texts(paths, count);
}

/* -- What only the whole can show -- */

/* Whether the rule is one more of those that one "root-share" stands for. */
static bool is_same_key(const struct tenant *tenant, size_t index)
{
    const struct path_rule *paths = tenant->paths;
    return index > 0 && paths[index].mode == PATH_ROOT_SHARE &&
           paths[index].place.line == paths[index - 1].place.line &&
           paths[index].place.column == paths[index - 1].place.column;
}

/* Tenants on one host share cookies, local storage and the service worker of a browser. */
static void check_shared_origin(void *context, const struct tenant *tenant)
{
    struct loading *loading = context;
    for (size_t i = 0; i < tenant->path_count; i++) {
        const struct path_rule *path = &tenant->paths[i];
        struct route_match match;
        if (path->mode == PATH_REDIRECT || path->wildcard || is_same_key(tenant, i))
            continue;
        route_table_find(loading->whole->table, slice_of(path->host), SLICE("/"), &match);
        if (match.tenant == NULL || match.tenant == tenant)
            continue;
        diagnostics_add_code(loading->diagnostics, CODE_SHARED_ORIGIN, &path->place,
                             "a page of one can act as the other's user: give each a host of its "
                             "own",
                             "tenant \"%s\": path \"%s%s\" is on the host of tenant \"%s\", so "
                             "that both share cookies and storage in browsers",
                             tenant->name, path->host, path->prefix, match.tenant->name);
    }
}

static void lend_hosts(const struct tenant *lender, struct tenant *tenant)
{
    tenant->hosts = lender->hosts;
    tenant->host_count = lender->host_count;
    tenant->paths = lender->paths;
    tenant->path_count = lender->path_count;
    tenant->hsts = lender->hsts;
}

static int compare_leads(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)((const struct lead *)a)->target;
    uintptr_t right = (uintptr_t)((const struct lead *)b)->target;
    return left < right ? -1 : left > right;
}

static struct lead *lead_to(struct loading *loading, const struct tenant *target)
{
    const struct lead key = {.target = target};
    void *const *found = tfind(&key, &loading->leads, compare_leads);
    if (found != NULL)
        return *found;
    struct lead *lead = memory_new(sizeof(*lead));
    size_t own_bytes = tenant_longest_host_bytes(target);
    *lead = (struct lead){.target = target,
                          .fitting_bytes = {own_bytes, tenant_strips(target) ? own_bytes : 0}};
    if (tsearch(lead, &loading->leads, compare_leads) == NULL)
        memory_give_up(sizeof(*lead));
    return lead;
}

/* What is led to a tenant has the headers of that one, and a host of `first`, of which the length
 * counts and whether a prefix is cut. The HSTS of that host is not reckoned: it is left out where
 * there is no room for it. */
static void check_led(struct loading *loading, const struct tenant *first,
                      const struct tenant *target, const struct place *place)
{
    struct error_text why;
    struct lead *lead = lead_to(loading, target);
    size_t bytes = tenant_longest_host_bytes(first);
    size_t *fitting_bytes = &lead->fitting_bytes[tenant_strips(first)];
    if (loading->prepare == NULL || bytes <= *fitting_bytes || lead->first == first)
        return;
    struct tenant *led = tenant_clone(target);
    const struct tenant own = *led;
    lend_hosts(first, led);
    led->hsts = NULL;
    if (loading->prepare(led, &why) == ERROR_OK) {
        *fitting_bytes = bytes;
    } else {
        lead->first = first;
        diagnostics_add_code(loading->diagnostics, CODE_ANSWER_TOO_BIG, place, NULL,
                             "tenant \"%s\": on its hosts, what is led to tenant \"%s\" does not "
                             "fit: %s",
                             first->name, target->name, why.text);
    }
    lend_hosts(&own, led);
    tenant_free(led);
}

/* All that `asked`, whose identities they are, leads to by the address of the user, on the hosts of
 * `first`, which may be another that has led to it. */
static void check_led_users(struct loading *loading, const struct tenant *first,
                            const struct tenant *asked, const struct place *place)
{
    const struct identity_rule *rule = asked->identity;
    for (size_t i = 0; rule != NULL && i < rule->domain_count; i++) {
        const struct tenant *target =
            route_registry_find(loading->whole->registry, slice_of(rule->domains[i].tenant));
        if (target != NULL && target != first)
            check_led(loading, first, target, place);
    }
}

/* Users by the domain of their address go to tenants that expect them. */
static void check_domains(void *context, const struct tenant *tenant)
{
    struct loading *loading = context;
    const struct identity_rule *rule = tenant->identity;
    for (size_t i = 0; rule != NULL && i < rule->domain_count; i++) {
        const char *name = rule->domains[i].tenant;
        const struct tenant *target = route_registry_find(loading->whole->registry, slice_of(name));
        if (target == NULL)
            diagnostics_add_code(loading->diagnostics, CODE_IDENTITY_DOMAIN, &tenant->place, NULL,
                                 "tenant \"%s\": users of \"%s\" belong to tenant \"%s\", which is "
                                 "not there or not good",
                                 tenant->name, rule->domains[i].domain, name);
        else if (target->upstream.per_label)
            diagnostics_add_code(loading->diagnostics, CODE_IDENTITY_DOMAIN, &tenant->place,
                                 "name a tenant that has an upstream of its own",
                                 "tenant \"%s\": users of \"%s\" belong to tenant \"%s\", whose "
                                 "upstream depends on a label",
                                 tenant->name, rule->domains[i].domain, name);
        else if (target->identity == NULL || target->identity->from != IDENTITY_FROM_SHARED)
            diagnostics_add_code(
                loading->diagnostics, CODE_IDENTITY_DOMAIN, &tenant->place,
                "give it \"identity\": {\"from\": \"shared\", \"set\": {...}}: it "
                "then believes what this tenant has verified",
                "tenant \"%s\": users of \"%s\" belong to tenant \"%s\", which does "
                "not share its identities",
                tenant->name, rule->domains[i].domain, name);
    }
    check_led_users(loading, tenant, tenant, &tenant->place);
}

/* Where routes lead. What one tenant's label is says nothing to another. */
static void check_routes(void *context, const struct tenant *tenant)
{
    struct loading *loading = context;
    const struct policy *policy = tenant->policy;
    for (size_t i = 0; policy != NULL && i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        if (rule->tenant == NULL)
            continue;
        const struct tenant *target =
            route_registry_find(loading->whole->registry, slice_of(rule->tenant));
        if (target == NULL)
            diagnostics_add_code(loading->diagnostics, CODE_ROUTE_TENANT, &rule->place, NULL,
                                 "tenant \"%s\": a route leads to tenant \"%s\", which is not "
                                 "there or not good",
                                 tenant->name, rule->tenant);
        else if (target == tenant || target->upstream.per_label)
            diagnostics_add_code(loading->diagnostics, CODE_ROUTE_TENANT, &rule->place,
                                 "name a tenant that has an upstream of its own",
                                 "tenant \"%s\": a route cannot lead to tenant \"%s\", %s",
                                 tenant->name, rule->tenant,
                                 target == tenant ? "whose it is"
                                                  : "whose upstream depends on a label");
        else if (rule->share != 0)
            diagnostics_add_code(loading->diagnostics, CODE_SHARED_DATABASE, &rule->place,
                                 "Open WebUI changes its database when a new version starts, and "
                                 "its guide to several replicas says that an old and a new one "
                                 "must never run on one: give each of the two its own",
                                 "tenant \"%s\": %u%% of its clients go to tenant \"%s\", which "
                                 "must not share a database with it",
                                 tenant->name, rule->share, rule->tenant);
        if (target == NULL || target == tenant || target->upstream.per_label)
            continue;
        check_led(loading, tenant, target, &rule->place);
        check_led_users(loading, tenant, target, &rule->place);
    }
}

/* Two tenants that believe the same certificates are one to whoever signs them. */
static void check_authority(void *context, const struct tenant *tenant)
{
    struct loading *loading = context;
    const struct identity_rule *rule = tenant->identity;
    if (rule == NULL || rule->from != IDENTITY_FROM_CLIENT_CERT || rule->issuer_pem != NULL)
        return;
    if (loading->believes_all++ == 1)
        diagnostics_add_code(loading->diagnostics, CODE_ANY_AUTHORITY, &tenant->place,
                             "add \"issuer_file\" to each identity, unless one authority signs for "
                             "all of them",
                             "tenant \"%s\" is not the only one that believes every authority of "
                             "haproxy.client_ca_file: each of these can sign for the users of all",
                             tenant->name);
}

/* One that is ordered would take the place of the admin's, or the other way round. */
static void check_certificate_file(const struct loading *loading, const struct tenant *tenant)
{
    struct slice file = slice_of(tenant->certificate_file);
    struct slice name = slice_from(file.data, file.size - SLICE(".pem").size);
    const struct tenant *other = route_registry_find(loading->whole->registry, name);
    if (other != NULL && other->certificate_file == NULL)
        diagnostics_add_code(loading->diagnostics, CODE_CERTIFICATE_TAKEN, &tenant->place,
                             "give the file another name",
                             "tenant \"%s\": \"%s\" is where the certificate of tenant \"%s\" "
                             "belongs, so that it is not looked after for this one",
                             tenant->name, tenant->certificate_file, other->name);
}

/* What no certificate is obtained for: what comes behind the last that one has room for, and
 * wildcards. */
static void check_certified(void *context, const struct tenant *tenant)
{
    struct loading *loading = context;
    const struct acme_settings *acme = &loading->whole->configuration->acme;
    struct certified certified;
    if (tenant->certificate_file != NULL) {
        check_certificate_file(loading, tenant);
        return;
    }
    if (acme->directory == NULL)
        return;
    certified_hosts(loading->whole->table, tenant, acme_settings_hosts_max(acme), &certified);
    if (certified.wildcard != NULL)
        diagnostics_add_code(loading->diagnostics, CODE_NO_CERTIFICATE, certified.wildcard,
                             "get one by DNS-01 with another client, and name its file in "
                             "haproxy.crt_dir: \"certificate_file\": \"wildcard.pem\"",
                             "tenant \"%s\": no certificate is obtained or looked after for a "
                             "wildcard",
                             tenant->name);
    if (certified.left_out != NULL && acme->directory[0] != '\0')
        diagnostics_add_code(loading->diagnostics, CODE_UNCERTIFIED_HOSTS, certified.left_out_place,
                             "give the rest to a second tenant with the same upstream",
                             "tenant \"%s\": a certificate has room for %zu hosts, and \"%s\" and "
                             "what follows get none",
                             tenant->name, certified.room, certified.left_out);
}

static void warn_of_host(struct loading *loading, const struct tenant *tenant, const char *host,
                         const struct place *place)
{
    const struct configuration *configuration = loading->whole->configuration;
    if (certified_is_address(host)) {
        if (configuration->haproxy.https_count > 0)
            diagnostics_add_code(loading->diagnostics, CODE_UNCERTIFIABLE_HOST, place,
                                 "give it a name, if only one of the LAN; or \"https\": \"off\", "
                                 "for plain HTTP",
                                 "tenant \"%s\": no certificate can be shown for the address %s, "
                                 "since browsers name no host when they connect to one: none is "
                                 "ordered",
                                 tenant->name, host);
    } else if (certified_is_private(host) && tenant->certificate_file == NULL &&
               acme_settings_is_public(&configuration->acme)) {
        diagnostics_add_code(loading->diagnostics, CODE_UNCERTIFIABLE_HOST, place,
                             "name a CA of your own as \"directory\" of \"acme\", or take a name "
                             "below a domain of yours",
                             "tenant \"%s\": %s is no name of the public DNS, and a CA for the "
                             "public issues no certificate for it",
                             tenant->name, host);
    }
}

/* Hosts with which nobody comes in by HTTPS, ever. */
static void check_uncertifiable(void *context, const struct tenant *tenant)
{
    struct loading *loading = context;
    for (size_t i = 0; tenant->https_redirect && i < tenant->host_count; i++)
        if (!tenant->hosts[i].wildcard)
            warn_of_host(loading, tenant, tenant->hosts[i].name, &tenant->hosts[i].place);
    for (size_t i = 0; tenant->https_redirect && i < tenant->path_count; i++)
        if (!tenant->paths[i].wildcard && !is_same_key(tenant, i))
            warn_of_host(loading, tenant, tenant->paths[i].host, &tenant->paths[i].place);
}

static void check_unknown_host(struct loading *loading)
{
    const struct configuration *configuration = loading->whole->configuration;
    const struct place *place = &configuration->unknown_host_place;
    const char *name = configuration->settings->unknown_host_tenant;
    if (name == NULL)
        return;
    const struct tenant *target = route_registry_find(loading->whole->registry, slice_of(name));
    if (target == NULL)
        diagnostics_add_code(loading->diagnostics, CODE_TENANT_UNKNOWN, place, NULL,
                             "unknown hosts go to tenant \"%s\", which is not there or not good",
                             name);
    else if (target->upstream.per_label)
        diagnostics_add_code(loading->diagnostics, CODE_TENANT_UNKNOWN, place,
                             "name a tenant that has an upstream of its own",
                             "unknown hosts go to tenant \"%s\", whose upstream depends on a label",
                             name);
}

static void count_redirect(void *context, const struct tenant *tenant)
{
    *(size_t *)context += tenant->https_redirect;
}

/* Where HAProxy ends no TLS, https is what a proxy in front tells, when it is believed. */
static void check_redirects(struct loading *loading)
{
    const struct configuration *configuration = loading->whole->configuration;
    const struct place place = {file_name_keep(configuration->path), 0, 0};
    size_t count = 0;
    if (configuration->haproxy.https_count > 0 ||
        configuration->settings->trusted_proxies.group_count > 0)
        return;
    route_table_each_tenant(loading->whole->table, count_redirect, &count);
    if (count > 0)
        diagnostics_add_code(loading->diagnostics, CODE_ENDLESS_REDIRECT, &place,
                             "add the proxy that ends TLS to \"trusted_proxies\", or \"https\": "
                             "\"off\" to \"defaults\" or to these tenants",
                             "who comes by plain HTTP is sent to https (tenants: %zu), but HAProxy "
                             "listens for no TLS and believes no proxy in front: browsers end in a "
                             "loop",
                             count);
}

static int compare_places(const void *a, const void *b)
{
    const struct place *left = &((const struct diagnostic *)a)->place;
    const struct place *right = &((const struct diagnostic *)b)->place;
    int order = strcmp(left->file, right->file);
    if (order != 0)
        return order;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    return left->column < right->column ? -1 : left->column > right->column;
}

/* A table has no order, and what is said about it must have one. */
static void check_tenants(struct loading *loading)
{
    struct diagnostics *diagnostics = loading->diagnostics;
    size_t first = diagnostics->count;
    route_table_each_tenant(loading->whole->table, check_shared_origin, loading);
    taken_roots_check(loading->whole->table, diagnostics);
    route_table_each_tenant(loading->whole->table, check_domains, loading);
    route_table_each_tenant(loading->whole->table, check_authority, loading);
    route_table_each_tenant(loading->whole->table, check_certified, loading);
    route_table_each_tenant(loading->whole->table, check_uncertifiable, loading);
    route_table_each_tenant(loading->whole->table, check_routes, loading);
    tdestroy(loading->leads, free);
    loading->leads = NULL;
    if (diagnostics->count > first)
        qsort(diagnostics->items + first, diagnostics->count - first, sizeof(*diagnostics->items),
              compare_places);
}

static void check_together(struct loading *loading)
{
    struct whole *whole = loading->whole;
    whole->table = route_registry_build(whole->registry, 1);
    check_tenants(loading);
    check_unknown_host(loading);
    check_redirects(loading);
    if (whole->tenant_count + whole->broken_count == 0 && loading->diagnostics->errors == 0) {
        struct place place = {file_name_keep(whole->configuration->path), 0, 0};
        diagnostics_add_code(loading->diagnostics, CODE_NO_TENANTS, &place,
                             "\"tenants\": {\"chat\": {\"hosts\": [\"chat.example.com\"], "
                             "\"upstream\": \"http://127.0.0.1:3000\"}}",
                             "there is no tenant: every request is one for an unknown host");
    }
}

bool whole_load(const char *path, whole_prepare_fn *prepare, struct whole *whole,
                struct diagnostics *diagnostics)
{
    static const struct whole_changes NONE;
    return whole_load_changed(path, &NONE, prepare, whole, diagnostics);
}

bool whole_load_changed(const char *path, const struct whole_changes *changes,
                        whole_prepare_fn *prepare, struct whole *whole,
                        struct diagnostics *diagnostics)
{
    struct loading loading = {
        .whole = whole, .diagnostics = diagnostics, .prepare = prepare, .changes = *changes};
    struct tenant_file inline_tenants;
    bool usable;
    size_t errors = diagnostics->errors;

    *whole = (struct whole){.registry = route_registry_new()};
    whole->configuration = configuration_read(path, &inline_tenants, diagnostics, &usable);
    if (whole->configuration != NULL) {
        loading.owners = owners_load(whole->configuration->acme.state_dir);
        route_registry_prefer(whole->registry, owners_prefer, loading.owners);
        take_tenants(&loading, &inline_tenants);
        read_tenant_files(&loading);
        check_together(&loading);
    }
    route_registry_prefer(whole->registry, NULL, NULL);
    owners_free(loading.owners);
    tenant_file_fini(&inline_tenants);
    if (!usable) {
        configuration_free(whole->configuration);
        whole->configuration = NULL;
    }
    return diagnostics->errors == errors;
}

uint64_t whole_content_hash(const struct configuration *configuration,
                            const struct route_table *table)
{
    uint64_t hash = route_table_content_hash(table);
    return hash_content(slice_from(&hash, sizeof(hash)), configuration->content_hash);
}

void whole_fini(struct whole *whole)
{
    route_table_free(whole->table);
    route_registry_free(whole->registry);
    configuration_free(whole->configuration);
    *whole = (struct whole){0};
}
