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
