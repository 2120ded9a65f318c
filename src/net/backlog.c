/* A growing buffer: see backlog.h. */
#include "backlog.h"

#include <stdlib.h>

enum { SMALLEST_CAPACITY = 512 };

static void move_to_front(struct backlog *backlog)
{
    size_t size = backlog_size(backlog);
    if (backlog->start == 0)
        return;
    memmove(backlog->data, backlog->data + backlog->start, size);
    backlog->start = 0;
    backlog->end = size;
}

uint8_t *backlog_reserve(struct backlog *backlog, size_t size)
{
    if (size <= backlog->capacity - backlog->end && backlog->data != NULL)
        return backlog->data + backlog->end;
    if (backlog->data != NULL)
        move_to_front(backlog);
    if (size > backlog->capacity - backlog->end || backlog->data == NULL) {
        size_t capacity = backlog->capacity > 0 ? backlog->capacity : SMALLEST_CAPACITY;
        while (capacity - backlog->end < size)
            capacity *= 2;
        uint8_t *data = realloc(backlog->data, capacity);
        if (data == NULL)
            return NULL;
        backlog->data = data;
        backlog->capacity = capacity;
    }
    return backlog->data + backlog->end;
}

void backlog_grow(struct backlog *backlog, size_t size)
{
    assert(size <= backlog->capacity - backlog->end);
    backlog->end += size;
}

bool backlog_append(struct backlog *backlog, struct slice bytes)
{
    if (bytes.size == 0)
        return true;
    uint8_t *space = backlog_reserve(backlog, bytes.size);
    if (space == NULL)
        return false;
    memcpy(space, bytes.data, bytes.size);
    backlog_grow(backlog, bytes.size);
    return true;
}

bool backlog_set(struct backlog *backlog, struct slice bytes)
{
    if (bytes.size == 0) {
        backlog_clear(backlog);
        return true;
    }
    backlog->start = backlog->end = 0;
    return backlog_append(backlog, bytes);
}

void backlog_drop(struct backlog *backlog, size_t size)
{
    assert(size <= backlog_size(backlog));
    backlog->start += size;
    if (backlog->start == backlog->end)
        backlog_clear(backlog);
}

void backlog_clear(struct backlog *backlog)
{
    free(backlog->data);
    *backlog = (struct backlog){0};
}
