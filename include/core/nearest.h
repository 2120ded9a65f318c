/* Guesses which name was meant by one that does not exist. */
#pragma once

#include "core/slice.h"

/* The candidate that `text` was probably meant to be, or NULL when none is near. `candidates` is an
 * array of `count` rows of `stride` bytes each, which begin with the name (a const char *). */
const char *nearest_name(struct slice text, const void *candidates, size_t count, size_t stride);
/* "did you mean ...?", or a list of all candidates when none is near. For free(). */
char *nearest_hint(struct slice text, const void *candidates, size_t count, size_t stride);
