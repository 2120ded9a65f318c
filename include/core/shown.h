/* Makes text that strangers had a hand in (a request's Host, a CA's message, an upstream's answer)
 * fit to be printed on a terminal. A terminal obeys control characters: they move the cursor,
 * delete lines, set the title, and make some terminals answer as if somebody had typed.
 *
 * Newlines, tabs, printable UTF-8, and colours (ECMA-48 8.3.117, ESC [ ... m) pass; any other byte
 * becomes "\x" and two digits. Text may come in pieces, cut anywhere.
 */
#pragma once

#include "core/cursor.h"

enum {
    SHOWN_HELD_BYTES = 12, /* the longest that must be whole to be judged */
    SHOWN_GROWTH = 4,      /* bytes at most that are written for one */
};

/* Zeroed: nothing is held back. */
struct shown {
    char held[SHOWN_HELD_BYTES];
    uint8_t held_size;
};

/* What is unfinished at the end is held back until more comes; a newline finishes anything. `out`
 * has to have room for SHOWN_GROWTH * (SHOWN_HELD_BYTES + text.size) bytes. */
void shown_write(struct shown *shown, struct slice text, struct writer *out);
