/* Attributes and helpers that every file may use. Includes libc only. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))
/* Everything that such a function calls is inlined into it: for the few functions that every
 * request passes through, so that what their parts hand on stays in registers. */
#define HOT __attribute__((flatten))
/* Kept out of a HOT caller, because few requests need it. */
#define SELDOM __attribute__((noinline))
/* FORMAT and FIRST are the 1-based positions of the format string and of its first argument. */
#define PRINTF_LIKE(FORMAT, FIRST) __attribute__((format(printf, FORMAT, FIRST)))

/* The processor fetches memory in pieces of this size. */
enum { CACHE_LINE_BYTES = 64 };

/* Asks for memory that will be read soon. Any address will do, since nothing is read yet. */
static inline void prefetch(const void *start, size_t size)
{
    const char *end = (const char *)start + size;
    const char *line = (const char *)start - (uintptr_t)start % CACHE_LINE_BYTES;
    for (; line < end; line += CACHE_LINE_BYTES)
        __builtin_prefetch(line);
}

#define COUNT_OF(ARRAY) (sizeof(ARRAY) / sizeof((ARRAY)[0]))

/* The structure of type TYPE whose member MEMBER is at POINTER. */
#define CONTAINER_OF(POINTER, TYPE, MEMBER) \
    ((TYPE *)(void *)((char *)(POINTER)-offsetof(TYPE, MEMBER)))

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
