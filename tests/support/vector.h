/* Test vectors as text: pairs of hex digits, "ASCII" in quotes, # comments, any white space. */
#pragma once

#include "core/slice.h"

/* The bytes that `text` spells, written to `bytes`. Ends the program with `name` on bad text or
 * lack of room: vectors are part of the source. */
size_t vector_decode(const char *name, struct slice text, uint8_t *bytes, size_t size);

/* A whole file with a NUL behind it, which the caller frees. Ends the program when it cannot be
 * read. */
char *file_load(const char *path, size_t *size);
