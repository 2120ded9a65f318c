/* File descriptors: see fd.h. */
#include "core/fd.h"

#include <errno.h>
#include <unistd.h>

bool fd_write_all(int fd, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t count = write(fd, bytes.data, bytes.size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        bytes = slice_skip(bytes, (size_t)count);
    }
    return true;
}

enum error fd_write_synced(int fd, struct slice bytes, struct error_text *why)
{
    if (!fd_write_all(fd, bytes))
        return error_set_errno(why, "cannot write");
    return fsync(fd) == 0 ? ERROR_OK : error_set_errno(why, "cannot sync");
}
