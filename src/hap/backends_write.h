/* Where haproxy.cfg sends a request: upstreams, named backends, ACME challenges. */
#pragma once

#include "page.h"

/* Of a server: no connection to it is used for a second request. */
#define NONE_KEPT "pool-max-conn 0"

/* In the frontend: by what the agent has said. */
void backends_put_choice(const struct page *page);
/* The sections that it chooses from, but for the agent's own answers. */
void backends_put(const struct page *page);
