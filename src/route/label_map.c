/* Labels with upstreams, from a file: see route/label_map.h.
 *
 * A sorted array and one block of texts: a million labels are 36 MB and their names, and finding
 * one takes twenty comparisons, once per label and snapshot (agent/instance.h).
 */
#include "route/label_map.h"

#include "core/memory.h"

#include <stdlib.h>

struct label_map *label_map_new(const char *path)
{
    struct label_map *map = memory_new(sizeof(*map));
    map->references = 1;
    map->path = path;
    map->unknown_status = 404;
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
    free(map->rows);
    free(map->texts);
    free(map);
}

const char *label_map_text(const struct label_map *map, uint32_t offset)
{
    assert(offset < map->texts_size);
    return map->texts + offset;
}

static uint32_t add_text(struct label_map *map, struct slice text)
{
    size_t offset = map->texts_size;
    if (map->texts_capacity - map->texts_size <= text.size) {
        map->texts_capacity = (map->texts_capacity + text.size + 1) * 2;
        map->texts = memory_resize(map->texts, map->texts_capacity, 1);
    }
    if (text.size > 0)
        memcpy(map->texts + offset, text.data, text.size);
    map->texts[offset + text.size] = '\0';
    map->texts_size += text.size + 1;
    assert(map->texts_size <= UINT32_MAX);
    return (uint32_t)offset;
}

void label_map_add(struct label_map *map, struct slice label, struct slice host,
                   const struct label_row *row)
{
    if (map->count == map->capacity) {
        map->capacity = map->capacity > 0 ? map->capacity * 2 : 64;
        map->rows = memory_resize(map->rows, map->capacity, sizeof(*map->rows));
    }
    struct label_row *added = &map->rows[map->count++];
    *added = *row;
    added->label = add_text(map, label);
    added->host = add_text(map, host);
}

static int compare_rows(const void *a, const void *b, void *context)
{
    const struct label_map *map = context;
    const struct label_row *left = a;
    const struct label_row *right = b;
    int order = strcmp(map->texts + left->label, map->texts + right->label);
    if (order != 0)
        return order;
    return left->line < right->line ? -1 : left->line > right->line;
}

void label_map_finish(struct label_map *map, label_map_twice_fn *on_twice, void *context)
{
    size_t kept = 0;
    if (map->count > 1)
        qsort_r(map->rows, map->count, sizeof(*map->rows), compare_rows, map);
    for (size_t i = 0; i < map->count; i++) {
        const struct label_row *row = &map->rows[i];
        const struct label_row *last = kept > 0 ? &map->rows[kept - 1] : NULL;
        if (last != NULL && strcmp(map->texts + last->label, map->texts + row->label) == 0) {
            on_twice(context, last, row);
            continue;
        }
        map->wrong_count += row->port == 0;
        map->has_https |= row->port != 0 && row->scheme != 0;
        map->rows[kept++] = *row;
    }
    map->count = kept;
}

static int compare_label(const char *text, struct slice label)
{
    int order = strncmp(text, label.data, label.size);
    return order != 0 ? order : text[label.size] != '\0';
}

const struct label_row *label_map_find(const struct label_map *map, struct slice label)
{
    size_t low = 0;
    size_t high = label.size > 0 ? map->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_label(map->texts + map->rows[middle].label, label);
        if (order == 0)
            return &map->rows[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
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
        map->has_https |= row->scheme != 0;
        map->wrong_count--;
        kept++;
    }
    return kept;
}
