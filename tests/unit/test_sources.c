/* app/sources: what becomes of tenants whose files cannot be read for a while. */
#include "sources/sources.h"

#include "core/memory.h"
#include "core/slice.h"
#include "support/vector.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TENANT(NAME) "{\"tenants\": {\"" NAME "\": {\"hosts\": [\"" NAME ".test\"], " UPSTREAM "}}}"
#define UPSTREAM     "\"upstream\": \"http://10.0.0.1:3000\", \"https\": \"off\""
#define GLOBAL                                                    \
    "\"listen\": [\"unix:@a\"], \"tenants_dir\": \"tenants.d\", " \
    "\"acme\": {\"state_dir\": \"state\"}"

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(ne(ptr, file, NULL), "%s", path);
    fputs(text, file);
    fclose(file);
}

static bool resolve(void *context, const char *host, struct ip *address)
{
    (void)context, (void)host, (void)address;
    return false;
}

static unsigned put_in_force;

static void on_tenant(void *context, struct tenant *tenant)
{
    (void)context, (void)tenant;
    put_in_force++;
}

static void on_configuration(void *context, const struct configuration *configuration)
{
    (void)context, (void)configuration;
}

/* Of a folder of its own, whose configuration has been read, with what owners.json had. */
static struct sources *new_sources_of(const char *owners)
{
    static const struct sources_needs NEEDS = {resolve, on_tenant, on_configuration, NULL};
    char folder[] = "/tmp/owui-sources-XXXXXX";
    struct configuration *replaced;
    struct diagnostics diagnostics = {0};
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    cr_assert(zero(int, chdir(folder)));
    cr_assert(zero(int, mkdir("tenants.d", 0755)));
    write_file("global.json", "{" GLOBAL "}");
    cr_assert(zero(int, mkdir("state", 0755)));
    write_file("state/owners.json", owners);
    write_file("tenants.d/old.json", TENANT("old"));
    struct sources *sources = sources_new(&NEEDS);
    cr_assert(sources_read_global(sources, "global.json", &replaced, &diagnostics));
    cr_assert(zero(sz, diagnostics.count), "%s", diagnostics.items[0].message);
    cr_assert(not(sources_take_counts(sources).has_trouble));
    return sources;
}

static struct sources *new_sources(void)
{
    return new_sources_of("");
}

/* Nothing is left to be read again. */
static void end(struct sources *sources, struct diagnostics *diagnostics)
{
    cr_expect(not(sources_take_counts(sources).has_trouble));
    diagnostics_fini(diagnostics);
    char *folder = getcwd(NULL, 0);
    sources_free(sources);
    cr_assert(zero(int, chdir("/")));
    char *command = memory_format("rm -rf %s", folder);
    cr_assert(zero(int, system(command)));
    free(command);
    free(folder);
}

/* Meanwhile nothing can be opened; what there was before is put into `usual`. */
static void use_up_descriptors(struct rlimit *usual)
{
    cr_assert(zero(int, getrlimit(RLIMIT_NOFILE, usual)));
    const struct rlimit none = {0, usual->rlim_max};
    cr_assert(zero(int, setrlimit(RLIMIT_NOFILE, &none)));
}

static bool is_in_force(struct sources *sources, const char *name)
{
    return route_registry_find(sources_registry(sources), slice_of(name)) != NULL;
}

static bool is_live(const struct sources *sources, const char *name)
{
    struct sources_entry entry;
    return sources_find(sources, name, &entry) && entry.state == SOURCES_LIVE;
}

static size_t read_again(struct sources *sources)
{
    struct diagnostics diagnostics = {0};
    struct configuration *replaced = NULL;
    sources_read_again(sources, &diagnostics);
    if (sources_want_global(sources))
        (void)!sources_read_global(sources, "global.json", &replaced, &diagnostics);
    configuration_free(replaced);
    size_t count = diagnostics.count;
    diagnostics_fini(&diagnostics);
    return count;
}

static bool have_read(const struct sources *sources, const char *path, const char *text)
{
    struct slice slice = slice_of(text != NULL ? text : "");
    return sources_have_read(sources, path, text != NULL ? &slice : NULL);
}

Test(sources, tells_what_it_found_and_not_what_is_there_by_now)
{
    static const char PATH[] = "tenants.d/old.json";
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    write_file(PATH, TENANT("new"));
    cr_expect(have_read(sources, PATH, TENANT("old")));
    cr_expect(not(have_read(sources, PATH, TENANT("new"))));
    cr_expect(not(have_read(sources, PATH, NULL)));
    sources_read_file(sources, PATH, &diagnostics);
    cr_expect(have_read(sources, PATH, TENANT("new")));

    write_file(PATH, "no JSON");
    sources_read_file(sources, PATH, &diagnostics);
    cr_expect(have_read(sources, PATH, "no JSON"));
    cr_expect(not(have_read(sources, PATH, TENANT("new"))));

    unlink(PATH);
    cr_expect(not(have_read(sources, PATH, NULL)));
    sources_read_file(sources, PATH, &diagnostics);
    cr_expect(have_read(sources, PATH, NULL));
    end(sources, &diagnostics);
}

Test(sources, tells_what_it_found_in_the_global_file)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    struct configuration *replaced = NULL;
    cr_expect(have_read(sources, "global.json", "{" GLOBAL "}"));
    write_file("global.json", "{" GLOBAL);
    cr_expect(not(have_read(sources, "global.json", "{" GLOBAL)));
    cr_expect(not(sources_read_global(sources, "global.json", &replaced, &diagnostics)));
    cr_expect(have_read(sources, "global.json", "{" GLOBAL));
    write_file("global.json", "{" GLOBAL ", \"listen\": 7}");
    cr_expect(not(sources_read_global(sources, "global.json", &replaced, &diagnostics)));
    cr_expect(have_read(sources, "global.json", "{" GLOBAL ", \"listen\": 7}"));
    cr_expect(have_read(sources, "nowhere.json", NULL));
    end(sources, &diagnostics);
}

Test(sources, reads_again_what_it_could_not_open)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    struct rlimit usual;
    write_file("tenants.d/new.json", TENANT("new"));
    write_file("tenants.d/old.json", TENANT("newer"));

    use_up_descriptors(&usual);
    sources_read_file(sources, "tenants.d/new.json", &diagnostics);
    sources_read_file(sources, "tenants.d/old.json", &diagnostics);
    bool has_trouble = sources_take_counts(sources).has_trouble;
    size_t told = read_again(sources); /* in vain */
    bool still_has_trouble = sources_take_counts(sources).has_trouble;
    cr_assert(zero(int, setrlimit(RLIMIT_NOFILE, &usual)));

    cr_expect(eq(sz, diagnostics.count, 2));
    cr_expect(strstr(diagnostics.items[0].message, strerror(EMFILE)) != NULL);
    cr_expect(has_trouble && still_has_trouble);
    cr_expect(zero(sz, told), "it is told of once");
    cr_expect(is_in_force(sources, "old"));
    cr_expect(zero(sz, read_again(sources)));
    cr_expect(is_live(sources, "new") && is_live(sources, "newer") && !is_live(sources, "old"));
    end(sources, &diagnostics);
}

Test(sources, reads_the_folder_again_that_it_could_not_open)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    struct rlimit usual;
    write_file("tenants.d/new.json", TENANT("new"));

    use_up_descriptors(&usual);
    cr_expect(not(sources_scan(sources, &diagnostics)));
    bool has_trouble = sources_take_counts(sources).has_trouble;
    size_t told = read_again(sources);
    cr_assert(zero(int, setrlimit(RLIMIT_NOFILE, &usual)));

    cr_expect(eq(sz, diagnostics.count, 1));
    cr_expect(has_trouble);
    cr_expect(zero(sz, told));
    cr_expect(is_live(sources, "old"));
    cr_expect(zero(sz, read_again(sources)));
    cr_expect(is_live(sources, "old") && is_live(sources, "new"));
    end(sources, &diagnostics);
}

/* All tenants are in the global file, and no file of the default folder ever was. */
Test(sources, needs_no_folder_that_nobody_names)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    struct configuration *replaced;
    cr_assert(zero(int, unlink("tenants.d/old.json")));
    sources_read_all(sources, &diagnostics);
    cr_assert(zero(int, rmdir("tenants.d")));
    write_file("global.json", "{\"listen\": [\"unix:@a\"], \"tenants\": {\"inline\": {\"hosts\": "
                              "[\"inline.test\"], " UPSTREAM "}}}");
    cr_assert(sources_read_global(sources, "global.json", &replaced, &diagnostics));
    configuration_free(replaced);
    sources_read_all(sources, &diagnostics);
    cr_expect(zero(sz, diagnostics.count));
    cr_expect(is_live(sources, "inline"));
    end(sources, &diagnostics);
}

Test(sources, reads_the_global_file_again_that_it_could_not_open)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    struct configuration *replaced;
    struct rlimit usual;
    write_file("global.json",
               "{" GLOBAL ", \"tenants\": {\"inline\": {\"hosts\": [\"inline.test\"], " UPSTREAM
               "}}}");

    use_up_descriptors(&usual);
    bool is_read = sources_read_global(sources, "global.json", &replaced, &diagnostics);
    bool wants_it_at_once = sources_want_global(sources);
    bool has_trouble = sources_take_counts(sources).has_trouble;
    size_t told = read_again(sources);
    (void)sources_take_counts(sources);
    cr_assert(zero(int, setrlimit(RLIMIT_NOFILE, &usual)));

    cr_expect(not(is_read));
    cr_expect(not(wants_it_at_once));
    cr_expect(has_trouble);
    cr_expect(zero(sz, told));
    cr_expect(zero(sz, read_again(sources)));
    cr_expect(is_live(sources, "inline") && is_live(sources, "old"));
    end(sources, &diagnostics);
}

/* Another reason is told of. A link that leads to itself cannot be looked at, as what lies below a
 * folder without a right. */
Test(sources, keeps_the_tenants_of_a_file_that_cannot_be_looked_at)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    cr_assert(zero(int, unlink("tenants.d/old.json")));
    cr_assert(zero(int, symlink("old.json", "tenants.d/old.json")));
    cr_expect(not(sources_scan(sources, &diagnostics)));
    cr_expect(eq(sz, diagnostics.count, 1));
    cr_expect(is_in_force(sources, "old"));
    cr_expect(sources_take_counts(sources).has_trouble);
    struct rlimit usual;
    use_up_descriptors(&usual);
    size_t told = read_again(sources);
    (void)sources_take_counts(sources);
    cr_assert(zero(int, setrlimit(RLIMIT_NOFILE, &usual)));
    cr_expect(eq(sz, told, 1));
    cr_assert(zero(int, unlink("tenants.d/old.json")));
    cr_expect(zero(sz, read_again(sources)));
    cr_expect(not(is_in_force(sources, "old")));
    end(sources, &diagnostics);
}

/* As an editor leaves it for a moment, between the old file and the new one. */
Test(sources, a_file_that_is_not_there_gets_time_to_come_back)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    cr_assert(zero(int, unlink("tenants.d/old.json")));
    cr_expect(sources_scan(sources, &diagnostics));
    cr_expect(is_live(sources, "old"));
    write_file("tenants.d/old.json", TENANT("old"));
    cr_expect(not(sources_scan(sources, &diagnostics)));
    cr_expect(is_live(sources, "old"));
    cr_assert(zero(int, unlink("tenants.d/old.json")));
    cr_expect(sources_scan(sources, &diagnostics), "the time is its own");
    while (sources_scan(sources, &diagnostics))
        ;
    cr_expect(not(is_in_force(sources, "old")));
    end(sources, &diagnostics);
}

/* Whoever is told of its files one by one, or of the folder: nobody wishes to lose every tenant. */
Test(sources, a_folder_that_is_gone_takes_nobody_with_it)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    cr_assert(zero(int, unlink("tenants.d/old.json")));
    cr_assert(zero(int, rmdir("tenants.d")));
    sources_read_file(sources, "tenants.d/old.json", &diagnostics);
    cr_expect(is_in_force(sources, "old"));
    cr_expect(not(sources_scan(sources, &diagnostics)));
    cr_expect(is_in_force(sources, "old"));
    cr_assert(zero(int, mkdir("tenants.d", 0755)));
    sources_read_file(sources, "tenants.d/old.json", &diagnostics);
    cr_expect(not(is_in_force(sources, "old")));
    end(sources, &diagnostics);
}

/* -- One name in several files ------------------------------------------------------------------
 */

static const char *file_of(struct sources *sources, const char *name)
{
    const struct tenant *tenant = route_registry_find(sources_registry(sources), slice_of(name));
    return tenant != NULL ? tenant->place.file : "";
}

static void read_files(struct sources *sources, const char *const *paths, size_t count,
                       struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < count; i++)
        sources_read_file(sources, paths[i], diagnostics);
    sources_give_freed(sources, diagnostics);
}

Test(sources, a_name_that_is_given_up_goes_to_the_next_file_that_has_it)
{
    static const char *const FILES[] = {"tenants.d/a.json", "tenants.d/b.json", "tenants.d/c.json"};
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    for (size_t i = 0; i < 3; i++)
        write_file(FILES[i], TENANT("x"));
    read_files(sources, FILES, 3, &diagnostics);
    cr_expect_str_eq(file_of(sources, "x"), FILES[0]);
    /* Two of them without it, before either is read. */
    write_file(FILES[0], TENANT("y"));
    write_file(FILES[1], TENANT("z"));
    read_files(sources, FILES, 2, &diagnostics);
    cr_expect_str_eq(file_of(sources, "x"), FILES[2]);
    cr_expect(is_live(sources, "x") && is_live(sources, "y") && is_live(sources, "z"));
    /* The global file is asked for only when nobody else has it. */
    cr_expect_not(sources_want_global(sources));
    end(sources, &diagnostics);
}

#define WRONG_TENANT "{\"tenants\": {\"new\": {\"hosts\": [\"new.test\"], \"upstrem\": 1}}}"

/* How many are in force by what the file was once. */
static size_t revive(struct sources *sources, const char *text)
{
    struct diagnostics taken = {0};
    size_t revived = sources_revive(sources, "tenants.d/new.json", slice_of(text), &taken);
    cr_expect(zero(sz, taken.count));
    diagnostics_fini(&taken);
    return revived;
}

/* Whether a tenant is that is wrong now, by what its file was before, the latest first. */
static bool comes_in_force(const char *now, const char *const *before, size_t count)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    size_t revived = 0;
    write_file("tenants.d/new.json", now);
    sources_read_file(sources, "tenants.d/new.json", &diagnostics);
    cr_expect(sources_is_wrong(sources, "tenants.d/new.json"));
    for (size_t i = 0; i < count; i++)
        revived += revive(sources, before[i]);
    /* Either way, nothing is left to be looked for. */
    cr_expect_not(sources_is_wrong(sources, "tenants.d/new.json"));
    cr_expect_eq(is_in_force(sources, "new"), revived == 1);
    cr_expect(is_in_force(sources, "old"));
    end(sources, &diagnostics);
    return revived == 1;
}

#define COMES_IN_FORCE(NOW, ...)                            \
    comes_in_force(NOW, (const char *const[]){__VA_ARGS__}, \
                   COUNT_OF(((const char *const[]){__VA_ARGS__})))

Test(sources, what_is_wrong_at_the_start_is_in_force_as_it_last_was_right)
{
    cr_expect(COMES_IN_FORCE(WRONG_TENANT, WRONG_TENANT, "{", "", TENANT("new")));
    cr_expect(COMES_IN_FORCE("{", "{", WRONG_TENANT, "[", TENANT("new")));
}

Test(sources, what_was_not_there_before_it_was_wrong_is_not_revived)
{
    cr_expect_not(COMES_IN_FORCE(WRONG_TENANT, TENANT("other"), TENANT("new")));
    cr_expect_not(COMES_IN_FORCE(WRONG_TENANT, "{\"tenants\": {}}", TENANT("new")));
    cr_expect_not(COMES_IN_FORCE("{", "{\"tenants\": {}}", TENANT("new")));
    cr_expect_not(COMES_IN_FORCE("{", WRONG_TENANT, "{", "{}", TENANT("new")));
}

static bool is_told_of(struct sources *sources, const char *name, const char *file)
{
    struct slice told;
    struct json *contests = sources_contests(sources);
    const struct json *names = json_get(contests, "tenants");
    bool is_told =
        json_read_text(json_get(names, name), &told) && slice_equal(told, slice_of(file));
    cr_expect(eq(sz, json_count(names), is_told));
    json_free(contests);
    return is_told;
}

Test(sources, whose_name_it_is_is_told_while_another_file_has_it_wrong)
{
    static const char *const FILES[] = {"tenants.d/new.json"};
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    write_file(FILES[0], WRONG_TENANT);
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect_not(is_told_of(sources, "new", "new.json")); /* nobody has it */
    write_file("tenants.d/old.json", TENANT("new"));
    sources_read_file(sources, "tenants.d/old.json", &diagnostics);
    cr_expect(is_told_of(sources, "new", "old.json"));
    write_file(FILES[0], "{"); /* what it has is known */
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect(is_told_of(sources, "new", "old.json"));
    write_file(FILES[0], "{\"tenants\": {}}");
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect_not(is_told_of(sources, "new", "old.json"));
    end(sources, &diagnostics);
}

Test(sources, so_it_is_of_a_file_that_was_no_text_at_the_start)
{
    static const char *const FILES[] = {"tenants.d/new.json"};
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    write_file(FILES[0], "{");
    write_file("tenants.d/old.json", TENANT("new"));
    sources_read_file(sources, "tenants.d/old.json", &diagnostics);
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect(zero(sz, revive(sources, TENANT("new"))));
    cr_expect(is_told_of(sources, "new", "old.json"));
    end(sources, &diagnostics);
}

/* Before the start, "new" was another file's, and this one's text was not in force. */
Test(sources, what_another_file_had_is_not_revived)
{
    struct diagnostics diagnostics = {0};
    struct sources *sources = new_sources_of("{\"tenants\": {\"new\": \"z.json\"}}");
    write_file("tenants.d/new.json", WRONG_TENANT);
    sources_read_file(sources, "tenants.d/new.json", &diagnostics);
    cr_expect_not(sources_is_wrong(sources, "tenants.d/new.json"));
    cr_expect(zero(sz, revive(sources, TENANT("new"))));
    cr_expect_not(is_in_force(sources, "new"));
    end(sources, &diagnostics);
}

static bool has_policy(struct sources *sources, const char *name)
{
    return route_registry_find(sources_registry(sources), slice_of(name))->policy != NULL;
}

static void note_wrong(void *count, const char *path)
{
    (void)path;
    (*(size_t *)count)++;
}

static size_t count_wrong(const struct sources *sources)
{
    size_t count = 0;
    sources_each_wrong_file(sources, note_wrong, &count);
    return count;
}

/* A tenant is kept while the global file changes; `wrong` is its file meanwhile. */
static void change_global_beside(const char *wrong)
{
    static const char *const FILES[] = {"tenants.d/new.json"};
    struct diagnostics diagnostics = {0};
    struct configuration *replaced;
    struct sources *sources = new_sources();
    sources_started(sources);
    write_file(FILES[0], TENANT("new"));
    read_files(sources, FILES, 1, &diagnostics);
    write_file(FILES[0], wrong);
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect(zero(sz, count_wrong(sources)));
    write_file("global.json", "{" GLOBAL ", \"defaults\": {\"deny_ips\": [\"192.0.2.0/24\"]}}");
    cr_assert(sources_read_global(sources, "global.json", &replaced, &diagnostics));
    cr_expect(has_policy(sources, "old") && !has_policy(sources, "new"));
    cr_expect(sources_is_wrong(sources, FILES[0]) && count_wrong(sources) == 1);
    /* What was never in force is none of its versions. */
    cr_expect(zero(
        sz, revive(sources, "{\"tenants\": {\"new\": {\"hosts\": [\"x.test\"], " UPSTREAM "}}}")));
    cr_expect(eq(sz, revive(sources, TENANT("new")), 1));
    cr_expect(has_policy(sources, "new"));
    cr_expect(zero(sz, count_wrong(sources)));
    struct sources_counts counts = sources_take_counts(sources);
    cr_expect(eq(sz, counts.kept, 1));
    cr_expect(zero(sz, counts.refused));
    configuration_free(replaced);
    end(sources, &diagnostics);
}

Test(sources, what_is_kept_is_read_again_when_the_global_file_has_changed)
{
    change_global_beside(WRONG_TENANT);
    change_global_beside("{");
}

Test(sources, what_never_was_right_is_not_looked_for_any_more)
{
    static const char *const FILES[] = {"tenants.d/new.json"};
    struct diagnostics diagnostics = {0};
    struct sources *sources = new_sources();
    sources_started(sources);
    write_file(FILES[0], WRONG_TENANT);
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect_not(sources_is_wrong(sources, FILES[0]));
    cr_expect(zero(sz, revive(sources, TENANT("new"))));
    write_file(FILES[0], "{");
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect_not(sources_is_wrong(sources, FILES[0]));
    end(sources, &diagnostics);
}

Test(sources, a_file_that_is_renamed_is_read_once_for_all_its_tenants)
{
    enum { COUNT = 3000 };
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    FILE *file = fopen("tenants.d/all.json", "w");
    cr_assert_not_null(file);
    fputs("{\"tenants\": {", file);
    for (int i = 0; i < COUNT; i++)
        fprintf(file, "%s\"t%d\": {\"hosts\": [\"t%d.test\"], " UPSTREAM "}", i > 0 ? ", " : "", i,
                i);
    fputs("}}", file);
    fclose(file);
    static const char *const BOTH[] = {"tenants.d/tenants.json", "tenants.d/all.json"};
    read_files(sources, BOTH + 1, 1, &diagnostics);
    cr_assert(zero(int, rename(BOTH[1], BOTH[0])));
    sources_take_counts(sources);
    /* The new name first, as inotify tells it: all are in the shadow of what is no more. */
    read_files(sources, BOTH, 2, &diagnostics);
    cr_expect_str_eq(file_of(sources, "t2999"), BOTH[0]);
    struct sources_counts counts = sources_take_counts(sources);
    cr_expect(zero(sz, counts.refused));
    cr_expect(eq(sz, counts.changed, 2 * COUNT)); /* each went, and came */
    end(sources, &diagnostics);
}

/* The one that was there first is wrong by now, and stays out of what is allowed. */
/* By the time the second is read, the first has been read with a name that was the second's. */
Test(sources, files_that_swap_names_are_not_told_of)
{
    struct diagnostics diagnostics = {0};
    struct sources *sources = new_sources();
    write_file("tenants.d/a.json", TENANT("a"));
    write_file("tenants.d/b.json", TENANT("b"));
    sources_read_all(sources, &diagnostics);
    cr_assert(zero(int, rename("tenants.d/a.json", "aside")));
    cr_assert(zero(int, rename("tenants.d/b.json", "tenants.d/a.json")));
    cr_assert(zero(int, rename("aside", "tenants.d/b.json")));
    sources_read_file(sources, "tenants.d/a.json", &diagnostics);
    sources_read_file(sources, "tenants.d/b.json", &diagnostics);
    sources_give_freed(sources, &diagnostics);
    cr_expect(is_live(sources, "a") && is_live(sources, "b"));
    cr_expect(zero(sz, diagnostics.count), "%s", diagnostics.items[0].message);
    end(sources, &diagnostics);
}

Test(sources, a_name_that_the_list_of_addresses_frees_goes_to_the_next_file_that_has_it)
{
    static const char *const FILES[] = {"tenants.d/a.json", "tenants.d/b.json"};
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    struct configuration *replaced = NULL;
    write_file(FILES[0], "{\"tenants\": {\"x\": {\"hosts\": [\"x.test\"], \"upstream\": "
                         "\"http://10.9.0.1\", \"https\": \"off\"}}}");
    write_file(FILES[1], TENANT("x"));
    read_files(sources, FILES, 2, &diagnostics);
    write_file(FILES[0], "{\"tenants\": {\"x\": {}}}");
    read_files(sources, FILES, 1, &diagnostics);
    cr_expect_str_eq(file_of(sources, "x"), FILES[0]);
    write_file("global.json", "{" GLOBAL ", \"upstream_allow\": [\"10.0.0.0/24\"]}");
    cr_assert(sources_read_global(sources, "global.json", &replaced, &diagnostics));
    sources_give_freed(sources, &diagnostics);
    cr_expect_str_eq(file_of(sources, "x"), FILES[1]);
    cr_expect(is_live(sources, "x"));
    configuration_free(replaced);
    end(sources, &diagnostics);
}

/* -- Files that tenants name --------------------------------------------------------------------
 */

#define BY_CERTIFICATE                                                         \
    ", \"identity\": {\"from\": \"client_cert\", \"issuer_file\": \"ca.pem\"," \
    " \"set\": {\"X-User-Email\": \"{email}\"}}"

/* To the file that BY_CERTIFICATE names, one of tests/vectors/identity. */
static void write_authority(const char *name)
{
    size_t size;
    char *path = memory_format(TEST_DATA_DIR "/vectors/identity/%s", name);
    char *text = file_load(path, &size);
    write_file("tenants.d/ca.pem", text);
    free(text);
    free(path);
}

/* Users may come by certificates of the authority in this file. */
static void take_certificates(struct sources *sources, const char *authority,
                              struct diagnostics *diagnostics)
{
    struct configuration *replaced = NULL;
    write_file("global.json", "{" GLOBAL ", \"haproxy\": {\"client_ca_file\": \"/etc/ca.pem\"}}");
    cr_assert(sources_read_global(sources, "global.json", &replaced, diagnostics));
    configuration_free(replaced);
    write_authority(authority);
}

Test(sources, an_authority_that_changes_is_read)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    static const char *const PATH[] = {"tenants.d/c.json"};
    take_certificates(sources, "authority.pem", &diagnostics);
    write_file(PATH[0],
               "{\"tenants\": {\"c\": {\"hosts\": [\"c.test\"], " UPSTREAM BY_CERTIFICATE "}}}");
    read_files(sources, PATH, 1, &diagnostics);
    cr_assert(is_live(sources, "c"), "%s", diagnostics.items[0].message);
    sources_take_counts(sources);
    read_files(sources, PATH, 1, &diagnostics);
    cr_expect(zero(sz, sources_take_counts(sources).changed));
    write_authority("namesake.pem");
    read_files(sources, PATH, 1, &diagnostics);
    cr_expect(eq(sz, sources_take_counts(sources).changed, 1));
    char **named;
    size_t count = sources_named(sources, &named);
    cr_expect(eq(sz, count, 1));
    cr_expect(slice_ends_with(slice_of(named[0]), SLICE("ca.pem")));
    memory_free_texts(named, count);
    end(sources, &diagnostics);
}

/* As one that is looked at while it is copied. */
Test(sources, an_authority_that_is_cut_is_not_taken_in_place_of_a_whole_one)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    static const char *const PATH[] = {"tenants.d/c.json"};
    take_certificates(sources, "authority.pem", &diagnostics);
    write_file(PATH[0],
               "{\"tenants\": {\"c\": {\"hosts\": [\"c.test\"], " UPSTREAM BY_CERTIFICATE "}}}");
    read_files(sources, PATH, 1, &diagnostics);
    cr_assert(is_live(sources, "c"), "%s", diagnostics.items[0].message);
    sources_take_counts(sources);
    FILE *file = fopen("tenants.d/ca.pem", "a");
    fputs("-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\n", file);
    fclose(file);
    read_files(sources, PATH, 1, &diagnostics);
    cr_assert(eq(sz, diagnostics.errors, 1));
    cr_expect(slice_contains(slice_of(diagnostics.items[0].message),
                             SLICE("certificate 2 in it cannot be read")),
              "%s", diagnostics.items[0].message);
    cr_expect(zero(sz, sources_take_counts(sources).changed));
    struct sources_entry entry;
    cr_assert(sources_find(sources, "c", &entry));
    cr_expect(eq(int, entry.state, SOURCES_KEPT));
    end(sources, &diagnostics);
}

/* As after the folder of all of them was swapped. */
Test(sources, a_file_that_names_several_that_changed_is_read_once)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0}, again = {0};
    char *named[] = {"tenants.d/a.csv", "tenants.d/b.csv"};
    static const char *const PATH[] = {"tenants.d/w.json"};
    write_file(PATH[0], "{\"tenants\": {"
                        "\"a\": {\"hosts\": [\"*.a.test\"], \"upstream_map\": \"a.csv\"}, "
                        "\"b\": {\"hosts\": [\"*.b.test\"], \"upstream_map\": \"b.csv\"}, "
                        "\"wrong\": {\"hosts\": []}}}");
    for (size_t i = 0; i < 2; i++)
        write_file(named[i], "a,http://10.0.0.1:3000\n");
    read_files(sources, PATH, 1, &diagnostics);
    sources_take_counts(sources);
    for (size_t i = 0; i < 2; i++)
        write_file(named[i], "a,http://10.0.0.2:3000\n");
    cr_expect_not(sources_read_named(sources, named, 2, &again));
    cr_expect(eq(sz, sources_take_counts(sources).changed, 2));
    cr_expect(eq(sz, again.count, diagnostics.count), "the wrong one is told of once");
    cr_expect_not(sources_read_named(sources, named + 1, 1, &again));
    cr_expect(eq(sz, again.count, 2 * diagnostics.count));
    char *other[] = {"tenants.d/none.csv"};
    cr_expect_not(sources_read_named(sources, other, 1, &again));
    cr_expect(eq(sz, again.count, 2 * diagnostics.count));
    diagnostics_fini(&again);
    end(sources, &diagnostics);
}

/* What is done for one that is put in force would be done to the one that still is. */
Test(sources, one_that_waits_for_its_address_is_not_put_in_force)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    static const char *const PATH[] = {"tenants.d/c.json"};
    write_file(PATH[0], TENANT("c"));
    read_files(sources, PATH, 1, &diagnostics);
    unsigned before = put_in_force;
    cr_expect(lt(uint, 0, before));
    write_file(PATH[0], "{\"tenants\": {\"c\": {\"hosts\": [\"c.test\"], \"upstream\": "
                        "\"http://u.internal\", \"https\": \"off\"}}}");
    read_files(sources, PATH, 1, &diagnostics);
    cr_expect(eq(sz, sources_take_counts(sources).parked, 1));
    cr_expect(eq(uint, put_in_force, before));
    end(sources, &diagnostics);
}

/* The version in force has none. */
Test(sources, the_authority_of_one_that_waits_for_its_address_is_read)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    static const char *const PATH[] = {"tenants.d/c.json"};
    take_certificates(sources, "authority.pem", &diagnostics);
    write_file(PATH[0], TENANT("c"));
    read_files(sources, PATH, 1, &diagnostics);
    write_file(PATH[0], "{\"tenants\": {\"c\": {\"hosts\": [\"c.test\"], \"upstream\": "
                        "\"http://u.internal\", \"https\": \"off\"" BY_CERTIFICATE "}}}");
    read_files(sources, PATH, 1, &diagnostics);
    cr_assert(zero(sz, diagnostics.count), "%s", diagnostics.items[0].message);
    cr_expect(eq(sz, sources_take_counts(sources).parked, 1));
    /* What is the same waits on. */
    read_files(sources, PATH, 1, &diagnostics);
    struct sources_counts counts = sources_take_counts(sources);
    cr_expect(zero(sz, counts.changed));
    cr_expect(eq(sz, counts.parked, 1));
    write_file("tenants.d/ca.pem", "no certificate");
    read_files(sources, PATH, 1, &diagnostics);
    cr_expect(eq(sz, diagnostics.errors, 1));
    write_authority("namesake.pem");
    read_files(sources, PATH, 1, &diagnostics);
    counts = sources_take_counts(sources);
    cr_expect(eq(sz, counts.changed, 1));
    cr_expect(eq(sz, counts.parked, 1));
    char **named;
    size_t count = sources_named(sources, &named);
    cr_expect(eq(sz, count, 1), "it is watched all the time");
    memory_free_texts(named, count);
    end(sources, &diagnostics);
}

Test(sources, lines_of_a_list_that_are_wrong_are_told_whenever_somebody_asks)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0}, asked = {0};
    static const char *const PATH[] = {"tenants.d/w.json"};
    write_file("tenants.d/labels.map", "a,http://10.0.0.1:3000\nb,nothing\n");
    write_file(PATH[0], "{\"tenants\": {\"w\": {\"hosts\": [\"*.w.test\"], \"https\": \"off\", "
                        "\"upstream_map\": \"labels.map\"}}}");
    read_files(sources, PATH, 1, &diagnostics);
    cr_expect(eq(sz, diagnostics.errors, 1));
    cr_expect(is_live(sources, "w"));
    sources_complain(sources, PATH[0], &asked);
    cr_expect(eq(sz, asked.errors, 1));
    diagnostics_fini(&asked);
    end(sources, &diagnostics);
}

/* A line that makes no row, and one whose row stays what it was. */
Test(sources, so_are_lines_that_leave_no_wrong_row)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    static const char *const PATH[] = {"tenants.d/w.json"};
    static const char *const LISTS[] = {"a,http://10.0.0.1:3000\nb\n", "a,http:/10.0.0.1:3000\n"};
    write_file("tenants.d/labels.map", "a,http://10.0.0.1:3000\n");
    write_file(PATH[0], "{\"tenants\": {\"w\": {\"hosts\": [\"*.w.test\"], \"https\": \"off\", "
                        "\"upstream_map\": \"labels.map\"}}}");
    read_files(sources, PATH, 1, &diagnostics);
    cr_expect(eq(sz, diagnostics.errors, 0));
    for (size_t i = 0; i < COUNT_OF(LISTS); i++) {
        struct diagnostics asked = {0};
        write_file("tenants.d/labels.map", LISTS[i]);
        read_files(sources, PATH, 1, &diagnostics);
        cr_expect(is_live(sources, "w"));
        sources_complain(sources, PATH[0], &asked);
        cr_expect(eq(sz, asked.errors, 1), "list %zu", i);
        diagnostics_fini(&asked);
    }
    end(sources, &diagnostics);
}

/* Thousands may, and all are looked at when somebody looks for changes. */
Test(sources, a_file_that_several_tenants_name_is_looked_at_once)
{
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    static const char *const PATH[] = {"tenants.d/many.json"};
    FILE *file = fopen(PATH[0], "w");
    cr_assert_not_null(file);
    fputs("{\"tenants\": {", file);
    for (int i = 0; i < 6; i++)
        fprintf(file,
                "%s\"t%d\": {\"hosts\": [\"t%d.test\"], " UPSTREAM ", \"identity\": {\"from\": "
                "\"client_cert\", \"issuer_file\": \"%d.pem\", \"set\": {\"X-User-Email\": "
                "\"{email}\"}}}",
                i > 0 ? ", " : "", i, i, i % 2);
    fputs("}}", file);
    fclose(file);
    read_files(sources, PATH, 1, &diagnostics);
    char **named;
    size_t count = sources_named(sources, &named);
    cr_expect(eq(sz, count, 2));
    memory_free_texts(named, count);
    end(sources, &diagnostics);
}

/* -- Names without an address -------------------------------------------------------------------
 */

Test(sources, thousands_are_parked_and_found)
{
    enum { COUNT = 2000 };
    static const char *const PATH[] = {"tenants.d/p.json"};
    struct sources *sources = new_sources();
    struct diagnostics diagnostics = {0};
    for (int round = 0; round < 3; round++) {
        FILE *file = fopen(PATH[0], "w");
        cr_assert_not_null(file);
        fputs("{\"tenants\": {", file);
        for (int i = 0; i < COUNT; i++)
            fprintf(file,
                    "%s\"t%d\": {\"hosts\": [\"t%d.test\"], \"https\": \"off\","
                    " \"upstream\": \"http://%s:%d\"}",
                    i > 0 ? ", " : "", i, i,
                    round == 0                 ? "10.0.0.1"
                    : round == 2 && i % 2 == 0 ? "10.0.0.1"
                                               : "u.internal",
                    3000 + round % 2);
        fputs("}}", file);
        fclose(file);
        read_files(sources, PATH, 1, &diagnostics);
        size_t parked = round == 0 ? 0 : round == 1 ? COUNT : COUNT / 2;
        cr_expect(eq(sz, sources_take_counts(sources).parked, parked), "%d", round);
        for (int i = 0; i < COUNT; i++) {
            char *name = memory_format("t%d", i);
            struct sources_entry entry;
            bool is_parked = round == 1 || (round == 2 && i % 2 == 1);
            cr_assert(sources_find(sources, name, &entry));
            cr_assert(eq(int, (int)entry.state, is_parked ? SOURCES_PARKED : SOURCES_LIVE), "%s",
                      name);
            free(name);
        }
    }
    end(sources, &diagnostics);
}
