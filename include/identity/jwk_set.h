/* An issuer's public keys: a JWK set (RFC 7517 5), and all sets that are known, as a table that a
 * snapshot holds. Both are immutable; sets are shared by tables, counted by reference. */
#pragma once

#include "crypto/public_key.h"

#include <stdatomic.h>

enum { JWK_SET_MAX_BYTES = 256 * 1024, JWK_SET_MAX_KEYS = 64, JWK_KID_MAX_BYTES = 128 };

struct jwk {
    char *kid;     /* NULL: it has none */
    int algorithm; /* the one that it is for, as enum crypto_algorithm; -1: any of its kind */
    struct crypto_public_key *key;
};

struct jwk_set {
    struct jwk *keys;
    size_t count;
    size_t skipped; /* keys that are not for signatures, of kinds that are not known, or broken */
    unsigned references; /* of tables and of who made it; not atomic: for one thread */
};

/* NULL with the reason for a text that is no set, or one in which no key can be used: an issuer's
 * bad answer must not replace what was good. */
MUST_CHECK struct jwk_set *jwk_set_parse(struct slice text, struct error_text *why);
void jwk_set_unref(struct jwk_set *set); /* NULL is fine */

/* Where a set is from, and whether someone lacks a key of it. */
struct jwk_source {
    char *name;             /* https URL or file name */
    struct jwk_set *set;    /* NULL: not known yet */
    atomic_bool key_missed; /* set by any loop that met a token by none of its keys */
};

struct jwk_table {
    struct jwk_source *sources; /* sorted by name */
    size_t count;
    uint64_t generation;    /* grows; never 0 */
    atomic_bool key_missed; /* of some source */
};

/* Copies names and takes references. */
struct jwk_table *jwk_table_new(const struct jwk_source *sources, size_t count,
                                uint64_t generation);
/* In the thread that made it. NULL is fine. */
void jwk_table_free(struct jwk_table *table);
/* NULL when the source is not in the table; `table` may be NULL. */
struct jwk_source *jwk_table_find(struct jwk_table *table, const char *name);
