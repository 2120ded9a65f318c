/* Files of the configuration: see file.h. */
#include "file.h"

#include "core/hash.h"
#include "core/memory.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads until the end of the file, which may be shorter or longer by now than it was. */
static enum error read_all(int fd, size_t expected, char **block, struct slice *bytes,
                           struct error_text *text, const char *path)
{
    size_t capacity = expected + 1;
    size_t used = 0;
    char *buffer = memory_resize(NULL, capacity, 1);
    for (;;) {
        ssize_t got = read(fd, buffer + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(buffer);
            return error_set_errno(text, "cannot read %s", path);
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > JSON_MAX_TEXT_BYTES) {
            free(buffer);
            return error_set(text, ERROR_TOO_BIG, "the file is bigger than %d MB",
                             JSON_MAX_TEXT_BYTES / 1024 / 1024);
        }
        if (used == capacity) {
            capacity *= 2;
            buffer = memory_resize(buffer, capacity, 1);
        }
    }
    *block = buffer;
    *bytes = slice_from(buffer, used);
    return ERROR_OK;
}

static _Thread_local struct {
    const struct text_overlay *overlays;
    size_t count;
} shown;

void text_file_overlay(const struct text_overlay *overlays, size_t count)
{
    shown.overlays = overlays;
    shown.count = count;
}

static const char *find_overlay(const char *path)
{
    for (size_t i = 0; i < shown.count; i++)
        if (strcmp(shown.overlays[i].path, path) == 0)
            return shown.overlays[i].text;
    return NULL;
}

enum error text_file_read(const char *path, char **block, struct slice *bytes,
                          struct error_text *text)
{
    struct stat status;
    const char *overlay = find_overlay(path);
    *block = NULL;
    *bytes = (struct slice){0};
    if (overlay != NULL) {
        *block = memory_copy_text(slice_of(overlay));
        *bytes = slice_of(*block);
        return ERROR_OK;
    }
    /* A FIFO must not block the reader of the configuration. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(text, "cannot open %s", path);
    enum error error = ERROR_OK;
    if (fstat(fd, &status) != 0)
        error = error_set_errno(text, "cannot read %s", path);
    else if (!S_ISREG(status.st_mode))
        error = error_set(text, ERROR_INVALID, "%s is not a regular file", path);
    else if (status.st_size > JSON_MAX_TEXT_BYTES)
        error = error_set(text, ERROR_TOO_BIG, "the file is bigger than %d MB",
                          JSON_MAX_TEXT_BYTES / 1024 / 1024);
    else
        error = read_all(fd, (size_t)status.st_size, block, bytes, text, path);
    close(fd);
    return error;
}

/* A hash table that only grows: a name is a few bytes, and there are as many as files. Threads that
 * read files share it. */
static struct {
    pthread_mutex_t lock;
    char **slots;
    size_t capacity; /* a power of two */
    size_t count;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char **find_slot(char **slots, size_t capacity, const char *name)
{
    size_t i = hash_bytes(slice_of(name)) & (capacity - 1);
    while (slots[i] != NULL && strcmp(slots[i], name) != 0)
        i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static void grow_names(void)
{
    size_t capacity = names.capacity > 0 ? names.capacity * 2 : 16;
    char **slots = memory_new(capacity * sizeof(*slots));
    for (size_t i = 0; i < names.capacity; i++)
        if (names.slots[i] != NULL)
            *find_slot(slots, capacity, names.slots[i]) = names.slots[i];
    free(names.slots);
    names.slots = slots;
    names.capacity = capacity;
}

const char *file_name_keep(const char *name)
{
    pthread_mutex_lock(&names.lock);
    if (names.count * 2 >= names.capacity)
        grow_names();
    char **slot = find_slot(names.slots, names.capacity, name);
    if (*slot == NULL) {
        *slot = memory_copy_text(slice_of(name));
        names.count++;
    }
    const char *kept = *slot;
    pthread_mutex_unlock(&names.lock);
    return kept;
}

char *file_name_beside(const char *beside, struct slice name)
{
    const char *slash = strrchr(beside, '/');
    if (slash == NULL || slice_starts_with(name, SLICE("/")))
        return memory_copy_text(name);
    return memory_format("%.*s/%.*s", (int)(slash - beside), beside, SLICE_PRINT(name));
}
