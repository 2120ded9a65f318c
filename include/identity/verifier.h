/* Who a request is from, remembered: the verification of tokens and certificates behind a cache.
 *
 * Memory of fixed size, one per loop, holds what was found out about the last tokens, each with all
 * of its bytes: what is looked up is compared with these, so that no hash has to be trusted. What
 * may stand around a token makes no other of it. A hit costs one comparison and the hash of a
 * token's end, where its signature is, and allocates nothing. On a miss the token is verified where
 * it is asked for; OpenSSL and the JSON parser then allocate. There is room for some 15,000 users:
 * 16 MB, taken as it is used. What was refused has room of its own, where it drives out nobody who
 * is known.
 *
 * Nothing in it outlives the keys: what was found out with others is found out anew.
 *
 * What turns out to be no good may take a tenth of the loop's time for each tenant, and 100 ms at
 * once. Beyond that, what is not known is refused as UNVERIFIED: it was not looked at, and will be
 * when it comes again later. Who is known goes on being known, and other tenants notice nothing.
 */
#pragma once

#include "identity/jwt.h"

/* What HAProxy tells of a request's identity. Slices view the frame. */
enum { IDENTITY_TOKENS_MAX = 4 };

struct identity_token {
    struct slice argument; /* "jh_authorization" */
    struct slice text;     /* the last header or cookie of the name */
    bool is_repeated;      /* there are more */
};

struct identity_question {
    struct slice certificate; /* DER of a verified client certificate */
    struct slice stripped;    /* "/x-user-email/x-user-name/": what clients cannot send */
    struct identity_token tokens[IDENTITY_TOKENS_MAX];
    uint8_t token_count;
};

struct verifier;

/* Its clocks: the wall time, and a monotonic one. */
struct verifier *verifier_new(int64_t (*wall_s)(void), int64_t (*mono_ns)(void))
    __attribute__((returns_nonnull));
void verifier_free(struct verifier *verifier); /* NULL is fine */

/* `tenant` tells rules apart that are not the same object: a hash of the tenant's content. `keys`
 * may be NULL. `*identity` is the verifier's until the next call; NULL unless the refusal is NONE.
 */
MUST_CHECK enum identity_refusal verifier_ask(struct verifier *verifier,
                                              const struct identity_rule *rule, uint64_t tenant,
                                              struct jwk_table *keys,
                                              const struct identity_question *question,
                                              const struct identity **identity);

/* A note that for this tenant all was well with what HAProxy strips; it holds as long as HAProxy
 * tells the same. */
MUST_CHECK bool verifier_has_seen(const struct verifier *verifier, uint64_t tenant,
                                  struct slice stripped);
void verifier_note_seen(struct verifier *verifier, uint64_t tenant, struct slice stripped);

/* How often a token or certificate had to be verified, since it was not known; for tests, which see
 * no other way what is remembered. */
uint64_t verifier_misses(const struct verifier *verifier);
