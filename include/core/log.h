/* The log: one line per event that an admin cares about.
 *
 * A line is an event name and key=value pairs, written to stderr with one write() call, as
 *
 *     2026-11-23T18:00:00.123Z info reload generation=88 tenants=412 took_ms=14
 *
 * or, with LOG_FORMAT_JSON, as an object with the same keys. Under systemd (JOURNAL_STREAM names
 * stderr) the time is left out and a <n> priority is put in front. Any thread may log: a line is
 * formatted on the caller's stack. A line that comes too often is counted instead and told once
 * per interval with `repeated=`. The hot path does not log.
 *
 * After log_setup() nobody waits for who reads stderr, be it a pipe, a socket or a stopped
 * terminal: a line that finds no room is lost, and `log_lost lines=` comes before the next one that
 * does.
 */
#pragma once

#include "core/slice.h"

#define LOG_LEVEL_TABLE(X) \
    X(ERROR, "error")      \
    X(WARNING, "warning")  \
    X(NOTICE, "notice")    \
    X(INFO, "info")        \
    X(DEBUG, "debug")

enum log_level {
#define X(NAME, TEXT) LOG_##NAME,
    LOG_LEVEL_TABLE(X)
#undef X
        LOG__MAX,
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* The daemon's: to be called once before threads start, and again by the main thread to change the
 * level. Who never calls it, as a command, waits for its reader and loses nothing. */
void log_setup(enum log_level level, enum log_format format);

/* Whether stderr is a stream to the journal, by its device and inode (systemd.exec(5)): whoever
 * sends the output of such a process elsewhere leaves it the variable. */
bool log_is_journal(void);

/* The value of one pair. Build them with the LOG_* macros below. */
struct log_field {
    const char *key;
    enum { LOG_FIELD_TEXT, LOG_FIELD_SLICE, LOG_FIELD_NUMBER } type;
    union {
        const char *text;
        struct slice slice;
        int64_t number;
    };
};

/* `text` may be NULL: the pair is then left out. */
#define LOG_TEXT(KEY, VALUE) \
    ((struct log_field){.key = (KEY), .type = LOG_FIELD_TEXT, .text = (const char *)(VALUE)})
#define LOG_SLICE(KEY, VALUE) \
    ((struct log_field){.key = (KEY), .type = LOG_FIELD_SLICE, .slice = (VALUE)})
#define LOG_NUMBER(KEY, VALUE) \
    ((struct log_field){.key = (KEY), .type = LOG_FIELD_NUMBER, .number = (int64_t)(VALUE)})

/* log_event(LOG_INFO, "reload", LOG_NUMBER("generation", 88), LOG_TEXT("by", "watch")); */
#define log_event(LEVEL, EVENT, ...)   \
    log_event_fields((LEVEL), (EVENT), \
                     (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, )(struct log_field){0}})

/* `fields` ends with one whose key is NULL. `event` must be a literal: lines are rate-limited by
 * (level, event), 20 lines per 10 s each. */
void log_event_fields(enum log_level level, const char *event, const struct log_field *fields);

/* A line that somebody has asked for, about what was at `wall_ms`: neither the level nor the rate
 * keeps it back, and core/log_memory.h does not keep it. */
void log_event_at(int64_t wall_ms, enum log_level level, const char *event,
                  const struct log_field *fields);

/* How many lines could not be written since the start. Any thread. */
uint64_t log_lost_lines(void);

/* Formats a line without writing it; for tests and the admin interface. Returns the length that
 * was written to `line`, which always ends with a newline. */
size_t log_format_line(char *line, size_t size, enum log_format format, bool journal,
                       int64_t wall_ms, enum log_level level, const char *event,
                       const struct log_field *fields);
