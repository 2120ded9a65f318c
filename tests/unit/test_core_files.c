/* core: what is told of files. */
#include "core/file.h"
#include "core/file_path.h"
#include "core/file_stamp.h"
#include "core/whole_file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char folder[] = "/tmp/owui-test-files.XXXXXX";

static void enter_folder(void)
{
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    cr_assert(eq(int, chdir(folder), 0));
}

static void leave_folder(void)
{
    if (chdir("/") == 0)
        rmdir(folder);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    cr_assert(ne(ptr, file, NULL));
    cr_assert(eq(sz, fwrite(text, 1, strlen(text), file), strlen(text)));
    cr_assert(eq(int, fclose(file), 0));
}

TestSuite(file_stamp, .init = enter_folder, .fini = leave_folder);

Test(file_stamp, is_the_same_while_the_file_is)
{
    write_file("a", "one");
    struct file_stamp before = file_stamp_read("a");
    struct file_stamp after = file_stamp_read("a");
    cr_expect(not(file_stamp_is_none(&before)));
    cr_expect(file_stamp_equal(&before, &after));
    unlink("a");
}

Test(file_stamp, is_another_of_a_file_that_was_written_to_or_replaced)
{
    write_file("a", "one");
    struct file_stamp first = file_stamp_read("a");
    write_file("a", "three");
    struct file_stamp second = file_stamp_read("a");
    cr_expect(not(file_stamp_equal(&first, &second)));
    write_file("b", "three");
    cr_assert(eq(int, rename("b", "a"), 0));
    struct file_stamp third = file_stamp_read("a");
    cr_expect(not(file_stamp_equal(&second, &third)));
    unlink("a");
}

Test(file_stamp, is_none_where_there_is_no_file)
{
    struct file_stamp missing = file_stamp_read("a");
    cr_expect(file_stamp_is_none(&missing));
    write_file("a", "one");
    struct file_stamp there = file_stamp_read("a");
    cr_expect(not(file_stamp_equal(&missing, &there)));
    unlink("a");
}

static void expect_path(const char *path, const char *in, const char *name)
{
    struct slice found = file_path_folder(path);
    cr_expect(slice_equal(found, slice_of(in)), "\"%s\" is in \"%s\", not in \"%.*s\"", path, in,
              SLICE_PRINT(found));
    cr_expect(zero(int, strcmp(file_path_name(path), name)), "\"%s\" is \"%s\", not \"%s\"", path,
              name, file_path_name(path));
}

Test(file_path, is_cut_at_its_last_slash)
{
    expect_path("/etc/haproxy/haproxy.cfg", "/etc/haproxy", "haproxy.cfg");
    expect_path("etc/x", "etc", "x");
    expect_path("../x", "..", "x");
    expect_path("/etc//x", "/etc", "x");
}

Test(file_path, without_a_folder_is_in_the_one_where_we_are)
{
    expect_path("x", ".", "x");
    expect_path("", ".", "");
}

Test(file_path, may_be_in_the_root)
{
    expect_path("/x", "/", "x");
    expect_path("//x", "/", "x");
    expect_path("/", "/", "");
}

Test(file_path, with_a_slash_at_its_end_is_a_folders)
{
    expect_path("/etc/", "/etc", "");
    expect_path("etc//", "etc", "");
}

static void expect_beside(const char *beside, const char *name, const char *path)
{
    char *found = file_path_beside(beside, slice_of(name));
    cr_expect(zero(int, strcmp(found, path)), "\"%s\" beside \"%s\" is \"%s\"", name, beside,
              found);
    free(found);
}

Test(file_path, beside_another_is_in_its_folder)
{
    expect_beside("/etc/haproxy/a", "b", "/etc/haproxy/b");
    expect_beside("/a", "b", "/b");
    expect_beside("a", "b", "b");
    expect_beside("c/a", "b/d", "c/b/d");
    expect_beside("/etc/haproxy/a", "/var/b", "/var/b");
}

TestSuite(whole_file, .init = enter_folder, .fini = leave_folder);

static void expect_refused(const char *path, size_t max_bytes, enum error error, const char *reason)
{
    char *text = NULL;
    struct error_text why = {""};
    cr_expect(eq(int, whole_file_read(path, max_bytes, &text, NULL, &why), error));
    cr_expect(zero(int, strcmp(why.text, reason)), "%s", why.text);
    cr_expect(eq(ptr, text, NULL));
}

Test(whole_file, is_read_up_to_its_limit)
{
    char *text = NULL;
    size_t size = 0;
    write_file("a", "12345");
    cr_assert(eq(int, whole_file_read("a", 5, &text, &size, NULL), ERROR_OK));
    cr_expect(eq(sz, size, 5));
    cr_expect(eq(str, text, "12345"));
    free(text);
    expect_refused("a", 4, ERROR_TOO_BIG, "a is bigger than 4 bytes");
    unlink("a");
}

Test(whole_file, may_be_empty)
{
    char *text = NULL;
    size_t size = 1;
    write_file("a", "");
    cr_assert(eq(int, whole_file_read("a", 5, &text, &size, NULL), ERROR_OK));
    cr_expect(eq(sz, size, 0));
    cr_expect(eq(str, text, ""));
    free(text);
    unlink("a");
}

/* Files of the kernel's own have no size before they are read. */
Test(whole_file, may_have_more_than_it_says)
{
    char *text = NULL;
    size_t size = 0;
    cr_assert(eq(int, whole_file_read("/proc/self/status", 1 << 20, &text, &size, NULL), ERROR_OK));
    cr_expect(lt(sz, 100, size));
    cr_expect(eq(sz, strlen(text), size));
    free(text);
    expect_refused("/proc/self/status", 10, ERROR_TOO_BIG,
                   "/proc/self/status is bigger than 10 bytes");
}

Test(whole_file, that_is_not_there_is_told_from_one_that_cannot_be_read)
{
    expect_refused("a", 5, ERROR_NOT_FOUND, "cannot open a: No such file or directory");
    write_file("a", "");
    expect_refused("a/b", 5, ERROR_SYSTEM, "cannot open a/b: Not a directory");
    cr_expect(eq(int, errno, ENOTDIR));
    unlink("a");
}

Test(whole_file, has_to_be_a_regular_one)
{
    cr_assert(eq(int, mkfifo("a", 0600), 0));
    expect_refused("a", 5, ERROR_INVALID, "a is not a regular file");
    unlink("a");
    expect_refused(".", 5, ERROR_INVALID, ". is not a regular file");
}

TestSuite(file, .init = enter_folder, .fini = leave_folder);

static void drop_capability(unsigned capability)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    cr_assert(zero(int, (int)syscall(SYS_capget, &head, data)));
    data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
    cr_assert(zero(int, (int)syscall(SYS_capset, &head, data)));
}

/* CAP_CHOWN is what docs/CONFIGURATION.md asks for. */
Test(file, is_given_to_another_user_without_more_rights_than_that_takes)
{
    const struct file_mode mode = {.mode = 0640, .owner = 65534, .group = 65533};
    struct error_text why = {""};
    struct folder here;
    struct stat about;
    if (geteuid() != 0)
        cr_skip_test("gives a file to another user");
    drop_capability(CAP_FOWNER);
    cr_assert(eq(int, folder_open(&here, ".", 0700, &why), ERROR_OK));
    cr_expect(eq(int, file_replace(&here, &here, "a", SLICE("x"), &mode, &why), ERROR_OK), "%s",
              why.text);
    cr_assert(zero(int, stat("a", &about)));
    cr_expect(eq(u32, about.st_uid, 65534));
    cr_expect(eq(u32, about.st_gid, 65533));
    cr_expect(eq(u32, about.st_mode & 07777, 0640));
    unlink("a");
    folder_close(&here);
}
