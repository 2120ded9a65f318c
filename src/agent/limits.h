/* What HAProxy is told to count and to wait for: encoded once for a tenant and for each of its
 * rules.
 *
 * HAProxy counts under keys of at most LIMITS_KEY_MAX_BYTES, which are tenants' names where these
 * are short enough, so that its tables can be read.
 */
#pragma once

#include "agent/answer.h"

enum { LIMITS_KEY_MAX_BYTES = 32, LIMITS_TEXT_MAX_BYTES = 256 };

/* "acme"; "~" and a hash where the name is too long. A view of `buffer` or of the tenant. */
struct slice limits_key(const struct tenant *tenant, char buffer[static LIMITS_KEY_MAX_BYTES + 1]);
/* "fleet/a:400:2000:104857600:600000:3600000:10:50:1:2", a view of `buffer`: what is counted under,
 * empty where that is the name that the answer tells; requests, WebSockets, bytes of a body; the
 * timeouts of the server and of a tunnel; sign-ins from an address and from a subnet; and the
 * route's number where its requests, and its WebSockets, are counted apart. What there is none of
 * is empty, and left out at the end; sign-ins are only there with `is_sign_in`. `tenant` is whose
 * key it is, `rule` one of `policy` or NULL. */
struct slice limits_text(const struct tenant *tenant, const struct policy *policy,
                         const struct policy_rule *rule, bool is_sign_in,
                         char buffer[static LIMITS_TEXT_MAX_BYTES]);
/* Fills tenant->prepared_limits. */
void limits_prepare(struct tenant *tenant);
/* How many bytes limits_write() writes at most. */
size_t limits_largest(const struct tenant *tenant);
/* Those of the rule that matched, or the tenant's. */
const struct limits *limits_of(const struct decision *decision);
/* The key in HAProxy's table: "acme/", "acme/2" where the route counts by itself; NULL where
 * nothing is counted. For free(). */
char *limits_counted_as(const struct decision *decision, bool is_of_websockets);
/* Whether limits_write() tells that HAProxy has to look further than at where the request goes. */
bool limits_look_further(const struct decision *decision);
void limits_write(const struct decision *decision, struct writer *actions);
