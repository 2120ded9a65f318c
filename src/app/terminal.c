/* Terminals: see terminal.h. */
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NARROWEST = 40 };

unsigned terminal_columns(void)
{
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return TERMINAL_USUAL_COLUMNS;
    return size.ws_col < NARROWEST ? NARROWEST : size.ws_col;
}

/* https://no-color.org */
bool terminal_has_colours(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

const char *terminal_style(enum terminal_style style, bool has_colours)
{
    static const char *const SEQUENCES[] = {
        [TERMINAL_PLAIN] = "\033[0m",   [TERMINAL_BOLD] = "\033[1m",
        [TERMINAL_DIM] = "\033[2m",     [TERMINAL_RED] = "\033[31m",
        [TERMINAL_YELLOW] = "\033[33m", [TERMINAL_GREEN] = "\033[32m",
        [TERMINAL_REVERSE] = "\033[7m",
    };
    return has_colours ? SEQUENCES[style] : "";
}

void terminal_wrap(const char *first, unsigned indent, const char *text, unsigned columns)
{
    unsigned column = indent;
    fputs(first, stdout);
    for (bool is_first = true; *text != '\0'; is_first = false) {
        size_t size = strcspn(text, " ");
        if (!is_first && column + 1 + size > columns) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            putchar(' ');
            column++;
        }
        fwrite(text, 1, size, stdout);
        column += (unsigned)size;
        text += size;
        text += strspn(text, " ");
    }
    putchar('\n');
}
