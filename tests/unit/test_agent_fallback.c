/* agent/fallback: which tenants can do without an agent, and what HAProxy is told of them. */
#include "agent/fallback.h"
#include "agent/instance.h"

#include "allocations.h"
#include "conf_fixture.h"
#include "core/memory.h"

#include <stdlib.h>

enum { NOW_S = 1800000000 }; /* in January 2027 */

static struct fixture *fixture;
static struct runtime_map *map;
static bool changes;

#define UP "\"upstream\": \"http://10.1.0.1:3000\", \"https\": \"off\""
#define FROM                                                                    \
    "\"from\": \"jwt\", \"issuer\": \"https://id.test\", \"audience\": \"a\", " \
    "\"jwks\": \"https://id.test/jwks\", \"set\": {\"X-User-Email\": \"{email}\"}"
#define ALONE(KEYS) "\"t\": {\"hosts\": [\"t.test\"], " UP ", " KEYS "}"

static void load(const char *tenants)
{
    char *text = memory_format("{\"tenants\": {%s}}", tenants);
    fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", text);
    fixture_load(fixture);
    cr_assert(fixture->good, "%s", fixture_text(fixture));
    map = fallback_map(fixture->whole.table, NOW_S, &changes);
    free(text);
}

static void teardown(void)
{
    runtime_map_free(map);
    fixture_free(fixture);
}

TestSuite(fallback, .fini = teardown);

static const char *value_of(const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->entries[i].key, key) == 0)
            return map->entries[i].value;
    return "";
}

Test(fallback, a_tenant_is_told_with_its_upstream)
{
    load("\"t\": {\"hosts\": [\"b.test\", \"*.a.test\"], " UP "},"
         "\"u\": {\"hosts\": [\"u.test\"], \"upstream\": \"https://[::1]:8443\","
         " \"upstream_tls\": {\"server_name\": \"in.test\"}}");
    cr_expect(eq(sz, map->count, 3));
    cr_expect_str_eq(map->entries[0].key, "a.test/*");
    cr_expect_str_eq(value_of("a.test/*"), "t/http/10.1.0.1/3000/-/p/.");
    cr_expect_str_eq(value_of("b.test"), "t/http/10.1.0.1/3000/-/p/.");
    cr_expect_str_eq(value_of("u.test"), "u/https/::1/8443/in.test/s/.");
    cr_expect(not(changes));
    char *text =
        fallback_text(fixture->whole.table, fixture_tenant(fixture, "t"), SLICE("x.a.test"), NOW_S);
    cr_expect_str_eq(text, "forwarded by the fallback map: t/http/10.1.0.1/3000/-/p/.");
    free(text);
}

/* HAProxy does not look for one in the map: it could be written in more ways than one. */
Test(fallback, a_host_with_other_bytes_is_not_the_wildcards)
{
    load("\"t\": {\"hosts\": [\"s_t.a.test\"], " UP "}, \"u\": {\"hosts\": [\"*.a.test\"], " UP
         "}");
    char *text = fallback_text(fixture->whole.table, fixture_tenant(fixture, "t"),
                               SLICE("s_t.a.test"), NOW_S);
    cr_expect_str_eq(text, "refused: the host's name has other bytes than letters, digits, '-' and "
                           "'.'");
    free(text);
}

/* That one host is explained makes no map of everybody's. */
Test(fallback, of_other_hosts_nothing_is_made)
{
    size_t made[2];
    for (size_t i = 0; i < 2; i++) {
        load(i == 0 ? "\"t\": {\"hosts\": [\"*.a.test\"], " UP "}"
                    : "\"t\": {\"hosts\": [\"*.a.test\"], " UP "},"
                      "\"u\": {\"hosts\": [\"u.test\"], \"headers\": {\"X-Team\": \"u\"}, " UP "},"
                      "\"v\": {\"hosts\": [\"v.test\", \"*.b.test\"], " UP "},"
                      "\"w\": {\"hosts\": [\"x.test\"], \"paths\": [{\"host\": \"w.test\", "
                      "\"prefix\": \"/w\"}], " UP "}");
        allocations_count();
        size_t before = allocations_count();
        char *text = fallback_text(fixture->whole.table, fixture_tenant(fixture, "t"),
                                   SLICE("x.a.test"), NOW_S);
        made[i] = allocations_count() - before;
        cr_expect_str_eq(text, "forwarded by the fallback map: t/http/10.1.0.1/3000/-/p/.");
        free(text);
        if (i == 0)
            teardown();
    }
    cr_expect(eq(sz, made[0], made[1]));
}

Test(fallback, a_named_backend_is_told_by_its_name)
{
    load("\"t\": {\"hosts\": [\"t.test\"], \"backend\": \"own\", \"https\": \"off\"}},"
         " \"haproxy\": {\"backends\": {\"own\": {}}");
    cr_expect_str_eq(value_of("t.test"), "t/backend/own/0/-/p/.");
}

/* The map with an instance of `f` for the label "ann". */
static void add_ann(void)
{
    struct ip address;
    cr_assert(ip_parse(SLICE("10.0.0.9"), &address));
    struct tenant *instance =
        instance_new(fixture_tenant(fixture, "f"), SLICE("ann"), "ann.internal", &address, NULL);
    cr_assert_not_null(instance);
    route_registry_put(fixture->whole.registry, instance, NULL, NULL);
    struct route_table *table = route_registry_build(fixture->whole.registry, 2);
    runtime_map_free(map);
    map = fallback_map(table, NOW_S, &changes);
    route_table_free(table);
}

Test(fallback, an_instance_is_an_exact_host_of_its_parents)
{
    load("\"f\": {\"hosts\": [\"*.a.test\", \"*.b.test\"], \"https\": \"off\","
         " \"upstream\": \"http://{1}.internal:80\"}");
    cr_expect(eq(sz, map->count, 0));
    add_ann();
    cr_expect(eq(sz, map->count, 2));
    cr_expect_str_eq(value_of("ann.a.test"), "f/http/10.0.0.9/80/ann.internal/p/.");
    cr_expect_str_eq(value_of("ann.b.test"), "f/http/10.0.0.9/80/ann.internal/p/.");
}

/* As with an agent: what is one label's is not taken from the others. */
Test(fallback, an_instance_counts_by_itself)
{
    load("\"f\": {\"hosts\": [\"*.a.test\"], \"https\": \"off\","
         " \"upstream\": \"http://{1}.internal:80\", \"limits\": {\"requests_per_10s\": 400}}");
    add_ann();
    cr_expect_str_eq(value_of("ann.a.test"), "f/http/10.0.0.9/80/ann.internal/p/./f/ann:400");
}

/* The agent leads there by what is in the table, not by what the parent asks for. */
Test(fallback, an_instance_gets_no_host_that_is_others)
{
    load("\"f\": {\"hosts\": [\"*.a.test\", \"*.b.test\"],"
         " \"https\": \"off\", \"upstream\": \"http://{1}.internal:80\"},"
         " \"p\": {\"paths\": [{\"host\": \"*.a.test\", \"prefix\": \"/docs\", \"mode\": "
         "\"strip\"}],"
         " \"upstream\": \"http://10.1.0.3:80\"},"
         " \"x\": {\"hosts\": [\"ann.b.test\"], \"https\": \"off\","
         " \"upstream\": \"http://10.1.0.5:80\"}");
    add_ann();
    cr_expect_str_eq(value_of("ann.a.test"), "");
    cr_expect_str_eq(value_of("ann.b.test"), "x/http/10.1.0.5/80/-/p/.");
}

Test(fallback, of_a_map_that_is_empty_is_told_why)
{
    load("\"t\": {\"hosts\": [\"chat_1.test\"], \"upstream\": \"http://10.1.0.1:80\"}");
    cr_expect(eq(sz, map->count, 0));
    char *text = fallback_text(fixture->whole.table, fixture_tenant(fixture, "t"),
                               SLICE("chat_1.test"), NOW_S);
    cr_expect_str_eq(text, "refused: the host's name has other bytes than letters, digits, '-' "
                           "and '.'");
    free(text);
}

Test(fallback, who_has_more_to_say_is_left_out)
{
    static const struct {
        const char *keys;
        const char *why; /* "": none */
    } CASES[] = {
        {"\"suspended\": {}", "suspended"},
        {"\"maintenance\": {\"on\": true}", "maintenance"},
        {"\"identity\": {" FROM ", \"required\": true}", "identity"},
        {"\"allow_ips\": [\"10.0.0.0/8\"]", "address"},
        {"\"deny_ips\": [\"10.0.0.0/8\"]", "address"},
        {"\"routes\": [{\"match\": {\"path\": \"/x\"}}]", "routes"},
        {"\"require_sni_match\": true", "handshake"},
        {"\"origin_check\": \"required\"", "Origin"},
        {"\"headers\": {\"X-Ip\": \"{client_ip}\"}", "header"},
        {"\"headers\": {\"X-Ip\": \"{tenant}\"}", ""},
        {"\"identity\": {" FROM "}", ""},
        {"\"origins\": [\"https://o.test\"]", ""},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char *tenant = memory_format(ALONE("%s"), CASES[i].keys);
        bool is_free = CASES[i].why[0] == '\0';
        if (i > 0)
            teardown();
        load(tenant);
        free(tenant);
        const char *why = fallback_obstacle(fixture_tenant(fixture, "t"), NOW_S);
        cr_expect(eq(int, strcmp(value_of("t.test"), "") != 0, is_free), "%s", CASES[i].keys);
        cr_expect(why == NULL ? is_free : strstr(why, CASES[i].why) != NULL, "%s", CASES[i].keys);
    }
}

Test(fallback, a_window_counts_from_when_it_is_known_until_it_ends)
{
    load(ALONE("\"maintenance\": {\"window\": {\"from\": \"2028-01-01T00:00Z\","
               " \"to\": \"2028-01-02T00:00Z\"}}"));
    cr_expect_str_eq(value_of("t.test"), "");
    cr_expect(changes);
    runtime_map_free(map);
    map = fallback_map(fixture->whole.table, 1830400000 /* 2028-01-02T01:46Z */, &changes);
    cr_expect_str_eq(value_of("t.test"), "t/http/10.1.0.1/3000/-/p/.");
    cr_expect(not(changes));
}

Test(fallback, a_host_is_not_left_to_anothers_wildcard)
{
    load("\"w\": {\"hosts\": [\"*.test\"], " UP "}," ALONE(
        "\"suspended\": {}") ","
                             "\"p\": {\"hosts\": [\"p.example\"], " UP ", \"paths\":"
                             " [{\"host\": \"x.test\", \"prefix\": \"/p\", \"mode\": \"strip\"},"
                             "  {\"host\": \"far.example\", \"prefix\": \"/p\", \"mode\": "
                             "\"strip\"}]}");
    cr_expect_str_eq(value_of("test/*"), "w/http/10.1.0.1/3000/-/p/.");
    cr_expect_str_eq(value_of("t.test"), "-");
    cr_expect_str_eq(value_of("x.test"), "-");
    cr_expect_str_eq(value_of("far.example"), "");
    cr_expect_str_eq(value_of("p.example"), "p/http/10.1.0.1/3000/-/p/.");
}

Test(fallback, a_host_where_a_path_is_somebody_elses_is_left_out)
{
    load(ALONE("\"limits\": {}") ","
                                 "\"p\": {" UP ", \"paths\": [{\"host\": \"t.test\", \"prefix\": "
                                 "\"/p\", \"mode\": \"strip\"}]}");
    cr_expect(eq(sz, map->count, 0));
    char *text =
        fallback_text(fixture->whole.table, fixture_tenant(fixture, "t"), SLICE("t.test"), NOW_S);
    cr_expect(strstr(text, "paths of the host") != NULL, "%s", text);
    free(text);
}

Test(fallback, headers_that_must_be_stripped_are_told)
{
    load(ALONE("\"identity\": {" FROM "}, \"headers\": {\"X-Team\": \"red {tenant}\"}"));
    cr_expect_str_eq(value_of("t.test"), "t/http/10.1.0.1/3000/-/p/.x_user_email.");
    cr_expect_str_eq(value_of("t/h_x_team"), "red t");
    cr_expect(eq(sz, map->count, 2));
}

Test(fallback, limits_are_told)
{
    load(ALONE("\"limits\": {\"requests_per_10s\": 400, \"signin_per_minute_per_ip\": 10,"
               " \"max_body\": \"1KB\", \"websockets\": 7}, \"timeouts\": {\"tunnel\": \"1h\"}"));
    cr_expect_str_eq(value_of("t.test"), "t/http/10.1.0.1/3000/-/p/./:400:7:1024::3600000:10");
}

Test(fallback, one_replica_takes_all_that_is_up_and_does_not_drain)
{
    load("\"t\": {\"hosts\": [\"t.test\"], \"https\": \"off\", \"replicas\": {\"servers\":"
         " [\"10.0.0.1:80\", \"10.0.0.2:80\"], \"draining\": [\"10.0.0.1:80\"]}}");
    cr_expect_str_eq(value_of("t.test"), "t/http/10.0.0.2/80/-/p/.");
    cr_expect(changes);
}

Test(fallback, the_best_replica_takes_all_and_none_of_a_pool)
{
    load("\"t\": {\"hosts\": [\"t.test\"], \"https\": \"off\", \"replicas\": {\"servers\":"
         " [\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.3:80\"], \"draining\": [\"10.0.0.3:80\"],"
         " \"pools\": {\"p\": [\"10.0.0.1:80\"]}}}");
    cr_expect_str_eq(value_of("t.test"), "t/http/10.0.0.2/80/-/p/.");
    const struct tenant *tenant = fixture_tenant(fixture, "t");
    for (size_t i = 1; i < 3; i++)
        tenant->replicas->items[i].health = replica_health_new();
    atomic_store(&tenant->replicas->items[1].health->share, 0);
    runtime_map_free(map);
    map = fallback_map(fixture->whole.table, NOW_S, &changes);
    cr_expect_str_eq(value_of("t.test"), "t/http/10.0.0.3/80/-/p/.");
    atomic_store(&tenant->replicas->items[2].health->share, 0);
    runtime_map_free(map);
    map = fallback_map(fixture->whole.table, NOW_S, &changes);
    cr_expect_str_eq(value_of("t.test"), "t/http/10.0.0.2/80/-/p/.");
}
