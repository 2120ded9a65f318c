/* A route that leads to another tenant. */
#pragma once

#include "agent/answer.h"

/* When the rule that matched names another tenant, the request is that one's from here on, if it
 * lets it in. False when the decision is made. */
MUST_CHECK bool lead_by_route(const struct snapshot *snapshot, const struct request *request,
                              struct decision *decision);
