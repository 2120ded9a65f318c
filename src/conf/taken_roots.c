/* Hosts whose root is taken over and is another's, too: see taken_roots.h. */
#include "taken_roots.h"

#include "core/memory.h"
#include "route/owui_path.h"

#include <stdlib.h>

struct taken_root {
    const struct tenant *tenant;
    const struct path_rule *rule;
};

struct taken_roots {
    struct taken_root *items;
    size_t count;
};

/* Of the rules that "root-share" stands for, one is enough. */
static bool is_of_root(const struct path_rule *rule)
{
    return rule->mode == PATH_TAKEOVER ||
           (rule->mode == PATH_ROOT_SHARE &&
            slice_equal(slice_of(rule->prefix), owui_path_shared(0)));
}

static void collect(void *context, const struct tenant *tenant)
{
    struct taken_roots *roots = context;
    for (size_t i = 0; i < tenant->path_count; i++) {
        if (!is_of_root(&tenant->paths[i]))
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

static void warn_of_two(struct diagnostics *diagnostics, const struct taken_root *root,
                        const struct taken_root *before)
{
    diagnostics_add_code(diagnostics, CODE_SHARED_ORIGIN, &root->rule->place,
                         "a browser has one of them at a time, and what a page leaves behind is "
                         "cleared in between: give each a host of its own to have both",
                         "tenant \"%s\": path \"%s%s%s\" takes over the root of a host that "
                         "tenant \"%s\" takes over too",
                         root->tenant->name, root->rule->wildcard ? "*." : "", root->rule->host,
                         root->rule->prefix, before->tenant->name);
}

static void warn_of_share(struct diagnostics *diagnostics, const struct taken_root *root,
                          const struct taken_root *share)
{
    diagnostics_add_code(diagnostics, CODE_TAKEOVER_SHARED, &root->rule->place,
                         "give one of them a host of its own",
                         "tenant \"%s\": path \"%s%s%s\" takes over the root of a host whose "
                         "/api and other paths of Open WebUI are tenant \"%s\"'s by "
                         "\"root-share\", cookie or not",
                         root->tenant->name, root->rule->wildcard ? "*." : "", root->rule->host,
                         root->rule->prefix, share->tenant->name);
}

/* Those of one host. */
static void check_host(struct diagnostics *diagnostics, const struct taken_root *roots,
                       size_t count)
{
    const struct taken_root *before = NULL, *share = NULL;
    for (size_t i = 0; i < count && share == NULL; i++)
        if (roots[i].rule->mode == PATH_ROOT_SHARE)
            share = &roots[i];
    for (size_t i = 0; i < count; i++) {
        if (roots[i].rule->mode != PATH_TAKEOVER)
            continue;
        if (before != NULL && before->tenant != roots[i].tenant)
            warn_of_two(diagnostics, &roots[i], before);
        if (share != NULL)
            warn_of_share(diagnostics, &roots[i], share);
        before = &roots[i];
    }
}

void taken_roots_check(const struct route_table *table, struct diagnostics *diagnostics)
{
    struct taken_roots roots = {0};
    size_t end;
    if (route_table_takeover_count(table) > 0)
        route_table_each_tenant(table, collect, &roots);
    if (roots.count > 1)
        qsort(roots.items, roots.count, sizeof(*roots.items), compare);
    for (size_t first = 0; first < roots.count; first = end) {
        for (end = first + 1; end < roots.count; end++)
            if (compare_hosts(roots.items[first].rule, roots.items[end].rule) != 0)
                break;
        check_host(diagnostics, &roots.items[first], end - first);
    }
    free(roots.items);
}
