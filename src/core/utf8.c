/* What is UTF-8: see core/utf8.h. */
#include "core/utf8.h"

static uint8_t byte_at(struct slice text, size_t index)
{
    return (uint8_t)text.data[index];
}

/* The least that the second byte may be: others are longer forms than need be. */
static uint8_t second_least(uint8_t first)
{
    switch (first) {
    case 0xe0: return 0xa0;
    case 0xf0: return 0x90;
    default: return 0x80;
    }
}

/* The most: others are surrogates, or beyond Unicode. */
static uint8_t second_most(uint8_t first)
{
    switch (first) {
    case 0xed: return 0x9f;
    case 0xf4: return 0x8f;
    default: return 0xbf;
    }
}

/* RFC 3629 section 4. */
int utf8_judge(struct slice text)
{
    if (text.size == 0)
        return UTF8_UNFINISHED;
    uint8_t first = byte_at(text, 0);
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return UTF8_BAD;
    size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.size > 1 &&
        (byte_at(text, 1) < second_least(first) || byte_at(text, 1) > second_most(first)))
        return UTF8_BAD;
    for (size_t i = 2; i < size && i < text.size; i++)
        if ((byte_at(text, i) & 0xc0) != 0x80)
            return UTF8_BAD;
    return text.size < size ? UTF8_UNFINISHED : (int)size;
}
