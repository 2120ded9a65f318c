/* What a client gets in haproxy.cfg that is not forwarded: the agent's own answers. */
#pragma once

#include "page.h"

/* The backends owui_answer and owui_refuse. */
void answers_put(const struct page *page);
