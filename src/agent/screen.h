/* What a tenant's policy makes of a request that hosts and paths lead to it. */
#pragma once

#include "agent/answer.h"

/* True when the tenant lets the request in; else the decision is made. What HAProxy does not tell,
 * because its configuration is older than the policy, is taken at its worst. */
MUST_CHECK bool screen_passes(const struct snapshot *snapshot, const struct request *request,
                              struct decision *decision);
