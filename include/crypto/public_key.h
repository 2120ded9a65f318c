/* Other people's public keys (JWK, RFC 7517 and 8037) and the verification of what they signed (the
 * algorithms of JWS, RFC 7518 3.1). A key is never used with an algorithm of another kind, whatever
 * a token says of itself; shared secrets (HS256 and the like) are not supported. */
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

/* RSA from 2048 to 4096 bits, P-256, P-384, P-521 or Ed25519. NULL, with the reason, for others and
 * when memory runs out. */
MUST_CHECK struct crypto_public_key *crypto_public_key_from_jwk(const struct json *jwk,
                                                                struct error_text *why);
void crypto_public_key_free(struct crypto_public_key *key); /* NULL is fine */
/* Whether the algorithm is for keys of this kind. */
MUST_CHECK bool crypto_public_key_fits(const struct crypto_public_key *key,
                                       enum crypto_algorithm algorithm);
/* False for a signature that is not the key's, and for a key of another kind. Allocates. */
MUST_CHECK bool crypto_verify(const struct crypto_public_key *key, enum crypto_algorithm algorithm,
                              struct slice message, struct slice signature);
