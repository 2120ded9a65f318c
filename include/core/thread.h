/* Threads beside the main one. */
#pragma once

#include "core/error.h"

#include <pthread.h>

typedef void *thread_main_fn(void *context);

/* Starts a thread that takes no signals: they are the main thread's. It is to be joined or
 * detached. `name`, static, has 15 characters at most. */
MUST_CHECK enum error thread_start(pthread_t *thread, const char *name, thread_main_fn *run,
                                   void *context, struct error_text *why);

/* Whoever calls has time: where others want the processor too, they get it first. Threads that it
 * starts from then on inherit that. Takes no privilege; where it is refused all goes on as well as
 * it can. */
void thread_step_behind(void);
