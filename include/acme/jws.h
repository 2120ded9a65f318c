/* ACME's signed requests: JWS in flattened JSON (RFC 8555 6.2, RFC 7515). */
#pragma once

#include "core/bytes.h"

struct crypto_key;
struct json;

struct jws_header {
    const struct crypto_key *key;
    const char *kid; /* the account's URL; NULL puts the public key in as "jwk" */
    const char *url;
    const char *nonce; /* NULL for the inner JWS of a key change, which has none */
};

/* The body of a request. An empty payload makes a POST-as-GET. */
MUST_CHECK enum error jws_sign(const struct jws_header *header, struct slice payload,
                               struct bytes *body, struct error_text *why);

/* The value of "externalAccountBinding" (RFC 8555 7.3.4): the account's public key under the MAC
 * key that the CA gave out, which is `secret` in base64url. NULL on failure. */
MUST_CHECK struct json *jws_external_account(const struct crypto_key *account_key, const char *kid,
                                             struct slice secret, const char *url,
                                             struct error_text *why);

/* The payload of a key change (RFC 8555 7.3.5): a JWS by the new key over the account and the old
 * one. */
MUST_CHECK enum error jws_key_change(const struct crypto_key *old_key,
                                     const struct crypto_key *new_key, const char *account_url,
                                     const char *url, struct bytes *payload,
                                     struct error_text *why);
