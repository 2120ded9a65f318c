/* Requests go to a desk of another thread and come back while that thread goes, and the next one
 * takes its place: each is answered once, by a desk or with 503 or 404. */
#include "admin/admin_client.h"
#include "admin/admin_server.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLIENTS = 4, REQUESTS = 100, DESKS = 20 };

static struct main_loop *loop;
static char *path;
static unsigned handled; /* by desks, one after the other */
static atomic_uint answered, clients_done;
static struct main_waker *client_done;

static void check(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "race_admin_desk: %s\n", what);
    exit(1);
}

static void handle(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    unsigned *count = context;
    check(slice_equal(request->item, SLICE("thing")), "another item");
    json_put_integer(admin_answer_body(answer), "count", (int64_t)++ * count);
}

static const struct admin_operation OPERATIONS[] = {
    {"GET", "/v1/{}", handle, "counts"},
    {0},
};

static void *client(void *context)
{
    (void)context;
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned status = 0;
        struct json *answer = admin_request(path, "GET", "/v1/thing", NULL, &status, NULL);
        check(answer != NULL && (status == 200 || status == 404 || status == 503), "no answer");
        atomic_fetch_add(&answered, status == 200);
        json_free(answer);
    }
    atomic_fetch_add(&clients_done, 1);
    main_waker_wake(client_done);
    return NULL;
}

/* One thread with a desk. */
static struct {
    struct main_loop *loop;
    struct main_waker *stop;
    struct admin_desk *desk;
    pthread_t thread;
} other;
static struct admin_server *server;
static struct main_timer *timer;
static unsigned desks;

static void stop_loop(void *context)
{
    main_loop_stop(context);
}

static void *run(void *context)
{
    main_loop_run(context);
    return NULL;
}

static void open_desk(void)
{
    other.loop = main_loop_new(NULL);
    other.stop = main_waker_new(other.loop, stop_loop, other.loop);
    other.desk = admin_desk_new(server, other.loop, OPERATIONS, &handled);
    check(pthread_create(&other.thread, NULL, run, other.loop) == 0, "no thread");
    desks++;
}

static void close_desk(void)
{
    main_waker_wake(other.stop);
    pthread_join(other.thread, NULL);
    admin_desk_free(other.desk);
    main_waker_free(other.stop);
    main_loop_free(other.loop);
}

static void on_timer(void *context)
{
    (void)context;
    if (desks == DESKS)
        return;
    close_desk();
    open_desk();
    main_timer_once(timer, 5);
}

static void on_client_done(void *context)
{
    (void)context;
    if (atomic_load(&clients_done) == CLIENTS)
        main_loop_stop(loop);
}

int main(void)
{
    char folder[] = "/tmp/owui-race-XXXXXX";
    pthread_t clients[CLIENTS];
    struct error_text why;
    check(mkdtemp(folder) != NULL, "no folder");
    path = memory_format("%s/admin.sock", folder);
    loop = main_loop_new(NULL);
    server = admin_server_new(loop, path, NULL, &why);
    check(server != NULL, why.text);
    client_done = main_waker_new(loop, on_client_done, NULL);
    timer = main_timer_new(loop, on_timer, NULL);
    open_desk();
    main_timer_once(timer, 5);
    for (unsigned i = 0; i < CLIENTS; i++)
        check(pthread_create(&clients[i], NULL, client, NULL) == 0, "no thread");
    main_loop_run(loop);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    close_desk();
    check(handled > 0 && atomic_load(&answered) <= handled, "more answers than were given");
    main_timer_free(timer);
    main_waker_free(client_done);
    admin_server_free(server);
    main_loop_free(loop);
    rmdir(folder);
    free(path);
    return 0;
}
