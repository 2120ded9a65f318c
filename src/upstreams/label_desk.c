/* A small locked queue from the loops to the main thread: see label_desk.h. */
#include "upstreams/label_desk.h"

#include "core/fair.h"
#include "core/memory.h"

#include <pthread.h>
#include <stdlib.h>

enum { DESK_SIZE = 256 };

struct label_desk {
    struct main_waker *waker;
    label_request_fn *on_request;
    void *context;
    pthread_mutex_t lock;
    unsigned count;                          /* under the lock */
    struct label_request waiting[DESK_SIZE]; /* under the lock */
};

static unsigned take_all(struct label_desk *desk, struct label_request taken[static DESK_SIZE])
{
    pthread_mutex_lock(&desk->lock);
    unsigned count = desk->count;
    memcpy(taken, desk->waiting, count * sizeof(taken[0]));
    desk->count = 0;
    pthread_mutex_unlock(&desk->lock);
    return count;
}

static void on_wake(void *context)
{
    struct label_desk *desk = context;
    struct label_request taken[DESK_SIZE];
    unsigned count = take_all(desk, taken);
    for (unsigned i = 0; i < count; i++)
        desk->on_request(desk->context, &taken[i]);
}

struct label_desk *label_desk_new(struct main_loop *main_loop, label_request_fn *on_request,
                                  void *context)
{
    struct label_desk *desk = memory_new(sizeof(*desk));
    desk->on_request = on_request;
    desk->context = context;
    desk->waker = main_waker_new(main_loop, on_wake, desk);
    pthread_mutex_init(&desk->lock, NULL);
    return desk;
}

void label_desk_free(struct label_desk *desk)
{
    if (desk == NULL)
        return;
    main_waker_free(desk->waker);
    pthread_mutex_destroy(&desk->lock);
    free(desk);
}

static bool copy_text(char *room, size_t size, struct slice text)
{
    if (text.size == 0 || text.size >= size)
        return false;
    memcpy(room, text.data, text.size);
    room[text.size] = '\0';
    return true;
}

/* Under the lock. False when too many wait. */
static bool put(struct label_desk *desk, const struct label_request *request)
{
    unsigned own = 0;
    for (unsigned i = 0; i < desk->count; i++) {
        const struct label_request *other = &desk->waiting[i];
        if (strcmp(other->tenant, request->tenant) != 0)
            continue;
        if (strcmp(other->label, request->label) == 0)
            return true;
        own++;
    }
    if (!fair_has_room(own, desk->count, DESK_SIZE))
        return false;
    desk->waiting[desk->count++] = *request;
    return true;
}

bool label_desk_ask(struct label_desk *desk, struct slice tenant, struct slice label)
{
    struct label_request request;
    if (!copy_text(request.tenant, sizeof(request.tenant), tenant) ||
        !copy_text(request.label, sizeof(request.label), label))
        return false;
    pthread_mutex_lock(&desk->lock);
    bool is_there = put(desk, &request);
    pthread_mutex_unlock(&desk->lock);
    if (is_there)
        main_waker_wake(desk->waker);
    return is_there;
}
