/* The names of what a loop counts: see net/counters.h. */
#include "net/counters.h"

const char *loop_counter_name(enum loop_counter counter)
{
    static const char *const NAMES[LOOP_COUNTER__MAX] = {
#define X(NAME, METRIC, HELP) [LOOP_##NAME] = (METRIC),
        LOOP_COUNTER_TABLE(X)
#undef X
    };
    assert(counter < LOOP_COUNTER__MAX);
    return NAMES[counter];
}

const char *loop_counter_help(enum loop_counter counter)
{
    static const char *const HELPS[LOOP_COUNTER__MAX] = {
#define X(NAME, METRIC, HELP) [LOOP_##NAME] = (HELP),
        LOOP_COUNTER_TABLE(X)
#undef X
    };
    assert(counter < LOOP_COUNTER__MAX);
    return HELPS[counter];
}
