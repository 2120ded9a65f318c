/* A desk with a thread for each call is asked by many at once, and goes and is opened again with
 * calls in hand and in line: each is answered once, one is done at a time, and no more wait than
 * may. */
#include "admin/admin_client.h"
#include "admin/admin_server.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLIENTS = 8, REQUESTS = 60, DESKS = 20 };

static struct main_loop *loop;
static char *path;
static struct admin_server *server;
static struct admin_desk *desk;
static struct main_timer *timer;
static unsigned desks;
static unsigned done; /* not atomic: calls are done one after the other */
static atomic_uint answered, clients_done;
static struct main_waker *client_done;

static void check(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "race_admin_threads: %s\n", what);
    exit(1);
}

static void handle(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    unsigned *count = context;
    check(slice_equal(request->item, SLICE("thing")), "another item");
    json_put_integer(admin_answer_body(answer), "count", (int64_t)++ * count);
    usleep(200);
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
        check(answer != NULL && (status == 200 || status == 404 || status == 429 || status == 503),
              "no answer");
        atomic_fetch_add(&answered, status == 200);
        json_free(answer);
    }
    atomic_fetch_add(&clients_done, 1);
    main_waker_wake(client_done);
    return NULL;
}

static void open_desk(void)
{
    desk = admin_desk_new_threaded(server);
    admin_desk_add(desk, ADMIN_ACCESS_READ, OPERATIONS, &done);
    desks++;
}

static void on_timer(void *context)
{
    (void)context;
    if (desks == DESKS)
        return;
    admin_desk_free(desk);
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
    admin_desk_free(desk);
    check(done > 0 && atomic_load(&answered) <= done, "more answers than were given");
    main_timer_free(timer);
    main_waker_free(client_done);
    admin_server_free(server);
    main_loop_free(loop);
    rmdir(folder);
    free(path);
    return 0;
}
