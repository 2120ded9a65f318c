/* agent/ahead: what is asked of memory before a burst is answered. */
#include "agent/ahead.h"
#include "agent/answer.h"
#include "core/memory.h"
#include "route/path.h"
#include "route/replica.h"
#include "support/guard.h"
#include "support/spop_peer.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 20000, FEW = 100, BURST_BYTES = 64 * 128 };

static const char SHARED[] = "shared.test";

static struct route_registry *registry;
static struct settings settings;
static struct snapshot snapshot;
static uint8_t burst[BURST_BYTES];
static struct ahead ahead;

static void add_path(struct tenant *tenant, const char *host, bool wildcard, char *prefix)
{
    struct path_rule *path = &tenant->paths[tenant->path_count++];
    *path = (struct path_rule){.wildcard = wildcard, .mode = PATH_STRIP};
    path->host = memory_copy_text(slice_of(host));
    path->prefix = prefix;
    path->segments = (uint8_t)path_segments(slice_of(prefix));
}

/* Every tenth has a wildcard besides, with a path below it; every twentieth a path of the host that
 * they share, a long one for every fortieth. */
static void serve(unsigned tenants)
{
    registry = route_registry_new();
    for (unsigned i = 0; i < tenants; i++) {
        struct tenant *tenant = tenant_new();
        tenant->name = memory_format("t%u", i);
        tenant->host_count = i % 10 == 0 ? 2 : 1;
        tenant->hosts = memory_new(tenant->host_count * sizeof(*tenant->hosts));
        tenant->paths = memory_new(2 * sizeof(*tenant->paths));
        tenant->hosts[0].name = memory_format("t%u.example.test", i);
        if (tenant->host_count > 1) {
            tenant->hosts[1].name = memory_format("t%u.example.test", i);
            tenant->hosts[1].wildcard = true;
            add_path(tenant, tenant->hosts[0].name, true, memory_format("/own"));
        }
        if (i % 20 == 0)
            add_path(tenant, SHARED, false, memory_format(i % 40 == 0 ? "/t%u/a/b" : "/t%u", i));
        tenant->upstream.host = memory_copy_text(SLICE("10.0.0.1"));
        tenant->upstream.port = 3000;
        cr_assert(ip_parse(SLICE("10.0.0.1"), &tenant->upstream.address));
        cr_assert(eq(int, answer_prepare(tenant, NULL), ERROR_OK));
        route_registry_put(registry, tenant, NULL, NULL);
    }
    snapshot = (struct snapshot){.settings = &settings, .generation = 1};
    snapshot.table = route_registry_build(registry, 1);
}

static void close_down(void)
{
    route_table_free(snapshot.table);
    route_registry_free(registry);
}

static void ask(struct writer *writer, const char *host, const char *path)
{
    uint8_t *start = writer->position;
    spop_frame_begin(writer, SPOP_FRAME_NOTIFY, 1, 1);
    peer_write_message(writer, SLICE("route"), 3);
    peer_write_string(writer, SLICE("host"), slice_of(host));
    peer_write_string(writer, SLICE("path"), slice_of(path));
    peer_write_ip(writer, SLICE("src"), SLICE("\xcb\x00\x71\x07"));
    spop_frame_end(writer, start);
}

static size_t found(void)
{
    size_t count = 0;
    for (unsigned i = 0; i < ahead.count; i++)
        count += route_guess_brief(&ahead.requests[i].guess) != NULL;
    return count;
}

static size_t look_ahead(struct slice frames)
{
    answer_ahead(&snapshot, &frames, 1, &ahead);
    return found();
}

static struct slice ask_all(const char *const *hosts, size_t count)
{
    struct writer writer = writer_of(burst, sizeof(burst));
    for (size_t i = 0; i < count; i++)
        ask(&writer, hosts[i], "/");
    cr_assert(not(writer.failed));
    return writer_written(&writer);
}

Test(agent_ahead, a_burst_is_looked_up, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t19999.example.test:8443", "nobody.test",
                                 "t7.example.test"};
    serve(MANY);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, COUNT_OF(hosts))), 3));
}

Test(agent_ahead, one_request_alone_is_not, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test"};
    serve(MANY);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, 1)), 0));
}

Test(agent_ahead, nor_is_anything_in_a_small_table, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    serve(FEW);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, 2)), 0));
}

Test(agent_ahead, more_than_it_looks_at_at_once_is_no_harm, .fini = close_down)
{
    const char *hosts[64];
    serve(MANY);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        hosts[i] = "t3.example.test";
    size_t looked_at = look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    cr_assert(lt(sz, 1, looked_at));
    cr_assert(le(sz, looked_at, COUNT_OF(hosts)));
}

/* Cut short anywhere, at an unreadable page. */
Test(agent_ahead, a_part_of_a_frame_is_left_for_later, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test", "t3.example.test"};
    serve(MANY);
    struct slice whole = ask_all(hosts, COUNT_OF(hosts));
    size_t before = 0;
    for (size_t size = 0; size <= whole.size; size++) {
        size_t found = look_ahead(guard_copy(slice_head(whole, size)));
        cr_assert(ge(sz, found, before));
        before = found;
    }
    cr_assert(eq(sz, before, 3));
}

Test(agent_ahead, what_several_connections_ask_is_looked_up_together, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    serve(MANY);
    struct slice both = ask_all(hosts, COUNT_OF(hosts));
    const struct slice received[] = {slice_head(both, both.size / 2),
                                     slice_skip(both, both.size / 2)};
    answer_ahead(&snapshot, received, 1, &ahead);
    cr_assert(zero(sz, found()));
    answer_ahead(&snapshot, received, 2, &ahead);
    cr_assert(eq(sz, found(), 2));
}

static bool was_told(struct slice host)
{
    return ahead_take(&ahead, host) != NULL;
}

static const struct tenant *tenant_of(const struct route_guess *guess)
{
    const struct tenant_brief *brief = route_guess_brief(guess);
    return brief != NULL ? brief->tenant : NULL;
}

static struct tenant *take(struct slice host)
{
    const struct route_guess *guess = ahead_take(&ahead, host);
    cr_assert(ne(ptr, (void *)(uintptr_t)guess, NULL));
    return (struct tenant *)(uintptr_t)tenant_of(guess);
}

/* What is found is told of the request that it was found for, and of none besides. */
Test(agent_ahead, what_was_found_is_told_in_order, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "nobody.test", "t2.example.test:8443",
                                 "t3.example.test"};
    serve(MANY);
    (void)look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    cr_assert(eq(int, (int)ahead.count, (int)COUNT_OF(hosts)));
    struct slice seen[COUNT_OF(hosts)];
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        seen[i] = ahead.requests[i].guess.name;
    cr_expect(not(was_told(SLICE("t1.example.test"))));
    cr_expect(eq(str, take(seen[0])->name, "t1"));
    cr_expect(zero(ptr, (void *)take(seen[1])));
    cr_expect(eq(str, take(seen[3])->name, "t3")); /* one was passed over */
    cr_expect(not(was_told(seen[3])));
    (void)look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    ahead_forget(&ahead);
    cr_expect(not(was_told(seen[0])));
}

/* Guesses are made as their time comes: of all that are looked at, whoever is passed over. */
Test(agent_ahead, each_of_a_long_burst_is_told, .fini = close_down)
{
    char names[AHEAD_MAX][32];
    const char *hosts[AHEAD_MAX];
    struct slice seen[AHEAD_MAX];
    serve(MANY);
    for (unsigned i = 0; i < AHEAD_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "t%u.example.test", i * 7);
        hosts[i] = names[i];
    }
    (void)look_ahead(ask_all(hosts, AHEAD_MAX));
    cr_assert(eq(u32, ahead.count, AHEAD_MAX));
    for (unsigned i = 0; i < AHEAD_MAX; i++)
        seen[i] = ahead.requests[i].guess.name;
    for (unsigned i = 0; i < AHEAD_MAX; i += i == 20 ? 30 : 1)
        cr_expect(eq(str, take(seen[i])->hosts[0].name, names[i]));
}

/* Where a name leads to nothing, what its wildcard leads to is brought near instead. */
Test(agent_ahead, wildcards_are_looked_up_too, .fini = close_down)
{
    const char *const hosts[] = {"chat.t10.example.test", "chat.t1.example.test",
                                 "t10.example.test", "chat.t19990.example.test", "localhost"};
    const char *const names[] = {"t10", NULL, "t10", "t19990", NULL};
    struct route_match match;
    serve(MANY);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, COUNT_OF(hosts))), 3));
    for (unsigned i = 0; i < COUNT_OF(hosts); i++) {
        const struct route_guess *guess = ahead_take(&ahead, ahead.requests[i].guess.name);
        const struct tenant *tenant = tenant_of(guess);
        cr_assert(eq(int, tenant != NULL, names[i] != NULL));
        if (tenant != NULL)
            cr_expect(zero(int, strcmp(tenant->name, names[i])));
        route_table_find_guessed(snapshot.table, guess, slice_of(hosts[i]), SLICE("/"), &match);
        cr_expect(eq(int, match.tenant != NULL, names[i] != NULL));
        cr_expect(eq(sz, match.label.size, i == 0 || i == 3 ? 4 : 0));
    }
}

/* Where a host has paths, what the path leads to is brought near, too. */
Test(agent_ahead, paths_are_looked_up_too, .fini = close_down)
{
    static const struct {
        const char *host, *path, *tenant;
        bool by_path;
    } CASES[] = {
        {SHARED, "/t20", "t20", true},
        {SHARED, "/t20/", "t20", true},
        {SHARED, "/t60/api/v1/chats/", "t60", true},
        {SHARED, "/t40/a/b/c", "t40", true},
        {SHARED, "/t40/a", NULL, false},
        {SHARED, "/", NULL, false},
        {SHARED, "*", NULL, false},
        {SHARED, "", NULL, false},
        {"chat.t10.example.test", "/own/x", "t10", true},
        {"chat.t10.example.test", "/other", "t10", false},
        {"t10.example.test", "/own", "t10", false},
    };
    struct writer writer = writer_of(burst, sizeof(burst));
    struct route_match match;
    serve(MANY);
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        ask(&writer, CASES[i].host, CASES[i].path);
    (void)look_ahead(writer_written(&writer));
    cr_assert(eq(u32, ahead.count, COUNT_OF(CASES)));
    for (unsigned i = 0; i < COUNT_OF(CASES); i++) {
        const struct route_guess *guess = ahead_take(&ahead, ahead.requests[i].guess.name);
        const struct tenant *tenant = tenant_of(guess);
        cr_expect(eq(int, guess->path != NULL, CASES[i].by_path), "%s", CASES[i].path);
        cr_expect(eq(int, tenant != NULL, CASES[i].tenant != NULL), "%s", CASES[i].path);
        if (tenant != NULL)
            cr_expect(zero(int, strcmp(tenant->name, CASES[i].tenant)));
        route_table_find_guessed(snapshot.table, guess, slice_of(CASES[i].host),
                                 slice_of(CASES[i].path), &match);
        cr_expect(eq(ptr, (void *)(uintptr_t)match.tenant, (void *)(uintptr_t)tenant));
        cr_expect(eq(int, match.path != NULL, CASES[i].by_path), "%s", CASES[i].path);
    }
}

/* A path may be longer than what its length fits into one byte for; only its beginning matters. */
Test(agent_ahead, a_long_path_is_looked_up_too, .fini = close_down)
{
    char path[300];
    serve(MANY);
    memset(path, 'x', sizeof(path));
    memcpy(path, "/t20/", 5);
    path[sizeof(path) - 1] = '\0';
    struct writer writer = writer_of(burst, sizeof(burst));
    ask(&writer, SHARED, path);
    ask(&writer, SHARED, "/t60");
    cr_assert(eq(sz, look_ahead(writer_written(&writer)), 2));
}

/* A guess is nobody's word: the table looks whether it is what was asked for. */
Test(agent_ahead, a_wrong_guess_leads_nowhere, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    struct route_match match;
    serve(MANY);
    (void)look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    const struct route_guess *guess = &ahead.requests[0].guess;
    route_table_find_guessed(snapshot.table, guess, SLICE("t2.example.test"), SLICE("/"), &match);
    cr_expect(eq(str, match.tenant->name, "t2"));
    route_table_find_guessed(snapshot.table, guess, SLICE("nobody.test"), SLICE("/"), &match);
    cr_expect(eq(ptr, (void *)(uintptr_t)match.tenant, NULL));
}

/* A host that is nobody's is not looked for again: that very host, and no other. */
Test(agent_ahead, a_host_that_is_nobodys_says_nothing_of_others, .fini = close_down)
{
    const char *const hosts[] = {"chat.t10.example.test", "t11.example.test"};
    struct route_match match;
    serve(MANY);
    (void)look_ahead(ask_all(hosts, COUNT_OF(hosts)));
    const struct route_guess *guess = &ahead.requests[0].guess;
    cr_assert(guess->is_nobodys);
    cr_assert(not(ahead.requests[1].guess.is_nobodys));
    route_table_find_guessed(snapshot.table, guess, SLICE("t10.example.test"), SLICE("/"), &match);
    cr_expect(eq(str, match.tenant->name, "t10"));
    cr_expect(zero(sz, match.label.size));
    route_table_find_guessed(snapshot.table, guess, SLICE("code.t10.example.test"), SLICE("/"),
                             &match);
    cr_expect(eq(str, match.tenant->name, "t10"));
    cr_expect(slice_equal(match.label, SLICE("code")));
}

Test(agent_ahead, a_path_that_was_guessed_wrongly_leads_nowhere, .fini = close_down)
{
    struct writer writer = writer_of(burst, sizeof(burst));
    struct route_match match;
    serve(MANY);
    ask(&writer, SHARED, "/t20");
    ask(&writer, SHARED, "/t60");
    (void)look_ahead(writer_written(&writer));
    const struct route_guess *guess = &ahead.requests[0].guess;
    cr_assert(ne(ptr, (void *)(uintptr_t)guess->path, NULL));
    route_table_find_guessed(snapshot.table, guess, slice_of(SHARED), SLICE("/t60/x"), &match);
    cr_expect(eq(str, match.tenant->name, "t60"));
    cr_expect(eq(str, match.path->prefix, "/t60"));
    route_table_find_guessed(snapshot.table, guess, slice_of(SHARED), SLICE("/t201"), &match);
    cr_expect(eq(ptr, (void *)(uintptr_t)match.tenant, NULL));
    route_table_find_guessed(snapshot.table, guess, SLICE("t3.example.test"), SLICE("/t20"),
                             &match);
    cr_expect(eq(str, match.tenant->name, "t3"));
    cr_expect(eq(ptr, (void *)(uintptr_t)match.path, NULL));
}

/* Some answers are too long to be beside the rest of the tenant. */
Test(agent_ahead, a_long_answer_lies_apart, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test"};
    serve(MANY);
    struct tenant *tenant = tenant_clone(route_table_tenant(snapshot.table, SLICE("t1")));
    struct header *header = memory_new(sizeof(*header));
    header->name = memory_copy_text(SLICE("X-Long"));
    header_variable_name(SLICE("X-Long"), header->variable);
    char value[BRIEF_NEAR_BYTES + 1];
    memset(value, 'x', sizeof(value));
    cr_assert(
        eq(int, template_parse(slice_from(value, sizeof(value)), &header->value, NULL), ERROR_OK));
    tenant->headers = header;
    tenant->header_count = 1;
    cr_assert(eq(int, answer_prepare(tenant, NULL), ERROR_OK));
    cr_assert(tenant->brief->is_far);
    cr_assert(lt(sz, tenant->brief->plain_size, tenant->brief->slots_size));
    route_registry_put(registry, tenant, NULL, NULL);
    route_table_free(snapshot.table);
    snapshot.table = route_registry_build(registry, 2);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, COUNT_OF(hosts))), 2));
}

static struct policy *policy_with_rules(size_t count)
{
    struct policy *policy = policy_new();
    policy->limits.websockets = 10;
    policy->rules = memory_new((count + 1) * sizeof(*policy->rules));
    policy->rule_count = count;
    for (size_t i = 0; i < count; i++)
        policy_rule_set_path(&policy->rules[i], SLICE("/api"));
    policy->deny_ips.count = count % 2;
    policy->deny_ips.items = memory_new(sizeof(*policy->deny_ips.items));
    policy_complete(policy);
    return policy;
}

static struct replica_set *replicas(size_t count)
{
    struct replica_set *set = memory_new(sizeof(*set));
    set->items = memory_new(count * sizeof(*set->items));
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        set->items[i].upstream.host = memory_format("10.0.0.%zu", i + 1);
        set->items[i].upstream.port = 8080;
        cr_assert(ip_parse(SLICE("10.0.0.1"), &set->items[i].upstream.address));
        replica_name(&set->items[i]);
    }
    return set;
}

/* Instead of a plain one: with rules, with replicas, or both. */
static void add_features(unsigned number)
{
    char name[16];
    snprintf(name, sizeof(name), "t%u", number);
    struct tenant *tenant = tenant_clone(route_table_tenant(snapshot.table, slice_of(name)));
    if (number % 3 != 0)
        tenant->policy = policy_with_rules(number % 7);
    if (number % 3 != 1) {
        upstream_fini(&tenant->upstream);
        tenant->upstream = (struct upstream){0};
        tenant->replicas = replicas(1 + number % 5);
    }
    cr_assert(eq(int, answer_prepare(tenant, NULL), ERROR_OK));
    route_registry_put(registry, tenant, NULL, NULL);
}

Test(agent_ahead, a_hundred_tenants_with_features_are_looked_up, .fini = close_down)
{
    const char *const hosts[] = {"t1.example.test", "t2.example.test", "t3.example.test",
                                 "t99.example.test", "nobody.test"};
    serve(FEW);
    for (unsigned i = 0; i < FEW; i++)
        add_features(i);
    route_table_free(snapshot.table);
    snapshot.table = route_registry_build(registry, 2);
    cr_assert(eq(sz, look_ahead(ask_all(hosts, COUNT_OF(hosts))), 4));
    for (size_t i = 0; i < 4; i++)
        cr_expect(
            ne(ptr, (void *)(uintptr_t)ahead_take(&ahead, ahead.requests[i].guess.name), NULL));
}
