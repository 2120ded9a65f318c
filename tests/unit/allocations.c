/* Counting allocations: see allocations.h. AddressSanitizer has hooks for it; without it, the
 * program's own malloc() takes the place of libc's. */
#include "allocations.h"

#include <stdatomic.h>

static _Atomic size_t count;

#ifdef __SANITIZE_ADDRESS__

/* <sanitizer/allocator_interface.h> comes with clang only. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *block, size_t size)
{
    (void)block;
    (void)size;
    count++;
}

static void on_free(const volatile void *block)
{
    (void)block;
}

static void start(void)
{
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}

#else

#define EXPORTED __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *block, size_t size);
EXPORTED void *malloc(size_t size);
EXPORTED void *calloc(size_t number, size_t size);
EXPORTED void *realloc(void *block, size_t size);

void *malloc(size_t size)
{
    count++;
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count++;
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size)
{
    count++;
    return __libc_realloc(block, size);
}

static void start(void)
{
}

#endif

size_t allocations_count(void)
{
    static _Atomic int started;
    if (atomic_exchange(&started, 1) == 0) {
        start();
        count = 0;
    }
    return count;
}
