/* serving/map_keeper: a map of HAProxy's, in its file and in a Runtime API that a test answers. */
#include "serving/map_keeper.h"

#include "core/clock.h"
#include "core/whole_file.h"
#include "counted.h"
#include "fake_runtime.h"

#include <criterion/new/assert.h>

enum { PATIENCE_MS = 20 * 1000, SILENCE_MS = 600 };

struct test {
    char *folder;
    char *path; /* of the map; NULL: none is wanted */
    struct fake_runtime fake;
    char *sockets[1];
    struct main_loop *loop;
    struct main_timer *timer;
    struct map_keeper *keeper;
    const char *value; /* of the only key; NULL: the map is empty */
    int64_t end_ms;
    char *asked; /* so far */
    const char *awaited;
};

static struct test *present; /* what a kind's functions go by */

static const char *path_of(const struct hap_config *haproxy)
{
    return haproxy->fallback_map;
}

static struct runtime_map *make(const struct snapshot *snapshot, bool *changes)
{
    (void)snapshot;
    struct runtime_map *map = memory_new(sizeof(*map));
    *changes = false;
    if (present->value == NULL)
        return map;
    map->entries = memory_new(sizeof(*map->entries));
    map->entries[0] = (struct runtime_map_entry){memory_copy_text(SLICE("key")),
                                                 memory_copy_text(slice_of(present->value))};
    map->count = 1;
    return map;
}

static const struct map_kind KIND = {.path = path_of,
                                     .make = make,
                                     .comment = "a map",
                                     .loaded = "map_loaded",
                                     .not_loaded = "map_not_loaded",
                                     .not_written = "map_not_written"};

static const struct snapshot *present_snapshot(void *context)
{
    static const struct snapshot NONE;
    (void)context;
    return &NONE;
}

enum { YOUNG, OLD, AWAY, REFUSING, WITHOUT };

/* One process from first to last, by its number; its age and what it takes is the state. */
static const char *answer(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    (void)is_cut;
    if (fake->state == AWAY)
        return NULL;
    if (strncmp(command, "show info", 9) == 0)
        return fake->state == YOUNG || fake->state == WITHOUT ? "Pid: 7\nUptime_sec: 1\n"
                                                              : "Pid: 7\nUptime_sec: 1000\n";
    if (strncmp(command, "prepare map", 11) == 0)
        return fake->state == REFUSING  ? "No memory\n"
               : fake->state == WITHOUT ? "Unknown map identifier. Please use #<id> or <name>.\n"
                                        : "New version created: 3\n";
    return "\n";
}

static void collect(struct test *test)
{
    char *more = fake_runtime_take(&test->fake);
    char *longer = memory_format("%s%s", test->asked, more);
    free(test->asked);
    free(more);
    test->asked = longer;
}

static void on_turn(void *context)
{
    struct test *test = context;
    collect(test);
    if (clock_mono_ms() >= test->end_ms ||
        (test->awaited != NULL && strstr(test->asked, test->awaited) != NULL))
        main_loop_stop(test->loop);
}

static void run(struct test *test, int64_t ms, const char *awaited)
{
    test->end_ms = clock_mono_ms() + ms;
    test->awaited = awaited;
    main_timer_every(test->timer, 2);
    main_loop_run(test->loop);
    main_timer_stop(test->timer);
    if (awaited != NULL)
        cr_expect(ne(ptr, strstr(test->asked, awaited), NULL), "%s", test->asked);
    free(test->asked);
    test->asked = memory_copy_text(SLICE(""));
}

static void configure(struct test *test)
{
    const struct hap_config haproxy = {
        .fallback_map = test->path, .runtime = test->sockets, .runtime_count = 1};
    cr_expect(map_keeper_configure(test->keeper, &haproxy));
}

/* The map is there, with "one". */
static void begin(struct test *test)
{
    const struct map_keeper_host host = {present_snapshot, NULL};
    *test = (struct test){.folder = memory_format("/tmp/owui-keeper-XXXXXX"),
                          .value = "one",
                          .asked = memory_copy_text(SLICE(""))};
    present = test;
    cr_assert(ne(ptr, mkdtemp(test->folder), NULL));
    test->path = memory_format("%s/a.map", test->folder);
    fake_runtime_start(&test->fake, answer);
    fake_runtime_set(&test->fake, OLD);
    test->sockets[0] = test->fake.path;
    test->loop = main_loop_new(NULL);
    test->timer = main_timer_new(test->loop, on_turn, test);
    test->keeper = map_keeper_new(test->loop, &KIND, &host);
    configure(test);
    run(test, PATIENCE_MS, "commit map @3");
}

static void end(struct test *test)
{
    map_keeper_free(test->keeper);
    main_timer_free(test->timer);
    main_loop_free(test->loop);
    fake_runtime_stop(&test->fake);
    char *command = memory_format("rm -r %s", test->folder);
    cr_expect(zero(int, system(command)));
    free(command);
    free(test->folder);
    free(test->path);
    free(test->asked);
}

static void expect_file(const struct test *test, const char *text)
{
    char *found;
    struct error_text why;
    cr_assert(eq(int, whole_file_read(test->path, 1000, &found, NULL, &why), ERROR_OK), "%s",
              why.text);
    cr_expect(zero(int, strcmp(found, text)), "%s", found);
    free(found);
}

static void change(struct test *test, const char *value)
{
    test->value = value;
    map_keeper_look(test->keeper);
}

Test(map_keeper, a_change_is_in_the_file_and_then_in_haproxy)
{
    struct test test;
    begin(&test);
    expect_file(&test, "# a map\nkey one\n");
    change(&test, "two");
    expect_file(&test, "# a map\nkey two\n");
    run(&test, PATIENCE_MS, "set map ");
    change(&test, "two");
    run(&test, SILENCE_MS, NULL);
    end(&test);
}

/* What has come while a command was under way is told behind it, as it is by then. */
Test(map_keeper, changes_that_come_at_once_end_with_the_last)
{
    struct test test;
    begin(&test);
    change(&test, "two");
    change(&test, "three");
    change(&test, NULL);
    run(&test, PATIENCE_MS, "del map ");
    expect_file(&test, "# a map\n");
    end(&test);
}

/* In a container the next process has the same number. */
Test(map_keeper, a_haproxy_that_began_again_is_given_the_map)
{
    struct test test;
    begin(&test);
    fake_runtime_set(&test.fake, YOUNG);
    run(&test, PATIENCE_MS, "commit map @3");
    end(&test);
}

Test(map_keeper, a_haproxy_that_is_as_it_was_is_not_told_again)
{
    enum { TWO_LOOKS_MS = 11 * 1000 };
    struct test test;
    begin(&test);
    test.end_ms = clock_mono_ms() + TWO_LOOKS_MS;
    test.awaited = NULL;
    main_timer_every(test.timer, 2);
    main_loop_run(test.loop);
    cr_expect(zero(int, strcmp(test.asked, "")), "%s", test.asked);
    end(&test);
}

Test(map_keeper, a_haproxy_that_was_away_is_given_the_map)
{
    struct test test;
    begin(&test);
    size_t before = counted_in_log("map_not_loaded");
    fake_runtime_set(&test.fake, AWAY);
    change(&test, "two");
    run(&test, 8000, NULL); /* looks are many meanwhile */
    cr_expect(
        le(sz, counted_in_log("map_not_loaded"), before + 2)); /* the change, and who there is */
    fake_runtime_set(&test.fake, OLD);
    run(&test, 3000, "commit map @3");
    end(&test);
}

Test(map_keeper, what_haproxy_refuses_is_told_once_and_tried_again)
{
    struct test test;
    begin(&test);
    size_t before = counted_in_log("map_not_loaded");
    fake_runtime_set(&test.fake, REFUSING);
    configure(&test); /* it is not known what it has */
    run(&test, PATIENCE_MS, "prepare map ");
    run(&test, PATIENCE_MS, "prepare map ");
    cr_expect(eq(sz, counted_in_log("map_not_loaded"), before + 1));
    fake_runtime_set(&test.fake, OLD);
    run(&test, PATIENCE_MS, "commit map @3");
    end(&test);
}

/* HAProxy would not start without it. */
Test(map_keeper, a_file_that_was_removed_is_made_again)
{
    struct test test;
    begin(&test);
    cr_assert(zero(int, unlink(test.path)));
    for (int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
         access(test.path, F_OK) != 0 && clock_mono_ms() < end_ms;)
        run(&test, 100, NULL);
    expect_file(&test, "# a map\nkey one\n");
    end(&test);
}

Test(map_keeper, what_is_not_wanted_any_more_is_emptied_and_left)
{
    struct test test;
    begin(&test);
    const struct hap_config without = {.runtime = test.sockets, .runtime_count = 1};
    cr_expect(map_keeper_configure(test.keeper, &without));
    run(&test, PATIENCE_MS, "commit map @3");
    expect_file(&test, "# a map\n");
    change(&test, "two");
    expect_file(&test, "# a map\n");
    cr_assert(zero(int, unlink(test.path)));
    run(&test, 6000, NULL);
    cr_expect(ne(int, access(test.path, F_OK), 0));
    configure(&test);
    expect_file(&test, "# a map\nkey two\n");
    const struct hap_config elsewhere = {.fallback_map = (char[]){"/nowhere/b.map"}};
    cr_expect(not(map_keeper_configure(test.keeper, &elsewhere)));
    end(&test);
}

/* Taken out of the agent's configuration first, and of HAProxy's then. */
Test(map_keeper, a_haproxy_that_has_lost_what_is_not_wanted_is_well)
{
    enum { TWO_LOOKS_MS = 11 * 1000 };
    struct test test;
    begin(&test);
    const struct hap_config without = {.runtime = test.sockets, .runtime_count = 1};
    cr_expect(map_keeper_configure(test.keeper, &without));
    run(&test, PATIENCE_MS, "commit map @3");
    size_t before = counted_in_log("map_not_loaded");
    fake_runtime_set(&test.fake, WITHOUT);
    run(&test, PATIENCE_MS, "prepare map ");
    test.end_ms = clock_mono_ms() + TWO_LOOKS_MS;
    test.awaited = NULL;
    main_timer_every(test.timer, 2);
    main_loop_run(test.loop);
    cr_expect(zero(ptr, strstr(test.asked, "prepare map ")), "%s", test.asked);
    cr_expect(eq(sz, counted_in_log("map_not_loaded"), before));
    configure(&test);
    run(&test, PATIENCE_MS, "prepare map ");
    run(&test, SILENCE_MS, NULL);
    cr_expect(eq(sz, counted_in_log("map_not_loaded"), before + 1));
    end(&test);
}
