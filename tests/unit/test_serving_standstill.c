/* serving: whether a thread stands still, by the turns that it counts. */
#include "serving/standstill.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum { MISSED_MAX = 3 };

/* So many looks, at each of which it has turned or has not; the news of the last. */
static enum turns_news look(struct turns_seen *seen, bool turns, unsigned looks)
{
    enum turns_news news = TURNS_AS_BEFORE;
    while (looks-- > 0)
        news = turns_look(seen, seen->turns + turns, MISSED_MAX);
    return news;
}

Test(turns, that_go_on_are_no_news)
{
    struct turns_seen seen = {0};
    for (unsigned i = 0; i < 100; i++)
        cr_assert(eq(int, look(&seen, true, 1), TURNS_AS_BEFORE));
}

/* As on a machine that is busy. */
Test(turns, that_are_missed_now_and_then_are_no_news)
{
    struct turns_seen seen = {0};
    for (unsigned i = 0; i < 100; i++) {
        cr_assert(eq(int, look(&seen, false, MISSED_MAX), TURNS_AS_BEFORE));
        cr_assert(eq(int, look(&seen, true, 1), TURNS_AS_BEFORE));
    }
}

Test(turns, that_stop_are_told_once_and_so_is_the_end_of_it)
{
    struct turns_seen seen = {0};
    cr_assert(eq(int, look(&seen, true, 5), TURNS_AS_BEFORE));
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(eq(int, look(&seen, false, MISSED_MAX), TURNS_AS_BEFORE));
        cr_assert(eq(int, look(&seen, false, 1), TURNS_STOPPED));
        for (unsigned k = 0; k < 100; k++)
            cr_assert(eq(int, look(&seen, false, 1), TURNS_AS_BEFORE));
        cr_assert(eq(int, look(&seen, true, 1), TURNS_AGAIN));
        cr_assert(eq(int, look(&seen, true, 1), TURNS_AS_BEFORE));
    }
}

/* One that has never turned, too. */
Test(turns, that_never_began_are_told)
{
    struct turns_seen seen = {0};
    cr_assert(eq(int, look(&seen, false, MISSED_MAX), TURNS_AS_BEFORE));
    cr_assert(eq(int, look(&seen, false, 1), TURNS_STOPPED));
}
