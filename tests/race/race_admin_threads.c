/* A desk with a thread for each call is asked by many at once, and goes and is opened again with
 * calls in hand and in line: each is answered once, one is done at a time, and no more wait than
 * may. */
#include "admin_rush.h"

#include <unistd.h>

static struct admin_desk *desk;
static unsigned done; /* not atomic: calls are done one after the other */

static void handle(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    admin_rush_handle(context, request, answer);
    usleep(200);
}

static const struct admin_operation OPERATIONS[] = {
    {"GET", "/v1/{}", handle, "counts", ""},
    {0},
};

static void open_desk(struct admin_server *server)
{
    desk = admin_desk_new_threaded(server);
    admin_desk_add(desk, ADMIN_ACCESS_READ, OPERATIONS, &done);
}

static void close_desk(void)
{
    admin_desk_free(desk);
}

int main(void)
{
    static const unsigned STATUSES[] = {404, 429, 503, 0};
    const struct admin_rush rush = {.name = "race_admin_threads",
                                    .clients = 8,
                                    .requests = 60,
                                    .statuses = STATUSES,
                                    .open_desk = open_desk,
                                    .close_desk = close_desk};
    return admin_rush_run(&rush, &done);
}
