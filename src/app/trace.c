/* A ring of recent decisions: see trace.h. */
#include "trace.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"

#include <stdlib.h>
#include <unistd.h>

enum { TRACE_HOST_BYTES = 80, TRACE_PATH_BYTES = 80, TRACE_LINE_BYTES = 1024 };

struct entry {
    int64_t wall_ms;
    uint64_t generation;
    uint64_t connection;
    uint64_t stream;
    struct ip client;
    uint16_t status;
    uint8_t outcome; /* enum outcome */
    bool https;
    uint8_t host_size;
    uint8_t path_size;
    uint8_t tenant_size;
    char reason[24];
    char host[TRACE_HOST_BYTES];
    char path[TRACE_PATH_BYTES];
    char tenant[TENANT_NAME_MAX_BYTES];
};

struct trace {
    unsigned size;
    unsigned next;
    bool wrapped;
    struct entry entries[];
};

struct trace *trace_new(unsigned entries)
{
    if (entries == 0)
        return NULL;
    struct trace *trace = memory_new(sizeof(*trace) + entries * sizeof(trace->entries[0]));
    trace->size = entries;
    return trace;
}

void trace_free(struct trace *trace)
{
    free(trace);
}

/* Returns how much of `text` found room. */
static uint8_t copy(char *room, size_t size, struct slice text)
{
    size_t length = size_min(size, text.size);
    if (length > 0)
        memcpy(room, text.data, length);
    return (uint8_t)length;
}

void trace_add(struct trace *trace, uint64_t generation, uint64_t connection, uint64_t stream,
               const struct decision *decision)
{
    struct entry *entry = &trace->entries[trace->next];
    const struct tenant *tenant = decision->match.tenant;

    entry->wall_ms = clock_wall_ms();
    entry->generation = generation;
    entry->connection = connection;
    entry->stream = stream;
    entry->client = decision->client.ip;
    entry->status = decision->status;
    entry->outcome = (uint8_t)decision->outcome;
    entry->https = decision->client.https;
    entry->host_size = copy(entry->host, sizeof(entry->host), host_name(&decision->host));
    entry->path_size = copy(entry->path, sizeof(entry->path), decision->path);
    struct slice name = slice_of(tenant != NULL ? tenant->name : NULL);
    entry->tenant_size = copy(entry->tenant, sizeof(entry->tenant), name);
    struct slice reason = slice_of(decision->status >= 400 ? decision_reason(decision) : NULL);
    entry->reason[copy(entry->reason, sizeof(entry->reason) - 1, reason)] = '\0';
    if (++trace->next == trace->size) {
        trace->next = 0;
        trace->wrapped = true;
    }
}

/* Not through log_event(), which would count most of the lines instead of writing them. */
static void dump_entry(const struct entry *entry, unsigned loop)
{
    char line[TRACE_LINE_BYTES];
    char ip_text[IP_TEXT_SIZE];
    const struct log_field fields[] = {
        LOG_NUMBER("loop", loop),
        LOG_NUMBER("generation", entry->generation),
        LOG_NUMBER("connection", entry->connection),
        LOG_NUMBER("stream", entry->stream),
        LOG_TEXT("outcome", outcome_name((enum outcome)entry->outcome)),
        LOG_NUMBER("status", entry->status),
        LOG_TEXT("reason", entry->reason[0] != '\0' ? entry->reason : NULL),
        LOG_SLICE("tenant", slice_from(entry->tenant, entry->tenant_size)),
        LOG_SLICE("host", slice_from(entry->host, entry->host_size)),
        LOG_SLICE("path", slice_from(entry->path, entry->path_size)),
        LOG_TEXT("client", ip_print(&entry->client, ip_text)),
        LOG_TEXT("proto", entry->https ? "https" : "http"),
        {0},
    };
    bool journal = getenv("JOURNAL_STREAM") != NULL;
    size_t size = log_format_line(line, sizeof(line), LOG_FORMAT_TEXT, journal, entry->wall_ms,
                                  LOG_INFO, "trace", fields);
    if (write(STDERR_FILENO, line, size) < 0)
        return; /* nobody is there to read it */
}

void trace_dump(const struct trace *trace, unsigned loop)
{
    if (trace->wrapped)
        for (unsigned i = trace->next; i < trace->size; i++)
            dump_entry(&trace->entries[i], loop);
    for (unsigned i = 0; i < trace->next; i++)
        dump_entry(&trace->entries[i], loop);
}
