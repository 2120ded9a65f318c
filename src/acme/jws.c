/* Signed requests: see acme/jws.h. */
#include "acme/jws.h"

#include "crypto/base64url.h"
#include "crypto/crypto.h"
#include "json/json.h"

#include <stdlib.h>

/* The text that is signed: both parts in base64url with a dot between. `protected_size` tells where
 * the first one ends. */
static bool signing_input(const struct json *protected, struct slice payload, struct bytes *input,
                          size_t *protected_size)
{
    char *text = json_print(protected, JSON_STYLE_COMPACT);
    bool done = base64url_append(input, slice_of(text));
    free(text);
    *protected_size = input->size;
    return done && bytes_append(input, SLICE("."), SIZE_MAX - 1) &&
           base64url_append(input, payload);
}

/* {"protected", "payload", "signature"}; NULL when memory ran out. */
static struct json *flattened(struct slice input, size_t protected_size, struct slice signature)
{
    struct bytes encoded = {0};
    struct json *jws = NULL;
    if (base64url_append(&encoded, signature)) {
        jws = json_new_object();
        json_put_text(jws, "protected", slice_head(input, protected_size));
        json_put_text(jws, "payload", slice_skip(input, protected_size + 1));
        json_put_text(jws, "signature", bytes_slice(&encoded));
    }
    bytes_free(&encoded);
    return jws;
}

static struct json *protected_header(const struct jws_header *header, struct error_text *why)
{
    struct json *protected = json_new_object();
    json_put_text(protected, "alg", slice_of(crypto_key_algorithm(header->key)));
    if (header->kid != NULL) {
        json_put_text(protected, "kid", slice_of(header->kid));
    } else {
        struct json *jwk = crypto_key_jwk(header->key, why);
        if (jwk == NULL) {
            json_free(protected);
            return NULL;
        }
        json_put(protected, "jwk", jwk);
    }
    if (header->nonce != NULL)
        json_put_text(protected, "nonce", slice_of(header->nonce));
    json_put_text(protected, "url", slice_of(header->url));
    return protected;
}

enum error jws_sign(const struct jws_header *header, struct slice payload, struct bytes *body,
                    struct error_text *why)
{
    struct bytes input = {0}, signature = {0};
    size_t protected_size;
    struct json *jws = NULL;
    char *text = NULL;
    enum error error = ERROR_NO_MEMORY;
    struct json *protected = protected_header(header, why);

    if (protected == NULL)
        return ERROR_INVALID;
    if (!signing_input(protected, payload, &input, &protected_size))
        goto out;
    error = crypto_sign(header->key, bytes_slice(&input), &signature, why);
    if (error != ERROR_OK)
        goto out;
    error = ERROR_NO_MEMORY;
    jws = flattened(bytes_slice(&input), protected_size, bytes_slice(&signature));
    if (jws == NULL)
        goto out;
    text = json_print(jws, JSON_STYLE_COMPACT);
    if (bytes_set(body, slice_of(text)))
        error = ERROR_OK;
out:
    if (error == ERROR_NO_MEMORY)
        error_set(why, error, "out of memory");
    free(text);
    json_free(jws);
    json_free(protected);
    bytes_free(&input);
    bytes_free(&signature);
    return error;
}

struct json *jws_external_account(const struct crypto_key *account_key, const char *kid,
                                  struct slice secret, const char *url, struct error_text *why)
{
    struct bytes input = {0}, raw_secret = {0};
    uint8_t mac[CRYPTO_SHA256_BYTES];
    size_t protected_size;
    struct json *jws = NULL;
    char *payload = NULL;
    struct json *protected = json_new_object();
    struct json *jwk = crypto_key_jwk(account_key, why);

    json_put_text(protected, "alg", SLICE("HS256"));
    json_put_text(protected, "kid", slice_of(kid));
    json_put_text(protected, "url", slice_of(url));
    if (jwk == NULL)
        goto out;
    if (!base64url_decode(secret, &raw_secret) || raw_secret.size == 0) {
        error_set(why, ERROR_INVALID, "the external account's HMAC key is not base64url");
        goto out;
    }
    payload = json_print(jwk, JSON_STYLE_COMPACT);
    if (signing_input(protected, slice_of(payload), &input, &protected_size) &&
        crypto_hmac_sha256(bytes_slice(&raw_secret), bytes_slice(&input), mac) == ERROR_OK)
        jws = flattened(bytes_slice(&input), protected_size, slice_from(mac, sizeof(mac)));
    if (jws == NULL)
        error_set(why, ERROR_NO_MEMORY, "out of memory");
out:
    free(payload);
    json_free(jwk);
    json_free(protected);
    bytes_free(&input);
    bytes_free(&raw_secret);
    return jws;
}

enum error jws_key_change(const struct crypto_key *old_key, const struct crypto_key *new_key,
                          const char *account_url, const char *url, struct bytes *payload,
                          struct error_text *why)
{
    struct json *old_jwk = crypto_key_jwk(old_key, why);
    if (old_jwk == NULL)
        return ERROR_INVALID;
    struct json *change = json_new_object();
    json_put_text(change, "account", slice_of(account_url));
    json_put(change, "oldKey", old_jwk);
    char *text = json_print(change, JSON_STYLE_COMPACT);
    const struct jws_header header = {.key = new_key, .url = url};
    enum error error = jws_sign(&header, slice_of(text), payload, why);
    free(text);
    json_free(change);
    return error;
}
