/* Who has which place in the loops' counters (agent/decision_counts.h).
 *
 * Tenants get places as they come, until all are taken; who comes then is counted among others. The
 * place of a tenant that is gone is another's after a while: until then some loop may count what
 * was decided by an older snapshot. What its counters had then is taken off what is told of the
 * next one. Main thread only.
 */
#pragma once

#include "agent/decision_counts.h"

struct count_places;

enum { COUNT_PLACE_KEPT_MS = 60 * 1000 };

struct count_places *count_places_new(unsigned count) __attribute__((malloc, returns_nonnull));
void count_places_free(struct count_places *places); /* NULL is fine */
unsigned count_places_max(const struct count_places *places);
/* Where to read: one for each loop; borrowed. */
void count_places_watch(struct count_places *places, const struct decision_counts *counts);

/* The tenant's place; COUNT_PLACE_OTHER when none is free. */
uint16_t count_places_take(struct count_places *places, const char *name);
/* Looks for tenants that are gone, and gives away places of those that have been for a while. To be
 * called now and then. */
void count_places_tidy(struct count_places *places, const struct route_registry *registry,
                       int64_t now_ms);

/* What the place's tenant has, over all loops. */
void count_places_tell(const struct count_places *places, unsigned place,
                       struct decision_tally *tally);
/* Every tenant that has a place, by name. */
void count_places_each(const struct count_places *places,
                       void (*visit)(void *context, const char *name, unsigned place),
                       void *context);
