/* A JSON Web Token (RFC 7519, in the compact form of RFC 7515) against what a tenant wants of it.
 *
 * As RFC 8725 has it: what the token says of itself selects nothing but one of the issuer's keys.
 * The kind of that key decides which algorithms are possible and the tenant's rule which of them
 * are allowed; "jku", "jwk", "x5u" and "x5c" are not looked at. Nothing that the token claims is
 * read before its signature was found good.
 */
#pragma once

#include "identity/identity.h"
#include "identity/jwk_set.h"

enum { JWT_MAX_BYTES = 8192 };

/* What a header or cookie with this value holds: blanks around it and "Bearer " in front, in any
 * case, are no part of a token. A view of `value`. */
struct slice jwt_of_header(struct slice value);

/* `text` is nothing but the token. `keys` may be NULL. Pure; allocates, in OpenSSL and for the
 * JSON, and takes some 50 to 200 us; with P-384 800 for each key that is tried, which four are at
 * most. */
MUST_CHECK enum identity_refusal jwt_verify(struct slice text, const struct identity_rule *rule,
                                            const struct jwk_set *keys, int64_t now_s,
                                            struct identity *identity);
