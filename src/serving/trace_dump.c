/* Recorded decisions in the log: see trace_dump.h. */
#include "serving/trace_dump.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "serving/responder.h"
#include "serving/trace_entry.h"

#include <stdlib.h>

enum {
    SLICE_LINES = 20,
    SLICE_MS = 10,
    /* A loop takes over a snapshot within milliseconds. Slices are counted, not time: a main thread
     * that was busy itself has not waited for anybody. */
    WAITS_MAX = 100,
};

struct trace_dump {
    struct responder *const *responders;
    unsigned count;
    struct main_timer *timer;
    unsigned loop;               /* whose are being shown; `count`: all were */
    struct trace_recent *recent; /* NULL: it has not copied them yet */
    size_t left;                 /* of them, the first being the latest */
    unsigned waits;              /* slices without a copy, of any loop: all were asked at once */
};

static void tell_entry(const struct trace_entry *entry, unsigned loop)
{
    char ip_text[IP_TEXT_SIZE];
    const bool has_reason = entry->size[TRACE_REASON] > 0;
    const struct log_field fields[] = {
        LOG_NUMBER("loop", loop),
        LOG_NUMBER("generation", entry->generation),
        LOG_NUMBER("connection", entry->connection),
        LOG_NUMBER("stream", entry->stream),
        LOG_SLICE("outcome", trace_text(entry, TRACE_DECISION)),
        LOG_NUMBER("status", entry->status),
        has_reason ? LOG_SLICE("reason", trace_text(entry, TRACE_REASON))
                   : LOG_TEXT("reason", NULL),
        LOG_SLICE("tenant", trace_text(entry, TRACE_TENANT)),
        LOG_SLICE("host", trace_text(entry, TRACE_HOST)),
        LOG_SLICE("path", trace_text(entry, TRACE_PATH)),
        LOG_TEXT("client", ip_print(&entry->client, ip_text)),
        LOG_TEXT("proto", (entry->flags & TRACE_HTTPS) != 0 ? "https" : "http"),
        {0},
    };
    log_event_at(entry->wall_ms, LOG_INFO, "trace", fields);
}

/* Whoever asks is told at any level. */
static void tell_not_shown(unsigned loop)
{
    const struct log_field fields[] = {
        LOG_NUMBER("loop", loop),
        LOG_TEXT("reason", "it does not answer"),
        LOG_TEXT("hint", "owui-spoa status tells whether it stands still; what it has decided is "
                         "in the trace's file, if there is one"),
        {0},
    };
    log_event_at(clock_wall_ms(), LOG_WARNING, "trace_not_shown", fields);
}

/* False while the loop has not copied its own. */
static bool take_next(struct trace_dump *dump)
{
    dump->recent = responder_take_dump(dump->responders[dump->loop]);
    dump->left = dump->recent != NULL ? dump->recent->count : 0;
    return dump->recent != NULL;
}

static void drop_recent(struct trace_dump *dump)
{
    free(dump->recent);
    dump->recent = NULL;
}

static void on_timer(void *context)
{
    struct trace_dump *dump = context;
    unsigned lines = 0;
    while (dump->loop < dump->count && lines < SLICE_LINES) {
        if (dump->recent == NULL && !take_next(dump)) {
            if (dump->waits++ < WAITS_MAX)
                return;
            tell_not_shown(dump->loop++);
            lines++;
            continue;
        }
        for (; dump->left > 0 && lines < SLICE_LINES; lines++)
            tell_entry(&dump->recent->entries[--dump->left], dump->loop);
        if (dump->left == 0) {
            drop_recent(dump);
            dump->loop++;
        }
    }
    if (dump->loop == dump->count)
        main_timer_stop(dump->timer);
}

struct trace_dump *trace_dump_new(struct main_loop *main_loop, struct responder *const *responders,
                                  unsigned count)
{
    struct trace_dump *dump = memory_new(sizeof(*dump));
    dump->responders = responders;
    dump->count = count;
    dump->timer = main_timer_new(main_loop, on_timer, dump);
    return dump;
}

void trace_dump_free(struct trace_dump *dump)
{
    if (dump == NULL)
        return;
    main_timer_free(dump->timer);
    drop_recent(dump);
    free(dump);
}

void trace_dump_begin(struct trace_dump *dump)
{
    drop_recent(dump);
    dump->loop = dump->waits = 0;
    for (unsigned i = 0; i < dump->count; i++) {
        if (!responder_records(dump->responders[i]))
            return;
        responder_want_dump(dump->responders[i]);
    }
    main_timer_every(dump->timer, SLICE_MS);
}
