/* serving: when the file with the keys of cookies is looked at. The thread that writes it cannot be
 * made to fail from outside, so that the loop, the publisher and the thread are this test's own. */
#include "serving/seals.h"

#include "core/memory.h"
#include "core/thread.h"
#include "net/main_loop.h"
#include "serving/seal_file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static struct {
    struct configuration configuration;
    struct snapshot snapshot;
    main_callback_fn *on_timer;
    main_callback_fn *on_wake;
    void *context;
    int64_t every_ms;
    bool has_no_threads;
} world;

/* -- What seals.c is linked with ----------------------------------------------------------------
 */

const struct configuration *publisher_configuration(const struct publisher *publisher)
{
    (void)publisher;
    return &world.configuration;
}

const struct snapshot *publisher_snapshot(const struct publisher *publisher)
{
    (void)publisher;
    return &world.snapshot;
}

void publisher_set_seal(struct publisher *publisher, const struct seal_keys *keys)
{
    (void)publisher;
    (void)keys;
}

size_t route_table_takeover_count(const struct route_table *table)
{
    (void)table;
    return 1;
}

struct main_timer *main_timer_new(struct main_loop *loop, main_callback_fn *on_timer, void *context)
{
    (void)loop;
    world.on_timer = on_timer;
    world.context = context;
    return NULL;
}

void main_timer_every(struct main_timer *timer, int64_t delay_ms)
{
    (void)timer;
    world.every_ms = delay_ms;
}

void main_timer_free(struct main_timer *timer)
{
    (void)timer;
}

struct main_waker *main_waker_new(struct main_loop *loop, main_callback_fn *on_wake, void *context)
{
    (void)loop;
    (void)context;
    world.on_wake = on_wake;
    return NULL;
}

void main_waker_wake(struct main_waker *waker)
{
    (void)waker;
}

void main_waker_free(struct main_waker *waker)
{
    (void)waker;
}

enum error thread_start(pthread_t *thread, const char *name, thread_main_fn *run, void *context,
                        struct error_text *why)
{
    (void)name;
    if (world.has_no_threads)
        return error_set(why, ERROR_SYSTEM, "there are no threads");
    cr_assert(pthread_create(thread, NULL, run, context) == 0);
    return ERROR_OK;
}

/* -- Tests --------------------------------------------------------------------------------------
 */

enum { LOOK_EVERY_MS = 60 * 1000, LOCKED_EVERY_MS = 1000 };

static char root[] = "/tmp/owui-seals-XXXXXX";
static char *path;
static char *lock_path;
static int lock;

/* A key that is due, and somebody else who has the lock. */
static void set_up(void)
{
    struct seal_keys keys;
    cr_assert(mkdtemp(root) != NULL);
    path = memory_format("%s/keys", root);
    lock_path = memory_format("%s.lock", path);
    cr_assert(eq(int, seal_file_renew(path, 1000, &keys, NULL), ERROR_OK));
    lock = open(lock_path, O_RDWR);
    cr_assert(lock >= 0 && flock(lock, LOCK_EX) == 0);
    world.configuration.cookie_key_file = path;
}

static void tear_down(void)
{
    close(lock);
    unlink(lock_path);
    unlink(path);
    cr_expect(rmdir(root) == 0);
    free(lock_path);
    free(path);
}

TestSuite(seals, .init = set_up, .fini = tear_down);

Test(seals, a_file_that_was_locked_is_looked_at_as_seldom_as_ever_afterwards)
{
    struct seals *seals = seals_new(NULL, NULL);
    cr_expect(world.every_ms == LOOK_EVERY_MS);
    world.on_wake(world.context);
    cr_expect(world.every_ms == LOCKED_EVERY_MS);
    world.has_no_threads = true;
    world.on_timer(world.context);
    cr_expect(world.every_ms == LOOK_EVERY_MS);
    seals_free(seals);
}
