/* Threads beside the main one: see core/thread.h. */
#include "core/thread.h"

#include "core/memory.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { NICENESS = 10 /* more than the process has */ };

struct start {
    const char *name;
    thread_main_fn *run;
    void *context;
};

/* A thread gives itself its name: others write it to /proc, which is root's in a process that is
 * not dumpable. */
static void *begin(void *context)
{
    struct start start = *(struct start *)context;
    free(context);
    pthread_setname_np(pthread_self(), start.name);
    return start.run(start.context);
}

enum error thread_start(pthread_t *thread, const char *name, thread_main_fn *run, void *context,
                        struct error_text *why)
{
    sigset_t all, before;
    struct start *start = memory_new(sizeof(*start));
    *start = (struct start){name, run, context};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(thread, NULL, begin, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0)
        return ERROR_OK;
    free(start);
    return error_set(why, ERROR_SYSTEM, "cannot start the thread \"%s\": %s", name,
                     strerror(failure));
}

void thread_step_behind(void)
{
    int present = getpriority(PRIO_PROCESS, 0); /* 0: this thread, on Linux */
    (void)setpriority(PRIO_PROCESS, 0, present + NICENESS);
}
