/* route/hours: zones, and hours of the week in them. */
#include "core/time_text.h"
#include "route/hours.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <time.h>

static int64_t at(const char *text)
{
    int64_t seconds;
    cr_assert(time_text_parse_rfc3339(slice_of(text), &seconds), "%s", text);
    return seconds;
}

/* The C library's own reading of the same text is the model. */
Test(hours, zones_are_what_the_c_library_makes_of_them)
{
    static const char *const ZONES[] = {
        "UTC0",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "GMT0BST,M3.5.0/1,M10.5.0",
        "EST5EDT,M3.2.0,M11.1.0",
        "NST3:30NDT,M3.2.0,M11.1.0",
        "AEST-10AEDT,M10.1.0,M4.1.0/3",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        "<+0545>-5:45",
        "IST-2IDT,M3.4.4/26,M10.5.0",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "EET-2EEST,M3.5.0/3,M10.5.0/4",
    };
    for (size_t i = 0; i < COUNT_OF(ZONES); i++) {
        struct zone zone;
        cr_assert(zone_parse(slice_of(ZONES[i]), &zone), "%s", ZONES[i]);
        setenv("TZ", ZONES[i], 1);
        tzset();
        unsigned seed = 5;
        for (unsigned round = 0; round < 3000; round++) {
            time_t wall_s = at("2020-01-01T00:00:00Z") +
                            (time_t)(rand_r(&seed) % (30 * 365 * 24)) * 3600 + rand_r(&seed) % 3600;
            struct tm broken_down;
            cr_assert_not_null(localtime_r(&wall_s, &broken_down));
            cr_assert(eq(i64, zone_local_s(&zone, wall_s), wall_s + broken_down.tm_gmtoff),
                      "%s at %lld", ZONES[i], (long long)wall_s);
        }
    }
}

Test(hours, what_is_no_zone)
{
    static const char *const WRONG[] = {
        "",
        "C",
        "CET",
        "CET-25",
        "CET-1CEST",
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "-1",
        "CET-1CEST,M13.1.0,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3 ",
        "CET-1CEST,J60,J300",
        "<>-1",
        "CET-1CEST,M3.0.0,M10.5.0",
    };
    struct zone zone;
    for (size_t i = 0; i < COUNT_OF(WRONG); i++)
        cr_expect_not(zone_parse(slice_of(WRONG[i]), &zone), "%s", WRONG[i]);
    static const char *const WRONG_OFFSETS[] = {"",       "utc",    "+1",     "01:00",
                                                "+01:60", "+15:00", "+01:00 "};
    for (size_t i = 0; i < COUNT_OF(WRONG_OFFSETS); i++)
        cr_expect_not(zone_parse_offset(slice_of(WRONG_OFFSETS[i]), &zone), "%s", WRONG_OFFSETS[i]);
    cr_assert(zone_parse_offset(SLICE("-03:30"), &zone));
    cr_expect(eq(i32, zone.offset_s, -12600));
    cr_assert(zone_parse_offset(SLICE("UTC"), &zone));
    cr_expect(eq(i32, zone.offset_s, 0));
}

Test(hours, an_office_and_a_night)
{
    struct hours office = {.days = 0x3e, .from_minute = 8 * 60, .to_minute = 18 * 60};
    struct hours night = {.days = 1 << 5, .from_minute = 22 * 60, .to_minute = 6 * 60};
    struct hours all_day = {.days = 1 << 0, .from_minute = 0, .to_minute = 1440};
    cr_assert(zone_parse(SLICE("CET-1CEST,M3.5.0,M10.5.0/3"), &office.zone));
    cr_assert(zone_parse_offset(SLICE("UTC"), &night.zone));
    all_day.zone = night.zone;
    const struct {
        const struct hours *hours;
        const char *time;
        bool holds;
    } ROWS[] = {
        {&office, "2026-01-05T06:59:59Z", false}, /* Monday in winter */
        {&office, "2026-01-05T07:00:00Z", true},
        {&office, "2026-01-05T16:59:59Z", true},
        {&office, "2026-01-05T17:00:00Z", false},
        {&office, "2026-07-06T06:00:00Z", true}, /* and in summer */
        {&office, "2026-07-06T16:00:00Z", false},
        {&office, "2026-01-10T10:00:00Z", false}, /* Saturday */
        {&office, "2026-01-11T10:00:00Z", false},
        {&night, "2026-01-09T22:00:00Z", true}, /* Friday's, until Saturday morning */
        {&night, "2026-01-10T05:59:59Z", true},
        {&night, "2026-01-10T06:00:00Z", false},
        {&night, "2026-01-09T05:00:00Z", false},
        {&night, "2026-01-10T23:00:00Z", false},
        {&all_day, "2026-01-11T00:00:00Z", true},
        {&all_day, "2026-01-11T23:59:59Z", true},
        {&all_day, "2026-01-12T00:00:00Z", false},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(int, hours_hold(ROWS[i].hours, at(ROWS[i].time)), ROWS[i].holds), "%s",
                  ROWS[i].time);
}
