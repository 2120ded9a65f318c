/* identity: what is remembered, and for how long. */
#include "identity/verifier.h"

#include "allocations.h"
#include "core/memory.h"
#include "crypto/client_certificate.h"
#include "crypto/crypto.h"
#include "support/jwt_maker.h"
#include "support/vector.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static int64_t now_s = 1800000000;

static int64_t clock_s(void)
{
    return now_s;
}

/* What passes between two looks at the clock: a verification takes so long, whatever it takes. */
static int64_t now_ns, step_ns;

static int64_t clock_ns(void)
{
    return now_ns += step_ns;
}

struct fixture {
    struct maker_key *key;
    struct identity_rule *rule;
    struct jwk_table *table;
    struct verifier *verifier;
    char *token;
    struct identity_question question;
};

static char *copy(const char *text)
{
    return memory_copy_text(slice_of(text));
}

static struct jwk_table *table_of(const struct maker_key *key, const char *kid, uint64_t generation)
{
    char name[] = "keys";
    char *text = maker_jwk_set(key, kid, NULL);
    struct jwk_set *set = jwk_set_parse(slice_of(text), NULL);
    const struct jwk_source source = {.name = name, .set = set};
    struct jwk_table *table = jwk_table_new(&source, 1, generation);
    jwk_set_unref(set);
    free(text);
    return table;
}

static struct fixture fixture_new(void)
{
    struct fixture f = {.key = maker_key_new(MAKER_P256), .rule = identity_rule_new()};
    f.rule->from = IDENTITY_FROM_JWT;
    f.rule->issuer = copy("i");
    f.rule->audiences[f.rule->audience_count++] = copy("a");
    f.rule->keys = copy("keys");
    f.rule->algorithms = 1u << CRYPTO_ES256;
    f.rule->token_argument = copy("jh_authorization");
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        f.rule->field[i] = copy(identity_value_name(i));
    f.table = table_of(f.key, "k1", 1);
    f.verifier = verifier_new(clock_s, clock_ns);
    f.token = maker_token(
        f.key, "ES256", NULL, "{\"alg\":\"ES256\",\"kid\":\"k1\"}",
        "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1800000100,\"email\":\"ann@example.com\"}");
    f.question.token_count = 1;
    f.question.tokens[0].argument = SLICE("jh_authorization");
    f.question.tokens[0].text = slice_of(f.token);
    now_s = 1800000000;
    now_ns = step_ns = 0;
    return f;
}

static void fixture_free(struct fixture *f)
{
    free(f->token);
    verifier_free(f->verifier);
    jwk_table_free(f->table);
    identity_rule_free(f->rule);
    maker_key_free(f->key);
}

static const char *ask(struct fixture *f, uint64_t tenant)
{
    const struct identity *identity;
    enum identity_refusal refusal =
        verifier_ask(f->verifier, f->rule, tenant, f->table, &f->question, &identity);
    cr_expect(eq(int, identity != NULL, refusal == IDENTITY_REFUSAL_NONE));
    return identity_refusal_name(refusal);
}

Test(verifier, knows_a_token_again_without_allocating)
{
    struct fixture f = fixture_new();
    cr_assert_str_eq(ask(&f, 7), "none");
    free(memory_new(1 + allocations_count()));
    cr_assert_gt(allocations_count(), 0u, "allocations are not counted");
    size_t before = allocations_count();
    for (int i = 0; i < 100; i++)
        cr_expect_str_eq(ask(&f, 7), "none");
    cr_expect(eq(sz, allocations_count(), before));
    cr_expect(eq(u64, verifier_misses(f.verifier), 1));
    fixture_free(&f);
}

Test(verifier, remembers_for_one_tenant)
{
    struct fixture f = fixture_new();
    cr_assert_str_eq(ask(&f, 7), "none");
    char *issuer = f.rule->issuer;
    f.rule->issuer = copy("other");
    cr_expect_str_eq(ask(&f, 8), "issuer-wrong");
    cr_expect_str_eq(ask(&f, 8), "issuer-wrong");
    free(f.rule->issuer);
    f.rule->issuer = issuer;
    cr_expect_str_eq(ask(&f, 7), "none");
    fixture_free(&f);
}

/* They differ in bits that choose no slot. A ninth takes the place of one of them. */
Test(verifier, eight_that_meet_in_one_place_are_all_remembered)
{
    enum { WAYS = 8, APART = 1 << 20 };
    struct fixture f = fixture_new();
    for (int round = 0; round < 3; round++)
        for (uint64_t i = 0; i < WAYS; i++)
            cr_expect_str_eq(ask(&f, i * APART), "none");
    cr_expect(eq(u64, verifier_misses(f.verifier), WAYS));
    cr_expect_str_eq(ask(&f, WAYS * APART), "none");
    cr_expect(eq(u64, verifier_misses(f.verifier), WAYS + 1));
    cr_expect_str_eq(ask(&f, WAYS * APART), "none");
    cr_expect(eq(u64, verifier_misses(f.verifier), WAYS + 1));
    fixture_free(&f);
}

/* A deployment has thousands of users, and some who send what nobody knows. */
Test(verifier, thousands_are_remembered_whatever_strangers_send)
{
    enum { USERS = 2000 };
    struct fixture f = fixture_new();
    for (uint64_t i = 0; i < USERS; i++)
        cr_assert_str_eq(ask(&f, i * 0x9e3779b97f4a7c15u), "none");
    char *stranger = memory_new(JWT_MAX_BYTES + 1);
    memset(stranger, 'x', JWT_MAX_BYTES);
    f.question.tokens[0].text = slice_of(stranger);
    for (uint64_t i = 0; i < USERS; i++)
        cr_assert_str_eq(ask(&f, i), "not-a-token");
    f.question.tokens[0].text = slice_of(f.token);
    uint64_t misses = verifier_misses(f.verifier);
    for (uint64_t i = 0; i < USERS; i++)
        cr_assert_str_eq(ask(&f, i * 0x9e3779b97f4a7c15u), "none");
    cr_expect(eq(u64, verifier_misses(f.verifier), misses));
    free(stranger);
    fixture_free(&f);
}

/* -- What strangers may cost --------------------------------------------------------------------
 */

/* Tokens that differ, and of which none is good, until they are not looked at; how many were. */
static unsigned send_bad_ones(struct fixture *f, uint64_t tenant)
{
    enum { MANY = 1000 };
    unsigned looked_at = 0;
    for (const char *refusal = ""; strcmp(refusal, "identity-unverified") != 0; looked_at++) {
        char *token = memory_format("%s%u", "eyJ.eyJ.", looked_at);
        f->question.tokens[0].text = slice_of(token);
        refusal = ask(f, tenant);
        free(token);
        cr_assert(lt(u32, looked_at, MANY), "%s", refusal);
    }
    f->question.tokens[0].text = slice_of(f->token);
    return looked_at - 1;
}

Test(verifier, too_many_bad_tokens_are_not_looked_at)
{
    enum { MS = 1000000 };
    struct fixture f = fixture_new();
    cr_assert_str_eq(ask(&f, 7), "none");
    step_ns = 2 * MS; /* a debt of 20 ms for each, while 4 ms pass */
    cr_expect(eq(u32, send_bad_ones(&f, 8), 63));
    step_ns = 0;
    uint64_t misses = verifier_misses(f.verifier);
    cr_expect_str_eq(ask(&f, 8), "identity-unverified", "nobody knows that it is good");
    cr_expect(eq(u64, verifier_misses(f.verifier), misses), "it was looked at");
    cr_expect_str_eq(ask(&f, 7), "none", "who is known is known");
    cr_expect_str_eq(ask(&f, 9), "none", "another tenant's is looked at");
    now_ns += 100 * MS;
    cr_expect_str_eq(ask(&f, 8), "none", "what was not looked at is not remembered");
    fixture_free(&f);
}

/* Keys are fetched anew meanwhile, of whichever issuer. */
Test(verifier, who_was_known_is_looked_at_whatever_bad_tokens_there_are)
{
    enum { MS = 1000000 };
    struct fixture f = fixture_new();
    cr_assert_str_eq(ask(&f, 7), "none");
    step_ns = 2 * MS;
    send_bad_ones(&f, 7);
    step_ns = 0;
    jwk_table_free(f.table);
    f.table = table_of(f.key, "k1", 2);
    cr_expect_str_eq(ask(&f, 7), "none");
    fixture_free(&f);
}

/* However many they are: thousands come back when a server was away. */
Test(verifier, good_tokens_cost_a_tenant_nothing)
{
    struct fixture f = fixture_new();
    step_ns = 1000000000;
    for (int i = 0; i < 20; i++) {
        const struct identity *identity;
        char *payload = memory_format("{\"iss\":\"i\",\"aud\":\"a\",\"exp\":1800000100,"
                                      "\"email\":\"u%d@example.com\"}",
                                      i);
        char *token =
            maker_token(f.key, "ES256", NULL, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", payload);
        f.question.tokens[0].text = slice_of(token);
        cr_expect(eq(int, verifier_ask(f.verifier, f.rule, 7, f.table, &f.question, &identity),
                     IDENTITY_REFUSAL_NONE));
        free(token);
        free(payload);
    }
    fixture_free(&f);
}

/* Or a user could have one verified for ever, and drive out all others. */
Test(verifier, a_token_is_known_whatever_stands_before_it)
{
    static const char *const FORMS[] = {"%s",           "Bearer %s", "bEARER %s",
                                        " Bearer   %s", "\t%s ",     "Bearer \t %s\t"};
    struct fixture f = fixture_new();
    for (size_t i = 0; i < COUNT_OF(FORMS); i++) {
        const char *token = strchr(FORMS[i], '%');
        char *text = memory_format("%.*s%s%s", (int)(token - FORMS[i]), FORMS[i], f.token,
                                   token + strlen("%s"));
        f.question.tokens[0].text = slice_of(text);
        cr_expect_str_eq(ask(&f, 7), "none", "%s", text);
        free(text);
    }
    cr_expect(eq(u64, verifier_misses(f.verifier), 1));
    char *twice = memory_format("Bearer Bearer %s", f.token);
    f.question.tokens[0].text = slice_of(twice);
    cr_expect_str_eq(ask(&f, 7), "token-header-invalid");
    free(twice);
    fixture_free(&f);
}

/* The end alone, by which it is looked up, makes nobody known. */
Test(verifier, two_tokens_with_one_end)
{
    struct fixture f = fixture_new();
    cr_assert_str_eq(ask(&f, 7), "none");
    char *twin = memory_copy_text(slice_of(f.token));
    twin[strlen(twin) - 40] ^= 1; /* of the signature, before what is hashed */
    f.question.tokens[0].text = slice_of(twin);
    cr_expect_str_neq(ask(&f, 7), "none");
    f.question.tokens[0].text = slice_of(f.token);
    cr_expect_str_eq(ask(&f, 7), "none");
    cr_expect(eq(u64, verifier_misses(f.verifier), 2)); /* what is refused has room of its own */
    f.question.tokens[0].text = slice_skip(slice_of(f.token), 1);
    cr_expect_str_neq(ask(&f, 7), "none");
    free(twin);
    fixture_free(&f);
}

Test(verifier, notes_are_of_a_tenant_and_of_what_is_stripped)
{
    struct verifier *verifier = verifier_new(clock_s, clock_ns);
    cr_expect_not(verifier_has_seen(verifier, 7, SLICE("/x_a/")));
    verifier_note_seen(verifier, 7, SLICE("/x_a/"));
    cr_expect(verifier_has_seen(verifier, 7, SLICE("/x_a/")));
    cr_expect_not(verifier_has_seen(verifier, 7, SLICE("/x_b/")));
    cr_expect_not(verifier_has_seen(verifier, 7, SLICE("")));
    cr_expect_not(verifier_has_seen(verifier, 7 << 8, SLICE("/x_a/")));
    verifier_free(verifier);
}

Test(verifier, forgets_in_time)
{
    struct fixture f = fixture_new();
    cr_assert_str_eq(ask(&f, 7), "none");
    now_s = 1800000099;
    cr_expect_str_eq(ask(&f, 7), "none");
    now_s = 1800000100;
    cr_expect_str_eq(ask(&f, 7), "expired");
    cr_expect(eq(u64, verifier_misses(f.verifier), 2));
    fixture_free(&f);
}

/* A clock that was ahead for two hours must not have refused for two hours. */
Test(verifier, a_refusal_goes_with_a_clock_that_is_set_back)
{
    struct fixture f = fixture_new();
    now_s = 1800000000 + 7200;
    cr_expect_str_eq(ask(&f, 7), "expired");
    now_s = 1800000000;
    cr_expect_str_eq(ask(&f, 7), "none");
    fixture_free(&f);
}

/* Rotation: a key that is gone is gone at once, and one that came is known at once. */
Test(verifier, follows_the_keys)
{
    struct fixture f = fixture_new();
    struct maker_key *other = maker_key_new(MAKER_P256);
    struct jwk_table *first = f.table;
    cr_assert_str_eq(ask(&f, 7), "none");
    cr_expect_not(atomic_load(&first->key_missed));
    f.table = table_of(other, "k2", 2);
    cr_expect_str_eq(ask(&f, 7), "unknown-key");
    cr_expect(atomic_load(&f.table->key_missed));
    jwk_table_free(f.table);
    f.table = table_of(f.key, "k1", 3);
    cr_expect_str_eq(ask(&f, 7), "none");
    jwk_table_free(f.table);
    f.table = NULL;
    cr_expect_str_eq(ask(&f, 7), "no-keys");
    f.table = first;
    maker_key_free(other);
    fixture_free(&f);
}

Test(verifier, one_token_by_one_name)
{
    struct fixture f = fixture_new();
    f.question.tokens[0].is_repeated = true;
    cr_expect_str_eq(ask(&f, 7), "token-repeated");
    f.question.tokens[0].is_repeated = false;
    f.question.tokens[0].argument = SLICE("jc_authorization");
    cr_expect_str_eq(ask(&f, 7), "absent");
    f.question.token_count = 0;
    f.question.certificate = slice_of(f.token);
    cr_expect_str_eq(ask(&f, 7), "absent");
    f.rule->from = IDENTITY_FROM_CLIENT_CERT;
    cr_expect_str_eq(ask(&f, 7), "certificate-invalid");
    f.rule->from = IDENTITY_FROM_SHARED;
    cr_expect_str_eq(ask(&f, 7), "absent");
    fixture_free(&f);
}

/* -- Client certificates, of which OpenSSL's command has made one and its authority ------------ */

/* The fixture with a certificate of "Ann@Example.com", "Ann Example", of the units "staff" and
 * "ops", until 2029-08-23. */
static struct fixture fixture_with_certificate(struct bytes *der)
{
    static const char *const FIELDS[IDENTITY_VALUE__MAX] = {[IDENTITY_EMAIL] = "san_email",
                                                            [IDENTITY_NAME] = "subject_cn",
                                                            [IDENTITY_GROUPS] = "subject_ou",
                                                            [IDENTITY_ROLE] = ""};
    struct fixture f = fixture_new();
    size_t size;
    char *pem = file_load(TEST_DATA_DIR "/vectors/identity/client.pem", &size);
    cr_assert(eq(int, crypto_certificate_der(slice_of(pem), der, NULL), ERROR_OK));
    free(pem);
    f.rule->from = IDENTITY_FROM_CLIENT_CERT;
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++) {
        free(f.rule->field[i]);
        f.rule->field[i] = copy(FIELDS[i]);
    }
    f.question.certificate = bytes_slice(der);
    return f;
}

static void set_field(struct fixture *f, enum identity_value value, const char *field)
{
    free(f->rule->field[value]);
    f->rule->field[value] = copy(field);
}

Test(verifier, a_certificate_says_who_it_is)
{
    struct bytes der = {0};
    struct fixture f = fixture_with_certificate(&der);
    const struct identity *identity;
    cr_assert(eq(int, verifier_ask(f.verifier, f.rule, 7, NULL, &f.question, &identity),
                 IDENTITY_REFUSAL_NONE));
    cr_expect(slice_equal(identity_text(identity, IDENTITY_EMAIL), SLICE("ann@example.com")));
    cr_expect(slice_equal(identity_text(identity, IDENTITY_NAME), SLICE("Ann Example")));
    cr_expect(slice_equal(identity_text(identity, IDENTITY_GROUPS), SLICE("staff,ops")));
    cr_expect(slice_equal(identity_text(identity, IDENTITY_ROLE), SLICE("")));
    set_field(&f, IDENTITY_EMAIL, "subject_email"); /* which it has not */
    cr_expect_str_eq(ask(&f, 8), "email-missing");
    set_field(&f, IDENTITY_EMAIL, "san_email");
    set_field(&f, IDENTITY_ROLE, "subject_cn"); /* which is no word */
    cr_expect_str_eq(ask(&f, 9), "value-unfit");
    bytes_free(&der);
    fixture_free(&f);
}

/* Open WebUI leaves as they are the groups of somebody for whom none are told. */
Test(verifier, groups_that_no_header_can_tell_are_not_taken_for_none)
{
    static const char *const UNITS[] = {"sta,f", "sta\nf"};
    for (size_t i = 0; i < COUNT_OF(UNITS); i++) {
        struct bytes der = {0};
        struct fixture f = fixture_with_certificate(&der);
        char *unit = memmem(der.data, der.size, "staff", strlen("staff"));
        cr_assert_not_null(unit);
        memcpy(unit, UNITS[i], strlen(UNITS[i]));
        cr_expect_str_eq(ask(&f, 7), "value-unfit", "unit %zu", i);
        set_field(&f, IDENTITY_GROUPS, "");
        cr_expect_str_eq(ask(&f, 8), "none", "unit %zu", i);
        bytes_free(&der);
        fixture_free(&f);
    }
}

Test(verifier, a_certificate_is_good_until_its_last_second)
{
    enum { LAST_S = 1882171515 };
    struct bytes der = {0};
    struct fixture f = fixture_with_certificate(&der);
    now_s = LAST_S;
    cr_expect_str_eq(ask(&f, 7), "none");
    now_s = LAST_S + 1;
    cr_expect_str_eq(ask(&f, 7), "expired");
    bytes_free(&der);
    fixture_free(&f);
}

Test(verifier, a_certificate_is_of_the_authority_that_is_wanted)
{
    static const struct {
        const char *authority, *refusal;
    } ROWS[] = {
        {"authority.pem", "none"},
        {"namesake.pem", "certificate-issuer"}, /* another authority of the same name */
        {"client.pem", "certificate-issuer"},
    };
    struct bytes der = {0};
    struct fixture f = fixture_with_certificate(&der);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        size_t size;
        char *path = memory_format(TEST_DATA_DIR "/vectors/identity/%s", ROWS[i].authority);
        f.rule->issuer_pem = file_load(path, &size);
        cr_expect_str_eq(ask(&f, i), ROWS[i].refusal, "%s", ROWS[i].authority);
        free(f.rule->issuer_pem);
        free(path);
    }
    f.rule->issuer_pem = NULL;
    bytes_free(&der);
    fixture_free(&f);
}

Test(verifier, each_certificate_of_the_authorities_has_to_be_one)
{
#define RUBBISH "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    static const struct {
        const char *before, *behind, *why;
    } ROWS[] = {
        {"who signs\n", "", NULL},
        {"", "\n# the end\n", NULL},
        {"", RUBBISH, "certificate 2 in it cannot be read"},
        {RUBBISH, "", "certificate 1 in it cannot be read"},
        {"", "-----BEGIN CERTIFICATE-----\nQUJD\n", "certificate 2 in it cannot be read"},
    };
    struct error_text why;
    size_t size;
    char *good = file_load(TEST_DATA_DIR "/vectors/identity/authority.pem", &size);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *pem = memory_format("%s%s%s", ROWS[i].before, good, ROWS[i].behind);
        enum error error = crypto_client_certificate_check_authorities(slice_of(pem), &why);
        cr_expect(eq(int, error, ROWS[i].why == NULL ? ERROR_OK : ERROR_INVALID), "row %zu", i);
        if (ROWS[i].why != NULL)
            cr_expect(strstr(why.text, ROWS[i].why) == why.text, "row %zu: %s", i, why.text);
        free(pem);
    }
    free(good);
    cr_expect(eq(int, crypto_client_certificate_check_authorities(SLICE(""), &why), ERROR_INVALID));
    cr_expect(eq(int, crypto_client_certificate_check_authorities(SLICE("no certificate"), &why),
                 ERROR_INVALID));
#undef RUBBISH
}

Test(verifier, a_certificate_that_is_too_big_is_not_read)
{
    struct bytes der = {0};
    struct fixture f = fixture_with_certificate(&der);
    static char big[JWT_MAX_BYTES + 1];
    f.question.certificate = slice_from(big, sizeof(big));
    cr_expect_str_eq(ask(&f, 7), "token-too-big");
    f.question.certificate.size--;
    cr_expect_str_eq(ask(&f, 7), "certificate-invalid");
    bytes_free(&der);
    fixture_free(&f);
}
