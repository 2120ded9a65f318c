/* Keys of cookies: see seals.h. */
#include "serving/seals.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/thread.h"
#include "net/main_loop.h"
#include "serving/seal_file.h"

#include <stdlib.h>

enum {
    LOOK_EVERY_MS = SEAL_FILE_LOOK_S * 1000, /* another agent may have made a new key meanwhile */
    LOCKED_EVERY_MS = 1000,                  /* or is about to */
};

/* A new key on its way to the disk, in a thread of its own: the disk may take its time. */
struct renewal {
    bool is_running;
    pthread_t thread;
    struct main_waker *waker;
    char *path;
    int64_t now_s;
    struct seal_keys keys;
    enum error error;
    struct error_text why;
};

struct seals {
    struct publisher *publisher;
    struct main_timer *timer;
    struct seal_keys keys; /* as published */
    bool used;
    bool failed; /* and told */
    bool locked; /* the same, by somebody else */
    struct renewal renewal;
};

/* Once, until it is over. Whoever has the lock is about to be done: until then it is looked more
 * often. */
static void tell(struct seals *seals, enum error error, const struct error_text *why)
{
    const char *until_then = seals->keys.count > 0 ? "the keys that there are stay in use"
                                                   : "paths of mode \"takeover\" are refused";
    bool is_locked = error == ERROR_BUSY, has_failed = error != ERROR_OK && !is_locked;
    if (is_locked && !seals->locked)
        log_event(LOG_WARNING, "cookie_key_locked", LOG_TEXT("reason", why->text),
                  LOG_TEXT("until_then", until_then));
    if (has_failed && !seals->failed)
        log_event(LOG_ERROR, "no_cookie_key", LOG_TEXT("reason", why->text),
                  LOG_TEXT("until_then", until_then));
    if (is_locked != seals->locked)
        main_timer_every(seals->timer, is_locked ? LOCKED_EVERY_MS : LOOK_EVERY_MS);
    seals->locked = is_locked;
    seals->failed = has_failed;
}

static void put_in_force(struct seals *seals, const struct seal_keys *keys)
{
    if (memcmp(keys, &seals->keys, sizeof(*keys)) == 0)
        return;
    seals->keys = *keys;
    publisher_set_seal(seals->publisher, keys);
}

static void conclude(struct seals *seals, const struct seal_keys *keys, enum error error,
                     const struct error_text *why)
{
    /* A file that cannot be read for a while has what it had. */
    if (error != ERROR_SYSTEM || keys->count > 0)
        put_in_force(seals, keys);
    tell(seals, error, why);
}

static void *renew_in_thread(void *context)
{
    struct renewal *renewal = context;
    renewal->error = seal_file_renew(renewal->path, renewal->now_s, &renewal->keys, &renewal->why);
    main_waker_wake(renewal->waker);
    return NULL;
}

static void end_renewal(struct renewal *renewal)
{
    if (renewal->is_running)
        pthread_join(renewal->thread, NULL);
    renewal->is_running = false;
    free(renewal->path);
    renewal->path = NULL;
}

static void on_renewed(void *context)
{
    struct seals *seals = context;
    if (!seals->renewal.is_running)
        return;
    end_renewal(&seals->renewal);
    conclude(seals, &seals->renewal.keys, seals->renewal.error, &seals->renewal.why);
}

static void begin_renewal(struct seals *seals, const char *path, int64_t now_s)
{
    struct renewal *renewal = &seals->renewal;
    struct error_text why;
    renewal->path = memory_copy_text(slice_of(path));
    renewal->now_s = now_s;
    enum error error = thread_start(&renewal->thread, "cookie-key", renew_in_thread, renewal, &why);
    renewal->is_running = error == ERROR_OK;
    if (renewal->is_running)
        return;
    end_renewal(renewal);
    tell(seals, error, &why);
}

/* The first key of all is waited for: until it is there, who comes is refused. */
static void renew(struct seals *seals)
{
    const char *path = publisher_configuration(seals->publisher)->cookie_key_file;
    int64_t now_s = clock_wall_s();
    struct seal_keys keys;
    struct error_text why;
    bool is_due;
    if (seals->renewal.is_running)
        return;
    enum error error = seal_file_look(path, now_s, &keys, &is_due, &why);
    if (is_due && keys.count > 0) {
        put_in_force(seals, &keys);
        begin_renewal(seals, path, now_s);
    } else {
        if (is_due)
            error = seal_file_renew(path, now_s, &keys, &why);
        conclude(seals, &keys, error, &why);
    }
    memory_wipe(&keys, sizeof(keys));
}

static void look(struct seals *seals)
{
    const struct snapshot *snapshot = publisher_snapshot(seals->publisher);
    if (snapshot == NULL || route_table_takeover_count(snapshot->table) == 0)
        return;
    seals->used = true;
    renew(seals);
}

void seals_look(struct seals *seals)
{
    if (seals != NULL && !seals->used)
        look(seals);
}

static void on_timer(void *context)
{
    look(context);
}

struct seals *seals_new(struct main_loop *loop, struct publisher *publisher)
{
    struct seals *seals = memory_new(sizeof(*seals));
    seals->publisher = publisher;
    seals->timer = main_timer_new(loop, on_timer, seals);
    seals->renewal.waker = main_waker_new(loop, on_renewed, seals);
    main_timer_every(seals->timer, LOOK_EVERY_MS);
    look(seals);
    return seals;
}

void seals_free(struct seals *seals)
{
    if (seals == NULL)
        return;
    end_renewal(&seals->renewal);
    main_waker_free(seals->renewal.waker);
    main_timer_free(seals->timer);
    memory_wipe(seals, sizeof(*seals));
    free(seals);
}
