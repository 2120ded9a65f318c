/* A log of memos and a hash of them: see memos.h.
 *
 * Positions in the log grow for ever; where one is in memory is its remainder by the log's size. A
 * memo lies in one piece: what is left before the end and too small is a block without a memo. */
#include "memos.h"

#include "core/memory.h"

#include <stdlib.h>

enum {
    BLOCK_ALIGNMENT = 16,
    NO_PLACE = UINT32_MAX, /* of a block: nobody finds it any more */
};
static_assert(offsetof(struct memo, tenant) <= BLOCK_ALIGNMENT,
              "the smallest block has no room for what every block has");

struct memos {
    uint8_t *log;
    uint64_t log_bytes;
    uint64_t oldest, end; /* positions */
    uint64_t *hashes;     /* of each place; 0: free */
    uint64_t *positions;  /* of its memo */
    uint32_t places;
    uint32_t turn;
};

struct memos *memos_new(size_t log_bytes, uint32_t places)
{
    assert(log_bytes >= MEMOS_MIN_BYTES && (log_bytes & (log_bytes - 1)) == 0);
    assert(places >= MEMOS_WAYS && (places & (places - 1)) == 0);
    struct memos *memos = memory_new(sizeof(*memos));
    memos->log_bytes = log_bytes;
    memos->log = memory_new_pages(log_bytes);
    memos->places = places;
    memos->hashes = memory_new_pages(places * sizeof(*memos->hashes));
    memos->positions = memory_new_pages(places * sizeof(*memos->positions));
    return memos;
}

void memos_free(struct memos *memos)
{
    if (memos == NULL)
        return;
    uint64_t written = memos->end < memos->log_bytes ? memos->end : memos->log_bytes;
    memory_wipe(memos->log, written);
    memory_free_pages(memos->log, memos->log_bytes);
    memory_free_pages(memos->hashes, memos->places * sizeof(*memos->hashes));
    memory_free_pages(memos->positions, memos->places * sizeof(*memos->positions));
    free(memos);
}

static struct memo *memo_at(const struct memos *memos, uint64_t position)
{
    return (struct memo *)(void *)(memos->log + (position & (memos->log_bytes - 1)));
}

/* Of the places of a hash, the one that it has first. */
static uint32_t own_place(const struct memos *memos, uint64_t hash)
{
    return (uint32_t)(hash & (memos->places - 1));
}

/* 0 is for what is free. */
static uint64_t mark_of(uint64_t hash)
{
    return hash != 0 ? hash : 1;
}

/* The place with the hash, or NO_PLACE. Nearly all are in their own, and found at once. */
static uint32_t find_place(const struct memos *memos, uint64_t mark)
{
    uint32_t own = own_place(memos, mark);
    if (memos->hashes[own] == mark)
        return own;
    uint32_t first = own / MEMOS_WAYS * MEMOS_WAYS;
    for (uint32_t i = first; i < first + MEMOS_WAYS; i++)
        if (memos->hashes[i] == mark)
            return i;
    return NO_PLACE;
}

const struct memo *memos_find(const struct memos *memos, uint64_t hash, uint64_t tenant,
                              struct slice bytes)
{
    uint32_t place = find_place(memos, mark_of(hash));
    if (place == NO_PLACE)
        return NULL;
    const struct memo *memo = memo_at(memos, memos->positions[place]);
    bool is_it = memo->tenant == tenant && slice_equal(slice_from(memo->bytes, memo->size), bytes);
    return is_it ? memo : NULL;
}

static void forget_place(struct memos *memos, uint32_t place)
{
    memo_at(memos, memos->positions[place])->place = NO_PLACE;
    memos->hashes[place] = 0;
}

/* A place for a hash that has none: its own if that is free, another free one, or each of the
 * bucket's in its turn. */
static uint32_t free_place(struct memos *memos, uint64_t mark)
{
    uint32_t own = own_place(memos, mark);
    if (memos->hashes[own] == 0)
        return own;
    uint32_t first = own / MEMOS_WAYS * MEMOS_WAYS;
    for (uint32_t i = first; i < first + MEMOS_WAYS; i++)
        if (memos->hashes[i] == 0)
            return i;
    uint32_t place = first + memos->turn++ % MEMOS_WAYS;
    forget_place(memos, place);
    return place;
}

static void drop_oldest(struct memos *memos)
{
    const struct memo *memo = memo_at(memos, memos->oldest);
    if (memo->place != NO_PLACE)
        forget_place(memos, memo->place);
    memos->oldest += memo->block_bytes;
}

static struct memo *append(struct memos *memos, uint32_t block_bytes)
{
    while (memos->end + block_bytes - memos->oldest > memos->log_bytes)
        drop_oldest(memos);
    struct memo *memo = memo_at(memos, memos->end);
    memos->end += block_bytes;
    memo->block_bytes = block_bytes;
    memo->place = NO_PLACE;
    return memo;
}

static uint32_t block_size(size_t size)
{
    size_t bytes = offsetof(struct memo, bytes) + size;
    return (uint32_t)((bytes + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT);
}

/* In one piece: not over the end of the log. */
static struct memo *append_whole(struct memos *memos, uint32_t block_bytes)
{
    uint64_t left = memos->log_bytes - (memos->end & (memos->log_bytes - 1));
    if (left < block_bytes)
        append(memos, (uint32_t)left);
    return append(memos, block_bytes);
}

struct memo *memos_add(struct memos *memos, uint64_t hash, uint64_t tenant, struct slice bytes)
{
    uint64_t mark = mark_of(hash);
    assert(bytes.size <= memos->log_bytes / 4);
    struct memo *memo = append_whole(memos, block_size(bytes.size));
    uint32_t place = find_place(memos, mark);
    if (place != NO_PLACE)
        forget_place(memos, place);
    else
        place = free_place(memos, mark);
    memos->hashes[place] = mark;
    memos->positions[place] = memos->end - memo->block_bytes;
    memo->place = place;
    memo->tenant = tenant;
    memo->size = (uint32_t)bytes.size;
    memcpy(memo->bytes, bytes.data, bytes.size);
    return memo;
}
