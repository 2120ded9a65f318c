/* serving: the file of a map, which HAProxy reads when it starts. */
#include "serving/map_file.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static char root[] = "/tmp/owui-map-XXXXXX";
static char *path;

static void set_up(void)
{
    cr_assert(mkdtemp(root) != NULL);
    path = memory_format("%s/now.map", root);
}

static void tear_down(void)
{
    unlink(path);
    cr_expect(rmdir(root) == 0);
    free(path);
}

TestSuite(map_file, .init = set_up, .fini = tear_down);

static void expect_ensured(void)
{
    struct error_text why = {""};
    cr_expect(eq(int, map_file_ensure(path, &why), ERROR_OK), "%s", why.text);
}

Test(map_file, whoever_starts_haproxy_may_read_what_was_made)
{
    struct stat status;
    umask(0027);
    expect_ensured();
    cr_assert(stat(path, &status) == 0);
    cr_expect(eq(int, (int)(status.st_mode & 0777), 0644));
}

/* `haproxy-config --out` makes it as root, and the service finds it. */
Test(map_file, one_that_is_there_will_do_whoever_made_it)
{
    cr_assert(chmod(root, 0755) == 0);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0444));
    if (geteuid() == 0)
        cr_assert(seteuid(NOBODY) == 0);
    expect_ensured();
    if (geteuid() == NOBODY)
        cr_assert(seteuid(0) == 0);
}

/* The folder is the service's, and who makes the file may be root. */
Test(map_file, a_link_leads_nobody_to_make_a_file_elsewhere)
{
    struct error_text why = {""};
    char *elsewhere = memory_format("%s/elsewhere", root);
    cr_assert(symlink("elsewhere", path) == 0);
    cr_expect(eq(int, map_file_ensure(path, &why), ERROR_INVALID));
    cr_expect(strstr(why.text, "now.map is a link that leads nowhere") != NULL, "%s", why.text);
    cr_expect(access(elsewhere, F_OK) != 0, "it was made");
    close(open(elsewhere, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    expect_ensured();
    struct stat status;
    cr_assert(stat(elsewhere, &status) == 0);
    cr_expect(eq(int, (int)(status.st_mode & 0777), 0600));
    unlink(elsewhere);
    free(elsewhere);
}
