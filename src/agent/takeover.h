/* Open WebUI below a path, in a browser: it has no base path, so the path sets a cookie, and with
 * the cookie the host's root is the tenant's. */
#pragma once

#include "agent/answer.h"

/* Makes the tenant that the request's cookie names the match, where the root of the host is to be
 * had: it has a "takeover" path on this host, no path leads elsewhere, and the host's own tenant,
 * if there is one, keeps what Open WebUI has nothing at. A cookie that is not good is ignored. */
void takeover_find(const struct snapshot *snapshot, const struct request *request,
                   struct decision *decision);
/* Whether a request of such a path is for "/leave" below it, which is the way out. */
bool takeover_leaves(const struct decision *decision);
/* The answer to a request of the path itself: the cookie, and a redirect to the root. */
void takeover_enter(const struct snapshot *snapshot, const struct request *request,
                    struct decision *decision);
