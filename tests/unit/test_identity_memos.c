/* identity: memos, against what a list remembers. */
#include "memos.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

enum {
    LOG_BYTES = MEMOS_MIN_BYTES,
    PLACES = 64,
    KEYS = 100,
    SIZE_MAX_BYTES = 2000,
};

static uint64_t random_state = 42;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

/* The bytes of key `number`: as many as it says, and its own. */
static struct slice bytes_of(unsigned number, char buffer[static SIZE_MAX_BYTES])
{
    size_t size = number * 7919u % SIZE_MAX_BYTES;
    memset(buffer, (int)('a' + number % 26), SIZE_MAX_BYTES);
    memcpy(buffer, &number, size_min(size, sizeof(number)));
    return slice_from(buffer, size);
}

/* Few hashes, so that many meet in a bucket and some are equal. */
static uint64_t hash_of(unsigned number)
{
    return number % 40 * 1024;
}

static const struct memo *find(const struct memos *memos, unsigned number)
{
    char buffer[SIZE_MAX_BYTES];
    return memos_find(memos, hash_of(number), number, bytes_of(number, buffer));
}

static void add(struct memos *memos, unsigned number, int64_t value)
{
    char buffer[SIZE_MAX_BYTES];
    memos_add(memos, hash_of(number), number, bytes_of(number, buffer))->good_until_s = value;
}

/* What is found is what was written last, and what was just written is found. */
Test(memos, tell_what_was_written_last)
{
    struct memos *memos = memos_new(LOG_BYTES, PLACES);
    int64_t written[KEYS] = {0};
    unsigned found = 0;
    for (int64_t step = 1; step <= 20000; step++) {
        unsigned number = next_random() % KEYS;
        const struct memo *memo = find(memos, number);
        if (memo != NULL) {
            cr_assert(eq(i64, memo->good_until_s, written[number]));
            found++;
        }
        if (memo != NULL && next_random() % 4 != 0)
            continue;
        add(memos, number, step);
        written[number] = step;
        memo = find(memos, number);
        cr_assert(ne(ptr, (void *)(uintptr_t)memo, NULL));
        cr_assert(eq(i64, memo->good_until_s, step));
    }
    cr_expect(lt(u32, 100, found));
    memos_free(memos);
}

/* The log holds so many bytes, whatever their places are. */
Test(memos, the_newest_are_there_and_the_oldest_are_not)
{
    struct memos *memos = memos_new(LOG_BYTES, 1024);
    enum { EACH = 100, ADDED = 200 };
    char bytes[EACH] = {0};
    for (uint64_t i = 0; i < ADDED; i++)
        memos_add(memos, i, i, slice_from(bytes, sizeof(bytes)));
    uint64_t oldest = ADDED;
    while (oldest > 0 &&
           memos_find(memos, oldest - 1, oldest - 1, slice_from(bytes, sizeof(bytes))) != NULL)
        oldest--;
    uint64_t kept = ADDED - oldest;
    size_t each = offsetof(struct memo, bytes) + EACH;
    cr_expect(ge(u64, kept, LOG_BYTES / (each + 16) - 1));
    cr_expect(le(u64, kept, LOG_BYTES / each));
    for (uint64_t i = 0; i < oldest; i++)
        cr_expect(
            eq(ptr, (void *)(uintptr_t)memos_find(memos, i, i, slice_from(bytes, EACH)), NULL));
    memos_free(memos);
}

Test(memos, are_of_a_tenant_and_of_all_bytes)
{
    struct memos *memos = memos_new(LOG_BYTES, PLACES);
    memos_add(memos, 0, 1, SLICE("abc"));
    cr_expect(ne(ptr, (void *)(uintptr_t)memos_find(memos, 0, 1, SLICE("abc")), NULL));
    cr_expect(eq(ptr, (void *)(uintptr_t)memos_find(memos, 0, 2, SLICE("abc")), NULL));
    cr_expect(eq(ptr, (void *)(uintptr_t)memos_find(memos, 0, 1, SLICE("abd")), NULL));
    cr_expect(eq(ptr, (void *)(uintptr_t)memos_find(memos, 0, 1, SLICE("ab")), NULL));
    cr_expect(eq(ptr, (void *)(uintptr_t)memos_find(memos, 1 << 10, 1, SLICE("abc")), NULL));
    memos_free(memos);
}
