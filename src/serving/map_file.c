/* A map's file: see map_file.h. */
#include "serving/map_file.h"

#include "core/fd.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0644 };

/* Agents of one machine may share the file. Who has the lock, and still the file of that name,
 * writes; the others come back. */
static enum error lock(int fd, const char *aside, struct error_text *why)
{
    struct stat held, named;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &held) != 0 || stat(aside, &named) != 0 ||
        held.st_ino != named.st_ino || held.st_dev != named.st_dev)
        return error_set(why, ERROR_BUSY, "another agent is writing %s", aside);
    return ERROR_OK;
}

enum error map_file_write(const char *path, struct slice text, struct error_text *why)
{
    char *aside = memory_format("%s.new", path);
    enum error error = ERROR_OK;
    int fd = open(aside, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        error = error_set_errno(why, "cannot create %s", aside);
        goto out;
    }
    error = lock(fd, aside, why);
    if (error != ERROR_OK)
        goto out;
    if (ftruncate(fd, 0) != 0 || !fd_write_all(fd, text) || fchmod(fd, FILE_MODE) != 0)
        error = error_set_errno(why, "cannot write %s", aside);
    else if (rename(aside, path) != 0)
        error = error_set_errno(why, "cannot rename %s to %s", aside, path);
    if (error != ERROR_OK)
        unlink(aside);
out:
    if (fd >= 0)
        close(fd);
    free(aside);
    return error;
}

static enum error look_at_present(const char *path, struct error_text *why)
{
    if (access(path, F_OK) == 0)
        return ERROR_OK;
    return error_set(why, ERROR_INVALID,
                     "%s is a link that leads nowhere (%s): remove it, or make what it leads to",
                     path, strerror(errno));
}

enum error map_file_ensure(const char *path, struct error_text *why)
{
    enum error error = ERROR_OK;
    /* Root may make it in the service's folder, whose links are to lead it nowhere. */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0 && errno == EEXIST)
        return look_at_present(path, why);
    if (fd < 0)
        return error_set_errno(why, "cannot create %s", path);
    if (fchmod(fd, FILE_MODE) != 0)
        error = error_set_errno(why, "cannot make %s readable", path);
    close(fd);
    return error;
}
