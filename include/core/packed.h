/* Blocks that requests read, side by side in memory of their own.
 *
 * With 100,000 tenants, what a decision reads is in no cache. Spread over the heap, each block also
 * lies in another page, whose address translation is in no cache either. So these blocks are packed
 * into chunks for which the kernel is asked for huge pages, apart from what only configuration
 * looks at. What few tenants need fits in the first quarter of a chunk and stays in normal pages.
 *
 * Any thread may call these; they lock, and are not for the hot path. Like memory.h, they end the
 * program when memory runs out. With AddressSanitizer each block comes from malloc().
 */
#pragma once

#include "core/slice.h"

/* Zeroed, from the start of a cache line. */
void *packed_new(size_t size) __attribute__((malloc, returns_nonnull));
/* `size` as it was given to packed_new(). NULL is fine. */
void packed_free(void *block, size_t size);

/* Zeroed, from the start of a cache line. A large array is in huge pages, a small one in the heap.
 * `size` is not 0. */
void *packed_array_new(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void packed_array_free(void *array, size_t count, size_t size); /* NULL is fine */
