/* What is printed between two calls: on stdout, or on stderr, as the log is. */
#pragma once

#include "core/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PRINTED_MAX_BYTES = 64 * 1024 };

struct printed {
    FILE *file;
    int where, before;
};

static inline struct printed printed_on(int where)
{
    fflush(stdout);
    struct printed printed = {.file = tmpfile(), .where = where, .before = dup(where)};
    cr_assert(printed.file != NULL && printed.before >= 0 &&
              dup2(fileno(printed.file), where) >= 0);
    return printed;
}

static inline struct printed printed_from_here(void)
{
    return printed_on(STDOUT_FILENO);
}

/* For free(). */
static inline char *printed_till_here(struct printed *printed)
{
    char *text = memory_new(PRINTED_MAX_BYTES);
    fflush(stdout);
    cr_assert(dup2(printed->before, printed->where) >= 0);
    close(printed->before);
    rewind(printed->file);
    text[fread(text, 1, PRINTED_MAX_BYTES - 1, printed->file)] = '\0';
    fclose(printed->file);
    return text;
}
