/* Places in the loops' counters: see count_places.h. */
#include "serving/count_places.h"

#include "conf/configuration.h"
#include "core/memory.h"
#include "core/sorted.h"
#include "net/loop.h"

#include <stdlib.h>

static_assert((int)METRICS_TENANTS_MAX <= (int)COUNT_PLACES_MAX, "a place does not fit");
static_assert(COUNT_PLACES_MAX <= UINT16_MAX, "a place does not fit into a tenant");

struct owner {
    char *name;                  /* NULL: the place is free */
    int64_t gone_ms;             /* when it was first seen to be gone; 0: it is not */
    struct decision_tally *base; /* of those who had the place before; NULL: nobody */
};

struct count_places {
    struct owner *owners; /* by place; the first one is that of all others, and unused */
    uint16_t *by_name;    /* places that somebody has, in the order of their owners' names */
    unsigned count;
    unsigned used; /* places that were ever taken */
    unsigned free; /* of these: how many nobody has now */
    const struct decision_counts *counts[LOOPS_MAX];
    unsigned loop_count;
};

struct count_places *count_places_new(unsigned count)
{
    struct count_places *places = memory_new(sizeof(*places));
    places->owners = memory_new((count + 1) * sizeof(*places->owners));
    places->by_name = memory_new((count + 1) * sizeof(*places->by_name));
    places->count = count;
    return places;
}

void count_places_free(struct count_places *places)
{
    if (places == NULL)
        return;
    for (unsigned i = 1; i <= places->used; i++) {
        free(places->owners[i].name);
        free(places->owners[i].base);
    }
    free(places->owners);
    free(places->by_name);
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

static unsigned owner_count(const struct count_places *places)
{
    return places->used - places->free;
}

static const char *name_at(const void *counted, size_t rank)
{
    const struct count_places *places = counted;
    return places->owners[places->by_name[rank]].name;
}

/* Where in the order of names this one is, or belongs. */
static size_t rank_of(const struct count_places *places, const char *name, bool *is_there)
{
    return sorted_place(places, owner_count(places), name_at, name, is_there);
}

/* COUNT_PLACE_OTHER when all are taken. */
static unsigned find_free(const struct count_places *places)
{
    if (places->free == 0)
        return places->used < places->count ? places->used + 1 : COUNT_PLACE_OTHER;
    unsigned place = 1;
    while (places->owners[place].name != NULL)
        place++;
    return place;
}

static void move_ranks(struct count_places *places, size_t from, size_t to)
{
    memmove(places->by_name + to, places->by_name + from,
            (owner_count(places) - from) * sizeof(*places->by_name));
}

uint16_t count_places_take(struct count_places *places, const char *name)
{
    bool is_there;
    size_t rank = rank_of(places, name, &is_there);
    if (is_there)
        return places->by_name[rank];
    unsigned place = find_free(places);
    if (place == COUNT_PLACE_OTHER)
        return COUNT_PLACE_OTHER;
    move_ranks(places, rank, rank + 1);
    places->by_name[rank] = (uint16_t)place;
    places->owners[place].name = memory_copy_text(slice_of(name));
    places->owners[place].gone_ms = 0;
    if (place > places->used)
        places->used = place;
    else
        places->free--;
    return (uint16_t)place;
}

static void add_loops(const struct count_places *places, unsigned place,
                      struct decision_tally *tally)
{
    for (unsigned i = 0; i < places->loop_count; i++)
        decision_counts_tell_place(places->counts[i], place, tally);
}

static void release(struct count_places *places, unsigned place)
{
    struct owner *owner = &places->owners[place];
    if (owner->base == NULL)
        owner->base = memory_new(sizeof(*owner->base));
    *owner->base = (struct decision_tally){0};
    add_loops(places, place, owner->base);
    size_t rank = rank_of(places, owner->name, NULL);
    move_ranks(places, rank + 1, rank);
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
            release(places, i);
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

void count_places_each(const struct count_places *places,
                       void (*visit)(void *context, const char *name, unsigned place),
                       void *context)
{
    for (unsigned rank = 0; rank < owner_count(places); rank++) {
        unsigned place = places->by_name[rank];
        visit(context, places->owners[place].name, place);
    }
}
