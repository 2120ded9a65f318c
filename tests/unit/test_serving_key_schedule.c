/* app: when the keys of an issuer are fetched. */
#include "key_schedule.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum { S = 1000, REFRESH_MS = 3600 * S };

static struct key_schedule schedule;

static bool is_due(int64_t now_s)
{
    return key_schedule_is_due(&schedule, now_s * S, REFRESH_MS);
}

static void fetch(int64_t now_s, bool is_good)
{
    key_schedule_asked(&schedule, now_s * S, REFRESH_MS);
    key_schedule_answered(&schedule, is_good, now_s * S, REFRESH_MS);
}

Test(key_schedule, a_missed_key_is_asked_for_when_it_may_be)
{
    fetch(100, true);
    key_schedule_miss(&schedule);
    cr_expect_not(is_due(101));
    cr_expect_not(is_due(129));
    /* Nobody has missed it again: who did is not looked at for a while. */
    cr_expect(is_due(130));
    fetch(130, true);
    cr_expect_not(is_due(200));
    cr_expect(is_due(130 + 3600));
}

Test(key_schedule, failures_are_tried_again_later_and_later)
{
    fetch(0, false);
    cr_expect_not(is_due(4));
    cr_expect(is_due(5));
    fetch(5, false);
    cr_expect_not(is_due(14));
    cr_expect(is_due(15));
    for (int64_t i = 0; i < 20; i++)
        fetch(15, false);
    cr_expect_not(is_due(15 + 5 * 256 - 1));
    cr_expect(is_due(15 + 5 * 256));
    fetch(2000, true);
    fetch(2000, false);
    cr_expect(is_due(2005));
}

Test(key_schedule, no_pause_is_longer_than_what_is_fetched_anyway)
{
    key_schedule_asked(&schedule, 0, 2 * S);
    key_schedule_answered(&schedule, false, 0, 2 * S);
    cr_expect(key_schedule_is_due(&schedule, 2 * S, 2 * S));
}
