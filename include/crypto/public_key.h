/* Other people's public keys, and what was signed with them: JWK (RFC 7517, 8037) and the signature
 * algorithms of JWS (RFC 7518 3.1). A key never serves an algorithm of another kind, whatever a
 * token says of itself, and keys that are shared secrets are none of ours. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

struct json;

/* X(NAME, digest, kind of key) */
#define CRYPTO_ALGORITHM_TABLE(X) \
    X(RS256, "SHA256", RSA)       \
    X(RS384, "SHA384", RSA)       \
    X(RS512, "SHA512", RSA)       \
    X(PS256, "SHA256", RSA)       \
    X(PS384, "SHA384", RSA)       \
    X(PS512, "SHA512", RSA)       \
    X(ES256, "SHA256", P256)      \
    X(ES384, "SHA384", P384)      \
    X(ES512, "SHA512", P521)      \
    X(EdDSA, NULL, ED25519)

enum crypto_algorithm {
#define X(NAME, DIGEST, KIND) CRYPTO_##NAME,
    CRYPTO_ALGORITHM_TABLE(X)
#undef X
        CRYPTO_ALGORITHM__MAX,
};

/* "RS256"; never NULL. */
const char *crypto_algorithm_name(enum crypto_algorithm algorithm);
/* Exactly, letters' case included (RFC 7515 4.1.1). */
MUST_CHECK bool crypto_algorithm_parse(struct slice name, enum crypto_algorithm *algorithm);

enum { CRYPTO_SIGNATURE_MAX_BYTES = 512 }; /* of RSA with 4096 bits */

struct crypto_public_key; /* may be used by several threads at once */

/* RSA from 2048 to 4096 bits, P-256, P-384, P-521 or Ed25519. NULL with the reason for others. */
MUST_CHECK struct crypto_public_key *crypto_public_key_from_jwk(const struct json *jwk,
                                                                struct error_text *why);
void crypto_public_key_free(struct crypto_public_key *key); /* NULL is fine */
/* Whether the kind of key is the algorithm's. */
MUST_CHECK bool crypto_public_key_fits(const struct crypto_public_key *key,
                                       enum crypto_algorithm algorithm);
/* False for a signature that is not the key's, and for a key of another kind. Allocates. */
MUST_CHECK bool crypto_verify(const struct crypto_public_key *key, enum crypto_algorithm algorithm,
                              struct slice message, struct slice signature);
