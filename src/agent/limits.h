/* What HAProxy is told to count and to wait for: encoded once for a tenant and for each of its
 * rules.
 *
 * HAProxy counts under keys of at most LIMITS_KEY_MAX_BYTES, which are tenants' names where these
 * are short enough, so that its tables can be read.
 */
#pragma once

#include "agent/answer.h"

enum { LIMITS_KEY_MAX_BYTES = 32 };

/* "acme"; "~" and a hash where the name is too long. A view of `buffer` or of the tenant. */
struct slice limits_key(const struct tenant *tenant, char buffer[static LIMITS_KEY_MAX_BYTES + 1]);
/* Fills tenant->prepared_limits. */
void limits_prepare(struct tenant *tenant);
/* How many bytes limits_write() writes at most. */
size_t limits_largest(const struct tenant *tenant);
/* Those of the rule that matched, or the tenant's. */
const struct limits *limits_of(const struct decision *decision);
/* Whether limits_write() tells that HAProxy has to look further than at where the request goes. */
bool limits_look_further(const struct decision *decision);
void limits_write(const struct decision *decision, struct writer *actions);
