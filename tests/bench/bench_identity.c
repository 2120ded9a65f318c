/* What it costs to know who the user is: the decision without and with an identity that is known
 * already, and the verification of tokens and certificates that are not.
 *
 *     bench_identity
 *
 * Told are the fastest and the median of the rounds. Verification allocates, in OpenSSL and for the
 * JSON, on the loop that is asked; what is known costs a hash and a comparison of the token.
 */
#include "agent/answer.h"
#include "core/clock.h"
#include "core/memory.h"
#include "support/jwt_maker.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 60, DECISIONS = 20000, VERIFICATIONS = 200 };

#define PAYLOAD                                                                                 \
    "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1800000600,\"iat\":1799999990,"      \
    "\"sub\":\"248289761001\",\"email\":\"ann@example.com\",\"email_verified\":true,"           \
    "\"name\":\"Ann Example\",\"groups\":[\"staff\",\"research\"],\"role\":\"user\",\"nonce\":" \
    "\"n-0S6_WzA2Mj\",\"auth_time\":1799999990,\"acr\":\"urn:mace:incommon:iap:silver\",\"at_"  \
    "hash\":\"77QmUPtjPfzWtF2AnpK9RQ\"}"

static int64_t clock_s(void)
{
    return 1800000000;
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

static char *copy(const char *text)
{
    return memory_copy_text(slice_of(text));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double tell(const char *what, double ns[static ROUNDS])
{
    qsort(ns, ROUNDS, sizeof(ns[0]), compare);
    printf("%-34s %9.0f ns at best, %9.0f median\n", what, ns[0], ns[ROUNDS / 2]);
    return ns[0];
}

/* -- Decisions -------------------------------------------------------------------------------- */

static void add_header(struct tenant *tenant, const char *name, const char *value)
{
    struct header *header;
    tenant->headers =
        memory_resize(tenant->headers, tenant->header_count + 1, sizeof(*tenant->headers));
    header = &tenant->headers[tenant->header_count++];
    *header = (struct header){.name = copy(name)};
    header_variable_name(slice_of(name), header->variable);
    require(template_parse(slice_of(value), &header->value, NULL) == ERROR_OK);
}

static struct identity_rule *make_rule(void)
{
    struct identity_rule *rule = identity_rule_new();
    rule->from = IDENTITY_FROM_JWT;
    rule->required = true;
    rule->issuer = copy("https://id.test");
    rule->audiences[rule->audience_count++] = copy("owui");
    rule->keys = copy("keys");
    rule->algorithms = (1u << CRYPTO_ALGORITHM__MAX) - 1;
    rule->token_argument = copy("jh_authorization");
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        rule->field[i] = copy(identity_value_name((enum identity_value)i));
    return rule;
}

static struct tenant *make_tenant(const char *name, bool has_identity)
{
    struct tenant *tenant = tenant_new();
    tenant->name = copy(name);
    tenant->hosts = memory_new(sizeof(*tenant->hosts));
    tenant->hosts[0].name = memory_format("%s.example.test", name);
    tenant->host_count = 1;
    tenant->upstream.host = copy("127.0.0.1");
    tenant->upstream.port = 3000;
    require(ip_parse(SLICE("127.0.0.1"), &tenant->upstream.address));
    if (has_identity) {
        tenant->identity = make_rule();
        add_header(tenant, "X-User-Email", "{email}");
        add_header(tenant, "X-User-Name", "{name}");
        add_header(tenant, "X-User-Groups", "{groups}");
    }
    require(answer_prepare(tenant, NULL) == ERROR_OK);
    return tenant;
}

static double measure_decision(const char *what, const struct snapshot *snapshot,
                               const struct request *request)
{
    static struct decision decision;
    double ns[ROUNDS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t start_ns = clock_mono_ns();
        for (unsigned i = 0; i < DECISIONS; i++) {
            uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
            struct writer actions = writer_of(buffer, sizeof(buffer));
            decide(snapshot, request, &decision);
            require(decision.outcome == OUTCOME_FORWARD);
            require(answer_write(request, &decision, &actions));
        }
        ns[round] = (double)(clock_mono_ns() - start_ns) / DECISIONS;
    }
    return tell(what, ns);
}

static struct jwk_table *table_of(const struct maker_key *key)
{
    char name[] = "keys";
    char *text = maker_jwk_set(key, "k1", NULL);
    struct jwk_set *set = jwk_set_parse(slice_of(text), NULL);
    const struct jwk_source source = {.name = name, .set = set};
    struct jwk_table *table = jwk_table_new(&source, 1, 1);
    jwk_set_unref(set);
    free(text);
    return table;
}

static void measure_decisions(void)
{
    static struct settings settings;
    struct maker_key *key = maker_key_new(MAKER_RSA);
    char *token = maker_token(key, "RS256", NULL, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", PAYLOAD);
    struct route_registry *registry = route_registry_new();
    route_registry_put(registry, make_tenant("plain", false), NULL, NULL);
    route_registry_put(registry, make_tenant("known", true), NULL, NULL);
    struct snapshot snapshot = {.settings = &settings, .generation = 1, .keys = table_of(key)};
    snapshot.table = route_registry_build(registry, 1);
    struct request request = {.host = SLICE("plain.example.test"),
                              .path = SLICE("/api/v1/chats/"),
                              .verifier = verifier_new(clock_s, clock_mono_ns)};
    require(ip_parse(SLICE("203.0.113.7"), &request.client.peer));
    request.identity.stripped = SLICE("/x_user_email/x_user_groups/x_user_name/x_user_role/");
    request.identity.tokens[request.identity.token_count++] =
        (struct identity_token){.argument = SLICE("jh_authorization"), .text = slice_of(token)};

    double plain = measure_decision("decision, plain", &snapshot, &request);
    request.host = SLICE("known.example.test");
    double known = measure_decision("decision, token known", &snapshot, &request);
    printf("%-34s %9.2f\n", "ratio", known / plain);
    require(verifier_misses(request.verifier) == 1);
    verifier_free(request.verifier);
    jwk_table_free(snapshot.keys);
    route_table_free(snapshot.table);
    route_registry_free(registry);
    free(token);
    maker_key_free(key);
}

/* -- Verification ----------------------------------------------------------------------------- */

static void measure_verification(const char *algorithm, enum maker_kind kind)
{
    struct maker_key *key = maker_key_new(kind);
    char *header = memory_format("{\"alg\":\"%s\",\"kid\":\"k1\"}", algorithm);
    char *token = maker_token(key, algorithm, NULL, header, PAYLOAD);
    char *what = memory_format("verification, %s", algorithm);
    struct jwk_table *table = table_of(key);
    struct identity_rule *rule = make_rule();
    double ns[ROUNDS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t start_ns = clock_mono_ns();
        for (unsigned i = 0; i < VERIFICATIONS; i++) {
            struct identity identity;
            require(jwt_verify(slice_of(token), rule, jwk_table_find(table, "keys")->set, clock_s(),
                               &identity) == IDENTITY_REFUSAL_NONE);
        }
        ns[round] = (double)(clock_mono_ns() - start_ns) / VERIFICATIONS;
    }
    tell(what, ns);
    identity_rule_free(rule);
    jwk_table_free(table);
    free(what);
    free(token);
    free(header);
    maker_key_free(key);
}

int main(void)
{
    measure_decisions();
    measure_verification("RS256", MAKER_RSA);
    measure_verification("PS256", MAKER_RSA);
    measure_verification("ES256", MAKER_P256);
    measure_verification("EdDSA", MAKER_ED25519);
    return EXIT_SUCCESS;
}
