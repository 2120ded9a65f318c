/* Hours of the week: see route/hours.h. */
#include "route/hours.h"

#include "core/memory.h"

#include <stdlib.h>

enum { DAY_S = 86400, MINUTE_S = 60 };

bool hours_hold(const struct hours *hours, int64_t wall_s)
{
    int64_t local_s = zone_local_s(&hours->zone, wall_s);
    int64_t days = (local_s - (local_s % DAY_S + DAY_S) % DAY_S) / DAY_S;
    unsigned minute = (unsigned)((local_s - days * DAY_S) / MINUTE_S);
    bool is_today = hours->days >> zone_week_day(days) & 1;
    if (hours->from_minute < hours->to_minute)
        return is_today && minute >= hours->from_minute && minute < hours->to_minute;
    /* Over midnight: the day is the one on which it begins. */
    bool was_yesterday = hours->days >> zone_week_day(days - 1) & 1;
    return (is_today && minute >= hours->from_minute) ||
           (was_yesterday && minute < hours->to_minute);
}

struct hours *hours_copy(const struct hours *hours)
{
    if (hours == NULL)
        return NULL;
    struct hours *copy = memory_new(sizeof(*copy));
    *copy = *hours;
    zone_copy(&hours->zone, &copy->zone);
    return copy;
}

void hours_free(struct hours *hours)
{
    if (hours == NULL)
        return;
    zone_fini(&hours->zone);
    free(hours);
}
