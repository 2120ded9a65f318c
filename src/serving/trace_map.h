/* The trace's file as memory of the process, which a process that is killed leaves whole.
 *
 * Who stores into a mapped file meets SIGBUS where somebody has cut it short (`: >trace`,
 * logrotate's copytruncate), or where a disk that copies on write has no room. Here that ends no
 * process: memory of its own takes the file's place, and what was stored there before is forgotten.
 * Any other SIGBUS ends it as ever.
 */
#pragma once

#include "core/error.h"
#include "net/main_loop.h"
#include "serving/trace_entry.h"

/* One at a time, since signals are the process's: `size` bytes that begin with `header`, 0 behind.
 * `lost` is woken when the file is lost. What is at `path` becomes path.old. NULL with the reason,
 * and errno, when the file cannot be had. Before the threads that use it, and closed after them. */
void *trace_map_open(const char *path, size_t size, const struct trace_header *header,
                     struct main_waker *lost, struct error_text *why);
void trace_map_close(void *block, size_t size);
