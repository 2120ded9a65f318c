/* The question to the agent in haproxy.cfg, and what comes before it. */
#pragma once

#include "page.h"

/* The engines that ask, one for each half of the agents, and for second tries where they need one
 * of their own: see spoe_write.c. */
void question_put_filters(const struct page *page);
/* What is decided without the agent, the question, and what happens when nobody answers it. */
void question_put(const struct page *page);
