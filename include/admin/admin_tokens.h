/* Who may ask over TCP: tokens, each with a name and a role, in a file of mode 0600.
 *
 *     {"tokens": {"grafana": {"role": "read", "sha256": "9f86d0...", "made":
 * "2026-01-31T08:00:00Z"}}}
 *
 * A token is 256 random bits and told once, when it is made; the file keeps its SHA-256. A slow
 * hash such as for passwords would protect nothing more: there is no dictionary of random numbers.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"

enum admin_role { ADMIN_ROLE_READ, ADMIN_ROLE_ADMIN };

enum {
    ADMIN_TOKENS_MAX = 64,
    ADMIN_TOKEN_NAME_SIZE = 33, /* with its NUL */
    ADMIN_TOKEN_SIZE = 5 + 43 + 1,
    ADMIN_TOKEN_HASH_BYTES = 32,
};

struct admin_token {
    char name[ADMIN_TOKEN_NAME_SIZE];
    enum admin_role role;
    uint8_t hash[ADMIN_TOKEN_HASH_BYTES];
    int64_t made_wall_s;
};

struct admin_tokens {
    struct admin_token items[ADMIN_TOKENS_MAX];
    size_t count;
};

const char *admin_role_name(enum admin_role role);
MUST_CHECK bool admin_role_parse(struct slice name, enum admin_role *role);

/* ERROR_NOT_FOUND when there is no file. A file that others may read is refused. On failure there
 * are no tokens. */
MUST_CHECK enum error admin_tokens_read(const char *path, struct admin_tokens *tokens,
                                        struct error_text *why);
/* Replaces the file as a whole. It belongs to whom its folder belongs to, so that the service can
 * read what root has written. */
MUST_CHECK enum error admin_tokens_write(const char *path, const struct admin_tokens *tokens,
                                         struct error_text *why);

/* Makes a token; `text` is what its owner has to keep. Names are 1 to 32 of a-z, 0-9, ".", "_",
 * "-".
 */
MUST_CHECK enum error admin_tokens_add(struct admin_tokens *tokens, struct slice name,
                                       enum admin_role role, int64_t now_wall_s,
                                       char text[static ADMIN_TOKEN_SIZE], struct error_text *why);
/* False when there is none of that name. */
MUST_CHECK bool admin_tokens_remove(struct admin_tokens *tokens, struct slice name);
/* NULL when it is nobody's. Takes as long for every token that is not in the list. */
const struct admin_token *admin_tokens_find(const struct admin_tokens *tokens, struct slice text);
