/* identity: tokens that are good, and what is tried with those that are not. */
#include "identity/jwt.h"

#include "core/memory.h"
#include "support/jwt_maker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

enum { NOW_S = 1800000000 };

#define CLAIMS(MORE)                                                                      \
    "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"iat\":1799999990,\"exp\":1800000600" \
    ",\"email\":\"Ann@Example.COM\"" MORE "}"
#define GOOD CLAIMS(",\"name\":\"Ann\",\"groups\":[\"staff\",\"r d\"],\"role\":\"user\"")

static struct identity_rule rule_for(const char *algorithm)
{
    struct identity_rule rule = {.from = IDENTITY_FROM_JWT, .leeway_s = 30, .audience_count = 1};
    enum crypto_algorithm parsed;
    static char issuer[] = "https://id.test", audience[] = "owui";
    static char names[IDENTITY_VALUE__MAX][8] = {"email", "name", "groups", "role"};
    rule.issuer = issuer;
    rule.audiences[0] = audience;
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        rule.field[i] = names[i];
    rule.algorithms = (1u << CRYPTO_ALGORITHM__MAX) - 1;
    if (algorithm != NULL) {
        cr_assert(crypto_algorithm_parse(slice_of(algorithm), &parsed));
        rule.algorithms = 1u << parsed;
    }
    return rule;
}

static struct jwk_set *set_of(const struct maker_key *key, const char *kid, const char *more)
{
    struct error_text why = {""};
    char *text = maker_jwk_set(key, kid, more);
    struct jwk_set *set = jwk_set_parse(slice_of(text), &why);
    cr_assert(ne(ptr, set, NULL), "%s: %s", text, why.text);
    free(text);
    return set;
}

static const char *verify(const char *token, const struct identity_rule *rule,
                          const struct jwk_set *keys, struct identity *identity)
{
    return identity_refusal_name(jwt_verify(slice_of(token), rule, keys, NOW_S, identity));
}

static const struct {
    const char *algorithm;
    enum maker_kind kind;
} ALGORITHMS[] = {
    {"RS256", MAKER_RSA},  {"RS384", MAKER_RSA},     {"RS512", MAKER_RSA},  {"PS256", MAKER_RSA},
    {"PS384", MAKER_RSA},  {"PS512", MAKER_RSA},     {"ES256", MAKER_P256}, {"ES384", MAKER_P384},
    {"ES512", MAKER_P521}, {"EdDSA", MAKER_ED25519},
};
static_assert(COUNT_OF(ALGORITHMS) == CRYPTO_ALGORITHM__MAX, "an algorithm is not tested");

static char *header_of(const char *algorithm)
{
    return memory_format("{\"alg\":\"%s\",\"kid\":\"k1\",\"typ\":\"JWT\"}", algorithm);
}

/* Each algorithm is good with its own kind of key, with no other kind, with no other algorithm's
 * name, and not after any byte was changed. */
Test(jwt, algorithms)
{
    struct maker_key *keys[MAKER__MAX];
    struct jwk_set *sets[MAKER__MAX];
    struct identity identity;
    for (int i = 0; i < MAKER__MAX; i++) {
        keys[i] = maker_key_new((enum maker_kind)i);
        sets[i] = set_of(keys[i], "k1", NULL);
    }
    for (size_t i = 0; i < COUNT_OF(ALGORITHMS); i++) {
        const char *algorithm = ALGORITHMS[i].algorithm;
        const struct identity_rule all = rule_for(NULL), only = rule_for(algorithm);
        char *header = header_of(algorithm);
        char *token = maker_token(keys[ALGORITHMS[i].kind], algorithm, NULL, header, GOOD);
        cr_expect_str_eq(verify(token, &only, sets[ALGORITHMS[i].kind], &identity), "none", "%s",
                         algorithm);
        for (int kind = 0; kind < MAKER__MAX; kind++)
            if (kind != (int)ALGORITHMS[i].kind)
                cr_expect_str_eq(verify(token, &all, sets[kind], &identity), "key-of-another-kind");
        for (size_t j = 0; j < COUNT_OF(ALGORITHMS); j++) {
            if (j == i)
                continue;
            char *other_header = header_of(ALGORITHMS[j].algorithm);
            char *lie = maker_token(keys[ALGORITHMS[i].kind], algorithm, NULL, other_header, GOOD);
            const char *said = verify(lie, &all, sets[ALGORITHMS[i].kind], &identity);
            cr_expect(strcmp(said, "signature-invalid") == 0 ||
                          strcmp(said, "key-of-another-kind") == 0,
                      "%s as %s: %s", algorithm, ALGORITHMS[j].algorithm, said);
            cr_expect_str_eq(verify(lie, &only, sets[ALGORITHMS[i].kind], &identity),
                             "algorithm-not-allowed");
            free(lie);
            free(other_header);
        }
        size_t size = strlen(token);
        for (size_t at = strlen(header) * 4 / 3 + 8; at < size; at += 7) {
            char before = token[at];
            token[at] = before == 'A' ? 'B' : 'A';
            cr_expect_str_neq(verify(token, &only, sets[ALGORITHMS[i].kind], &identity), "none",
                              "%s, byte %zu", algorithm, at);
            token[at] = before;
        }
        free(token);
        free(header);
    }
    for (int i = 0; i < MAKER__MAX; i++) {
        jwk_set_unref(sets[i]);
        maker_key_free(keys[i]);
    }
}

Test(jwt, what_it_says_of_the_user)
{
    struct maker_key *key = maker_key_new(MAKER_P256);
    struct jwk_set *set = set_of(key, NULL, NULL);
    const struct identity_rule rule = rule_for("ES256");
    struct identity identity;
    char *token = maker_token(
        key, "ES256", NULL, "{\"alg\":\"ES256\"}",
        CLAIMS(",\"name\":\" J\\u00f6rg, 100% \",\"groups\":[\"B\\u00fcro\",\"r\\u00a0d\","
               "\"\\u0142\\u00f3\"],\"role\":\"admin\",\"email_verified\":true"));
    cr_assert_str_eq(verify(token, &rule, set, &identity), "none");
    static const char *const EXPECTED[] = {"ann@example.com", "J%C3%B6rg%2C 100%25",
                                           "B\xfcro,r\xa0"
                                           "d,\xc5\x82\xc3\xb3",
                                           "admin"};
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        cr_expect(slice_equal(identity_text(&identity, i), slice_of(EXPECTED[i])), "%s: %.*s",
                  EXPECTED[i], SLICE_PRINT(identity_text(&identity, i)));
    cr_expect(eq(i64, identity.good_until_s, 1800000630));
    free(token);
    jwk_set_unref(set);
    maker_key_free(key);
}

/* Other services' claims are no reason to know nobody. */
Test(jwt, what_nobody_is_told_may_be_anything)
{
    static const char *const CLAIM[IDENTITY_VALUE__MAX] = {
        [IDENTITY_NAME] = CLAIMS(",\"name\":{\"first\":\"Ann\"}"),
        [IDENTITY_GROUPS] = CLAIMS(",\"groups\":[{\"id\":7}]"),
        [IDENTITY_ROLE] = CLAIMS(",\"role\":\"of-another-service\""),
    };
    struct maker_key *key = maker_key_new(MAKER_P256);
    struct jwk_set *set = set_of(key, NULL, NULL);
    struct identity_rule rule = rule_for("ES256");
    struct identity identity;
    for (unsigned i = IDENTITY_NAME; i < IDENTITY_VALUE__MAX; i++) {
        char *token = maker_token(key, "ES256", NULL, "{\"alg\":\"ES256\"}", CLAIM[i]);
        rule.unread = ~(1u << i);
        cr_expect_str_eq(verify(token, &rule, set, &identity), "value-unfit", "%s", CLAIM[i]);
        rule.unread = 1u << i;
        cr_expect_str_eq(verify(token, &rule, set, &identity), "none", "%s", CLAIM[i]);
        cr_expect(eq(int, identity.size[i], 0));
        free(token);
    }
    jwk_set_unref(set);
    maker_key_free(key);
}

/* -- The attack list: what comes with a good signature, and must be refused all the same -- */

static const struct {
    const char *header;
    const char *payload;
    const char *refusal;
} SIGNED[] = {
    {"{\"alg\":\"ES256\",\"kid\":\"k1\"}", GOOD, "none"},
    {"{\"alg\":\"ES256\"}", GOOD, "none"},
    {"{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}", GOOD, "none"},
    /* the key id */
    {"{\"alg\":\"ES256\",\"kid\":\"k2\"}", GOOD, "unknown-key"},
    {"{\"alg\":\"ES256\",\"kid\":\"../../dev/null\"}", GOOD, "unknown-key"},
    {"{\"alg\":\"ES256\",\"kid\":\"k1' OR '1'='1\"}", GOOD, "unknown-key"},
    {"{\"alg\":\"ES256\",\"kid\":\"\"}", GOOD, "unknown-key"},
    {"{\"alg\":\"ES256\",\"kid\":7}", GOOD, "token-header-invalid"},
    {"{\"alg\":\"ES256\",\"kid\":\"k1\",\"kid\":\"k1\"}", GOOD, "token-header-invalid"},
    {"{\"alg\":\"ES256\",\"kid\":\"k1\\u0000\"}", GOOD, "token-header-invalid"},
    /* keys that it brings along are not looked at */
    {"{\"alg\":\"ES256\",\"kid\":\"k2\",\"jku\":\"https://evil.test/jwks\"}", GOOD, "unknown-key"},
    {"{\"alg\":\"ES256\",\"kid\":\"k2\",\"x5u\":\"https://evil.test/c\",\"x5c\":[\"AA\"]}", GOOD,
     "unknown-key"},
    /* algorithms */
    {"{\"alg\":\"none\",\"kid\":\"k1\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"None\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"NONE\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"nOnE\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"es256\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"ES256K\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"HS256\",\"kid\":\"k1\"}", GOOD, "algorithm-not-allowed"},
    {"{\"alg\":\"RS256\",\"kid\":\"k1\"}", GOOD, "key-of-another-kind"},
    {"{\"alg\":\"EdDSA\",\"kid\":\"k1\"}", GOOD, "key-of-another-kind"},
    {"{\"kid\":\"k1\"}", GOOD, "token-header-invalid"},
    {"{\"alg\":[\"ES256\"]}", GOOD, "token-header-invalid"},
    {"{\"alg\":null}", GOOD, "token-header-invalid"},
    {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", GOOD, "token-header-invalid"},
    {"{\"alg\":\"ES256\",\"al\\u0067\":\"none\"}", GOOD, "token-header-invalid"},
    {"[\"ES256\"]", GOOD, "token-header-invalid"},
    {"{\"alg\":\"ES256\"} ", GOOD, "none"},
    {"{\"alg\":\"ES256\"}x", GOOD, "token-header-invalid"},
    {"{\"alg\":\"ES256\"", GOOD, "token-header-invalid"},
    /* extensions, and what is more than one signed set of claims */
    {"{\"alg\":\"ES256\",\"crit\":[\"exp\"],\"exp\":1}", GOOD, "critical-extension"},
    {"{\"alg\":\"ES256\",\"crit\":[]}", GOOD, "critical-extension"},
    {"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", GOOD, "critical-extension"},
    {"{\"alg\":\"ES256\",\"b64\":false}", GOOD, "critical-extension"},
    {"{\"alg\":\"ES256\",\"enc\":\"A128GCM\"}", GOOD, "token-type"},
    {"{\"alg\":\"ES256\",\"zip\":\"DEF\"}", GOOD, "token-type"},
    {"{\"alg\":\"ES256\",\"cty\":\"JWT\"}", "eyJhbGciOiJub25lIn0.e30.", "token-type"},
    {"{\"alg\":\"ES256\",\"typ\":\"logout+jwt\"}", GOOD, "token-type"},
    {"{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\"}", GOOD, "token-type"},
    {"{\"alg\":\"ES256\",\"typ\":7}", GOOD, "token-type"},
    {"{\"alg\":\"ES256\"}", "eyJhbGciOiJub25lIn0.e30.", "claims-invalid"},
    /* claims */
    {"{\"alg\":\"ES256\"}", "", "not-a-token"},
    {"{\"alg\":\"ES256\"}", "[]", "claims-invalid"},
    {"{\"alg\":\"ES256\"}", "null", "claims-invalid"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"email\":\"root@example.com\""), "claims-invalid"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"iss\":\"https://id.test\""), "claims-invalid"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"x\":18446744073709551616"), "none"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"x\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"),
     "claims-invalid"},
    {"{\"alg\":\"ES256\"}", "{\"aud\":\"owui\",\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "issuer-wrong"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test/\",\"aud\":\"owui\",\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "issuer-wrong"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":[\"https://id.test\"],\"aud\":\"owui\",\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "issuer-wrong"},
    {"{\"alg\":\"ES256\"}", "{\"iss\":\"https://id.test\",\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "audience-wrong"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"other\",\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "audience-wrong"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":[],\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "audience-wrong"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":{\"owui\":1},\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "audience-wrong"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://"
     "id.test\",\"aud\":[\"x\",\"owui\"],\"exp\":1800000600,\"email\":\"a@b.c\"}",
     "none"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1799999970,\"email\":\"a@b.c\"}",
     "expired"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1799999971,\"email\":\"a@b.c\"}",
     "none"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1800000600.5,\"email\":\"a@b.c\"}",
     "none"},
    {"{\"alg\":\"ES256\"}", "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"email\":\"a@b.c\"}",
     "claims-invalid"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":\"1800000600\",\"email\":\"a@b.c\"}",
     "claims-invalid"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1e300,\"email\":\"a@b.c\"}",
     "claims-invalid"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":-1,\"email\":\"a@b.c\"}",
     "claims-invalid"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"nbf\":1800000030"), "none"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"nbf\":1800000031"), "not-yet-valid"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"nbf\":\"soon\""), "claims-invalid"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"iat\":1800000031,\"exp\":1800000600,"
     "\"email\":\"a@b.c\"}",
     "not-yet-valid"},
    /* who it is */
    {"{\"alg\":\"ES256\"}", "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1800000600}",
     "email-missing"},
    {"{\"alg\":\"ES256\"}",
     "{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1800000600,"
     "\"email\":\"aZ09.+_-@aZ09-b.c\"}",
     "none"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"email_verified\":false"), "email-unverified"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"email_verified\":\"false\""), "email-unverified"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"email_verified\":\"true\""), "none"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":[\"a,admin\"]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":[\"a\\r\\nX-Role: admin\"]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":[\" admin\"]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":[\"a\",\"admin \"]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":[\"admin\\u00a0\"]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":[\"\\u00a0admin\"]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":[1]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":{\"a\":1}"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"groups\":null,\"name\":null,\"role\":null"), "none"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"role\":\"admin\\r\\n\""), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"role\":[\"admin\"]"), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"role\":\"\""), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"role\":\"twelve_bytes\""), "none"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"role\":\"administrator\""), "value-unfit"},
    {"{\"alg\":\"ES256\"}", CLAIMS(",\"name\":\"a\\nb\""), "value-unfit"},
};

Test(jwt, attacks_with_a_good_signature)
{
    struct maker_key *key = maker_key_new(MAKER_P256);
    struct jwk_set *set = set_of(key, "k1", NULL);
    const struct identity_rule rule = rule_for(NULL);
    for (size_t i = 0; i < COUNT_OF(SIGNED); i++) {
        struct identity identity;
        char *token = maker_token(key, "ES256", NULL, SIGNED[i].header, SIGNED[i].payload);
        cr_expect_str_eq(verify(token, &rule, set, &identity), SIGNED[i].refusal, "%zu: %s %s", i,
                         SIGNED[i].header, SIGNED[i].payload);
        free(token);
    }
    jwk_set_unref(set);
    maker_key_free(key);
}

/* -- Claims within others -- */

static const struct {
    const char *path; /* of the groups */
    const char *claims;
    const char *refusal;
    const char *groups;
} DEEP[] = {
    /* Keycloak's, and what a dotted name is */
    {"realm_access\nroles", "\"realm_access\":{\"roles\":[\"a\",\"b\"]}", "none", "a,b"},
    {"resource_access\nmy.client\nroles",
     "\"resource_access\":{\"my\":{\"client\":{\"roles\":[\"no\"]}},\"account\":{\"roles\":[\"no\"]"
     "},"
     "\"my.client\":{\"roles\":[\"yes\"]}}",
     "none", "yes"},
    {"https://e.test/roles",
     "\"https://e\":{\"test/roles\":\"no\"},\"https://e.test/roles\":\"yes\"", "none", "yes"},
    {"a\nb\nc\nd\ne\nf\ng\nh",
     "\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":\"deep\"}}}}}}}", "none", "deep"},
    /* what is not there is none: not what has the name elsewhere */
    {"realm_access\nroles", "\"roles\":[\"admin\"]", "none", ""},
    {"realm_access\nroles", "\"realm_access.roles\":[\"admin\"]", "none", ""},
    {"realm_access\nroles", "\"realm_access\":{\"Roles\":[\"admin\"]}", "none", ""},
    {"realm_access\nroles", "\"realm_access\":{\"x\":{\"roles\":[\"admin\"]}}", "none", ""},
    {"realm_access\nroles", "\"realm_access\":{\"roles\":null}", "none", ""},
    {"realm_access\nroles", "\"realm_access\":null", "none", ""},
    {"realm_access\nroles", "\"realm_access\":{}", "none", ""},
    {"realm_access\nroles", "\"realm_access\":{\"roles\":[]}", "none", ""},
    /* a way through what is no object */
    {"realm_access\nroles", "\"realm_access\":[{\"roles\":[\"admin\"]}]", "value-unfit", ""},
    {"realm_access\n0", "\"realm_access\":[\"admin\"]", "value-unfit", ""},
    {"realm_access\nroles", "\"realm_access\":\"{\\\"roles\\\":\\\"admin\\\"}\"", "value-unfit",
     ""},
    {"realm_access\nroles", "\"realm_access\":\"\"", "value-unfit", ""},
    {"realm_access\nroles", "\"realm_access\":1", "value-unfit", ""},
    {"realm_access\nroles", "\"realm_access\":true", "value-unfit", ""},
    {"a\nb\nc", "\"a\":{\"b\":[{\"c\":\"admin\"}]}", "value-unfit", ""},
    /* an end that is no groups */
    {"realm_access", "\"realm_access\":{\"roles\":[\"admin\"]}", "value-unfit", ""},
    {"realm_access\nroles", "\"realm_access\":{\"roles\":{\"admin\":true}}", "value-unfit", ""},
    {"realm_access\nroles", "\"realm_access\":{\"roles\":[[\"admin\"]]}", "value-unfit", ""},
    /* twice, wherever that is */
    {"realm_access\nroles", "\"realm_access\":{\"roles\":[\"a\"],\"roles\":[\"admin\"]}",
     "claims-invalid", ""},
    {"realm_access\nroles", "\"realm_access\":{},\"realm_access\":{\"roles\":[\"admin\"]}",
     "claims-invalid", ""},
    {"realm_access\nroles",
     "\"realm_access\":{\"roles\":[\"a\"],\"x\":{\"y\":[{\"z\":1,\"z\":2}]}}", "claims-invalid",
     ""},
    {"realm_access\nroles", "\"realm_access\":{\"roles\":[\"a\"],\"\\u0072oles\":[\"admin\"]}",
     "claims-invalid", ""},
    {"realm_access\nroles", "\"realm_access\":{\"roles\\u0000\":[\"admin\"]}", "claims-invalid",
     ""},
    {"realm_access\nroles",
     "\"realm_access\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
     "\"a\":{\"a\":"
     "{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}}}}}}},\"roles\":[\"a\"]}",
     "claims-invalid", ""},
};

Test(jwt, claims_within_others)
{
    struct maker_key *key = maker_key_new(MAKER_ED25519);
    struct jwk_set *set = set_of(key, "k1", NULL);
    for (size_t i = 0; i < COUNT_OF(DEEP); i++) {
        struct identity_rule rule = rule_for(NULL);
        struct identity identity;
        char *path = memory_copy_text(slice_of(DEEP[i].path));
        char *payload = memory_format("{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":"
                                      "1800000600,\"email\":\"a@b.test\",%s}",
                                      DEEP[i].claims);
        rule.field[IDENTITY_GROUPS] = path;
        char *token = maker_token(key, "EdDSA", NULL, "{\"alg\":\"EdDSA\"}", payload);
        cr_expect_str_eq(verify(token, &rule, set, &identity), DEEP[i].refusal, "%s", payload);
        if (strcmp(DEEP[i].refusal, "none") == 0)
            cr_expect(
                slice_equal(identity_text(&identity, IDENTITY_GROUPS), slice_of(DEEP[i].groups)),
                "%s: %.*s", payload, SLICE_PRINT(identity_text(&identity, IDENTITY_GROUPS)));
        free(token);
        free(payload);
        free(path);
    }
    jwk_set_unref(set);
    maker_key_free(key);
}

static const struct {
    const char *claims;
    const char *refusal;
} DEEP_EMAILS[] = {
    {"\"user\":{\"email\":\"a@b.test\"}", "none"},
    {"\"user\":{\"email\":\"a@b.test\",\"email_verified\":true}", "none"},
    {"\"user\":{\"email\":\"a@b.test\"},\"email_verified\":true", "none"},
    {"\"user\":{\"email\":\"a@b.test\",\"email_verified\":false}", "email-unverified"},
    {"\"user\":{\"email\":\"a@b.test\",\"email_verified\":false},\"email_verified\":true",
     "email-unverified"},
    {"\"user\":{\"email\":\"a@b.test\",\"email_verified\":true},\"email_verified\":false",
     "email-unverified"},
    {"\"user\":[{\"email\":\"a@b.test\"}]", "email-missing"},
    {"\"user\":\"a@b.test\"", "email-missing"},
    {"\"user\":{\"email\":{\"email\":\"a@b.test\"}}", "email-missing"},
    {"\"user\":{}", "email-missing"},
    {"\"email\":\"a@b.test\"", "email-missing"},
};

Test(jwt, an_address_within_another_claim)
{
    static char path[] = "user\nemail";
    struct maker_key *key = maker_key_new(MAKER_ED25519);
    struct jwk_set *set = set_of(key, "k1", NULL);
    struct identity_rule rule = rule_for(NULL);
    rule.field[IDENTITY_EMAIL] = path;
    for (size_t i = 0; i < COUNT_OF(DEEP_EMAILS); i++) {
        struct identity identity;
        char *payload =
            memory_format("{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":1800000600,%s}",
                          DEEP_EMAILS[i].claims);
        char *token = maker_token(key, "EdDSA", NULL, "{\"alg\":\"EdDSA\"}", payload);
        cr_expect_str_eq(verify(token, &rule, set, &identity), DEEP_EMAILS[i].refusal, "%s",
                         payload);
        free(token);
        free(payload);
    }
    jwk_set_unref(set);
    maker_key_free(key);
}

static const char *const BAD_EMAILS[] = {
    "",
    "a",
    "@b.c",
    "a@",
    "a@b@c",
    "a:b@c.d",
    "a b@c.d",
    "a@b c",
    "a@b.c\\r\\n",
    "a@b.c, d@e.f",
    "\\\"a\\\"@b.c",
    "a@b.c\\u0000",
    "\\u00e4@b.c",
    "a@b_c",
    "a<b>@c.d",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aa"
    "@b.cd",
};

Test(jwt, addresses_that_no_header_may_hold)
{
    struct maker_key *key = maker_key_new(MAKER_P256);
    struct jwk_set *set = set_of(key, "k1", NULL);
    const struct identity_rule rule = rule_for(NULL);
    for (size_t i = 0; i < COUNT_OF(BAD_EMAILS); i++) {
        struct identity identity;
        char *payload = memory_format("{\"iss\":\"https://id.test\",\"aud\":\"owui\",\"exp\":"
                                      "1800000600,\"email\":\"%s\"}",
                                      BAD_EMAILS[i]);
        char *token = maker_token(key, "ES256", NULL, "{\"alg\":\"ES256\"}", payload);
        const char *said = verify(token, &rule, set, &identity);
        cr_expect(strcmp(said, "email-missing") == 0 || strcmp(said, "claims-invalid") == 0,
                  "%s: %s", BAD_EMAILS[i], said);
        free(token);
        free(payload);
    }
    jwk_set_unref(set);
    maker_key_free(key);
}

/* -- What is signed by somebody else, or not at all -- */

Test(jwt, public_key_as_a_secret)
{
    struct maker_key *key = maker_key_new(MAKER_RSA);
    struct jwk_set *set = set_of(key, "k1", NULL);
    const struct identity_rule rule = rule_for(NULL);
    struct identity identity;
    char *pem = maker_public_pem(key);
    char *jwk = maker_jwk(key, "k1", NULL);
    const char *const secrets[] = {pem, jwk, ""};
    for (size_t i = 0; i < COUNT_OF(secrets); i++) {
        char *token =
            maker_token(NULL, "HS256", secrets[i], "{\"alg\":\"HS256\",\"kid\":\"k1\"}", GOOD);
        cr_expect_str_eq(verify(token, &rule, set, &identity), "algorithm-not-allowed");
        char *lie =
            maker_token(NULL, "HS256", secrets[i], "{\"alg\":\"RS256\",\"kid\":\"k1\"}", GOOD);
        cr_expect_str_eq(verify(lie, &rule, set, &identity), "signature-invalid");
        free(lie);
        free(token);
    }
    free(jwk);
    free(pem);
    jwk_set_unref(set);
    maker_key_free(key);
}

Test(jwt, somebody_elses_key)
{
    struct maker_key *key = maker_key_new(MAKER_P256), *other = maker_key_new(MAKER_P256);
    struct jwk_set *set = set_of(key, "k1", NULL);
    const struct identity_rule rule = rule_for(NULL);
    struct identity identity;
    char *jwk = maker_jwk(other, "k1", NULL);
    char *header = memory_format("{\"alg\":\"ES256\",\"kid\":\"k1\",\"jwk\":%s}", jwk);
    char *token = maker_token(other, "ES256", NULL, header, GOOD);
    cr_expect_str_eq(verify(token, &rule, set, &identity), "signature-invalid");
    cr_expect_str_eq(verify(token, &rule, NULL, &identity), "no-keys");
    free(token);
    /* One that is told by no name may be the issuer's next: it is asked for its keys again. */
    token = maker_token(other, "ES256", NULL, "{\"alg\":\"ES256\"}", GOOD);
    cr_expect_str_eq(verify(token, &rule, set, &identity), "unknown-key");
    free(token);
    free(header);
    free(jwk);
    jwk_set_unref(set);
    maker_key_free(key);
    maker_key_free(other);
}

static void expect_form(const struct jwk_set *set, const char *text, const char *refusal)
{
    const struct identity_rule rule = rule_for(NULL);
    struct identity identity;
    cr_expect_str_eq(verify(text, &rule, set, &identity), refusal, "%.80s", text);
}

Test(jwt, forms)
{
    struct maker_key *key = maker_key_new(MAKER_P256);
    struct jwk_set *set = set_of(key, "k1", NULL);
    char *token = maker_token(key, "ES256", NULL, "{\"alg\":\"ES256\"}", GOOD);
    char *unsigned_token = maker_token(key, "none", NULL, "{\"alg\":\"ES256\"}", GOOD);
    char *padded = memory_format("%s=", token);
    char *five = memory_format("%s.AAAA.AAAA", token);
    char *stuffed = memory_format("%s\r\nX: 1", token);
    char zero_pair[200];
    static char huge[JWT_MAX_BYTES + 2];

    expect_form(set, token, "none");
    expect_form(set, "", "not-a-token");
    expect_form(set, "sk-0123456789abcdef0123456789abcdef", "not-a-token");
    expect_form(set, "..", "not-a-token");
    expect_form(set, "a.b", "not-a-token");
    expect_form(set, "Basic YTpi", "not-a-token");
    expect_form(set, unsigned_token, "unknown-key");
    expect_form(set, padded, "not-a-token");
    expect_form(set, five, "not-a-token");
    expect_form(set, stuffed, "not-a-token");
    /* r = s = 0: what some verifiers once took for anything (CVE-2022-21449) */
    int at = (int)(strrchr(token, '.') - token);
    memset(zero_pair, 'A', 86);
    zero_pair[86] = '\0';
    char *psychic = memory_format("%.*s.%s", at, token, zero_pair);
    expect_form(set, psychic, "unknown-key");
    memset(huge, 'a', JWT_MAX_BYTES + 1);
    expect_form(set, huge, "token-too-big");
    for (size_t size = 0; size < strlen(token); size++) {
        char *cut = memory_format("%.*s", (int)size, token);
        struct identity identity;
        const struct identity_rule rule = rule_for(NULL);
        cr_expect_str_neq(verify(cut, &rule, set, &identity), "none");
        free(cut);
    }
    free(psychic);
    free(stuffed);
    free(five);
    free(padded);
    free(unsigned_token);
    free(token);
    jwk_set_unref(set);
    maker_key_free(key);
}

/* -- Sets of keys -- */

static const struct {
    const char *text;
    const char *why; /* a part of it */
} BAD_SETS[] = {
    {"", ""},
    {"[]", "no key"},
    {"{}", "no key"},
    {"{\"keys\":{}}", "no key"},
    {"{\"keys\":[]}", "no key"},
    {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}]}", "not for signatures"},
    {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "not an RSA"},
    {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "2048"},
    {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}", "base64url"},
    {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}", "P-256"},
    {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
     "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
     "P-256"},
    {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}", "not an"},
    {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", "Ed25519"},
    {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAA\"}]}", "not an"},
    {"{\"keys\":[],\"keys\":[]}", "duplicate"},
};

Test(jwk_set, that_are_refused)
{
    for (size_t i = 0; i < COUNT_OF(BAD_SETS); i++) {
        struct error_text why = {""};
        cr_expect_null(jwk_set_parse(slice_of(BAD_SETS[i].text), &why), "%s", BAD_SETS[i].text);
        cr_expect(strstr(why.text, BAD_SETS[i].why) != NULL, "%s: %s", BAD_SETS[i].text, why.text);
    }
}

/* As some libraries write a number whose first bit is set (RFC 7518 6.3.1.1). */
Test(jwk_set, a_zero_octet_in_front_of_the_largest_modulus)
{
    static const struct {
        const char *begin; /* the first three octets of 513 */
        bool is_usable;
    } ROWS[] = {{"AP__", true}, {"Af__", false}};
    char rest[681];
    memset(rest, '_', 680);
    rest[680] = '\0';
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *text = memory_format("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s%s\",\"e\":\"AQAB\"}]}",
                                   ROWS[i].begin, rest);
        struct error_text why = {""};
        struct jwk_set *set = jwk_set_parse(slice_of(text), &why);
        cr_expect(eq(int, set != NULL, ROWS[i].is_usable), "%s: %s", ROWS[i].begin, why.text);
        jwk_set_unref(set);
        free(text);
    }
}

Test(jwk_set, keys_for_other_uses)
{
    static const struct {
        const char *more;
        bool is_usable;
    } ROWS[] = {
        {",\"use\":\"sig\"", true},
        {",\"use\":\"enc\"", false},
        {",\"use\":7", false},
        {",\"key_ops\":[\"verify\"]", true},
        {",\"key_ops\":[\"encrypt\"]", false},
        {",\"alg\":\"ES256\"", true},
        {",\"alg\":\"ES384\"", false},
        {",\"alg\":\"RS256\"", false},
        {",\"alg\":\"HS256\"", false},
    };
    struct maker_key *key = maker_key_new(MAKER_P256);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *text = maker_jwk_set(key, "k", ROWS[i].more);
        struct jwk_set *set = jwk_set_parse(slice_of(text), NULL);
        cr_expect(eq(int, set != NULL, ROWS[i].is_usable), "%s", ROWS[i].more);
        jwk_set_unref(set);
        free(text);
    }
    maker_key_free(key);
}

/* A key without a name is tried for tokens of every name. */
Test(jwk_set, a_name_that_cannot_be_kept_makes_no_key_without_one)
{
    struct maker_key *key = maker_key_new(MAKER_P256);
    char kid[JWK_KID_MAX_BYTES + 2];
    memset(kid, 'k', sizeof(kid));
    for (size_t size = JWK_KID_MAX_BYTES; size <= JWK_KID_MAX_BYTES + 1; size++) {
        kid[size] = '\0';
        char *text = maker_jwk_set(key, kid, NULL);
        kid[size] = 'k';
        struct jwk_set *set = jwk_set_parse(slice_of(text), NULL);
        cr_expect(eq(int, set != NULL, size <= JWK_KID_MAX_BYTES), "%zu bytes", size);
        jwk_set_unref(set);
        free(text);
    }
    char *text = maker_jwk_set(key, NULL, ",\"kid\":7");
    cr_expect_null(jwk_set_parse(slice_of(text), NULL));
    free(text);
    maker_key_free(key);
}

/* A key that says what it is for is for nothing else. */
Test(jwk_set, pinned_algorithm)
{
    struct maker_key *key = maker_key_new(MAKER_RSA);
    struct jwk_set *set = set_of(key, "k1", ",\"alg\":\"PS256\"");
    const struct identity_rule rule = rule_for(NULL);
    struct identity identity;
    char *token = maker_token(key, "RS256", NULL, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", GOOD);
    cr_expect_str_eq(verify(token, &rule, set, &identity), "key-of-another-kind");
    free(token);
    jwk_set_unref(set);
    maker_key_free(key);
}
