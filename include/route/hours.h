/* Hours of the week in a time zone: when an office is open. Pure: the caller tells the time. */
#pragma once

#include "route/zone.h"

struct hours {
    uint8_t days;         /* a bit for each day of the week, 1 << 0: Sunday */
    uint16_t from_minute; /* of the day */
    uint16_t to_minute; /* the first one after; 1440: midnight. Less than `from`: the next day's */
    struct zone zone;
};

bool hours_hold(const struct hours *hours, int64_t wall_s);
struct hours *hours_copy(const struct hours *hours); /* NULL for NULL */
void hours_free(struct hours *hours);                /* NULL is fine */
