/* haproxy.cfg's rules for decisions that hold for more than one request: with `decision_map`. */
#pragma once

#include "page.h"

/* Of the agent's question: ` !{ ... }` where it may be needless, or nothing. */
const char *reuse_condition(const struct hap_config *config);
/* Comes before the question: whether the connection has a decision that holds, and takes it. */
void reuse_put(const struct page *page);
/* More of the acls `to_https`, `to_noverify` and `name_known`, which choose a backend. */
void reuse_put_tls_choice(const struct page *page);
/* In a backend whose upstreams speak TLS, first: the port ("to_https" or "to_noverify") and the
 * name, where they were kept. */
void reuse_put_tls(const struct page *page, const char *port);
