/* The bytes of a file of the configuration. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* Reads a regular file of at most JSON_MAX_TEXT_BYTES; the caller frees `*block`. */
MUST_CHECK enum error text_file_read(const char *path, char **block, struct slice *bytes,
                                     struct error_text *text);
/* The errno of this thread's last reading that failed for a reason that may pass though the file
 * stays as it is, such as want of descriptors or of a right; 0: none did since the last call. */
int text_file_take_trouble(void);

/* For this thread's next readings, files have these texts instead, whatever is on the disk: to see
 * what a change would mean before it is made. The array is borrowed; (NULL, 0) ends it. */
struct text_overlay {
    const char *path;
    const char *text;
};
void text_file_overlay(const struct text_overlay *overlays, size_t count);
