/* The bytes of a file of the configuration. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* Reads a regular file of at most JSON_MAX_TEXT_BYTES; the caller frees `*block`. */
MUST_CHECK enum error text_file_read(const char *path, char **block, struct slice *bytes,
                                     struct error_text *text);
