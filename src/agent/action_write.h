/* Steps that preparing an answer and writing one share. */
#pragma once

#include "agent/answer.h"

/* What the placeholders of `tenant`'s headers stand for. */
void action_set_text(struct writer *actions, struct slice name, struct slice value);
void action_set_number(struct writer *actions, struct slice name, int64_t value);
void action_set_ip(struct writer *actions, struct slice name, const struct ip *ip);
/* All headers in one value, in HAProxy's set-headers-bin form. */
void action_set_headers(struct writer *actions, const struct tenant *tenant,
                        const struct template_values *values);
/* One variable per header; only those whose value depends on the request, or only the others. */
void action_set_header_slots(struct writer *actions, const struct tenant *tenant, bool dynamic,
                             const struct template_values *values);
