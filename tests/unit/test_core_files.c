/* core: what is told of files. */
#include "core/file_stamp.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
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
