/* The two spellings of time: see core/time_text.h. */
#include "core/time_text.h"

#include "core/cursor.h"
#include "core/decimal.h"

#include <stdio.h>
#include <time.h>

static bool digits(struct slice *text, size_t count, int *value)
{
    uint64_t number;
    if (text->size < count || !decimal_parse(slice_head(*text, count), count, &number))
        return false;
    *value = (int)number;
    *text = slice_skip(*text, count);
    return true;
}

static bool literal(struct slice *text, const char *wanted)
{
    struct slice start = slice_of(wanted);
    if (text->size < start.size || !slice_equal_nocase(slice_head(*text, start.size), start))
        return false;
    *text = slice_skip(*text, start.size);
    return true;
}

static bool to_seconds(int year, int month, int day, int hour, int minute, int second,
                       int64_t *seconds)
{
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    struct tm parts = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second};
    *seconds = timegm(&parts);
    return true;
}

static bool month_name(struct slice *text, int *month)
{
    static const char NAMES[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (*month = 1; *month <= 12; ++*month)
        if (literal(text, NAMES[*month - 1]))
            return true;
    return false;
}

bool time_text_parse_http(struct slice text, int64_t *seconds)
{
    int year, month, day, hour, minute, second;
    text = slice_trim(text);
    if (text.size < 5)
        return false;
    text = slice_skip(text, 3); /* the day of the week adds nothing */
    return literal(&text, ", ") && digits(&text, 2, &day) && literal(&text, " ") &&
           month_name(&text, &month) && literal(&text, " ") && digits(&text, 4, &year) &&
           literal(&text, " ") && digits(&text, 2, &hour) && literal(&text, ":") &&
           digits(&text, 2, &minute) && literal(&text, ":") && digits(&text, 2, &second) &&
           literal(&text, " GMT") && text.size == 0 &&
           to_seconds(year, month, day, hour, minute, second, seconds);
}

static bool skip_fraction(struct slice *text)
{
    int digit;
    if (!literal(text, "."))
        return true;
    if (!digits(text, 1, &digit))
        return false;
    while (digits(text, 1, &digit))
        ;
    return true;
}

static bool offset(struct slice *text, int *seconds)
{
    int hour, minute;
    *seconds = 0;
    if (literal(text, "Z"))
        return true;
    int sign = literal(text, "+") ? -1 : literal(text, "-") ? 1 : 0;
    if (sign == 0 || !digits(text, 2, &hour) || !literal(text, ":") || !digits(text, 2, &minute) ||
        hour > 23 || minute > 59)
        return false;
    *seconds = sign * (hour * 3600 + minute * 60);
    return true;
}

bool time_text_parse_rfc3339(struct slice text, int64_t *seconds)
{
    int year, month, day, hour, minute, second, shift;
    if (!digits(&text, 4, &year) || !literal(&text, "-") || !digits(&text, 2, &month) ||
        !literal(&text, "-") || !digits(&text, 2, &day) || !literal(&text, "T") ||
        !digits(&text, 2, &hour) || !literal(&text, ":") || !digits(&text, 2, &minute) ||
        !literal(&text, ":") || !digits(&text, 2, &second) || !skip_fraction(&text) ||
        !offset(&text, &shift) || text.size != 0 ||
        !to_seconds(year, month, day, hour, minute, second, seconds))
        return false;
    *seconds += shift;
    return true;
}

bool time_text_parse_point(struct slice text, int64_t *seconds)
{
    enum { MINUTE_BYTES = 16, TEXT_MAX_BYTES = 40 };
    char whole[TEXT_MAX_BYTES];
    struct writer writer = writer_of(whole, sizeof(whole));
    if (time_text_parse_rfc3339(text, seconds))
        return true;
    if (text.size <= MINUTE_BYTES || text.data[MINUTE_BYTES] == ':')
        return false;
    writer_bytes(&writer, slice_head(text, MINUTE_BYTES));
    writer_bytes(&writer, SLICE(":00"));
    writer_bytes(&writer, slice_skip(text, MINUTE_BYTES));
    return !writer.failed && time_text_parse_rfc3339(writer_written(&writer), seconds);
}

const char *time_text_print(int64_t seconds, char text[static TIME_TEXT_SIZE])
{
    const int64_t last = 253402300799; /* 9999-12-31T23:59:59Z */
    time_t time = (time_t)(seconds > last ? last : seconds < 0 ? 0 : seconds);
    struct tm parts;
    gmtime_r(&time, &parts);
    strftime(text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}
