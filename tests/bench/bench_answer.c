/* What the agent's own code costs per NOTIFY: bytes in, decision, bytes out, without any socket.
 *
 *     bench_answer [TENANTS...]        default: 10 1000 100000
 *     bench_answer wildcards|paths [TENANTS...]    every 10th has the one, every 20th the other
 *     bench_answer replicas            1000 tenants, plain and with replicas of each kind
 *     bench_answer counts              the same decisions, uncounted, counted, and all of them
 * timed
 *
 * Bursts of 60 NOTIFYs for random tenants go through a SPOP session and come back as ACKs. Told are
 * the fastest, the first quarter's slowest and the median of 1,024 rounds: other programs can only
 * make a round slower. What more tenants add is the wait for memory.
 */
#include "agent/ahead.h"
#include "agent/decision_counts.h"
#include "core/clock.h"
#include "core/memory.h"
#include "spop/spop_session.h"
#include "support/spop_peer.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BURST = 60,    /* three connections' */
    BURSTS = 4096, /* so many that what they need is in no cache */
    ROUND_BURSTS = 16,
    BURST_BYTES = BURST * 400,
    ANSWER_BYTES = BURST * SPOP_ACK_MAX_BYTES,
    ROUNDS = 4 * BURSTS / ROUND_BURSTS,
    METRICS_PLACES = 1000, /* "metrics": {"tenants": ...} unless told */
};

struct bursts {
    struct slice bytes[BURSTS];
    unsigned next;
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* How tenants are asked for, as tests/bench/bench_spop.c does. */
static enum { BY_HOST = 1, BY_WILDCARD = 10, BY_PATH = 20 } asked_by = BY_HOST;

/* What the tenants are like, and so what HAProxy tells of each request. */
static unsigned replica_count; /* 0: a lone upstream */
static enum replica_sticky sticky;

/* {"id":"5b1c2f86-6c0e-4b5a-9d0c-3a9d1f0e7c11","exp":1800000000,"jti":"..."}, as a token has it */
#define CLAIMS                                                                               \
    "eyJpZCI6IjViMWMyZjg2LTZjMGUtNGI1YS05ZDBjLTNhOWQxZjBlN2MxMSIsImV4cCI6MTgwMDAwMDAwMCwian" \
    "RpIjoiMGQ0ZTE2YjAtN2Q1YS00YzM2LThhNTktMmI5ZjM2YjYzMDQxIn0"

static struct replica_set *make_replicas(void)
{
    struct replica_set *set = memory_new(sizeof(*set));
    set->sticky = sticky;
    set->fallback = STICKY_COOKIE;
    set->count = replica_count;
    set->items = memory_new(replica_count * sizeof(*set->items));
    for (unsigned i = 0; i < replica_count; i++) {
        struct replica *replica = &set->items[i];
        replica->upstream.host = memory_format("127.0.0.%u", i + 1);
        replica->upstream.port = 3000;
        require(ip_parse(slice_of(replica->upstream.host), &replica->upstream.address));
        replica->health = replica_health_new();
        replica_name(replica);
    }
    return set;
}

static struct tenant *make_tenant(unsigned number)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_format("t%06u", number);
    tenant->https_redirect = true;
    tenant->host_count = number % BY_WILDCARD == 0 ? 2 : 1;
    tenant->hosts = memory_new(tenant->host_count * sizeof(*tenant->hosts));
    for (size_t i = 0; i < tenant->host_count; i++) {
        tenant->hosts[i].name = memory_format("t%06u.example.test", number);
        tenant->hosts[i].wildcard = i > 0;
    }
    if (number % BY_PATH == 0) {
        tenant->path_count = 1;
        tenant->paths = memory_new(sizeof(*tenant->paths));
        tenant->paths[0].mode = PATH_STRIP;
        tenant->paths[0].segments = 1;
        tenant->paths[0].host = memory_copy_text(SLICE("shared.example.test"));
        tenant->paths[0].prefix = memory_format("/t%06u", number);
    }
    if (replica_count > 0) {
        tenant->replicas = make_replicas();
    } else {
        tenant->upstream.host = memory_copy_text(SLICE("127.0.0.1"));
        tenant->upstream.port = 3000;
        require(ip_parse(SLICE("127.0.0.1"), &tenant->upstream.address));
    }
    require(answer_prepare(tenant, NULL) == ERROR_OK);
    return tenant;
}

static void write_notify(struct writer *writer, uint64_t stream_id, unsigned tenant)
{
    char host[32] = "shared.example.test";
    char path[32] = "/api/v1/chats/";
    if (asked_by == BY_PATH)
        snprintf(path, sizeof(path), "/t%06u/api/v1/chats/", tenant);
    else
        snprintf(host, sizeof(host), "%st%06u.example.test", asked_by == BY_HOST ? "" : "chat.",
                 tenant);
    uint8_t *start = writer->position;
    spop_frame_begin(writer, SPOP_FRAME_NOTIFY, stream_id, 1);
    bool tells_user = replica_count > 0 && sticky == STICKY_USER;
    bool tells_cookie = replica_count > 0 && sticky != STICKY_CLIENT;
    peer_write_message(writer, SLICE("route"), (uint8_t)(5 + tells_user + tells_cookie));
    peer_write_string(writer, SLICE("host"), slice_of(host));
    peer_write_string(writer, SLICE("path"), slice_of(path));
    peer_write_ip(writer, SLICE("src"), SLICE("\xcb\x00\x71\x07"));
    peer_write_boolean(writer, SLICE("tls"), true);
    peer_write_boolean(writer, SLICE("hb"), false);
    if (tells_user)
        peer_write_string(writer, SLICE("utk"), SLICE(CLAIMS));
    if (tells_cookie)
        peer_write_string(writer, SLICE("rep"), SLICE("0123abcd"));
    spop_frame_end(writer, start);
}

static struct bursts *make_bursts(unsigned tenants)
{
    struct bursts *bursts = memory_new(sizeof(*bursts));
    for (unsigned i = 0; i < BURSTS; i++) {
        static uint8_t buffer[BURST_BYTES];
        struct writer writer = writer_of(buffer, sizeof(buffer));
        for (unsigned n = 0; n < BURST; n++)
            write_notify(&writer, 2 * n + 1,
                         (1 + (unsigned)random() % (tenants / asked_by)) * asked_by);
        require(!writer.failed);
        bursts->bytes[i] =
            slice_from(memory_copy_text(writer_written(&writer)), writer_used(&writer));
    }
    return bursts;
}

static void free_bursts(struct bursts *bursts)
{
    for (unsigned i = 0; i < BURSTS; i++)
        free((char *)(uintptr_t)bursts->bytes[i].data);
    free(bursts);
}

/* As the program counts: see src/serving/responder.c. The clock is read once in so many decisions;
 * in a loop that does nothing else a millisecond has thousands. */
static struct decision_counts *counts; /* NULL: nothing is counted */
static bool counts_first;              /* of a burst, that is timed */
static struct ahead ahead;
static bool is_first;

static enum spop_answer on_notify(void *context, const struct spop_notify *notify,
                                  struct writer *actions)
{
    struct decision decision;
    bool is_timed = counts_first && is_first;
    int64_t start_ns = is_timed ? clock_mono_ns() : 0;
    is_first = false;
    answer_notify(context, NULL, &ahead, notify, &decision, actions);
    if (is_timed)
        decision_counts_time(counts, &decision, clock_mono_ns() - start_ns);
    if (counts != NULL)
        decision_counts_add(counts, &decision);
    require(decision.outcome == OUTCOME_FORWARD);
    return SPOP_ANSWERED;
}

/* How long it takes, in nanoseconds, of what recv() has just brought. */
static int64_t feed(struct spop_session *session, struct snapshot *snapshot, struct slice burst)
{
    static uint8_t answers[ANSWER_BYTES];
    static uint8_t buffer[BURST_BYTES];
    struct writer out = writer_of(answers, sizeof(answers));
    memcpy(buffer, burst.data, burst.size);
    const struct slice received = slice_from(buffer, burst.size);
    int64_t start_ns = clock_mono_ns();
    is_first = true;
    answer_ahead(snapshot, &received, 1, &ahead);
    size_t used = spop_session_feed(session, received, &out, on_notify, snapshot, NULL);
    require(used == received.size);
    return clock_mono_ns() - start_ns;
}

/* Short, so that many go by without another program between. */
static double round_ns(struct spop_session *session, struct snapshot *snapshot,
                       struct bursts *bursts)
{
    int64_t ns = 0;
    for (unsigned i = 0; i < ROUND_BURSTS; i++)
        ns += feed(session, snapshot, bursts->bytes[bursts->next++ % BURSTS]);
    return (double)ns / (ROUND_BURSTS * BURST);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void start_session(struct spop_session *session, struct snapshot *snapshot)
{
    uint8_t hello[256];
    struct writer writer = writer_of(hello, sizeof(hello));
    spop_session_init(session);
    peer_write_hello(&writer, SPOP_MAX_FRAME_BYTES, false);
    feed(session, snapshot, writer_written(&writer));
}

static void measure(unsigned tenants)
{
    static struct settings settings;
    double ns[ROUNDS];
    struct route_registry *registry = route_registry_new();
    for (unsigned i = 1; i <= tenants; i++)
        route_registry_put(registry, make_tenant(i), NULL, NULL);
    struct snapshot snapshot = {.settings = &settings, .generation = 1};
    snapshot.table = route_registry_build(registry, 1);
    struct bursts *bursts = make_bursts(tenants);

    struct spop_session session;
    start_session(&session, &snapshot);
    for (unsigned i = 0; i < ROUNDS; i++)
        ns[i] = round_ns(&session, &snapshot, bursts);
    qsort(ns, ROUNDS, sizeof(ns[0]), compare);
    printf("%8u tenants: %6.0f ns per NOTIFY at best, %6.0f a quarter, %6.0f median\n", tenants,
           ns[0], ns[ROUNDS / 4], ns[ROUNDS / 2]);
    free_bursts(bursts);
    route_table_free(snapshot.table);
    route_registry_free(registry);
}

/* Each round is one of every kind, so that all see the same machine. */
static void measure_counts(unsigned tenants)
{
    enum { KINDS = 3 };
    static const char *const NAMES[KINDS] = {"uncounted", "counted", "and timed in each burst"};
    static struct settings settings;
    static double ns[KINDS][ROUNDS];
    struct decision_counts *own = decision_counts_new(COUNT_PLACES_MAX);
    struct route_registry *registry = route_registry_new();
    for (unsigned i = 1; i <= tenants; i++) {
        struct tenant *tenant = make_tenant(i);
        tenant->brief->count_place = (uint16_t)(i <= METRICS_PLACES ? i : COUNT_PLACE_OTHER);
        route_registry_put(registry, tenant, NULL, NULL);
    }
    struct snapshot snapshot = {.settings = &settings, .generation = 1};
    snapshot.table = route_registry_build(registry, 1);
    struct bursts *bursts = make_bursts(tenants);
    struct spop_session session;
    start_session(&session, &snapshot);
    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned kind = 0; kind < KINDS; kind++) {
            counts = kind > 0 ? own : NULL;
            counts_first = kind > 1;
            ns[kind][i] = round_ns(&session, &snapshot, bursts);
        }
    counts = NULL;
    counts_first = false;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        qsort(ns[kind], ROUNDS, sizeof(ns[0][0]), compare);
        printf("%8u tenants, %-23s %6.0f ns per NOTIFY at best, %6.0f median, x %.3f\n", tenants,
               NAMES[kind], ns[kind][0], ns[kind][ROUNDS / 2], ns[kind][0] / ns[0][0]);
    }
    free_bursts(bursts);
    route_table_free(snapshot.table);
    route_registry_free(registry);
    decision_counts_free(own);
}

static void measure_replicas(void)
{
    static const enum replica_sticky KINDS[] = {STICKY_CLIENT, STICKY_COOKIE, STICKY_USER};
    static const unsigned COUNTS[] = {3, 16};
    printf("%-24s", "a lone upstream");
    measure(1000);
    for (size_t i = 0; i < COUNT_OF(KINDS); i++) {
        for (size_t j = 0; j < COUNT_OF(COUNTS); j++) {
            sticky = KINDS[i];
            replica_count = COUNTS[j];
            printf("%2u replicas, %-11s", replica_count, replica_sticky_name(sticky));
            measure(1000);
        }
    }
}

int main(int count, char **arguments)
{
    static const unsigned DEFAULTS[] = {10, 1000, 100000};
    if (count == 2 && strcmp(arguments[1], "replicas") == 0) {
        measure_replicas();
        return EXIT_SUCCESS;
    }
    if (count == 2 && strcmp(arguments[1], "counts") == 0) {
        for (size_t i = 0; i < COUNT_OF(DEFAULTS); i++)
            measure_counts(DEFAULTS[i]);
        return EXIT_SUCCESS;
    }
    if (count > 1 && strcmp(arguments[1], "wildcards") == 0)
        asked_by = BY_WILDCARD;
    else if (count > 1 && strcmp(arguments[1], "paths") == 0)
        asked_by = BY_PATH;
    int first = asked_by == BY_HOST ? 1 : 2;
    for (int i = first; i < count; i++)
        measure((unsigned)atoi(arguments[i]));
    for (size_t i = 0; count == first && i < COUNT_OF(DEFAULTS); i++)
        measure(DEFAULTS[i]);
    return EXIT_SUCCESS;
}
