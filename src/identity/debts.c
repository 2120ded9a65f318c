/* Time that was spent on refusals: see debts.h.
 *
 * A debt is the time at which it is paid off, so that nothing has to be done while it is. A tenant
 * is in debt for ten times as long as it took of a loop's time: on average ten of them are, and
 * hardly more than 120 at one time, when each has taken as much as it must to be still in debt. */
#include "debts.h"

enum {
    MS = 1000000, /* in ns */
    PAID_BY = 10,
    SPENT_MAX_NS = 100 * MS,
    DEBT_MAX_NS = PAID_BY * SPENT_MAX_NS,
};

bool debts_allow(const struct debts *debts, uint64_t tenant, int64_t now_ns)
{
    for (size_t i = 0; i < DEBTS_MAX; i++)
        if (debts->items[i].tenant == tenant)
            return debts->items[i].paid_off_ns - now_ns < DEBT_MAX_NS;
    return true;
}

/* The tenant's own, or the one that is paid off soonest, which as a rule it is long since. */
static struct debt *own_or_least(struct debts *debts, uint64_t tenant)
{
    struct debt *least = &debts->items[0];
    for (size_t i = 0; i < DEBTS_MAX; i++) {
        if (debts->items[i].tenant == tenant)
            return &debts->items[i];
        if (debts->items[i].paid_off_ns < least->paid_off_ns)
            least = &debts->items[i];
    }
    return least;
}

/* A thread that was stopped meanwhile (SIGSTOP, the quota of a container) has spent less than the
 * clock says: nobody is to be in debt for hours for that. */
void debts_add(struct debts *debts, uint64_t tenant, int64_t spent_ns, int64_t now_ns)
{
    struct debt *debt = own_or_least(debts, tenant);
    if (debt->tenant != tenant || debt->paid_off_ns < now_ns)
        *debt = (struct debt){.tenant = tenant, .paid_off_ns = now_ns};
    debt->paid_off_ns += PAID_BY * (spent_ns < SPENT_MAX_NS ? spent_ns : SPENT_MAX_NS);
}
