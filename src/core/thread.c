/* Threads beside the main one: see core/thread.h. */
#include "core/thread.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

enum { NICENESS = 10 /* more than the process has */ };

enum error thread_start(pthread_t *thread, const char *name, thread_main_fn *run, void *context,
                        struct error_text *why)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0)
        return error_set(why, ERROR_SYSTEM, "cannot start the thread \"%s\": %s", name,
                         strerror(failure));
    pthread_setname_np(*thread, name);
    return ERROR_OK;
}

void thread_step_behind(void)
{
    int present = getpriority(PRIO_PROCESS, 0); /* 0: this thread, on Linux */
    (void)setpriority(PRIO_PROCESS, 0, present + NICENESS);
}
