/* Text for terminals: see core/shown.h. */
#include "core/shown.h"

#include "core/hex.h"
#include "core/utf8.h"

enum { BAD = UTF8_BAD, UNFINISHED = UTF8_UNFINISHED, ESCAPE = 0x1b };

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
        if (!ascii_is_digit(c) && c != ';')
            return BAD;
    }
    return text.size < SHOWN_HELD_BYTES ? UNFINISHED : BAD;
}

/* Of C0, or of C1, whose first byte is always this one. */
static bool is_control(struct slice text)
{
    uint8_t first = byte_at(text, 0);
    return first < ' ' || first == 0x7f ||
           (first == 0xc2 && text.size > 1 && byte_at(text, 1) < 0xa0);
}

static int judge(struct slice text)
{
    uint8_t first = byte_at(text, 0);
    if (first == '\n' || first == '\t')
        return 1;
    if (first == ESCAPE)
        return judge_colour(text);
    return is_control(text) ? BAD : utf8_judge(text);
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
static bool tell_some(struct shown *shown, struct writer *out)
{
    struct slice held = slice_from(shown->held, shown->held_size);
    int good = held.size > 0 ? judge(held) : UNFINISHED;
    if (good == UNFINISHED)
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
        while (tell_some(shown, out))
            ;
        assert(shown->held_size < SHOWN_HELD_BYTES);
    }
}
