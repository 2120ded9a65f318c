/* Files that are mounted by themselves: see core/mount_point.h. */
#include "core/mount_point.h"

#include <fcntl.h>
#include <sys/stat.h>

static bool is_mount_point(const char *path)
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

enum error mount_point_refuse(const char *path, struct error_text *why)
{
    if (!is_mount_point(path))
        return ERROR_OK;
    return error_set(why, ERROR_UNSUPPORTED,
                     "%s is mounted by itself, so that it cannot be replaced: mount its folder "
                     "instead",
                     path);
}
