/* What is printed for people: how wide their terminal is, whether it has colours, lines that fit.
 */
#pragma once

#include "core/slice.h"

enum { TERMINAL_USUAL_COLUMNS = 80 };

/* Of standard output; TERMINAL_USUAL_COLUMNS when it is none, or does not tell. */
unsigned terminal_columns(void);
/* Whether standard output is one that shows colours, and whoever reads it wants them (NO_COLOR). */
bool terminal_has_colours(void);

enum terminal_style {
    TERMINAL_PLAIN,
    TERMINAL_BOLD,
    TERMINAL_DIM,
    TERMINAL_RED,
    TERMINAL_YELLOW,
    TERMINAL_GREEN,
    TERMINAL_REVERSE
};
/* The escape sequence, and "" where there are no colours; TERMINAL_PLAIN ends any other. */
const char *terminal_style(enum terminal_style style, bool has_colours);

/* Prints `text` behind `first`, which is as wide as `indent`, in lines of at most `columns`,
 * further ones indented as far, as are the text's own. Words that are longer are not cut. */
void terminal_wrap(const char *first, unsigned indent, const char *text, unsigned columns);

/* From now on, what nobody reads any more ("| head") is lost and does not end the program, which is
 * not to leave half done what it has begun. Programs that it starts do not inherit that. */
void terminal_outlive_readers(void);
/* Whether something has been lost since. */
bool terminal_has_lost_readers(void);

/* "owui-spoa: what is wrong" on standard error: in lines that fit when that is a terminal; else one
 * line, which logs and scripts find whole. */
void terminal_complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* A further line of it, indented. */
void terminal_complain_more(const char *indent, const char *format, ...) PRINTF_LIKE(2, 3);
