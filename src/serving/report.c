/* What is wrong with the configuration, told in the log: see report.h. */
#include "serving/report.h"

#include "core/clock.h"
#include "core/log.h"

#include <stdio.h>

enum { PLACE_TEXT_SIZE = 512 };

static const char *print_place(const struct place *place, char text[static PLACE_TEXT_SIZE])
{
    const char *file = place->file != NULL ? place->file : "-";
    if (place->line == 0)
        snprintf(text, PLACE_TEXT_SIZE, "%s", file);
    else
        snprintf(text, PLACE_TEXT_SIZE, "%s:%u:%u", file, place->line, place->column);
    return text;
}

void report_diagnostics(const struct diagnostics *diagnostics, const char *error_event)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *item = &diagnostics->items[i];
        char place[PLACE_TEXT_SIZE];
        char code[8];
        bool is_error = item->severity == SEVERITY_ERROR;
        snprintf(code, sizeof(code), "%c%u", is_error ? 'E' : 'W', item->code);
        log_event(is_error ? LOG_ERROR : LOG_WARNING,
                  is_error ? error_event : "configuration_warning",
                  LOG_TEXT("place", print_place(&item->place, place)), LOG_TEXT("code", code),
                  LOG_TEXT("message", item->message), LOG_TEXT("hint", item->hint));
    }
}

/* What tenants need is only ever added to, while the global file may be what it was again. Each 0:
 * it does not differ. */
static struct {
    int64_t tenants_wall_ms;
    int64_t global_wall_ms;
    uint64_t written; /* what there was before the global file's first change */
} differs_since;

static void log_differs(const char *headers)
{
    log_event(LOG_WARNING, "haproxy_config_differs", LOG_TEXT("headers", headers),
              LOG_TEXT("until_then", headers != NULL ? "clients can send these headers" : NULL),
              LOG_TEXT("hint", "write it with `owui-spoa haproxy-config`, reload HAProxy"));
}

void report_haproxy_differs(const char *headers)
{
    differs_since.tenants_wall_ms = clock_wall_ms();
    log_differs(headers);
}

void report_haproxy_changes(uint64_t before, uint64_t now, int64_t written_wall_ms)
{
    (void)!report_haproxy_still_differs(written_wall_ms);
    if (differs_since.global_wall_ms == 0)
        differs_since.written = before;
    if (now == differs_since.written) {
        differs_since.global_wall_ms = 0;
    } else if (now != before) {
        differs_since.global_wall_ms = clock_wall_ms();
        log_differs(NULL);
    }
}

bool report_haproxy_still_differs(int64_t written_wall_ms)
{
    if (written_wall_ms >= differs_since.tenants_wall_ms)
        differs_since.tenants_wall_ms = 0;
    if (written_wall_ms >= differs_since.global_wall_ms)
        differs_since.global_wall_ms = 0;
    return differs_since.tenants_wall_ms != 0 || differs_since.global_wall_ms != 0;
}
