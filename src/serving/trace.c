/* A ring of recent decisions: see trace.h. */
#include "serving/trace.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "serving/trace_entry.h"
#include "trace_map.h"

#include <errno.h>
#include <stdlib.h>

struct trace_ring {
    struct trace_entry *entries;
    unsigned size;
    unsigned next;
    bool wrapped;
    bool on_disk;
};

struct trace {
    char *path;  /* NULL: it is in memory alone */
    void *block; /* the file's mapping, or memory */
    size_t size;
    struct main_waker *lost_waker;
    struct trace_ring rings[];
};

/* -- Recording --------------------------------------------------------------------------------- */

static const uint8_t MOST_BYTES[] = {
#define X(NAME, BYTES) [TRACE_##NAME] = (BYTES),
    TRACE_TEXT_TABLE(X)
#undef X
};

/* Texts being put behind one another. */
struct texts {
    struct trace_entry *entry;
    size_t used;
    bool cut;
};

static void put(struct texts *texts, enum trace_text which, struct slice text)
{
    struct trace_entry *entry = texts->entry;
    size_t room = size_min(sizeof(entry->texts) - texts->used, MOST_BYTES[which]);
    size_t size = size_min(room, text.size);
    if (size > 0)
        memcpy(entry->texts + texts->used, text.data, size);
    entry->size[which] = (uint8_t)size;
    texts->used += size;
    texts->cut = texts->cut || size < text.size;
}

static void put_request(struct texts *texts, const struct request *request,
                        const struct decision *decision)
{
    struct trace_entry *entry = texts->entry;
    struct slice id = decision->client.request_id;
    texts->cut = false;
    put(texts, TRACE_ID, id.size > 0 ? id : request->unique_id);
    put(texts, TRACE_UPGRADE, request->upgrade);
    put(texts, TRACE_HOST, request->host);
    put(texts, TRACE_SNI, request->sni);
    put(texts, TRACE_ORIGIN, request->origin);
    put(texts, TRACE_PATH, request->path);
    entry->peer = request->client.peer;
    entry->flags |= (uint8_t)(TRACE_ROUTE | (request->client.peer_tls ? TRACE_TLS : 0));
    if (texts->cut)
        entry->flags |= TRACE_CUT;
    if (decision->identity != NULL || decision->identity_refusal != 0 ||
        request->share_cookie.size > 0 || request->cookie.size > 0)
        entry->flags |= TRACE_IDENTITY;
    entry->method = (uint8_t)policy_method(request->method);
    entry->credential = (uint8_t)request_credential(request);
}

/* Of a challenge, or of what could not be read, there is only the decision. */
static void put_rest(struct texts *texts, const struct decision *decision)
{
    struct trace_entry *entry = texts->entry;
    entry->peer = (struct ip){0};
    entry->method = entry->credential = 0;
    put(texts, TRACE_ID, (struct slice){0});
    put(texts, TRACE_UPGRADE, (struct slice){0});
    put(texts, TRACE_HOST, host_name(&decision->host));
    put(texts, TRACE_SNI, (struct slice){0});
    put(texts, TRACE_ORIGIN, (struct slice){0});
    put(texts, TRACE_PATH, decision->path);
}

/* Where it goes. Port 0 tells a backend from a host. */
static void put_upstream(struct texts *texts, const struct decision *decision)
{
    struct slice name = {0};
    texts->entry->port = 0;
    if (decision->outcome == OUTCOME_FORWARD) {
        const struct tenant *target = decision->target->tenant;
        const struct replica *replica = decision->replica.replica;
        const struct upstream *upstream = replica != NULL ? &replica->upstream : &target->upstream;
        name = slice_of(target->backend != NULL ? target->backend : upstream->host);
        texts->entry->port = target->backend != NULL ? 0 : upstream->port;
    }
    put(texts, TRACE_UPSTREAM, name);
}

static void put_decision(struct texts *texts, const struct decision *decision)
{
    struct trace_entry *entry = texts->entry;
    const struct tenant *tenant = decision->match.tenant;
    entry->client = decision->client.ip;
    entry->status = decision->status;
    entry->flags = (uint8_t)((decision->client.https ? TRACE_HTTPS : 0) |
                             (decision->client.is_untold ? TRACE_UNTOLD : 0));
    put(texts, TRACE_DECISION, slice_of(outcome_name(decision->outcome)));
    put(texts, TRACE_REASON, slice_of(decision->status >= 400 ? decision_reason(decision) : NULL));
    put(texts, TRACE_TENANT, slice_of(tenant != NULL ? tenant->name : NULL));
    put_upstream(texts, decision);
    put(texts, TRACE_TO, decision->location);
}

void trace_entry_set_decision(struct trace_entry *entry, const struct decision *decision)
{
    struct texts texts = {.entry = entry};
    put_decision(&texts, decision);
}

void trace_add(struct trace_ring *ring, uint64_t generation, uint64_t connection,
               const struct spop_notify *notify, const struct decision *decision)
{
    struct trace_entry *entry = &ring->entries[ring->next];
    struct texts texts = {.entry = entry};
    struct request request;

    entry->wall_ms = clock_wall_ms();
    entry->generation = generation;
    entry->connection = connection;
    entry->stream = notify->stream_id;
    put_decision(&texts, decision);
    if (request_decode(notify, &request))
        put_request(&texts, &request, decision);
    else
        put_rest(&texts, decision);
    entry->check = ring->on_disk ? trace_entry_check(entry) : 1;
    if (++ring->next == ring->size) {
        ring->next = 0;
        ring->wrapped = true;
    }
}

/* -- Telling ----------------------------------------------------------------------------------- */

struct trace_recent *trace_recent(const struct trace_ring *ring)
{
    size_t count = size_min(ring->wrapped ? ring->size : ring->next, TRACE_RECENT_MAX);
    struct trace_recent *recent = memory_new(sizeof(*recent) + count * sizeof(recent->entries[0]));
    recent->count = count;
    for (size_t i = 0; i < count; i++)
        recent->entries[i] = ring->entries[(ring->next + ring->size - 1 - i) % ring->size];
    return recent;
}

/* -- Life -------------------------------------------------------------------------------------- */

static void on_file_lost(void *context)
{
    const struct trace *trace = context;
    log_event(LOG_ERROR, "trace_not_written", LOG_TEXT("file", trace->path),
              LOG_TEXT("reason", "somebody has cut it short, or its disk has no room for it"),
              LOG_TEXT("so", "decisions are recorded in memory alone"),
              LOG_TEXT("hint", "leave the file to the service (it never grows, and needs no "
                               "logrotate), make room, then restart the service"));
}

static void *make_block(struct trace *trace, const struct trace_header *header,
                        struct main_loop *main_loop, struct error_text *why)
{
    if (trace->path == NULL)
        return memory_new(trace->size);
    trace->lost_waker = main_waker_new(main_loop, on_file_lost, trace);
    return trace_map_open(trace->path, trace->size, header, trace->lost_waker, why);
}

struct trace *trace_new(unsigned entries, unsigned loops, const char *path,
                        struct main_loop *main_loop, struct error_text *why)
{
    const struct trace_header header = {
        .magic = TRACE_MAGIC,
        .entry_bytes = sizeof(struct trace_entry),
        .loops = loops,
        .entries = entries,
    };
    struct trace *trace = memory_new(sizeof(*trace) + loops * sizeof(trace->rings[0]));
    trace->size = TRACE_HEADER_BYTES + (size_t)loops * entries * sizeof(struct trace_entry);
    trace->path = path != NULL ? memory_copy_text(slice_of(path)) : NULL;
    trace->block = make_block(trace, &header, main_loop, why);
    if (trace->block == NULL) {
        int cause = errno;
        trace_free(trace);
        errno = cause;
        return NULL;
    }
    struct trace_entry *first = (void *)((char *)trace->block + TRACE_HEADER_BYTES);
    for (unsigned i = 0; i < loops; i++)
        trace->rings[i] = (struct trace_ring){
            .entries = first + (size_t)i * entries, .size = entries, .on_disk = path != NULL};
    return trace;
}

void trace_free(struct trace *trace)
{
    if (trace == NULL)
        return;
    if (trace->path == NULL)
        free(trace->block);
    else if (trace->block != NULL)
        trace_map_close(trace->block, trace->size);
    main_waker_free(trace->lost_waker);
    free(trace->path);
    free(trace);
}

struct trace_ring *trace_ring(struct trace *trace, unsigned loop)
{
    return trace != NULL ? &trace->rings[loop] : NULL;
}
