/* Files that are read as a whole. */
#pragma once

#include "core/error.h"

/* Reads a regular file of at most `max_bytes` and appends a NUL, which `*size` does not count.
 * Anything but a regular file is refused without waiting for it, as one would for a FIFO. `*text`
 * is for free(); on failure it is NULL and `*size` is 0. `size` may be NULL.
 *
 * ERROR_NOT_FOUND: there is no such file. ERROR_INVALID: it is not a regular file. ERROR_TOO_BIG:
 * it has more than `max_bytes`. ERROR_SYSTEM, with `errno`: all else. The reason names the path. */
MUST_CHECK enum error whole_file_read(const char *path, size_t max_bytes, char **text, size_t *size,
                                      struct error_text *why);
