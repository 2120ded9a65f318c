/* Who has a host or a path in what is in force: for those who are about to write a file. */
#pragma once

#include "agent/snapshot.h"

struct claim {
    struct slice host; /* without "*." */
    bool wildcard;
    struct slice prefix; /* empty: the host itself */
    struct place place;  /* of whoever asks */
};

/* NULL: nobody. */
const struct tenant *claim_holder(const struct snapshot *snapshot, const struct claim *claim);
/* All that a tenant claims, by number; false when there are no more. */
MUST_CHECK bool claim_of(const struct tenant *tenant, size_t number, struct claim *claim);
/* "*.example.com", "example.com/owui"; for free(). */
char *claim_text(const struct claim *claim) __attribute__((returns_nonnull));
