/* agent: who the user is, in decisions and answers. */
#include "agent/actions.h"
#include "agent/answer.h"
#include "allocations.h"
#include "core/memory.h"
#include "support/jwt_maker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static char *copy(const char *text)
{
    return memory_copy_text(slice_of(text));
}

static int64_t clock_s(void)
{
    return 1800000000;
}

static int64_t now_ns, step_ns;

static int64_t clock_ns(void)
{
    return now_ns += step_ns;
}

static struct identity_rule *rule_from(enum identity_from from)
{
    struct identity_rule *rule = identity_rule_new();
    rule->from = from;
    if (from != IDENTITY_FROM_JWT)
        return rule;
    rule->issuer = copy("i");
    rule->audiences[rule->audience_count++] = copy("a");
    rule->keys = copy("keys");
    rule->algorithms = 1u << CRYPTO_ES256;
    rule->token_argument = copy("jh_authorization");
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        rule->field[i] = copy(identity_value_name((enum identity_value)i));
    return rule;
}

static void add_header(struct tenant *tenant, const char *name, const char *value)
{
    tenant->headers =
        memory_resize(tenant->headers, tenant->header_count + 1, sizeof(*tenant->headers));
    struct header *header = &tenant->headers[tenant->header_count++];
    *header = (struct header){.name = copy(name)};
    header_variable_name(slice_of(name), header->variable);
    cr_assert(eq(int, template_parse(slice_of(value), &header->value, NULL), ERROR_OK));
}

static struct tenant *tenant_of(const char *name, const char *host, struct identity_rule *rule)
{
    struct tenant *tenant = tenant_new();
    tenant->name = copy(name);
    tenant->content_hash = (uint64_t)name[0];
    if (host != NULL) {
        tenant->hosts = memory_new(sizeof(*tenant->hosts));
        tenant->hosts[tenant->host_count++].name = copy(host);
    }
    tenant->upstream.host = copy("10.0.0.1");
    tenant->upstream.port = 3000;
    cr_assert(ip_parse(SLICE("10.0.0.1"), &tenant->upstream.address));
    tenant->identity = rule;
    return tenant;
}

static struct maker_key *key;
static struct route_registry *registry;
static struct settings settings;
static struct snapshot snapshot;
static struct request request;
static struct decision decision;
static uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
static struct slice answered;

static void put(struct tenant *tenant)
{
    struct error_text why;
    cr_assert(eq(int, answer_prepare(tenant, &why), ERROR_OK), "%s", why.text);
    route_registry_put(registry, tenant, NULL, NULL);
}

static void add_domain(struct identity_rule *rule, const char *domain, const char *tenant)
{
    rule->domains = memory_resize(rule->domains, rule->domain_count + 1, sizeof(*rule->domains));
    rule->domains[rule->domain_count++] = (struct identity_domain){copy(domain), copy(tenant)};
}

static void deny(struct tenant *tenant, enum credential credential)
{
    tenant->policy = policy_new();
    tenant->policy->rules = memory_new(sizeof(*tenant->policy->rules));
    struct policy_rule *rule = &tenant->policy->rules[tenant->policy->rule_count++];
    *rule = (struct policy_rule){.credentials = credential, .deny = true, .status = 403};
    policy_rule_set_path(rule, SLICE("/api/models"));
}

static void put_tenants(void)
{
    struct tenant *open = tenant_of("open", "open.test", rule_from(IDENTITY_FROM_JWT));
    add_header(open, "X-User-Email", "{email}");
    add_header(open, "X-User-Name", "{name} <{email}>");
    put(open);
    struct tenant *closed = tenant_of("closed", "closed.test", rule_from(IDENTITY_FROM_JWT));
    closed->identity->required = true;
    closed->identity->login = copy("https://id.test/start");
    closed->paths = memory_new(sizeof(*closed->paths));
    closed->paths[closed->path_count++] = (struct path_rule){
        .host = copy("path.test"), .prefix = copy("/llm"), .segments = 1, .mode = PATH_STRIP};
    put(closed);
    struct tenant *host = tenant_of("host", "host.test", rule_from(IDENTITY_FROM_JWT));
    add_domain(host->identity, "example.com", "staff");
    add_domain(host->identity, "alone.test", "open");
    add_domain(host->identity, "gone.test", "gone");
    host->hsts = copy("max-age=2");
    put(host);
    struct tenant *leads = tenant_of("leads", "leads.test", NULL);
    leads->hsts = copy("max-age=1");
    leads->policy = policy_new();
    leads->policy->rules = memory_new(sizeof(*leads->policy->rules));
    leads->policy->rules[leads->policy->rule_count++].tenant = copy("host");
    put(leads);
    struct tenant *silent = tenant_of("silent", "silent.test", NULL);
    silent->policy = policy_new();
    silent->policy->rules = memory_new(sizeof(*silent->policy->rules));
    silent->policy->rules[silent->policy->rule_count++].tenant = copy("host");
    put(silent);
    struct tenant *staff = tenant_of("staff", NULL, rule_from(IDENTITY_FROM_SHARED));
    add_header(staff, "X-Staff", "{email}");
    deny(staff, CREDENTIAL_API_KEY);
    put(staff);
    struct tenant *keyless = tenant_of("keyless", "keyless.test", rule_from(IDENTITY_FROM_JWT));
    deny(keyless, CREDENTIAL_API_KEY);
    put(keyless);
}

static void setup(void)
{
    char name[] = "keys";
    key = maker_key_new(MAKER_P256);
    char *text = maker_jwk_set(key, "k1", NULL);
    struct jwk_set *set = jwk_set_parse(slice_of(text), NULL);
    const struct jwk_source source = {.name = name, .set = set};
    snapshot.keys = jwk_table_new(&source, 1, 1);
    jwk_set_unref(set);
    free(text);
    registry = route_registry_new();
    put_tenants();
    snapshot.settings = &settings;
    snapshot.table = route_registry_build(registry, 1);
    request.verifier = verifier_new(clock_s, clock_ns);
    request.identity.stripped = SLICE("/x_staff/x_user_email/x_user_name/");
    request.identity.token_count = 1;
    request.identity.tokens[0].argument = SLICE("jh_authorization");
    cr_assert(ip_parse(SLICE("203.0.113.7"), &request.client.peer));
}

static void teardown(void)
{
    verifier_free(request.verifier);
    jwk_table_free(snapshot.keys);
    route_table_free(snapshot.table);
    route_registry_free(registry);
    maker_key_free(key);
}

static char *token_of(const char *email)
{
    char *payload =
        memory_format("{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1800000100,\"email\":\"%s\"}", email);
    char *token = maker_token(key, "ES256", NULL, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", payload);
    free(payload);
    return token;
}

static const char *ask(const char *host, const char *path, const char *token)
{
    struct writer actions = writer_of(buffer, sizeof(buffer));
    request.host = slice_of(host);
    request.path = slice_of(path);
    request.identity.tokens[0].text = slice_of(token);
    decide(&snapshot, &request, &decision);
    cr_assert(answer_write(&request, &decision, &actions));
    answered = writer_written(&actions);
    return outcome_name(decision.outcome);
}

/* "" when the variable is not set. */
static const char *variable(const char *name)
{
    static char text[256];
    struct reader reader = reader_of(answered);
    struct action action;
    text[0] = '\0';
    while (action_next(&reader, &action)) {
        if (!slice_equal(action.name, slice_of(name)))
            continue;
        if (action.value.type == SPOP_BOOLEAN)
            return action.value.boolean ? "true" : "false";
        snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(action.value.bytes));
    }
    return text;
}

/* The headers in one value are this one and no more. */
static void expect_one_header(const char *expected_name, const char *expected_value)
{
    struct reader reader = reader_of(answered);
    struct action action = {0};
    struct slice name, value;
    while (action_next(&reader, &action) && !slice_equal(action.name, SLICE("headers")))
        ;
    struct reader pairs = reader_of(action.value.bytes);
    cr_assert(header_pair_next(&pairs, &name, &value));
    cr_expect(slice_equal(name, slice_of(expected_name)), "%.*s", SLICE_PRINT(name));
    cr_expect(slice_equal(value, slice_of(expected_value)), "%.*s", SLICE_PRINT(value));
    cr_expect_not(header_pair_next(&pairs, &name, &value));
    cr_expect_not(pairs.failed);
    cr_expect(eq(sz, reader_left(&pairs), 0));
}

Test(identity, headers_of_a_verified_user, .init = setup, .fini = teardown)
{
    char *token = token_of("ann@example.com");
    cr_expect_str_eq(ask("open.test", "/", token), "forward");
    cr_expect_str_eq(variable("h_x_user_email"), "ann@example.com");
    cr_expect_str_eq(variable("h_x_user_name"), "", "a name that is not known is not sent");
    cr_expect_str_eq(variable("spent"), "true");
    request.headers_in_one = true;
    cr_expect_str_eq(ask("open.test", "/", token), "forward");
    expect_one_header("X-User-Email", "ann@example.com");
    request.headers_in_one = false;
    free(token);
}

Test(identity, nobody, .init = setup, .fini = teardown)
{
    cr_expect_str_eq(ask("open.test", "/", ""), "forward");
    cr_expect_str_eq(variable("h_x_user_email"), "");
    cr_expect_str_eq(variable("spent"), "");
    request.headers_in_one = true;
    cr_expect_str_eq(ask("open.test", "/", "x.y.z"), "forward");
    cr_expect_str_eq(variable("headers"), "");
    request.headers_in_one = false;
    request.verifier = (verifier_free(request.verifier), NULL);
    char *token = token_of("ann@example.com");
    cr_expect_str_eq(ask("open.test", "/", token), "forward");
    cr_expect_str_eq(variable("h_x_user_email"), "", "nobody can verify, so nobody is believed");
    free(token);
}

/* What Open WebUI gets to see is what is left when the token has been taken out. */
Test(identity, a_token_hides_no_other_credential, .init = setup, .fini = teardown)
{
    static const struct {
        const char *bearer, *cookie;
        uint32_t api_keys;
        bool is_let_in;
    } ROWS[] = {
        {"Bearer eyJ", "", 0, true},     {"Bearer eyJ", "eyJ", 0, true},
        {"Bearer eyJ", "eyJ", 1, true},  {"Bearer eyJ", "sk-", 0, false},
        {"Bearer eyJ", "?", 0, false},   {"Bearer eyJ", "", 1, false},
        {"Bearer sk-", "eyJ", 0, false},
    };
    char *token = token_of("ann@example.com");
    request.credential_told = true;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        request.bearer = slice_of(ROWS[i].bearer);
        request.token = slice_of(ROWS[i].cookie);
        request.api_keys = ROWS[i].api_keys;
        const char *expected = ROWS[i].is_let_in ? "forward" : "deny-route";
        cr_expect_str_eq(ask("keyless.test", "/api/models", token), expected, "row %zu", i);
        if (slice_equal(request.bearer, SLICE("Bearer eyJ")))
            cr_expect_str_eq(ask("host.test", "/api/models", token), expected, "row %zu", i);
    }
    free(token);
}

Test(identity, required, .init = setup, .fini = teardown)
{
    char *token = token_of("ann@example.com");
    cr_expect_str_eq(ask("closed.test", "/api/config", ""), "deny-identity");
    cr_expect(eq(int, decision.status, 401));
    cr_expect_str_eq(variable("reason"), "identity-required");
    cr_expect_str_eq(ask("closed.test", "/ws/socket.io/", "x"), "deny-identity");
    cr_expect_str_eq(ask("closed.test", "/c/1", ""), "redirect-login");
    cr_expect_str_eq(variable("answer"), "login");
    cr_expect_str_eq(variable("to"), "https://id.test/start");
    cr_expect_str_eq(ask("path.test", "/llm/api/config", ""), "deny-identity");
    cr_expect_str_eq(ask("path.test", "/llm/c/1", ""), "redirect-login");
    cr_expect_str_eq(ask("closed.test", "/c/1", token), "forward");
    free(token);
}

static void send_bad_tokens(const char *host, const char *outcome)
{
    static const char *const TOKENS[] = {"x", "y"};
    step_ns = 100000000; /* all that is spent on a tenant at once */
    for (size_t i = 0; i < COUNT_OF(TOKENS); i++)
        cr_expect_str_eq(ask(host, "/", TOKENS[i]), outcome, "%s", host);
    step_ns = 0;
}

/* Whoever has a good one is not sent to sign in again, which would not help. */
Test(identity, tokens_that_nobody_looks_at, .init = setup, .fini = teardown)
{
    char *token = token_of("ann@example.com");
    send_bad_tokens("closed.test", "redirect-login");
    cr_expect_str_eq(ask("closed.test", "/", token), "deny-identity-unverified");
    cr_expect(eq(int, decision.status, 503));
    cr_expect_str_eq(variable("reason"), "identity-unverified");
    cr_expect_str_eq(ask("closed.test", "/", "x"), "redirect-login", "it was looked at before");
    cr_expect_str_eq(ask("closed.test", "/", ""), "redirect-login");
    send_bad_tokens("open.test", "forward");
    cr_expect_str_eq(ask("open.test", "/", token), "forward");
    cr_expect_str_eq(variable("h_x_user_email"), "");
    cr_expect_str_eq(ask("keyless.test", "/", token), "forward");
    cr_expect_not_null(decision.identity, "another tenant's are looked at");
    now_ns += 2000000000;
    cr_expect_str_eq(ask("open.test", "/", token), "forward");
    cr_expect_str_eq(variable("h_x_user_email"), "ann@example.com");
    free(token);
}

Test(identity, what_haproxy_does_not_strip_is_not_believed, .init = setup, .fini = teardown)
{
    static const char *const LISTS[] = {"",
                                        "/",
                                        "/x_user_email/",
                                        "/x_user_emails/x_user_name/",
                                        "/ax_user_email/x_user_name/",
                                        "x_user_email/x_user_name",
                                        "/x_user_email/x_user_name"};
    char *token = token_of("ann@example.com");
    cr_expect_str_eq(ask("open.test", "/", token), "forward");
    for (size_t i = 0; i < COUNT_OF(LISTS); i++) {
        request.identity.stripped = slice_of(LISTS[i]);
        cr_expect_str_eq(ask("open.test", "/", token), "deny-header-not-stripped", "%s", LISTS[i]);
        cr_expect_str_eq(ask("open.test", "/", ""), "deny-header-not-stripped", "%s", LISTS[i]);
        cr_expect(eq(int, decision.status, 503));
        cr_expect_str_eq(ask("closed.test", "/", token), "forward", "it believes no header");
    }
    request.identity.stripped = SLICE("/x_user_name/y/x_user_email/");
    cr_expect_str_eq(ask("open.test", "/", token), "forward");
    cr_expect_str_eq(ask("host.test", "/", token), "deny-header-not-stripped",
                     "staff's is missing");
    free(token);
}

Test(identity, shared_hosts, .init = setup, .fini = teardown)
{
    static const struct {
        const char *email, *outcome, *tenant;
    } ROWS[] = {
        {"ann@example.com", "forward", "staff"},
        {"Ann@EXAMPLE.com", "forward", "staff"},
        {"ann@sub.example.com", "deny-email-domain", "host"},
        {"ann@example.com.evil.test", "deny-email-domain", "host"},
        {"ann@alone.test", "deny-email-domain", "host"}, /* that tenant does not share */
        {"ann@gone.test", "deny-email-domain", "host"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *token = token_of(ROWS[i].email);
        cr_expect_str_eq(ask("host.test", "/", token), ROWS[i].outcome, "%s", ROWS[i].email);
        cr_expect_str_eq(variable("tenant"), ROWS[i].tenant, "%s", ROWS[i].email);
        free(token);
    }
    cr_expect_str_eq(ask("host.test", "/", ""), "forward");
    cr_expect_str_eq(variable("tenant"), "host");
}

/* RFC 6797 is about hosts: however often a request is led on, whose host it is speaks for it. */
/* What docs/CONFIGURATION.md shows of "identity" and "limits", with a role, timeouts and HSTS, in
 * front of an https upstream that has a name. */
static struct tenant *crowded_tenant(const char *upstream)
{
    struct tenant *tenant = tenant_of("crowded", "chat.example.com", rule_from(IDENTITY_FROM_JWT));
    add_header(tenant, "X-User-Email", "{email}");
    add_header(tenant, "X-User-Name", "{name}");
    add_header(tenant, "X-User-Groups", "{groups}");
    add_header(tenant, "X-User-Role", "{role}");
    free(tenant->upstream.host);
    tenant->upstream.host = copy(upstream);
    tenant->upstream.server_name = copy(upstream);
    tenant->upstream.scheme = UPSTREAM_HTTPS;
    tenant->upstream.port = 8443;
    cr_assert(ip_parse(SLICE("2001:db8::1:2:3:4"), &tenant->upstream.address));
    tenant->hsts = copy("max-age=31536000; includeSubDomains");
    tenant->policy = policy_new();
    tenant->policy->limits = (struct limits){.requests_per_10s = 400,
                                             .signin_per_minute_per_ip = 10,
                                             .signin_per_minute_per_subnet = 50,
                                             .websockets = 2000,
                                             .max_body_bytes = 100 << 20,
                                             .server_timeout_ms = 1800000,
                                             .tunnel_timeout_ms = 3600000};
    return tenant;
}

/* Each value has so many bytes. */
static char *token_with(size_t email, size_t name, size_t groups, size_t role)
{
    char fill[IDENTITY_TEXT_MAX_BYTES];
    memset(fill, 'x', sizeof(fill));
    char *payload =
        memory_format("{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1800000100,"
                      "\"email\":\"%.*s@x\",\"name\":\"%.*s\","
                      "\"groups\":[\"%.*s\"],\"role\":\"%.*s\"}",
                      (int)email - 2, fill, (int)name, fill, (int)groups, fill, (int)role, fill);
    char *token = maker_token(key, "ES256", NULL, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", payload);
    free(payload);
    return token;
}

Test(identity, users_are_told_beside_limits_timeouts_and_a_name_for_tls, .init = setup,
     .fini = teardown)
{
    static const char SIGN_IN[] = "/api/v1/auths/signin";
    char *longest = token_with(80, 48, 80, 12);
    char *usual = token_with(56, 32, 40, 8);
    put(crowded_tenant("owui-crowded.internal"));
    route_table_free(snapshot.table);
    snapshot.table = route_registry_build(registry, 2);
    request.identity.stripped =
        SLICE("/x_staff/x_user_email/x_user_name/x_user_groups/x_user_role/");
    request.client.peer_tls = true;
    cr_assert(ip_parse(SLICE("2001:db8:1111:2222:3333:4444:5555:6666"), &request.client.peer));

    cr_expect_str_eq(ask("chat.example.com:65535", SIGN_IN, longest), "forward");
    cr_expect(eq(sz, strlen(variable("h_x_user_groups")), 80));
    cr_expect_str_eq(variable("h_x_user_role"), "xxxxxxxxxxxx");
    cr_expect_str_eq(variable("more"), ":400:2000:104857600:1800000:3600000:10:50");
    cr_expect_str_eq(variable("hsts"), "", "browsers hear of it where there is room");
    cr_expect_str_eq(ask("Chat.example.com:65535", SIGN_IN, usual), "forward");
    cr_expect_str_eq(variable("host"), "chat.example.com:65535");
    cr_expect_str_eq(ask("chat.example.com:65535", "//api/v1/auths/signin", usual), "forward");
    cr_expect_str_eq(variable("path"), SIGN_IN);
    cr_expect_str_eq(ask("chat.example.com:65535", SIGN_IN, usual), "forward");
    cr_expect_str_eq(variable("hsts"), "max-age=31536000; includeSubDomains");
    free(longest);
    free(usual);
}

Test(identity, an_answer_without_room_tells_what_takes_it)
{
    struct error_text why;
    struct tenant *tenant =
        crowded_tenant("a-name-that-is-far-too-long.for-an-upstream.in.customers.example.com");
    cr_expect(eq(int, answer_prepare(tenant, &why), ERROR_TOO_BIG));
    cr_expect_str_eq(
        why.text,
        "the tenant's headers can take 215 bytes of an answer, and there is room for 183 beside "
        "what else it has (the tenant's name 19, \"upstream\" 117, \"limits\" and \"timeouts\" "
        "51, \"identity\" 10, the client's address and port 39, a host or path that is spelled "
        "otherwise 74); have fewer headers, or shorter names and values, or do without "
        "\"limits\" and \"timeouts\"");
    policy_unref(tenant->policy);
    tenant->policy = NULL;
    cr_expect(eq(int, answer_prepare(tenant, &why), ERROR_OK), "%s", why.text);
    tenant_free(tenant);
}

Test(identity, a_hosts_hsts_is_its_own_tenants, .init = setup, .fini = teardown)
{
    static const struct {
        const char *host, *email, *outcome, *tenant, *hsts;
    } ROWS[] = {
        {"host.test", "ann@example.com", "forward", "staff", "max-age=2"},
        {"leads.test", "ann@example.com", "forward", "staff", "max-age=1"},
        {"leads.test", "ann@gone.test", "deny-email-domain", "host", "max-age=1"},
        {"silent.test", "ann@example.com", "forward", "staff", ""},
        {"silent.test", "ann@gone.test", "deny-email-domain", "host", ""},
    };
    request.client.peer_tls = true;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *token = token_of(ROWS[i].email);
        cr_expect_str_eq(ask(ROWS[i].host, "/", token), ROWS[i].outcome, "row %zu", i);
        cr_expect_str_eq(variable("tenant"), ROWS[i].tenant, "row %zu", i);
        cr_expect_str_eq(variable("hsts"), ROWS[i].hsts, "row %zu", i);
        free(token);
    }
}

Test(identity, a_known_user_costs_no_allocation, .init = setup, .fini = teardown)
{
    char *token = token_of("ann@example.com");
    ask("open.test", "/", token);
    ask("host.test", "/", token);
    free(memory_new(1 + allocations_count()));
    cr_assert_gt(allocations_count(), 0u, "allocations are not counted");
    size_t before = allocations_count();
    for (int i = 0; i < 10; i++) {
        ask("open.test", "/", token);
        ask("host.test", "/", token);
        ask("closed.test", "/", "");
    }
    cr_expect(eq(sz, allocations_count(), before));
    free(token);
}
