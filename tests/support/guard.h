/* Memory that ends at an unreadable page, so that one byte read or written too far is a crash. */
#pragma once

#include "core/slice.h"

/* `size` bytes whose end is the end of the last readable page. Never freed: for tests, whose
 * processes are short. */
void *guard_new(size_t size);
/* A copy of `bytes` at such a place. */
struct slice guard_copy(struct slice bytes);
