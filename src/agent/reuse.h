/* Decisions that hold for a connection's next requests too, so that HAProxy need not ask again.
 *
 * With `decision_map` the answer of such a decision also sets variables of the session:
 *
 *     host     string   the Host header as it was asked about, byte by byte
 *     stamp    string   snapshot.stamp: holds as long as HAProxy's map says the same (hap/config.h)
 *     since    integer  seconds since 1970; nothing holds for long, should the map not be in reach
 *
 * and what the next requests get: tenant, dst, to_http, ip, by_https, hsts; and, since
 * each costs HAProxy something for every request, in one what few tenants have:
 *
 *     rest     string   backend, to_https, to_noverify, sni and rs, in this order, with "/" between
 *                       them: "/443//chat.internal"
 *
 * What does not apply is unset, since an earlier decision of the connection may have set it.
 *
 * HAProxy takes them for a request with the same Host, without Upgrade or the cookie owui_tenant,
 * and with a path that is plain and Open WebUI's own. A decision is good for all of these when
 * nothing else could have made it another one: see reuse_stamp().
 */
#pragma once

#include "agent/answer.h"

/* The stamp when the decision holds for more than this request, else nothing. */
struct slice reuse_stamp(const struct snapshot *snapshot, const struct request *request,
                         const struct decision *decision);
/* Adds the session's variables. When they do not fit, `actions` is left as it was. */
void reuse_write(const struct request *request, const struct decision *decision,
                 struct writer *actions);
