/* sources/watch: which changes are told, as what, and when. */
#include "sources/watch.h"

#include "core/clock.h"
#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 20 * 1000, /* until what is expected is missed */
    SILENCE_MS = 200,        /* in which what is not expected would have come */
    SLOW_MS = 3 * 1000,      /* a writer may take as long */
};

struct test {
    char *home;
    struct main_loop *loop;
    struct main_timer *timer;
    struct watch *watch;
    int64_t end_ms;
    /* What was told. */
    size_t globals, folders;
    char *files; /* "one.json two.json ", of one call behind the other */
    char *first; /* the first call's */
    char *named;
    char *first_named;
    bool (*is_enough)(const struct test *test);
};

static void add_names(char **told, char *const *paths, size_t count)
{
    size_t size = strlen(*told);
    for (size_t i = 0; i < count; i++) {
        size_t more = strlen(paths[i]);
        *told = memory_resize(*told, size + more + 2, 1);
        memcpy(*told + size, paths[i], more);
        size += more;
        memcpy(*told + size++, " ", 2);
    }
}

static void on_global(void *context)
{
    struct test *test = context;
    test->globals++;
}

static void on_folder(void *context)
{
    struct test *test = context;
    test->folders++;
}

static void on_files(void *context, char *const *paths, size_t count)
{
    struct test *test = context;
    cr_expect(lt(sz, 0, count));
    add_names(&test->files, paths, count);
    if (test->first == NULL)
        test->first = memory_copy_text(slice_of(test->files));
}

static void on_named(void *context, char *const *paths, size_t count)
{
    struct test *test = context;
    cr_expect(lt(sz, 0, count));
    add_names(&test->named, paths, count);
    if (test->first_named == NULL)
        test->first_named = memory_copy_text(slice_of(test->named));
}

static void on_turn(void *context)
{
    struct test *test = context;
    if (clock_mono_ms() >= test->end_ms || (test->is_enough != NULL && test->is_enough(test)))
        main_loop_stop(test->loop);
}

static void run(struct test *test, int64_t ms)
{
    test->end_ms = clock_mono_ms() + ms;
    main_timer_every(test->timer, 1);
    main_loop_run(test->loop);
    main_timer_stop(test->timer);
    test->is_enough = NULL;
}

static void await(struct test *test, bool (*is_enough)(const struct test *test))
{
    test->is_enough = is_enough;
    run(test, PATIENCE_MS);
    cr_expect(is_enough(test), "globals %zu folders %zu files %s named %s", test->globals,
              test->folders, test->files, test->named);
}

static void forget(struct test *test)
{
    free(test->files);
    free(test->first);
    free(test->named);
    free(test->first_named);
    test->first = test->first_named = NULL;
    test->files = memory_copy_text(SLICE(""));
    test->named = memory_copy_text(SLICE(""));
    test->globals = test->folders = 0;
}

static bool has_file(const struct test *test)
{
    return test->files[0] != '\0';
}

static bool has_named(const struct test *test)
{
    return test->named[0] != '\0';
}

static bool has_global(const struct test *test)
{
    return test->globals > 0;
}

static bool has_folder(const struct test *test)
{
    return test->folders > 0;
}

static bool has_both(const struct test *test)
{
    return has_global(test) && has_folder(test);
}

#define expect_files(TEST, TEXT) \
    cr_expect(zero(int, strcmp((TEST)->files, TEXT)), "%s", (TEST)->files)

static void expect_silence(struct test *test)
{
    forget(test);
    run(test, SILENCE_MS);
    cr_expect(not(has_file(test)), "%s", test->files);
    cr_expect(not(has_named(test)), "%s", test->named);
    cr_expect(not(has_global(test)));
    cr_expect(not(has_folder(test)));
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(ne(ptr, file, NULL), "%s", path);
    fputs(text, file);
    fclose(file);
}

/* Watches "global.json" and "tenants.d" of a folder of its own. */
static void begin_after(struct test *test, void (*before_watch)(void))
{
    static const struct watch_events EVENTS = {on_global, on_files, on_folder, on_named, NULL};
    struct watch_events events = EVENTS;
    struct error_text why;
    *test = (struct test){.home = memory_format("/tmp/owui-watch-XXXXXX")};
    cr_assert(ne(ptr, mkdtemp(test->home), NULL));
    cr_assert(zero(int, chdir(test->home)));
    cr_assert(zero(int, mkdir("tenants.d", 0755)));
    write_file("global.json", "");
    forget(test);
    test->loop = main_loop_new(&why);
    test->timer = main_timer_new(test->loop, on_turn, test);
    events.context = test;
    if (before_watch != NULL)
        before_watch();
    test->watch = watch_new(test->loop, "global.json", "tenants.d", &events);
    await(test, has_both);
    forget(test);
}

/* Everything has been told. */
static void begin(struct test *test)
{
    begin_after(test, NULL);
}

static void end(struct test *test)
{
    watch_free(test->watch);
    main_timer_free(test->timer);
    main_loop_free(test->loop);
    free(test->files);
    free(test->first);
    free(test->named);
    free(test->first_named);
    cr_assert(zero(int, chdir("/")));
    char *command = memory_format("rm -rf %s", test->home);
    cr_assert(zero(int, system(command)));
    free(command);
    free(test->home);
}

/* The descriptor at which this process is told, and how many folders it watches. */
static int find_inotify(size_t *watched)
{
    int found = -1;
    DIR *folder = opendir("/proc/self/fd");
    cr_assert(ne(ptr, folder, NULL));
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char target[64] = "";
        if (readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1) > 0 &&
            strcmp(target, "anon_inode:inotify") == 0)
            found = atoi(entry->d_name);
    }
    closedir(folder);
    char line[256];
    char *path = memory_format("/proc/self/fdinfo/%d", found);
    FILE *file = fopen(path, "r");
    cr_assert(ne(ptr, file, NULL));
    for (*watched = 0; fgets(line, sizeof(line), file) != NULL;)
        *watched += strncmp(line, "inotify wd:", 11) == 0;
    fclose(file);
    free(path);
    return found;
}

Test(watch, a_file_is_told_when_its_writer_closes_it)
{
    struct test test;
    begin(&test);
    int fd = open("tenants.d/a.json", O_WRONLY | O_CREAT, 0644);
    cr_assert(eq(sz, (size_t)write(fd, "{", 1), 1));
    write_file("tenants.d/b.json", "{}");
    run(&test, SLOW_MS);
    expect_files(&test, "tenants.d/b.json ");
    forget(&test);
    cr_assert(eq(sz, (size_t)write(fd, "}", 1), 1));
    close(fd);
    await(&test, has_file);
    run(&test, SLOW_MS);
    expect_files(&test, "tenants.d/a.json ");
    cr_expect(not(has_global(&test)));
    cr_expect(not(has_folder(&test)));
    end(&test);
}

/* Two names of one time are told together, each once and in their order. */
Test(watch, what_comes_together_is_told_together)
{
    struct test test;
    begin(&test);
    write_file("tenants.d/b.json", "{}");
    write_file("tenants.d/a.json", "{}");
    write_file("tenants.d/b.json", "{ }");
    await(&test, has_file);
    expect_files(&test, "tenants.d/a.json tenants.d/b.json ");
    end(&test);
}

static void write_on(void *context)
{
    (void)context;
    write_file("tenants.d/a.json", "{}");
}

/* Who never ceases to change keeps nobody waiting. */
Test(watch, a_stream_of_changes_is_told_meanwhile)
{
    struct test test;
    begin(&test);
    struct main_timer *writer = main_timer_new(test.loop, write_on, &test);
    main_timer_every(writer, 1);
    await(&test, has_file);
    main_timer_free(writer);
    end(&test);
}

/* It may be readable now. */
Test(watch, another_mode_is_a_change)
{
    struct test test;
    begin(&test);
    write_file("tenants.d/a.json", "{}");
    await(&test, has_file);
    forget(&test);
    cr_assert(zero(int, chmod("tenants.d/a.json", 0600)));
    await(&test, has_file);
    expect_files(&test, "tenants.d/a.json ");
    end(&test);
}

Test(watch, names_come_by_renaming_and_by_linking)
{
    struct test test;
    begin(&test);
    write_file("aside", "{}");
    cr_assert(zero(int, rename("aside", "tenants.d/moved.json")));
    await(&test, has_file);
    expect_files(&test, "tenants.d/moved.json ");
    forget(&test);
    cr_assert(zero(int, symlink("moved.json", "tenants.d/soft.json")));
    await(&test, has_file);
    expect_files(&test, "tenants.d/soft.json ");
    forget(&test);
    cr_assert(zero(int, link("tenants.d/moved.json", "tenants.d/hard.json")));
    await(&test, has_file);
    cr_expect(ne(ptr, strstr(test.files, "tenants.d/hard.json "), NULL), "%s", test.files);
    end(&test);
}

/* Before what came with them and is waited for. */
Test(watch, names_that_are_whole_are_told_first)
{
    struct test test;
    begin(&test);
    write_file("tenants.d/gone.json", "{}");
    write_file("one", "{}");
    write_file("two", "{}");
    await(&test, has_file);
    forget(&test);
    cr_assert(zero(int, unlink("tenants.d/gone.json")));
    cr_assert(zero(int, rename("one", "tenants.d/moved.json")));
    await(&test, has_file);
    cr_expect(zero(int, strcmp(test.first, "tenants.d/moved.json ")), "%s", test.first);
    forget(&test);
    run(&test, SILENCE_MS);
    forget(&test);
    cr_assert(zero(int, unlink("tenants.d/moved.json")));
    cr_assert(zero(int, symlink("nowhere", "tenants.d/soft.json")));
    cr_assert(zero(int, link("two", "tenants.d/hard.json")));
    await(&test, has_file);
    cr_expect(zero(int, strcmp(test.first, "tenants.d/hard.json tenants.d/soft.json ")), "%s",
              test.first);
    end(&test);
}

/* What was written aside has no second name any more when it is looked at. */
Test(watch, a_file_that_nobody_closes_is_looked_at_in_the_end)
{
    struct test test;
    begin(&test);
    write_file("aside", "{}");
    cr_assert(zero(int, link("aside", "tenants.d/a.json")));
    cr_assert(zero(int, unlink("aside")));
    await(&test, has_file);
    expect_files(&test, "tenants.d/a.json ");
    expect_silence(&test);
    end(&test);
}

static void set_named(struct test *test, const char *first, const char *second)
{
    const char *const given[] = {first, second};
    size_t count = second != NULL ? 2 : first != NULL ? 1 : 0;
    char **paths = memory_new((count + 1) * sizeof(*paths));
    for (size_t i = 0; i < count; i++)
        paths[i] = memory_copy_text(slice_of(given[i]));
    watch_set_named(test->watch, paths, count);
}

/* One that is closed is told once, and has no part in what another waits for. */
Test(watch, who_closes_in_time_is_not_looked_at_again)
{
    struct test test;
    begin(&test);
    set_named(&test, "networks", NULL);
    await(&test, has_named);
    write_file("networks", "");
    run(&test, SILENCE_MS);
    int fd = open("tenants.d/a.json", O_WRONLY | O_CREAT, 0644);
    write_file("aside", "{}");
    cr_assert(zero(int, link("aside", "tenants.d/b.json")));
    cr_assert(zero(int, unlink("aside")));
    write_file("tenants.d/c.json", "{}");
    await(&test, has_file);
    expect_files(&test, "tenants.d/c.json ");
    forget(&test);
    close(fd);
    await(&test, has_file);
    expect_files(&test, "tenants.d/a.json ");
    forget(&test);
    await(&test, has_file);
    expect_files(&test, "tenants.d/b.json ");
    cr_expect(not(has_named(&test)), "%s", test.named);
    end(&test);
}

static bool has_global_and_named(const struct test *test)
{
    return has_global(test) && has_named(test);
}

/* The others as well. */
Test(watch, what_was_made_and_closed_is_told_once)
{
    struct test test;
    begin(&test);
    set_named(&test, "networks", "others");
    await(&test, has_named);
    cr_assert(zero(int, unlink("global.json")));
    await(&test, has_global);
    forget(&test);
    int fd = open("others", O_WRONLY | O_CREAT, 0644);
    run(&test, SILENCE_MS);
    write_file("global.json", "{}");
    write_file("networks", "{}");
    await(&test, has_global_and_named);
    cr_expect(zero(int, strcmp(test.named, "networks ")), "%s", test.named);
    forget(&test);
    close(fd);
    await(&test, has_named);
    run(&test, 2 * SLOW_MS);
    cr_expect(zero(int, strcmp(test.named, "others ")), "%s", test.named);
    cr_expect(not(has_global(&test)));
    end(&test);
}

Test(watch, a_global_file_that_nobody_closes_is_looked_at_in_the_end)
{
    struct test test;
    begin(&test);
    cr_assert(zero(int, unlink("global.json")));
    await(&test, has_global);
    forget(&test);
    write_file("aside", "");
    cr_assert(zero(int, link("aside", "global.json")));
    cr_assert(zero(int, unlink("aside")));
    run(&test, SILENCE_MS);
    cr_expect(not(has_global(&test)));
    await(&test, has_global);
    end(&test);
}

static bool has_all(const struct test *test)
{
    return has_global_and_named(test) && has_file(test);
}

static const char *const ONE_OF_EACH[] = {"global.json", "tenants.d/a.json", "fleet.csv"};

/* Begins with one file of each kind, all of which are there. */
static void begin_with_each(struct test *test)
{
    begin(test);
    set_named(test, "fleet.csv", NULL);
    await(test, has_named);
    forget(test);
    for (size_t i = 0; i < COUNT_OF(ONE_OF_EACH); i++)
        write_file(ONE_OF_EACH[i], "{}");
    await(test, has_all);
    expect_silence(test);
}

static void write_to_each(void *context)
{
    const int *descriptors = context;
    for (size_t i = 0; i < COUNT_OF(ONE_OF_EACH); i++)
        cr_assert(eq(sz, (size_t)write(descriptors[i], " ", 1), 1));
}

/* Removes each and begins to write it anew, as install(1) does. */
static void make_each_anew(int *descriptors)
{
    for (size_t i = 0; i < COUNT_OF(ONE_OF_EACH); i++) {
        cr_assert(zero(int, unlink(ONE_OF_EACH[i])));
        descriptors[i] = open(ONE_OF_EACH[i], O_WRONLY | O_CREAT, 0600);
        cr_assert(zero(int, fchmod(descriptors[i], 0644)));
    }
    write_to_each(descriptors);
}

static void close_each(struct test *test, const int *descriptors)
{
    cr_expect(not(has_global(test)));
    expect_files(test, "");
    cr_expect(not(has_named(test)), "%s", test->named);
    for (size_t i = 0; i < COUNT_OF(ONE_OF_EACH); i++)
        close(descriptors[i]);
    await(test, has_all);
    expect_files(test, "tenants.d/a.json ");
    cr_expect(zero(int, strcmp(test->named, "fleet.csv ")), "%s", test->named);
    expect_silence(test);
}

/* That it went is no news any more, and half of it must not be taken for the whole. */
Test(watch, what_went_and_is_written_anew_is_told_when_its_writer_closes_it)
{
    int descriptors[COUNT_OF(ONE_OF_EACH)];
    struct test test;
    begin_with_each(&test);
    make_each_anew(descriptors);
    run(&test, SILENCE_MS);
    close_each(&test, descriptors);
    /* What was closed a moment before is written again. */
    for (size_t i = 0; i < COUNT_OF(ONE_OF_EACH); i++)
        write_file(ONE_OF_EACH[i], "{}");
    make_each_anew(descriptors);
    run(&test, SILENCE_MS);
    close_each(&test, descriptors);
    end(&test);
}

Test(watch, who_writes_for_long_is_waited_for)
{
    int descriptors[COUNT_OF(ONE_OF_EACH)];
    struct test test;
    begin_with_each(&test);
    make_each_anew(descriptors);
    struct main_timer *writer = main_timer_new(test.loop, write_to_each, descriptors);
    main_timer_every(writer, SILENCE_MS);
    run(&test, 3 * SLOW_MS);
    main_timer_free(writer);
    close_each(&test, descriptors);
    end(&test);
}

static bool has_both_named(const struct test *test)
{
    return strstr(test->named, "lists/a ") != NULL && strstr(test->named, "lists/b ") != NULL;
}

Test(watch, a_named_file_that_went_is_given_time_to_come_back)
{
    struct test test;
    begin(&test);
    cr_assert(zero(int, mkdir("lists", 0755)));
    write_file("lists/a", "");
    set_named(&test, "lists/a", "lists/b");
    await(&test, has_named);
    expect_silence(&test);
    cr_assert(zero(int, unlink("lists/a")));
    write_file("lists/b", "");
    await(&test, has_both_named);
    cr_expect(zero(int, strcmp(test.first_named, "lists/b ")), "%s", test.first_named);
    end(&test);
}

static bool has_both_that_went(const struct test *test)
{
    return strstr(test->files, "tenants.d/a.json ") != NULL &&
           strstr(test->files, "tenants.d/b.json ") != NULL;
}

Test(watch, what_went_is_given_time_to_come_back)
{
    struct test test;
    begin(&test);
    write_file("tenants.d/a.json", "{}");
    write_file("tenants.d/b.json", "{}");
    await(&test, has_file);
    forget(&test);
    cr_assert(zero(int, unlink("tenants.d/a.json")));
    cr_assert(zero(int, rename("tenants.d/b.json", "b.away")));
    write_file("tenants.d/c.json", "{}");
    await(&test, has_both_that_went);
    cr_expect(zero(int, strcmp(test.first, "tenants.d/c.json ")), "%s", test.first);
    end(&test);
}

/* Its old name is told of not later than its new one, which would be that of a second file. */
Test(watch, a_file_that_gets_another_name)
{
    struct test test;
    begin(&test);
    write_file("tenants.d/a.json", "{}");
    await(&test, has_file);
    expect_silence(&test);
    cr_assert(zero(int, rename("tenants.d/a.json", "tenants.d/b.json")));
    await(&test, has_both_that_went);
    cr_expect(zero(int, strcmp(test.first, "tenants.d/a.json tenants.d/b.json ")), "%s",
              test.first);
    expect_silence(&test);
    /* What was written aside under such a name is told at once. */
    write_file("tenants.d/c.json", "{}");
    cr_assert(zero(int, rename("tenants.d/c.json", "tenants.d/b.json")));
    await(&test, has_file);
    cr_expect(zero(int, strcmp(test.first, "tenants.d/b.json ")), "%s", test.first);
    end(&test);
}

static void swap_by_a_third(void)
{
    cr_assert(zero(int, rename("tenants.d/a.json", "tenants.d/x.tmp")));
    cr_assert(zero(int, rename("tenants.d/b.json", "tenants.d/a.json")));
    cr_assert(zero(int, rename("tenants.d/x.tmp", "tenants.d/b.json")));
}

static void exchange(void)
{
    cr_assert(zero(int, renameat2(AT_FDCWD, "tenants.d/a.json", AT_FDCWD, "tenants.d/b.json",
                                  RENAME_EXCHANGE)));
}

static void change_mode_first(void)
{
    cr_assert(zero(int, chmod("tenants.d/a.json", 0640)));
    cr_assert(zero(int, rename("tenants.d/a.json", "tenants.d/b.json")));
}

/* Told one after the other, one of them has the tenants of both for a moment. */
Test(watch, files_that_swap_names_are_told_together)
{
    static void (*const WAYS[])(void) = {swap_by_a_third, exchange, change_mode_first};
    for (size_t i = 0; i < COUNT_OF(WAYS); i++) {
        struct test test;
        begin(&test);
        write_file("tenants.d/a.json", "{}");
        write_file("tenants.d/b.json", "{}");
        await(&test, has_both_that_went);
        expect_silence(&test);
        forget(&test);
        WAYS[i]();
        await(&test, has_both_that_went);
        cr_expect(zero(int, strcmp(test.first, "tenants.d/a.json tenants.d/b.json ")),
                  "way %zu: %s", i, test.first);
        end(&test);
    }
}

Test(watch, other_names_are_nobodys)
{
    struct test test;
    begin(&test);
    write_file("tenants.d/a.txt", "");
    write_file("tenants.d/.a.json", "");
    write_file("other.json", "");
    expect_silence(&test);
    /* As Kubernetes does it: all files have changed, those that are told of among them. */
    write_file("tenants.d/b.json", "{}");
    cr_assert(zero(int, symlink("nowhere", "tenants.d/..data")));
    await(&test, has_folder);
    cr_expect(not(has_file(&test)), "%s", test.files);
    forget(&test);
    cr_assert(zero(int, symlink("nowhere", "..data")));
    await(&test, has_global);
    cr_expect(not(has_folder(&test)));
    end(&test);
}

Test(watch, the_global_file_and_its_parts)
{
    char *const parts[] = {(char[]){"networks"}, (char[]){"./others"}};
    struct test test;
    begin(&test);
    write_file("global.json", "{}");
    await(&test, has_global);
    cr_expect(not(has_file(&test)));
    cr_expect(not(has_folder(&test)));
    write_file("networks", "");
    expect_silence(&test);
    watch_set_parts(test.watch, parts, COUNT_OF(parts));
    write_file("networks", "");
    await(&test, has_global);
    forget(&test);
    write_file("others", "");
    await(&test, has_global);
    watch_set_parts(test.watch, parts, 1);
    write_file("others", "");
    expect_silence(&test);
    int fd = open("global.new", O_WRONLY | O_CREAT, 0644);
    close(fd);
    cr_assert(zero(int, rename("global.new", "global.json")));
    await(&test, has_global);
    end(&test);
}

Test(watch, files_that_tenants_name)
{
    struct test test;
    size_t before, after;
    begin(&test);
    cr_assert(zero(int, mkdir("lists", 0755)));
    run(&test, SILENCE_MS); /* a folder beside the global file may be that of its tenants */
    write_file("lists/a", "");
    write_file("lists/b", "");
    expect_silence(&test);
    find_inotify(&before);
    set_named(&test, "lists/b", "lists/a");
    find_inotify(&after);
    cr_expect(eq(sz, after, before + 1));
    await(&test, has_named); /* what they are now was not seen to change */
    write_file("b", "of another folder");
    write_file("lists/a.json", "of no tenant");
    expect_silence(&test);
    write_file("lists/b", "1");
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "lists/b ")), "%s", test.named);
    forget(&test);
    write_file("lists/aside", "2");
    cr_assert(zero(int, link("lists/aside", "lists/c")));
    expect_silence(&test);
    cr_assert(zero(int, unlink("lists/a")));
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "lists/a ")), "%s", test.named);
    /* One less in a folder that stays, and then none in it. */
    set_named(&test, "lists/a", "lists/a");
    write_file("lists/b", "3");
    expect_silence(&test);
    cr_assert(zero(int, rename("lists/aside", "lists/a")));
    await(&test, has_named);
    set_named(&test, NULL, NULL);
    write_file("lists/a", "4");
    expect_silence(&test);
    find_inotify(&after);
    cr_expect(eq(sz, after, before));
    /* Another folder in the place of one of two. */
    cr_assert(zero(int, mkdir("others", 0755)));
    set_named(&test, "lists/a", "others/a");
    await(&test, has_named);
    forget(&test);
    cr_assert(zero(int, rename("others", "others.old")));
    cr_assert(zero(int, mkdir("others", 0755)));
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "others/a ")), "%s", test.named);
    end(&test);
}

Test(watch, a_change_of_a_named_file_is_told_though_others_are_named_meanwhile)
{
    struct test test;
    begin(&test);
    cr_assert(zero(int, mkdir("lists", 0755)));
    write_file("lists/a", "");
    set_named(&test, "lists/a", "lists/b");
    await(&test, has_named);
    expect_silence(&test);
    cr_assert(zero(int, unlink("lists/a"))); /* it is given time to come back */
    run(&test, 10);
    set_named(&test, "lists/a", "lists/c");
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "lists/a ")), "%s", test.named);
    end(&test);
}

static void set_many_named(struct test *test, size_t count)
{
    char **paths = memory_new(count * sizeof(*paths));
    for (size_t i = 0; i < count; i++)
        paths[i] = memory_format("tenants.d/%zu.pem", i);
    watch_set_named(test->watch, paths, count);
}

/* The processor's time until many changes are told, while so many other files are named. */
static clock_t cost_of_changes(size_t named)
{
    struct test test;
    begin(&test);
    set_many_named(&test, named);
    await(&test, has_named);
    expect_silence(&test);
    for (unsigned i = 0; i < 5000; i++) /* fewer than the kernel keeps for who does not read */
        write_file(i % 2 == 0 ? "tenants.d/x.json" : "tenants.d/y.json", "");
    clock_t begin_at = clock();
    await(&test, has_file);
    clock_t cost = clock() - begin_at;
    expect_files(&test, "tenants.d/x.json tenants.d/y.json ");
    end(&test);
    return cost;
}

Test(watch, many_named_files_do_not_make_a_change_dear)
{
    clock_t with_few = cost_of_changes(1);
    clock_t with_many = cost_of_changes(20 * 1000);
    cr_expect(lt(long, with_many, 5 * with_few), "%ld %ld", with_few, with_many);
}

static void set_named_folders(struct test *test, size_t count)
{
    char **paths = memory_new(count * sizeof(*paths));
    for (size_t i = 0; i < count; i++) {
        char *folder = memory_format("tenants.d/%zu", i);
        cr_assert(zero(int, mkdir(folder, 0755)));
        paths[i] = memory_format("%s/a", folder);
        free(folder);
    }
    watch_set_named(test->watch, paths, count);
}

/* The processor's time for changes that come one by one, while files of so many folders are named.
 */
static clock_t cost_beside_folders(size_t count)
{
    struct test test;
    begin(&test);
    set_named_folders(&test, count);
    await(&test, has_named);
    expect_silence(&test);
    clock_t begin_at = clock();
    for (unsigned i = 0; i < 100; i++) {
        forget(&test);
        write_file("tenants.d/a.json", "{}");
        await(&test, has_file);
    }
    clock_t cost = clock() - begin_at;
    /* They are watched all the same. */
    forget(&test);
    char *last = memory_format("tenants.d/%zu/a", count - 1);
    write_file(last, "");
    await(&test, has_named);
    free(last);
    end(&test);
    return cost;
}

Test(watch, many_named_folders_do_not_make_a_change_dear)
{
    clock_t with_few = cost_beside_folders(1);
    clock_t with_many = cost_beside_folders(1000);
    cr_expect(lt(long, with_many, 5 * with_few), "%ld %ld", with_few, with_many);
}

static void name_one(struct test *test, const char *path)
{
    char **paths = memory_new(sizeof(*paths));
    paths[0] = memory_copy_text(slice_of(path));
    watch_set_named(test->watch, paths, 1);
}

/* Among them is one that another path leads to, which is named still. */
Test(watch, folders_are_left_with_their_last_name)
{
    enum { FOLDERS = 100 };
    struct test test;
    size_t before, after;
    begin(&test);
    find_inotify(&before);
    set_named_folders(&test, FOLDERS);
    find_inotify(&after);
    cr_expect(eq(sz, after, before + FOLDERS));
    name_one(&test, "./tenants.d/7/a");
    find_inotify(&after);
    cr_expect(eq(sz, after, before + 1));
    run(&test, SILENCE_MS);
    forget(&test);
    write_file("tenants.d/7/a", "");
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "./tenants.d/7/a ")), "%s", test.named);
    name_one(&test, "tenants.d/a"); /* a folder that is watched anyway */
    find_inotify(&after);
    cr_expect(eq(sz, after, before));
    end(&test);
}

/* A file that is named in two ways has changed by both. */
Test(watch, files_that_are_named_in_two_ways)
{
    struct test test;
    begin(&test);
    cr_assert(zero(int, mkdir("lists", 0755)));
    set_named(&test, "a", "./a");
    await(&test, has_named);
    expect_silence(&test);
    write_file("a", "");
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "./a a ")), "%s", test.named);
    forget(&test);
    set_named(&test, "lists/a", "lists//a");
    await(&test, has_named);
    expect_silence(&test);
    write_file("lists/a", "");
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "lists//a lists/a ")), "%s", test.named);
    end(&test);
}

/* As Kubernetes does it: all files of the folder have changed, and none of them is told of. */
Test(watch, named_files_change_with_a_link_that_they_may_lead_through)
{
    struct test test;
    begin(&test);
    cr_assert(zero(int, mkdir("lists", 0755)));
    cr_assert(zero(int, mkdir("others", 0755)));
    set_named(&test, "lists/a", "others/a");
    await(&test, has_named);
    expect_silence(&test);
    cr_assert(zero(int, symlink("nowhere", "lists/..data.new")));
    cr_assert(zero(int, rename("lists/..data.new", "lists/..data")));
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "lists/a ")), "%s", test.named);
    cr_expect(not(has_global(&test)));
    end(&test);
}

/* Nothing leads through it. */
Test(watch, named_files_do_not_change_with_a_tenants_file_that_is_a_link)
{
    struct test test;
    begin(&test);
    set_named(&test, "tenants.d/users", NULL);
    await(&test, has_named);
    expect_silence(&test);
    cr_assert(zero(int, symlink("nowhere", "tenants.d/a.json")));
    await(&test, has_file);
    run(&test, SILENCE_MS);
    cr_expect(not(has_named(&test)), "%s", test.named);
    end(&test);
}

Test(watch, a_named_file_that_nobody_closes_is_looked_at_in_the_end)
{
    struct test test;
    begin(&test);
    set_named(&test, "networks", NULL);
    await(&test, has_named);
    forget(&test);
    write_file("aside", "");
    cr_assert(zero(int, link("aside", "networks")));
    cr_assert(zero(int, unlink("aside")));
    await(&test, has_named);
    cr_expect(not(has_global(&test)));
    end(&test);
}

Test(watch, another_folder_in_its_place_is_looked_through_and_watched)
{
    struct test test;
    size_t before, after;
    begin(&test);
    find_inotify(&before);
    cr_assert(zero(int, mkdir("tenants.new", 0755)));
    await(&test, has_global);
    forget(&test);
    cr_assert(zero(int, rename("tenants.d", "tenants.old")));
    cr_assert(zero(int, rename("tenants.new", "tenants.d")));
    await(&test, has_folder);
    forget(&test);
    write_file("tenants.d/a.json", "{}");
    await(&test, has_file);
    expect_files(&test, "tenants.d/a.json ");
    write_file("tenants.old/b.json", "{}");
    expect_silence(&test);
    find_inotify(&after);
    cr_expect(eq(sz, after, before));
    end(&test);
}

Test(watch, another_folder_of_tenants)
{
    struct test test;
    begin(&test);
    cr_assert(zero(int, mkdir("away", 0755)));
    cr_assert(zero(int, mkdir("away/tenants.d", 0755)));
    await(&test, has_global);
    watch_set_tenants_dir(test.watch, "tenants.d"); /* the same */
    expect_silence(&test);
    size_t before, after;
    find_inotify(&before);
    watch_set_tenants_dir(test.watch, "away/tenants.d");
    find_inotify(&after);
    cr_expect(eq(sz, after, before + 1)); /* it and its parent, for the one before */
    await(&test, has_folder);
    forget(&test);
    write_file("away/tenants.d/a.json", "{}");
    await(&test, has_file);
    expect_files(&test, "away/tenants.d/a.json ");
    write_file("tenants.d/b.json", "{}");
    expect_silence(&test);
    /* Its parent is watched, too. */
    cr_assert(zero(int, rename("away/tenants.d", "away/old")));
    run(&test, SILENCE_MS);
    forget(&test);
    cr_assert(zero(int, mkdir("away/tenants.d", 0755)));
    await(&test, has_folder);
    end(&test);
}

/* -- What the kernel loses --------------------------------------------------------------------- */

/* More events than are kept for who does not read them. */
static void overflow(void)
{
    unsigned most = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    cr_assert(file != NULL && fscanf(file, "%u", &most) == 1);
    fclose(file);
    for (unsigned i = 0; i < most / 2 + 1; i++) {
        /* Those that are alike and follow each other are one. */
        cr_assert(zero(int, mknod(i % 2 == 0 ? "x" : "y", S_IFREG | 0600, 0)));
        cr_assert(zero(int, unlink(i % 2 == 0 ? "x" : "y")));
    }
}

Test(watch, where_events_are_lost_everything_is_looked_through)
{
    struct test test;
    begin(&test);
    overflow();
    write_file("tenants.d/a.json", "{}");
    await(&test, has_both);
    end(&test);
}

/* A new folder may have the number of the one that was removed. */
Test(watch, a_folder_whose_removal_was_lost_is_watched_again)
{
    struct test test;
    size_t watched;
    begin(&test);
    overflow();
    int fd = find_inotify(&watched);
    for (int descriptor = 1; descriptor < 8; descriptor++)
        (void)inotify_rm_watch(fd, descriptor); /* as if they had gone */
    await(&test, has_both);
    expect_silence(&test);
    write_file("tenants.d/a.json", "{}");
    await(&test, has_file);
    expect_files(&test, "tenants.d/a.json ");
    write_file("global.json", "{}");
    await(&test, has_global);
    end(&test);
}

Test(watch, a_folder_that_was_moved_away_is_left)
{
    struct test test;
    size_t before, after;
    begin(&test);
    find_inotify(&before);
    cr_assert(zero(int, rename("tenants.d", "tenants.old")));
    run(&test, SILENCE_MS);
    find_inotify(&after);
    cr_expect(eq(sz, after, before - 1));
    cr_assert(zero(int, rename("tenants.old", "tenants.d")));
    await(&test, has_folder);
    forget(&test);
    write_file("tenants.d/a.json", "{}");
    await(&test, has_file);
    find_inotify(&after);
    cr_expect(eq(sz, after, before));
    end(&test);
}

/* -- What cannot be had from the kernel -------------------------------------------------------- */

static bool has_no_instance;

/* Instead of the C library's: a limit would be one of the whole user. */
int inotify_init1(int flags)
{
    if (!has_no_instance)
        return (int)syscall(SYS_inotify_init1, flags);
    errno = EMFILE;
    return -1;
}

static void use_up_instances(void)
{
    has_no_instance = true;
}

/* As where others have all of the user's instances. */
Test(watch, without_an_instance_everything_is_looked_at)
{
    struct test test;
    begin_after(&test, use_up_instances);
    char *trouble = watch_trouble(test.watch);
    cr_expect(ne(str, trouble != NULL ? trouble : "", ""));
    free(trouble);
    char *path = memory_format("%s/labels.txt", test.home);
    char **named = memory_new(sizeof(*named));
    named[0] = memory_copy_text(slice_of(path));
    write_file("labels.txt", "one");
    watch_set_named(test.watch, named, 1);
    await(&test, has_named);
    forget(&test);
    await(&test, has_folder); /* which is another look, by which nothing has changed */
    cr_expect(not(has_named(&test)), "%s", test.named);
    cr_expect(not(has_global(&test)));
    write_file("labels.txt", "one two");
    write_file("global.json", "{}");
    await(&test, has_global);
    await(&test, has_named);
    free(path);
    end(&test);
}

/* Those that were named before are no other files for that. */
Test(watch, without_an_instance_a_file_more_is_the_only_one_told)
{
    struct test test;
    begin_after(&test, use_up_instances);
    cr_assert(zero(int, mkdir("lists", 0755)));
    write_file("lists/b", "one");
    write_file("lists/a", "two");
    set_named(&test, "lists/b", NULL);
    await(&test, has_named);
    forget(&test);
    set_named(&test, "lists/a", "lists/b");
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "lists/a ")), "%s", test.named);
    forget(&test);
    set_named(&test, "./networks", "lists/b"); /* whose folder is another one in the order */
    write_file("networks", "three");
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "./networks ")), "%s", test.named);
    forget(&test);
    write_file("lists/b", "other");
    set_named(&test, "lists/b", NULL);
    await(&test, has_named);
    cr_expect(zero(int, strcmp(test.named, "lists/b ")), "%s", test.named);
    end(&test);
}

Test(watch, an_instance_that_can_be_had_again_is_used)
{
    struct test test;
    begin_after(&test, use_up_instances);
    has_no_instance = false;
    await(&test, has_both);
    forget(&test);
    char *trouble = watch_trouble(test.watch);
    cr_expect(eq(ptr, trouble, NULL), "%s", trouble);
    write_file("tenants.d/a.json", "{}");
    await(&test, has_file);
    expect_files(&test, "tenants.d/a.json ");
    end(&test);
}

Test(watch, without_an_instance_a_part_and_the_folder_of_tenants_are_looked_at)
{
    struct test test;
    char *parts[] = {"networks.txt"};
    begin_after(&test, use_up_instances);
    watch_set_parts(test.watch, parts, 1);
    write_file("networks.txt", "10.0.0.0/8");
    await(&test, has_global);
    forget(&test);
    watch_set_parts(test.watch, parts, 1); /* the same */
    await(&test, has_folder);
    cr_expect(not(has_global(&test)));
    forget(&test);
    cr_assert(zero(int, rename("tenants.d", "tenants.old")));
    await(&test, has_global);
    forget(&test);
    cr_assert(zero(int, mkdir("tenants.d", 0755)));
    await(&test, has_global);
    end(&test);
}
