/* Decisions told apart: see verdict.h. */
#include "verdict.h"

#include "agent/explain.h"
#include "agent/instance.h"
#include "core/memory.h"
#include "route/label.h"
#include "route/label_map.h"

#include <stdio.h>
#include <stdlib.h>

/* RFC 5737: nobody's. It stands for whatever address a name has. */
static const struct ip SOMEWHERE = {.family = IP_V4, .bytes = {192, 0, 2, 1}};

static enum error prepare(struct tenant *tenant, struct error_text *text)
{
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        struct upstream *upstream = tenant_upstream_at(tenant, i);
        if (upstream_has_name(upstream))
            upstream->address = SOMEWHERE;
    }
    return answer_prepare(tenant, text);
}

const char *verdict_label(const struct tenant *tenant)
{
    static const char *const LABELS[] = {"any", "a",   "abcd1234", "1",     "1234",     "a1",
                                         "t1",  "t-1", "team-1",   "team1", "tenant-1", "x-y"};
    for (size_t i = 0; tenant->labels != NULL && i < tenant->labels->count; i++)
        if (tenant->labels->rows[i].port != 0)
            return label_map_text(tenant->labels, tenant->labels->rows[i].label);
    for (size_t i = 0; tenant->label != NULL && i < COUNT_OF(LABELS); i++)
        if (label_pattern_matches(tenant->label, slice_of(LABELS[i])))
            return LABELS[i];
    return LABELS[0];
}

/* Tenants whose upstream depends on the label. */
struct parents {
    const struct tenant **items;
    size_t count;
};

static void add_parent(void *context, const struct tenant *tenant)
{
    struct parents *parents = context;
    if (tenant->backend != NULL || !tenant->upstream.per_label)
        return;
    parents->items = memory_resize(parents->items, parents->count + 1, sizeof(*parents->items));
    parents->items[parents->count++] = tenant;
}

struct tenant *verdict_instance(const struct tenant *parent, struct slice label)
{
    struct ip address;
    char *host = instance_host(parent, label);
    if (host == NULL)
        return NULL;
    if (!ip_parse(slice_of(host), &address))
        address = SOMEWHERE;
    struct tenant *instance = instance_new(parent, label, host, &address, NULL);
    free(host);
    return instance;
}

static void add_instances(struct whole *whole)
{
    struct parents parents = {0};
    route_table_each_tenant(whole->table, add_parent, &parents);
    for (size_t i = 0; i < parents.count; i++) {
        struct slice label = slice_of(verdict_label(parents.items[i]));
        struct tenant *instance = verdict_instance(parents.items[i], label);
        if (instance != NULL)
            route_registry_put(whole->registry, instance, NULL, NULL);
    }
    if (parents.count > 0) {
        struct route_table *without = whole->table;
        whole->table = route_registry_build(whole->registry, 2);
        route_table_free(without);
    }
    free(parents.items);
}

bool verdict_load(const char *path, const struct whole_changes *changes, struct whole *whole,
                  struct diagnostics *diagnostics)
{
    (void)!whole_load_changed(path, changes, prepare, whole, diagnostics);
    if (whole->configuration == NULL)
        return false;
    add_instances(whole);
    return true;
}

void verdict_print_errors(struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        if (diagnostics->items[i].severity != SEVERITY_ERROR)
            continue;
        char *text = diagnostic_print(&diagnostics->items[i]);
        fputs(text, stderr);
        free(text);
    }
    diagnostics_fini(diagnostics);
}

/* -- One decision ------------------------------------------------------------------------------ */

/* A scalar or list of texts as one text; for free(). */
static char *text_of(const struct json *value)
{
    struct slice text;
    if (json_read_text(value, &text))
        return memory_copy_text(text);
    return json_print(value, JSON_STYLE_LINE);
}

static void put(struct json *verdict, const char *prefix, struct slice key,
                const struct json *value)
{
    if (value == NULL)
        return;
    char *name = memory_format("%s%.*s", prefix, SLICE_PRINT(key));
    char *text = text_of(value);
    json_put_text(verdict, name, slice_of(text));
    free(text);
    free(name);
}

/* Variables that are told in other words, or are another one in each request. */
static bool is_told_otherwise(struct slice name)
{
    static const char *const NAMES[] = {
        "answer",      "status", "reason",   "to",      "tenant", "dst",   "to_http", "to_https",
        "to_noverify", "sni",    "by_https", "by_http", "rid",    "chain", "gen",     "backend",
        "host",        "path",   "strip",    "headers", "more",   "ts",    "tt"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++)
        if (slice_equal(name, slice_of(NAMES[i])))
            return true;
    return slice_starts_with(name, SLICE("h_"));
}

struct json *verdict_of(const struct whole *whole, const struct request *request)
{
    static const char *const KEYS[] = {"decision",       "status",   "reason", "to",
                                       "strip_segments", "upstream", "answers"};
    const struct snapshot snapshot = {
        .generation = 1, .settings = whole->configuration->settings, .table = whole->table};
    struct hap_config haproxy = whole->configuration->haproxy;
    haproxy.fallback_map = NULL; /* all tenants would be looked at for what no verdict has */
    struct explanation *explanation = explanation_new(&snapshot, request, &haproxy);
    struct json *told = explanation_json(explanation);
    struct json *verdict = json_new_object();
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        put(verdict, "", slice_of(KEYS[i]), json_get(told, KEYS[i]));
    put(verdict, "", SLICE("tenant"), json_get(json_get(told, "tenant"), "name"));
    const struct json *headers = json_get(told, "headers");
    for (struct json_member m = {0}; json_next(json_get(headers, "set"), &m);)
        put(verdict, "header ", m.key, m.value);
    for (struct json_member m = {0}; json_next(json_get(told, "limits"), &m);)
        put(verdict, "limit ", m.key, m.value);
    put(verdict, "", SLICE("headers deleted"), json_get(headers, "deleted"));
    for (struct json_member m = {0}; json_next(json_get(told, "variables"), &m);)
        if (!is_told_otherwise(m.key))
            put(verdict, "owui.", m.key, m.value);
    json_free(told);
    explanation_free(explanation);
    return verdict;
}

/* -- Two --------------------------------------------------------------------------------------- */

static void compare_member(struct json **difference, struct slice key, const struct json *before,
                           const struct json *after)
{
    struct slice old = {0};
    struct slice new = {0};
    bool had = json_read_text(before, &old);
    bool has = json_read_text(after, &new);
    if (had == has && slice_equal(old, new))
        return;
    if (*difference == NULL)
        *difference = json_new_object();
    struct json *pair = json_new_object();
    char *name = memory_copy_text(key);
    if (had)
        json_put_text(pair, "before", old);
    if (has)
        json_put_text(pair, "after", new);
    json_put(*difference, name, pair);
    free(name);
}

struct json *verdict_compare(const struct json *before, const struct json *after)
{
    struct json *difference = NULL;
    for (struct json_member m = {0}; json_next(before, &m);) {
        char *key = memory_copy_text(m.key);
        compare_member(&difference, m.key, m.value, json_get(after, key));
        free(key);
    }
    for (struct json_member m = {0}; json_next(after, &m);) {
        char *key = memory_copy_text(m.key);
        if (json_get(before, key) == NULL)
            compare_member(&difference, m.key, NULL, m.value);
        free(key);
    }
    return difference;
}

/* That nothing, or anything, is forwarded says all of the headers and variables that go with it. */
static bool is_of_forwarding(struct slice key)
{
    return slice_starts_with(key, SLICE("header")) || slice_starts_with(key, SLICE("owui."));
}

void verdict_print_difference(const struct json *difference)
{
    bool is_other_decision = json_get(difference, "decision") != NULL;
    for (struct json_member m = {0}; json_next(difference, &m);) {
        if (is_other_decision && is_of_forwarding(m.key))
            continue;
        struct slice before = SLICE("(none)");
        struct slice after = SLICE("(none)");
        if (!json_read_text(json_get(m.value, "before"), &before))
            before = SLICE("(none)");
        if (!json_read_text(json_get(m.value, "after"), &after))
            after = SLICE("(none)");
        printf("    %-24.*s %.*s  ->  %.*s\n", SLICE_PRINT(m.key), SLICE_PRINT(before),
               SLICE_PRINT(after));
    }
}
