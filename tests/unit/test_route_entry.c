/* route/entry: buckets that overflow, and gaps that close. */
#include "core/memory.h"
#include "entry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 200, STEPS = 20000 };

static struct route_entry *entries[KEYS];
static bool is_in[KEYS];
static struct slots slots;

static struct key key_at(unsigned i)
{
    return entry_key(entries[i]);
}

static void open_up(void)
{
    for (unsigned i = 0; i < KEYS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "t%u.example.test", i / 2);
        const struct key key = {.kind = i % 2 == 0 ? KEY_HOST : KEY_WILDCARD,
                                .name = slice_of(name)};
        entries[i] = entry_new(&key);
        is_in[i] = false;
    }
    slots_init(&slots);
}

static void close_down(void)
{
    slots_fini(&slots);
    for (unsigned i = 0; i < KEYS; i++)
        entry_free(entries[i]);
}

static bool finds(unsigned i)
{
    const struct key key = key_at(i);
    uint64_t hash = key_hash(&key);
    const struct route_entry *found = slots_find(&slots, &key, hash);
    return found == (is_in[i] ? entries[i] : NULL) &&
           slots_find_likely(&slots, hash) == found; /* no two of these hashes are equal */
}

static void toggle(unsigned i)
{
    const struct key key = key_at(i);
    if (is_in[i])
        slots_remove(&slots, &key);
    else
        slots_put(&slots, &key, entries[i]);
    is_in[i] = !is_in[i];
}

/* As many keys as a table of 64 or 256 slots takes come and go in no order: each is found as long
 * as it is there. */
static void come_and_go(unsigned keys, unsigned steps)
{
    unsigned count = 0;
    uint32_t random = 2463534242;
    for (unsigned step = 0; step < steps; step++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        unsigned i = random % keys;
        toggle(i);
        count += is_in[i] ? 1 : (unsigned)-1;
        cr_assert(eq(sz, slots.count, count));
        for (unsigned j = 0; j < keys; j++)
            cr_assert(finds(j), "step %u: key %u", step, j);
    }
}

Test(route_entry, a_few_keys_come_and_go, .init = open_up, .fini = close_down)
{
    come_and_go(12, STEPS);
}

Test(route_entry, many_keys_come_and_go, .init = open_up, .fini = close_down)
{
    come_and_go(KEYS, STEPS / 10);
}

Test(route_entry, a_copy_is_as_good, .init = open_up, .fini = close_down)
{
    for (unsigned i = 0; i < KEYS; i++)
        toggle(i);
    struct slots original = slots;
    slots_copy(&original, &slots);
    slots_fini(&original);
    for (unsigned i = 0; i < KEYS; i++)
        cr_expect(finds(i));
    for (unsigned i = 0; i < KEYS; i++)
        toggle(i);
    cr_expect(zero(sz, slots.count));
}

Test(route_entry, another_entry_takes_the_place_of_its_key, .init = open_up, .fini = close_down)
{
    const struct key key = key_at(3);
    struct route_entry *other = entry_new(&key);
    slots_put(&slots, &key, entries[3]);
    slots_put(&slots, &key, other);
    cr_expect(eq(sz, slots.count, 1));
    cr_expect(eq(ptr, (void *)(uintptr_t)slots_find(&slots, &key, key_hash(&key)), other));
    entry_free(other);
}

Test(route_entry, buckets_are_cache_lines, .init = open_up, .fini = close_down)
{
    for (unsigned i = 0; i < KEYS; i++) {
        toggle(i);
        cr_assert(zero(sz, (uintptr_t)slots.slots % CACHE_LINE_BYTES));
    }
}
