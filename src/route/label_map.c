/* Labels with upstreams, from a file: see route/label_map.h.
 *
 * Rows in the order of the file, a hash of their numbers, and one block of texts that is as large
 * as the file: so a list of 100,000 is read in a few dozen milliseconds, because nothing is
 * allocated for a row and nothing sorted, and a label is found by looking at two or three places.
 */
#include "route/label_map.h"

#include "core/hash.h"
#include "core/memory.h"

#include <stdlib.h>

enum { SLOTS_MIN = 16 };

struct label_map *label_map_new(const char *path, size_t rows, size_t file_bytes)
{
    size_t slots = SLOTS_MIN;
    while (slots < rows + rows / 3)
        slots *= 2;
    assert(slots <= UINT32_MAX);
    struct label_map *map = memory_new(sizeof(*map));
    map->references = 1;
    map->path = path;
    map->unknown_status = 404;
    map->texts_capacity = file_bytes + 1;
    map->texts = memory_new_pages(map->texts_capacity);
    map->capacity = rows + 1;
    map->rows = memory_new_pages(map->capacity * sizeof(*map->rows));
    map->slots = memory_new_pages(slots * sizeof(*map->slots));
    map->slot_mask = (uint32_t)slots - 1;
    return map;
}

struct label_map *label_map_ref(struct label_map *map)
{
    if (map != NULL)
        map->references++;
    return map;
}

void label_map_unref(struct label_map *map)
{
    if (map == NULL || --map->references > 0)
        return;
    template_fini(&map->unknown_to);
    memory_free_pages(map->rows, map->capacity * sizeof(*map->rows));
    memory_free_pages(map->slots, ((size_t)map->slot_mask + 1) * sizeof(*map->slots));
    memory_free_pages(map->texts, map->texts_capacity);
    free(map);
}

const char *label_map_text(const struct label_map *map, uint32_t offset)
{
    assert(offset < map->texts_size);
    return map->texts + offset;
}

/* International labels are longer in their ASCII form, and what is kept of another list comes on
 * top of this one. */
static void grow_texts(struct label_map *map, size_t needed)
{
    size_t capacity = (map->texts_capacity + needed) * 2;
    char *texts = memory_new_pages(capacity);
    memcpy(texts, map->texts, map->texts_size);
    memory_free_pages(map->texts, map->texts_capacity);
    map->texts = texts;
    map->texts_capacity = capacity;
}

static uint32_t add_text(struct label_map *map, struct slice text)
{
    size_t offset = map->texts_size;
    if (map->texts_capacity - map->texts_size <= text.size)
        grow_texts(map, text.size + 1);
    if (text.size > 0)
        memcpy(map->texts + offset, text.data, text.size);
    map->texts[offset + text.size] = '\0';
    map->texts_size += text.size + 1;
    assert(map->texts_size <= UINT32_MAX);
    return (uint32_t)offset;
}

/* -- The hash ---------------------------------------------------------------------------------- */

static bool has_label(const struct label_map *map, const struct label_row *row, struct slice label)
{
    const char *text = map->texts + row->label;
    return strncmp(text, label.data, label.size) == 0 && text[label.size] == '\0';
}

/* What is in a slot: the row's number from 1 on, and bits of the hash that say nothing of the
 * slot's place. */
static uint32_t slot_tag(const struct label_map *map, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & ~map->slot_mask;
}

/* The label's slot, or the free one where it belongs. There is always a free one. */
static uint32_t *find_slot(const struct label_map *map, struct slice label, uint64_t hash)
{
    const uint32_t mask = map->slot_mask;
    const uint32_t tag = slot_tag(map, hash);
    size_t i = hash & mask;
    while (map->slots[i] != 0 && ((map->slots[i] & ~mask) != tag ||
                                  !has_label(map, &map->rows[(map->slots[i] & mask) - 1], label)))
        i = (i + 1) & mask;
    return &map->slots[i];
}

/* -- Rows -------------------------------------------------------------------------------------- */

static void note_https(struct label_map *map, const struct label_row *row)
{
    if (row->port == 0 || row->scheme == 0)
        return;
    map->has_https = true;
    size_t size = strlen(map->texts + row->host);
    if (row->address.family == IP_NONE && size > map->https_name_size)
        map->https_name_size = (uint8_t)size_min(size, HOST_MAX_BYTES);
}

const struct label_row *label_map_add(struct label_map *map, struct slice label, struct slice host,
                                      const struct label_row *row)
{
    uint64_t hash = hash_bytes(label);
    uint32_t *slot = find_slot(map, label, hash);
    if (*slot != 0)
        return &map->rows[(*slot & map->slot_mask) - 1];
    assert(map->count < map->capacity);
    struct label_row *added = &map->rows[map->count++];
    *added = *row;
    added->label = add_text(map, label);
    added->host = add_text(map, host);
    map->wrong_count += row->port == 0;
    note_https(map, added);
    *slot = slot_tag(map, hash) | (uint32_t)map->count;
    return NULL;
}

const struct label_row *label_map_find(const struct label_map *map, struct slice label)
{
    uint32_t slot = label.size > 0 ? *find_slot(map, label, hash_bytes(label)) : 0;
    return slot != 0 ? &map->rows[(slot & map->slot_mask) - 1] : NULL;
}

size_t label_map_keep(struct label_map *map, const struct label_map *earlier)
{
    size_t kept = 0;
    for (size_t i = 0; map->wrong_count > 0 && i < map->count; i++) {
        struct label_row *row = &map->rows[i];
        if (row->port != 0)
            continue;
        const struct label_row *before = label_map_find(earlier, slice_of(map->texts + row->label));
        if (before == NULL || before->port == 0)
            continue;
        uint32_t label = row->label;
        uint32_t line = row->line;
        *row = *before;
        row->label = label;
        row->line = line;
        row->host = add_text(map, slice_of(label_map_text(earlier, before->host)));
        note_https(map, row);
        map->wrong_count--;
        kept++;
    }
    return kept;
}
