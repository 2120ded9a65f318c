/* tenant_edit.h: a tenant's file, replaced. */
#include "tenant_edit.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/owui-tenant.XXXXXX";
static char path[64];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a.json", folder);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

TestSuite(tenant_file_write, .init = make_folder, .fini = remove_folder);

Test(tenant_file_write, what_was_there_keeps_its_mode)
{
    struct stat about;
    cr_assert_eq(tenant_file_write(path, SLICE("{}"), NULL), ERROR_OK);
    cr_assert_eq(chmod(path, 0604), 0);
    cr_assert_eq(tenant_file_write(path, SLICE("{\"tenants\": {}}"), NULL), ERROR_OK);
    cr_assert_eq(stat(path, &about), 0);
    cr_assert_eq(about.st_mode & 07777, 0604u);
    cr_assert_eq(about.st_size, 15);
}

Test(tenant_file_write, a_link_is_left_alone)
{
    struct stat about;
    struct error_text why;
    cr_assert_eq(symlink("elsewhere", path), 0);
    cr_assert_eq(tenant_file_write(path, SLICE("{}"), &why), ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(why.text, "is a link"));
    cr_assert_eq(lstat(path, &about), 0);
    cr_assert(S_ISLNK(about.st_mode));
}

Test(tenant_file_write, who_does_not_ask_for_the_reason_gets_none)
{
    cr_assert_eq(tenant_file_write("/proc/a.json", SLICE("{}"), NULL), ERROR_SYSTEM);
}
