/* Files of the configuration: their bytes and their names. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* Reads a regular file of at most JSON_MAX_TEXT_BYTES; the caller frees `*block`. */
MUST_CHECK enum error text_file_read(const char *path, char **block, struct slice *bytes,
                                     struct error_text *text);

/* A copy of the name that lives as long as the process, the same one for the same name. For the
 * thread that reads configuration. */
const char *file_name_keep(const char *name);

/* `name` if it is absolute, else in the folder of the file `beside`; the caller frees it. */
char *file_name_beside(const char *beside, struct slice name);
