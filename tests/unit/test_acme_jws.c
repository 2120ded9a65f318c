/* acme: signed requests. */
#include "acme/jws.h"

#include "crypto/base64url.h"
#include "crypto/crypto.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct slice text_of(const struct json *object, const char *key)
{
    struct slice text = {0};
    cr_assert(json_read_text(json_get(object, key), &text), "%s", key);
    return text;
}

static struct json *must_parse(struct slice text)
{
    struct error_text why = {0};
    struct json *root = json_parse(text, 100000, NULL, &why);
    cr_assert(ne(ptr, root, NULL), "%s", why.text);
    return root;
}

static struct json *decode(const struct json *jws, const char *member)
{
    struct bytes raw = {0};
    cr_assert(base64url_decode(text_of(jws, member), &raw));
    struct json *root = must_parse(bytes_slice(&raw));
    bytes_free(&raw);
    return root;
}

static void expect_text(const struct json *object, const char *key, const char *expected)
{
    cr_expect(slice_equal(text_of(object, key), slice_of(expected)), "%s", key);
}

Test(jws, a_known_account_signs_by_kid)
{
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct bytes body = {0}, signature = {0};
    const struct jws_header header = {
        .key = key, .kid = "https://ca/acct/1", .url = "https://ca/order", .nonce = "n-1"};
    cr_assert(eq(int, jws_sign(&header, SLICE("{\"a\":1}"), &body, NULL), ERROR_OK));
    struct json *jws = must_parse(bytes_slice(&body));
    cr_expect(eq(sz, json_count(jws), 3));
    struct json *protected = decode(jws, "protected");
    cr_expect(eq(sz, json_count(protected), 4));
    expect_text(protected, "alg", "ES256");
    expect_text(protected, "kid", "https://ca/acct/1");
    expect_text(protected, "nonce", "n-1");
    expect_text(protected, "url", "https://ca/order");
    expect_text(jws, "payload", "eyJhIjoxfQ");
    cr_assert(base64url_decode(text_of(jws, "signature"), &signature));
    cr_expect(eq(sz, signature.size, 64));
    json_free(protected);
    json_free(jws);
    bytes_free(&body);
    bytes_free(&signature);
    crypto_key_free(key);
}

Test(jws, a_new_account_shows_its_key_and_a_post_as_get_has_no_payload)
{
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct bytes body = {0};
    const struct jws_header header = {.key = key, .url = "https://ca/new", .nonce = "n"};
    cr_assert(eq(int, jws_sign(&header, SLICE(""), &body, NULL), ERROR_OK));
    struct json *jws = must_parse(bytes_slice(&body));
    struct json *protected = decode(jws, "protected");
    expect_text(jws, "payload", "");
    expect_text(json_get(protected, "jwk"), "kty", "EC");
    cr_expect(eq(int, json_type_of(json_get(protected, "kid")), JSON_TYPE_NONE));
    cr_expect(eq(int, json_type_of(json_get(json_get(protected, "jwk"), "d")), JSON_TYPE_NONE));
    json_free(protected);
    json_free(jws);
    bytes_free(&body);
    crypto_key_free(key);
}

Test(jws, an_external_account_is_bound_by_hmac)
{
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct error_text why = {0};
    struct json *jws =
        jws_external_account(key, "kid-1", SLICE("c2VjcmV0"), "https://ca/new", &why);
    cr_assert(ne(ptr, jws, NULL), "%s", why.text);
    struct json *protected = decode(jws, "protected");
    expect_text(protected, "alg", "HS256");
    expect_text(protected, "kid", "kid-1");
    expect_text(protected, "url", "https://ca/new");
    cr_expect(eq(sz, json_count(protected), 3));

    struct json *payload = decode(jws, "payload"), *jwk = crypto_key_jwk(key, NULL);
    char *inner = json_print(payload, JSON_STYLE_COMPACT),
         *own = json_print(jwk, JSON_STYLE_COMPACT);
    cr_expect(eq(str, inner, own));

    struct slice first = text_of(jws, "protected"), second = text_of(jws, "payload");
    struct bytes input = {0}, signature = {0};
    uint8_t mac[CRYPTO_SHA256_BYTES];
    cr_assert(bytes_append(&input, first, 10000) && bytes_append(&input, SLICE("."), 10000) &&
              bytes_append(&input, second, 10000));
    cr_assert(eq(int, crypto_hmac_sha256(SLICE("secret"), bytes_slice(&input), mac), ERROR_OK));
    cr_assert(base64url_decode(text_of(jws, "signature"), &signature));
    cr_expect(slice_equal(bytes_slice(&signature), slice_from(mac, sizeof(mac))));

    cr_expect(
        eq(ptr, jws_external_account(key, "k", SLICE("not base64"), "https://ca", &why), NULL));
    cr_expect(strstr(why.text, "HMAC key") != NULL);
    cr_expect(eq(ptr, jws_external_account(key, "k", SLICE(""), "https://ca", &why), NULL));
    bytes_free(&input);
    bytes_free(&signature);
    free(inner);
    free(own);
    json_free(payload);
    json_free(jwk);
    json_free(protected);
    json_free(jws);
    crypto_key_free(key);
}

Test(jws, a_key_change_is_signed_by_the_new_key_over_the_old_one)
{
    struct crypto_key *old_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct crypto_key *new_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct bytes body = {0};
    cr_assert(eq(
        int, jws_key_change(old_key, new_key, "https://ca/acct/1", "https://ca/key", &body, NULL),
        ERROR_OK));
    struct json *jws = must_parse(bytes_slice(&body));
    struct json *protected = decode(jws, "protected"), *payload = decode(jws, "payload");
    struct json *old_jwk = crypto_key_jwk(old_key, NULL), *new_jwk = crypto_key_jwk(new_key, NULL);
    cr_expect(eq(sz, json_count(protected), 3)); /* no nonce */
    cr_expect(slice_equal(text_of(json_get(protected, "jwk"), "x"), text_of(new_jwk, "x")));
    cr_expect(slice_equal(text_of(json_get(payload, "oldKey"), "x"), text_of(old_jwk, "x")));
    expect_text(payload, "account", "https://ca/acct/1");
    json_free(old_jwk);
    json_free(new_jwk);
    json_free(protected);
    json_free(payload);
    json_free(jws);
    bytes_free(&body);
    crypto_key_free(old_key);
    crypto_key_free(new_key);
}
