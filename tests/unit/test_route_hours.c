/* route/hours, route/zone: zones, and hours of the week in them. */
#include "core/cursor.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "route/hours.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t at(const char *text)
{
    int64_t seconds;
    cr_assert(time_text_parse_rfc3339(slice_of(text), &seconds), "%s", text);
    return seconds;
}

/* The C library's own reading of the same zone is the model, at so many moments of so many years.
 */
static void expect_as_the_c_library(const struct zone *zone, const char *name, const char *from,
                                    unsigned years, unsigned rounds)
{
    unsigned seed = 5;
    int64_t start_s = at(from);
    setenv("TZ", name, 1);
    tzset();
    for (unsigned round = 0; round < rounds; round++) {
        time_t wall_s = start_s + (time_t)((unsigned)rand_r(&seed) % (years * 365 * 24)) * 3600 +
                        rand_r(&seed) % 3600;
        struct tm broken_down;
        cr_assert_not_null(localtime_r(&wall_s, &broken_down));
        cr_assert(eq(i64, zone_local_s(zone, wall_s), wall_s + broken_down.tm_gmtoff), "%s at %lld",
                  name, (long long)wall_s);
    }
}

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
        expect_as_the_c_library(&zone, ZONES[i], "2020-01-01T00:00:00Z", 30, 3000);
    }
}

static struct slice read_zone_file(const char *name)
{
    char *path = memory_format("/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s: tzdata is needed", path);
    char *bytes = memory_new(65536);
    size_t size = fread(bytes, 1, 65536, file);
    cr_assert_eq(fclose(file), 0);
    free(path);
    return slice_from(bytes, size);
}

/* Ramadan's clock in Morocco and the summer time of Gaza are told change by change for decades. */
Test(hours, files_are_what_the_c_library_makes_of_them)
{
    static const char *const ZONES[] = {
        "UTC",           "Europe/Berlin",  "America/New_York",    "Africa/Casablanca",
        "Asia/Gaza",     "Asia/Kathmandu", "Australia/Lord_Howe", "Antarctica/Troll",
        "Europe/Dublin", "America/Nuuk",   "Pacific/Apia",        "Asia/Tokyo",
    };
    for (size_t i = 0; i < COUNT_OF(ZONES); i++) {
        struct zone zone;
        struct slice bytes = read_zone_file(ZONES[i]);
        cr_assert(zone_parse_file(bytes, &zone), "%s", ZONES[i]);
        expect_as_the_c_library(&zone, ZONES[i], "2025-01-01T00:00:00Z", 75, 20000);
        zone_fini(&zone);
        free((char *)(uintptr_t)bytes.data);
    }
}

Test(hours, what_a_rule_tells_is_kept_once)
{
    struct slice bytes = read_zone_file("Europe/Berlin");
    struct zone zone, copy;
    cr_assert(zone_parse_file(bytes, &zone));
    cr_expect(eq(sz, zone.change_count, 0));
    cr_expect(zone.has_summer);
    free((char *)(uintptr_t)bytes.data);
    bytes = read_zone_file("Africa/Casablanca");
    cr_assert(zone_parse_file(bytes, &zone));
    cr_expect(lt(sz, 20, zone.change_count));
    zone_copy(&zone, &copy);
    zone_fini(&zone);
    cr_expect(eq(i64, zone_local_s(&copy, at("2026-03-01T12:00:00Z")), at("2026-03-01T12:00:00Z")));
    zone_fini(&copy);
    free((char *)(uintptr_t)bytes.data);
}

static void put_u32(struct writer *writer, uint32_t number)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        writer_u8(writer, (uint8_t)(number >> shift));
}

/* Version 2, without the part of version 1: winter is +1, summer +2 and ends for good in 2027. */
static struct slice last_summer(uint8_t room[static 512], const char *rule)
{
    struct writer writer = writer_of(room, 512);
    static const struct {
        const char *time;
        uint8_t type;
    } CHANGES[] = {{"2024-10-27T01:00:00Z", 0}, {"2025-03-30T01:00:00Z", 1},
                   {"2025-10-26T01:00:00Z", 0}, {"2026-03-29T01:00:00Z", 1},
                   {"2026-10-25T01:00:00Z", 0}, {"2027-03-28T01:00:00Z", 1},
                   {"2027-10-31T01:00:00Z", 0}};
    for (unsigned part = 0; part < 2; part++) {
        writer_bytes(&writer, SLICE("TZif2"));
        for (unsigned i = 0; i < 15; i++)
            writer_u8(&writer, 0);
        const uint32_t counts[] = {0, 0, 0, part * (uint32_t)COUNT_OF(CHANGES), 1 + part, 4};
        for (unsigned i = 0; i < COUNT_OF(counts); i++)
            put_u32(&writer, counts[i]);
        for (unsigned i = 0; i < counts[3]; i++) {
            put_u32(&writer, 0);
            put_u32(&writer, (uint32_t)at(CHANGES[i].time));
        }
        for (unsigned i = 0; i < counts[3]; i++)
            writer_u8(&writer, CHANGES[i].type);
        for (uint32_t i = 0; i < counts[4]; i++) {
            put_u32(&writer, 3600 * (i + 1));
            writer_u8(&writer, (uint8_t)i);
            writer_u8(&writer, 0);
        }
        writer_bytes(&writer, slice_from("CET", 4));
    }
    writer_u8(&writer, '\n');
    writer_bytes(&writer, slice_of(rule));
    writer_u8(&writer, '\n');
    cr_assert(not(writer.failed));
    return writer_written(&writer);
}

Test(hours, a_summer_time_that_ends_for_good)
{
    static const char *const RULES[] = {"CET-1", ""};
    for (size_t i = 0; i < COUNT_OF(RULES); i++) {
        uint8_t room[512];
        struct zone zone;
        struct slice bytes = last_summer(room, RULES[i]);
        cr_assert(zone_parse_file(bytes, &zone), "%s", RULES[i]);
        const struct {
            const char *time;
            int hours;
        } ROWS[] = {{"2025-02-01T00:00:00Z", 1}, {"2026-03-29T00:59:59Z", 1},
                    {"2026-03-29T01:00:00Z", 2}, {"2026-07-01T00:00:00Z", 2},
                    {"2027-10-31T00:59:59Z", 2}, {"2027-10-31T01:00:00Z", 1},
                    {"2028-07-01T00:00:00Z", 1}, {"2060-07-01T00:00:00Z", 1}};
        for (size_t row = 0; row < COUNT_OF(ROWS); row++)
            cr_expect(eq(i64, zone_local_s(&zone, at(ROWS[row].time)),
                         at(ROWS[row].time) + ROWS[row].hours * 3600),
                      "%s", ROWS[row].time);
        zone_fini(&zone);
    }
}

Test(hours, what_is_no_zone_file)
{
    uint8_t room[512];
    struct zone zone;
    struct slice bytes = last_summer(room, "CET-1");
    for (size_t size = 0; size < bytes.size; size++)
        cr_expect_not(zone_parse_file(slice_head(bytes, size), &zone), "%zu bytes", size);
    for (size_t at_byte = 0; at_byte < bytes.size; at_byte++) {
        uint8_t before = room[at_byte];
        room[at_byte] ^= 0xff;
        if (zone_parse_file(bytes, &zone)) /* any text that is well-formed, and no crash */
            zone_fini(&zone);
        room[at_byte] = before;
    }
    bytes = last_summer(room, "CET");
    cr_expect_not(zone_parse_file(bytes, &zone));
    bytes = last_summer(room, "CET-1");
    room[31] = 1; /* a leap second */
    cr_expect_not(zone_parse_file(bytes, &zone));
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
