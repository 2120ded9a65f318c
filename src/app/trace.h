/* The trace: a ring of what a loop decided last, for `kill -USR1` and nothing else. One ring per
 * loop, written and dumped in the loop's thread alone. */
#pragma once

#include "agent/answer.h"

struct trace;

struct trace *trace_new(unsigned entries); /* NULL for 0: off */
void trace_free(struct trace *trace);
/* Copies what tells about the decision, over the oldest entry. */
void trace_add(struct trace *trace, uint64_t generation, uint64_t connection, uint64_t stream,
               const struct decision *decision);
/* Writes every entry to the log's stream, oldest first, one line each. */
void trace_dump(const struct trace *trace, unsigned loop);
