/* Files that are read as a whole. */
#pragma once

#include "core/error.h"

/* Reads a regular file of at most `max_bytes`; a NUL that does not count stands behind them. What
 * is no file, a FIFO for one, is refused and keeps nobody waiting. `*text` is for free(); after an
 * error it is NULL, and `*size` 0. `size` may be NULL.
 *
 * ERROR_NOT_FOUND: it is not there. ERROR_INVALID: it is no regular file. ERROR_TOO_BIG.
 * ERROR_SYSTEM, with errno: the rest. The reason names the path. */
MUST_CHECK enum error whole_file_read(const char *path, size_t max_bytes, char **text, size_t *size,
                                      struct error_text *why);
