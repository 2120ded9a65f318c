/* Where a piece of configuration stands, for messages and `explain`. `file` is borrowed from a
 * table that lives as long as the process. */
#pragma once

#include "core/base.h"

struct place {
    const char *file;
    uint32_t line;
    uint32_t column;
};
