/* Files that others put into HAProxy's folder: another client's renewals, copies from another
 * machine. Whatever is wanted and has changed is brought to HAProxys within a look or two. */
#pragma once

#include "sidecar/sidecar.h"

/* At each look; true while there is more to do, whose turn is over. */
bool arrivals_look(struct sidecar *sidecar);
/* The rest of what was too much for one turn. */
bool arrivals_go_on(struct sidecar *sidecar);
