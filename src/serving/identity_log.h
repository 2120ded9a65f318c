/* Why tokens and certificates are refused, in the log: for each reason one in ten seconds, with
 * how many more there were before it. No token, no part of one and nothing that it claims is
 * written. One for each loop, and for its thread alone. */
#pragma once

#include "agent/answer.h"

struct identity_log_reason {
    int64_t until_ms;
    unsigned passed_over;
};

struct identity_log {
    struct identity_log_reason reasons[IDENTITY_REFUSAL__MAX];
};

void identity_log_add(struct identity_log *log, const struct decision *decision);
