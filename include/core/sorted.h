/* Lists that are sorted by name, as strcmp() has it. */
#pragma once

#include "core/base.h"

/* The name at this index of the list. */
typedef const char *sorted_name_fn(const void *list, size_t index);

/* The index of the first of `count` names that does not sort before `name`: where it is, or where
 * it would have to be put. `*is_there` (may be NULL) tells which of the two. */
size_t sorted_place(const void *list, size_t count, sorted_name_fn *name_at, const char *name,
                    bool *is_there);
