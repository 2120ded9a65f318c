/* cli/host_file.h: files that are replaced, and the way back. */
#include "cli/host_file.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TEXT_SIZE = 64 };

static char folder[] = "/tmp/owui-host.XXXXXX";
static char path[64], kept[64];

/* NFS, for one, knows neither way. */
static bool has_flags = true;

int renameat2(int old_fd, const char *old_path, int new_fd, const char *new_path, unsigned flags)
{
    if (flags != 0 && !has_flags) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, old_fd, old_path, new_fd, new_path, flags);
}

/* What fsync() of a folder comes to; 0: what it does. */
static int folder_sync_errno;

int fsync(int fd)
{
    struct stat about;
    if (folder_sync_errno == 0 || fstat(fd, &about) != 0 || !S_ISDIR(about.st_mode))
        return (int)syscall(SYS_fsync, fd);
    errno = folder_sync_errno;
    return -1;
}

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a.cfg", folder);
    snprintf(kept, sizeof(kept), "%s/a.cfg.before", folder);
}

static void remove_folder(void)
{
    DIR *all = opendir(folder);
    for (const struct dirent *one; (one = readdir(all)) != NULL;)
        (void)!unlinkat(dirfd(all), one->d_name, 0);
    closedir(all);
    rmdir(path);
    rmdir(folder);
}

TestSuite(host_file, .init = make_folder, .fini = remove_folder);

static void put(const char *file, const char *text, mode_t mode)
{
    FILE *out = fopen(file, "we");
    cr_assert(out != NULL && fputs(text, out) >= 0);
    fclose(out);
    cr_assert_eq(chmod(file, mode), 0);
}

static const char *text_of(const char *file)
{
    static char text[TEXT_SIZE];
    FILE *in = fopen(file, "re");
    if (in == NULL)
        return "(none)";
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    fclose(in);
    return text;
}

static size_t count_files(void)
{
    size_t count = 0;
    DIR *all = opendir(folder);
    for (const struct dirent *one; (one = readdir(all)) != NULL;)
        count += strcmp(one->d_name, ".") != 0 && strcmp(one->d_name, "..") != 0;
    closedir(all);
    return count;
}

static struct host_file written(const char *text)
{
    struct host_file file;
    struct error_text why;
    enum error error = host_file_write(&file, path, slice_of(text), 0644, NULL, &why);
    cr_assert_eq(error, ERROR_OK, "%s", why.text);
    return file;
}

static void place(struct host_file *file)
{
    struct error_text why;
    enum error error = host_file_place(file, &why);
    cr_assert_eq(error, ERROR_OK, "%s", why.text);
}

static void expect_mode(mode_t mode)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, mode);
}

/* -- On both kinds of file systems ------------------------------------------------------------- */

static void expect_replaced(void)
{
    put(path, "old", 0600);
    struct host_file file = written("new");
    cr_expect_str_eq(text_of(path), "old");
    place(&file);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(path), "new");
    expect_mode(0600);
    cr_expect_eq(count_files(), 1u);
    unlink(path);
}

static void expect_made(void)
{
    struct host_file file = written("new");
    place(&file);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(path), "new");
    expect_mode(0644);
    cr_expect_eq(count_files(), 1u);
    unlink(path);
}

static void expect_taken_back(const char *before)
{
    struct error_text why;
    if (before != NULL)
        put(path, before, 0600);
    struct host_file file = written("new");
    if (before != NULL)
        cr_assert_eq(host_file_keep(&file, "before", &why), ERROR_OK);
    place(&file);
    host_file_take_back(&file);
    host_file_take_back(&file); /* as often as one likes */
    host_file_fini(&file);
    cr_expect_str_eq(text_of(path), before != NULL ? before : "(none)");
    cr_expect_eq(count_files(), before != NULL ? 1u : 0u);
    unlink(path);
}

/* Somebody else has made one meanwhile, which nobody has looked at. */
static void expect_left_alone(void)
{
    struct error_text why;
    struct host_file file = written("new");
    put(path, "somebody's", 0600);
    cr_expect_eq(host_file_place(&file, &why), ERROR_SYSTEM);
    host_file_take_back(&file);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(path), "somebody's");
    cr_expect_eq(count_files(), 1u);
    unlink(path);
}

Test(host_file, is_placed_and_taken_back, .init = cr_redirect_stderr)
{
    for (int i = 0; i < 2; i++, has_flags = false) {
        expect_replaced();
        expect_made();
        expect_taken_back("old");
        expect_taken_back(NULL);
        expect_left_alone();
    }
    fflush(stderr);
    cr_expect_stderr_eq_str("");
}

/* -- Failures ---------------------------------------------------------------------------------- */

Test(host_file, what_is_not_placed_leaves_nothing)
{
    put(path, "old", 0600);
    struct host_file file = written("new");
    host_file_take_back(&file);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(path), "old");
    cr_expect_eq(count_files(), 1u);
}

Test(host_file, the_only_copy_outlives_a_way_back_that_is_blocked, .init = cr_redirect_stderr)
{
    put(path, "old", 0600);
    struct host_file file = written("new");
    char *beside = memory_copy_text(slice_of(file.beside));
    place(&file);
    unlink(path);
    cr_assert_eq(mkdir(path, 0700), 0);
    host_file_take_back(&file);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(beside), "old");
    free(beside);
}

Test(host_file, what_is_kept_has_its_name_alone)
{
    struct error_text why;
    put(path, "old", 0600);
    put(kept, "older", 0600);
    struct host_file file = written("new");
    cr_expect_eq(host_file_keep(&file, "before", &why), ERROR_EXISTS);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(kept), "older");

    /* Whoever wanted to replace it was killed. */
    unlink(kept);
    cr_assert_eq(link(path, kept), 0);
    file = written("new");
    cr_expect_eq(host_file_keep(&file, "before", &why), ERROR_OK);
    place(&file);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(kept), "old");
    cr_expect_str_eq(text_of(path), "new");
    cr_expect_eq(count_files(), 2u);
}

Test(host_file, a_link_stays_one)
{
    struct stat status;
    put(kept, "old", 0600);
    cr_assert_eq(symlink("a.cfg.before", path), 0);
    struct host_file file = written("new");
    place(&file);
    host_file_fini(&file);
    cr_assert_eq(lstat(path, &status), 0);
    cr_expect(S_ISLNK(status.st_mode));
    cr_expect_str_eq(text_of(kept), "new");
}

/* Some file systems sync no folders, and say so: the file is in its place all the same. */
Test(host_file, a_folder_that_cannot_be_synced_is_no_reason_to_take_it_back)
{
    struct error_text why;
    struct host_file file = written("new");
    folder_sync_errno = EINVAL;
    place(&file);
    host_file_fini(&file);
    cr_expect_str_eq(text_of(path), "new");
    file = written("newer");
    folder_sync_errno = EIO;
    cr_expect_eq(host_file_place(&file, &why), ERROR_SYSTEM);
    cr_expect_str_eq(text_of(path), "newer");
    host_file_take_back(&file);
    cr_expect_str_eq(text_of(path), "new");
    host_file_fini(&file);
}
