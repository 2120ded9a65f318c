/* Files that are mounted by themselves: see core/mount_point.h. */
#include "core/mount_point.h"

#include <fcntl.h>
#include <sys/stat.h>

bool file_is_mount_point(const char *path)
{
#ifdef STATX_ATTR_MOUNT_ROOT
    struct statx about;
    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &about) == 0 &&
           (about.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#else
    (void)path;
    return false;
#endif
}
