/* Files that are mounted by themselves, as containers like to have it: they can be written, and not
 * be replaced, for a mount stays where it is (rename(2), EBUSY). */
#pragma once

#include "core/error.h"

/* ERROR_UNSUPPORTED, with what to do, when the file is one. ERROR_OK when it is not there, and on
 * Linux before 5.8, which does not tell (statx(2), STATX_ATTR_MOUNT_ROOT). */
MUST_CHECK enum error mount_point_refuse(const char *path, struct error_text *why);
