/* Counts every allocation of the process, its libraries included. */
#pragma once

#include <stddef.h>

/* How many there were since the first call, which returns 0. */
size_t allocations_count(void);
