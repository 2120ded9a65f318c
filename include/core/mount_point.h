/* Files that are mount points, as containers often have them: they can be written to but not
 * replaced, because rename(2) onto a mount point fails with EBUSY. */
#pragma once

#include "core/error.h"

/* ERROR_UNSUPPORTED, with what to do about it, when the file is a mount point. ERROR_OK when it is
 * not, when there is no such file, and on Linux before 5.8, which does not tell (statx(2),
 * STATX_ATTR_MOUNT_ROOT). */
MUST_CHECK enum error mount_point_refuse(const char *path, struct error_text *why);
