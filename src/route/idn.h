/* Internationalised names of the configuration (IDNA 2008 with UTS 46 mapping). */
#pragma once

#include "route/host.h"

/* Writes the xn-- form of `text`, which is UTF-8, with its NUL. Slow; allocates. */
MUST_CHECK bool idn_to_ascii(struct slice text, char name[static HOST_MAX_BYTES + 1]);
