/* The part of the decision that a tenant's suspension and maintenance make. */
#pragma once

#include "agent/answer.h"

/* Whether the tenant that was found does not serve this client now; the decision then says so.
 * Suspension goes before maintenance. */
MUST_CHECK bool outage_decide(const struct request *request, struct decision *decision);
