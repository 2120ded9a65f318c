/* The admin interface: tenants as they are in their files and in force. */
#include "changes/change_operations.h"

#include "analysis/environment.h"
#include "claims.h"
#include "core/clock.h"
#include "core/memory.h"
#include "route/label_map.h"
#include "route/replica.h"
#include "serving/live.h"
#include "sources/sources.h"
#include "tenant_edit.h"

#include <stdlib.h>

enum { LIST_MAX = 1000 };

/* -- One tenant -------------------------------------------------------------------------------- */

static struct json *hosts_json(const struct tenant *tenant)
{
    struct json *hosts = json_new_array();
    for (size_t i = 0; i < tenant->host_count; i++) {
        char *text =
            memory_format("%s%s", tenant->hosts[i].wildcard ? "*." : "", tenant->hosts[i].name);
        json_append_text(hosts, slice_of(text));
        free(text);
    }
    return hosts;
}

static struct json *paths_json(const struct tenant *tenant)
{
    struct json *paths = json_new_array();
    for (size_t i = 0; i < tenant->path_count; i++) {
        const struct path_rule *path = &tenant->paths[i];
        char *text = memory_format("%s%s%s", path->wildcard ? "*." : "", path->host, path->prefix);
        json_append_text(paths, slice_of(text));
        free(text);
    }
    return paths;
}

/* "up", "down", "starting" or "no-address", as the checks and the resolver have it now. */
static const char *replica_state(const struct replica *replica)
{
    if (replica->upstream.address.family == IP_NONE)
        return "no-address";
    unsigned share = replica_share(replica);
    if (share == 0)
        return "down";
    return share < REPLICA_SHARE_FULL ? "starting" : "up";
}

static void put_replicas(struct json *object, const struct replica_set *set)
{
    struct json *list = json_new_array();
    size_t up = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct replica *replica = &set->items[i];
        struct json *item = json_new_object();
        char *url = upstream_url(&replica->upstream);
        up += replica->upstream.address.family != IP_NONE && replica_share(replica) > 0;
        json_put_text(item, "url", slice_of(url));
        json_put_text(item, "state", slice_of(replica_state(replica)));
        json_put_bool(item, "draining", replica->draining);
        json_append(list, item);
        free(url);
    }
    char *text = memory_format("%zu replicas, %zu up", set->count, up);
    json_put_text(object, "upstream", slice_of(text));
    json_put(object, "replicas", list);
    free(text);
}

static void put_labels(struct json *object, const struct label_map *labels)
{
    char *text = labels->wrong_count > 0 ? memory_format("%zu labels, %zu of them wrong",
                                                         labels->count, labels->wrong_count)
                                         : memory_format("%zu labels", labels->count);
    json_put_text(object, "upstream", slice_of(text));
    struct json *told = json_new_object();
    json_put_text(told, "file", slice_of(labels->path));
    json_put_integer(told, "count", (int64_t)labels->count);
    json_put_integer(told, "wrong", (int64_t)labels->wrong_count);
    json_put(object, "labels", told);
    free(text);
}

static void put_upstream(struct json *object, const struct tenant *tenant)
{
    const struct upstream *upstream = &tenant->upstream;
    char ip_text[IP_TEXT_SIZE];
    if (tenant->active_version != NULL)
        json_put_text(object, "version", slice_of(tenant->active_version));
    if (tenant->replicas != NULL) {
        put_replicas(object, tenant->replicas);
        return;
    }
    if (tenant->backend != NULL) {
        json_put_text(object, "backend", slice_of(tenant->backend));
        return;
    }
    if (tenant->labels != NULL) {
        put_labels(object, tenant->labels);
        return;
    }
    char *text = upstream_url(upstream);
    json_put_text(object, "upstream", slice_of(text));
    free(text);
    if (upstream->address.family != IP_NONE)
        json_put_text(object, "address", slice_of(ip_print(&upstream->address, ip_text)));
}

static void put_outage(struct json *object, const struct tenant *tenant)
{
    bool holds =
        tenant->maintenance != NULL && maintenance_holds(tenant->maintenance, clock_wall_s());
    json_put_bool(object, "maintenance", holds);
    json_put_bool(object, "suspended", tenant->suspended != NULL);
}

static struct json *entry_json(const struct sources_entry *entry)
{
    struct json *object = json_new_object();
    json_put_text(object, "name", slice_of(entry->name));
    json_put_text(object, "state", slice_of(sources_state_name(entry->state)));
    json_put_text(object, "file", slice_of(entry->file));
    if (entry->tenant != NULL) {
        json_put(object, "hosts", hosts_json(entry->tenant));
        json_put(object, "paths", paths_json(entry->tenant));
        put_upstream(object, entry->tenant);
        put_outage(object, entry->tenant);
    }
    return object;
}

/* -- What is wrong ----------------------------------------------------------------------------- */

/* Messages about a tenant begin with its name; others are about its file. */
static bool is_about(const struct diagnostic *item, const char *name)
{
    char *start = memory_format("tenant \"%s\"", name);
    bool is = slice_starts_with(slice_of(item->message), slice_of(start)) ||
              !slice_starts_with(slice_of(item->message), SLICE("tenant \""));
    free(start);
    return is && item->severity == SEVERITY_ERROR;
}

static void put_shadow(const struct live *live, const struct sources_entry *entry,
                       struct json *problems)
{
    struct sources_entry other;
    if (entry->state != SOURCES_SHADOWED ||
        !sources_find(publisher_sources(live->publisher), entry->name, &other))
        return;
    struct json *problem = json_new_object();
    char *text = memory_format("%s has a tenant of this name, which counts", other.file);
    char *hint = memory_format("remove it from %s, or give it another name there", entry->file);
    json_put_text(problem, "message", slice_of(text));
    json_put_text(problem, "hint", slice_of(hint));
    json_append(problems, problem);
    free(hint);
    free(text);
}

static const char *name_without_address(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++)
        if (tenant_upstream_peek(tenant, i)->address.family == IP_NONE)
            return tenant_upstream_peek(tenant, i)->host;
    return "the upstream's name";
}

/* Nothing is wrong with the file then: an address is missing. */
static void put_waiting(const struct sources_entry *entry, struct json *problems)
{
    if (entry->state != SOURCES_UNRESOLVED && entry->state != SOURCES_PARKED)
        return;
    const char *name = entry->state == SOURCES_PARKED ? "the new upstream's name"
                                                      : name_without_address(entry->tenant);
    struct json *problem = json_new_object();
    char *text = memory_format("%s has no address", name);
    json_put_text(problem, "message", slice_of(text));
    json_put_text(problem, "hint",
                  SLICE("journalctl -u owui-spoa -g resolve_failed has what the name server said"));
    json_append(problems, problem);
    free(text);
}

static struct place place_of(const struct tenant *holder, const struct claim *claim)
{
    struct claim own;
    for (size_t i = 0; claim_of(holder, i, &own); i++)
        if (own.wildcard == claim->wildcard && slice_equal(own.host, claim->host) &&
            slice_equal(own.prefix, claim->prefix))
            return own.place;
    return holder->place;
}

/* What of it another tenant had first. */
static void put_contested(const struct live *live, const struct sources_entry *entry,
                          struct json *problems)
{
    const struct snapshot *snapshot = publisher_snapshot(live->publisher);
    struct diagnostics diagnostics = {0};
    struct claim claim;
    if (entry->state != SOURCES_CONTESTED)
        return;
    for (size_t i = 0; claim_of(entry->tenant, i, &claim); i++) {
        const struct tenant *holder = claim_holder(snapshot, &claim);
        if (holder == NULL || strcmp(holder->name, entry->name) == 0)
            continue;
        char *text = claim_text(&claim);
        diagnostics_add_conflict(&diagnostics, &(struct route_conflict){
                                                   .kept = holder,
                                                   .ignored = entry->tenant,
                                                   .kept_place = place_of(holder, &claim),
                                                   .ignored_place = claim.place,
                                                   .key = slice_of(text),
                                               });
        free(text);
    }
    for (size_t i = 0; i < diagnostics.count; i++)
        json_append(problems, diagnostic_json(&diagnostics.items[i]));
    diagnostics_fini(&diagnostics);
}

/* `diagnostics` is of the entry's file. */
static void put_problems(const struct live *live, const struct sources_entry *entry,
                         const struct diagnostics *diagnostics, struct json *object)
{
    struct json *problems = json_new_array();
    put_shadow(live, entry, problems);
    put_waiting(entry, problems);
    put_contested(live, entry, problems);
    for (size_t i = 0; i < diagnostics->count; i++)
        if (is_about(&diagnostics->items[i], entry->name))
            json_append(problems, diagnostic_json(&diagnostics->items[i]));
    json_put(object, "problems", problems);
}

/* -- The list: sorted by name, so that it can be asked for page by page -------------------------
 */

struct list {
    struct sources_entry *entries;
    size_t count;
    size_t capacity;
    size_t total;       /* with those before `after` */
    struct slice state; /* empty: any */
    const char *after;
    const char *search; /* "": any */
};

/* In its name, one of its hosts or its upstream. */
static bool is_searched(const struct sources_entry *entry, const char *search)
{
    if (search[0] == '\0' || strcasestr(entry->name, search) != NULL)
        return true;
    if (entry->tenant == NULL)
        return false;
    for (size_t i = 0; i < entry->tenant->host_count; i++)
        if (strcasestr(entry->tenant->hosts[i].name, search) != NULL)
            return true;
    const char *upstream = entry->tenant->upstream.host;
    return upstream != NULL && strcasestr(upstream, search) != NULL;
}

static void collect(void *context, const struct sources_entry *entry)
{
    struct list *list = context;
    if ((list->state.size > 0 &&
         !slice_equal(list->state, slice_of(sources_state_name(entry->state)))) ||
        !is_searched(entry, list->search))
        return;
    list->total++;
    if (strcmp(entry->name, list->after) <= 0)
        return;
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->entries = memory_resize(list->entries, list->capacity, sizeof(*list->entries));
    }
    list->entries[list->count++] = *entry;
}

static int compare_entries(const void *a, const void *b)
{
    const struct sources_entry *left = a;
    const struct sources_entry *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->file, right->file);
}

/* One row, and what is told of it. */
struct row {
    const struct sources_entry *entry;
    struct json *object;
};

static int compare_files(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    return strcmp(left->entry->file, right->entry->file);
}

/* Reads each file once, however many of its tenants are not live, and whatever is between them. */
static void put_list_problems(const struct live *live, struct row *rows, size_t count)
{
    struct diagnostics diagnostics = {0};
    const char *read = NULL;
    qsort(rows, count, sizeof(*rows), compare_files);
    for (size_t i = 0; i < count; i++) {
        const struct sources_entry *entry = rows[i].entry;
        if (read == NULL || strcmp(read, entry->file) != 0) {
            diagnostics_fini(&diagnostics);
            diagnostics = (struct diagnostics){0};
            sources_complain(publisher_sources(live->publisher), entry->file, &diagnostics);
            read = entry->file;
        }
        put_problems(live, entry, &diagnostics, rows[i].object);
    }
    diagnostics_fini(&diagnostics);
}

/* One that is mistyped must not pass for one that no tenant is in. */
static bool is_state(struct slice name)
{
    bool known = name.size == 0;
    for (int i = 0; !known && i < SOURCES_STATE__MAX; i++)
        known = slice_equal(name, slice_of(sources_state_name((enum sources_state)i)));
    return known;
}

static void list_tenants(void *context, const struct admin_request *request,
                         struct admin_answer *answer)
{
    const struct live *live = context;
    struct slice state = admin_query_value(request->query, "state");
    if (!is_state(state)) {
        admin_refuse(answer, 400, "there is no state \"%.*s\" of tenants; GET /v1/status tells all",
                     SLICE_PRINT(state));
        return;
    }
    struct json *array = json_new_array();
    size_t limit = admin_query_number(request->query, "limit", LIST_MAX, LIST_MAX);
    char *search = admin_query_text(request->query, "search");
    char *after = admin_query_text(request->query, "after");
    struct list list = {.state = state, .after = after, .search = search};
    sources_each(publisher_sources(live->publisher), collect, &list);
    if (list.count > 0)
        qsort(list.entries, list.count, sizeof(*list.entries), compare_entries);
    /* A page ends between names, not between two tenants of one name. */
    size_t shown = size_min(list.count, limit);
    while (shown > 0 && shown < list.count &&
           strcmp(list.entries[shown - 1].name, list.entries[shown].name) == 0)
        shown++;
    struct row *rows = memory_new((shown + 1) * sizeof(*rows));
    size_t row_count = 0;
    for (size_t i = 0; i < shown; i++) {
        struct json *one = entry_json(&list.entries[i]);
        if (list.entries[i].state != SOURCES_LIVE)
            rows[row_count++] = (struct row){&list.entries[i], one};
        json_append(array, one);
    }
    put_list_problems(live, rows, row_count);
    free(rows);
    struct json *body = admin_answer_body(answer);
    json_put_integer(body, "generation", (int64_t)publisher_snapshot(live->publisher)->generation);
    json_put_integer(body, "total", (int64_t)list.total);
    json_put(body, "tenants", array);
    if (shown > 0 && shown < list.count)
        json_put_text(body, "after", slice_of(list.entries[shown - 1].name));
    free(list.entries);
    free(after);
    free(search);
}

/* -- One of them ------------------------------------------------------------------------------- */

/* What stands in the file: the ETag is of that, so that a change by hand counts too. */
static void put_definition(const struct sources_entry *entry, struct json *object,
                           struct admin_answer *answer)
{
    size_t line = 0;
    struct json *definition = tenant_definition(entry->file, entry->name, answer->etag, &line);
    if (definition == NULL)
        return;
    json_put(object, "definition", definition);
    json_put_integer(object, "line", (int64_t)line);
    json_put_text(object, "etag", slice_of(answer->etag));
}

static void put_environment(const struct live *live, const struct sources_entry *entry,
                            struct json *object)
{
    if (entry->tenant == NULL)
        return;
    const struct environment_reach reach = {
        .https = entry->tenant->https_redirect,
        .https_port = publisher_configuration(live->publisher)->settings->https_port,
        .canonical_host = entry->tenant->canonical_host,
        .policy = entry->tenant->policy,
    };
    struct json *environment = environment_of(
        json_get(object, "hosts"), json_get(json_get(object, "definition"), "identity"), &reach);
    if (environment != NULL)
        json_put(object, "environment", environment);
}

/* Where its requests go, so that commands can ask the servers themselves. */
static void put_servers(const struct sources_entry *entry, struct json *object)
{
    if (entry->tenant == NULL)
        return;
    struct json *servers = json_new_array();
    for (size_t i = 0; i < tenant_upstream_count(entry->tenant); i++) {
        const struct upstream *upstream = tenant_upstream_peek(entry->tenant, i);
        struct json *server = json_new_object();
        char *url = upstream_url(upstream);
        char address[IP_PORT_TEXT_SIZE];
        json_put_text(server, "url", slice_of(url));
        if (upstream->address.family != IP_NONE)
            json_put_text(
                server, "address",
                slice_of(ip_print_with_port(&upstream->address, upstream->port, address)));
        if (upstream->server_name != NULL)
            json_put_text(server, "server_name", slice_of(upstream->server_name));
        json_put_bool(server, "verify", upstream->scheme != UPSTREAM_HTTPS_NO_VERIFY);
        json_append(servers, server);
        free(url);
    }
    json_put(object, "servers", servers);
}

static void show_tenant(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    const struct live *live = context;
    struct sources_entry entry;
    struct diagnostics diagnostics = {0};
    char *name = memory_copy_text(request->item);
    if (sources_find(publisher_sources(live->publisher), name, &entry)) {
        answer->body = entry_json(&entry);
        put_definition(&entry, answer->body, answer);
        put_servers(&entry, answer->body);
        sources_complain(publisher_sources(live->publisher), entry.file, &diagnostics);
        put_problems(live, &entry, &diagnostics, answer->body);
        put_environment(live, &entry, answer->body);
    } else {
        admin_refuse(answer, 404, "there is no tenant \"%s\"; `owui-spoa tenants` lists them",
                     name);
    }
    diagnostics_fini(&diagnostics);
    free(name);
}

const struct admin_operation TENANT_OPERATIONS[] = {
    {"GET", "/v1/tenants", list_tenants, "lists all tenants", "state search after limit=N"},
    {"GET", "/v1/tenants/{}", show_tenant, "tells about one", ""},
    {0},
};
