/* Clients that ask an admin server for one thing, while the desk that has it goes and the next one
 * takes its place, again and again: each request is answered once. */
#pragma once

#include "admin/admin_server.h"

struct admin_rush {
    const char *name; /* of the program, for what is wrong */
    unsigned clients;
    unsigned requests;        /* of each */
    const unsigned *statuses; /* what an answer may be besides 200; ends with 0 */
    void (*open_desk)(struct admin_server *server);
    void (*close_desk)(void);
};

/* What desks have: the context of each is a counter of what they have done, one after the other. */
void admin_rush_handle(void *context, const struct admin_request *request,
                       struct admin_answer *answer);
/* Ends the program when something is not as it should be. `handled` is the desks' counter. */
int admin_rush_run(const struct admin_rush *rush, const unsigned *handled);
/* Says what is wrong and ends the program, unless it is true. */
void admin_rush_check(bool is_true, const char *what);
