/* Terminals: see terminal.h. */
#include "cli/terminal.h"

#include "core/memory.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NARROWEST = 40 };

/* `otherwise`: when it is no terminal. */
static unsigned columns_of(int fd, unsigned otherwise)
{
    struct winsize size = {0};
    if (!isatty(fd))
        return otherwise;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return TERMINAL_USUAL_COLUMNS;
    return size.ws_col < NARROWEST ? NARROWEST : size.ws_col;
}

unsigned terminal_columns(void)
{
    return columns_of(STDOUT_FILENO, TERMINAL_USUAL_COLUMNS);
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

static volatile sig_atomic_t has_lost_readers;

static void on_broken_pipe(int number)
{
    (void)number;
    has_lost_readers = 1;
}

/* A handler, since SIG_IGN would be inherited. */
void terminal_outlive_readers(void)
{
    const struct sigaction action = {.sa_handler = on_broken_pipe, .sa_flags = SA_RESTART};
    sigaction(SIGPIPE, &action, NULL);
}

bool terminal_has_lost_readers(void)
{
    return has_lost_readers != 0;
}

static void wrap(FILE *out, const char *first, unsigned indent, const char *text, unsigned columns)
{
    unsigned column = indent;
    bool ends = false; /* the text's own line */
    fputs(first, out);
    for (bool is_first = true; *text != '\0'; is_first = false) {
        size_t size = strcspn(text, " \n");
        if (ends || (!is_first && column + 1 + size > columns)) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            putc(' ', out);
            column++;
        }
        fwrite(text, 1, size, out);
        column += (unsigned)size;
        text += size;
        ends = *text == '\n';
        text += strspn(text, " \n");
    }
    putc('\n', out);
}

void terminal_wrap(const char *first, unsigned indent, const char *text, unsigned columns)
{
    wrap(stdout, first, indent, text, columns);
}

static void complain(const char *first, const char *format, va_list arguments) PRINTF_LIKE(2, 0);
static void complain(const char *first, const char *format, va_list arguments)
{
    char *text = memory_format_list(format, arguments);
    fflush(stdout); /* what was said before stands before it */
    wrap(stderr, first, (unsigned)strlen(first), text, columns_of(STDERR_FILENO, UINT_MAX));
    free(text);
}

void terminal_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain("owui-spoa: ", format, arguments);
    va_end(arguments);
}

void terminal_complain_more(const char *indent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(indent, format, arguments);
    va_end(arguments);
}
