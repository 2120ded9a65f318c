/* Files that are whole or not there: see core/file.h. */
#include "core/file.h"

#include "core/fd.h"
#include "core/file_path.h"
#include "core/file_stamp.h"
#include "core/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void (*file_step)(const char *step);

static void step(const char *name)
{
    if (file_step != NULL)
        file_step(name);
}

/* Makes every folder on the way to `path`. */
static bool make_folders(const char *path, unsigned mode)
{
    char partial[PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(partial)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(partial, path, size + 1);
    for (char *slash = strchr(partial + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(partial, 0755) < 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return mkdir(partial, mode) == 0 || errno == EEXIST;
}

enum error folder_open(struct folder *folder, const char *path, unsigned mode,
                       struct error_text *why)
{
    *folder = (struct folder){.fd = -1};
    if (!make_folders(path, mode))
        return error_set_errno(why, "cannot make the folder %s", path);
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0)
        return error_set_errno(why, "cannot open the folder %s", path);
    folder->path = memory_copy_text(slice_of(path));
    return ERROR_OK;
}

void folder_close(struct folder *folder)
{
    if (folder->path == NULL)
        return; /* never opened */
    close(folder->fd);
    free(folder->path);
    *folder = (struct folder){.fd = -1};
}

/* The mode is for the group that is meant, and for no other one before. To give a file away takes
 * CAP_CHOWN; to change the mode of another's would take CAP_FOWNER as well. */
static bool set_mode(int fd, const struct file_mode *mode)
{
    return (mode->group < 0 || fchown(fd, (uid_t)-1, (gid_t)mode->group) == 0) &&
           fchmod(fd, mode->mode) == 0 &&
           (mode->owner < 0 || fchown(fd, (uid_t)mode->owner, (gid_t)-1) == 0);
}

/* Writes a new file that nobody else can open yet. */
static enum error write_temporary(const struct folder *staging, const char *name,
                                  struct slice content, const struct file_mode *mode,
                                  struct error_text *why)
{
    enum error error = ERROR_OK;
    /* Left over from a run that was killed here. */
    if (unlinkat(staging->fd, name, 0) < 0 && errno != ENOENT)
        return error_set_errno(why, "cannot remove %s/%s", staging->path, name);
    step("create");
    int fd = openat(staging->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(why, "cannot create %s/%s", staging->path, name);
    step("write");
    if (!fd_write_all(fd, content))
        error = error_set_errno(why, "cannot write %s/%s", staging->path, name);
    else if (!set_mode(fd, mode))
        error = error_set_errno(why, "cannot set owner and mode of %s/%s", staging->path, name);
    step("sync");
    if (error == ERROR_OK && !mode->lazy && fsync(fd) < 0)
        error = error_set_errno(why, "cannot sync %s/%s", staging->path, name);
    close(fd);
    if (error != ERROR_OK)
        unlinkat(staging->fd, name, 0);
    return error;
}

/* A file system that syncs no folders says EINVAL: then there is no more to be had. */
enum error folder_sync(const struct folder *folder, struct error_text *why)
{
    step("sync folder");
    if (fsync(folder->fd) < 0 && errno != EINVAL)
        return error_set_errno(why, "cannot sync the folder %s", folder->path);
    return ERROR_OK;
}

enum error file_is_still(const struct folder *folder, const char *name,
                         const struct file_stamp *over, struct error_text *why)
{
    struct stat about;
    struct file_stamp present = {0};
    if (fstatat(folder->fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0)
        present = file_stamp_of(&about);
    else if (errno != ENOENT)
        return error_set_errno(why, "cannot look at %s/%s", folder->path, name);
    if (file_stamp_equal(&present, over))
        return ERROR_OK;
    return error_set(why, ERROR_BUSY, "%s/%s has just been changed: try again", folder->path, name);
}

/* The last look is right before the rename: what comes between them is lost, which no file system
 * can be kept from. */
static enum error put_in_place(const struct folder *folder, const struct folder *staging,
                               const char *temporary, const char *name,
                               const struct file_mode *mode, struct error_text *why)
{
    enum error error = ERROR_OK;
    step("rename");
    if (mode->over != NULL)
        error = file_is_still(folder, name, mode->over, why);
    if (error == ERROR_OK && renameat(staging->fd, temporary, folder->fd, name) < 0)
        error = error_set_errno(why, "cannot rename %s/%s to %s/%s", staging->path, temporary,
                                folder->path, name);
    if (error != ERROR_OK)
        unlinkat(staging->fd, temporary, 0);
    return error;
}

enum error file_replace(const struct folder *folder, const struct folder *staging, const char *name,
                        struct slice content, const struct file_mode *mode, struct error_text *why)
{
    char temporary[NAME_MAX + 1];
    if (snprintf(temporary, sizeof(temporary), ".%s.new", name) >= (int)sizeof(temporary))
        return error_set(why, ERROR_TOO_BIG, "the file name %.64s... is too long", name);
    enum error error = write_temporary(staging, temporary, content, mode, why);
    if (error == ERROR_OK)
        error = put_in_place(folder, staging, temporary, name, mode, why);
    if (error == ERROR_OK && !mode->lazy && !mode->folder_later)
        error = folder_sync(folder, why);
    return error;
}

static enum error read_all(int fd, size_t limit, struct bytes *content)
{
    char buffer[16384];
    for (;;) {
        ssize_t count = read(fd, buffer, sizeof(buffer));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            memory_wipe(buffer, sizeof(buffer)); /* it may have been a key */
            return count < 0 ? ERROR_SYSTEM : ERROR_OK;
        }
        if (!bytes_append(content, slice_from(buffer, (size_t)count), limit)) {
            memory_wipe(buffer, sizeof(buffer));
            return ERROR_TOO_BIG;
        }
    }
}

enum error file_read(const struct folder *folder, const char *name, size_t limit,
                     struct bytes *content, struct error_text *why)
{
    struct stat facts;
    enum error error;
    bytes_free(content);
    /* O_NONBLOCK: a FIFO in the way must not hang us. */
    int fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return error_set(why, ERROR_NOT_FOUND, "%s/%s is not there", folder->path, name);
    if (fd < 0)
        return error_set_errno(why, "cannot open %s/%s", folder->path, name);
    if (fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode)) {
        error = error_set(why, ERROR_INVALID, "%s/%s is not a file", folder->path, name);
    } else {
        error = read_all(fd, limit, content);
        if (error == ERROR_SYSTEM)
            error_set_errno(why, "cannot read %s/%s", folder->path, name);
        else if (error != ERROR_OK)
            error_set(why, error, "%s/%s has more than %zu bytes", folder->path, name, limit);
    }
    if (error != ERROR_OK)
        bytes_free(content);
    close(fd);
    return error;
}

enum error file_move(const struct folder *from, const char *name, const struct folder *to,
                     const char *new_name, struct error_text *why)
{
    step("move");
    if (renameat(from->fd, name, to->fd, new_name) < 0) {
        bool is_missing = errno == ENOENT;
        enum error error = error_set_errno(why, "cannot move %s/%s to %s/%s", from->path, name,
                                           to->path, new_name);
        return is_missing ? ERROR_NOT_FOUND : error;
    }
    enum error error = folder_sync(to, why);
    return error == ERROR_OK && from->fd != to->fd ? folder_sync(from, why) : error;
}

enum error file_remove(const struct folder *folder, const char *name, struct error_text *why)
{
    step("remove");
    if (unlinkat(folder->fd, name, 0) < 0 && errno != ENOENT)
        return error_set_errno(why, "cannot remove %s/%s", folder->path, name);
    return ERROR_OK;
}

static DIR *open_entries(const struct folder *folder)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (entries == NULL && fd >= 0)
        close(fd);
    return entries;
}

static bool is_same_place(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

bool file_is_same(const char *a, const char *b)
{
    char *folder_a = memory_copy_text(file_path_folder(a));
    char *folder_b = memory_copy_text(file_path_folder(b));
    bool is_same =
        strcmp(a, b) == 0 || is_same_place(a, b) ||
        (strcmp(file_path_name(a), file_path_name(b)) == 0 && is_same_place(folder_a, folder_b));
    free(folder_a);
    free(folder_b);
    return is_same;
}

size_t folder_list(const struct folder *folder, char ***names)
{
    size_t count = 0;
    DIR *entries = open_entries(folder);
    *names = NULL;
    if (entries == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        *names = memory_resize(*names, count + 1, sizeof(**names));
        (*names)[count++] = memory_copy_text(slice_of(entry->d_name));
    }
    closedir(entries);
    if (count > 0)
        qsort(*names, count, sizeof(**names), memory_compare_texts);
    return count;
}

void folder_sweep(const struct folder *folder)
{
    DIR *entries = open_entries(folder);
    if (entries == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        struct slice name = slice_of(entry->d_name);
        if (slice_starts_with(name, SLICE(".")) && slice_ends_with(name, SLICE(".new")))
            unlinkat(folder->fd, entry->d_name, 0);
    }
    closedir(entries);
}

void folder_trim(const struct folder *folder, size_t keep)
{
    char **names;
    size_t count = folder_list(folder, &names);
    for (size_t i = 0; i + keep < count; i++)
        if (file_remove(folder, names[i], NULL) != ERROR_OK)
            break; /* more history than wanted does no harm */
    memory_free_texts(names, count);
}
