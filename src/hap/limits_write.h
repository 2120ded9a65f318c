/* The parts of haproxy.cfg that count: see agent/answer.h for the variables. */
#pragma once

#include "page.h"

/* In each backend of upstreams: what is not told leaves the timeouts as they are. */
#define LIMITS_TIMEOUT_RULES                                 \
    "    http-request set-timeout server var(txn.owui.ts)\n" \
    "    http-request set-timeout tunnel var(txn.owui.tt)\n"

/* In the frontend, for requests that have limits; the acl `websocket` is known. */
void limits_put_counting(const struct page *page);
/* In the backend owui_answer; the acl `api` is known. */
void limits_put_answers(const struct page *page);
/* The stick tables, each in a backend of its own. */
void limits_put_tables(const struct page *page);
