/* Labels of wildcard hosts that the tenant's list does not have. */
#pragma once

#include "agent/answer.h"

/* For a request that no instance has (agent/instance.h). False when the tenant has no list, or the
 * label is well on it: an instance may be on its way. True: the request has been answered. */
MUST_CHECK bool unlisted_decide(struct decision *decision);
