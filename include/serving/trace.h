/* The trace: a ring of what each loop decided last, for `kill -USR1`, and on disk, if it is to be,
 * for `owui-spoa replay` and `explain --request-id`.
 *
 * A loop writes its own ring, by stores into memory: the file is mapped, all of it is allocated and
 * touched before the first request comes, and the kernel writes it out in its time. So no call, no
 * lock and no allocation is added to a decision. A file that somebody cuts short later is told in
 * the log (`trace_not_written`); from then on the ring is in memory alone. */
#pragma once

#include "agent/answer.h"
#include "net/main_loop.h"

struct trace_ring; /* one loop's */
struct trace;      /* all of them */

/* `entries` for each of `loops` rings. `path` NULL: in memory alone; a process has one trace with a
 * path. What is at `path` becomes path.old. NULL with the reason, and errno, when the file cannot
 * be had. `main_loop` outlives it, and it the loops' threads. */
struct trace *trace_new(unsigned entries, unsigned loops, const char *path,
                        struct main_loop *main_loop, struct error_text *why);
void trace_free(struct trace *trace);                              /* NULL is fine */
struct trace_ring *trace_ring(struct trace *trace, unsigned loop); /* NULL for no trace */

/* In the loop's thread: copies what tells about the decision, over the oldest entry. */
void trace_add(struct trace_ring *ring, uint64_t generation, uint64_t connection,
               const struct spop_notify *notify, const struct decision *decision);
/* In the loop's thread: a copy of the last entries, the latest first, for free(). */
enum { TRACE_RECENT_MAX = 100 };
struct trace_recent;
struct trace_recent *trace_recent(const struct trace_ring *ring) __attribute__((returns_nonnull));
