/* Files that others put into HAProxy's folder: another client's renewals, copies from another
 * machine. Whatever is wanted and has changed is brought to HAProxys within a look or two. */
#pragma once

#include "sidecar/sidecar.h"

/* Whether others have changed something, at each look. */
void arrivals_look(struct sidecar *sidecar);
/* Goes through what they may have changed. True when the turn is over before all were looked at. */
MUST_CHECK bool arrivals_go_on(struct sidecar *sidecar);
