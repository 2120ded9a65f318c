/* Files of the host's admin: see host_file.h. */
#include "cli/host_file.h"

#include "cli/terminal.h"
#include "core/fd.h"
#include "core/file.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "core/mount_point.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void host_file_give(int fd, const char *owner, const char *group)
{
    const struct passwd *user = owner != NULL ? getpwnam(owner) : NULL;
    uid_t uid = user != NULL ? user->pw_uid : (uid_t)-1;
    const struct group *found = group != NULL ? getgrnam(group) : NULL;
    gid_t gid = found != NULL ? found->gr_gid : (gid_t)-1;
    if (geteuid() == 0 && fchown(fd, uid, gid) != 0)
        terminal_complain("cannot give a file to %s: %s", group != NULL ? group : owner,
                          strerror(errno));
}

/* Owner and mode: those of the file that is there, or those of a new one. */
static enum error dress(struct host_file *file, int fd, mode_t mode, const char *group,
                        struct error_text *why)
{
    const char *path = file->path;
    struct stat status;
    file->is_new = stat(path, &status) != 0;
    if (!file->is_new) {
        mode = status.st_mode & 07777;
        if (geteuid() == 0 && fchown(fd, status.st_uid, status.st_gid) != 0)
            return error_set_errno(why, "cannot keep the owner of %s", path);
    } else {
        host_file_give(fd, NULL, group);
    }
    return fchmod(fd, mode) == 0 ? ERROR_OK : error_set_errno(why, "cannot set the mode");
}

/* `*end` is NULL when it leads to nothing. */
static enum error follow(const char *path, char **end, struct error_text *why)
{
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISLNK(status.st_mode)) {
        *end = memory_copy_text(slice_of(path));
        return ERROR_OK;
    }
    *end = realpath(path, NULL);
    if (*end != NULL)
        return ERROR_OK;
    return error_set(why, ERROR_INVALID,
                     "%s is a link that leads nowhere (%s): remove it, or make what it leads to",
                     path, strerror(errno));
}

enum error host_file_write(struct host_file *file, const char *path, struct slice text, mode_t mode,
                           const char *group, struct error_text *why)
{
    int fd = -1;
    *file = (struct host_file){0};
    enum error error = follow(path, &file->path, why);
    if (error == ERROR_OK)
        error = mount_point_refuse(file->path, why);
    if (error == ERROR_OK) {
        struct slice folder = file_path_folder(file->path);
        file->beside =
            memory_format("%.*s/.%s.XXXXXX", SLICE_PRINT(folder), file_path_name(file->path));
        fd = mkostemp(file->beside, O_CLOEXEC);
    }
    if (error == ERROR_OK && fd < 0) {
        error = error_set_errno(why, "cannot create a file in %.*s",
                                SLICE_PRINT(file_path_folder(file->path)));
        free(file->beside);
        file->beside = NULL; /* it is nobody's to remove */
    }
    if (error == ERROR_OK && (!fd_write_all(fd, text) || fsync(fd) != 0))
        error = error_set_errno(why, "cannot write %s", file->path);
    if (error == ERROR_OK)
        error = dress(file, fd, mode, group, why);
    if (fd >= 0)
        close(fd);
    if (error != ERROR_OK)
        host_file_fini(file);
    return error;
}

static bool is_same(const char *path, const char *other)
{
    struct stat one, two;
    return lstat(path, &one) == 0 && lstat(other, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

enum error host_file_keep(struct host_file *file, const char *ending, struct error_text *why)
{
    char *kept = memory_format("%s.%s", file->path, ending);
    enum error error = ERROR_OK;
    /* The same file: whoever wanted to replace it was killed before it did. */
    if (link(file->path, kept) != 0 && !(errno == EEXIST && is_same(file->path, kept)))
        error = errno == EEXIST ? error_set(why, ERROR_EXISTS, "%s is there already", kept)
                                : error_set_errno(why, "cannot keep %s as %s", file->path, kept);
    if (error == ERROR_OK)
        file->kept = kept;
    else
        free(kept);
    return error;
}

static enum error sync_folder(const char *path, struct error_text *why)
{
    struct folder folder;
    char *place = memory_copy_text(file_path_folder(path));
    enum error error = folder_open(&folder, place, 0755, why);
    if (error == ERROR_OK)
        error = folder_sync(&folder, why);
    folder_close(&folder);
    free(place);
    return error;
}

/* On a file system that cannot exchange, such as NFS. */
static bool exchange_by_links(struct host_file *file)
{
    if (file->is_new)
        return link(file->beside, file->path) == 0 && unlink(file->beside) == 0;
    char *was = memory_format("%s.was", file->beside);
    bool good = link(file->path, was) == 0 && rename(file->beside, file->path) == 0;
    int saved = errno;
    if (!good)
        unlink(was);
    free(good ? file->beside : was);
    file->beside = good ? was : file->beside;
    errno = saved;
    return good;
}

/* What is there goes where the new file was, from where it can come back. */
static bool exchange(struct host_file *file)
{
    unsigned how = file->is_new ? RENAME_NOREPLACE : RENAME_EXCHANGE;
    return renameat2(AT_FDCWD, file->beside, AT_FDCWD, file->path, how) == 0 ||
           exchange_by_links(file);
}

enum error host_file_place(struct host_file *file, struct error_text *why)
{
    if (!exchange(file))
        return error_set_errno(why, "cannot put a new file in place of %s", file->path);
    file->is_placed = true;
    return sync_folder(file->path, why);
}

void host_file_take_back(struct host_file *file)
{
    if (!file->is_placed)
        return;
    file->is_placed = false;
    if (file->is_new && unlink(file->path) != 0) {
        terminal_complain("cannot remove %s: %s", file->path, strerror(errno));
    } else if (!file->is_new && rename(file->beside, file->path) != 0) {
        terminal_complain("cannot put %s back to %s: %s", file->beside, file->path,
                          strerror(errno));
        free(file->beside);
        file->beside = NULL; /* it is the only one */
    }
}

void host_file_fini(struct host_file *file)
{
    if (file->beside != NULL)
        unlink(file->beside);
    if (file->kept != NULL && is_same(file->path, file->kept))
        unlink(file->kept);
    free(file->path);
    free(file->beside);
    free(file->kept);
    *file = (struct host_file){0};
}
