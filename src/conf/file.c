/* Files of the configuration: see file.h. */
#include "file.h"

#include "conf/diagnostics.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/whole_file.h"
#include "json/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

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

enum error text_file_read(const char *path, struct diagnostics *diagnostics, char **block,
                          struct slice *bytes, struct error_text *text)
{
    size_t size = 0;
    const char *overlay = find_overlay(path);
    enum error error = ERROR_OK;
    if (overlay != NULL) {
        *block = memory_copy_text(slice_of(overlay));
        size = strlen(*block);
    } else {
        error = whole_file_read(path, JSON_MAX_TEXT_BYTES, block, &size, text);
        if (error == ERROR_SYSTEM && diagnostics != NULL)
            diagnostics->trouble = errno;
    }
    *bytes = slice_from(*block, size);
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
