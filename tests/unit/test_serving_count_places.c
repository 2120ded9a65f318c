/* app/count_places: who has which place, and that a place that changes hands begins at zero. */
#include "serving/count_places.h"

#include "core/memory.h"
#include "net/loop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

enum { PLACES = 3, LATER_MS = COUNT_PLACE_KEPT_MS };

struct fixture {
    struct count_places *places;
    struct decision_counts *counts[2];
    struct route_registry *registry;
};

static void setup(struct fixture *fixture)
{
    fixture->places = count_places_new(PLACES);
    fixture->registry = route_registry_new();
    for (size_t i = 0; i < COUNT_OF(fixture->counts); i++) {
        fixture->counts[i] = decision_counts_new(PLACES);
        count_places_watch(fixture->places, fixture->counts[i]);
    }
}

static void teardown(struct fixture *fixture)
{
    count_places_free(fixture->places);
    route_registry_free(fixture->registry);
    for (size_t i = 0; i < COUNT_OF(fixture->counts); i++)
        decision_counts_free(fixture->counts[i]);
}

static unsigned come(struct fixture *fixture, const char *name)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(slice_of(name));
    tenant->brief->count_place = count_places_take(fixture->places, name);
    unsigned place = tenant->brief->count_place;
    route_registry_put(fixture->registry, tenant, NULL, NULL);
    return place;
}

static void go(struct fixture *fixture, const char *name)
{
    cr_assert(route_registry_remove(fixture->registry, slice_of(name)));
}

static void count(struct fixture *fixture, unsigned loop, unsigned place)
{
    struct tenant *tenant = tenant_new();
    struct decision decision = {.outcome = OUTCOME_FORWARD};
    tenant->brief->count_place = (uint16_t)place;
    route_match_lead(&decision.match, tenant);
    decision_counts_add(fixture->counts[loop], &decision);
    decision_counts_time(fixture->counts[loop], &decision, 50);
    tenant_free(tenant);
}

static uint64_t told(const struct fixture *fixture, unsigned place)
{
    struct decision_tally tally;
    count_places_tell(fixture->places, place, &tally);
    cr_expect(eq(u64, tally.outcomes[OUTCOME_FORWARD], tally.times[0]));
    return tally.outcomes[OUTCOME_FORWARD];
}

Test(count_places, who_comes_when_all_are_taken_is_among_others)
{
    struct fixture fixture;
    setup(&fixture);
    cr_expect(eq(uint, come(&fixture, "a"), 1));
    cr_expect(eq(uint, come(&fixture, "b"), 2));
    cr_expect(eq(uint, come(&fixture, "c"), 3));
    cr_expect(eq(uint, come(&fixture, "d"), COUNT_PLACE_OTHER));
    cr_expect(eq(uint, come(&fixture, "b"), 2), "read again, it keeps its place");
    teardown(&fixture);
}

Test(count_places, none_may_be_told_by_name)
{
    struct count_places *none = count_places_new(0);
    cr_expect(eq(uint, count_places_take(none, "a"), COUNT_PLACE_OTHER));
    count_places_free(none);
}

Test(count_places, loops_are_added_up)
{
    struct fixture fixture;
    setup(&fixture);
    unsigned place = come(&fixture, "a");
    count(&fixture, 0, place);
    count(&fixture, 1, place);
    count(&fixture, 1, COUNT_PLACE_OTHER);
    cr_expect(eq(u64, told(&fixture, place), 2));
    cr_expect(eq(u64, told(&fixture, COUNT_PLACE_OTHER), 1));
    teardown(&fixture);
}

Test(count_places, a_place_is_anothers_only_after_a_while)
{
    struct fixture fixture;
    setup(&fixture);
    unsigned place = come(&fixture, "a");
    come(&fixture, "b");
    come(&fixture, "c");
    count(&fixture, 0, place);
    go(&fixture, "a");
    count_places_tidy(fixture.places, fixture.registry, 1);
    count_places_tidy(fixture.places, fixture.registry, LATER_MS);
    cr_expect(eq(uint, come(&fixture, "d"), COUNT_PLACE_OTHER));
    cr_expect(eq(u64, told(&fixture, place), 1), "what was counted is told meanwhile");

    count_places_tidy(fixture.places, fixture.registry, 1 + LATER_MS);
    cr_expect(eq(uint, come(&fixture, "e"), place));
    cr_expect(eq(u64, told(&fixture, place), 0), "it begins at zero");
    count(&fixture, 1, place);
    cr_expect(eq(u64, told(&fixture, place), 1));
    cr_expect(eq(uint, come(&fixture, "d"), COUNT_PLACE_OTHER), "none is free");

    /* The next one is kept as long as the first, and the one behind it begins at zero as well. */
    go(&fixture, "e");
    count_places_tidy(fixture.places, fixture.registry, 2 + LATER_MS);
    cr_expect(eq(u64, told(&fixture, place), 1));
    count_places_tidy(fixture.places, fixture.registry, 2 + 2 * LATER_MS);
    cr_expect(eq(uint, come(&fixture, "f"), place));
    cr_expect(eq(u64, told(&fixture, place), 0));
    teardown(&fixture);
}

Test(count_places, who_comes_back_in_time_goes_on)
{
    struct fixture fixture;
    setup(&fixture);
    unsigned place = come(&fixture, "a");
    count(&fixture, 0, place);
    go(&fixture, "a");
    count_places_tidy(fixture.places, fixture.registry, 1);
    cr_expect(eq(uint, come(&fixture, "a"), place));
    count_places_tidy(fixture.places, fixture.registry, 2 * LATER_MS);
    count_places_tidy(fixture.places, fixture.registry, 4 * LATER_MS);
    cr_expect(eq(u64, told(&fixture, place), 1));
    go(&fixture, "a"); /* the while begins anew */
    count_places_tidy(fixture.places, fixture.registry, 5 * LATER_MS);
    cr_expect(eq(u64, told(&fixture, place), 1));
    teardown(&fixture);
}

static void join(void *context, const char *name, unsigned place)
{
    char *text = context;
    sprintf(text + strlen(text), "%s%u ", name, place);
}

Test(count_places, all_are_told_by_name)
{
    struct fixture fixture;
    char text[64] = "";
    setup(&fixture);
    come(&fixture, "c");
    come(&fixture, "a");
    come(&fixture, "b");
    count_places_each(fixture.places, join, text);
    cr_expect(eq(str, text, "a2 b3 c1 "));
    teardown(&fixture);
}
