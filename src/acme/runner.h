/* Performs what a flow asks for: signs, sends, waits. */
#pragma once

#include "ca.h"

struct runner;

struct runner_hooks {
    /* After every answer, before the next request: what has changed can be written down. */
    void (*on_progress)(void *context);
    /* The flow wants its challenges published; runner_resume() goes on. */
    void (*on_publish)(void *context);
    /* The flow is done or has failed. The runner may be freed. */
    void (*on_end)(void *context, bool done);
};

/* A runner whose flow is to be begun with one of the acme_flow_...() functions. */
struct runner *runner_new(struct ca *ca, const struct runner_hooks *hooks, void *context);
/* Gives up what is under way. NULL is fine. */
void runner_free(struct runner *runner);
struct acme_flow *runner_flow(struct runner *runner);
/* Takes the first step, later, from the loop. */
void runner_start(struct runner *runner);
void runner_resume(struct runner *runner);
/* Ends the flow with a problem of our own. */
void runner_fail(struct runner *runner, const struct acme_problem *problem);
