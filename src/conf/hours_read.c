/* Hours of the week as they stand in a file: see hours_read.h. */
#include "hours_read.h"

#include "conf/text_file.h"
#include "core/decimal.h"
#include "core/hash.h"
#include "core/memory.h"
#include "value.h"

#include <stdlib.h>

#define ZONES_FOLDER "/usr/share/zoneinfo"

enum { ALL_DAYS = 0x7f, DAY_MINUTES = 24 * 60, ZONE_MAX_BYTES = 64 };

static void read_days(const struct node *node, void *target)
{
    static const struct choice DAYS[] = {{"sun", 0}, {"mon", 1}, {"tue", 2}, {"wed", 3},
                                         {"thu", 4}, {"fri", 5}, {"sat", 6}};
    struct hours *hours = target;
    int day;
    if (!node_is(node, JSON_TYPE_ARRAY))
        return;
    hours->days = 0;
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        if (!node_choice(&i.node, DAYS, COUNT_OF(DAYS), &day))
            continue;
        if (hours->days >> day & 1)
            node_report(&i.node, JSON_PART_VALUE, CODE_LISTED_TWICE, NULL,
                        "\"%s\" is in the list already", DAYS[day].name);
        hours->days |= (uint8_t)(1u << day);
    }
    if (json_count(node->value) == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("without this key, every day is meant"),
                    "\"days\" must list one day at least");
}

/* "08:00"; "24:00" is midnight at the end of a day. */
static bool time_parse(struct slice text, uint16_t *minute)
{
    uint64_t hours, minutes;
    if (text.size != 5 || text.data[2] != ':' || !decimal_parse(slice_head(text, 2), 2, &hours) ||
        !decimal_parse(slice_skip(text, 3), 2, &minutes))
        return false;
    *minute = (uint16_t)(hours * 60 + minutes);
    return minutes < 60 && *minute <= DAY_MINUTES;
}

static void read_minute(const struct node *node, uint16_t *minute)
{
    struct slice text;
    if (node_text(node, &text) && !time_parse(text, minute))
        node_report(node, JSON_PART_VALUE, CODE_BAD_TIME,
                    memory_format("hours and minutes: \"08:00\", \"17:30\", \"24:00\""),
                    "\"%.*s\" is not a time of the day", SLICE_PRINT(text));
}

static void read_from(const struct node *node, void *target)
{
    read_minute(node, &((struct hours *)target)->from_minute);
}

static void read_to(const struct node *node, void *target)
{
    read_minute(node, &((struct hours *)target)->to_minute);
}

/* No dot: no way out of the folder. */
static bool is_zone_byte(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "_-+/");
}

static bool is_zone_name(struct slice text)
{
    return text.size > 0 && text.size <= ZONE_MAX_BYTES && text.data[0] != '/' &&
           slice_consists_of(text, is_zone_byte);
}

/* When summer time begins is for governments to say, and for the next update of these files. */
static bool load_zone(const char *path, struct document *document, struct zone *zone)
{
    char *block = NULL;
    struct slice bytes;
    if (document->named != NULL)
        texts_add(document->named, memory_copy_text(slice_of(path)));
    bool good = text_file_read(path, document->diagnostics, &block, &bytes, NULL) == ERROR_OK &&
                zone_parse_file(bytes, zone);
    if (good)
        document->zones_hash = hash_content(bytes, document->zones_hash);
    free(block);
    return good;
}

static void read_zone(const struct node *node, void *target)
{
    struct hours *hours = target;
    struct slice text;
    if (!node_text(node, &text) || zone_parse_offset(text, &hours->zone))
        return;
    char *path = memory_format(ZONES_FOLDER "/%.*s", SLICE_PRINT(text));
    if (!is_zone_name(text) || !load_zone(path, node->document, &hours->zone))
        node_report(node, JSON_PART_VALUE, CODE_BAD_TIME,
                    memory_format("\"UTC\", \"+01:00\", or a name below " ZONES_FOLDER
                                  ", as \"Europe/Berlin\""),
                    "\"%.*s\" is not a time zone that is known here", SLICE_PRINT(text));
    free(path);
}

struct hours *hours_read(const struct node *node)
{
    static const struct option OPTIONS[] = {
        {"days", read_days}, {"from", read_from}, {"to", read_to}, {"zone", read_zone}};
    struct diagnostics *diagnostics = node->document->diagnostics;
    size_t errors = diagnostics->errors;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return NULL;
    struct hours *hours = memory_new(sizeof(*hours));
    *hours = (struct hours){.days = ALL_DAYS, .to_minute = DAY_MINUTES};
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), hours);
    /* From the end of a day to the begin of the next there is no minute either. */
    bool is_never = hours->from_minute == DAY_MINUTES && hours->to_minute == 0;
    if (diagnostics->errors == errors && (hours->from_minute == hours->to_minute || is_never))
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("without \"from\" and \"to\", whole days are meant"),
                    "\"from\" and \"to\" are the same");
    if (diagnostics->errors == errors)
        return hours;
    hours_free(hours);
    return NULL;
}
