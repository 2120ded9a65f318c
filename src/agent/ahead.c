/* Looking ahead: see agent/ahead.h. */
#include "agent/ahead.h"

#include "spop/spop_frame.h"

enum {
    AHEAD_MAX = 64, /* HAProxy has up to 20 requests in flight on a connection */
};

/* The Host that a NOTIFY tells, as its sender wrote it and without a port: what is not in normal
 * form is not found, which costs it the head start and nothing else. */
static struct slice peek_host(struct slice bytes)
{
    struct spop_frame frame;
    struct spop_message message;
    struct slice name;
    struct spop_value value;
    if (!spop_frame_parse(bytes, &frame) || frame.type != SPOP_FRAME_NOTIFY)
        return (struct slice){0};
    struct reader messages = reader_of(frame.payload);
    if (!spop_message_next(&messages, &message))
        return (struct slice){0};
    while (spop_argument_next(&message, &name, &value)) {
        if (!slice_equal(name, SLICE("host")) || value.type != SPOP_STRING || value.bytes.size == 0)
            continue;
        const char *colon = memchr(value.bytes.data, ':', value.bytes.size);
        return colon != NULL ? slice_head(value.bytes, (size_t)(colon - value.bytes.data))
                             : value.bytes;
    }
    return (struct slice){0};
}

/* Adds to the `count` hosts that are there, and returns how many there are then. */
static size_t peek_hosts(struct slice frames, struct slice hosts[static AHEAD_MAX], size_t count)
{
    struct reader reader = reader_of(frames);
    while (count < AHEAD_MAX) {
        uint32_t length = reader_u32(&reader);
        struct slice frame = reader_bytes(&reader, length);
        if (reader.failed)
            break;
        struct slice host = peek_host(frame);
        if (host.size > 0)
            hosts[count++] = host;
    }
    return count;
}

static void prefetch(const void *start, size_t size)
{
    const char *first = (const char *)start - (uintptr_t)start % CACHE_LINE_BYTES;
    for (const char *line = first; line < (const char *)start + size; line += CACHE_LINE_BYTES)
        __builtin_prefetch(line);
}

size_t answer_ahead(const struct snapshot *snapshot, const struct slice *received, size_t count)
{
    struct slice hosts[AHEAD_MAX];
    const struct tenant *tenants[AHEAD_MAX];
    if (!route_table_is_large(snapshot->table))
        return 0;
    size_t host_count = 0;
    for (size_t i = 0; i < count; i++)
        host_count = peek_hosts(received[i], hosts, host_count);
    if (host_count < 2)
        return 0; /* nothing could overlap */
    size_t found = route_table_ahead(snapshot->table, hosts, host_count, tenants);
    for (size_t i = 0; i < found; i++)
        if (tenants[i]->prepared != tenants[i]->near)
            prefetch(tenants[i]->prepared, tenants[i]->prepared_slots_size);
    return found;
}
