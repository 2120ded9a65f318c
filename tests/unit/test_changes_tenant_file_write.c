/* tenant_edit.h: a tenant's file, replaced. */
#include "tenant_edit.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
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
    if (geteuid() == 0)
        cr_assert_eq(chown(path, 4711, 4712), 0);
    cr_assert_eq(tenant_file_write(path, SLICE("{\"tenants\": {}}"), NULL), ERROR_OK);
    cr_assert_eq(stat(path, &about), 0);
    cr_assert_eq(about.st_mode & 07777, 0604u);
    cr_assert_eq(about.st_size, 15);
    cr_expect_eq(about.st_uid, geteuid() == 0 ? 4711 : geteuid());
    cr_expect_eq(about.st_gid, geteuid() == 0 ? 4712 : getegid());
}

/* So that HAProxy's group, or that of the folder's admins, can read what is made. */
Test(tenant_file_write, a_new_file_is_of_its_folders_group)
{
    struct stat about;
    if (geteuid() != 0)
        cr_skip("files are given away by root alone");
    for (int sets = 0; sets < 2; sets++) {
        cr_assert(chown(folder, 0, 4712) == 0 && chmod(folder, sets ? 02770 : 0770) == 0);
        cr_assert_eq(tenant_file_write(path, SLICE("{}"), NULL), ERROR_OK);
        cr_assert_eq(stat(path, &about), 0);
        cr_expect_eq(about.st_mode & 07777, 0640u);
        cr_expect_eq(about.st_gid, sets ? 4712u : getegid());
        unlink(path);
    }
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

/* As a service without privileges, which alone tries again without the file's group. */
Test(tenant_file_write, a_folder_that_cannot_be_opened_is_what_is_told)
{
    enum { NOBODY = 65534 };
    struct error_text why;
    bool is_root = geteuid() == 0;
    cr_assert_eq(tenant_file_write(path, SLICE("{}"), NULL), ERROR_OK);
    cr_assert_eq(chmod(folder, 0300), 0);
    if (is_root)
        cr_assert(chown(folder, NOBODY, NOBODY) == 0 && seteuid(NOBODY) == 0);
    enum error error = tenant_file_write(path, SLICE("{}"), &why);
    if (is_root) /* and may be looked at by the leak checker again */
        cr_assert(seteuid(0) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
    cr_expect_eq(error, ERROR_SYSTEM);
    cr_expect_not_null(strstr(why.text, "cannot open the folder"), "%s", why.text);
}

Test(tenant_file_write, who_does_not_ask_for_the_reason_gets_none)
{
    cr_assert_eq(tenant_file_write("/proc/a.json", SLICE("{}"), NULL), ERROR_SYSTEM);
}
