/* Guarded streams: see terminal_guard.h. At the streams, and not where a stranger's text comes in:
 * those places are many, and each new one would have to think of it. */
#include "cli/terminal_guard.h"

#include "core/fd.h"
#include "core/shown.h"

#include <stdio.h>
#include <unistd.h>

#ifdef __GLIBC__

enum { PIECE_BYTES = 512 };

struct guard {
    int fd;
    struct shown shown;
};

static struct guard on_stdout = {.fd = STDOUT_FILENO};
static struct guard on_stderr = {.fd = STDERR_FILENO};
static FILE *unguarded_stdout;

static bool write_piece(struct guard *guard, struct slice piece)
{
    uint8_t buffer[SHOWN_GROWTH * (SHOWN_HELD_BYTES + PIECE_BYTES)];
    struct writer out = writer_of(buffer, sizeof(buffer));
    shown_write(&guard->shown, piece, &out);
    assert(!out.failed);
    return fd_write_all(guard->fd, writer_written(&out));
}

/* As fopencookie(3) wants it: less than all is an error. */
static ssize_t write_shown(void *cookie, const char *data, size_t size)
{
    struct slice left = {data, size};
    while (left.size > 0) {
        size_t count = left.size < PIECE_BYTES ? left.size : PIECE_BYTES;
        if (!write_piece(cookie, slice_head(left, count)))
            break;
        left = slice_skip(left, count);
    }
    return (ssize_t)(size - left.size);
}

/* The stream as it is when it is no terminal, or memory runs out. */
static FILE *guarded(FILE *stream, struct guard *guard)
{
    static const cookie_io_functions_t FUNCTIONS = {.write = write_shown};
    FILE *guarded = isatty(guard->fd) ? fopencookie(guard, "w", FUNCTIONS) : NULL;
    if (guarded == NULL)
        return stream;
    setvbuf(guarded, NULL, _IOLBF, BUFSIZ);
    return guarded;
}

void terminal_guard(void)
{
    unguarded_stdout = stdout;
    stdout = guarded(stdout, &on_stdout);
    stderr = guarded(stderr, &on_stderr);
}

void terminal_unguard(void)
{
    if (stdout == unguarded_stdout)
        return;
    fflush(stdout);
    stdout = unguarded_stdout;
}

#else

void terminal_guard(void)
{
}

void terminal_unguard(void)
{
}

#endif
