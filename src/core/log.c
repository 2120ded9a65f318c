/* The log: see core/log.h.
 *
 * The only shared state is the level, the format, a small table of counters and how many lines were
 * lost, all atomic. Two events that fall into one slot of the table share a budget, which is
 * harmless.
 */
#include "core/log.h"

#include "core/clock.h"
#include "core/cursor.h"
#include "core/log_memory.h"
#include "log_output.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    RATE_SLOTS = 256,
    RATE_LINES = 20,
    RATE_INTERVAL_MS = 10000,
};

static const char *const LEVEL_NAMES[] = {
#define X(NAME, TEXT) [LOG_##NAME] = TEXT,
    LOG_LEVEL_TABLE(X)
#undef X
};
static_assert(COUNT_OF(LEVEL_NAMES) == LOG__MAX, "a level has no name");

/* syslog(3) priorities, which the journal reads from a leading <n>. */
static const int LEVEL_PRIORITIES[LOG__MAX] = {3, 4, 5, 6, 7};

static _Atomic int log_level = LOG_INFO;
static _Atomic int log_format = LOG_FORMAT_TEXT;
static atomic_bool log_to_journal;

static _Atomic uint64_t lost_lines;
static _Atomic uint64_t untold_lines; /* of those: what log_lost is still to tell of */

static struct rate_slot {
    _Atomic int64_t window_start_ms;
    _Atomic uint32_t lines;
} rate_slots[RATE_SLOTS];

bool log_is_journal(void)
{
    const char *told = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat about;
    if (told == NULL || fstat(STDERR_FILENO, &about) != 0)
        return false;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)about.st_dev, (uintmax_t)about.st_ino);
    return strcmp(told, own) == 0;
}

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&log_level, (int)level);
    atomic_store(&log_format, (int)format);
    atomic_store(&log_to_journal, log_is_journal());
    log_output_never_wait();
}

/* Whether a line may be written now; `repeated` gets how many were held back in the last window. */
static bool rate_allows(enum log_level level, const char *event, uint32_t *repeated)
{
    uint32_t hash = 2166136261u + (uint32_t)level;
    for (const char *p = event; *p != '\0'; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    struct rate_slot *slot = &rate_slots[hash % RATE_SLOTS];
    int64_t now_ms = clock_mono_ms();
    int64_t start_ms = atomic_load(&slot->window_start_ms);

    *repeated = 0;
    if (now_ms - start_ms >= RATE_INTERVAL_MS &&
        atomic_compare_exchange_strong(&slot->window_start_ms, &start_ms, now_ms)) {
        uint32_t lines = atomic_exchange(&slot->lines, 0);
        *repeated = lines > RATE_LINES ? lines - RATE_LINES : 0;
    }
    return atomic_fetch_add(&slot->lines, 1) < RATE_LINES;
}

static void put_text(struct writer *out, const char *text)
{
    writer_bytes(out, slice_of(text));
}

/* One text value: quoted if it must be, with control bytes escaped so that a line stays a line and
 * no value can forge another pair. The same escapes serve JSON, where bytes that are not ASCII are
 * replaced, because a peer's bytes need not be UTF-8. */
static void put_quoted(struct writer *out, struct slice value, bool json)
{
    writer_u8(out, '"');
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = (uint8_t)value.data[i];
        char escape[8];
        if (c == '"' || c == '\\') {
            writer_u8(out, '\\');
            writer_u8(out, c);
        } else if (c < 0x20 || c == 0x7f || (json && c >= 0x80)) {
            snprintf(escape, sizeof(escape), json ? "\\u%04x" : "\\x%02x", c);
            put_text(out, escape);
        } else {
            writer_u8(out, c);
        }
    }
    writer_u8(out, '"');
}

static bool is_plain(struct slice value)
{
    if (value.size == 0)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = (uint8_t)value.data[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f)
            return false;
    }
    return true;
}

static void put_field(struct writer *out, const struct log_field *field, bool json)
{
    struct slice value = field->slice;
    char number[24];

    if (field->type == LOG_FIELD_TEXT) {
        if (field->text == NULL)
            return;
        value = slice_of(field->text);
    } else if (field->type == LOG_FIELD_NUMBER) {
        snprintf(number, sizeof(number), "%lld", (long long)field->number);
        value = slice_of(number);
    }
    put_text(out, json ? ",\"" : " ");
    put_text(out, field->key);
    put_text(out, json ? "\":" : "=");
    if (field->type == LOG_FIELD_NUMBER || (!json && is_plain(value)))
        writer_bytes(out, value);
    else
        put_quoted(out, value, json);
}

static void put_time(struct writer *out, int64_t wall_ms)
{
    char text[40];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, sizeof(text) - length, ".%03dZ", (int)(wall_ms % 1000));
    put_text(out, text);
}

size_t log_format_line(char *line, size_t size, enum log_format format, bool journal,
                       int64_t wall_ms, enum log_level level, const char *event,
                       const struct log_field *fields)
{
    assert(size >= 64);
    bool json = format == LOG_FORMAT_JSON;
    struct writer out = writer_of(line, size - 3); /* room for '"', '}' and the newline */

    if (journal) {
        char priority[8];
        snprintf(priority, sizeof(priority), "<%d>", LEVEL_PRIORITIES[level]);
        put_text(&out, priority);
    }
    if (json)
        put_text(&out, "{\"time\":\"");
    if (json || !journal)
        put_time(&out, wall_ms);
    put_text(&out, json ? "\",\"level\":\"" : journal ? "" : " ");
    put_text(&out, LEVEL_NAMES[level]);
    put_text(&out, json ? "\",\"event\":\"" : " ");
    put_text(&out, event);
    if (json)
        writer_u8(&out, '"');
    for (const struct log_field *field = fields; field->key != NULL; field++) {
        /* A pair that does not fit is left out whole, so that JSON stays JSON. */
        struct writer before = out;
        put_field(&out, field, json);
        if (out.failed)
            out = before;
    }
    size_t used = writer_used(&out);
    if (json)
        line[used++] = '}';
    line[used++] = '\n';
    return used;
}

static bool write_line(int64_t wall_ms, enum log_level level, const char *event,
                       const struct log_field *fields)
{
    char line[LOG_LINE_MAX_BYTES];
    size_t length = log_format_line(line, sizeof(line), (enum log_format)atomic_load(&log_format),
                                    atomic_load(&log_to_journal), wall_ms, level, event, fields);
    return log_output_write(line, length);
}

/* What is missing is told where it is missing, before the next line. False while that cannot be
 * written either. */
static bool tell_lost(void)
{
    uint64_t lines = atomic_load_explicit(&untold_lines, memory_order_relaxed);
    if (lines == 0)
        return true;
    lines = atomic_exchange(&untold_lines, 0);
    const struct log_field told[] = {
        LOG_NUMBER("lines", lines),
        LOG_TEXT("reason", "nobody read them in time, or there was no room for them"),
        {0},
    };
    int64_t wall_ms = clock_wall_ms();
    if (lines > 0 && !write_line(wall_ms, LOG_WARNING, "log_lost", told)) {
        atomic_fetch_add(&untold_lines, lines);
        return false;
    }
    if (lines > 0)
        log_memory_add(wall_ms, LOG_WARNING, "log_lost", told);
    return true;
}

void log_event_at(int64_t wall_ms, enum log_level level, const char *event,
                  const struct log_field *fields)
{
    if (tell_lost() && write_line(wall_ms, level, event, fields))
        return;
    atomic_fetch_add(&lost_lines, 1);
    atomic_fetch_add(&untold_lines, 1);
}

void log_event_fields(enum log_level level, const char *event, const struct log_field *fields)
{
    uint32_t repeated;

    if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    if (!rate_allows(level, event, &repeated))
        return;
    if (level <= LOG_NOTICE)
        log_memory_add(clock_wall_ms(), level, event, fields);
    if (repeated > 0) {
        const struct log_field told[] = {
            LOG_TEXT("of", event), LOG_NUMBER("repeated", repeated), {0}};
        log_event_fields(LOG_NOTICE, "log_suppressed", told);
    }
    log_event_at(clock_wall_ms(), level, event, fields);
}

uint64_t log_lost_lines(void)
{
    return atomic_load(&lost_lines);
}
