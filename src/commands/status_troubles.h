/* What of the daemon's status needs somebody to look at it. */
#pragma once

#include "json/json.h"

/* How many: files that do not count, tenants that are not as their files say or have no upstream,
 * HAProxys that are away, notices (a haproxy.cfg that is out of date, keys that cannot be had, a
 * change that waits for a restart), certificates that are not fine, a daemon that does not serve.
 * `status` is the answer of /v1/status or /v1/reload. */
MUST_CHECK size_t status_count_troubles(const struct json *status);
/* Each of them with what to do about it, the first few of a kind; asks the daemon for what is wrong
 * with them. */
void status_print_troubles(const char *socket, const struct json *status);
