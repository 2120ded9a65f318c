/* What upstreams are told of the way that a request has come, beyond the usual headers: see
 * "forwarding" of the global file. */
#pragma once

#include "page.h"

/* Headers that say which trace a request belongs to: deleted, unless `keeps_trace` and they are
 * what W3C Trace Context wants. */
bool forwarded_is_trace(const struct hap_config *config, struct slice header);
void forwarded_put_trace(const struct page *page);
/* The chain in X-Forwarded-For, and RFC 7239's header. */
void forwarded_put_headers(const struct page *page);
