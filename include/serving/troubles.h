/* What went wrong, counted: one line a minute, and only when there was something. */
#pragma once

#include "net/loop.h"
#include "net/main_loop.h"

struct responder;
struct troubles;

/* `responders` has one for each loop. All stay the caller's. */
struct troubles *troubles_new(struct main_loop *main_loop, struct loops *loops,
                              struct responder *const *responders);
void troubles_free(struct troubles *troubles);
/* Every counter that is not zero, right or wrong, since the start. */
void troubles_tell_all(const struct troubles *troubles);
