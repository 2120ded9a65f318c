/* agent/screen: who is let in, by the decision that comes of it. */
#include "agent/answer.h"
#include "core/memory.h"
#include "route/label.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct route_registry *registry;
static struct settings settings;
static struct snapshot snapshot;

/* A tenant with hosts, "*." in front of wildcards, and a policy that it takes over. */
static void put(const char *name, const char *const *hosts, size_t count, struct policy *policy)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(slice_of(name));
    tenant->upstream.host = memory_copy_text(SLICE("10.0.0.1"));
    tenant->upstream.port = 3000;
    cr_assert(ip_parse(SLICE("10.0.0.1"), &tenant->upstream.address));
    tenant->hosts = memory_new(count * sizeof(*tenant->hosts));
    for (size_t i = 0; i < count; i++) {
        bool wildcard = hosts[i][0] == '*';
        tenant->hosts[tenant->host_count++] = (struct tenant_host){
            memory_copy_text(slice_of(hosts[i] + (wildcard ? 2 : 0))), wildcard, {0}};
    }
    tenant->policy = policy;
    struct error_text why;
    cr_assert(eq(int, answer_prepare(tenant, &why), ERROR_OK), "%s", why.text);
    route_registry_put(registry, tenant, NULL, NULL);
}

#define PUT(NAME, POLICY, ...) \
    put(NAME, (const char *const[]){__VA_ARGS__}, COUNT_OF(((const char *[]){__VA_ARGS__})), POLICY)

static void add_network(struct networks *networks, const char *text)
{
    networks->items = memory_new(sizeof(*networks->items));
    networks->count = 1;
    cr_assert(ip_network_parse(slice_of(text), &networks->items[0]));
}

static struct policy_rule *add_rule(struct policy *policy)
{
    policy->rules = memory_resize(policy->rules, policy->rule_count + 1, sizeof(*policy->rules));
    policy->rules[policy->rule_count] = (struct policy_rule){.status = 404};
    return &policy->rules[policy->rule_count++];
}

/* Nobody deletes, Thursdays are free for all, on other days half of the clients are let in. */
static struct policy *rules_for_methods_hours_and_shares(void)
{
    struct policy *policy = policy_new();
    struct policy_rule *rule = add_rule(policy);
    rule->methods = policy_method(SLICE("DELETE"));
    rule->deny = true;
    rule = add_rule(policy);
    rule->hours = memory_new(sizeof(*rule->hours));
    *rule->hours = (struct hours){.days = 1 << 4, .to_minute = 1440};
    cr_assert(zone_parse(SLICE("UTC0"), &rule->hours->zone));
    rule = add_rule(policy);
    rule->share = 50;
    rule = add_rule(policy);
    rule->deny = true;
    policy_complete(policy);
    return policy;
}

static void setup(void)
{
    registry = route_registry_new();
    settings = (struct settings){.unknown_host_status = 404};

    PUT("plain", NULL, "chat.test", "ai.test", "*.chat.test");

    struct policy *strict = policy_new();
    strict->origin_check = ORIGIN_REQUIRED;
    strict->require_sni_match = true;
    strict->origins = memory_new(sizeof(*strict->origins));
    strict->origins[strict->origin_count++] = memory_copy_text(SLICE("https://portal.test"));
    PUT("strict", strict, "strict.test", "too.strict.test");

    struct policy *open = policy_new();
    open->origin_check = ORIGIN_IGNORED;
    PUT("open", open, "open.test");

    struct policy *fleet = policy_new();
    fleet->require_sni_match = true;
    PUT("fleet", fleet, "*.fleet.test");

    struct policy *near = policy_new();
    add_network(&near->allow_ips, "192.0.2.0/24");
    add_network(&near->deny_ips, "192.0.2.9");
    PUT("near", near, "near.test");
    PUT("ruled", rules_for_methods_hours_and_shares(), "ruled.test");

    snapshot = (struct snapshot){.generation = 1, .settings = &settings};
    snapshot.table = route_registry_build(registry, 1);
}

static void teardown(void)
{
    route_table_free(snapshot.table);
    route_registry_free(registry);
}

TestSuite(screen, .init = setup, .fini = teardown);

static struct decision decision;

static const char *decide_about(const struct request *request)
{
    decide(&snapshot, request, &decision);
    return outcome_name(decision.outcome);
}

Test(screen, origin)
{
    static const struct {
        const char *host;
        bool tls;
        const char *upgrade;
        const char *origin;
        const char *outcome;
    } ROWS[] = {
        {"chat.test", true, "websocket", "https://chat.test", "forward"},
        {"chat.test", true, "WebSocket", "https://CHAT.test:443", "forward"},
        {"chat.test", true, "websocket", "https://ai.test", "forward"},
        {"chat.test", true, "websocket", "https://a.chat.test", "forward"},
        {"chat.test", true, "websocket", "https://a.b.chat.test", "deny-origin"},
        {"chat.test", true, "websocket", "https://evil.test", "deny-origin"},
        {"chat.test", true, "websocket", "https://open.test", "deny-origin"},
        {"chat.test", true, "websocket", "https://chat.test.evil.test", "deny-origin"},
        {"chat.test", true, "websocket", "null", "deny-origin"},
        {"chat.test", true, "websocket", "", "forward"},
        {"chat.test", true, "websocket", "http://chat.test", "deny-origin"},
        {"chat.test", false, "websocket", "http://chat.test", "forward"},
        {"chat.test", false, "websocket", "https://chat.test", "forward"},
        {"chat.test:8443", true, "websocket", "https://chat.test:8443", "forward"},
        {"chat.test:8443", true, "websocket", "https://chat.test", "forward"},
        {"chat.test", true, "websocket", "https://chat.test:8443", "deny-origin"},
        {"chat.test", true, "", "https://evil.test", "forward"},
        {"chat.test", true, "h2c", "https://evil.test", "forward"},
        {"open.test", true, "websocket", "https://evil.test", "forward"},
        {"strict.test", true, "websocket", "", "deny-origin"},
        {"strict.test", true, "websocket", "https://strict.test", "forward"},
        {"strict.test", true, "websocket", "https://portal.test", "forward"},
        {"strict.test", true, "websocket", "http://portal.test", "deny-origin"},
        {"strict.test", true, "websocket", "https://portal.test:444", "deny-origin"},
        {"strict.test", true, "", "", "forward"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct request request = {
            .host = slice_of(ROWS[i].host),
            .path = SLICE("/ws/socket.io/"),
            .upgrade = slice_of(ROWS[i].upgrade),
            .origin = slice_of(ROWS[i].origin),
            .sni = slice_head(slice_of(ROWS[i].host), strcspn(ROWS[i].host, ":")),
        };
        request.client.peer_tls = ROWS[i].tls;
        const char *outcome = decide_about(&request);
        cr_expect_str_eq(outcome, ROWS[i].outcome, "%s from %s: %s", ROWS[i].host, ROWS[i].origin,
                         outcome);
    }
}

/* As HAProxy tells them, and told as the rule for that kind would: it denies with 404. */
Test(screen, credentials)
{
    static const struct {
        const char *bearer, *token;
        uint32_t api_keys;
        enum credential credential;
    } ROWS[] = {
        {"", "", 0, CREDENTIAL_NONE},
        {"Bearer sk-", "", 0, CREDENTIAL_API_KEY},
        {"bEARER sk-", "eyJ", 0, CREDENTIAL_API_KEY},
        {"Bearer eyJ", "", 0, CREDENTIAL_SESSION},
        {"Bearer SK-", "", 0, CREDENTIAL_SESSION},
        {"Bearer", "", 0, CREDENTIAL_NONE},
        {"Bearer", "", 1, CREDENTIAL_API_KEY},
        {"Bearer x", "", 0, CREDENTIAL_SESSION},
        {"Bearer  sk", "", 0, CREDENTIAL_UNTOLD},
        {"Bearer \xa0sk", "eyJ", 0, CREDENTIAL_UNTOLD},
        {"Basic eDp5", "", 0, CREDENTIAL_NONE},
        {"Basic eDp5", "", 1, CREDENTIAL_API_KEY},
        {"Basic sk-x", "?", 0, CREDENTIAL_UNTOLD},
        {"Basic sk-x", "eyJ", 0, CREDENTIAL_SESSION},
        {"Basic eyJ", "sk-", 0, CREDENTIAL_API_KEY},
        {"", "eyJ", 0, CREDENTIAL_SESSION},
        {"", "sk-", 0, CREDENTIAL_API_KEY},
        {"", "?", 0, CREDENTIAL_UNTOLD},
        {"", "\"sk", 1, CREDENTIAL_UNTOLD},
        {"", "", 1, CREDENTIAL_API_KEY},
        {"", "eyJ", 1, CREDENTIAL_SESSION},
        {"Bearer eyJ", "sk-", 1, CREDENTIAL_SESSION},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        const struct request request = {.credential_told = true,
                                        .bearer = slice_of(ROWS[i].bearer),
                                        .token = slice_of(ROWS[i].token),
                                        .api_keys = ROWS[i].api_keys};
        cr_expect(eq(u32, request_credential(&request), ROWS[i].credential), "row %zu", i);
    }
    const struct request untold = {0};
    cr_expect(eq(u32, request_credential(&untold), CREDENTIAL_UNTOLD));
}

Test(screen, sni)
{
    static const struct {
        const char *host;
        bool tls;
        const char *sni;
        const char *outcome;
    } ROWS[] = {
        {"strict.test", true, "strict.test", "forward"},
        {"strict.test", true, "STRICT.test", "forward"},
        {"strict.test:8443", true, "strict.test", "forward"},
        {"strict.test", true, "too.strict.test", "forward"},
        {"strict.test", true, "chat.test", "deny-sni"},
        {"strict.test", true, "nobody.test", "deny-sni"},
        {"strict.test", true, "", "deny-sni"},
        {"strict.test", false, "", "forward"},
        {"a.fleet.test", true, "b.fleet.test", "forward"}, /* one instance for all labels */
        {"chat.test", true, "strict.test", "forward"},     /* it does not ask for it */
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct request request = {
            .host = slice_of(ROWS[i].host), .path = SLICE("/"), .sni = slice_of(ROWS[i].sni)};
        request.client.peer_tls = ROWS[i].tls;
        const char *outcome = decide_about(&request);
        cr_expect_str_eq(outcome, ROWS[i].outcome, "%s by %s: %s", ROWS[i].host, ROWS[i].sni,
                         outcome);
        if (decision.outcome == OUTCOME_DENY_SNI)
            cr_expect(eq(int, decision.status, 421));
    }
}

Test(screen, addresses)
{
    static const struct {
        const char *peer, *outcome;
    } ROWS[] = {
        {"192.0.2.7", "forward"}, {"192.0.2.9", "deny-address"}, {"203.0.113.7", "deny-address"}};
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct request request = {.host = SLICE("near.test"), .path = SLICE("/")};
        cr_assert(ip_parse(slice_of(ROWS[i].peer), &request.client.peer));
        cr_expect_str_eq(decide_about(&request), ROWS[i].outcome, "%s", ROWS[i].peer);
        if (decision.outcome == OUTCOME_DENY_ADDRESS)
            cr_expect(eq(int, decision.status, 403));
    }
}

Test(screen, rules_look_at_method_clock_and_share)
{
    enum { THURSDAY_S = 1, FRIDAY_S = 86400 }; /* 1970 began on a Thursday */
    static const struct {
        const char *method;
        int64_t wall_s;
        const char *share;
        const char *outcome;
    } ROWS[] = {
        {"DELETE", THURSDAY_S, "00", "deny-route"}, {"", THURSDAY_S, "00", "deny-route"},
        {"GET", THURSDAY_S, "99", "forward"},       {"GET", FRIDAY_S, "49", "forward"},
        {"GET", FRIDAY_S, "50", "deny-route"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        const struct request request = {.host = SLICE("ruled.test"),
                                        .path = SLICE("/"),
                                        .method = slice_of(ROWS[i].method),
                                        .wall_s = ROWS[i].wall_s,
                                        .share_cookie = slice_of(ROWS[i].share)};
        cr_expect_str_eq(decide_about(&request), ROWS[i].outcome, "row %zu", i);
        cr_expect_not(decision.sets_share);
        if (decision.outcome == OUTCOME_DENY_ROUTE)
            cr_expect(eq(int, decision.status, 404));
    }
    const struct request new_client = {
        .host = SLICE("ruled.test"), .path = SLICE("/"), .method = SLICE("GET"), .wall_s = 1};
    decide_about(&new_client);
    cr_expect(decision.sets_share);
}
