/* How often something is said, for tests that expect it so many times. */
#pragma once

#include "core/log_memory.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

/* Of `part` in the text. */
static inline size_t counted(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

/* In what the log keeps in memory. */
static inline size_t counted_in_log(const char *part)
{
    char *lines = log_memory_lines();
    size_t count = counted(lines, part);
    free(lines);
    return count;
}

/* Events of that name, whole. */
static inline size_t counted_events(const char *event)
{
    char *member = memory_format("\"event\":\"%s\"", event);
    size_t count = counted_in_log(member);
    free(member);
    return count;
}
