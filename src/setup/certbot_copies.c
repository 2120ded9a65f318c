/* Copies of certbot's certificates: see certbot_copies.h. */
#include "certbot_copies.h"

#include "cli/host_file.h"
#include "core/fd.h"
#include "core/memory.h"
#include "setup_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "from-certbot"
#define OWNER  "owui-spoa"

static const char *const FILES[] = {"fullchain.pem", "privkey.pem"};

struct certbot_copies {
    int parent;
    int folder;
    char *path;
    char **names;
    size_t count;
};

/* A folder of the daemon's, which may be there; -1 on error. */
static int make_folder(int parent, const char *name)
{
    bool is_new = mkdirat(parent, name, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && is_new)
        host_file_give(fd, OWNER, OWNER);
    return fd;
}

struct certbot_copies *certbot_copies_new(const char *state_dir, struct error_text *why)
{
    struct certbot_copies *copies = memory_new(sizeof(*copies));
    copies->path = memory_format("%s/%s", state_dir, FOLDER);
    copies->parent = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    copies->folder = copies->parent >= 0 ? make_folder(copies->parent, FOLDER) : -1;
    if (copies->folder >= 0)
        return copies;
    error_set_errno(why, "cannot copy certbot's certificates to %s, which is to be a folder",
                    copies->path);
    certbot_copies_free(copies);
    return NULL;
}

const char *certbot_copies_path(const struct certbot_copies *copies)
{
    return copies->path;
}

static enum error write_copy(int folder, const char *name, struct slice text,
                             struct error_text *why)
{
    unlinkat(folder, name, 0); /* left by a run that was killed */
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum error error = ERROR_OK;
    if (fd >= 0)
        host_file_give(fd, OWNER, OWNER);
    if (fd < 0 || !fd_write_all(fd, text))
        error = error_set_errno(why, "cannot write a copy of %s", name);
    if (fd >= 0)
        close(fd);
    return error;
}

static enum error copy_file(int folder, const char *from, const char *name, struct error_text *why)
{
    char *text;
    enum error error = setup_file_read(from, &text, why);
    if (error != ERROR_OK)
        return error;
    if (text == NULL)
        return error_set(why, ERROR_NOT_FOUND, "there is no %s", from);
    size_t size = strlen(text);
    error = write_copy(folder, name, slice_from(text, size), why);
    memory_wipe(text, size);
    free(text);
    return error;
}

enum error certbot_copies_add(struct certbot_copies *copies, const char *certbot, const char *name,
                              struct error_text *why)
{
    int folder = make_folder(copies->folder, name);
    if (folder < 0)
        return error_set_errno(why, "cannot make the folder %s/%s", copies->path, name);
    copies->names = memory_resize(copies->names, copies->count + 1, sizeof(*copies->names));
    copies->names[copies->count++] = memory_copy_text(slice_of(name));
    enum error error = ERROR_OK;
    for (size_t i = 0; i < COUNT_OF(FILES) && error == ERROR_OK; i++) {
        char *from = memory_format("%s/live/%s/%s", certbot, name, FILES[i]);
        error = copy_file(folder, from, FILES[i], why);
        free(from);
    }
    close(folder);
    return error;
}

static void remove_lineage(int parent, const char *name)
{
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    for (size_t i = 0; i < COUNT_OF(FILES) && folder >= 0; i++)
        unlinkat(folder, FILES[i], 0);
    if (folder >= 0)
        close(folder);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void certbot_copies_free(struct certbot_copies *copies)
{
    if (copies == NULL)
        return;
    for (size_t i = 0; i < copies->count; i++) {
        remove_lineage(copies->folder, copies->names[i]);
        free(copies->names[i]);
    }
    if (copies->folder >= 0) {
        close(copies->folder);
        unlinkat(copies->parent, FOLDER, AT_REMOVEDIR);
    }
    if (copies->parent >= 0)
        close(copies->parent);
    free(copies->names);
    free(copies->path);
    free(copies);
}
