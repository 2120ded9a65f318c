/* A text in memory that is written to as a stream. Like core/memory.h, these end the program when
 * memory runs out. */
#pragma once

#include "core/base.h"

#include <stdio.h>

struct text_stream {
    FILE *out; /* to be written to */
    char *text;
    size_t size; /* of the text, once the stream is closed */
    size_t room; /* private */
};

/* The structure stays where it is until the stream is closed. */
void text_stream_open(struct text_stream *stream);
/* The whole text, with a NUL behind it, for free(). */
char *text_stream_close(struct text_stream *stream) __attribute__((returns_nonnull));
