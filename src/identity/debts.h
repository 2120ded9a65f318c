/* How much of a loop's time each tenant's strangers get. Anybody can send tokens that are no good,
 * and to find that out takes long: the loop's other tenants wait meanwhile.
 *
 * The time that was spent on a tenant's refusals is its debt, which is paid off by ten times as
 * much time that passes. So a tenant takes a tenth of a loop at most, and 100 ms at once. What was
 * believed costs nothing. One for each loop, and for its thread alone; all zero to begin with.
 */
#pragma once

#include "core/base.h"

#include <stdint.h>

enum { DEBTS_MAX = 128 };

struct debts {
    struct debt {
        uint64_t tenant;
        int64_t paid_off_ns; /* when it is; times are of a monotonic clock */
    } items[DEBTS_MAX];
};

/* Whether more may be spent on this tenant. */
MUST_CHECK bool debts_allow(const struct debts *debts, uint64_t tenant, int64_t now_ns);
/* So much was. */
void debts_add(struct debts *debts, uint64_t tenant, int64_t spent_ns, int64_t now_ns);
