/* Writing files of tenants: see tenant_edit.h. */
#include "tenant_edit.h"

#include "core/file.h"
#include "core/file_path.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/mount_point.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEW_FILE_MODE = 0640 };

void tenant_file_write_hint(const char *path, struct error_text *why)
{
    char *folder = memory_copy_text(file_path_folder(path));
    int problem = access(folder, W_OK | X_OK) == 0 ? 0 : errno;
    const struct passwd *user = getpwuid(geteuid());
    const char *name = user != NULL ? user->pw_name : "the service's user";
    char reason[sizeof(why->text)];
    snprintf(reason, sizeof(reason), "%.250s", why != NULL ? why->text : "");
    if (problem == EROFS)
        error_set(why, ERROR_SYSTEM,
                  "%s; the service sees the folder read-only: `systemctl edit owui-spoa`, and add "
                  "under [Service] the line ReadWritePaths=%s; if it is there already, or has just "
                  "been added: `systemctl restart owui-spoa`",
                  reason, folder);
    else if (problem != 0)
        error_set(why, ERROR_SYSTEM,
                  "%s; %s has to be able to write the folder: `chgrp %s %s && chmod 2770 %s`",
                  reason, name, name, folder, folder);
    free(folder);
}

/* A service without privileges cannot give files away: then it owns what it writes, and the group
 * says who may read it. */
static struct file_mode mode_of(const char *path, const struct folder *folder)
{
    struct stat about;
    struct file_mode mode = {.mode = NEW_FILE_MODE, .owner = -1, .group = -1, .folder_later = true};
    if (lstat(path, &about) == 0) {
        mode.mode = about.st_mode & 07777;
        mode.group = (int)about.st_gid;
        if (geteuid() == 0)
            mode.owner = (int)about.st_uid;
    } else if (fstat(folder->fd, &about) == 0 && (about.st_mode & S_ISGID) != 0) {
        mode.group = (int)about.st_gid;
    }
    return mode;
}

/* What a rename cannot replace, or should not. */
static enum error judge_place(const char *path, const char *folder_path, struct error_text *why)
{
    struct stat about;
    if (lstat(path, &about) == 0 && !S_ISREG(about.st_mode))
        return error_set(why, ERROR_UNSUPPORTED,
                         "%s is a link or no file at all: who made it has to change it", path);
    enum error error = mount_point_refuse(path, why);
    if (error == ERROR_OK && access(folder_path, F_OK) != 0)
        error = error_set_errno(why, "the folder %s", folder_path);
    return error;
}

/* The folder of a file that may be changed here; for folder_close(), also on failure. */
static enum error open_place(const char *path, struct folder *folder, struct error_text *why)
{
    *folder = (struct folder){.fd = -1};
    char *folder_path = memory_copy_text(file_path_folder(path));
    enum error error = judge_place(path, folder_path, why);
    if (error == ERROR_OK)
        error = folder_open(folder, folder_path, 0750, why);
    free(folder_path);
    return error;
}

static enum error replace(const struct folder *folder, const char *path, struct slice text,
                          const struct file_stamp *over, struct error_text *why)
{
    struct file_mode mode = mode_of(path, folder);
    mode.over = over;
    enum error error = file_replace(folder, folder, file_path_name(path), text, &mode, why);
    if (error == ERROR_SYSTEM && mode.group >= 0 && geteuid() != 0) {
        /* Not a member of the file's group. */
        mode.group = -1;
        error = file_replace(folder, folder, file_path_name(path), text, &mode, why);
    }
    return error;
}

/* The file is the new one already, and to be read as such. */
static void sync_place(const char *path, const struct folder *folder)
{
    struct error_text why;
    if (folder_sync(folder, &why) != ERROR_OK)
        log_event(LOG_WARNING, "tenant_file_unsynced", LOG_TEXT("file", path),
                  LOG_TEXT("reason", why.text),
                  LOG_TEXT("consequence", "after a power failure it may be the former one"));
}

/* Ends what open_place() began. */
static enum error close_place(const char *path, struct folder *folder, enum error error,
                              struct error_text *why)
{
    if (error == ERROR_SYSTEM)
        tenant_file_write_hint(path, why);
    folder_close(folder);
    return error;
}

enum error tenant_file_write(const char *path, struct slice text, const struct file_stamp *over,
                             struct error_text *why)
{
    struct folder folder;
    enum error error = open_place(path, &folder, why);
    if (error == ERROR_OK)
        error = replace(&folder, path, text, over, why);
    if (error == ERROR_OK)
        sync_place(path, &folder);
    return close_place(path, &folder, error, why);
}

enum error tenant_file_remove(const char *path, const struct file_stamp *over,
                              struct error_text *why)
{
    struct folder folder;
    enum error error = open_place(path, &folder, why);
    if (error == ERROR_OK && over != NULL)
        error = file_is_still(&folder, file_path_name(path), over, why);
    if (error == ERROR_OK)
        error = file_remove(&folder, file_path_name(path), why);
    if (error == ERROR_OK)
        sync_place(path, &folder);
    return close_place(path, &folder, error, why);
}

unsigned tenant_file_status(enum error error)
{
    return error == ERROR_BUSY || error == ERROR_UNSUPPORTED ? 409 : 507;
}
