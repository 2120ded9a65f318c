/* The rules of haproxy.cfg for the time without an agent. */
#pragma once

#include "page.h"

/* After the agent was asked: what its answer would have been, from the map of `fallback_map`; see
 * agent/fallback.h for what stands there. Nothing without a map. */
void fallback_put_answer(const struct page *page);
/* Among the headers that the upstream is told: the tenant's own. */
void fallback_put_headers(const struct page *page);
