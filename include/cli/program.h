/* Programs by their names. */
#pragma once

#include "core/base.h"

/* The file that a shell would start for `name`, or, with `or_roots`, that root's would: a person's
 * PATH may lack /sbin. NULL: there is none. For free(). */
char *program_find(const char *name, bool or_roots);
