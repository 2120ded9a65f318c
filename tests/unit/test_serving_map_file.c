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
