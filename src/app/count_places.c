/* Places in the loops' counters: see count_places.h. */
#include "count_places.h"

#include "conf/configuration.h"
#include "core/memory.h"
#include "net/loop.h"

#include <search.h>
#include <stdlib.h>

static_assert((int)METRICS_TENANTS_MAX <= (int)COUNT_PLACES_MAX, "a place does not fit");
static_assert(COUNT_PLACES_MAX <= UINT16_MAX, "a place does not fit into a tenant");

struct owner {
    char *name; /* NULL: the place is free */
    unsigned place;
    int64_t gone_ms;             /* when it was first seen to be gone; 0: it is not */
    struct decision_tally *base; /* of those who had the place before; NULL: nobody */
};

struct count_places {
    void *tree;           /* owners by name */
    struct owner *owners; /* by place; the first one is that of all others, and unused */
    unsigned count;
    unsigned used; /* places that were ever taken */
    unsigned free; /* of these: how many nobody has now */
    const struct decision_counts *counts[LOOPS_MAX];
    unsigned loop_count;
};

static int compare_owners(const void *a, const void *b)
{
    return strcmp(((const struct owner *)a)->name, ((const struct owner *)b)->name);
}

struct count_places *count_places_new(unsigned count)
{
    struct count_places *places = memory_new(sizeof(*places));
    places->owners = memory_new((count + 1) * sizeof(*places->owners));
    places->count = count;
    return places;
}

static void leave_in_place(void *owner)
{
    (void)owner;
}

void count_places_free(struct count_places *places)
{
    if (places == NULL)
        return;
    tdestroy(places->tree, leave_in_place);
    for (unsigned i = 1; i <= places->used; i++) {
        free(places->owners[i].name);
        free(places->owners[i].base);
    }
    free(places->owners);
    free(places);
}

unsigned count_places_max(const struct count_places *places)
{
    return places->count;
}

void count_places_watch(struct count_places *places, const struct decision_counts *counts)
{
    assert(places->loop_count < LOOPS_MAX);
    places->counts[places->loop_count++] = counts;
}

/* NULL when all are taken. */
static struct owner *find_free(struct count_places *places)
{
    if (places->free > 0) {
        for (unsigned i = 1; i <= places->used; i++) {
            if (places->owners[i].name != NULL)
                continue;
            places->free--;
            return &places->owners[i];
        }
    }
    if (places->used == places->count)
        return NULL;
    struct owner *owner = &places->owners[++places->used];
    owner->place = places->used;
    return owner;
}

uint16_t count_places_take(struct count_places *places, const char *name)
{
    struct owner wanted = {.name = (char *)(uintptr_t)name}; /* compared, not written */
    struct owner *const *found = tfind(&wanted, &places->tree, compare_owners);
    if (found != NULL)
        return (uint16_t)(*found)->place;
    struct owner *owner = find_free(places);
    if (owner == NULL)
        return COUNT_PLACE_OTHER;
    owner->name = memory_copy_text(slice_of(name));
    owner->gone_ms = 0;
    if (tsearch(owner, &places->tree, compare_owners) == NULL)
        abort(); /* as all that is built here: see core/memory.h */
    return (uint16_t)owner->place;
}

static void add_loops(const struct count_places *places, unsigned place,
                      struct decision_tally *tally)
{
    for (unsigned i = 0; i < places->loop_count; i++)
        decision_counts_tell_place(places->counts[i], place, tally);
}

static void release(struct count_places *places, struct owner *owner)
{
    if (owner->base == NULL)
        owner->base = memory_new(sizeof(*owner->base));
    *owner->base = (struct decision_tally){0};
    add_loops(places, owner->place, owner->base);
    tdelete(owner, &places->tree, compare_owners);
    free(owner->name);
    owner->name = NULL;
    places->free++;
}

void count_places_tidy(struct count_places *places, const struct route_registry *registry,
                       int64_t now_ms)
{
    for (unsigned i = 1; i <= places->used; i++) {
        struct owner *owner = &places->owners[i];
        if (owner->name == NULL)
            continue;
        if (route_registry_find(registry, slice_of(owner->name)) != NULL)
            owner->gone_ms = 0;
        else if (owner->gone_ms == 0)
            owner->gone_ms = now_ms;
        else if (now_ms - owner->gone_ms >= COUNT_PLACE_KEPT_MS)
            release(places, owner);
    }
}

void count_places_tell(const struct count_places *places, unsigned place,
                       struct decision_tally *tally)
{
    const struct decision_tally *base = places->owners[place].base;
    *tally = (struct decision_tally){0};
    add_loops(places, place, tally);
    if (base == NULL)
        return;
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        tally->outcomes[i] -= base->outcomes[i];
    for (unsigned i = 0; i < DECISION_TIME_BUCKETS; i++)
        tally->times[i] -= base->times[i];
}

struct visit {
    void (*visit)(void *context, const char *name, unsigned place);
    void *context;
};

static void visit_node(const void *node, VISIT order, void *closure)
{
    const struct visit *visit = closure;
    const struct owner *owner = *(const struct owner *const *)node;
    if (order == postorder || order == leaf)
        visit->visit(visit->context, owner->name, owner->place);
}

void count_places_each(const struct count_places *places,
                       void (*visit)(void *context, const char *name, unsigned place),
                       void *context)
{
    struct visit closure = {visit, context};
    twalk_r(places->tree, visit_node, &closure);
}
