/* Time zones: see route/zone.h. */
#include "route/zone.h"

#include "core/decimal.h"
#include "core/memory.h"

#include <stdlib.h>

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60 };

/* -- The calendar ----------------------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970 of the first of a month, in the Gregorian calendar: the year begins in March, so
 * that its odd day comes last. */
static int64_t days_of_month(int64_t year, unsigned month)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    return 365 * y + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) + (153 * m + 2) / 5 -
           719468;
}

static int64_t year_of(int64_t local_s)
{
    int64_t days = floor_div(local_s, DAY_S);
    int64_t year = 1970 + floor_div(days * 400, 146097);
    while (days_of_month(year + 1, 1) <= days)
        year++;
    while (days_of_month(year, 1) > days)
        year--;
    return year;
}

/* 1970 began on a Thursday. */
unsigned zone_week_day(int64_t days)
{
    return (unsigned)((days % 7 + 7 + 4) % 7);
}

/* By the local clock. */
static int64_t turn_s(const struct zone_turn *turn, int64_t year)
{
    int64_t first = days_of_month(year, turn->month);
    int64_t next =
        turn->month == 12 ? days_of_month(year + 1, 1) : days_of_month(year, turn->month + 1u);
    int64_t day = first + (turn->day + 7 - zone_week_day(first)) % 7 + 7 * (turn->week - 1);
    while (day >= next)
        day -= 7;
    return day * DAY_S + turn->time_s;
}

static int64_t local_by_rule(const struct zone *zone, int64_t wall_s)
{
    int64_t standard_s = wall_s + zone->offset_s;
    if (!zone->has_summer)
        return standard_s;
    int64_t year = year_of(standard_s);
    int64_t begin_s = turn_s(&zone->summer_begins, year) - zone->offset_s;
    int64_t end_s = turn_s(&zone->summer_ends, year) - zone->summer_offset_s;
    /* South of the equator, summer is at both ends of the year. */
    bool is_summer =
        begin_s < end_s ? wall_s >= begin_s && wall_s < end_s : wall_s >= begin_s || wall_s < end_s;
    return is_summer ? wall_s + zone->summer_offset_s : standard_s;
}

int64_t zone_local_s(const struct zone *zone, int64_t wall_s)
{
    size_t count = zone->change_count;
    if (count == 0 || wall_s >= zone->changes[count - 1].from_s)
        return local_by_rule(zone, wall_s);
    size_t next = 0;
    while (zone->changes[next].from_s <= wall_s)
        next++;
    /* Before the first of them, as from then on: what was before has been dropped. */
    return wall_s + zone->changes[next > 0 ? next - 1 : 0].offset_s;
}

void zone_copy(const struct zone *zone, struct zone *copy)
{
    *copy = *zone;
    if (zone->change_count == 0)
        return;
    copy->changes = memory_resize(NULL, zone->change_count, sizeof(*copy->changes));
    memcpy(copy->changes, zone->changes, zone->change_count * sizeof(*copy->changes));
}

void zone_fini(struct zone *zone)
{
    free(zone->changes);
    *zone = (struct zone){0};
}

/* -- Zones as text ---------------------------------------------------------------------------- */

static bool take_byte(struct slice *text, char byte)
{
    if (text->size == 0 || text->data[0] != byte)
        return false;
    *text = slice_skip(*text, 1);
    return true;
}

static bool take_number(struct slice *text, int32_t most, int32_t *number)
{
    uint64_t value;
    bool is_there = decimal_take(text, 3, &value);
    *number = (int32_t)value;
    return is_there && *number <= most;
}

/* "CEST", "<+03>": nobody asks for it. */
static bool take_name(struct slice *text)
{
    size_t size = 0;
    if (take_byte(text, '<')) {
        while (size < text->size && text->data[size] != '>')
            size++;
        *text = slice_skip(*text, size);
        return size > 0 && take_byte(text, '>');
    }
    while (size < text->size && ascii_is_letter(text->data[size]))
        size++;
    *text = slice_skip(*text, size);
    return size >= 3;
}

/* "[+-]hh[:mm[:ss]]" */
static bool take_time(struct slice *text, int32_t most_hours, int32_t *time_s)
{
    int32_t hours, minutes = 0, seconds = 0;
    bool is_negative = take_byte(text, '-');
    if (!is_negative)
        (void)take_byte(text, '+');
    if (!take_number(text, most_hours, &hours))
        return false;
    if (take_byte(text, ':') && !take_number(text, 59, &minutes))
        return false;
    if (take_byte(text, ':') && !take_number(text, 59, &seconds))
        return false;
    *time_s = hours * HOUR_S + minutes * MINUTE_S + seconds;
    if (is_negative)
        *time_s = -*time_s;
    return true;
}

/* ",Mm.w.d[/time]"; at two o'clock unless told. */
static bool take_turn(struct slice *text, struct zone_turn *turn)
{
    int32_t month, week, day;
    if (!take_byte(text, ',') || !take_byte(text, 'M') || !take_number(text, 12, &month) ||
        !take_byte(text, '.') || !take_number(text, 5, &week) || !take_byte(text, '.') ||
        !take_number(text, 6, &day) || month == 0 || week == 0)
        return false;
    *turn = (struct zone_turn){(uint8_t)month, (uint8_t)week, (uint8_t)day, 2 * HOUR_S};
    return !take_byte(text, '/') || take_time(text, 167, &turn->time_s);
}

/* POSIX counts offsets west of UTC. */
bool zone_parse(struct slice text, struct zone *zone)
{
    *zone = (struct zone){0};
    if (!take_name(&text) || !take_time(&text, 24, &zone->offset_s))
        return false;
    zone->offset_s = -zone->offset_s;
    if (text.size == 0)
        return true;
    zone->has_summer = true;
    zone->summer_offset_s = zone->offset_s + HOUR_S;
    if (!take_name(&text))
        return false;
    if (text.size > 0 && text.data[0] != ',') {
        if (!take_time(&text, 24, &zone->summer_offset_s))
            return false;
        zone->summer_offset_s = -zone->summer_offset_s;
    }
    return take_turn(&text, &zone->summer_begins) && take_turn(&text, &zone->summer_ends) &&
           text.size == 0;
}

bool zone_parse_offset(struct slice text, struct zone *zone)
{
    *zone = (struct zone){0};
    if (slice_equal(text, SLICE("UTC")))
        return true;
    bool is_form =
        text.size == 6 && (text.data[0] == '+' || text.data[0] == '-') && text.data[3] == ':';
    return is_form && take_time(&text, 14, &zone->offset_s) && text.size == 0;
}
