/* Tokens, sets of keys and certificates from strangers.
 *
 * The first line of the input is a token, the rest a set of keys (an empty rest: a set that is
 * always the same). Nothing but what the issuer signed may be believed, and what is believed must
 * be fit for a header. An input that begins with "{" is claims, which the issuer signs: few tokens
 * that were made by chance get beyond the signature.
 */
#include "core/memory.h"
#include "crypto/client_certificate.h"
#include "fuzz/fuzz.h"
#include "identity/jwt.h"
#include "support/jwt_maker.h"

#include <stdlib.h>

enum { NOW_S = 1800000000 };

/* RFC 8037 A.2: a key whose private half everybody knows, so that mutated tokens can be good. */
static const char KEYS[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k1\","
                           "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static struct identity_rule *make_rule(void)
{
    struct identity_rule *rule = identity_rule_new();
    rule->from = IDENTITY_FROM_JWT;
    rule->issuer = memory_copy_text(SLICE("https://id.test"));
    rule->audiences[rule->audience_count++] = memory_copy_text(SLICE("owui"));
    rule->algorithms = (1u << CRYPTO_ALGORITHM__MAX) - 1;
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        rule->field[i] = memory_copy_text(slice_of(identity_value_name((enum identity_value)i)));
    return rule;
}

/* One whose values are within other claims. */
static struct identity_rule *make_deep_rule(void)
{
    struct identity_rule *rule = make_rule();
    free(rule->field[IDENTITY_EMAIL]);
    rule->field[IDENTITY_EMAIL] = memory_copy_text(SLICE("user\nemail"));
    free(rule->field[IDENTITY_GROUPS]);
    rule->field[IDENTITY_GROUPS] = memory_copy_text(SLICE("resource_access\nopen.webui\nroles"));
    return rule;
}

static void require_fit(const struct identity *identity)
{
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++) {
        struct slice text = identity_text(identity, (enum identity_value)i);
        FUZZ_REQUIRE(text.size <= identity_value_max_bytes((enum identity_value)i));
        for (size_t k = 0; k < text.size; k++)
            FUZZ_REQUIRE((uint8_t)text.data[k] >= 0x20 && text.data[k] != 0x7f);
    }
}

static void verify(struct slice token, const struct identity_rule *rule, const struct jwk_set *keys)
{
    struct identity identity;
    enum identity_refusal refusal = jwt_verify(token, rule, keys, NOW_S, &identity);
    FUZZ_REQUIRE(refusal < IDENTITY_REFUSAL__MAX);
    if (refusal != IDENTITY_REFUSAL_NONE)
        return;
    require_fit(&identity);
    FUZZ_REQUIRE(identity.size[IDENTITY_EMAIL] > 0);
    FUZZ_REQUIRE(identity.good_until_s > NOW_S);
    FUZZ_REQUIRE(keys != NULL);
}

/* Claims as an issuer may have signed them. */
static void verify_signed(struct slice claims, const struct identity_rule *rule)
{
    static struct maker_key *key;
    static struct jwk_set *keys;
    if (key == NULL) {
        key = maker_key_new(MAKER_ED25519);
        char *text = maker_jwk_set(key, "k", NULL);
        keys = jwk_set_parse(slice_of(text), NULL);
        FUZZ_REQUIRE(keys != NULL);
        free(text);
    }
    char *payload = memory_copy_text(claims);
    char *token = maker_token(key, "EdDSA", NULL, "{\"alg\":\"EdDSA\",\"kid\":\"k\"}", payload);
    verify(slice_of(token), rule, keys);
    free(token);
    free(payload);
}

static void read_certificate(struct slice der)
{
    struct crypto_client_certificate certificate;
    if (crypto_client_certificate_read(der, &certificate, NULL) != ERROR_OK)
        return;
    for (unsigned i = 0; i < CRYPTO_FIELD__MAX; i++)
        for (const char *p = certificate.text[i]; *p != '\0'; p++)
            FUZZ_REQUIRE((uint8_t)*p >= 0x20 && *p != 0x7f);
    FUZZ_REQUIRE(!crypto_client_certificate_is_from(der, SLICE("")));
}

/* The values alone, of which a token can hold any. */
static void set_values(struct slice text)
{
    struct identity identity = {.good_until_s = 0};
    bool has_email = identity_set_email(&identity, text);
    bool has_name = identity_set_name(&identity, text);
    bool has_role = identity_set_role(&identity, text);
    for (int i = 0; i < 4; i++)
        if (!identity_add_group(&identity, text))
            break;
    FUZZ_REQUIRE(has_email == (identity.size[IDENTITY_EMAIL] > 0));
    FUZZ_REQUIRE(has_name || identity.size[IDENTITY_NAME] == 0);
    FUZZ_REQUIRE(has_role == (identity.size[IDENTITY_ROLE] > 0));
    require_fit(&identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct identity_rule *rule, *deep;
    static struct jwk_set *usual;
    if (rule == NULL) {
        rule = make_rule();
        deep = make_deep_rule();
        usual = jwk_set_parse(slice_of(KEYS), NULL);
        FUZZ_REQUIRE(usual != NULL);
    }
    struct slice input = slice_from(data, size);
    if (slice_starts_with(input, SLICE("{"))) {
        verify_signed(input, rule);
        verify_signed(input, deep);
        return 0;
    }
    const char *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    struct slice token =
        newline != NULL ? slice_head(input, (size_t)(newline - input.data)) : input;
    struct jwk_set *keys =
        newline != NULL ? jwk_set_parse(slice_skip(input, token.size + 1), NULL) : NULL;
    verify(token, rule, usual);
    verify(token, rule, keys);
    read_certificate(input);
    set_values(token);
    jwk_set_unref(keys);
    return 0;
}
