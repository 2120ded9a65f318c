/* What the agent's word for a refusal (X-Refused) tells somebody who looks at a tenant from this
 * machine: these are no faults, but what is behind them is not seen. */
#pragma once

#include "core/slice.h"

/* Nobody is served: a maintenance, or a tenant that is suspended. */
bool refused_as_unserved(struct slice refused);
/* Who asks from here is signed in nowhere, and may be none of the clients whom the tenant serves.
 */
bool refused_as_not_let_in(struct slice refused);
