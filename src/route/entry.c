/* Entries and the hash that holds them: see entry.h. */
#include "entry.h"

#include "core/hash.h"
#include "core/packed.h"
#include "route/tenant.h"

#include <stdlib.h>

enum { INITIAL_CAPACITY = 16, BUCKET_SLOTS = 4 };
static_assert(sizeof(struct slot[BUCKET_SLOTS]) == CACHE_LINE_BYTES, "a bucket is a cache line");

/* memcmp() may load a whole vector, of which it looks at no more than it should. */
enum { VECTOR_BYTES = 32 };
static_assert(offsetof(struct route_entry, text) + VECTOR_BYTES <= CACHE_LINE_BYTES,
              "comparing a usual host reads a second cache line");

static struct slice kind_mark(enum key_kind kind)
{
    return kind == KEY_WILDCARD ? SLICE("*.") : SLICE("");
}

/* The two hashes are independent and well mixed; the odd factors keep kinds apart and the two from
 * cancelling out. */
uint64_t key_hash_name(enum key_kind kind, struct slice name)
{
    return hash_bytes(name) + (uint64_t)kind * 0x9e3779b97f4a7c15u;
}

uint64_t key_hash_prefix(uint64_t name_hash, struct slice prefix)
{
    return name_hash * 0xd6e8feb86659fd93u ^ hash_bytes(prefix);
}

uint64_t key_hash(const struct key *key)
{
    uint64_t hash = key_hash_name(key->kind, key->name);
    return key->prefix.size > 0 ? key_hash_prefix(hash, key->prefix) : hash;
}

static size_t entry_size(size_t text_size)
{
    return offsetof(struct route_entry, text) + text_size;
}

struct route_entry *entry_new(const struct key *key)
{
    struct slice mark = kind_mark(key->kind);
    struct route_entry *entry =
        packed_new(entry_size(mark.size + key->name.size + key->prefix.size));
    assert(key->kind != KEY_TENANT && key->name.size <= UINT16_MAX &&
           key->prefix.size <= UINT16_MAX);
    entry->kind = key->kind & 3;
    entry->name_size = (uint16_t)key->name.size;
    entry->prefix_size = (uint16_t)key->prefix.size;
    char *text = entry->text;
    memcpy(text, mark.data, mark.size);
    memcpy(text + mark.size, key->name.data, key->name.size);
    if (key->prefix.size > 0)
        memcpy(text + mark.size + key->name.size, key->prefix.data, key->prefix.size);
    return entry;
}

void entry_free(struct route_entry *entry)
{
    if (entry != NULL)
        packed_free(entry, entry_size(entry_text(entry).size));
}

struct key entry_key(const struct route_entry *entry)
{
    const char *name = entry->text + kind_mark((enum key_kind)entry->kind).size;
    return (struct key){(enum key_kind)entry->kind, slice_from(name, entry->name_size),
                        slice_from(name + entry->name_size, entry->prefix_size)};
}

struct slice entry_text(const struct route_entry *entry)
{
    size_t mark_size = kind_mark((enum key_kind)entry->kind).size;
    return slice_from(entry->text, mark_size + entry->name_size + entry->prefix_size);
}

const struct tenant *entry_tenant(const struct route_entry *entry)
{
    return entry->brief != NULL ? entry->brief->tenant : NULL;
}

const struct tenant_host *entry_host(const struct route_entry *entry)
{
    return entry->prefix_size == 0 ? entry->host : NULL;
}

const struct path_rule *entry_path(const struct route_entry *entry)
{
    return entry->prefix_size > 0 ? entry->path : NULL;
}

bool entry_has_key(const struct route_entry *entry, const struct key *key)
{
    struct key own = entry_key(entry);
    return own.kind == key->kind && slice_equal(own.name, key->name) &&
           slice_equal(own.prefix, key->prefix);
}

static bool has_key(const void *item, const struct key *key)
{
    if (key->kind != KEY_TENANT)
        return entry_has_key(item, key);
    const struct tenant *tenant = item;
    return slice_equal(slice_of(tenant->name), key->name);
}

static void allocate(struct slots *slots, size_t capacity)
{
    slots->slots = packed_array_new(capacity, sizeof(*slots->slots));
    slots->mask = capacity - 1;
}

void slots_init(struct slots *slots)
{
    allocate(slots, INITIAL_CAPACITY);
    slots->count = 0;
}

void slots_fini(struct slots *slots)
{
    packed_array_free(slots->slots, slots->mask + 1, sizeof(*slots->slots));
    *slots = (struct slots){0};
}

void slots_copy(const struct slots *slots, struct slots *copy)
{
    size_t capacity = slots->mask + 1;
    allocate(copy, capacity);
    memcpy(copy->slots, slots->slots, capacity * sizeof(*copy->slots));
    copy->count = slots->count;
}

static struct slot *home_of(const struct slots *slots, uint64_t hash)
{
    return &slots->slots[hash & slots->mask & ~(size_t)(BUCKET_SLOTS - 1)];
}

static struct slot *bucket_after(const struct slots *slots, const struct slot *bucket)
{
    return &slots->slots[((size_t)(bucket - slots->slots) + BUCKET_SLOTS) & slots->mask];
}

static bool is_full(const struct slot *bucket)
{
    return bucket[BUCKET_SLOTS - 1].item != NULL;
}

/* Which of the bucket's slots have this hash, as bits. Free ones have 0. */
static unsigned same_hash(const struct slot *bucket, uint64_t hash)
{
    unsigned same = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        same |= (unsigned)(bucket[i].hash == hash) << i;
    return same;
}

/* The slot with the key, or NULL. */
static struct slot *find(const struct slots *slots, const struct key *key, uint64_t hash)
{
    for (struct slot *bucket = home_of(slots, hash);; bucket = bucket_after(slots, bucket)) {
        for (unsigned same = same_hash(bucket, hash); same != 0; same &= same - 1) {
            struct slot *slot = &bucket[__builtin_ctz(same)];
            if (slot->item != NULL && has_key(slot->item, key))
                return slot;
        }
        if (!is_full(bucket))
            return NULL;
    }
}

const void *slots_find(const struct slots *slots, const struct key *key, uint64_t hash)
{
    const struct slot *slot = find(slots, key, hash);
    return slot != NULL ? slot->item : NULL;
}

void slots_prefetch(const struct slots *slots, uint64_t hash)
{
    __builtin_prefetch(home_of(slots, hash));
}

const void *slots_find_likely(const struct slots *slots, uint64_t hash)
{
    const struct slot *bucket = home_of(slots, hash);
    unsigned same = same_hash(bucket, hash);
    while (same == 0 && is_full(bucket)) {
        bucket = bucket_after(slots, bucket);
        same = same_hash(bucket, hash);
    }
    return same != 0 ? bucket[__builtin_ctz(same)].item : NULL;
}

/* In the first bucket from its home on that has room. */
static void insert(struct slots *slots, struct slot slot)
{
    struct slot *bucket = home_of(slots, slot.hash);
    while (is_full(bucket))
        bucket = bucket_after(slots, bucket);
    while (bucket->item != NULL)
        bucket++;
    *bucket = slot;
}

static void grow(struct slots *slots)
{
    struct slots old = *slots;
    size_t capacity = (old.mask + 1) * 2;
    allocate(slots, capacity);
    for (size_t i = 0; i <= old.mask; i++)
        if (old.slots[i].item != NULL)
            insert(slots, old.slots[i]);
    slots_fini(&old);
}

/* At most two thirds full: one bucket in seven then has more than it has room for. */
void slots_put(struct slots *slots, const struct key *key, const void *item)
{
    uint64_t hash = key_hash(key);
    struct slot *slot = find(slots, key, hash);
    if (slot != NULL) {
        slot->item = item;
        return;
    }
    size_t capacity = slots->mask + 1;
    if (slots->count + 1 > capacity - capacity / 3)
        grow(slots);
    slots->count++;
    insert(slots, (struct slot){hash, item});
}

/* The bucket's last slot fills the hole. Returns the slot that is free then. */
static struct slot *close_gap(struct slot *bucket, struct slot *hole)
{
    struct slot *last = bucket + BUCKET_SLOTS - 1;
    while (last->item == NULL)
        last--;
    *hole = *last;
    *last = (struct slot){0};
    return last;
}

/* Somebody of the bucket who had no room nearer home: `distance` buckets nearer, or more. */
static struct slot *find_stray(const struct slots *slots, struct slot *bucket, size_t distance)
{
    size_t at = (size_t)(bucket - slots->slots);
    for (struct slot *slot = bucket; slot < bucket + BUCKET_SLOTS && slot->item != NULL; slot++) {
        size_t home = (size_t)(home_of(slots, slot->hash) - slots->slots);
        if (((at - home) & slots->mask) >= distance * BUCKET_SLOTS)
            return slot;
    }
    return NULL;
}

/* A bucket that was full may have turned somebody away, who is in one of those behind it up to the
 * first that is not full: the nearest moves up, which leaves a hole there. */
void slots_remove(struct slots *slots, const struct key *key)
{
    struct slot *hole = find(slots, key, key_hash(key));
    assert(hole != NULL);
    struct slot *bucket =
        slots->slots + ((size_t)(hole - slots->slots) & ~(size_t)(BUCKET_SLOTS - 1));
    bool was_full = is_full(bucket);
    struct slot *room = close_gap(bucket, hole);
    size_t distance = 1;
    for (struct slot *next = bucket_after(slots, bucket); was_full;
         next = bucket_after(slots, next)) {
        struct slot *stray = find_stray(slots, next, distance);
        was_full = is_full(next);
        distance++;
        if (stray == NULL)
            continue;
        *room = *stray;
        room = close_gap(next, stray);
        distance = 1;
    }
    slots->count--;
}
