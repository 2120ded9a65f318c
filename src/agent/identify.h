/* The part of a decision that asks who the user is. */
#pragma once

#include "agent/answer.h"

/* For a request whose tenant was found: fills decision->identity, and leads users of a shared host
 * to the tenant that their address belongs to. False: the decision is made, nothing is forwarded.
 */
MUST_CHECK bool identify(const struct snapshot *snapshot, const struct request *request,
                         struct decision *decision);
/* Whether Authorization told the identity, and is not for the upstream. */
bool identify_spends(const struct decision *decision);
