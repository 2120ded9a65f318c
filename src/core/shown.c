/* Text for terminals: see core/shown.h. */
#include "core/shown.h"

#include "core/hex.h"

enum { BAD = -1, UNFINISHED = 0, ESCAPE = 0x1b };

static uint8_t byte_at(struct slice text, size_t index)
{
    return (uint8_t)text.data[index];
}

/* These judge what a text begins with: how many bytes of it are good, or that they are BAD or
 * UNFINISHED. */

/* ESC [ 1;31 m */
static int judge_colour(struct slice text)
{
    if (text.size == 1)
        return UNFINISHED;
    if (text.data[1] != '[')
        return BAD;
    for (size_t i = 2; i < text.size; i++) {
        char c = text.data[i];
        if (c == 'm')
            return (int)i + 1;
        if ((c < '0' || c > '9') && c != ';')
            return BAD;
    }
    return text.size < SHOWN_HELD_BYTES ? UNFINISHED : BAD;
}

/* The least that the second byte may be: others are longer forms than need be, or C1 controls. */
static uint8_t second_least(uint8_t first)
{
    switch (first) {
    case 0xc2: return 0xa0;
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
static int judge_character(struct slice text)
{
    uint8_t first = byte_at(text, 0);
    if (first < 0xc2 || first > 0xf4)
        return BAD;
    size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.size > 1 &&
        (byte_at(text, 1) < second_least(first) || byte_at(text, 1) > second_most(first)))
        return BAD;
    for (size_t i = 2; i < size && i < text.size; i++)
        if ((byte_at(text, i) & 0xc0) != 0x80)
            return BAD;
    return text.size < size ? UNFINISHED : (int)size;
}

static int judge(struct slice text)
{
    uint8_t first = byte_at(text, 0);
    if (first == '\n' || first == '\t' || (first >= ' ' && first < 0x7f))
        return 1;
    return first == ESCAPE ? judge_colour(text) : judge_character(text);
}

static void put_digits(uint8_t byte, struct writer *out)
{
    char digits[3];
    hex_print(&byte, 1, digits);
    writer_bytes(out, SLICE("\\x"));
    writer_bytes(out, slice_of(digits));
}

static void let_go(struct shown *shown, size_t count)
{
    shown->held_size -= (uint8_t)count;
    memmove(shown->held, shown->held + count, shown->held_size);
}

/* Whether some of what is held could be told. */
static bool tell_some(struct shown *shown, bool is_all, struct writer *out)
{
    struct slice held = slice_from(shown->held, shown->held_size);
    int good = held.size > 0 ? judge(held) : UNFINISHED;
    if (held.size == 0 || (good == UNFINISHED && !is_all))
        return false;
    if (good > 0)
        writer_bytes(out, slice_head(held, (size_t)good));
    else
        put_digits((uint8_t)held.data[0], out);
    let_go(shown, good > 0 ? (size_t)good : 1);
    return true;
}

void shown_write(struct shown *shown, struct slice text, struct writer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        shown->held[shown->held_size++] = text.data[i];
        while (tell_some(shown, false, out))
            ;
        assert(shown->held_size < SHOWN_HELD_BYTES);
    }
}

void shown_end(struct shown *shown, struct writer *out)
{
    while (tell_some(shown, true, out))
        ;
}
