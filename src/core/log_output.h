/* Where the log goes: stderr, which may be a pipe, a socket or a terminal that nobody reads.
 *
 * Who only runs a command waits for his reader, as programs do. A daemon must not: its loops log.
 */
#pragma once

#include "core/base.h"

enum { LOG_LINE_MAX_BYTES = 2048 }; /* a pipe takes it whole, or not at all (PIPE_BUF) */

/* From now on nobody waits for who reads stderr, but for a terminal that cannot be opened anew (see
 * log_output.c). Before threads start; a second call does nothing. */
void log_output_never_wait(void);
/* A line of LOG_LINE_MAX_BYTES at most. False when it could not be written whole. Any thread. */
bool log_output_write(const char *line, size_t size);
