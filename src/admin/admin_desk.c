/* Desks: where calls are done in other threads than the server's. See admin/admin_server.h.
 *
 * A desk is another thread's, which has a loop and takes what is in its box; or it has none, and
 * each call gets a thread, one after the other. Of the second kind all but the call in hand belongs
 * to the server's thread, so that there is no moment when a thread ends while a call comes.
 */
#include "admin_call.h"

#include "core/memory.h"
#include "core/thread.h"

#include <stdlib.h>

struct admin_desk {
    struct admin_server *server;
    struct main_waker *waker; /* of the desk's thread; NULL: each call has a thread of its own */
    struct admin_box inbox;
    bool is_stuck; /* the server's thread's */
    /* Without a waker: */
    struct admin_call *waiting; /* the next one first */
    size_t waiting_count;
    bool is_busy; /* there is a thread, which has a call in hand */
    pthread_t thread;
};

static void hand_back(const struct admin_desk *desk, struct admin_call *call)
{
    struct main_waker *waker;
    struct admin_box *outbox = admin_server_outbox(desk->server, &waker);
    admin_box_put(outbox, call);
    main_waker_wake(waker);
}

/* -- Of a thread with a loop ------------------------------------------------------------------- */

/* In the desk's thread. */
static void on_calls(void *context)
{
    struct admin_desk *desk = context;
    struct admin_call *call = admin_box_take(&desk->inbox);
    while (call != NULL) {
        struct admin_call *next = call->next;
        admin_call_go_on(call, desk);
        hand_back(desk, call);
        call = next;
    }
}

struct admin_desk *admin_desk_new(struct admin_server *server, struct main_loop *loop,
                                  const struct admin_operation *operations, void *context)
{
    if (server == NULL)
        return NULL;
    struct admin_desk *desk = memory_new(sizeof(*desk));
    desk->server = server;
    desk->waker = main_waker_new(loop, on_calls, desk);
    admin_server_add_table(server, ADMIN_ACCESS_METHOD, operations, context, desk);
    return desk;
}

/* -- Of a thread for each call ----------------------------------------------------------------- */

struct admin_desk *admin_desk_new_threaded(struct admin_server *server)
{
    if (server == NULL)
        return NULL;
    struct admin_desk *desk = memory_new(sizeof(*desk));
    desk->server = server;
    return desk;
}

void admin_desk_add(struct admin_desk *desk, enum admin_access access,
                    const struct admin_operation *operations, void *context)
{
    if (desk != NULL)
        admin_server_add_table(desk->server, access, operations, context, desk);
}

/* In the call's thread, which ends with it. */
static void *work(void *context)
{
    struct admin_call *call = context;
    const struct admin_desk *desk = call->working;
    thread_step_behind();
    admin_call_go_on(call, desk);
    memory_trim(); /* it may have read much */
    hand_back(desk, call);
    return NULL;
}

static void start(struct admin_desk *desk, struct admin_call *call)
{
    struct error_text why;
    call->working = desk;
    desk->is_busy = thread_start(&desk->thread, "admin", work, call, &why) == ERROR_OK;
    if (desk->is_busy)
        return;
    admin_refuse(&call->answer, 503, "%s", why.text);
    call->done = call->part_count;
    hand_back(desk, call);
}

static void wait_in_line(struct admin_desk *desk, struct admin_call *call)
{
    struct admin_call **last = &desk->waiting;
    while (*last != NULL)
        last = &(*last)->next;
    call->next = NULL;
    *last = call;
    desk->waiting_count++;
}

void admin_desk_take_back(struct admin_call *call)
{
    struct admin_desk *desk = call->working;
    call->working = NULL;
    if (desk == NULL || desk->waker != NULL)
        return;
    if (desk->is_busy)
        pthread_join(desk->thread, NULL);
    desk->is_busy = false;
    struct admin_call *next = desk->waiting;
    if (next == NULL)
        return;
    desk->waiting = next->next;
    desk->waiting_count--;
    start(desk, next);
}

/* -- Of both kinds ----------------------------------------------------------------------------- */

bool admin_desk_is_full(const struct admin_desk *desk)
{
    return desk->waiting_count >= ADMIN_WAITING_MAX;
}

void admin_desk_pass_over(struct admin_desk *desk, bool is_stuck)
{
    if (desk != NULL)
        desk->is_stuck = is_stuck;
}

bool admin_desk_is_stuck(const struct admin_desk *desk)
{
    return desk->is_stuck;
}

void admin_desk_put(struct admin_desk *desk, struct admin_call *call)
{
    if (desk->waker != NULL) {
        admin_box_put(&desk->inbox, call);
        main_waker_wake(desk->waker);
    } else if (desk->is_busy || desk->waiting != NULL) {
        wait_in_line(desk, call);
    } else {
        start(desk, call);
    }
}

static void refuse_all(struct admin_call *call)
{
    while (call != NULL) {
        struct admin_call *next = call->next;
        admin_refuse(&call->answer, 503, "the daemon is stopping");
        admin_server_finish(call);
        call = next;
    }
}

void admin_desk_free(struct admin_desk *desk)
{
    if (desk == NULL)
        return;
    struct admin_call *left = desk->waker != NULL ? admin_box_take(&desk->inbox) : desk->waiting;
    desk->waiting = NULL;
    if (desk->is_busy)
        pthread_join(desk->thread, NULL);
    desk->is_busy = false;
    admin_server_remove_desk(desk->server, desk);
    refuse_all(left);
    main_waker_free(desk->waker);
    free(desk);
}
