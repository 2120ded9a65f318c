/* GET /metrics, the main thread's part: loops, decisions, configuration, servers. The sidecar adds
 * what it knows of certificates. What each means is told by docs/METRICS.md. */
#include "serving/live.h"

#include "admin/metrics_text.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/version.h"
#include "route/replica.h"
#include "serving/count_places.h"
#include "serving/notices.h"
#include "serving/responder.h"
#include "sources/sources.h"
#include "upstreams/instances.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* -- The process ------------------------------------------------------------------------------- */

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

/* Both are NOT_KNOWN when there is no descriptor left to look with. */
enum { NOT_KNOWN = -1 };

static long resident_pages(void)
{
    long size = 0;
    long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return NOT_KNOWN;
    if (fscanf(file, "%ld %ld", &size, &resident) != 2)
        resident = NOT_KNOWN;
    fclose(file);
    return resident;
}

static long open_descriptors(void)
{
    long count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return NOT_KNOWN;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count > 3 ? count - 3 : 0; /* without ".", ".." and the folder itself */
}

/* What is not known is left out: 0 would be believed just when it matters. */
static void tell_known(struct metrics_text *text, const char *name, const char *help, long count,
                       long unit)
{
    if (count == NOT_KNOWN)
        return;
    metrics_family(text, METRICS_GAUGE, name, help);
    metrics_value(text, (double)count * (double)unit, NULL);
}

/* By the names that every exporter has. */
static void tell_process(struct metrics_text *text, const struct live *live)
{
    struct rusage usage = {0};
    struct rlimit limit = {0};
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &limit);
    metrics_family(text, METRICS_COUNTER, "process_cpu_seconds",
                   "User and system CPU time in seconds.");
    metrics_value(text, seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime), NULL);
    tell_known(text, "process_resident_memory_bytes", "Resident memory.", resident_pages(),
               sysconf(_SC_PAGESIZE));
    tell_known(text, "process_open_fds", "Open file descriptors.", open_descriptors(), 1);
    metrics_family(text, METRICS_GAUGE, "process_max_fds",
                   "How many file descriptors may be open.");
    metrics_value(text, (double)limit.rlim_cur, NULL);
    metrics_family(text, METRICS_GAUGE, "process_start_time_seconds",
                   "When the process started, in seconds since 1970.");
    metrics_value(text, (double)live->start_wall_s, NULL);
}

static void tell_daemon(struct metrics_text *text, const struct live *live)
{
    metrics_family(text, METRICS_INFO, "owui_spoa_build", "Which owui-spoa this is.");
    metrics_info(text, METRICS_LABELS({"version", SLICE(OWUI_SPOA_VERSION)}));
    metrics_family(text, METRICS_GAUGE, "owui_spoa_serving",
                   "1 while HAProxy is served, 0 while the daemon starts or stops.");
    metrics_value(text, live->serving, NULL);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_loops", "Threads that answer HAProxy.");
    metrics_value(text, loops_count(live->loops), NULL);
    metrics_family(text, METRICS_COUNTER, "owui_spoa_log_lines_lost",
                   "Lines of the log that could not be written.");
    metrics_count(text, log_lost_lines(), NULL);
}

/* -- Configuration ----------------------------------------------------------------------------- */

static void count_state(void *context, const struct sources_entry *entry)
{
    size_t *counts = context;
    counts[entry->state]++;
}

static void tell_notices(struct metrics_text *text, const struct live *live)
{
    static const char *const KINDS[] = {NOTICE_THREAD_STANDS_STILL,   NOTICE_ACCEPT_PAUSED,
                                        NOTICE_CONNECTIONS_FULL,      NOTICE_CANNOT_WATCH,
                                        NOTICE_RESTART_NEEDED,        NOTICE_JWKS_FAILED,
                                        NOTICE_HAPROXY_CONFIG_DIFFERS};
    struct json *list = notices_list(live);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_notices",
                   "What waits for somebody to do something, as owui-spoa status tells it.");
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        metrics_value(text, (double)notices_count(list, KINDS[i]),
                      METRICS_LABELS({"kind", slice_of(KINDS[i])}));
    json_free(list);
}

static void tell_tenants(struct metrics_text *text, const struct live *live)
{
    size_t counts[SOURCES_STATE__MAX] = {0};
    sources_each(publisher_sources(live->publisher), count_state, counts);
    metrics_family(
        text, METRICS_GAUGE, "owui_spoa_tenants",
        "Tenants of all files by state; kept, broken, shadowed and contested ones are wrong.");
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        metrics_value(
            text, (double)counts[i],
            METRICS_LABELS({"state", slice_of(sources_state_name((enum sources_state)i))}));
    metrics_family(text, METRICS_GAUGE, "owui_spoa_instances",
                   "Labels of wildcard hosts that have an upstream of their own.");
    metrics_value(text, (double)instances_count(publisher_instances(live->publisher)), NULL);
}

static void tell_configuration(struct metrics_text *text, const struct live *live)
{
    const struct publisher_record *record = publisher_record(live->publisher);
    char hash[17];
    snprintf(hash, sizeof(hash), "%016" PRIx64, publisher_snapshot(live->publisher)->content_hash);
    metrics_family(text, METRICS_INFO, "owui_spoa_configuration",
                   "What is in force: agents with equal hashes decide the same.");
    metrics_info(text, METRICS_LABELS({"hash", slice_of(hash)}));
    metrics_family(text, METRICS_GAUGE, "owui_spoa_snapshot_generation",
                   "Number of the snapshot that decisions are made from.");
    metrics_value(text, (double)publisher_snapshot(live->publisher)->generation, NULL);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_snapshot_timestamp_seconds",
                   "When its table of tenants was made, in seconds since 1970.");
    metrics_value(text, (double)record->snapshot_wall_s, NULL);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_configuration_rejected",
                   "1 while the global file cannot serve, and what was in force before still is.");
    metrics_value(text, record->is_rejected, NULL);
    metrics_family(text, METRICS_COUNTER, "owui_spoa_configuration_readings",
                   "Times that files were read, by what came of it.");
    metrics_count(text, record->published, METRICS_LABELS({"result", SLICE("published")}));
    metrics_count(text, record->unchanged, METRICS_LABELS({"result", SLICE("unchanged")}));
    metrics_count(text, record->rejected, METRICS_LABELS({"result", SLICE("rejected")}));
    metrics_family(text, METRICS_COUNTER, "owui_spoa_configuration_problems",
                   "Errors and warnings that were found while reading files.");
    metrics_count(text, record->errors, METRICS_LABELS({"severity", SLICE("error")}));
    metrics_count(text, record->warnings, METRICS_LABELS({"severity", SLICE("warning")}));
    tell_notices(text, live);
    tell_tenants(text, live);
}

/* -- Connections ------------------------------------------------------------------------------- */

struct counted {
    enum loop_counter counter;
    const char *label;
};

static void tell_counted(struct metrics_text *text, const struct live *live, const char *name,
                         const char *help, const char *label, const struct counted *counted,
                         size_t count)
{
    metrics_family(text, METRICS_COUNTER, name, help);
    for (size_t i = 0; i < count; i++)
        metrics_count(text, loops_counter(live->loops, counted[i].counter),
                      METRICS_LABELS({label, slice_of(counted[i].label)}));
}

static void tell_one(struct metrics_text *text, const struct live *live, enum loop_counter counter,
                     const char *name, const char *help)
{
    metrics_family(text, METRICS_COUNTER, name, help);
    metrics_count(text, loops_counter(live->loops, counter), NULL);
}

static void tell_connections(struct metrics_text *text, const struct live *live)
{
    static const struct counted ENDS[] = {
        {LOOP_CLOSED_BY_PEER, "by_peer"},
        {LOOP_CLOSED_TRUNCATED, "truncated"},
        {LOOP_CLOSED_HEALTH_CHECK, "health_check"},
        {LOOP_CLOSED_DISCONNECT, "disconnect"},
        {LOOP_CLOSED_PROTOCOL, "protocol"},
        {LOOP_CLOSED_HELLO_TIMEOUT, "hello_timeout"},
        {LOOP_CLOSED_FRAME_TIMEOUT, "frame_timeout"},
        {LOOP_CLOSED_WRITE_TIMEOUT, "write_timeout"},
        {LOOP_CLOSED_OVERFLOW, "overflow"},
        {LOOP_CLOSED_GAVE_WAY, "gave_way"},
        {LOOP_CLOSED_NO_MEMORY, "no_memory"},
        {LOOP_CLOSED_IO_ERROR, "io_error"},
        {LOOP_CLOSED_DRAINED, "drained"},
        {LOOP_CLOSED_STOPPED, "stopped"},
    };
    static const struct counted KINDS[] = {
        {LOOP_PROTOCOL_TOO_BIG, "too_big"},
        {LOOP_PROTOCOL_INVALID, "invalid"},
        {LOOP_PROTOCOL_FRAGMENT, "fragment"},
    };
    metrics_family(text, METRICS_GAUGE, "owui_spoa_connections",
                   "Connections that HAProxy has open.");
    metrics_value(text, (double)loops_counter(live->loops, LOOP_CONNECTIONS_OPEN), NULL);
    tell_one(text, live, LOOP_CONNECTIONS_TAKEN, "owui_spoa_connections_taken",
             "Connections that HAProxy has opened.");
    tell_counted(text, live, "owui_spoa_connections_closed", "Connections by how they ended.",
                 "reason", ENDS, COUNT_OF(ENDS));
    tell_counted(text, live, "owui_spoa_protocol_errors",
                 "SPOP connections that were ended because the peer broke the protocol.", "kind",
                 KINDS, COUNT_OF(KINDS));
}

static void tell_frames(struct metrics_text *text, const struct live *live)
{
    tell_one(text, live, LOOP_NOTIFIES, "owui_spoa_notifies", "NOTIFY frames answered or held.");
    tell_one(text, live, LOOP_RECEIVES, "owui_spoa_receives", "recv() calls on connections.");
    tell_one(text, live, LOOP_SENDS, "owui_spoa_sends", "send() calls on connections.");
    tell_one(text, live, LOOP_SHORT_SENDS, "owui_spoa_short_sends",
             "send() calls that could not send everything.");
    tell_one(text, live, LOOP_BYTES_IN, "owui_spoa_received_bytes", "Bytes from HAProxy.");
    tell_one(text, live, LOOP_BYTES_OUT, "owui_spoa_sent_bytes", "Bytes to HAProxy.");
}

/* -- Decisions --------------------------------------------------------------------------------- */

static void tell_outcomes(struct metrics_text *text, const struct responder_sums *sums)
{
    metrics_family(text, METRICS_COUNTER, "owui_spoa_decisions", "Decisions by result.");
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        metrics_count(text, sums->outcomes[i],
                      METRICS_LABELS({"result", slice_of(outcome_name((enum outcome)i))}));
    metrics_family(text, METRICS_COUNTER, "owui_spoa_bad_requests",
                   "Decisions with the result bad-request, by what was wrong.");
    for (unsigned i = REFUSAL_NONE + 1; i < REFUSAL__MAX; i++)
        metrics_count(text, sums->refusals[i],
                      METRICS_LABELS({"reason", slice_of(refusal_name((enum refusal)i))}));
}

static void tell_times(struct metrics_text *text, const struct decision_times *times)
{
    double bounds_s[DECISION_TIME_BOUNDS];
    for (unsigned i = 0; i < DECISION_TIME_BOUNDS; i++)
        bounds_s[i] = (double)decision_time_bound_ns(i) / 1e9;
    metrics_family(text, METRICS_HISTOGRAM, "owui_spoa_decision_duration_seconds",
                   "How long decisions took, message to answer; one in a millisecond is timed.");
    metrics_histogram(text, &(struct metrics_histogram){
                                .bounds_s = bounds_s,
                                .buckets = times->buckets,
                                .bound_count = DECISION_TIME_BOUNDS,
                                .sum_s = (double)times->sum_ns / 1e9,
                            });
}

static void tell_held(struct metrics_text *text, const struct responder_sums *sums)
{
    metrics_family(text, METRICS_COUNTER, "owui_spoa_held_requests",
                   "Requests that waited for the address of a label's upstream.");
    metrics_count(text, sums->held, NULL);
    metrics_family(text, METRICS_COUNTER, "owui_spoa_held_requests_in_vain",
                   "Of these: those that were answered with 503.");
    metrics_count(text, sums->held_in_vain, NULL);
}

/* -- By tenant --------------------------------------------------------------------------------- */

/* What a metric of many rows is told with. */
struct rows {
    struct metrics_text *text;
    const struct count_places *places;
};

/* Results that never were are left out, but for the first: so a tenant that nobody has asked for is
 * there too. */
static void tell_place(const struct rows *rows, struct slice tenant, unsigned place)
{
    struct decision_tally tally;
    count_places_tell(rows->places, place, &tally);
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        if (tally.outcomes[i] > 0 || i == OUTCOME_FORWARD)
            metrics_count(rows->text, tally.outcomes[i],
                          METRICS_LABELS({"tenant", tenant},
                                         {"result", slice_of(outcome_name((enum outcome)i))}));
}

static void tell_tenant_decisions(void *context, const char *name, unsigned place)
{
    tell_place(context, slice_of(name), place);
}

static void tell_server(const struct rows *rows, const struct tenant *tenant,
                        const struct upstream *upstream, bool is_up)
{
    char *url = upstream_url(upstream);
    metrics_value(rows->text, is_up,
                  METRICS_LABELS({"tenant", slice_of(tenant->name)}, {"server", slice_of(url)}));
    free(url);
}

/* Like its decisions: only of a tenant that has a place. */
static void tell_servers(void *context, const struct tenant *tenant)
{
    const struct rows *rows = context;
    if (tenant->brief->count_place == COUNT_PLACE_OTHER || tenant->instance_of != NULL)
        return;
    for (size_t i = 0; tenant->replicas != NULL && i < tenant->replicas->count; i++) {
        const struct replica *replica = &tenant->replicas->items[i];
        tell_server(rows, tenant, &replica->upstream,
                    replica->upstream.address.family != IP_NONE && replica_share(replica) > 0);
    }
    if (tenant->replicas == NULL && tenant->health != NULL)
        tell_server(rows, tenant, &tenant->upstream,
                    atomic_load_explicit(&tenant->health->share, memory_order_relaxed) > 0);
}

static void tell_by_tenant(struct metrics_text *text, const struct live *live)
{
    struct rows rows = {text, publisher_places(live->publisher)};
    metrics_family(text, METRICS_COUNTER, "owui_spoa_tenant_decisions",
                   "Decisions by tenant and result; _other: tenants beyond metrics.tenants.");
    count_places_each(rows.places, tell_tenant_decisions, &rows);
    tell_place(&rows, SLICE("_other"), COUNT_PLACE_OTHER);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_upstream_up",
                   "1 while requests are sent to a server that is checked, 0 while not.");
    route_table_each_tenant(publisher_snapshot(live->publisher)->table, tell_servers, &rows);
}

static void show_metrics(void *context, const struct admin_request *request,
                         struct admin_answer *answer)
{
    const struct live *live = context;
    const struct responder_sums sums = responder_sums(live->responders, loops_count(live->loops));
    struct metrics_text text;
    metrics_begin(&text, request, answer);
    tell_daemon(&text, live);
    tell_process(&text, live);
    tell_configuration(&text, live);
    tell_connections(&text, live);
    tell_frames(&text, live);
    tell_outcomes(&text, &sums);
    tell_times(&text, &sums.times);
    tell_held(&text, &sums);
    tell_by_tenant(&text, live);
    metrics_end(&text, answer);
}

const struct admin_operation METRICS_OPERATIONS[] = {
    {"GET", "/metrics", show_metrics, "tells metrics, as Prometheus reads them", ""},
    {0},
};
