/* Hours of the week in a time zone: when an office is open. Pure: the caller tells the time. */
#pragma once

#include "core/slice.h"

/* The nth (5: the last) of a day of the week (0: Sunday) in a month, and the time of that day. */
struct zone_turn {
    uint8_t month; /* 1 to 12 */
    uint8_t week;
    uint8_t day;
    int32_t time_s; /* of the local clock; may be less than 0 or more than a day */
};

struct zone {
    int32_t offset_s; /* of the local clock, east of UTC */
    bool has_summer;
    int32_t summer_offset_s;
    struct zone_turn summer_begins, summer_ends; /* by the clock that is in force before */
};

/* POSIX' TZ (IEEE 1003.1 8.3), as the last line of a file of the zone database has it:
 * "CET-1CEST,M3.5.0,M10.5.0/3". False for what it is not, and for days counted from new year. */
MUST_CHECK bool zone_parse(struct slice text, struct zone *zone);
/* "UTC", "+01:00", "-03:30". */
MUST_CHECK bool zone_parse_offset(struct slice text, struct zone *zone);
/* What the local clock shows, as seconds since 1970 would be told in UTC. */
int64_t zone_local_s(const struct zone *zone, int64_t wall_s);

struct hours {
    uint8_t days;         /* a bit for each day of the week, 1 << 0: Sunday */
    uint16_t from_minute; /* of the day */
    uint16_t to_minute;   /* not in it any more; 1440: midnight. Before `from`: of the next day */
    struct zone zone;
};

bool hours_hold(const struct hours *hours, int64_t wall_s);
