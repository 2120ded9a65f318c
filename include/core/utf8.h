/* Text in UTF-8, as views of its bytes. */
#pragma once

#include "core/slice.h"

/* As much of UTF-8 text as `most` bytes hold, without a part of a character at its end. */
static inline struct slice utf8_head(struct slice text, size_t most)
{
    if (text.size <= most)
        return text;
    while (most > 0 && ((uint8_t)text.data[most] & 0xc0) == 0x80)
        most--;
    return slice_head(text, most);
}
