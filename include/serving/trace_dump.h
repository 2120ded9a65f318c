/* What SIGUSR1 shows of the trace: the last decisions of each loop, in the log, oldest first.
 *
 * The loops copy theirs when they take over the next published snapshot. The main thread writes
 * them, a few at a time, so that it does not hold up a request, nor outruns who reads the log. A
 * loop that has not copied its own after a second is told of, and passed over. All that is recorded
 * is in the file.
 */
#pragma once

#include "net/main_loop.h"

struct responder;
struct trace_dump;

/* `responders` stay the caller's. */
struct trace_dump *trace_dump_new(struct main_loop *main_loop, struct responder *const *responders,
                                  unsigned count);
void trace_dump_free(struct trace_dump *dump); /* NULL is fine */
/* For the caller to publish a snapshot after it. What is still being shown is begun anew. */
void trace_dump_begin(struct trace_dump *dump);
