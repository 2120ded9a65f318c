/* Keys, JWK sets and tokens for tests, made with OpenSSL itself. */
#pragma once

#include "core/slice.h"

enum maker_kind { MAKER_RSA, MAKER_P256, MAKER_P384, MAKER_P521, MAKER_ED25519, MAKER__MAX };

struct maker_key;

struct maker_key *maker_key_new(enum maker_kind kind);
void maker_key_free(struct maker_key *key);

/* {"kty": ..., "kid": kid, ...} and the set that holds it; `kid` and `more` (members that begin
 * with a comma) may be NULL. For free(). */
char *maker_jwk(const struct maker_key *key, const char *kid, const char *more);
char *maker_jwk_set(const struct maker_key *key, const char *kid, const char *more);
/* The public key in PEM: what an attacker signs with who hopes that it is taken for a secret. */
char *maker_public_pem(const struct maker_key *key);

/* Signed with `algorithm`, whatever the header says: "RS256", ..., "EdDSA", "HS256" (with `secret`)
 * or "none". For free(). */
char *maker_token(const struct maker_key *key, const char *algorithm, const char *secret,
                  const char *header, const char *payload);
char *maker_base64url(struct slice bytes);
