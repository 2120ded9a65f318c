/* Text in UTF-8, as views of its bytes. */
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
