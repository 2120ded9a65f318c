/* Entries and the hash that holds them: see entry.h. */
#include "entry.h"

#include "core/hash.h"
#include "core/packed.h"

#include <stdlib.h>

enum { INITIAL_CAPACITY = 16 };

/* memcmp() may load a whole vector, of which it looks at no more than it should. */
enum { VECTOR_BYTES = 32 };
static_assert(offsetof(struct entry, text) + VECTOR_BYTES <= CACHE_LINE_BYTES,
              "comparing a usual host reads a second cache line");

static struct slice kind_mark(enum key_kind kind)
{
    switch (kind) {
    case KEY_HOST: return SLICE("");
    case KEY_WILDCARD: return SLICE("*.");
    case KEY_TENANT: return SLICE("=");
    }
    return SLICE("");
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
    return offsetof(struct entry, text) + text_size;
}

struct entry *entry_new(const struct key *key)
{
    struct slice mark = kind_mark(key->kind);
    struct entry *entry = packed_new(entry_size(mark.size + key->name.size + key->prefix.size));
    assert(key->name.size <= UINT16_MAX && key->prefix.size <= UINT16_MAX);
    entry->kind = (uint8_t)key->kind;
    entry->name_size = (uint16_t)key->name.size;
    entry->prefix_size = (uint16_t)key->prefix.size;
    char *text = entry->text;
    memcpy(text, mark.data, mark.size);
    memcpy(text + mark.size, key->name.data, key->name.size);
    if (key->prefix.size > 0)
        memcpy(text + mark.size + key->name.size, key->prefix.data, key->prefix.size);
    return entry;
}

void entry_free(struct entry *entry)
{
    if (entry != NULL)
        packed_free(entry, entry_size(entry_text(entry).size));
}

struct key entry_key(const struct entry *entry)
{
    const char *name = entry->text + kind_mark((enum key_kind)entry->kind).size;
    return (struct key){(enum key_kind)entry->kind, slice_from(name, entry->name_size),
                        slice_from(name + entry->name_size, entry->prefix_size)};
}

struct slice entry_text(const struct entry *entry)
{
    size_t mark_size = kind_mark((enum key_kind)entry->kind).size;
    return slice_from(entry->text, mark_size + entry->name_size + entry->prefix_size);
}

const struct tenant_host *entry_host(const struct entry *entry)
{
    return entry->prefix_size == 0 ? entry->host : NULL;
}

const struct path_rule *entry_path(const struct entry *entry)
{
    return entry->prefix_size > 0 ? entry->path : NULL;
}

static bool has_key(const struct entry *entry, const struct key *key)
{
    struct key own = entry_key(entry);
    return own.kind == key->kind && slice_equal(own.name, key->name) &&
           slice_equal(own.prefix, key->prefix);
}

static void allocate(struct slots *slots, size_t capacity)
{
    slots->slots = packed_array_new(capacity, sizeof(*slots->slots));
    slots->mask = capacity - 1;
}

void slots_init(struct slots *slots)
{
    allocate(slots, INITIAL_CAPACITY);
    memset(slots->slots, 0, INITIAL_CAPACITY * sizeof(*slots->slots));
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

const struct entry *slots_find(const struct slots *slots, const struct key *key, uint64_t hash)
{
    for (size_t i = hash & slots->mask;; i = (i + 1) & slots->mask) {
        const struct slot *slot = &slots->slots[i];
        if (slot->entry == NULL)
            return NULL;
        if (slot->hash == hash && has_key(slot->entry, key))
            return slot->entry;
    }
}

void slots_prefetch(const struct slots *slots, uint64_t hash)
{
    __builtin_prefetch(&slots->slots[hash & slots->mask]);
}

const struct entry *slots_find_likely(const struct slots *slots, uint64_t hash)
{
    for (size_t i = hash & slots->mask;; i = (i + 1) & slots->mask) {
        const struct slot *slot = &slots->slots[i];
        if (slot->entry == NULL || slot->hash == hash)
            return slot->entry;
    }
}

/* The slot with the entry's key, or the free one where it belongs. */
static struct slot *place_of(struct slots *slots, const struct key *key, uint64_t hash)
{
    for (size_t i = hash & slots->mask;; i = (i + 1) & slots->mask) {
        struct slot *slot = &slots->slots[i];
        if (slot->entry == NULL || (slot->hash == hash && has_key(slot->entry, key)))
            return slot;
    }
}

static void grow(struct slots *slots)
{
    struct slots old = *slots;
    size_t capacity = (old.mask + 1) * 2;
    allocate(slots, capacity);
    memset(slots->slots, 0, capacity * sizeof(*slots->slots));
    for (size_t i = 0; i <= old.mask; i++) {
        if (old.slots[i].entry == NULL)
            continue;
        size_t at = old.slots[i].hash & slots->mask;
        while (slots->slots[at].entry != NULL)
            at = (at + 1) & slots->mask;
        slots->slots[at] = old.slots[i];
    }
    slots_fini(&old);
}

/* At most four fifths full: a smaller table is copied sooner, and slots that are probed one after
 * the other share cache lines. */
void slots_put(struct slots *slots, const struct entry *entry)
{
    struct key key = entry_key(entry);
    uint64_t hash = key_hash(&key);
    struct slot *slot = place_of(slots, &key, hash);
    if (slot->entry == NULL) {
        size_t capacity = slots->mask + 1;
        if (slots->count + 1 > capacity - capacity / 5) {
            grow(slots);
            slot = place_of(slots, &key, hash);
        }
        slots->count++;
    }
    *slot = (struct slot){hash, entry};
}

void slots_remove(struct slots *slots, const struct entry *entry)
{
    struct key key = entry_key(entry);
    struct slot *slot = place_of(slots, &key, key_hash(&key));
    assert(slot->entry == entry);
    size_t hole = (size_t)(slot - slots->slots);
    /* Shift back every follower that the hole would cut off from where its probing starts. */
    for (size_t i = (hole + 1) & slots->mask; slots->slots[i].entry != NULL;
         i = (i + 1) & slots->mask) {
        size_t home = slots->slots[i].hash & slots->mask;
        if (((i - home) & slots->mask) >= ((i - hole) & slots->mask)) {
            slots->slots[hole] = slots->slots[i];
            hole = i;
        }
    }
    slots->slots[hole] = (struct slot){0};
    slots->count--;
}
