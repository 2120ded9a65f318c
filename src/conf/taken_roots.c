/* Hosts whose root more than one tenant takes over: see taken_roots.h. */
#include "taken_roots.h"

#include "core/memory.h"

#include <stdlib.h>

struct taken_root {
    const struct tenant *tenant;
    const struct path_rule *rule;
};

struct taken_roots {
    struct taken_root *items;
    size_t count;
};

static void collect(void *context, const struct tenant *tenant)
{
    struct taken_roots *roots = context;
    for (size_t i = 0; tenant->takes_over && i < tenant->path_count; i++) {
        if (tenant->paths[i].mode != PATH_TAKEOVER)
            continue;
        roots->items = memory_resize(roots->items, roots->count + 1, sizeof(*roots->items));
        roots->items[roots->count++] = (struct taken_root){tenant, &tenant->paths[i]};
    }
}

static int compare_hosts(const struct path_rule *a, const struct path_rule *b)
{
    return a->wildcard != b->wildcard ? a->wildcard - b->wildcard : strcmp(a->host, b->host);
}

static int compare(const void *a, const void *b)
{
    const struct taken_root *left = a, *right = b;
    int order = compare_hosts(left->rule, right->rule);
    if (order == 0)
        order = strcmp(left->rule->place.file, right->rule->place.file);
    if (order == 0)
        order = left->rule->place.line < right->rule->place.line ? -1 : 1;
    return order;
}

void taken_roots_check(const struct route_table *table, struct diagnostics *diagnostics)
{
    struct taken_roots roots = {0};
    if (route_table_takeover_count(table) > 1)
        route_table_each_tenant(table, collect, &roots);
    if (roots.count > 1)
        qsort(roots.items, roots.count, sizeof(*roots.items), compare);
    for (size_t i = 1; i < roots.count; i++) {
        const struct taken_root *root = &roots.items[i], *before = &roots.items[i - 1];
        if (root->tenant == before->tenant || compare_hosts(root->rule, before->rule) != 0)
            continue;
        diagnostics_add_code(
            diagnostics, CODE_SHARED_ORIGIN, &root->rule->place,
            "a browser has one of them at a time, and what a page leaves behind is "
            "cleared in between: give each a host of its own to have both",
            "tenant \"%s\": path \"%s%s%s\" takes over the root of a host that "
            "tenant \"%s\" takes over too",
            root->tenant->name, root->rule->wildcard ? "*." : "", root->rule->host,
            root->rule->prefix, before->tenant->name);
    }
    free(roots.items);
}
