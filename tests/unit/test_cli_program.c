/* cli/program.h: programs by their names. */
#include "cli/program.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/owui-program.XXXXXX";

static void make(const char *name, mode_t mode)
{
    char *path = memory_format("%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fclose(file);
    cr_assert_eq(chmod(path, mode), 0);
    free(path);
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(folder));
    make("here", 0755);
    make("text", 0644);
    char *below = memory_format("%s/below", folder);
    cr_assert(mkdir(below, 0755) == 0 && chdir(folder) == 0);
    free(below);
}

static void tear_down(void)
{
    static const char *const NAMES[] = {"here", "text", "below", "ldconfig", ""};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        char *path = memory_format("%s/%s", folder, NAMES[i]);
        (void)remove(path);
        free(path);
    }
}

TestSuite(program, .init = set_up, .fini = tear_down);

static void expect(const char *path, const char *name, bool or_roots, const char *expected)
{
    if (path != NULL)
        setenv("PATH", path, 1);
    else
        unsetenv("PATH");
    char *found = program_find(name, or_roots);
    cr_expect_str_eq(found != NULL ? found : "(none)", expected, "%s in %s", name, path);
    free(found);
}

Test(program, is_found_where_a_shell_would)
{
    char *here = memory_format("%s/here", folder), *text = memory_format("%s/text", folder);
    char *second = memory_format("/nowhere:%s", folder);
    expect(second, "here", false, here);
    expect(folder, "text", false, "(none)");
    expect(folder, "below", false, "(none)");
    expect(folder, "", false, "(none)");
    expect("/nowhere", here, false, here);
    expect("/nowhere", text, false, "(none)");
    expect(NULL, "sh", false, "/bin/sh");
    free(here);
    free(text);
    free(second);
}

/* Of the folder that we are in, somebody else may be the owner. */
Test(program, of_the_folder_that_we_are_in_is_none)
{
    expect("", "here", false, "(none)");
    expect(":/nowhere:", "here", false, "(none)");
}

Test(program, is_found_where_roots_are)
{
    expect("/nowhere", "ldconfig", false, "(none)");
    make("ldconfig", 0755);
    char *own = memory_format("%s/ldconfig", folder);
    expect(folder, "ldconfig", true, own);
    free(own);
    char *found;
    setenv("PATH", "/nowhere", 1);
    found = program_find("ldconfig", true);
    cr_expect(found != NULL && strstr(found, "/sbin/") != NULL, "%s", found);
    free(found);
}
