/* Allocation for boot, configuration, JSON and the publisher: no result to check, because these end
 * the program when memory runs out. The hot path allocates nothing; code that must survive a failed
 * allocation (ACME jobs, connections) calls malloc() itself and reports ERROR_NO_MEMORY. */
#pragma once

#include "core/slice.h"

#include <stdarg.h>

void *memory_new(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
/* The same at a multiple of `alignment`, a power of two. */
void *memory_new_aligned(size_t alignment, size_t size) __attribute__((malloc, returns_nonnull));
/* The same in pages of its own, each of which takes memory when it is first written to. */
void *memory_new_pages(size_t size) __attribute__((malloc, returns_nonnull));
void memory_free_pages(void *pages, size_t size); /* NULL is fine */
void *memory_resize(void *block, size_t count, size_t size) __attribute__((returns_nonnull));
char *memory_copy_text(struct slice text) __attribute__((malloc, returns_nonnull)); /* adds a NUL */
char *memory_copy_optional(const char *text); /* NULL for NULL */
/* Each of them, and the list; NULL is fine where `count` is 0. */
void memory_free_texts(char **texts, size_t count);
/* The order of texts, for qsort() and bsearch(): both are pointers to one. */
int memory_compare_texts(const void *a, const void *b);
/* Sorts them, and frees all but one of those that are the same; how many are left. */
size_t memory_sort_texts_once(char **texts, size_t count);
/* printf into a new block that the caller frees. */
char *memory_format(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));
char *memory_format_list(const char *format, va_list arguments) PRINTF_LIKE(1, 0)
    __attribute__((returns_nonnull));

/* Ends the program because `size` bytes cannot be had. */
void memory_give_up(size_t size) __attribute__((noreturn));

/* Gives free memory back to the kernel: to be called after much was read of which little stays. */
void memory_trim(void);

/* Overwrites a secret in a way that the compiler keeps. */
void memory_wipe(void *block, size_t size);
