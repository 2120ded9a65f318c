/* Files that are read as a whole: see core/whole_file.h. */
#include "core/whole_file.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum error too_big(const char *path, size_t max_bytes, struct error_text *why)
{
    if (max_bytes >= 1024 * 1024)
        return error_set(why, ERROR_TOO_BIG, "%s is bigger than %zu MB", path,
                         max_bytes / 1024 / 1024);
    return error_set(why, ERROR_TOO_BIG, "%s is bigger than %zu bytes", path, max_bytes);
}

/* Until the end of the file, which may be shorter or longer by now than `expected`. */
static enum error read_on(int fd, const char *path, size_t expected, size_t max_bytes, char **text,
                          size_t *size, struct error_text *why)
{
    size_t capacity = expected + 1;
    *size = 0;
    *text = memory_resize(NULL, capacity, 1);
    for (;;) {
        ssize_t got = read(fd, *text + *size, capacity - *size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(why, "cannot read %s", path);
        if (got == 0)
            break;
        *size += (size_t)got;
        if (*size > max_bytes)
            return too_big(path, max_bytes, why);
        if (*size == capacity) {
            capacity *= 2;
            *text = memory_resize(*text, capacity, 1);
        }
    }
    (*text)[*size] = '\0';
    return ERROR_OK;
}

static enum error read_open(int fd, const char *path, size_t max_bytes, char **text, size_t *size,
                            struct error_text *why)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_set_errno(why, "cannot read %s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(why, ERROR_INVALID, "%s is not a regular file", path);
    if ((uintmax_t)status.st_size > max_bytes)
        return too_big(path, max_bytes, why);
    return read_on(fd, path, (size_t)status.st_size, max_bytes, text, size, why);
}

enum error whole_file_read(const char *path, size_t max_bytes, char **text, size_t *size,
                           struct error_text *why)
{
    size_t read_bytes = 0;
    *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum error error = fd < 0 ? error_set_errno(why, "cannot open %s", path)
                              : read_open(fd, path, max_bytes, text, &read_bytes, why);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (error != ERROR_OK) {
        free(*text);
        *text = NULL;
        read_bytes = 0;
    }
    if (size != NULL)
        *size = read_bytes;
    errno = saved;
    return fd < 0 && saved == ENOENT ? ERROR_NOT_FOUND : error;
}
