/* The admin interface: how the daemon is, and reading everything again. */
#include "serving/live.h"

#include "core/clock.h"
#include "core/memory.h"
#include "core/version.h"
#include "serving/notices.h"
#include "serving/responder.h"
#include "sidecar/sidecar.h"
#include "sources/sources.h"
#include "upstreams/instances.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROBLEMS_MAX = 20 };

static void count_state(void *context, const struct sources_entry *entry)
{
    size_t *counts = context;
    counts[entry->state]++;
}

static void put_tenants(struct json *object, const struct live *live)
{
    size_t counts[SOURCES_STATE__MAX] = {0};
    struct json *tenants = json_new_object();
    sources_each(publisher_sources(live->publisher), count_state, counts);
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        json_put_integer(tenants, sources_state_name((enum sources_state)i), (int64_t)counts[i]);
    json_put_integer(tenants, "instances",
                     (int64_t)instances_count(publisher_instances(live->publisher)));
    json_put(object, "tenants", tenants);
}

/* -- What is wrong with whole files ------------------------------------------------------------ */

struct complaints {
    const struct sources *sources;
    struct json *list;
};

/* Reads the file again: these are few, and what is wrong is told as it is now. */
static void complain(void *context, const char *path)
{
    struct complaints *complaints = context;
    struct diagnostics diagnostics = {0};
    if (json_count(complaints->list) >= PROBLEMS_MAX)
        return;
    sources_complain(complaints->sources, path, &diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++)
        if (diagnostics.items[i].severity == SEVERITY_ERROR)
            json_append(complaints->list, diagnostic_json(&diagnostics.items[i]));
    diagnostics_fini(&diagnostics);
}

/* No tenant's state tells of these: the file may have none that is known, and the global file may
 * have said all that is in force, before it was changed. */
static void put_problems(struct json *object, const struct live *live)
{
    struct complaints complaints = {publisher_sources(live->publisher), json_new_array()};
    if (publisher_record(live->publisher)->is_rejected)
        complain(&complaints, publisher_configuration(live->publisher)->path);
    sources_each_unreadable(complaints.sources, complain, &complaints);
    json_put(object, "problems", complaints.list);
}

static void put_decisions(struct json *object, const struct live *live)
{
    struct json *outcomes = json_new_object();
    struct json *refusals = json_new_object();
    const struct responder_sums sums = responder_sums(live->responders, loops_count(live->loops));
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        json_put_integer(outcomes, outcome_name((enum outcome)i), (int64_t)sums.outcomes[i]);
    for (unsigned i = REFUSAL_NONE + 1; i < REFUSAL__MAX; i++)
        if (sums.refusals[i] > 0)
            json_put_integer(refusals, refusal_name((enum refusal)i), (int64_t)sums.refusals[i]);
    json_put(object, "decisions", outcomes);
    json_put(object, "refusals", refusals);
    json_put_integer(object, "held", (int64_t)sums.held);
    json_put_integer(object, "held_in_vain", (int64_t)sums.held_in_vain);
}

void live_put_generation(struct json *object, const struct live *live)
{
    const struct snapshot *snapshot = publisher_snapshot(live->publisher);
    char hash[17];
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)snapshot->content_hash);
    json_put_integer(object, "generation", (int64_t)snapshot->generation);
    json_put_text(object, "hash", slice_of(hash));
}

static void show_status(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    const struct live *live = context;
    struct json *body = admin_answer_body(answer);
    (void)request;
    json_put_text(body, "version", SLICE(OWUI_SPOA_VERSION));
    json_put_integer(body, "pid", getpid());
    json_put_bool(body, "serving", live->serving);
    json_put_text(body, "configuration", slice_of(publisher_configuration(live->publisher)->path));
    json_put_integer(body, "started", live->start_wall_s);
    json_put_integer(body, "uptime_s", (clock_mono_ms() - live->start_mono_ms) / 1000);
    live_put_generation(body, live);
    put_tenants(body, live);
    put_problems(body, live);
    notices_put(body, live);
    json_put_integer(body, "loops", loops_count(live->loops));
    json_put_integer(body, "connections",
                     (int64_t)loops_counter(live->loops, LOOP_CONNECTIONS_OPEN));
    put_decisions(body, live);
}

char *live_who(const struct admin_peer *peer)
{
    char buffer[4096];
    struct passwd about;
    if (peer->token != NULL)
        return memory_format("token %s", peer->token);
    struct passwd *found = NULL;
    if (getpwuid_r(peer->uid, &about, buffer, sizeof(buffer), &found) != 0)
        found = NULL;
    return memory_format("%s (uid %lld, pid %d)", found != NULL ? found->pw_name : "somebody",
                         (long long)peer->uid, (int)peer->pid);
}

static void reload(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    const struct live *live = context;
    if (!live->serving) {
        admin_refuse(answer, 503, "the daemon is starting or stopping");
        return;
    }
    char *who = live_who(&request->peer);
    const struct origin origin = {.by = "admin", .who = who, .what = "reload"};
    publisher_reload(live->publisher, &origin);
    free(who);
    live_put_generation(admin_answer_body(answer), live);
    put_tenants(admin_answer_body(answer), live);
    put_problems(admin_answer_body(answer), live);
    notices_put(admin_answer_body(answer), live);
}

const struct admin_operation STATUS_OPERATIONS[] = {
    {"GET", "/v1/status", show_status, "tells how the daemon is", ""},
    {"POST", "/v1/reload", reload, "reads the configuration again", ""},
    {0},
};

/* -- Without certificates ---------------------------------------------------------------------- */

static void refuse_certificates(void *context, const struct admin_request *request,
                                struct admin_answer *answer)
{
    (void)context;
    (void)request;
    admin_refuse(answer, 409,
                 "no certificates are looked after: set \"acme\": {\"directory\": ...}");
}

struct admin_operation *live_certificate_refusals(void)
{
    size_t count = 0;
    while (CERTIFICATE_OPERATIONS[count].path != NULL)
        count++;
    struct admin_operation *rows = memory_new((count + 1) * sizeof(*rows));
    for (size_t i = 0; i < count; i++) {
        rows[i] = CERTIFICATE_OPERATIONS[i];
        rows[i].handle = refuse_certificates;
    }
    return rows;
}
