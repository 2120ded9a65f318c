/* HAProxy's connections to the agents. Several are two halves, of which each can stand in for the
 * other: see question_write.c. */
#pragma once

#include "page.h"

/* Behind the name of the backend in which the other half comes first. */
#define AGENTS_OTHER "_other"

bool agents_are_several(const struct hap_config *config);
/* How long HAProxy waits for an answer. */
unsigned agents_answer_ms(const struct hap_config *config);
/* The backends owui_agents and, of several, owui_agents_other. */
void agents_put(const struct page *page);
