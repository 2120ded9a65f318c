/* identity: how much time is spent on refusals. */
#include "debts.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const int64_t MS = 1000000;
static const int64_t START_NS = 1000000000000;

/* How often so much can be spent from then on, before no more is allowed; no time passes. */
static unsigned spend(struct debts *debts, uint64_t tenant, int64_t cost_ns, int64_t now_ns)
{
    unsigned count = 0;
    while (debts_allow(debts, tenant, now_ns)) {
        debts_add(debts, tenant, cost_ns, now_ns);
        count++;
        cr_assert(lt(u32, count, 1000000));
    }
    return count;
}

Test(debts, a_tenth_of_a_second_at_once_and_of_the_time)
{
    struct debts debts = {0};
    cr_expect(eq(u32, spend(&debts, 7, MS, START_NS), 100));
    for (int64_t i = 1; i <= 1000; i++)
        cr_assert(eq(u32, spend(&debts, 7, MS, START_NS + 10 * MS * i), 1), "after %lld0 ms",
                  (long long)i);
    cr_expect(eq(u32, spend(&debts, 7, MS, START_NS + 20000 * MS), 100), "all is forgiven");
}

Test(debts, are_each_tenants_own)
{
    struct debts debts = {0};
    cr_expect(eq(u32, spend(&debts, 7, 3 * MS, START_NS), 34));
    cr_expect(eq(u32, spend(&debts, 8, 3 * MS, START_NS), 34));
    cr_expect_not(debts_allow(&debts, 7, START_NS));
    cr_expect(debts_allow(&debts, 0, START_NS), "nobody's place is somebody's");
    cr_expect(eq(u32, spend(&debts, 0, 3 * MS, START_NS), 34));
}

/* Whoever stops a process for an hour has not sent bad tokens for an hour. */
Test(debts, of_one_that_took_for_ever_are_paid_off_soon)
{
    struct debts debts = {0};
    debts_add(&debts, 7, 3600 * 1000 * MS, START_NS);
    cr_expect_not(debts_allow(&debts, 7, START_NS));
    cr_expect(debts_allow(&debts, 7, START_NS + 1));
}

/* A loop that does nothing else for a second: each tenant takes as little as keeps it in debt until
 * that second's end, and none of them is forgotten. */
Test(debts, have_room_for_as_many_as_there_can_be)
{
    enum { LEAST_NS = 5000 };
    struct debts debts = {0};
    const int64_t end_ns = START_NS + 1000 * MS;
    uint64_t tenants = 0;
    size_t in_debt = 0;
    for (int64_t now_ns = START_NS; now_ns + LEAST_NS < end_ns;) {
        int64_t cost_ns = (end_ns - now_ns) / 11 + 1;
        cost_ns = cost_ns < LEAST_NS ? LEAST_NS : cost_ns;
        now_ns += cost_ns;
        debts_add(&debts, ++tenants, cost_ns, now_ns);
    }
    for (size_t i = 0; i < DEBTS_MAX; i++)
        in_debt += debts.items[i].paid_off_ns > end_ns;
    cr_expect(lt(u64, 100, tenants));
    cr_expect(eq(sz, in_debt, tenants));
}

/* Who owes least is forgiven. */
Test(debts, more_than_fit)
{
    struct debts debts = {0};
    for (uint64_t tenant = 1; tenant <= DEBTS_MAX; tenant++)
        spend(&debts, tenant, tenant == 9 ? 5 * MS : 9 * MS, START_NS);
    debts_add(&debts, DEBTS_MAX + 1, MS, START_NS);
    for (uint64_t tenant = 1; tenant <= DEBTS_MAX + 1; tenant++)
        cr_expect(eq(int, debts_allow(&debts, tenant, START_NS), tenant == 9 || tenant > DEBTS_MAX),
                  "tenant %llu", (unsigned long long)tenant);
}
