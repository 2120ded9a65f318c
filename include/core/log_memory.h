/* The last lines of the log that an admin should have seen: errors, warnings and notices. */
#pragma once

#include "core/log.h"

enum { LOG_MEMORY_LINES = 128 };

/* Any thread; log_event() calls it. */
void log_memory_add(int64_t wall_ms, enum log_level level, const char *event,
                    const struct log_field *fields);
/* All of them as lines of JSON, oldest first; for free(). */
char *log_memory_lines(void) __attribute__((returns_nonnull));
