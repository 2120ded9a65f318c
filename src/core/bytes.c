/* Bytes that somebody owns: see core/bytes.h. */
#include "core/bytes.h"

#include "core/memory.h"

#include <stdlib.h>

enum { ROOM_MIN_BYTES = 256 };

/* Not realloc(): it would leave the old block unwiped. */
static bool move_to(struct bytes *bytes, size_t room)
{
    char *data = malloc(room);
    if (data == NULL)
        return false;
    if (bytes->size > 0)
        memcpy(data, bytes->data, bytes->size);
    memory_wipe(bytes->data, bytes->room);
    free(bytes->data);
    bytes->data = data;
    bytes->room = room;
    return true;
}

bool bytes_append(struct bytes *bytes, struct slice more, size_t limit)
{
    if (bytes->size > limit || more.size > limit - bytes->size)
        return false;
    size_t wanted = bytes->size + more.size + 1;
    if (wanted > bytes->room) {
        size_t room = bytes->room < ROOM_MIN_BYTES ? ROOM_MIN_BYTES : bytes->room * 2;
        if (!move_to(bytes, room < wanted ? wanted : room))
            return false;
    }
    assert(bytes->data != NULL);
    if (more.size > 0)
        memcpy(bytes->data + bytes->size, more.data, more.size);
    bytes->size += more.size;
    bytes->data[bytes->size] = '\0';
    return true;
}

bool bytes_set(struct bytes *bytes, struct slice content)
{
    struct bytes copy = {0};
    if (!bytes_append(&copy, content, content.size))
        return false;
    bytes_free(bytes);
    *bytes = copy;
    return true;
}

void bytes_free(struct bytes *bytes)
{
    memory_wipe(bytes->data, bytes->room);
    free(bytes->data);
    *bytes = (struct bytes){0};
}
