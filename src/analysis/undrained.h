/* Servers that a change takes from a tenant while they still have users of their own. */
#pragma once

#include "route/tenant.h"
#include "json/json.h"

/* Appends {"tenant": ..., "server": "http://10.2.0.13:8080"} for each replica that `before` has,
 * not draining, and `after` has not. */
void undrained_list(const struct tenant *before, const struct tenant *after, struct json *list);
