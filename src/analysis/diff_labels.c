/* Lines of lists that are not the same: see diff_labels.h. */
#include "diff_labels.h"

#include "core/memory.h"
#include "route/label_map.h"
#include "verdict.h"

#include <stdlib.h>

/* Tenants of both that have a list now. */
struct pair {
    const struct tenant *before;
    const struct tenant *after;
};

struct pairs {
    const struct whole *before;
    struct pair *items;
    size_t count;
};

static void add_pair(void *context, const struct tenant *tenant)
{
    struct pairs *pairs = context;
    const struct tenant *before = route_table_tenant(pairs->before->table, slice_of(tenant->name));
    if (tenant->labels == NULL || tenant->instance_of != NULL || before == NULL ||
        before->labels == NULL || before->content_hash == tenant->content_hash)
        return;
    pairs->items = memory_resize(pairs->items, pairs->count + 1, sizeof(*pairs->items));
    pairs->items[pairs->count++] = (struct pair){before, tenant};
}

static bool same_row(const struct label_map *a, const struct label_row *row,
                     const struct label_map *b, const struct label_row *other)
{
    return other != NULL && row->port == other->port && row->scheme == other->scheme &&
           strcmp(label_map_text(a, row->host), label_map_text(b, other->host)) == 0;
}

static void put_instance(struct whole *whole, const struct tenant *parent, const char *label)
{
    struct tenant *instance = verdict_instance(parent, slice_of(label));
    if (instance != NULL)
        route_registry_put(whole->registry, instance, NULL, NULL);
}

struct asking {
    struct whole *before;
    struct whole *after;
    struct probes *probes;
    size_t asked; /* of this pair */
    size_t left_out;
};

static void ask(struct asking *asking, const struct pair *pair, const char *label)
{
    if (asking->asked == DIFF_LABELS_MAX) {
        asking->left_out++;
        return;
    }
    asking->asked++;
    put_instance(asking->before, pair->before, label);
    put_instance(asking->after, pair->after, label);
    probes_add_label(asking->probes, pair->after, label);
}

static void compare(struct asking *asking, const struct pair *pair)
{
    const struct label_map *before = pair->before->labels;
    const struct label_map *after = pair->after->labels;
    asking->asked = 0;
    for (size_t i = 0; i < after->count; i++) {
        const struct label_row *row = &after->rows[i];
        const char *label = label_map_text(after, row->label);
        if (!same_row(after, row, before, label_map_find(before, slice_of(label))))
            ask(asking, pair, label);
    }
    for (size_t i = 0; i < before->count; i++) {
        const char *label = label_map_text(before, before->rows[i].label);
        if (label_map_find(after, slice_of(label)) == NULL)
            ask(asking, pair, label);
    }
}

static void rebuild(struct whole *whole, uint64_t generation)
{
    struct route_table *without = whole->table;
    whole->table = route_registry_build(whole->registry, generation);
    route_table_free(without);
}

size_t diff_labels_add(struct whole *before, struct whole *after, struct probes *probes)
{
    enum { GENERATION = 3 }; /* the table as it was loaded was of an earlier one */
    struct pairs pairs = {.before = before};
    struct asking asking = {before, after, probes, 0, 0};
    route_table_each_tenant(after->table, add_pair, &pairs);
    for (size_t i = 0; i < pairs.count; i++)
        compare(&asking, &pairs.items[i]);
    if (pairs.count > 0) {
        rebuild(before, GENERATION);
        rebuild(after, GENERATION);
    }
    free(pairs.items);
    return asking.left_out;
}
