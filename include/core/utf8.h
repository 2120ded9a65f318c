/* Text in UTF-8 (RFC 3629), as views of its bytes. */
#pragma once

#include "core/slice.h"

/* The beginning of a UTF-8 text, at most `most` bytes, with no character cut in two. */
static inline struct slice utf8_head(struct slice text, size_t most)
{
    if (text.size <= most)
        return text;
    while (most > 0 && ((uint8_t)text.data[most] & 0xc0) == 0x80)
        most--;
    return slice_head(text, most);
}

/* The character that a valid text begins with; empty at the end. */
static inline struct slice utf8_first(struct slice text)
{
    size_t size = text.size > 0;
    while (size < text.size && ((uint8_t)text.data[size] & 0xc0) == 0x80)
        size++;
    return slice_head(text, size);
}

/* How many bytes the character takes that any bytes begin with: UTF8_BAD when it is none, when it
 * is a surrogate, or longer than need be; UTF8_UNFINISHED when only its end is missing, also where
 * there are no bytes. */
enum { UTF8_BAD = -1, UTF8_UNFINISHED = 0 };
int utf8_judge(struct slice text);
