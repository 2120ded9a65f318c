/* What `setup` is to write: see setup.h.
 *
 * The new files are read as the daemon will read them, from memory and beside what is on the disk,
 * so that a plan that would not work is refused before anything has changed. What somebody has
 * configured stays as it is: only what is missing, or what the command line says, is put in.
 */
#include "acme/store.h"
#include "agent/answer.h"
#include "analysis/environment.h"
#include "cli/terminal.h"
#include "conf/text_file.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "route/certified.h"
#include "serving/haproxy_files.h"
#include "setup.h"
#include "json/json.h"

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STAGING "letsencrypt-staging"

enum { PRIVATE_MODE = 0640, PUBLIC_MODE = 0644 };

/* -- The global file --------------------------------------------------------------------------- */

static bool text_is(const struct json *object, const char *key, const char *wanted)
{
    struct slice text;
    return json_read_text(json_get(object, key), &text) && slice_equal(text, slice_of(wanted));
}

static bool put_text(struct json *object, const char *key, const char *wanted)
{
    if (wanted == NULL || text_is(object, key, wanted))
        return false;
    json_put_text(object, key, slice_of(wanted));
    return true;
}

/* The CA: what the command line says, else what is there; staging is left when nobody asks for it
 * any more. */
static const char *wanted_directory(const struct setup_wish *wish, const struct json *acme)
{
    if (wish->directory != NULL)
        return wish->directory;
    if (wish->staging)
        return STAGING;
    return json_get(acme, "directory") == NULL || text_is(acme, "directory", STAGING)
               ? "letsencrypt"
               : NULL;
}

/* One of several that are there stays one of them. */
static bool put_contact(struct json *acme, const char *email)
{
    const struct json *there = json_get(acme, "contact");
    struct slice one;
    bool is_there = false;
    if (email == NULL)
        return false;
    char *contact = memory_format("mailto:%s", email);
    for (size_t i = 0; i < json_count(there) && !is_there; i++)
        is_there = json_read_text(json_at(there, i), &one) && slice_equal(one, slice_of(contact));
    if (!is_there) {
        struct json *contacts = json_new_array();
        json_append_text(contacts, slice_of(contact));
        json_put(acme, "contact", contacts);
    }
    free(contact);
    return !is_there;
}

/* The group that reads certificates: HAProxy's, if the system has it. */
static bool put_group(struct json *acme)
{
    if (json_get(acme, "group") != NULL || geteuid() != 0 || getgrnam("haproxy") == NULL)
        return false;
    json_put_text(acme, "group", SLICE("haproxy"));
    return true;
}

/* NULL when what is there is not JSON; the loader tells more about that. */
static char *global_text(const struct setup_wish *wish, const char *previous)
{
    struct json_position where;
    struct error_text why;
    struct json *root = previous != NULL
                            ? json_parse(slice_of(previous), JSON_MAX_TEXT_BYTES, &where, &why)
                            : json_new_object();
    if (root == NULL || json_type_of(root) != JSON_TYPE_OBJECT) {
        json_free(root);
        return NULL;
    }
    const struct json *there = json_get(root, "acme");
    struct json *acme =
        json_type_of(there) == JSON_TYPE_OBJECT ? json_clone(there) : json_new_object();
    char *ca_file = wish->ca_file != NULL ? realpath(wish->ca_file, NULL) : NULL;
    bool changed = put_text(acme, "directory", wanted_directory(wish, acme));
    changed |= put_text(acme, "ca_file", ca_file);
    changed |= put_contact(acme, wish->email);
    changed |= put_group(acme);
    json_put(root, "acme", acme);
    /* Unless something has to change, the file stays as somebody has laid it out. */
    char *text = changed || previous == NULL ? json_print(root, JSON_STYLE_INDENTED)
                                             : memory_copy_text(slice_of(previous));
    free(ca_file);
    json_free(root);
    return text;
}

/* -- Tenants ----------------------------------------------------------------------------------- */

/* "http://127.0.0.1:3000" for "127.0.0.1:3000". */
static char *url_of_upstream(const char *text, bool tls)
{
    if (strstr(text, "://") != NULL)
        return memory_copy_text(slice_of(text));
    return memory_format("%s://%s", tls ? "https" : "http", text);
}

static char *wrap_tenant(const char *name, struct json *tenant)
{
    struct json *root = json_new_object(), *tenants = json_new_object();
    json_put(tenants, name, tenant);
    json_put(root, "tenants", tenants);
    char *text = json_print(root, JSON_STYLE_INDENTED);
    json_free(root);
    return text;
}

static void add_path(struct json *paths, const char *host, const char *prefix)
{
    struct json *path = json_new_object();
    json_put_text(path, "host", slice_of(host));
    json_put_text(path, "prefix", slice_of(prefix));
    json_append(paths, path);
}

/* A backend of the tutorial as a tenant. A path that led here from any host is put on the hosts
 * that there are certificates for. */
static char *carried_tenant(const struct tutorial_tenant *from, const char *name, char *url,
                            const struct json *hosts, char *const *free_names, size_t free_count)
{
    struct json *tenant = json_new_object(), *paths = json_new_array();
    json_put(tenant, "hosts", json_clone(hosts));
    for (size_t i = 0; i < from->path_count; i++) {
        if (from->paths[i].host != NULL)
            add_path(paths, from->paths[i].host, from->paths[i].prefix);
        for (size_t j = 0; j < free_count && from->paths[i].host == NULL; j++)
            add_path(paths, free_names[j], from->paths[i].prefix);
    }
    if (json_count(paths) > 0)
        json_put(tenant, "paths", paths);
    else
        json_free(paths);
    json_put_text(tenant, "upstream", slice_of(url));
    if (from->tls && (from->no_verify || from->server_name != NULL)) {
        struct json *tls = json_new_object();
        if (from->no_verify)
            json_put_bool(tls, "verify", false);
        if (from->server_name != NULL)
            json_put_text(tls, "server_name", slice_of(from->server_name));
        json_put(tenant, "upstream_tls", tls);
    }
    return wrap_tenant(name, tenant);
}

static void print_diagnostics(const struct diagnostics *diagnostics, size_t first)
{
    for (size_t i = first; i < diagnostics->count; i++) {
        char *text = diagnostic_print(&diagnostics->items[i]);
        fputs(text, stderr);
        free(text);
    }
}

/* The tenant that has the host already, by its exact name. */
static const struct tenant *owner_of(const struct whole *whole, const struct tenant_host *host)
{
    struct route_match match;
    if (host->wildcard)
        return NULL;
    route_table_find(whole->table, slice_of(host->name), SLICE("/"), &match);
    for (size_t i = 0; match.tenant != NULL && i < match.tenant->host_count; i++)
        if (!match.tenant->hosts[i].wildcard &&
            strcmp(match.tenant->hosts[i].name, host->name) == 0)
            return match.tenant;
    return NULL;
}

static bool same_upstream(const struct tenant *a, const struct tenant *b)
{
    return a->upstream.host != NULL && b->upstream.host != NULL &&
           a->upstream.scheme == b->upstream.scheme && a->upstream.port == b->upstream.port &&
           strcmp(a->upstream.host, b->upstream.host) == 0;
}

enum standing { NEW_TENANT, THERE_ALREADY, IN_THE_WAY };

/* What there is to do about a name that is taken; a tenant that is carried over has its host's. */
static const char *way_out(const struct setup_plan *plan)
{
    return plan->takes_name ? ", or take another --name" : "";
}

/* How the tenant stands to those that are there; what is in the way is told. `*only` is who has all
 * of its hosts that somebody has; NULL: nobody, or several together. */
static enum standing stand(const struct setup_plan *plan, const struct tenant *tenant,
                           const struct tenant **only)
{
    const struct whole *whole = &plan->whole;
    size_t there = 0;
    *only = NULL;
    for (size_t i = 0; i < tenant->host_count; i++) {
        const struct tenant *owner = owner_of(whole, &tenant->hosts[i]);
        if (owner == NULL)
            continue;
        if (!same_upstream(owner, tenant)) {
            terminal_complain("%s belongs to tenant \"%s\" (%s:%u), which has another upstream: "
                              "change it there",
                              tenant->hosts[i].name, owner->name, owner->place.file,
                              owner->place.line);
            return IN_THE_WAY;
        }
        *only = there == 0 || owner == *only ? owner : NULL;
        there++;
    }
    if (tenant->host_count > 0 && there == tenant->host_count)
        return THERE_ALREADY;
    const struct tenant *named = route_registry_find(whole->registry, slice_of(tenant->name));
    if (there == 0 && named == NULL)
        return NEW_TENANT;
    const char *place = named != NULL ? named->place.file : "another tenant's file";
    terminal_complain("tenant \"%s\" is there already (%s) with other hosts: add the host to its "
                      "\"hosts\"%s",
                      tenant->name, place, way_out(plan));
    return IN_THE_WAY;
}

static void on_conflict(void *context, const struct route_conflict *conflict)
{
    diagnostics_add_conflict(context, conflict);
}

/* Those that are known by name. */
static struct json *list_hosts(const struct tenant *tenant)
{
    struct json *hosts = json_new_array();
    for (size_t i = 0; i < tenant->host_count; i++)
        if (!tenant->hosts[i].wildcard)
            json_append_text(hosts, slice_of(tenant->hosts[i].name));
    return hosts;
}

/* Where browsers come to what was asked for, of which `tenant` is what there is, or will be. */
static char *entrance_host(const struct tenant *asked, const struct tenant *tenant)
{
    struct json *hosts = list_hosts(tenant->canonical_host ? tenant : asked);
    struct slice first;
    char *host = json_read_text(json_at(hosts, 0), &first) ? memory_copy_text(first) : NULL;
    json_free(hosts);
    return host;
}

static void note_tenant(struct setup_plan *plan, const struct tenant *asked,
                        const struct tenant *tenant)
{
    struct json *hosts = list_hosts(tenant);
    const struct environment_reach reach = {
        .https = tenant->https_redirect,
        .https_port = plan->whole.configuration->settings->https_port,
        .canonical_host = tenant->canonical_host,
        .policy = tenant->policy,
    };
    plan->tenants = memory_resize(plan->tenants, plan->tenant_count + 1, sizeof(*plan->tenants));
    struct setup_tenant *noted = &plan->tenants[plan->tenant_count++];
    *noted = (struct setup_tenant){.name = memory_copy_text(slice_of(tenant->name)),
                                   .host = entrance_host(asked, tenant),
                                   .https = tenant->https_redirect,
                                   .environment = environment_of(hosts, NULL, &reach)};
    noted->upstream = memory_format(
        "%s://%s:%u", tenant->upstream.scheme == UPSTREAM_HTTP ? "http" : "https",
        tenant->upstream.host != NULL ? tenant->upstream.host : "?", tenant->upstream.port);
    json_free(hosts);
}

/* Reads the text as the daemon would; the tenant, or NULL when it is wrong, which is told. */
static struct tenant *read_tenant(const struct whole *whole, const char *path, const char *text)
{
    struct diagnostics diagnostics = {0};
    struct tenant_file file;
    struct tenant *tenant = NULL;
    const struct text_overlay overlay = {path, text};
    text_file_overlay(&overlay, 1);
    tenant_file_load(path, whole->configuration, &file, &diagnostics);
    text_file_overlay(NULL, 0);
    if (diagnostics.errors == 0 && file.tenant_count == 1) {
        tenant = file.tenants[0];
        file.tenants[0] = NULL;
    }
    print_diagnostics(&diagnostics, 0);
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    return tenant;
}

/* What has the name of a new tenant's file may hold other tenants, or what is to become one. Takes
 * both texts. */
static bool add_tenant_file(struct setup_plan *plan, char *path, char *text)
{
    struct error_text why;
    if (access(path, F_OK) == 0) {
        terminal_complain("%s is there already, with something else in it: move that to a file of "
                          "another name%s",
                          path, way_out(plan));
        free(path);
        free(text);
        return false;
    }
    bool good = setup_files_add(&plan->files, path, text, PRIVATE_MODE, SETUP_SERVICE_USER, &why) ==
                ERROR_OK;
    if (!good)
        terminal_complain("%s", why.text);
    return good;
}

/* Who begins with an address or a name of the LAN is told now, not after minutes of waiting. */
static bool can_be_certified(const struct setup_plan *plan, const struct tenant *tenant)
{
    const struct configuration *configuration = plan->whole.configuration;
    const char *host = tenant->hosts[0].name;
    if (!tenant->https_redirect || configuration->haproxy.https_count == 0)
        return true;
    if (certified_is_address(host)) {
        terminal_complain("%s is an address: browsers name no host when they connect to one, so "
                          "that HAProxy cannot choose a certificate for it. Take a name, if only "
                          "one of your LAN, with a CA of your own: setup chat.lan --upstream ... "
                          "--directory URL --ca-file FILE (man owui-spoa.json, In a LAN)",
                          host);
        return false;
    }
    if (!certified_is_private(host) || !acme_settings_is_public(&configuration->acme))
        return true;
    terminal_complain("%s is no name of the public DNS, and %s issues no certificate for it. Take "
                      "a name below a domain of yours, or a CA of your own: --directory URL "
                      "--ca-file FILE (man owui-spoa.json, In a LAN)",
                      host, configuration->acme.directory);
    return false;
}

/* Takes `text`: the file of one new tenant. */
static bool add_tenant(struct setup_plan *plan, const char *name, char *text)
{
    struct diagnostics diagnostics = {0};
    char *path = memory_format("%s/%s.json", plan->whole.configuration->tenants_dir, name);
    struct tenant *tenant = read_tenant(&plan->whole, path, text);
    const struct tenant *there = NULL;
    enum standing standing = tenant != NULL ? stand(plan, tenant, &there) : IN_THE_WAY;
    bool good = standing != IN_THE_WAY;

    /* What is carried over has hosts that were there before, and `check` warns of them. */
    if (standing == NEW_TENANT && plan->takes_name)
        good = can_be_certified(plan, tenant);
    if (good) /* what is there may have more hosts, and its own mind about HTTPS */
        note_tenant(plan, tenant, there != NULL ? there : tenant);
    if (good && standing == NEW_TENANT) {
        route_registry_put(plan->whole.registry, tenant, on_conflict, &diagnostics);
        tenant = NULL;
        print_diagnostics(&diagnostics, 0);
        good = diagnostics.errors == 0;
        if (good) {
            good = add_tenant_file(plan, path, text);
            path = text = NULL;
        }
    }
    diagnostics_fini(&diagnostics);
    tenant_free(tenant);
    free(path);
    free(text);
    return good;
}

/* Tenants' names are in lower case; for other letters than ASCII's there is --name. */
static char *lower_case(const char *text)
{
    char *lower = memory_copy_text(slice_of(text));
    ascii_lower_text(lower);
    return lower;
}

/* An address of IPv6 that is refused is so for what it is, not for its colons in a name. */
static char *name_of_host(const char *host)
{
    char *name = lower_case(host + strspn(host, ":"));
    for (char *colon = strchr(name, ':'); colon != NULL; colon = strchr(colon, ':'))
        *colon = '-';
    return name;
}

static bool add_wished_tenant(struct setup_plan *plan, const struct setup_wish *wish)
{
    char *name = wish->name != NULL ? lower_case(wish->name) : name_of_host(wish->host);
    struct json *tenant = json_new_object(), *hosts = json_new_array();
    char *url = url_of_upstream(wish->upstream, false);
    /* An address of IPv6 is written as in a URL. */
    bool has_colon = strchr(wish->host, ':') != NULL;
    char *host = memory_format("%s%s%s", has_colon ? "[" : "", wish->host, has_colon ? "]" : "");
    json_append_text(hosts, slice_of(host));
    json_put(tenant, "hosts", hosts);
    json_put_text(tenant, "upstream", slice_of(url));
    free(host);
    free(url);
    plan->takes_name = true;
    bool good = add_tenant(plan, name, wrap_tenant(name, tenant));
    free(name);
    return good;
}

/* -- The tutorial ------------------------------------------------------------------------------ */

/* Tenants' names are what hosts are made of; a backend's may be anything. */
static char *name_of(const struct tutorial_tenant *tenant, const char *host)
{
    const char *from = host != NULL ? host : tenant->backend;
    if (slice_starts_with(slice_of(from), SLICE("*.")))
        from += 2;
    return lower_case(from);
}

static bool add_carried_tenant(struct setup_plan *plan, const struct setup_wish *wish,
                               const struct tutorial_tenant *from, char *const *free_names,
                               size_t free_count)
{
    struct json *hosts = json_new_texts(from->hosts, from->host_count);
    const char *first = from->host_count > 0 ? from->hosts[0] : wish->host;
    if (from->host_count == 0 && wish->host == NULL) {
        terminal_complain("backend %s was reached by a path alone, and Open WebUI needs a host of "
                          "its own: owui-spoa setup chat.example.com --tutorial ...",
                          from->backend);
        json_free(hosts);
        return false;
    }
    if (from->host_count == 0)
        json_append_text(hosts, slice_of(wish->host));
    for (size_t i = 0; i < from->path_count && free_count == 0; i++)
        if (from->paths[i].host == NULL)
            terminal_complain("%s led here from any host, and does no more: where it shall, name "
                              "the host in \"paths\" of tenant \"%s\"",
                              from->paths[i].prefix, first);
    char *url = url_of_upstream(from->server, from->tls);
    char *name = name_of(from, first);
    bool good =
        add_tenant(plan, name, carried_tenant(from, name, url, hosts, free_names, free_count));
    free(name);
    free(url);
    json_free(hosts);
    return good;
}

static bool is_host_of_some(const struct tutorial *tutorial, const char *host)
{
    for (size_t i = 0; i < tutorial->tenant_count; i++)
        for (size_t j = 0; j < tutorial->tenants[i].host_count; j++)
            if (strcmp(tutorial->tenants[i].hosts[j], host) == 0)
                return true;
    return false;
}

static bool is_beneath(const char *host, const char *wildcard)
{
    const char *rest = strchr(host, '.');
    return rest != NULL && wildcard[0] == '*' && strcmp(rest, wildcard + 1) == 0;
}

/* One without hosts is for any. */
static bool has_room_for(const struct tutorial_tenant *tenant, const char *host)
{
    for (size_t i = 0; i < tenant->host_count; i++)
        if (strcmp(tenant->hosts[i], host) == 0 || is_beneath(host, tenant->hosts[i]))
            return true;
    return tenant->host_count == 0;
}

/* False when it would be set up without the host that somebody has asked for. */
static bool has_place_for(const struct setup_plan *plan, const struct setup_wish *wish)
{
    const struct tutorial *tutorial = &plan->tutorial;
    struct route_match match = {0};
    if (wish->host == NULL || wish->upstream != NULL)
        return true;
    for (size_t i = 0; i < tutorial->tenant_count; i++)
        if (has_room_for(&tutorial->tenants[i], wish->host))
            return true;
    route_table_find(plan->whole.table, slice_of(wish->host), SLICE("/"), &match);
    if (match.tenant != NULL)
        return true;
    terminal_complain("--tutorial %s: nothing in it is for %s, and all of it has hosts; leave that "
                      "out, or tell where it leads with --upstream",
                      wish->tutorial, wish->host);
    return false;
}

/* Who is there by now is what there is to look at. */
static void note_there(void *context, const struct tenant *tenant)
{
    if (tenant->instance_of == NULL)
        note_tenant(context, tenant, tenant);
}

/* What it has found, for people: before anything that is in the way, which it may explain. */
static void tell_tutorial(const struct tutorial *tutorial)
{
    if (tutorial->tenant_count + tutorial->note_count == 0)
        return;
    puts("what was there, and what becomes of it:");
    for (size_t i = 0; i < tutorial->note_count; i++) {
        const struct tutorial_note *note = &tutorial->notes[i];
        char line[24] = "";
        if (note->line > 0)
            snprintf(line, sizeof(line), "line %u", note->line);
        char *first =
            memory_format("  %-10s %-6s ", line, note->kind == TUTORIAL_LEFT ? "LOOK" : "mended");
        terminal_wrap(first, (unsigned)strlen(first), note->text, terminal_columns());
        free(first);
    }
    fflush(stdout); /* what is told on stderr comes behind it */
}

/* Who names the wrong file must not be told that nothing has to be written. */
static bool read_tutorial(struct setup_plan *plan, const struct setup_wish *wish, const char *text)
{
    if (hap_config_is_ours(slice_of(text))) {
        printf("%s was carried over already\n", wish->tutorial);
        if (wish->upstream == NULL)
            route_table_each_tenant(plan->whole.table, note_there, plan);
        return true;
    }
    tutorial_read(slice_of(text), &plan->tutorial);
    tell_tutorial(&plan->tutorial);
    if (plan->tutorial.tenant_count > 0 || wish->upstream != NULL)
        return true;
    terminal_complain(
        "--tutorial %s: no host or path leads to a server in it; expected an acl with "
        "hdr(host) or path_beg, and use_backend. Where all requests go to one server: "
        "owui-spoa setup chat.example.com --upstream 127.0.0.1:3000",
        wish->tutorial);
    return false;
}

static bool add_carried_tenants(struct setup_plan *plan, const struct setup_wish *wish)
{
    struct error_text why;
    char *text;
    char **names = NULL;
    size_t name_count = 0, free_count = 0;
    bool good;
    if (setup_file_read(wish->tutorial, &text, &why) != ERROR_OK) {
        terminal_complain("%s", why.text);
        return false;
    }
    if (text == NULL) {
        terminal_complain("--tutorial %s: there is no such file; HAProxy's is usually "
                          "/etc/haproxy/haproxy.cfg",
                          wish->tutorial);
        return false;
    }
    plan->carried = text;
    good = read_tutorial(plan, wish, text) && has_place_for(plan, wish);
    if (wish->certbot != NULL)
        name_count = setup_certbot_names(wish->certbot, &names);
    for (size_t i = 0; i < name_count; i++) {
        bool taken = is_host_of_some(&plan->tutorial, names[i]) ||
                     (wish->host != NULL && strcmp(names[i], wish->host) == 0);
        if (taken)
            free(names[i]);
        else
            names[free_count++] = names[i];
    }
    for (size_t i = 0; i < plan->tutorial.tenant_count && good; i++)
        good = add_carried_tenant(plan, wish, &plan->tutorial.tenants[i], names, free_count);
    memory_free_texts(names, free_count);
    return good;
}

void setup_tell_foreign(const struct setup_plan *plan)
{
    const struct setup_file *haproxy = &plan->files.items[plan->haproxy_file];
    const char *was = haproxy->previous;
    if (was == NULL || plan->haproxy_was_ours ||
        (plan->carried != NULL && strcmp(plan->carried, was) == 0))
        return;
    char *doors = tutorial_doors(slice_of(was));
    if (doors != NULL) {
        char *text = memory_format(
            "%s was written by somebody else, and nothing of it is carried over: what it has (%s) "
            "ENDS when HAProxy starts anew. The file is kept beside; lines of your own have their "
            "places, between marks, in the new one. --tutorial %s carries hosts, paths and servers "
            "over.",
            haproxy->path, doors, haproxy->path);
        putchar('\n');
        terminal_wrap("  LOOK   ", 9, text, terminal_columns());
        free(text);
    }
    free(doors);
}

/* -- HAProxy's files --------------------------------------------------------------------------- */

/* So that HAProxy answers challenges by itself when the agent is down; there is a key from the
 * daemon's first start on. */
static void put_thumbprint(struct configuration *configuration)
{
    const struct acme_settings *acme = &configuration->acme;
    char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1] = "";
    struct error_text why;
    free(configuration->haproxy.thumbprint);
    configuration->haproxy.thumbprint = NULL;
    if (acme->directory != NULL && acme->directory[0] != '\0' && acme->state_dir != NULL &&
        store_account_thumbprint(acme->state_dir, acme->directory, thumbprint, &why) == ERROR_OK)
        configuration->haproxy.thumbprint = memory_copy_text(slice_of(thumbprint));
}

static enum error replace_text(struct setup_file *file, char *text, struct error_text *why)
{
    free(file->text);
    free(file->previous);
    file->text = text;
    return setup_file_read(file->path, &file->previous, why);
}

enum error setup_plan_haproxy(struct setup_plan *plan, struct error_text *why)
{
    struct setup_file *haproxy = &plan->files.items[plan->haproxy_file];
    const struct hap_config *config = &plan->whole.configuration->haproxy;
    put_thumbprint(plan->whole.configuration);
    enum error error = replace_text(haproxy, NULL, why);
    struct slice previous = haproxy->previous != NULL ? slice_of(haproxy->previous) : SLICE("");
    if (error == ERROR_OK)
        error = hap_config_check_own_lines(previous, why);
    if (error == ERROR_OK)
        haproxy->text = hap_config_write(config, HAP_ANY, previous, why);
    if (error == ERROR_OK && haproxy->text == NULL)
        error = ERROR_INVALID;
    if (error != ERROR_OK) {
        haproxy->text = haproxy->text != NULL ? haproxy->text : memory_copy_text(SLICE(""));
        return error;
    }
    plan->haproxy_was_ours =
        haproxy->previous != NULL && hap_config_is_ours(slice_of(haproxy->previous));
    return replace_text(&plan->files.items[plan->spoe_file], hap_spoe_write(config, HAP_ANY), why);
}

static enum error add_haproxy(struct setup_plan *plan, struct error_text *why)
{
    const struct hap_config *config = &plan->whole.configuration->haproxy;
    char *spoe_path = memory_copy_text(slice_of(hap_spoe_path(config)));
    plan->folder = memory_copy_text(file_path_folder(spoe_path));
    plan->spoe_file = plan->files.count;
    enum error error = setup_files_add(&plan->files, spoe_path, memory_copy_text(SLICE("")),
                                       PUBLIC_MODE, NULL, why);
    if (error != ERROR_OK)
        return error;
    plan->haproxy_file = plan->files.count;
    error = setup_files_add(&plan->files, hap_config_path(config), memory_copy_text(SLICE("")),
                            PUBLIC_MODE, NULL, why);
    return error != ERROR_OK ? error : setup_plan_haproxy(plan, why);
}

/* -- The whole --------------------------------------------------------------------------------- */

/* Reads everything that is there with the global file as it will be. */
static bool load(struct setup_plan *plan, const char *path, const char *text)
{
    struct diagnostics diagnostics = {0};
    const struct text_overlay overlay = {path, text};
    text_file_overlay(&overlay, 1);
    bool clean = whole_load(path, answer_prepare, &plan->whole, &diagnostics);
    text_file_overlay(NULL, 0);
    /* A tenant that is wrong does not keep another from being set up. */
    if (!clean)
        print_diagnostics(&diagnostics, 0);
    diagnostics_fini(&diagnostics);
    return plan->whole.configuration != NULL && plan->whole.configuration->tenants_dir != NULL;
}

/* What tenants that are wrong have in HAProxy's files is not known, and the daemon may serve them
 * as they last were. A file of somebody else's has nothing of theirs. */
static bool loses_nobody(const struct setup_plan *plan)
{
    const size_t haproxys[] = {plan->haproxy_file, plan->spoe_file};
    bool good = true;
    if (!plan->whole.has_broken || !plan->haproxy_was_ours)
        return true;
    for (size_t i = 0; i < COUNT_OF(haproxys); i++) {
        const struct setup_file *file = &plan->files.items[haproxys[i]];
        if (!setup_file_changes(file))
            continue;
        terminal_complain("%s changes, and would lose what the tenants that are wrong have in it: "
                          "mend them first, or move them out of %s",
                          file->path, plan->whole.configuration->tenants_dir);
        good = false;
    }
    return good;
}

bool setup_plan_make(const struct setup_wish *wish, struct setup_plan *plan)
{
    struct error_text why = {""};
    char *previous;
    *plan = (struct setup_plan){0};
    if (setup_file_read(wish->configuration, &previous, &why) != ERROR_OK) {
        terminal_complain("%s", why.text);
        return false;
    }
    char *text = global_text(wish, previous);
    bool good = load(plan, wish->configuration, text != NULL ? text : previous);
    free(previous);
    if (!good || text == NULL) {
        free(text);
        return false;
    }
    plan->global_file = plan->files.count;
    enum error error =
        setup_files_add(&plan->files, memory_copy_text(slice_of(wish->configuration)), text,
                        PRIVATE_MODE, SETUP_SERVICE_USER, &why);
    if (error == ERROR_OK && wish->tutorial != NULL && !add_carried_tenants(plan, wish))
        return false;
    if (error == ERROR_OK && wish->upstream != NULL && !add_wished_tenant(plan, wish))
        return false;
    if (error == ERROR_OK)
        error = add_haproxy(plan, &why);
    if (error != ERROR_OK)
        terminal_complain("%s", why.text);
    return error == ERROR_OK && loses_nobody(plan);
}

void setup_plan_fini(struct setup_plan *plan)
{
    for (size_t i = 0; i < plan->tenant_count; i++) {
        free(plan->tenants[i].name);
        free(plan->tenants[i].host);
        free(plan->tenants[i].upstream);
        json_free(plan->tenants[i].environment);
    }
    free(plan->tenants);
    free(plan->folder);
    free(plan->carried);
    setup_files_fini(&plan->files);
    tutorial_fini(&plan->tutorial);
    whole_fini(&plan->whole);
}
