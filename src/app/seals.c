/* Keys of cookies: see seals.h. */
#include "seals.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "net/main_loop.h"
#include "seal_file.h"

#include <stdlib.h>

enum {
    LOOK_EVERY_MS = 60 * 1000, /* another agent may have made a new key meanwhile */
    LOCKED_EVERY_MS = 1000,    /* or is about to */
};

struct seals {
    struct publisher *publisher;
    struct main_timer *timer;
    struct seal_keys keys; /* as published */
    bool used;
    bool failed; /* and told */
    bool locked; /* the same, by somebody else */
};

/* Once, until it is over. */
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
    seals->locked = is_locked;
    seals->failed = has_failed;
}

static void renew(struct seals *seals)
{
    const struct configuration *configuration = publisher_configuration(seals->publisher);
    struct seal_keys keys;
    struct error_text why;
    enum error error = seal_file_renew(configuration->cookie_key_file, clock_wall_s(), &keys, &why);
    bool was_locked = seals->locked;
    if (memcmp(&keys, &seals->keys, sizeof(keys)) != 0) {
        seals->keys = keys;
        publisher_set_seal(seals->publisher, &keys);
    }
    tell(seals, error, &why);
    if (seals->locked != was_locked)
        main_timer_every(seals->timer, seals->locked ? LOCKED_EVERY_MS : LOOK_EVERY_MS);
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
    main_timer_every(seals->timer, LOOK_EVERY_MS);
    look(seals);
    return seals;
}

void seals_free(struct seals *seals)
{
    if (seals == NULL)
        return;
    main_timer_free(seals->timer);
    memory_wipe(seals, sizeof(*seals));
    free(seals);
}
