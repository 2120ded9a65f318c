/* A rush on an admin server: see admin_rush.h. */
#include "admin_rush.h"

#include "admin/admin_client.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CLIENTS_MAX = 8, DESKS = 20 };

static const struct admin_rush *rush;
static struct main_loop *loop;
static char *path;
static struct admin_server *server;
static struct main_timer *timer;
static unsigned desks;
static atomic_uint answered, clients_done;
static struct main_waker *client_done;

void admin_rush_check(bool is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "%s: %s\n", rush->name, what);
    exit(1);
}

void admin_rush_handle(void *context, const struct admin_request *request,
                       struct admin_answer *answer)
{
    unsigned *count = context;
    admin_rush_check(slice_equal(request->item, SLICE("thing")), "another item");
    json_put_integer(admin_answer_body(answer), "count", (int64_t)++ * count);
}

static bool may_be(unsigned status)
{
    for (const unsigned *other = rush->statuses; *other != 0; other++)
        if (status == *other)
            return true;
    return status == 200;
}

static void *client(void *context)
{
    (void)context;
    for (unsigned i = 0; i < rush->requests; i++) {
        unsigned status = 0;
        struct json *answer = admin_request(path, "GET", "/v1/thing", NULL, &status, NULL);
        admin_rush_check(answer != NULL && may_be(status), "no answer");
        atomic_fetch_add(&answered, status == 200);
        json_free(answer);
    }
    atomic_fetch_add(&clients_done, 1);
    main_waker_wake(client_done);
    return NULL;
}

static void open_desk(void)
{
    rush->open_desk(server);
    desks++;
}

static void on_timer(void *context)
{
    (void)context;
    if (desks == DESKS)
        return;
    rush->close_desk();
    open_desk();
    main_timer_once(timer, 5);
}

static void on_client_done(void *context)
{
    (void)context;
    if (atomic_load(&clients_done) == rush->clients)
        main_loop_stop(loop);
}

int admin_rush_run(const struct admin_rush *wanted, const unsigned *handled)
{
    char folder[] = "/tmp/owui-race-XXXXXX";
    pthread_t clients[CLIENTS_MAX];
    struct error_text why;
    const unsigned count = wanted->clients;
    rush = wanted;
    assert(count <= CLIENTS_MAX);
    admin_rush_check(mkdtemp(folder) != NULL, "no folder");
    path = memory_format("%s/admin.sock", folder);
    loop = main_loop_new(NULL);
    server = admin_server_new(loop, path, &why);
    admin_rush_check(server != NULL, why.text);
    client_done = main_waker_new(loop, on_client_done, NULL);
    timer = main_timer_new(loop, on_timer, NULL);
    open_desk();
    main_timer_once(timer, 5);
    for (unsigned i = 0; i < count; i++)
        admin_rush_check(pthread_create(&clients[i], NULL, client, NULL) == 0, "no thread");
    main_loop_run(loop);
    for (unsigned i = 0; i < count; i++)
        pthread_join(clients[i], NULL);
    rush->close_desk();
    admin_rush_check(*handled > 0 && atomic_load(&answered) <= *handled,
                     "more answers than were given");
    main_timer_free(timer);
    main_waker_free(client_done);
    admin_server_free(server);
    main_loop_free(loop);
    rmdir(folder);
    free(path);
    return 0;
}
