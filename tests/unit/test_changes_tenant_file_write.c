/* tenant_edit.h: a tenant's file, replaced. */
#include "tenant_edit.h"

#include "core/file.h"
#include "core/file_stamp.h"
#include "core/memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char folder[] = "/tmp/owui-tenant.XXXXXX";
static char path[64];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a.json", folder);
}

/* What fsync() of a folder comes to; 0: what it does. */
static int folder_sync_errno;
static unsigned folder_syncs;

int fsync(int fd)
{
    struct stat about;
    bool is_folder = fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
    folder_syncs += is_folder;
    if (!is_folder || folder_sync_errno == 0)
        return (int)syscall(SYS_fsync, fd);
    errno = folder_sync_errno;
    return -1;
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
    cr_assert_eq(tenant_file_write(path, SLICE("{}"), NULL, NULL), ERROR_OK);
    cr_assert_eq(chmod(path, 0604), 0);
    if (geteuid() == 0)
        cr_assert_eq(chown(path, 4711, 4712), 0);
    cr_assert_eq(tenant_file_write(path, SLICE("{\"tenants\": {}}"), NULL, NULL), ERROR_OK);
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
        cr_assert_eq(tenant_file_write(path, SLICE("{}"), NULL, NULL), ERROR_OK);
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
    cr_assert_eq(tenant_file_write(path, SLICE("{}"), NULL, &why), ERROR_UNSUPPORTED);
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
    cr_assert_eq(tenant_file_write(path, SLICE("{}"), NULL, NULL), ERROR_OK);
    cr_assert_eq(chmod(folder, 0300), 0);
    if (is_root)
        cr_assert(chown(folder, NOBODY, NOBODY) == 0 && seteuid(NOBODY) == 0);
    enum error error = tenant_file_write(path, SLICE("{}"), NULL, &why);
    if (is_root) /* and may be looked at by the leak checker again */
        cr_assert(seteuid(0) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
    cr_expect_eq(error, ERROR_SYSTEM);
    cr_expect_not_null(strstr(why.text, "cannot open the folder"), "%s", why.text);
}

Test(tenant_file_write, who_does_not_ask_for_the_reason_gets_none)
{
    cr_assert_eq(tenant_file_write("/proc/a.json", SLICE("{}"), NULL, NULL), ERROR_SYSTEM);
}

/* -- Somebody else writes it, too -------------------------------------------------------------- */

static void put(const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void expect_text(const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
    fclose(file);
    cr_expect_str_eq(found, text);
}

/* Right before the rename, when all has been looked at and checked. */
static void write_meanwhile(const char *step)
{
    if (strcmp(step, "rename") == 0)
        put("{\"by\": \"hand\"}");
}

Test(tenant_file_write, what_was_written_meanwhile_is_left_alone)
{
    struct error_text why;
    for (int was_there = 0; was_there < 2; was_there++) {
        unlink(path);
        if (was_there)
            put("{}");
        struct file_stamp over = file_stamp_read(path);
        cr_assert_eq(file_stamp_is_none(&over), !was_there);
        file_step = write_meanwhile;
        enum error error = tenant_file_write(path, SLICE("{\"ours\": 1}"), &over, &why);
        file_step = NULL;
        cr_expect_eq(error, ERROR_BUSY);
        cr_expect_not_null(strstr(why.text, "a.json has just been changed: try again"));
        expect_text("{\"by\": \"hand\"}");
        cr_expect_eq(tenant_file_remove(path, &over, &why), ERROR_BUSY);
        expect_text("{\"by\": \"hand\"}");
    }
    cr_expect_eq(unlink(path), 0);
    cr_expect_eq(rmdir(folder), 0, "nothing is left beside it");
    cr_assert_eq(mkdir(folder, 0700), 0);
}

Test(tenant_file_write, what_is_still_as_it_was_is_replaced_and_removed)
{
    struct file_stamp over = {0};
    cr_assert_eq(tenant_file_write(path, SLICE("{}"), &over, NULL), ERROR_OK);
    over = file_stamp_read(path);
    cr_assert_eq(tenant_file_write(path, SLICE("{\"more\": 1}"), &over, NULL), ERROR_OK);
    expect_text("{\"more\": 1}");
    over = file_stamp_read(path);
    cr_assert_eq(tenant_file_remove(path, &over, NULL), ERROR_OK);
    cr_expect_neq(access(path, F_OK), 0);
}

/* The file is another by then: to say that nothing is changed would be wrong. */
Test(tenant_file_write, what_is_renamed_is_written_whether_its_folder_is_synced_or_not)
{
    for (int i = 0; i < 2; i++) {
        put("{}");
        folder_sync_errno = i == 0 ? EIO : EINVAL;
        enum error error = tenant_file_write(path, SLICE("{\"new\": 1}"), NULL, NULL);
        folder_sync_errno = 0;
        cr_expect_eq(error, ERROR_OK);
        expect_text("{\"new\": 1}");
    }
}

Test(tenant_file_write, what_is_removed_does_not_come_back_after_a_power_failure)
{
    put("{}");
    folder_syncs = 0;
    cr_expect_eq(tenant_file_remove(path, NULL, NULL), ERROR_OK);
    cr_expect_neq(folder_syncs, 0);
    put("{}");
    folder_sync_errno = EIO;
    cr_expect_eq(tenant_file_remove(path, NULL, NULL), ERROR_OK);
    folder_sync_errno = 0;
}

/* Who cannot do without is told, but where no folder is ever synced. */
Test(tenant_file_write, a_folder_that_cannot_be_synced_is_told)
{
    struct folder opened;
    const struct file_mode mode = {.mode = 0600, .owner = -1, .group = -1};
    cr_assert_eq(folder_open(&opened, folder, 0700, NULL), ERROR_OK);
    folder_sync_errno = EIO;
    cr_expect_eq(file_replace(&opened, &opened, "a.json", SLICE("{}"), &mode, NULL), ERROR_SYSTEM);
    folder_sync_errno = EINVAL;
    cr_expect_eq(file_replace(&opened, &opened, "a.json", SLICE("{}"), &mode, NULL), ERROR_OK);
    folder_sync_errno = 0;
    folder_close(&opened);
}
