/* Bytes on the heap with an owner: keys, PEM, bodies of requests and answers. They are always wiped
 * when they are freed, so that no caller has to know which ones are secret. */
#pragma once

#include "core/error.h"
#include "core/slice.h"

struct bytes {
    char *data; /* NULL when empty; otherwise a NUL stands behind the last byte */
    size_t size;
    size_t room; /* private */
};

/* False when memory ran out or the whole would exceed `limit`; the bytes are then unchanged. */
MUST_CHECK bool bytes_append(struct bytes *bytes, struct slice more, size_t limit);
/* A copy in place of what was there. */
MUST_CHECK bool bytes_set(struct bytes *bytes, struct slice content);
/* Wipes, frees and empties. */
void bytes_free(struct bytes *bytes);

static inline struct slice bytes_slice(const struct bytes *bytes)
{
    return slice_from(bytes->data, bytes->size);
}
