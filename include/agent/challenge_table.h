/* The answers to ACME challenges that are out, as HAProxy asks for them: an immutable table. */
#pragma once

#include "core/slice.h"

struct challenge_answer {
    struct slice token;
    struct slice key_authorization;
};

struct challenge_table;

/* Copies; the caller frees the table. */
struct challenge_table *challenge_table_new(const struct challenge_answer *answers, size_t count);
void challenge_table_free(const struct challenge_table *table); /* NULL is fine */
/* The key authorization for the path "/.well-known/acme-challenge/TOKEN"; empty when there is none.
 * `table` may be NULL. The result is the table's. */
struct slice challenge_table_find(const struct challenge_table *table, struct slice path);
