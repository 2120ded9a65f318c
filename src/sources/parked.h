/* Tenants whose addresses are on the way: one of a name, found by it, however many they are. */
#pragma once

#include "core/base.h"

struct tenant;

struct parked {
    struct parked_place *places;
    size_t *heads; /* by hash: the first place of a chain, plus one; 0: none */
    size_t count;
    size_t capacity; /* of both */
};

void parked_free(struct parked *parked); /* with the tenants */
/* Takes ownership; none of this name may be there. */
void parked_put(struct parked *parked, struct tenant *tenant);
/* The caller's from now on; NULL: there is none. The last one comes into its place. */
struct tenant *parked_take(struct parked *parked, const char *name);
const struct tenant *parked_find(const struct parked *parked, const char *name); /* or NULL */
MUST_CHECK bool parked_has(const struct parked *parked, const char *name);
struct tenant *parked_at(const struct parked *parked, size_t index);
