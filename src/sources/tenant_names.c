/* A set of tenants' names: see tenant_names.h. */
#include "tenant_names.h"

#include "core/memory.h"

#include <stdlib.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct tenant_text *)a)->name, ((const struct tenant_text *)b)->name);
}

struct tenant_text *tenant_names_find(const struct tenant_names *names, const char *name)
{
    assert(name != NULL);
    const struct tenant_text key = {.name = (char *)(uintptr_t)name};
    if (names->count == 0)
        return NULL;
    return bsearch(&key, names->items, names->count, sizeof(key), compare_names);
}

static void sort_names(struct tenant_names *names)
{
    if (names->count > 1)
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
}

void tenant_names_fini(struct tenant_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].name);
    free(names->items);
    *names = (struct tenant_names){0};
}

void tenant_names_add(struct tenant_names *names, const char *name)
{
    names->items = memory_resize(names->items, names->count + 1, sizeof(*names->items));
    names->items[names->count++] = (struct tenant_text){.name = memory_copy_text(slice_of(name))};
}

struct tenant_names tenant_names_of(struct tenant_file *file)
{
    struct tenant_names names = {file->texts, file->text_count};
    file->texts = NULL;
    file->text_count = 0;
    sort_names(&names);
    return names;
}
