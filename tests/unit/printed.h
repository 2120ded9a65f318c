/* What is printed on stdout between two calls. */
#pragma once

#include "core/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PRINTED_MAX_BYTES = 64 * 1024 };

struct printed {
    FILE *file;
    int before;
};

static inline struct printed printed_from_here(void)
{
    fflush(stdout);
    struct printed printed = {.file = tmpfile(), .before = dup(STDOUT_FILENO)};
    cr_assert(printed.file != NULL && printed.before >= 0 &&
              dup2(fileno(printed.file), STDOUT_FILENO) >= 0);
    return printed;
}

/* For free(). */
static inline char *printed_till_here(struct printed *printed)
{
    char *text = memory_new(PRINTED_MAX_BYTES);
    fflush(stdout);
    cr_assert(dup2(printed->before, STDOUT_FILENO) >= 0);
    close(printed->before);
    rewind(printed->file);
    text[fread(text, 1, PRINTED_MAX_BYTES - 1, printed->file)] = '\0';
    fclose(printed->file);
    return text;
}
