/* A view of bytes that somebody else owns. Passed by value; never NUL-terminated. A slice with size
 * 0 may have a NULL pointer. */
#pragma once

#include "core/ascii.h"

struct slice {
    const char *data;
    size_t size;
};

#define SLICE(LITERAL) ((struct slice){"" LITERAL, sizeof(LITERAL) - 1})
/* How to print a slice: printf("%.*s", SLICE_PRINT(s)). */
#define SLICE_PRINT(S) (int)(S).size, (S).data

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text != NULL ? strlen(text) : 0};
}

static inline struct slice slice_from(const void *data, size_t size)
{
    return (struct slice){data, size};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_starts_with(struct slice whole, struct slice start)
{
    return whole.size >= start.size && slice_equal((struct slice){whole.data, start.size}, start);
}

static inline bool slice_ends_with(struct slice whole, struct slice end)
{
    return whole.size >= end.size &&
           slice_equal((struct slice){whole.data + (whole.size - end.size), end.size}, end);
}

/* Whether `part` is somewhere in it; an empty one is in all but empty ones. */
static inline bool slice_contains(struct slice whole, struct slice part)
{
    return whole.size > 0 && memmem(whole.data, whole.size, part.data, part.size) != NULL;
}

/* The slice without its first `count` bytes; `count` may not exceed its size. */
static inline struct slice slice_skip(struct slice whole, size_t count)
{
    assert(count <= whole.size);
    return count == 0 ? whole : (struct slice){whole.data + count, whole.size - count};
}

/* The first `count` bytes; `count` may not exceed the size. */
static inline struct slice slice_head(struct slice whole, size_t count)
{
    assert(count <= whole.size);
    return (struct slice){whole.data, count};
}

/* Whether each byte is of that kind; an empty slice's are of any. */
static inline bool slice_consists_of(struct slice text, bool (*is_of_kind)(char))
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_of_kind(text.data[i]))
            return false;
    return true;
}

static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

static inline bool slice_has(struct slice text, char c)
{
    return text.size > 0 && memchr(text.data, c, text.size) != NULL;
}

/* What stands before the first `separator`, the text as a whole where there is none. */
static inline struct slice slice_before(struct slice text, char separator)
{
    const char *end = text.size > 0 ? memchr(text.data, separator, text.size) : NULL;
    return end != NULL ? slice_head(text, (size_t)(end - text.data)) : text;
}

/* The same, taken off the front of `rest` together with the separator. */
static inline struct slice slice_cut(struct slice *rest, char separator)
{
    struct slice part = slice_before(*rest, separator);
    *rest = slice_skip(*rest, part.size + (part.size < rest->size));
    return part;
}

/* The slice without blanks and tabs at both ends (RFC 9110's optional white space). */
static inline struct slice slice_trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_skip(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}
