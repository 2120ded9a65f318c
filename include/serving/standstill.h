/* Threads that have stopped coming round: a loop that is stuck answers nobody on its connections,
 * and a sidecar that is gets no certificate. Neither can tell so itself; the main thread can.
 *
 * Each thread counts its turns. The main thread looks once a second, and has loops turn for it.
 * What is counted is looks without a turn, not time: a machine that slept, a process that was
 * stopped, and a main thread that was busy itself make one look late, and are no alarm.
 */
#pragma once

#include "core/base.h"

#include <stdint.h>

struct certificates;
struct loops;
struct main_loop;
struct standstill;

/* Begins to look. `certificates` may be NULL; all stay the caller's. */
struct standstill *standstill_new(struct main_loop *main_loop, struct loops *loops,
                                  struct certificates *certificates);
void standstill_free(struct standstill *standstill); /* NULL is fine, here and below */
/* Who ends a thread is not to be told that it stands still. */
void standstill_stop(struct standstill *standstill);

struct standing_thread {
    const char *name; /* as the kernel has it: "loop-0", "sidecar" */
    bool is_loop;
    long long for_s;
};

/* The one of this number among those that stand still; false when there are not so many. */
bool standstill_at(const struct standstill *standstill, size_t number,
                   struct standing_thread *thread);
/* Whether a loop does: a sidecar's standstill keeps nobody from being answered. */
bool standstill_of_loop(const struct standstill *standstill);

/* -- What is concluded from a look. No clock, no thread. --------------------------------------- */

struct turns_seen {
    uint64_t turns;  /* at the last look */
    unsigned missed; /* looks in a row without a turn */
};

enum turns_news { TURNS_AS_BEFORE, TURNS_STOPPED, TURNS_AGAIN };

/* `missed_max`: so many looks in a row may be missed before that is a standstill. */
MUST_CHECK enum turns_news turns_look(struct turns_seen *seen, uint64_t turns, unsigned missed_max);
