/* conf: replicas and their checks. */
#include "conf_fixture.h"
#include "core/memory.h"
#include "route/replica.h"

#include <stdlib.h>

static struct fixture *fixture_with(const char *members)
{
    char *text = memory_format("{\"tenants\": {\"t\": {\"hosts\": [\"a.test\"], %s}}}", members);
    struct fixture *fixture = fixture_of(text);
    free(text);
    return fixture;
}

static const struct tenant *tenant_in(const struct fixture *fixture)
{
    char *said = fixture_text(fixture);
    cr_assert(fixture->good, "%s", said);
    free(said);
    return fixture_tenant(fixture, "t");
}

static bool tells(const struct fixture *fixture, enum hap_argument argument)
{
    return (fixture->whole.configuration->haproxy.arguments >> argument & 1) != 0;
}

Test(conf_replicas, what_holds_unless_told)
{
    struct fixture *fixture =
        fixture_with("\"replicas\": {\"servers\": [\"10.0.0.1:8080\", \"http://b.test\"]}");
    const struct tenant *tenant = tenant_in(fixture);
    const struct replica_set *set = tenant->replicas;
    cr_assert_not_null(set);
    cr_expect(eq(sz, set->count, 2));
    cr_expect(eq(int, (int)set->sticky, STICKY_USER));
    cr_expect(eq(int, (int)set->fallback, STICKY_COOKIE));
    cr_expect(eq(u32, set->slow_start_ms, 30000));
    cr_expect(eq(str, set->items[0].upstream.host, "10.0.0.1"));
    cr_expect(eq(u16, set->items[0].upstream.port, 8080));
    cr_expect(eq(int, set->items[0].upstream.address.family, IP_V4));
    cr_expect(eq(int, set->items[1].upstream.address.family, IP_NONE));
    cr_expect(eq(u16, set->items[1].upstream.port, 80));
    cr_expect(ne(u64, set->items[0].seed, set->items[1].seed));
    cr_assert_not_null(tenant->check);
    cr_expect(eq(str, tenant->check->path, "/ready"));
    cr_expect(eq(str, tenant->check->fallback, "/health"));
    cr_expect(eq(u32, tenant->check->every_ms, 5000));
    cr_expect(tells(fixture, HAP_ARGUMENT_USER));
    cr_expect(tells(fixture, HAP_ARGUMENT_REPLICA));
    fixture_free(fixture);
}

Test(conf_replicas, everything_told)
{
    struct fixture *fixture = fixture_with(
        "\"replicas\": {\"draining\": [\"[fd00::1]:80\"], \"sticky\": \"client\", \"slow_start\": "
        "\"0s\", \"servers\": [\"https://10.0.0.1\", \"http://[fd00::1]\"]}, \"upstream_tls\": "
        "{\"server_name\": \"c.test\"}, \"check\": {\"path\": \"/x?y=1\", \"fallback\": null, "
        "\"every\": \"200ms\", \"rise\": 1, \"fall\": 9}");
    const struct tenant *tenant = tenant_in(fixture);
    const struct replica_set *set = tenant->replicas;
    cr_expect(eq(str, set->items[0].upstream.server_name, "c.test"));
    cr_expect_null(set->items[1].upstream.server_name);
    cr_expect_not(set->items[0].draining);
    cr_expect(set->items[1].draining);
    cr_expect(eq(u32, set->slow_start_ms, 0));
    cr_expect(eq(str, tenant->check->path, "/x?y=1"));
    cr_expect_null(tenant->check->fallback);
    cr_expect(eq(u32, tenant->check->fall, 9));
    cr_expect_not(tells(fixture, HAP_ARGUMENT_USER));
    cr_expect_not(tells(fixture, HAP_ARGUMENT_REPLICA));

    struct tenant *copy = tenant_clone(tenant);
    cr_expect(copy->replicas->items[1].draining);
    cr_expect(eq(str, copy->check->path, "/x?y=1"));
    cr_expect(eq(u64, copy->replicas->items[0].seed, set->items[0].seed));
    tenant_free(copy);
    fixture_free(fixture);
}

Test(conf_replicas, checks_that_are_not_made)
{
    struct fixture *fixture =
        fixture_with("\"replicas\": {\"servers\": [\"h:1\"]}, \"check\": false");
    cr_expect_null(tenant_in(fixture)->check);
    fixture_free(fixture);
    fixture = fixture_with("\"upstream\": \"http://h\"");
    cr_expect_null(tenant_in(fixture)->check);
    fixture_free(fixture);
    fixture = fixture_with("\"upstream\": \"http://h\", \"check\": {}");
    cr_expect_not_null(tenant_in(fixture)->check);
    fixture_free(fixture);
}

static const struct {
    const char *members;
    enum code code;
    const char *said;
} WRONG[] = {
    {"\"replicas\": []", CODE_WRONG_TYPE, "must be an object"},
    {"\"replicas\": {}", CODE_MISSING_KEY, "needs \"servers\""},
    {"\"replicas\": {\"servers\": []}", CODE_OUT_OF_RANGE, "from 1 to 64"},
    {"\"replicas\": {\"servers\": [\"10.0.0.1\"]}", CODE_UPSTREAM_SYNTAX, "a host and a port"},
    {"\"replicas\": {\"servers\": [\"ftp://h:1\"]}", CODE_UPSTREAM_SYNTAX, "ftp://h:1"},
    {"\"replicas\": {\"servers\": [\"h:1/x\"]}", CODE_UPSTREAM_SYNTAX, "a host and a port"},
    {"\"replicas\": {\"servers\": [\"http://{1}.x\"]}", CODE_UPSTREAM_SYNTAX, "{1}"},
    {"\"replicas\": {\"servers\": [\"h:1\", \"http://h:1\"]}", CODE_LISTED_TWICE, "already"},
    {"\"replicas\": {\"servers\": [{\"url\": \"h:1\", \"weight\": 5}]}", CODE_WRONG_TYPE,
     "no weight"},
    {"\"replicas\": {\"servers\": [\"169.254.0.1:80\"]}", CODE_UPSTREAM_REFUSED, "169.254.0.1"},
    {"\"replicas\": {\"servers\": [\"127.0.0.1:443\"]}", CODE_UPSTREAM_LOOP, "haproxy.https"},
    {"\"replicas\": {\"servers\": [\"https://10.0.0.1\"]}", CODE_TLS_NAME, "server_name"},
    {"\"replicas\": {\"servers\": [\"h:1\"], \"sticky\": \"ip\"}", CODE_NOT_A_CHOICE, "known:"},
    {"\"replicas\": {\"servers\": [\"h:1\"], \"sticky\": \"cookie\", \"fallback\": \"client\"}",
     CODE_MEANINGLESS_KEY, "not signed in"},
    {"\"replicas\": {\"servers\": [\"h:1\"], \"draining\": [\"g:1\"]}", CODE_REPLICA_UNKNOWN,
     "not in \"servers\""},
    {"\"replicas\": {\"servers\": [\"h:1\"], \"slow_start\": \"2h\"}", CODE_OUT_OF_RANGE, "1h"},
    {"\"replicas\": {\"server\": [\"h:1\"]}", CODE_UNKNOWN_KEY, "did you mean \"servers\"?"},
    {"\"replicas\": {\"servers\": [\"h:1\"]}, \"upstream\": \"http://h\"", CODE_MEANINGLESS_KEY,
     "\"replicas\""},
    {"\"replicas\": {\"servers\": [\"h:1\"]}, \"upstream_tls\": {}", CODE_MEANINGLESS_KEY,
     "without an https upstream"},
    {"\"upstream\": \"http://h\", \"check\": 5", CODE_WRONG_TYPE, "must be an object"},
    {"\"upstream\": \"http://h\", \"check\": {\"path\": \"x\"}", CODE_PATH_PREFIX, "not a path"},
    {"\"upstream\": \"http://h\", \"check\": {\"every\": \"1ms\"}", CODE_OUT_OF_RANGE, "100ms"},
    {"\"upstream\": \"http://h\", \"check\": {\"rise\": 0}", CODE_OUT_OF_RANGE, "from 1 to 20"},
};

Test(conf_replicas, what_is_wrong)
{
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        struct fixture *fixture = fixture_with(WRONG[i].members);
        char *said = fixture_text(fixture);
        cr_expect_not(fixture->good, "%s", WRONG[i].members);
        cr_expect(fixture_said(fixture, WRONG[i].code), "%s: %s", WRONG[i].members, said);
        cr_expect(strstr(said, WRONG[i].said) != NULL, "%s", said);
        free(said);
        fixture_free(fixture);
    }
}
