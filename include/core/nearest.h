/* What somebody probably meant who wrote a name that does not exist. */
#pragma once

#include "core/slice.h"

/* The candidate that `text` was probably meant to be, or NULL. Each candidate is followed by the
 * next `stride` bytes later: rows of a table that begin with the name. */
const char *nearest_name(struct slice text, const void *candidates, size_t count, size_t stride);
/* "did you mean ...?", or all candidates when there is no near one. To be freed. */
char *nearest_hint(struct slice text, const void *candidates, size_t count, size_t stride);
