/* A hash table with chains, in two arrays: see parked.h. */
#include "parked.h"

#include "core/hash.h"
#include "core/memory.h"
#include "route/tenant.h"

#include <stdlib.h>

struct parked_place {
    struct tenant *tenant;
    size_t next; /* in the chain, plus one; 0: none */
};

static size_t *head_of(const struct parked *parked, const char *name)
{
    return &parked->heads[hash_content(slice_of(name), 0) & (parked->capacity - 1)];
}

/* What leads to the name's place, or where the chain ends without it. */
static size_t *link_to(const struct parked *parked, const char *name)
{
    size_t *link = head_of(parked, name);
    while (*link != 0 && strcmp(parked->places[*link - 1].tenant->name, name) != 0)
        link = &parked->places[*link - 1].next;
    return link;
}

void parked_free(struct parked *parked)
{
    for (size_t i = 0; i < parked->count; i++)
        tenant_free(parked->places[i].tenant);
    free(parked->places);
    free(parked->heads);
    *parked = (struct parked){0};
}

static void add_to_chain(struct parked *parked, size_t index)
{
    size_t *head = head_of(parked, parked->places[index].tenant->name);
    parked->places[index].next = *head;
    *head = index + 1;
}

static void grow(struct parked *parked)
{
    parked->capacity = parked->capacity > 0 ? parked->capacity * 2 : 16;
    parked->places = memory_resize(parked->places, parked->capacity, sizeof(*parked->places));
    free(parked->heads);
    parked->heads = memory_new(parked->capacity * sizeof(*parked->heads));
    for (size_t i = 0; i < parked->count; i++)
        add_to_chain(parked, i);
}

void parked_put(struct parked *parked, struct tenant *tenant)
{
    if (parked->count == parked->capacity)
        grow(parked);
    parked->places[parked->count].tenant = tenant;
    add_to_chain(parked, parked->count++);
}

struct tenant *parked_take(struct parked *parked, const char *name)
{
    size_t *link = parked->count > 0 ? link_to(parked, name) : NULL;
    if (link == NULL || *link == 0)
        return NULL;
    size_t index = *link - 1, last = parked->count - 1;
    struct tenant *tenant = parked->places[index].tenant;
    *link = parked->places[index].next;
    if (index != last) {
        *link_to(parked, parked->places[last].tenant->name) = index + 1;
        parked->places[index] = parked->places[last];
    }
    parked->count--;
    return tenant;
}

const struct tenant *parked_find(const struct parked *parked, const char *name)
{
    const size_t *link = parked->count > 0 ? link_to(parked, name) : NULL;
    return link != NULL && *link != 0 ? parked->places[*link - 1].tenant : NULL;
}

bool parked_has(const struct parked *parked, const char *name)
{
    return parked_find(parked, name) != NULL;
}

struct tenant *parked_at(const struct parked *parked, size_t index)
{
    return parked->places[index].tenant;
}
