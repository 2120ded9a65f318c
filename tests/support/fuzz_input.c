/* See fuzz_input.h. */
#include "support/fuzz_input.h"

#include "fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct slice input_take(struct slice *rest, struct slice end)
{
    const char *at = rest->size > 0 ? memmem(rest->data, rest->size, end.data, end.size) : NULL;
    struct slice head = at != NULL ? slice_head(*rest, (size_t)(at - rest->data)) : *rest;
    *rest = slice_skip(*rest, at != NULL ? head.size + end.size : head.size);
    return head;
}

const char *input_file_write(struct input_file *file, struct slice bytes)
{
    if (file->path[0] == '\0') {
        file->fd = memfd_create("input", MFD_CLOEXEC);
        FUZZ_REQUIRE(file->fd >= 0);
        snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
    }
    FUZZ_REQUIRE(ftruncate(file->fd, 0) == 0);
    FUZZ_REQUIRE(pwrite(file->fd, bytes.data, bytes.size, 0) == (ssize_t)bytes.size);
    return file->path;
}
