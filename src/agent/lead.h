/* Requests that are led from one tenant to another: by a route, or by who the user is. */
#pragma once

#include "agent/answer.h"

/* The request is `tenant`'s from here on. Whose host it is stays told in led_from, however often it
 * is led on. */
void lead_to(struct decision *decision, const struct tenant *tenant);
/* When the rule that matched names another tenant, the request is that one's from here on, if it
 * lets it in. False when the decision is made. */
MUST_CHECK bool lead_by_route(const struct snapshot *snapshot, const struct request *request,
                              struct decision *decision);
