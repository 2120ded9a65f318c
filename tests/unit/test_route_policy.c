/* route/policy and route/scanner: rules against a naive model, and whom paths belong to. */
#include "core/memory.h"
#include "route/policy.h"
#include "route/scanner.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

/* -- A model that is plainly right: text compared segment by segment, sets as lists ------------ */

static const char *const PATHS[] = {"/", "/a", "/a/b", "/ab", "/a/b/c", "/api", "/b"};
static const char *const METHODS[] = {"", "GET", "POST", "BREW"};
/* What it may be. */
static const unsigned CREDENTIALS[] = {CREDENTIAL_UNTOLD,
                                       CREDENTIAL_NONE,
                                       CREDENTIAL_SESSION,
                                       CREDENTIAL_API_KEY,
                                       CREDENTIAL_SESSION | CREDENTIAL_API_KEY,
                                       CREDENTIAL_NONE | CREDENTIAL_SESSION};
static const char *const IPS[] = {"10.0.0.1", "10.1.0.1", "192.0.2.7", "2001:db8::1"};
static const char *const NETWORKS[] = {"10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32"};

struct model_rule {
    const char *path; /* NULL: every */
    unsigned methods; /* bits of indexes into METHODS; 0: every */
    unsigned credentials;
    int ip, not_ip; /* indexes into NETWORKS, or -1 */
    bool deny;
};

static bool model_path(const char *prefix, const char *path)
{
    char with_slash[32];
    if (prefix == NULL)
        return true;
    snprintf(with_slash, sizeof(with_slash), "%s/", prefix);
    return strcmp(prefix, path) == 0 || strncmp(with_slash, path, strlen(with_slash)) == 0;
}

/* Which of IPS each of NETWORKS has, written down. */
static bool model_ip(int network, size_t ip)
{
    static const bool IN[4][4] = {{true, true, false, false},
                                  {false, true, false, false},
                                  {false, false, true, false},
                                  {false, false, false, true}};
    return IN[network][ip];
}

struct model_question {
    size_t path, method, credential, ip;
};

/* One that may be the rule's is denied, one that must be is allowed. */
static bool model_credential(const struct model_rule *rule, unsigned told)
{
    bool may = told == CREDENTIAL_UNTOLD, must = told != CREDENTIAL_UNTOLD;
    for (unsigned kind = 1; kind <= CREDENTIAL_API_KEY; kind <<= 1) {
        bool is_possible = (told & kind) != 0, is_wanted = (rule->credentials & kind) != 0;
        may |= is_possible && is_wanted;
        must &= !is_possible || is_wanted;
    }
    return rule->deny ? may : must;
}

static bool model_matches(const struct model_rule *rule, const struct model_question *question)
{
    bool untold_method = METHODS[question->method][0] == '\0';
    if (!model_path(rule->path, PATHS[question->path]))
        return false;
    if (rule->methods != 0 &&
        !(untold_method ? rule->deny : (rule->methods >> question->method & 1) != 0))
        return false;
    if (rule->credentials != 0 && !model_credential(rule, CREDENTIALS[question->credential]))
        return false;
    return (rule->ip < 0 || model_ip(rule->ip, question->ip)) &&
           (rule->not_ip < 0 || !model_ip(rule->not_ip, question->ip));
}

static unsigned next_random(unsigned *state, unsigned limit)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 16) % limit;
}

static struct model_rule random_rule(unsigned *state)
{
    struct model_rule rule = {.deny = next_random(state, 2) != 0};
    unsigned path = next_random(state, COUNT_OF(PATHS) + 1);
    rule.path = path == 0 || path > COUNT_OF(PATHS) - 1 ? NULL : PATHS[path];
    if (next_random(state, 2) != 0)
        rule.methods = 1u << (1 + next_random(state, 3));
    if (next_random(state, 2) != 0)
        rule.credentials = 1u << next_random(state, 3);
    rule.ip = (int)next_random(state, 8) - 4;
    rule.not_ip = (int)next_random(state, 12) - 8;
    return rule;
}

static void set_network(struct networks *networks, int index)
{
    if (index < 0)
        return;
    networks->items = memory_new(sizeof(*networks->items));
    cr_assert(ip_network_parse(slice_of(NETWORKS[index]), &networks->items[0]));
    networks->count = 1;
}

static struct policy *policy_of(const struct model_rule *rules, size_t count)
{
    struct policy *policy = policy_new();
    policy->rules = memory_new(count * sizeof(*policy->rules));
    policy->rule_count = count;
    for (size_t i = 0; i < count; i++) {
        struct policy_rule *rule = &policy->rules[i];
        if (rules[i].path != NULL)
            policy_rule_set_path(rule, slice_of(rules[i].path));
        for (size_t j = 1; j < COUNT_OF(METHODS); j++)
            if ((rules[i].methods >> j & 1) != 0)
                rule->methods |= policy_method(slice_of(METHODS[j]));
        rule->credentials = rules[i].credentials;
        set_network(&rule->ip, rules[i].ip);
        set_network(&rule->not_ip, rules[i].not_ip);
        rule->deny = rules[i].deny;
    }
    return policy;
}

static void compare(const struct policy *policy, const struct model_rule *rules, size_t count,
                    const struct model_question *asked)
{
    struct policy_question question = {
        .path = slice_of(PATHS[asked->path]),
        .method = policy_method(slice_of(METHODS[asked->method])),
        .credentials = CREDENTIALS[asked->credential],
    };
    size_t expected = 0;
    cr_assert(ip_parse(slice_of(IPS[asked->ip]), &question.ip));
    while (expected < count && !model_matches(&rules[expected], asked))
        expected++;
    const struct policy_rule *found = policy_find_rule(policy, &question);
    size_t got = found != NULL ? (size_t)(found - policy->rules) : count;
    cr_assert(eq(sz, got, expected), "%s %s %u %s", METHODS[asked->method], PATHS[asked->path],
              question.credentials, IPS[asked->ip]);
}

Test(policy, rules_are_found_as_a_naive_model_finds_them)
{
    enum { ROUNDS = 300, RULES = 5 };
    unsigned state = 7;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct model_rule rules[RULES];
        for (size_t i = 0; i < RULES; i++)
            rules[i] = random_rule(&state);
        struct policy *first = policy_of(rules, RULES);
        struct policy *policy = policy_clone(first); /* a copy is as good */
        policy_unref(first);
        struct model_question asked;
        for (asked.path = 0; asked.path < COUNT_OF(PATHS); asked.path++)
            for (asked.method = 0; asked.method < COUNT_OF(METHODS); asked.method++)
                for (asked.credential = 0; asked.credential < COUNT_OF(CREDENTIALS);
                     asked.credential++)
                    for (asked.ip = 0; asked.ip < COUNT_OF(IPS); asked.ip++)
                        compare(policy, rules, RULES, &asked);
        policy_unref(policy);
    }
}

/* The sanitizer sees what two own. */
Test(policy, a_copy_shares_nothing)
{
    struct policy *policy = policy_new();
    policy->origins = memory_new(sizeof(*policy->origins));
    policy->origins[policy->origin_count++] = memory_copy_text(SLICE("https://a.test"));
    set_network(&policy->allow_ips, 0);
    set_network(&policy->deny_ips, 1);
    policy->rules = memory_new(sizeof(*policy->rules));
    policy->rule_count = 1;
    struct policy_rule *rule = &policy->rules[0];
    policy_rule_set_path(rule, SLICE("/a"));
    rule->tenant = memory_copy_text(SLICE("other"));
    rule->pool = memory_copy_text(SLICE("new"));
    rule->hours = memory_new(sizeof(*rule->hours));
    rule->not_hours = memory_new(sizeof(*rule->not_hours));
    rule->hours->days = 1;
    rule->not_hours->days = 2;
    set_network(&rule->ip, 2);
    set_network(&rule->not_ip, 3);

    struct policy *copy = policy_clone(policy_ref(policy));
    policy_unref(policy);
    policy_unref(policy);
    cr_expect_str_eq(copy->origins[0], "https://a.test");
    cr_expect(eq(sz, copy->allow_ips.count + copy->deny_ips.count, 2));
    rule = &copy->rules[0];
    cr_expect_str_eq(rule->path, "/a");
    cr_expect_str_eq(rule->tenant, "other");
    cr_expect_str_eq(rule->pool, "new");
    cr_expect(eq(int, rule->hours->days, 1));
    cr_expect(eq(int, rule->not_hours->days, 2));
    cr_expect(eq(sz, rule->ip.count + rule->not_ip.count, 2));
    policy_unref(copy);
}

Test(policy, lists_of_addresses)
{
    struct policy *policy = policy_new();
    struct ip inside, outside;
    cr_assert(ip_parse(SLICE("10.1.0.1"), &inside));
    cr_assert(ip_parse(SLICE("192.0.2.7"), &outside));
    cr_expect(policy_allows_ip(policy, &outside));
    set_network(&policy->allow_ips, 0);
    cr_expect(policy_allows_ip(policy, &inside));
    cr_expect_not(policy_allows_ip(policy, &outside));
    set_network(&policy->deny_ips, 1);
    cr_expect_not(policy_allows_ip(policy, &inside));
    policy_unref(policy);
}

/* It may be anybody's: who would be kept out is, and who would be let in is not. */
Test(policy, an_address_that_nobody_knows)
{
    static const struct {
        unsigned ip, not_ip;
        bool deny, found;
    } ROWS[] = {
        {1, 0, true, true},   {1, 0, false, false}, {0, 1, true, true},
        {0, 1, false, false}, {0, 0, true, true},   {0, 0, false, true},
    };
    const struct policy_question question = {.path = SLICE("/"), .ip_untold = true};
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct policy *policy = policy_new();
        policy->rules = memory_new(sizeof(*policy->rules));
        policy->rule_count = 1;
        policy->rules[0].deny = ROWS[i].deny;
        if (ROWS[i].ip != 0)
            set_network(&policy->rules[0].ip, 0);
        if (ROWS[i].not_ip != 0)
            set_network(&policy->rules[0].not_ip, 0);
        cr_expect(eq(int, policy_find_rule(policy, &question) != NULL, ROWS[i].found), "row %zu",
                  i);
        policy_unref(policy);
    }
    struct policy *allows = policy_new(), *denies = policy_new();
    cr_expect(policy_allows_ip(allows, NULL));
    set_network(&allows->allow_ips, 0);
    set_network(&denies->deny_ips, 0);
    cr_expect_not(policy_allows_ip(allows, NULL));
    cr_expect_not(policy_allows_ip(denies, NULL));
    policy_unref(allows);
    policy_unref(denies);
}

Test(policy, methods_and_back)
{
    static const char *const ALL[] = {"",      "GET",    "HEAD",    "POST", "PUT",
                                      "PATCH", "DELETE", "OPTIONS", "BREW"};
    for (size_t i = 0; i < COUNT_OF(ALL); i++) {
        unsigned method = policy_method(slice_of(ALL[i]));
        cr_expect(eq(u32, policy_method(policy_method_name(method)), method), "%s", ALL[i]);
        cr_expect(le(u32, method, UINT8_MAX));
    }
}

Test(policy, needs)
{
    struct policy *policy = policy_new();
    cr_expect(eq(u32, policy_needs(NULL), POLICY_NEEDS_DEFAULT));
    cr_expect(eq(u32, policy_needs(policy), POLICY_NEEDS_DEFAULT));
    policy->origin_check = ORIGIN_IGNORED;
    cr_expect(eq(u32, policy_needs(policy), 0));
    policy->require_sni_match = true;
    cr_expect(eq(u32, policy_needs(policy), POLICY_NEEDS_SNI));
    policy_unref(policy);
    const struct model_rule rules[] = {{.methods = 2, .ip = -1, .not_ip = -1},
                                       {.credentials = 1, .ip = -1, .not_ip = -1}};
    policy = policy_of(rules, COUNT_OF(rules));
    cr_expect(eq(u32, policy_needs(policy),
                 POLICY_NEEDS_DEFAULT | POLICY_NEEDS_METHOD | POLICY_NEEDS_CREDENTIAL));
    policy_unref(policy);
}

Test(policy, each_limit_is_one)
{
    const struct limits limits[] = {
        {.requests_per_10s = 1},
        {.signin_per_minute_per_ip = 1},
        {.signin_per_minute_per_subnet = 1},
        {.websockets = 1},
        {.max_body_bytes = 1},
        {.server_timeout_ms = 1},
        {.tunnel_timeout_ms = 1},
    };
    struct policy *policy = policy_new();
    policy->rules = memory_new(sizeof(*policy->rules));
    policy->rule_count = 1;
    cr_expect_not(policy_has_limits(policy));
    cr_expect_not(policy_limits_sign_in(policy));
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        policy->limits = limits[i];
        cr_expect(policy_has_limits(policy), "the tenant's, row %zu", i);
        cr_expect(eq(int, policy_limits_sign_in(policy), i == 1 || i == 2), "row %zu", i);
        policy->limits = (struct limits){0};
        policy->rules[0].limits = limits[i];
        cr_expect(policy_has_limits(policy), "a rule's, row %zu", i);
        policy->rules[0].limits = (struct limits){0};
    }
    policy_unref(policy);
}

Test(scanner, paths)
{
    static const char *const THEIRS[] = {
        "/.env",          "/.env.local",       "/.git/config",
        "/app/.git/HEAD", "/wp-admin",         "/wp-admin/setup",
        "/WP-Admin/",     "/wp-login.php",     "/index.PHP",
        "/index.php/x",   "/a/b/shell.php",    "/x.aspx",
        "/cgi-bin/test",  "/phpmyadmin/",      "/actuator/health",
        "/dump.sql",      "/.well-known/.env",
    };
    static const char *const OURS[] = {
        "",
        "/",
        "*",
        "/c/0f6c",
        "/auth",
        "/admin/settings",
        "/workspace/models",
        "/manifest.json",
        "/_app/immutable/chunks/a.b.js",
        "/static/.hidden",
        "/api/v1/files/x/content/index.php",
        "/cache/image.php",
        "/.well-known/openid-configuration",
        "/php",
        "/wp",
        "/a.phpx",
        "/env",
        "/s/a.b.c",
        "/opensearch.xml",
        "/c/v1.0",
    };
    for (size_t i = 0; i < COUNT_OF(THEIRS); i++)
        cr_expect(path_is_scanners(slice_of(THEIRS[i])), "%s", THEIRS[i]);
    for (size_t i = 0; i < COUNT_OF(OURS); i++)
        cr_expect_not(path_is_scanners(slice_of(OURS[i])), "%s", OURS[i]);
}
