/* Bytes that a connection could not do away with in the turn in which they came: an unfinished
 * frame, or answers that the peer does not read yet. Memory is held only while there are some. */
#pragma once

#include "core/slice.h"

struct backlog {
    uint8_t *data;
    size_t start; /* start <= end <= capacity */
    size_t end;
    size_t capacity;
};

static inline size_t backlog_size(const struct backlog *backlog)
{
    return backlog->end - backlog->start;
}

static inline struct slice backlog_bytes(const struct backlog *backlog)
{
    return slice_skip(slice_from(backlog->data, backlog->end), backlog->start);
}

/* Where `size` more bytes may be written, to be kept with backlog_grow(); NULL without memory. */
MUST_CHECK uint8_t *backlog_reserve(struct backlog *backlog, size_t size);
void backlog_grow(struct backlog *backlog, size_t size);

/* Adds a copy of `bytes`, which may be empty. False without memory. */
MUST_CHECK bool backlog_append(struct backlog *backlog, struct slice bytes);
/* Replaces everything by a copy of `bytes`, which may not be its own. False without memory. */
MUST_CHECK bool backlog_set(struct backlog *backlog, struct slice bytes);
/* Drops the first `size` bytes; frees the memory with the last. */
void backlog_drop(struct backlog *backlog, size_t size);
/* Drops all. */
void backlog_clear(struct backlog *backlog);
