/* The bytes of a file of the configuration. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

struct diagnostics;

/* Reads a regular file of at most JSON_MAX_TEXT_BYTES; the caller frees `*block`. What is said of a
 * failure goes to `text`, and to `diagnostics` no more than that it may pass; both may be NULL. */
MUST_CHECK enum error text_file_read(const char *path, struct diagnostics *diagnostics,
                                     char **block, struct slice *bytes, struct error_text *text);

/* For this thread's next readings, files have these texts instead, whatever is on the disk: to see
 * what a change would mean before it is made. The array is borrowed; (NULL, 0) ends it. */
struct text_overlay {
    const char *path;
    const char *text;
};
void text_file_overlay(const struct text_overlay *overlays, size_t count);
