/* The one hash of the project (XXH3, by xxHash), seeded once per process against crafted keys. */
#pragma once

#include "core/slice.h"

uint64_t hash_bytes(struct slice bytes);

/* A stable hash of content, the same in every process: for generations and file names. */
uint64_t hash_content(struct slice bytes, uint64_t previous);
