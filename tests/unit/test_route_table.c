/* route/table: lookups against a model that searches everything, tables that outlive changes, and
 * what a lookup may not do. */
#include "allocations.h"
#include "core/memory.h"
#include "route/label.h"
#include "route/path.h"
#include "route/table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A tenant from text: hosts and paths separated by spaces. "*.x" is a wildcard; a path is
 * "x/prefix" and may end in ">/api/" for what it serves only. */
static struct tenant *tenant_of(const char *name, uint64_t content_hash, const char *keys,
                                const char *label)
{
    struct tenant *tenant = tenant_new();
    char *copy = memory_copy_text(slice_of(keys));
    char *rest = NULL;

    tenant->name = memory_copy_text(slice_of(name));
    tenant->content_hash = content_hash;
    tenant->label = label != NULL ? label_pattern_new(slice_of(label), NULL) : NULL;
    for (char *key = strtok_r(copy, " ", &rest); key != NULL; key = strtok_r(NULL, " ", &rest)) {
        bool wildcard = key[0] == '*';
        char *host = key + (wildcard ? 2 : 0);
        char *only = strchr(host, '>');
        if (only != NULL)
            *only++ = '\0';
        char *prefix = strchr(host, '/');
        struct place place = {.file = "test", .line = (uint32_t)(tenant->host_count + 1)};
        if (prefix == NULL) {
            tenant->hosts =
                memory_resize(tenant->hosts, tenant->host_count + 1, sizeof(*tenant->hosts));
            tenant->hosts[tenant->host_count++] =
                (struct tenant_host){memory_copy_text(slice_of(host)), wildcard, place};
            continue;
        }
        tenant->paths =
            memory_resize(tenant->paths, tenant->path_count + 1, sizeof(*tenant->paths));
        struct path_rule *path = &tenant->paths[tenant->path_count++];
        *path = (struct path_rule){.wildcard = wildcard, .place = place};
        path->prefix = memory_copy_text(slice_of(prefix));
        path->segments = (uint8_t)path_segments(slice_of(prefix));
        path->host = memory_copy_text(slice_from(host, (size_t)(prefix - host)));
        if (only != NULL) {
            path->only = memory_new(sizeof(*path->only));
            path->only[path->only_count++] = memory_copy_text(slice_of(only));
        }
    }
    free(copy);
    return tenant;
}

static void put(struct route_registry *registry, const char *name, const char *keys)
{
    route_registry_put(registry, tenant_of(name, 1, keys, NULL), NULL, NULL);
}

/* Who gets it: "tenant", "tenant (path)", "refused", "known" or "nobody". */
static const char *who(const struct route_table *table, const char *host, const char *path)
{
    static char text[400];
    struct route_match match;
    route_table_find(table, slice_of(host), slice_of(path), &match);
    if (match.tenant == NULL)
        return match.label_refused ? "refused" : match.host_known ? "known" : "nobody";
    if (match.path != NULL)
        snprintf(text, sizeof(text), "%s (%s)", match.tenant->name, match.path->prefix);
    else
        snprintf(text, sizeof(text), "%s", match.tenant->name);
    return text;
}

#define WHO(TABLE, HOST, PATH, EXPECTED) \
    cr_expect_str_eq(who((TABLE), (HOST), (PATH)), (EXPECTED), "%s%s", (HOST), (PATH))

Test(table, precedence)
{
    struct route_registry *registry = route_registry_new();
    put(registry, "exact", "chat.example.com");
    put(registry, "wild", "*.example.com");
    put(registry, "deep", "*.ai.example.com");
    put(registry, "paths",
        "chat.example.com/owui chat.example.com/owui/v2 only.example.org/llm "
        "*.example.com/status");
    put(registry, "api", "api.example.org/llm>/api/ api.example.org/llm/api/v2>/x");
    struct route_table *table = route_registry_build(registry, 1);

    WHO(table, "chat.example.com", "/", "exact");
    WHO(table, "chat.example.com", "/owui", "paths (/owui)");
    WHO(table, "chat.example.com", "/owui/", "paths (/owui)");
    WHO(table, "chat.example.com", "/owui/v2", "paths (/owui/v2)");
    WHO(table, "chat.example.com", "/owui/v2/x/y/z", "paths (/owui/v2)");
    WHO(table, "chat.example.com", "/owui/v21", "paths (/owui)");
    WHO(table, "chat.example.com", "/owuix", "exact");
    WHO(table, "chat.example.com", "/owui;x", "exact");
    WHO(table, "chat.example.com", "/OWUI", "exact");
    WHO(table, "chat.example.com", "/x/owui", "exact");
    WHO(table, "chat.example.com", "*", "exact");
    /* the exact host goes before a wildcard's path rule */
    WHO(table, "chat.example.com", "/status", "exact");
    WHO(table, "other.example.com", "/status", "paths (/status)");
    WHO(table, "other.example.com", "/statusx", "wild");
    WHO(table, "other.example.com", "/status/x", "paths (/status)");
    WHO(table, "other.example.com", "/", "wild");
    /* a wildcard is one label */
    WHO(table, "example.com", "/", "nobody");
    WHO(table, "a.b.example.com", "/", "nobody");
    WHO(table, "x.ai.example.com", "/", "deep");
    WHO(table, "ai.example.com", "/", "wild");
    WHO(table, ".example.com", "/", "wild");
    /* path rules alone */
    WHO(table, "only.example.org", "/llm/x", "paths (/llm)");
    WHO(table, "only.example.org", "/", "known");
    WHO(table, "only.example.org", "/ll", "known");
    /* what may follow the prefix */
    WHO(table, "api.example.org", "/llm/api/config", "api (/llm)");
    WHO(table, "api.example.org", "/llm/api/", "api (/llm)");
    WHO(table, "api.example.org", "/llm/api", "known");
    WHO(table, "api.example.org", "/llm", "known");
    WHO(table, "api.example.org", "/llm/api/v2/x", "api (/llm/api/v2)");
    WHO(table, "api.example.org", "/llm/api/v2/x/y", "api (/llm/api/v2)");
    WHO(table, "api.example.org", "/llm/api/v2/xy", "api (/llm)");
    /* not a key of another kind */
    WHO(table, "=exact", "/", "nobody");
    WHO(table, "*.example.com", "/", "wild");
    WHO(table, "", "", "nobody");
    cr_expect(zero(ptr, (void *)(uintptr_t)route_table_tenant(table, SLICE("chat.example.com"))));
    cr_expect_str_eq(route_table_tenant(table, SLICE("deep"))->name, "deep");
    cr_expect_eq(route_table_tenant_count(table), 5);

    route_table_free(table);
    route_registry_free(registry);
}

Test(table, a_match_tells_what_matched)
{
    struct route_registry *registry = route_registry_new();
    struct route_match match;
    put(registry, "t", "a.example.com *.example.com *.example.com/p");
    struct route_table *table = route_registry_build(registry, 1);

    route_table_find(table, SLICE("a.example.com"), SLICE("/"), &match);
    cr_expect(match.host == &match.tenant->hosts[0] && match.path == NULL);
    cr_expect_eq(match.label.size, 0);
    route_table_find(table, SLICE("b-1.example.com"), SLICE("/"), &match);
    cr_expect(match.host == &match.tenant->hosts[1] && match.path == NULL);
    cr_expect(slice_equal(match.label, SLICE("b-1")));
    route_table_find(table, SLICE("b-1.example.com"), SLICE("/p/x"), &match);
    cr_expect(match.host == NULL && match.path == &match.tenant->paths[0]);
    cr_expect(slice_equal(match.label, SLICE("b-1")));
    cr_expect(match.host_known);

    route_table_free(table);
    route_registry_free(registry);
}

Test(table, a_label_must_satisfy_the_pattern)
{
    struct route_registry *registry = route_registry_new();
    route_registry_put(registry, tenant_of("fleet", 1, "*.ai.tld vip.ai.tld", "[a-z]+[0-9]*"), NULL,
                       NULL);
    route_registry_put(registry, tenant_of("paths", 1, "*.ai.tld/p", "[0-9]+"), NULL, NULL);
    struct route_table *table = route_registry_build(registry, 1);
    WHO(table, "abc1.ai.tld", "/", "fleet");
    WHO(table, "1abc.ai.tld", "/", "refused");
    WHO(table, "123.ai.tld", "/p", "paths (/p)");
    WHO(table, "abc.ai.tld", "/p", "fleet");
    WHO(table, "1-2.ai.tld", "/p", "refused");
    WHO(table, "vip.ai.tld", "/", "fleet");
    route_table_free(table);
    route_registry_free(registry);
}

struct conflicts {
    unsigned count;
    char last[200];
};

static void note_conflict(void *context, const struct route_conflict *conflict)
{
    struct conflicts *conflicts = context;
    conflicts->count++;
    snprintf(conflicts->last, sizeof(conflicts->last), "%.*s: %s kept (%u), %s ignored (%u)",
             SLICE_PRINT(conflict->key), conflict->kept->name, conflict->kept_place.line,
             conflict->ignored->name, conflict->ignored_place.line);
}

static void put_noting(struct route_registry *registry, const char *name, const char *keys,
                       struct conflicts *conflicts)
{
    route_registry_put(registry, tenant_of(name, 1, keys, NULL), note_conflict, conflicts);
}

static bool has_all(const struct route_registry *registry, const char *name)
{
    return route_registry_has_all(registry, route_registry_find(registry, slice_of(name)));
}

Test(table, who_lacks_what_it_claims_is_known)
{
    struct route_registry *registry = route_registry_new();
    struct conflicts ignored = {0};
    put_noting(registry, "a", "a.tld a.tld x.tld/p", &ignored);
    put_noting(registry, "b", "b.tld", &ignored);
    cr_expect(has_all(registry, "a") && has_all(registry, "b"));
    put_noting(registry, "b", "b.tld x.tld/p", &ignored);
    put_noting(registry, "c", "a.tld", &ignored);
    put_noting(registry, "d", "a.tld", &ignored);
    put_noting(registry, "c", "a.tld", &ignored); /* again, and in its own place */
    cr_expect(has_all(registry, "a"));
    cr_expect_not(has_all(registry, "b"));
    cr_expect_not(has_all(registry, "c"));
    cr_expect_not(has_all(registry, "d"));
    put_noting(registry, "b", "b.tld", &ignored);
    cr_expect(has_all(registry, "b"));
    cr_expect(route_registry_remove(registry, SLICE("a")));
    cr_expect(has_all(registry, "c"));
    cr_expect_not(has_all(registry, "d"));
    cr_expect(route_registry_remove(registry, SLICE("c")));
    cr_expect(has_all(registry, "d"));
    route_registry_free(registry);
}

Test(table, the_first_claim_keeps_and_the_next_inherits)
{
    struct route_registry *registry = route_registry_new();
    struct conflicts conflicts = {0};
    put_noting(registry, "a", "shared.tld x.tld/p", &conflicts);
    cr_expect_eq(conflicts.count, 0);
    put_noting(registry, "b", "b.tld shared.tld", &conflicts);
    cr_expect_str_eq(conflicts.last, "shared.tld: a kept (1), b ignored (2)");
    put_noting(registry, "c", "x.tld/p *.tld", &conflicts);
    cr_expect_str_eq(conflicts.last, "x.tld/p: a kept (2), c ignored (1)");
    put_noting(registry, "d", "*.tld", &conflicts);
    cr_expect_str_eq(conflicts.last, "*.tld: c kept (1), d ignored (1)");
    cr_expect_eq(conflicts.count, 3);
    /* the same again is told again, and changes nothing */
    put_noting(registry, "b", "b.tld shared.tld", &conflicts);
    cr_expect_eq(conflicts.count, 4);
    /* the keeper in its own place keeps */
    put_noting(registry, "a", "shared.tld x.tld/p", &conflicts);
    cr_expect_eq(conflicts.count, 4);

    struct route_table *table = route_registry_build(registry, 1);
    WHO(table, "shared.tld", "/", "a");
    WHO(table, "b.tld", "/", "b");
    WHO(table, "x.tld", "/p", "a (/p)");
    WHO(table, "y.tld", "/", "c");
    route_table_free(table);

    put_noting(registry, "a", "a.tld", &conflicts);
    cr_expect(route_registry_remove(registry, SLICE("c")));
    cr_expect_not(route_registry_remove(registry, SLICE("c")));
    cr_expect_eq(conflicts.count, 4);
    table = route_registry_build(registry, 2);
    WHO(table, "shared.tld", "/", "b");
    WHO(table, "a.tld", "/", "a");
    WHO(table, "x.tld", "/p", "d");
    WHO(table, "y.tld", "/", "d");
    cr_expect_eq(route_table_tenant_count(table), 3);
    route_table_free(table);
    route_registry_free(registry);
}

static bool prefer_by_name(void *context, const struct route_conflict *conflict)
{
    return strcmp(context, conflict->ignored->name) == 0;
}

static const char *contest(const struct route_registry *registry, const char *key)
{
    const struct tenant *holder = route_registry_contest(registry, slice_of(key));
    return holder != NULL ? holder->name : "nobody";
}

Test(table, who_is_preferred_gets_what_others_had_first)
{
    static const char KEYS[] = "a.tld *.a.tld a.tld/p *.a.tld/p";
    struct route_registry *registry = route_registry_new();
    struct conflicts conflicts = {0};
    char name[] = "b";
    route_registry_prefer(registry, prefer_by_name, name);
    put_noting(registry, "a", KEYS, &conflicts);
    cr_expect_str_eq(contest(registry, "a.tld"), "nobody");
    put_noting(registry, "b", KEYS, &conflicts);
    put_noting(registry, "c", KEYS, &conflicts);
    cr_expect_eq(conflicts.count, 8);
    cr_expect_str_eq(conflicts.last, "*.a.tld/p: b kept (3), c ignored (3)");
    cr_expect_str_eq(contest(registry, "a.tld"), "b");
    cr_expect_str_eq(contest(registry, "*.a.tld"), "b");
    cr_expect_str_eq(contest(registry, "a.tld/p"), "b");
    cr_expect_str_eq(contest(registry, "*.a.tld/p"), "b");
    cr_expect_str_eq(contest(registry, "*.other.tld/p"), "nobody");
    cr_expect(has_all(registry, "b"));
    cr_expect_not(has_all(registry, "a"));

    struct route_table *table = route_registry_build(registry, 1);
    WHO(table, "a.tld", "/", "b");
    WHO(table, "x.a.tld", "/p", "b (/p)");
    route_table_free(table);

    /* Who gives it up leaves it to the first of the others. */
    cr_expect(route_registry_remove(registry, SLICE("b")));
    cr_expect_str_eq(contest(registry, "a.tld"), "a");
    cr_expect(route_registry_remove(registry, SLICE("c")));
    cr_expect_str_eq(contest(registry, "a.tld"), "nobody");
    cr_expect(has_all(registry, "a"));
    route_registry_free(registry);
}

Test(table, who_is_preferred_goes_before_all_that_wait)
{
    struct route_registry *registry = route_registry_new();
    struct conflicts conflicts = {0};
    char name[] = "b";
    put_noting(registry, "a", "a.tld", &conflicts);
    put_noting(registry, "b", "a.tld", &conflicts);
    put_noting(registry, "c", "a.tld", &conflicts);
    route_registry_prefer(registry, prefer_by_name, name);
    put_noting(registry, "b", "a.tld a.tld", &conflicts);
    cr_expect_eq(conflicts.count, 3);
    cr_expect_str_eq(conflicts.last, "a.tld: b kept (1), a ignored (1)");
    name[0] = 'd';
    put_noting(registry, "d", "a.tld a.tld", &conflicts);
    cr_expect_eq(conflicts.count, 4);
    static const char *const LEAVE[] = {"d", "b", "c", "a"};
    static const char *const NEXT[] = {"d", "b", "a", "a"};
    for (size_t i = 0; i < COUNT_OF(LEAVE); i++) {
        struct route_table *table = route_registry_build(registry, i + 1);
        WHO(table, "a.tld", "/", NEXT[i]);
        route_table_free(table);
        cr_expect(route_registry_remove(registry, slice_of(LEAVE[i])));
    }
    put_noting(registry, "e", "a.tld", &conflicts);
    cr_expect_eq(conflicts.count, 4);
    route_registry_free(registry);
}

Test(table, a_key_twice_in_one_tenant_is_no_conflict)
{
    struct route_registry *registry = route_registry_new();
    struct conflicts conflicts = {0};
    put_noting(registry, "a", "a.tld a.tld a.tld/p a.tld/p", &conflicts);
    put_noting(registry, "a", "a.tld/p a.tld a.tld", &conflicts);
    cr_expect_eq(conflicts.count, 0);
    cr_expect(route_registry_remove(registry, SLICE("a")));
    struct route_table *table = route_registry_build(registry, 1);
    WHO(table, "a.tld", "/", "nobody");
    route_table_free(table);
    route_registry_free(registry);
}

Test(table, old_tables_stay_as_they_were_until_reclaimed)
{
    struct route_registry *registry = route_registry_new();
    put(registry, "a", "a.tld");
    struct route_table *first = route_registry_build(registry, 1);
    put(registry, "a", "b.tld");
    struct route_table *second = route_registry_build(registry, 2);
    cr_assert(route_registry_remove(registry, SLICE("a")));
    struct route_table *third = route_registry_build(registry, 3);

    size_t retired = route_registry_retired(registry);
    cr_expect_gt(retired, 0u);
    route_registry_reclaim(registry, 1);
    cr_expect_eq(route_registry_retired(registry), retired);
    WHO(first, "a.tld", "/", "a");
    WHO(first, "b.tld", "/", "nobody");
    route_table_free(first);
    route_registry_reclaim(registry, 2);
    cr_expect_lt(route_registry_retired(registry), retired);
    WHO(second, "b.tld", "/", "a");
    WHO(second, "a.tld", "/", "nobody");
    route_table_free(second);
    route_registry_reclaim(registry, 3);
    cr_expect_eq(route_registry_retired(registry), 0);
    WHO(third, "b.tld", "/", "nobody");
    route_table_free(third);
    route_registry_free(registry);
}

static uint64_t content_hash_of(const char *const lines[][2])
{
    struct route_registry *registry = route_registry_new();
    for (size_t i = 0; lines[i][0] != NULL; i++)
        route_registry_put(registry, tenant_of(lines[i][0], strlen(lines[i][1]), lines[i][1], NULL),
                           NULL, NULL);
    struct route_table *table = route_registry_build(registry, 1);
    uint64_t hash = route_table_content_hash(table);
    route_table_free(table);
    route_registry_free(registry);
    return hash;
}

Test(table, content_hash_is_of_the_content)
{
    uint64_t hash = content_hash_of(
        (const char *const[][2]){{"a", "a.tld *.b.tld"}, {"b", "b.tld b.tld/p"}, {NULL}});
    uint64_t other_order = content_hash_of(
        (const char *const[][2]){{"b", "b.tld b.tld/p"}, {"a", "a.tld *.b.tld"}, {NULL}});
    uint64_t other_way = content_hash_of((const char *const[][2]){{"b", "c.tld a.tld"},
                                                                  {"a", "a.tld"},
                                                                  {"a", "a.tld *.b.tld"},
                                                                  {"b", "b.tld b.tld/p"},
                                                                  {NULL}});
    uint64_t less =
        content_hash_of((const char *const[][2]){{"a", "a.tld *.b.tld"}, {"b", "b.tld"}, {NULL}});
    uint64_t renamed = content_hash_of(
        (const char *const[][2]){{"c", "a.tld *.b.tld"}, {"b", "b.tld b.tld/p"}, {NULL}});
    cr_expect_eq(hash, other_order);
    cr_expect_eq(hash, other_way);
    cr_expect_neq(hash, less);
    cr_expect_neq(hash, renamed);
}

static void count_tenant(void *context, const struct tenant *tenant)
{
    unsigned *seen = context;
    seen[tenant->name[0] - 'a']++;
}

Test(table, every_tenant_is_visited_once)
{
    struct route_registry *registry = route_registry_new();
    unsigned seen[26] = {0};
    for (char name[2] = "a"; name[0] <= 'z'; name[0]++) {
        char keys[64];
        snprintf(keys, sizeof(keys), "%s.tld *.%s.tld %s.tld/p shared.tld", name, name, name);
        put(registry, name, keys);
    }
    struct route_table *table = route_registry_build(registry, 1);
    route_table_each_tenant(table, count_tenant, seen);
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        cr_expect_eq(seen[i], 1);
    route_table_free(table);
    route_registry_free(registry);
}

Test(table, a_lookup_allocates_nothing)
{
    struct route_registry *registry = route_registry_new();
    put(registry, "a", "a.tld a.tld/p/q");
    route_registry_put(
        registry,
        tenant_of("b", 1, "*.b.tld *.b.tld/p", "^(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)$"), NULL,
        NULL);
    struct route_table *table = route_registry_build(registry, 1);
    struct route_match match;

    allocations_count();
    free(memory_new(1));
    size_t before = allocations_count();
    cr_assert_gt(before, 0u, "allocations are not counted");
    route_table_find(table, SLICE("a.tld"), SLICE("/"), &match);
    route_table_find(table, SLICE("a.tld"), SLICE("/p/q/r"), &match);
    route_table_find(table, SLICE("label-1.b.tld"), SLICE("/p"), &match);
    bool matched = match.tenant != NULL;
    route_table_find(table, SLICE("-.b.tld"), SLICE("/p"), &match);
    bool refused = match.label_refused;
    route_table_find(table, SLICE("nobody.tld"), SLICE("/p"), &match);
    route_table_tenant(table, SLICE("b"));
    size_t after = allocations_count();
    cr_assert_eq(after, before);
    cr_assert(matched);
    cr_assert(refused);
    route_table_free(table);
    route_registry_free(registry);
}

/* The model: every wish for a key in the order it was made, and a search through all of them. */

enum { MODEL_TENANTS = 8, MODEL_KEYS = 12, MODEL_WISHES = MODEL_TENANTS * MODEL_KEYS };

static const char *const KEYS[MODEL_KEYS] = {
    "a.x",   "b.x",     "x",      "a.b.x", "*.x",       "*.b.x",
    "a.x/p", "a.x/p/q", "a.x/pq", "*.x/p", "*.x/p/q/r", "b.x/p>/q",
};
static const char *const HOSTS[] = {"a.x", "b.x", "x", "a.b.x", "c.x", "c.b.x", "y", "b.b.x"};
static const char *const PATHS[] = {"/", "/p", "/p/", "/p/q", "/p/q/r/s", "/pq/r", "/pqr", "*"};
static const char *const LABELS[] = {NULL, "[ac]", "b"};

struct wish {
    uint8_t key;
    uint8_t tenant;
};

struct model {
    struct wish wishes[MODEL_WISHES];
    size_t wish_count;
    uint64_t version[MODEL_TENANTS]; /* 0: not there */
    uint8_t label[MODEL_TENANTS];
};

static bool wants(uint32_t keys, unsigned key)
{
    return (keys >> key & 1) != 0;
}

static void model_put(struct model *model, unsigned tenant, uint32_t keys, uint64_t version,
                      unsigned label)
{
    size_t kept = 0;
    uint32_t left = keys;
    for (size_t i = 0; i < model->wish_count; i++) {
        struct wish wish = model->wishes[i];
        if (wish.tenant == tenant && !wants(keys, wish.key))
            continue;
        if (wish.tenant == tenant)
            left &= ~(1u << wish.key);
        model->wishes[kept++] = wish;
    }
    model->wish_count = kept;
    for (unsigned key = 0; key < MODEL_KEYS; key++)
        if (wants(left, key))
            model->wishes[model->wish_count++] = (struct wish){(uint8_t)key, (uint8_t)tenant};
    model->version[tenant] = version;
    model->label[tenant] = (uint8_t)label;
}

/* The tenant that has the key, or -1. */
static int model_keeper(const struct model *model, unsigned key)
{
    for (size_t i = 0; i < model->wish_count; i++)
        if (model->wishes[i].key == key)
            return model->wishes[i].tenant;
    return -1;
}

static bool label_satisfies(const char *pattern, struct slice label)
{
    if (pattern == NULL)
        return true;
    return label.size == 1 &&
           (strcmp(pattern, "b") == 0 ? label.data[0] == 'b' : strchr("ac", label.data[0]) != NULL);
}

/* How well a key fits, 0: not at all. A longer prefix is better, an exact host much better. */
static unsigned model_rank(const char *key, const char *host, const char *path, bool *host_fits)
{
    bool wildcard = key[0] == '*';
    const char *name = key + (wildcard ? 2 : 0);
    const char *prefix = strchr(name, '/');
    size_t name_size = prefix != NULL ? (size_t)(prefix - name) : strlen(name);
    const char *asked = host;
    if (wildcard) {
        const char *dot = strchr(host, '.');
        if (dot == NULL)
            return 0;
        asked = dot + 1;
    }
    if (strlen(asked) != name_size || memcmp(asked, name, name_size) != 0)
        return 0;
    *host_fits = true;
    unsigned rank = wildcard ? 1 : 1000;
    if (prefix == NULL)
        return rank;
    const char *only = strchr(prefix, '>');
    size_t prefix_size = only != NULL ? (size_t)(only - prefix) : strlen(prefix);
    if (strncmp(path, prefix, prefix_size) != 0)
        return 0;
    const char *rest = path + prefix_size;
    if (*rest != '\0' && *rest != '/')
        return 0;
    if (only != NULL) {
        size_t only_size = strlen(only + 1);
        if (strncmp(rest, only + 1, only_size) != 0)
            return 0;
        if (rest[only_size] != '\0' && rest[only_size] != '/')
            return 0;
    }
    return rank + (unsigned)prefix_size;
}

static void model_find(const struct model *model, const char *host, const char *path, int *tenant,
                       bool *refused, bool *known)
{
    unsigned best = 0;
    const char *dot = strchr(host, '.');
    struct slice label = slice_from(host, dot != NULL ? (size_t)(dot - host) : 0);
    *tenant = -1;
    *refused = *known = false;
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        int keeper = model_keeper(model, key);
        if (keeper < 0)
            continue;
        unsigned rank = model_rank(KEYS[key], host, path, known);
        if (rank == 0)
            continue;
        if (KEYS[key][0] == '*' && !label_satisfies(LABELS[model->label[keeper]], label)) {
            *refused = true;
            continue;
        }
        if (rank > best) {
            best = rank;
            *tenant = keeper;
        }
    }
    if (*tenant >= 0)
        *refused = false;
}

/* As the agent looks ahead. */
static struct route_guess guess_of(const struct route_table *table, const char *host,
                                   const char *path)
{
    struct route_guess guess;
    route_guess_begin(&guess, table, slice_of(host));
    route_guess_host(&guess, table);
    route_guess_wildcard(&guess, table);
    if (route_guess_has_paths(&guess)) {
        route_guess_prefix(&guess, table, slice_of(path));
        route_guess_path(&guess, table);
    }
    route_guess_prefetch_brief(&guess);
    return guess;
}

/* Whether the guess is right or wrong, it changes nothing. */
static void try_guess(const struct route_table *table, const struct route_guess *guess,
                      const char *host, const char *path, const struct route_match *match,
                      unsigned seed)
{
    struct route_match guessed;
    route_table_find_guessed(table, guess, slice_of(host), slice_of(path), &guessed);
    cr_assert(guessed.tenant == match->tenant && guessed.path == match->path &&
                  guessed.host == match->host,
              "seed %u: %s%s", seed, host, path);
    cr_assert(slice_equal(guessed.label, match->label), "seed %u: %s%s", seed, host, path);
    cr_assert(guessed.label_refused == match->label_refused &&
                  guessed.host_has_paths == match->host_has_paths &&
                  guessed.host_known == match->host_known,
              "seed %u: %s%s", seed, host, path);
}

static void compare(const struct route_table *table, const struct model *model, unsigned seed)
{
    struct route_guess others = {0};
    for (size_t i = 0; i < COUNT_OF(HOSTS); i++) {
        for (size_t j = 0; j < COUNT_OF(PATHS); j++) {
            struct route_match match;
            int tenant;
            bool refused, known;
            model_find(model, HOSTS[i], PATHS[j], &tenant, &refused, &known);
            route_table_find(table, slice_of(HOSTS[i]), slice_of(PATHS[j]), &match);
            int found = match.tenant != NULL ? match.tenant->name[0] - 'a' : -1;
            cr_assert_eq(found, tenant, "seed %u: %s%s: %d instead of %d", seed, HOSTS[i], PATHS[j],
                         found, tenant);
            cr_assert_eq(match.label_refused, refused, "seed %u: %s%s", seed, HOSTS[i], PATHS[j]);
            struct route_guess own = guess_of(table, HOSTS[i], PATHS[j]);
            try_guess(table, &own, HOSTS[i], PATHS[j], &match, seed);
            try_guess(table, &others, HOSTS[i], PATHS[j], &match, seed);
            others = own;
            if (tenant >= 0)
                cr_assert_eq(match.tenant->content_hash, model->version[tenant], "seed %u", seed);
            else
                cr_assert_eq(match.host_known, known, "seed %u: %s%s", seed, HOSTS[i], PATHS[j]);
        }
    }
    for (unsigned i = 0; i < MODEL_TENANTS; i++) {
        char name[2] = {(char)('a' + i)};
        const struct tenant *tenant = route_table_tenant(table, slice_of(name));
        cr_assert_eq(tenant != NULL ? tenant->content_hash : 0, model->version[i], "seed %u", seed);
    }
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void change(struct route_registry *registry, struct model *model, uint32_t *random,
                   uint64_t version)
{
    unsigned tenant = next_random(random) % MODEL_TENANTS;
    char name[2] = {(char)('a' + tenant)};
    if (next_random(random) % 4 == 0) {
        bool removed = route_registry_remove(registry, slice_of(name));
        cr_assert_eq(removed, model->version[tenant] != 0);
        model_put(model, tenant, 0, 0, 0);
        return;
    }
    uint32_t keys = next_random(random) & next_random(random) & ((1u << MODEL_KEYS) - 1);
    unsigned label = next_random(random) % COUNT_OF(LABELS);
    char text[200] = "";
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        if (!wants(keys, key))
            continue;
        strcat(text, KEYS[key]);
        strcat(text, " ");
    }
    route_registry_put(registry, tenant_of(name, version, text, LABELS[label]), NULL, NULL);
    model_put(model, tenant, keys, version, label);
}

enum { HISTORY = 3 };

/* Random changes; up to HISTORY tables are kept and must go on saying what they said. */
static void run_random(unsigned seed)
{
    struct route_registry *registry = route_registry_new();
    struct model model = {0}, models[HISTORY];
    struct route_table *tables[HISTORY] = {NULL};
    uint32_t random = seed * 2654435761u + 1;
    uint64_t generation = 0;

    for (unsigned step = 1; step <= 24; step++) {
        change(registry, &model, &random, step);
        if (next_random(&random) % 2 == 0)
            continue;
        size_t at = generation % HISTORY;
        route_table_free(tables[at]);
        tables[at] = route_registry_build(registry, ++generation);
        models[at] = model;
        if (generation >= HISTORY)
            route_registry_reclaim(registry, generation - HISTORY + 1);
        for (size_t i = 0; i < HISTORY && tables[i] != NULL; i++)
            compare(tables[i], &models[i], seed);
    }
    for (size_t i = 0; i < HISTORY; i++)
        route_table_free(tables[i]);
    route_registry_reclaim(registry, generation + 1);
    cr_assert_eq(route_registry_retired(registry), 0, "seed %u", seed);
    route_registry_free(registry);
}

Test(table, agrees_with_a_model)
{
    for (unsigned seed = 1; seed <= 1000; seed++)
        run_random(seed);
}

/* Many keys in one hash: growth, long probe sequences and removals in the middle of them. */
Test(table, thousands_come_and_go)
{
    enum { COUNT = 5000 };
    static bool present[COUNT];
    struct route_registry *registry = route_registry_new();
    uint32_t random = 99;
    char name[32], host[64];
    struct route_match match;

    for (unsigned round = 0; round < 4 * COUNT; round++) {
        unsigned i = next_random(&random) % COUNT;
        snprintf(name, sizeof(name), "t%u", i);
        snprintf(host, sizeof(host), "t%u.example.com", i);
        if (present[i])
            cr_assert(route_registry_remove(registry, slice_of(name)));
        else
            put(registry, name, host);
        present[i] = !present[i];
    }
    struct route_table *table = route_registry_build(registry, 1);
    size_t count = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        snprintf(host, sizeof(host), "t%u.example.com", i);
        route_table_find(table, slice_of(host), SLICE("/"), &match);
        cr_assert_eq(match.tenant != NULL, present[i], "%s", host);
        cr_assert(match.tenant == NULL || strcmp(match.tenant->name, name) == 0);
        count += present[i];
    }
    cr_assert_eq(route_table_tenant_count(table), count);
    route_table_free(table);
    route_registry_free(registry);
}

/* So many tenants that all want one host come, come again, and half of them leave. What it took of
 * the process's own time. */
static double contest_host(unsigned count)
{
    struct route_registry *registry = route_registry_new();
    struct route_match match;
    char name[32];
    clock_t start = clock();

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < count; i++) {
            snprintf(name, sizeof(name), "t%u", i);
            put(registry, name, "a.tld");
        }
    for (unsigned i = 0; i < count / 2; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        cr_assert(route_registry_remove(registry, slice_of(name)));
    }
    double took_s = (double)(clock() - start) / CLOCKS_PER_SEC;
    snprintf(name, sizeof(name), "t%u", count / 2);
    struct route_table *table = route_registry_build(registry, 1);
    route_table_find(table, SLICE("a.tld"), SLICE("/"), &match);
    cr_assert_str_eq(match.tenant->name, name);
    route_table_free(table);
    route_registry_free(registry);
    return took_s;
}

/* One mistake of whoever writes the tenants' files. Eight times as many take eight times as long;
 * were each compared with each, it would be sixty-four. */
Test(table, all_may_want_one_host)
{
    double few_s = contest_host(8000);
    double many_s = contest_host(64000);
    cr_assert(lt(dbl, many_s, 30 * few_s));
}
