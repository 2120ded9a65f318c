/* Requests go to a desk of another thread and come back while that thread goes, and the next one
 * takes its place: each is answered once, by a desk or with 503 or 404. */
#include "admin_rush.h"

#include <pthread.h>

static unsigned handled; /* by desks, one after the other */

static const struct admin_operation OPERATIONS[] = {
    {"GET", "/v1/{}", admin_rush_handle, "counts", ""},
    {0},
};

/* One thread with a desk. */
static struct {
    struct main_loop *loop;
    struct main_waker *stop;
    struct admin_desk *desk;
    pthread_t thread;
} other;

static void stop_loop(void *context)
{
    main_loop_stop(context);
}

static void *run(void *context)
{
    main_loop_run(context);
    return NULL;
}

static void open_desk(struct admin_server *server)
{
    other.loop = main_loop_new(NULL);
    other.stop = main_waker_new(other.loop, stop_loop, other.loop);
    other.desk = admin_desk_new(server, other.loop, OPERATIONS, &handled);
    admin_rush_check(pthread_create(&other.thread, NULL, run, other.loop) == 0, "no thread");
}

static void close_desk(void)
{
    main_waker_wake(other.stop);
    pthread_join(other.thread, NULL);
    admin_desk_free(other.desk);
    main_waker_free(other.stop);
    main_loop_free(other.loop);
}

int main(void)
{
    static const unsigned STATUSES[] = {404, 503, 0};
    const struct admin_rush rush = {.name = "race_admin_desk",
                                    .clients = 4,
                                    .requests = 100,
                                    .statuses = STATUSES,
                                    .open_desk = open_desk,
                                    .close_desk = close_desk};
    return admin_rush_run(&rush, &handled);
}
