/* Threads beside the main one. */
#pragma once

#include "core/error.h"

#include <pthread.h>

typedef void *thread_main_fn(void *context);

/* Starts a thread with all signals blocked, since they are the main thread's. The caller joins or
 * detaches it. `name` has at most 15 characters and outlives the call. */
MUST_CHECK enum error thread_start(pthread_t *thread, const char *name, thread_main_fn *run,
                                   void *context, struct error_text *why);

/* Lowers the priority of the calling thread, and of threads that it starts from then on: its work
 * may wait while others want the processor. Needs no privilege; a refusal is ignored. */
void thread_step_behind(void);
