/* Where in a token something stands: a claim, or one within others. */
#pragma once

#include "value.h"

/* "groups"; "realm_access.roles", a path; ["resource_access", "my.client", "roles"], a path of
 * names that are taken as they are; a text that begins with http:// or https:// is one name. Into a
 * path as route/identity.h has it. False when it has been reported. */
bool claim_read(const struct node *node, char **path);
