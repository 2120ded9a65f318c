/* Time zones: what the local clock shows at a given moment. Pure: bytes in, and the caller tells
 * the time. */
#pragma once

#include "core/slice.h"

/* The nth (5: the last) of a day of the week (0: Sunday) in a month, and the time of that day. */
struct zone_turn {
    uint8_t month; /* 1 to 12 */
    uint8_t week;
    uint8_t day;
    int32_t time_s; /* of the local clock; may be less than 0 or more than a day */
};

/* From `from_s` on, the local clock is so far east of UTC. */
struct zone_change {
    int64_t from_s;
    int32_t offset_s;
};

struct zone {
    int32_t offset_s; /* of the local clock, east of UTC */
    bool has_summer;
    int32_t summer_offset_s;
    struct zone_turn summer_begins, summer_ends; /* by the clock that is in force before */
    /* What no rule tells, in the order of time: Ramadan's clock, a summer time that ends for good.
     * The rule above is in force from the last of these on. */
    struct zone_change *changes;
    size_t change_count;
};

/* POSIX' TZ (IEEE 1003.1 8.3), as the last line of a file of the zone database has it:
 * "CET-1CEST,M3.5.0,M10.5.0/3". False for what it is not, and for days counted from new year. */
MUST_CHECK bool zone_parse(struct slice text, struct zone *zone);
/* "UTC", "+01:00", "-03:30". */
MUST_CHECK bool zone_parse_offset(struct slice text, struct zone *zone);
/* A file of the zone database (RFC 9636), version 2 or later. What it says of the years before 2025
 * is dropped. False for anything else, and for clocks that count leap seconds. */
MUST_CHECK bool zone_parse_file(struct slice bytes, struct zone *zone);
void zone_copy(const struct zone *zone, struct zone *copy);
void zone_fini(struct zone *zone);
/* What the local clock shows, as seconds since 1970 would be told in UTC. */
int64_t zone_local_s(const struct zone *zone, int64_t wall_s);
/* Of a number of days since 1970; 0: Sunday. */
unsigned zone_week_day(int64_t days);
