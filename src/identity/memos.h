/* What was found out about tokens and certificates, in memory of fixed size: a log in which new
 * memos overwrite the oldest, and a hash of those that are in it. One thread.
 *
 * A memo has all bytes of what it is about, and is found by comparing them: no hash is trusted.
 */
#pragma once

#include "identity/identity.h"

struct memos;

struct memo {
    uint32_t block_bytes; /* in the log; memos.c's, as is `place` */
    uint32_t place;
    uint64_t tenant;
    uint64_t generation; /* of the keys */
    int64_t good_until_s;
    struct identity identity;
    enum identity_refusal refusal;
    uint32_t size;
    char bytes[];
};

/* Room for so many bytes of memos, which become memory when they are first written to, and for
 * `places` memos: both powers of two, at least MEMOS_MIN_BYTES and MEMOS_WAYS. */
enum { MEMOS_MIN_BYTES = 16 * 1024, MEMOS_WAYS = 8 };
struct memos *memos_new(size_t log_bytes, uint32_t places) __attribute__((malloc, returns_nonnull));
void memos_free(struct memos *memos); /* wipes them; NULL is fine */

/* The one with this hash, about these bytes and for this tenant; or NULL. Until memos_add(). */
const struct memo *memos_find(const struct memos *memos, uint64_t hash, uint64_t tenant,
                              struct slice bytes);
/* A new one, instead of any that find() would have found: the caller writes what was found out.
 * `bytes` are at most a quarter of the log. */
struct memo *memos_add(struct memos *memos, uint64_t hash, uint64_t tenant, struct slice bytes)
    __attribute__((returns_nonnull));
