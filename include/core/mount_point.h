/* Files that are mounted by themselves, as containers like to have it: they can be written, and not
 * be replaced, for a mount stays where it is (rename(2), EBUSY). */
#pragma once

#include "core/base.h"

/* Whether the file is one. False when it is not there, and on Linux before 5.8, which does not tell
 * (statx(2), STATX_ATTR_MOUNT_ROOT). */
bool file_is_mount_point(const char *path);
