/* Files of the zone database, "TZif" (RFC 9636): see route/zone.h.
 *
 * The last line is a rule for all the time to come, but for what is told before it change by
 * change. Most zones are told so up to 2037 what their rule says anyway; that much is dropped, so
 * that what is left is what the rule does not know.
 */
#include "core/cursor.h"
#include "core/memory.h"
#include "route/zone.h"

#include <stdlib.h>

enum { CHANGES_MAX = 5000, TYPES_MAX = 256, TYPE_BYTES = 6, RESERVED_BYTES = 15 };

static const int64_t NOT_BEFORE_S = 1735689600; /* 2025-01-01 */
/* A rule with a summer turns twice a year: over more than that it may have turned and returned. */
static const int64_t LONGEST_SEASON_S = 330 * 86400;

struct counts {
    uint32_t utc_flags, standard_flags, leaps, changes, types, abbreviations;
};

static bool take_counts(struct reader *reader, struct counts *counts)
{
    bool good = slice_equal(reader_bytes(reader, 4), SLICE("TZif")) && reader_u8(reader) >= '2';
    (void)reader_bytes(reader, RESERVED_BYTES);
    counts->utc_flags = reader_u32(reader);
    counts->standard_flags = reader_u32(reader);
    counts->leaps = reader_u32(reader);
    counts->changes = reader_u32(reader);
    counts->types = reader_u32(reader);
    counts->abbreviations = reader_u32(reader);
    return good && !reader->failed && counts->leaps == 0 && counts->changes <= CHANGES_MAX &&
           counts->types > 0 && counts->types <= TYPES_MAX;
}

/* What follows the changes' times and types. */
static uint64_t rest_bytes(const struct counts *counts)
{
    return (uint64_t)counts->abbreviations + counts->standard_flags + counts->utc_flags;
}

static int64_t seconds_at(struct slice times, size_t index)
{
    struct reader reader = reader_of(slice_skip(times, index * 8));
    uint64_t high = reader_u32(&reader);
    return (int64_t)(high << 32 | reader_u32(&reader));
}

static bool offset_at(struct slice types, uint8_t type, int32_t *offset_s)
{
    if (type >= types.size / TYPE_BYTES)
        return false;
    struct reader reader = reader_of(slice_skip(types, type * (size_t)TYPE_BYTES));
    *offset_s = (int32_t)reader_u32(&reader);
    return *offset_s > -26 * 3600 && *offset_s < 26 * 3600;
}

/* Of what was before 2025, the last is what that year begins with. */
static bool take_changes(struct slice times, struct slice indexes, struct slice types,
                         struct zone *zone)
{
    zone->changes = memory_new((indexes.size + 1) * sizeof(*zone->changes));
    for (size_t i = 0; i < indexes.size; i++) {
        struct zone_change change = {.from_s = seconds_at(times, i)};
        if (!offset_at(types, (uint8_t)indexes.data[i], &change.offset_s) ||
            (i > 0 && change.from_s <= seconds_at(times, i - 1)))
            return false;
        if (zone->change_count > 0 && change.from_s <= NOT_BEFORE_S)
            zone->change_count = 0;
        zone->changes[zone->change_count++] = change;
    }
    return true;
}

static int32_t offset_by(const struct zone *rule, int64_t wall_s)
{
    return (int32_t)(zone_local_s(rule, wall_s) - wall_s);
}

/* Whether the rule tells what the changes tell between this one and the next. */
static bool rule_tells(const struct zone *rule, const struct zone_change *change,
                       const struct zone_change *next)
{
    if (offset_by(rule, change->from_s) != change->offset_s)
        return false;
    return next == NULL ||
           (offset_by(rule, next->from_s - 1) == change->offset_s &&
            (!rule->has_summer || next->from_s - change->from_s < LONGEST_SEASON_S));
}

static void drop_what_the_rule_tells(struct zone *zone)
{
    struct zone rule = *zone;
    size_t first = zone->change_count; /* that the rule tells, as all behind it */
    rule.change_count = 0;
    while (first > 0 && rule_tells(&rule, &zone->changes[first - 1],
                                   first < zone->change_count ? &zone->changes[first] : NULL))
        first--;
    /* The rule takes over with this one. */
    if (first > 0 && first < zone->change_count)
        zone->change_count = first + 1;
    else if (first == 0)
        zone->change_count = 0;
    if (zone->change_count > 0)
        return;
    free(zone->changes);
    zone->changes = NULL;
}

/* The line behind the data; where it is empty, what was last told holds on. */
static bool take_rule(struct slice line, struct zone *zone)
{
    struct zone rule = {0};
    if (line.size > 0 && !zone_parse(line, &rule))
        return false;
    if (line.size == 0 && zone->change_count > 0)
        rule.offset_s = zone->changes[zone->change_count - 1].offset_s;
    rule.changes = zone->changes;
    rule.change_count = zone->change_count;
    *zone = rule;
    return line.size > 0 || zone->change_count > 0;
}

bool zone_parse_file(struct slice bytes, struct zone *zone)
{
    struct reader reader = reader_of(bytes);
    struct counts counts;

    *zone = (struct zone){0};
    /* The first part has times of 32 bits, for readers of long ago. */
    if (!take_counts(&reader, &counts))
        return false;
    (void)reader_bytes(&reader, (uint64_t)counts.changes * 5 + (uint64_t)counts.types * TYPE_BYTES +
                                    rest_bytes(&counts));
    if (!take_counts(&reader, &counts))
        return false;
    struct slice times = reader_bytes(&reader, (uint64_t)counts.changes * 8);
    struct slice indexes = reader_bytes(&reader, counts.changes);
    struct slice types = reader_bytes(&reader, (uint64_t)counts.types * TYPE_BYTES);
    (void)reader_bytes(&reader, rest_bytes(&counts));
    bool good = reader_u8(&reader) == '\n' && !reader.failed && reader_left(&reader) > 0 &&
                bytes.data[bytes.size - 1] == '\n' && take_changes(times, indexes, types, zone) &&
                take_rule(reader_bytes(&reader, reader_left(&reader) - 1), zone);
    if (good)
        drop_what_the_rule_tells(zone);
    else
        zone_fini(zone);
    return good;
}
