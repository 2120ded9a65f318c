/* Slabs: see core/packed.h. A chunk holds blocks of one size in cache lines; a block finds its
 * chunk by its address. */
#include "core/packed.h"

#include "core/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(PACKED_UNCHECKED)
enum { IS_CHECKED = false }; /* for the test of what is below */
#elif defined(__SANITIZE_ADDRESS__)
enum { IS_CHECKED = true };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { IS_CHECKED = true };
#else
enum { IS_CHECKED = false };
#endif
#else
enum { IS_CHECKED = false };
#endif

enum {
    CHUNK_BYTES = 2 * 1024 * 1024, /* a huge page */
    /* From here on a huge page is worth the rest of it. In usual pages so many blocks need more
     * translations than stay where they are while HAProxy has the processor between two turns. */
    MANY_BYTES = CHUNK_BYTES / 4,
    LINES_MAX = 16, /* of a block; larger ones come from malloc() */
};

struct free_block {
    struct free_block *next;
};

struct chunk {
    struct chunk *next, *previous; /* among those with room */
    struct free_block *freed;
    uint32_t used;      /* blocks given out */
    uint32_t untouched; /* offset of what was never given out */
    uint32_t block_bytes;
    bool is_huge;
};
static_assert(sizeof(struct chunk) <= CACHE_LINE_BYTES, "blocks begin at the second line");

/* The chunks of one block size. */
struct slab {
    struct chunk *with_room;
    size_t chunk_count;
};

static struct slab slabs[LINES_MAX + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t lines_of(size_t size)
{
    return (size + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES;
}

static bool is_packed(size_t size)
{
    return !IS_CHECKED && size > 0 && lines_of(size) <= LINES_MAX;
}

/* A multiple of CHUNK_BYTES, at such an address: more than that, cut to fit. */
static void *map_chunks(size_t size)
{
    uint8_t *start = mmap(NULL, size + CHUNK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        memory_give_up(size);
    size_t before = -(uintptr_t)start % CHUNK_BYTES;
    if (before > 0)
        munmap(start, before);
    munmap(start + before + size, CHUNK_BYTES - before);
    return start + before;
}

/* A kernel without huge pages says so, and all is as it would be anyway. */
static void want_huge_pages(void *start, size_t size)
{
    (void)madvise(start, size, MADV_HUGEPAGE);
}

/* The same where usual pages are in use already, which are copied: Linux 6.1 and later do so at
 * once, others when they find the time. */
static void change_to_huge_page(struct chunk *chunk)
{
    want_huge_pages(chunk, CHUNK_BYTES);
#ifdef MADV_COLLAPSE
    (void)madvise(chunk, CHUNK_BYTES, MADV_COLLAPSE);
#endif
}

static struct chunk *chunk_of(void *block)
{
    uint8_t *start = (uint8_t *)block - (uintptr_t)block % CHUNK_BYTES;
    return (struct chunk *)(void *)start;
}

static bool is_full(const struct chunk *chunk)
{
    return chunk->freed == NULL && chunk->untouched + chunk->block_bytes > CHUNK_BYTES;
}

static void link_chunk(struct slab *slab, struct chunk *chunk)
{
    chunk->previous = NULL;
    chunk->next = slab->with_room;
    if (chunk->next != NULL)
        chunk->next->previous = chunk;
    slab->with_room = chunk;
}

static void unlink_chunk(struct slab *slab, struct chunk *chunk)
{
    if (chunk->previous != NULL)
        chunk->previous->next = chunk->next;
    else
        slab->with_room = chunk->next;
    if (chunk->next != NULL)
        chunk->next->previous = chunk->previous;
}

static void add_chunk(struct slab *slab, size_t lines)
{
    struct chunk *chunk = map_chunks(CHUNK_BYTES);
    bool is_huge = slab->chunk_count > 0;
    if (is_huge)
        want_huge_pages(chunk, CHUNK_BYTES);
    slab->chunk_count++;
    chunk->is_huge = is_huge;
    chunk->block_bytes = (uint32_t)(lines * CACHE_LINE_BYTES);
    chunk->untouched = CACHE_LINE_BYTES;
    link_chunk(slab, chunk);
}

/* Never given out before, and so, as mapped, zeroed. */
static void *take_untouched(struct chunk *chunk)
{
    uint32_t before = chunk->untouched;
    chunk->untouched += chunk->block_bytes;
    if (before < MANY_BYTES && chunk->untouched >= MANY_BYTES && !chunk->is_huge) {
        change_to_huge_page(chunk);
        chunk->is_huge = true;
    }
    return (uint8_t *)chunk + before;
}

static void *take_block(struct chunk *chunk)
{
    chunk->used++;
    if (chunk->freed == NULL)
        return take_untouched(chunk);
    struct free_block *block = chunk->freed;
    chunk->freed = block->next;
    return memset(block, 0, chunk->block_bytes);
}

void *packed_new(size_t size)
{
    if (!is_packed(size))
        return memory_new_aligned(CACHE_LINE_BYTES, size);
    size_t lines = lines_of(size);
    struct slab *slab = &slabs[lines];
    pthread_mutex_lock(&lock);
    if (slab->with_room == NULL)
        add_chunk(slab, lines);
    struct chunk *chunk = slab->with_room;
    void *block = take_block(chunk);
    if (is_full(chunk))
        unlink_chunk(slab, chunk);
    pthread_mutex_unlock(&lock);
    return block;
}

static void give_block(struct slab *slab, struct chunk *chunk, struct free_block *block)
{
    if (is_full(chunk))
        link_chunk(slab, chunk);
    block->next = chunk->freed;
    chunk->freed = block;
    if (--chunk->used > 0 || slab->chunk_count == 1)
        return;
    unlink_chunk(slab, chunk);
    slab->chunk_count--;
    munmap(chunk, CHUNK_BYTES);
}

void packed_free(void *block, size_t size)
{
    if (block == NULL || !is_packed(size)) {
        free(block);
        return;
    }
    pthread_mutex_lock(&lock);
    give_block(&slabs[lines_of(size)], chunk_of(block), block);
    pthread_mutex_unlock(&lock);
}

static size_t array_bytes(size_t count, size_t size, size_t alignment)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - 2 * CHUNK_BYTES)
        memory_give_up(SIZE_MAX);
    return (bytes + alignment - 1) / alignment * alignment;
}

static bool is_many(size_t count, size_t size)
{
    return !IS_CHECKED && count >= MANY_BYTES / size;
}

void *packed_array_new(size_t count, size_t size)
{
    if (!is_many(count, size))
        return memory_new_aligned(CACHE_LINE_BYTES, array_bytes(count, size, CACHE_LINE_BYTES));
    size_t bytes = array_bytes(count, size, CHUNK_BYTES);
    void *array = map_chunks(bytes);
    want_huge_pages(array, bytes);
    return array;
}

void packed_array_free(void *array, size_t count, size_t size)
{
    if (array == NULL || !is_many(count, size))
        free(array);
    else
        munmap(array, array_bytes(count, size, CHUNK_BYTES));
}
