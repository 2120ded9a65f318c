/* haproxy.cfg's rules for decisions that hold for more than one request: with `decision_map`. */
#pragma once

#include "page.h"

/* Of the agent's question: ` !{ ... }` where it may be needless, or nothing. */
const char *reuse_condition(const struct hap_config *config);
/* Comes before the question: whether the connection has a decision that holds, and takes it. */
void reuse_put(const struct page *page);
/* Such a decision is an answer: more of the acl `answered`. */
void reuse_put_answered(const struct page *page);
/* Comes where requests without `more` do not: takes what few decisions have, and ends the rules,
 * for none of these has what the next ones are for. */
void reuse_put_rest(const struct page *page);
