/* What a request over TCP has to pass, where the kernel does not tell who asks:
 *
 *     Host           localhost, a loopback address or a name that is configured: a name of somebody
 *                    else's that leads here (DNS rebinding) is answered with 421
 *     rate           a bucket for each token, and one for all who have none: 429
 *     token          Authorization: Bearer, else 401; its role says whether it may change anything
 *     cross-site     what is no GET is refused when a browser says that another site asks: 403
 *
 * No CORS header is ever sent, so that no other site's script reads an answer.
 */
#pragma once

#include "admin/admin_server.h"
#include "admin/admin_tokens.h"
#include "http/http_server.h"

struct admin_gate;

struct admin_gate *admin_gate_new(const struct admin_tcp_settings *settings)
    __attribute__((returns_nonnull));
void admin_gate_free(struct admin_gate *gate); /* NULL is fine */

/* Whether a request for a row that takes `access` may go on; if not, `answer` says why. `*token` is
 * valid until the next call; NULL without one. */
MUST_CHECK bool admin_gate_pass(struct admin_gate *gate, const struct http_request *request,
                                enum admin_access access, const struct admin_token **token,
                                struct admin_answer *answer);
/* Whether a Host header names this machine: localhost, a loopback address, or one of the gate's
 * hosts (NULL: there are none). */
MUST_CHECK bool admin_gate_knows_host(const struct admin_gate *gate, struct slice host);
