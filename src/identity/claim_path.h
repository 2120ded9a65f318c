/* A claim, or one within others: "realm_access.roles" of Keycloak. */
#pragma once

#include "json/json.h"

/* `path` as route/identity.h has it. Claims that are null count as not there. False when the way
 * leads through what is no object: such a token is none of those that were meant. Else `*claim` is
 * what stands there, or NULL; `*siblings` (may be NULL) the object that it stands in, or NULL.
 * No allocation. */
MUST_CHECK bool claim_path_find(const struct json *claims, const char *path,
                                const struct json **claim, const struct json **siblings);
