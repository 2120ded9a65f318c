/* core/packed: blocks side by side. Built with the module's own source, so that the slabs are
 * tested under AddressSanitizer too, where everybody else gets blocks of malloc(). */
#include "core/packed.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 2 * 1024 * 1024, MANY = 100000, ROUNDS = 200000 };

static bool is_zero(const uint8_t *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] != 0)
            return false;
    return true;
}

Test(packed, a_block_is_zeroed_and_begins_a_cache_line_however_often_it_was_used)
{
    static const size_t SIZES[] = {1, 63, 64, 65, 384, 1024, 1025, 5000};
    for (size_t i = 0; i < COUNT_OF(SIZES); i++) {
        for (int round = 0; round < 3; round++) {
            uint8_t *block = packed_new(SIZES[i]);
            cr_assert(zero(uptr, (uintptr_t)block % CACHE_LINE_BYTES));
            cr_assert(is_zero(block, SIZES[i]));
            memset(block, 0xa5, SIZES[i]);
            packed_free(block, SIZES[i]);
        }
    }
    packed_free(NULL, 64);
}

Test(packed, blocks_lie_side_by_side)
{
    uint8_t *first = packed_new(60);
    uint8_t *second = packed_new(60);
    cr_assert(eq(ptr, second, first + CACHE_LINE_BYTES));
    packed_free(first, 60);
    packed_free(second, 60);
}

/* Each has its number at both ends: none may lie in another. */
Test(packed, none_overlaps_another_in_any_order_of_life)
{
    enum { SIZE_MAX_LINES = 4 };
    struct {
        uint64_t *block;
        size_t words;
    } *blocks = calloc(MANY, sizeof(*blocks));
    srandom(7);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        size_t i = (size_t)random() % MANY;
        if (blocks[i].block != NULL) {
            cr_assert(eq(u64, blocks[i].block[0], i));
            cr_assert(eq(u64, blocks[i].block[blocks[i].words - 1], i));
            packed_free(blocks[i].block, blocks[i].words * 8);
        }
        blocks[i].words = 1 + (size_t)random() % (SIZE_MAX_LINES * CACHE_LINE_BYTES / 8);
        blocks[i].block = packed_new(blocks[i].words * 8);
        blocks[i].block[0] = blocks[i].block[blocks[i].words - 1] = i;
    }
    for (size_t i = 0; i < MANY; i++)
        packed_free(blocks[i].block, blocks[i].words * 8);
    free(blocks);
}

static size_t mapped_pages(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(ne(ptr, file, NULL));
    cr_assert(eq(int, fscanf(file, "%zu", &pages), 1));
    fclose(file);
    return pages;
}

Test(packed, what_is_free_goes_back_to_the_kernel)
{
    void **blocks = calloc(MANY, sizeof(*blocks));
    size_t before = mapped_pages();
    for (size_t i = 0; i < MANY; i++)
        blocks[i] = packed_new(640);
    cr_assert(lt(sz, MANY * 640 / 4096 - 1, mapped_pages() - before));
    for (size_t i = 0; i < MANY; i++)
        packed_free(blocks[i], 640);
    cr_assert(le(sz, mapped_pages(), before + CHUNK_BYTES / 4096));
    free(blocks);
}

/* The kernel copies the usual pages of a first chunk that is about to be used by many. */
Test(packed, nothing_is_lost_when_a_first_chunk_becomes_a_huge_page)
{
    uint64_t **blocks = calloc(MANY, sizeof(*blocks));
    for (uint64_t i = 0; i < MANY; i++) {
        blocks[i] = packed_new(CACHE_LINE_BYTES);
        cr_assert(is_zero((uint8_t *)blocks[i], CACHE_LINE_BYTES));
        blocks[i][0] = blocks[i][7] = i;
    }
    for (uint64_t i = 0; i < MANY; i++) {
        cr_assert(eq(u64, blocks[i][0], i));
        cr_assert(eq(u64, blocks[i][7], i));
        packed_free(blocks[i], CACHE_LINE_BYTES);
    }
    free(blocks);
}

Test(packed, a_large_array_begins_a_huge_page)
{
    uint64_t *few = packed_array_new(16, 8);
    few[15] = 1;
    packed_array_free(few, 16, 8);
    uint64_t *many = packed_array_new(CHUNK_BYTES / 8 + 1, 8);
    cr_assert(zero(uptr, (uintptr_t)many % CHUNK_BYTES));
    many[0] = many[CHUNK_BYTES / 8] = 1;
    packed_array_free(many, CHUNK_BYTES / 8 + 1, 8);
    packed_array_free(NULL, 16, 8);
}
