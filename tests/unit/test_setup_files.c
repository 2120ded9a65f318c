/* app/setup: files that are shown, and written all or none. */
#include "setup_files.h"

#include "core/memory.h"
#include "printed.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/owui-files.XXXXXX";
static struct setup_files files;

/* What is called so is not to be replaced. */
static const char *stuck;

int renameat2(int old_fd, const char *old_path, int new_fd, const char *new_path, unsigned flags)
{
    if (stuck != NULL && strstr(new_path, stuck) != NULL) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_renameat2, old_fd, old_path, new_fd, new_path, flags);
}

int link(const char *old_path, const char *new_path)
{
    if (stuck != NULL && strstr(old_path, stuck) != NULL) {
        errno = EIO;
        return -1;
    }
    return linkat(AT_FDCWD, old_path, AT_FDCWD, new_path, 0);
}

/* The service's user, who need not be on this machine. */
struct passwd *getpwnam(const char *name)
{
    static struct passwd service = {.pw_uid = 4711, .pw_gid = 4711};
    service.pw_name = (char *)(uintptr_t)name;
    return strcmp(name, SETUP_SERVICE_USER) == 0 ? &service : NULL;
}

static char *path_of(const char *name)
{
    return memory_format("%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
    char *path = path_of(name);
    FILE *out = fopen(path, "we");
    cr_assert(out != NULL && fputs(text, out) >= 0);
    fclose(out);
    free(path);
}

static void expect_text(const char *name, const char *expected)
{
    struct error_text why;
    char *path = path_of(name), *text;
    cr_assert_eq(setup_file_read(path, &text, &why), ERROR_OK);
    cr_expect_str_eq(text != NULL ? text : "(none)", expected, "%s", name);
    free(text);
    free(path);
}

static size_t count_files(void)
{
    size_t count = 0;
    DIR *all = opendir(folder);
    for (const struct dirent *one; (one = readdir(all)) != NULL;)
        count += one->d_name[0] != '.' || strlen(one->d_name) > 2;
    closedir(all);
    return count;
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void)
{
    setup_files_fini(&files);
    DIR *all = opendir(folder);
    for (const struct dirent *one; (one = readdir(all)) != NULL;)
        (void)!unlinkat(dirfd(all), one->d_name, 0);
    closedir(all);
    rmdir(folder);
}

TestSuite(setup_files, .init = set_up, .fini = tear_down);

/* `text` is to be in the file, which holds `previous`; NULL: it is not there. */
static void add(const char *name, const char *previous, const char *text)
{
    struct error_text why;
    if (previous != NULL)
        put(name, previous);
    cr_assert_eq(
        setup_files_add(&files, path_of(name), memory_copy_text(slice_of(text)), 0640, NULL, &why),
        ERROR_OK);
}

/* -- Shown ------------------------------------------------------------------------------------- */

/* PATH stands for the first file's. */
static void expect_shown(bool all, const char *expected)
{
    struct printed printed = printed_from_here();
    setup_files_show(&files, all);
    char *text = printed_till_here(&printed);
    const char *path = files.items[0].path;
    for (char *at; (at = strstr(text, path)) != NULL;) {
        memcpy(at, "PATH", 4);
        memmove(at + 4, at + strlen(path), strlen(at + strlen(path)) + 1);
    }
    cr_expect_str_eq(text, expected);
    free(text);
    setup_files_fini(&files);
}

/* "1\n2\n" up to `count`, each with `ending`. For free(). */
static char *numbers(unsigned count, const char *ending)
{
    char *text = memory_copy_text(SLICE(""));
    for (unsigned i = 1; i <= count; i++) {
        char *longer = memory_format("%s%u%s\n", text, i, ending);
        free(text);
        text = longer;
    }
    return text;
}

Test(setup_files, a_difference_has_two_lines_around)
{
    add("a", "1\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\nfour\n5\n6\n7\n");
    expect_shown(false, "\n  change PATH, 7 lines\n"
                        "      ...\n"
                        "      2\n      3\n    - 4\n    + four\n      5\n      6\n"
                        "      ...\n");
    add("a", "1\n2\n3\n4\n5\n6\n", "0\n1\n2\n3\n4\n5\n6\n7");
    expect_shown(false, "\n  change PATH, 8 lines\n"
                        "    + 0\n      1\n      2\n"
                        "      ...\n"
                        "      5\n      6\n    + 7\n");
    add("a", "1\n2\n3\n", "1\n3\n");
    expect_shown(false, "\n  change PATH, 2 lines\n      1\n    - 2\n      3\n");
}

Test(setup_files, what_stays_is_told_in_a_line)
{
    add("a", "1\n", "1\n");
    add("b", NULL, "new\n");
    char *b = memory_copy_text(slice_of(files.items[1].path));
    char *expected = memory_format("\n  as is  PATH\n\n  new    %s, 1 lines\n    + new\n", b);
    cr_expect_eq(setup_files_changing(&files), 1u);
    expect_shown(false, expected);
    free(expected);
    free(b);
}

Test(setup_files, what_is_long_is_shown_when_asked_for)
{
    char *short_one = numbers(60, ""), *long_one = numbers(61, ""), *other = numbers(31, "x");
    char *before = numbers(31, ""), *huge = numbers(2001, ""), *huge_too = numbers(2001, "x");
    struct printed printed;
    add("a", NULL, long_one);
    expect_shown(false, "\n  new    PATH, 61 lines\n    (--dry-run shows it)\n");
    add("a", before, other);
    expect_shown(false, "\n  change PATH, 31 lines\n    (62 lines differ; --dry-run shows them)\n");
    add("a", huge, huge_too); /* to be compared, it would take too much memory */
    expect_shown(false, "\n  change PATH, 2001 lines\n    (--dry-run shows it)\n");
    add("a", short_one, "");
    add("d", long_one, "");
    add("b", NULL, short_one);
    add("c", NULL, long_one);
    for (int all = 0; all < 2; all++) {
        printed = printed_from_here();
        setup_files_show(&files, all != 0);
        char *text = printed_till_here(&printed);
        cr_expect_not_null(strstr(text, "\n    - 60\n"), "%s", text);
        cr_expect_eq(strstr(text, "\n    - 61\n") != NULL, all != 0);
        cr_expect_not_null(strstr(text, "\n    + 60\n"), "%s", text);
        cr_expect_eq(strstr(text, "\n    + 61\n") != NULL, all != 0);
        free(text);
    }
    free(short_one);
    free(long_one);
    free(other);
    free(before);
    free(huge);
    free(huge_too);
}

/* -- Written ----------------------------------------------------------------------------------- */

/* With what is told on stdout. */
static enum error write_all(bool keeps, struct error_text *why, char **told)
{
    struct printed printed = printed_from_here();
    enum error error = setup_files_write(&files, keeps, why);
    *told = printed_till_here(&printed);
    return error;
}

static void expect_written(bool keeps, size_t count)
{
    struct error_text why = {""};
    char *told;
    cr_expect_eq(write_all(keeps, &why, &told), ERROR_OK, "%s", why.text);
    cr_expect_eq(count_files(), count, "%s", told);
    free(told);
}

static void expect_refused(const char *reason)
{
    struct error_text why = {""};
    char *told;
    cr_expect_neq(write_all(true, &why, &told), ERROR_OK);
    cr_expect_not_null(strstr(why.text, reason), "%s", why.text);
    cr_expect_str_eq(told, "");
    free(told);
}

Test(setup_files, are_written_and_kept)
{
    add("a", "old a", "new a");
    add("b", "same", "same");
    add("c", NULL, "new c");
    expect_written(true, 4);
    expect_text("a", "new a");
    expect_text("c", "new c");
    cr_assert_not_null(files.items[0].kept);
    expect_text(strrchr(files.items[0].kept, '/') + 1, "old a");
    cr_expect_null(files.items[1].kept);
    cr_expect_null(files.items[2].kept);
}

Test(setup_files, are_kept_when_that_is_asked_for)
{
    add("a", "old a", "new a");
    expect_written(false, 1);
    expect_text("a", "new a");
    cr_expect_null(files.items[0].kept);
}

/* All of them at once: who starts in one second may end in the next one. */
static void take_names(unsigned count)
{
    time_t now = time(NULL);
    for (int s = 0; s < 30; s++) {
        char stamp[32], name[64];
        time_t then = now + s;
        struct tm parts;
        strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", localtime_r(&then, &parts));
        for (unsigned i = 1; i <= count; i++) {
            snprintf(name, sizeof(name), i > 1 ? "a.before-%s-%u" : "a.before-%s", stamp, i);
            put(name, "kept before");
        }
    }
}

Test(setup_files, a_name_for_what_is_kept_is_found)
{
    add("a", "old a", "new a");
    take_names(8);
    expect_written(true, 30 * 8 + 2);
    const char *kept = files.items[0].kept;
    cr_assert_not_null(kept);
    cr_expect_str_eq(kept + strlen(kept) - 2, "-9");
}

Test(setup_files, without_a_name_for_what_is_kept_nothing_is_written)
{
    add("b", "old b", "new b");
    add("a", "old a", "new a");
    take_names(9);
    expect_refused("is there already");
    expect_text("a", "old a");
    expect_text("b", "old b");
    cr_expect_eq(count_files(), 30u * 9 + 2);
}

Test(setup_files, are_written_all_or_none)
{
    add("a", "old a", "new a");
    add("b", NULL, "new b");
    add("stuck", "old", "new");
    stuck = "/stuck";
    expect_refused("stuck");
    expect_text("a", "old a");
    expect_text("b", "(none)");
    expect_text("stuck", "old");
    cr_expect_eq(count_files(), 2u);

    /* Nor are those that are not kept under another name. */
    struct error_text why;
    char *told;
    cr_expect_neq(write_all(false, &why, &told), ERROR_OK);
    expect_text("a", "old a");
    cr_expect_eq(count_files(), 2u);
    free(told);
}

Test(setup_files, what_is_not_as_it_was_shown_is_left_alone)
{
    char *path;
    add("a", "old a", "new a");
    put("a", "mine");
    expect_refused("has changed since");
    expect_text("a", "mine");
    setup_files_fini(&files);

    add("b", "old b", "new b");
    path = path_of("b");
    unlink(path);
    expect_refused("has changed since");
    expect_text("b", "(none)");
    setup_files_fini(&files);

    add("b", NULL, "new b");
    put("b", "mine");
    expect_refused("has changed since");
    expect_text("b", "mine");
    free(path);
}

/* -- Folders ----------------------------------------------------------------------------------- */

Test(setup_files, a_folder_is_made_once)
{
    struct error_text why;
    struct stat status;
    char *path = path_of("x"), *below = path_of("none/x");
    cr_expect_eq(setup_folder(path, 02750, "nobody-here", "nobody-here", &why), ERROR_OK);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 02750u);
    cr_assert_eq(chmod(path, 0705), 0);
    cr_expect_eq(setup_folder(path, 02750, NULL, NULL, &why), ERROR_OK);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0705u, "what is there stays as it is");
    cr_expect_eq(setup_folder(below, 0700, NULL, NULL, &why), ERROR_SYSTEM);
    rmdir(path);
    put("x", "");
    cr_expect_eq(setup_folder(path, 0700, NULL, NULL, &why), ERROR_INVALID);
    free(path);
    free(below);
}

Test(setup_files, a_folder_that_the_service_may_not_use_is_told)
{
    static const struct {
        uid_t owner;
        mode_t mode;
        bool may_read, may_write;
    } ROWS[] = {{0, 0755, true, false},
                {0, 0750, false, false},
                {4711, 0700, true, true},
                {4711, 0500, true, false}};
    struct error_text why;
    char *path = path_of("x");
    if (geteuid() != 0)
        cr_skip("files are given away by root alone");
    cr_assert_eq(mkdir(path, 0700), 0);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        cr_assert(chown(path, ROWS[i].owner, 0) == 0 && chmod(path, ROWS[i].mode) == 0);
        enum error reads = setup_folder(path, 02770, NULL, "owui-spoa", &why);
        cr_expect_eq(reads == ERROR_OK, ROWS[i].may_read, "%zu", i);
        enum error writes = setup_folder(path, 02750, "owui-spoa", "haproxy", &why);
        cr_expect_eq(writes == ERROR_OK, ROWS[i].may_write, "%zu", i);
    }
    char *fix = memory_format(" (mode 0500), and the service, which runs as owui-spoa, may not "
                              "write there: chown owui-spoa:haproxy %s && chmod 2750 %s",
                              path, path);
    cr_expect_not_null(strstr(why.text, fix), "%s", why.text);
    free(fix);
    rmdir(path);
    free(path);
}
