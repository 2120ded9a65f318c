/* The admin interface: questions that change nothing. What would become of a request, what was
 * decided and what was logged of late. */
#include "analysis/questions.h"

#include "core/log_memory.h"
#include "core/memory.h"
#include "explain.h"
#include "serving/haproxy_wanted.h"
#include "serving/live.h"
#include "serving/responder.h"
#include "serving/trace_entry.h"

#include <stdlib.h>

/* -- One request ------------------------------------------------------------------------------- */

static void explain(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    const struct live *live = context;
    const struct snapshot *snapshot = publisher_snapshot(live->publisher);
    const struct configuration *configuration = publisher_configuration(live->publisher);
    struct haproxy_wanted haproxy;
    struct error_text why;
    haproxy_wanted_init(&haproxy, configuration, snapshot);
    answer->body = explain_json(request->body, snapshot, &haproxy.config, &why);
    if (answer->body == NULL)
        admin_refuse(answer, 400, "%s; the body is {\"url\": \"https://chat.example.com/\"}",
                     why.text);
    else
        json_put_integer(answer->body, "generation", (int64_t)snapshot->generation);
    haproxy_wanted_fini(&haproxy);
}

/* -- Decisions --------------------------------------------------------------------------------- */

static void put_text(struct json *object, const char *key, struct slice text)
{
    if (text.size > 0)
        json_put_text(object, key, text);
}

static struct json *entry_json(const struct trace_entry *entry)
{
    struct json *one = json_new_object();
    char ip_text[IP_TEXT_SIZE];
    json_put_integer(one, "when_ms", entry->wall_ms);
    json_put_integer(one, "generation", (int64_t)entry->generation);
    put_text(one, "decision", trace_text(entry, TRACE_DECISION));
    if (entry->status != 0)
        json_put_integer(one, "status", entry->status);
    put_text(one, "reason", trace_text(entry, TRACE_REASON));
    put_text(one, "tenant", trace_text(entry, TRACE_TENANT));
    put_text(one, "host", trace_text(entry, TRACE_HOST));
    put_text(one, "path", trace_text(entry, TRACE_PATH));
    put_text(one, "upstream", trace_text(entry, TRACE_UPSTREAM));
    put_text(one, "request_id", trace_text(entry, TRACE_ID));
    if (entry->client.family != IP_NONE)
        json_put_text(one, "client", slice_of(ip_print(&entry->client, ip_text)));
    json_put_bool(one, "https", (entry->flags & TRACE_HTTPS) != 0);
    return one;
}

/* The loops copy theirs when they get a snapshot: what was copied since somebody asked last is
 * told, and they are asked for the next time. */
static void show_decisions(void *context, const struct admin_request *request,
                           struct admin_answer *answer)
{
    const struct live *live = context;
    struct json *list = json_new_array();
    bool is_recorded = false, is_there = false;
    (void)request;
    for (unsigned i = 0; i < loops_count(live->loops); i++) {
        is_recorded |= responder_records(live->responders[i]);
        struct trace_recent *recent = responder_take_recent(live->responders[i]);
        is_there |= recent != NULL;
        for (size_t j = 0; recent != NULL && j < recent->count; j++)
            json_append(list, entry_json(&recent->entries[j]));
        free(recent);
    }
    if (is_recorded && live->serving)
        publisher_repeat(live->publisher);
    json_put_bool(admin_answer_body(answer), "recorded", is_recorded);
    json_put_bool(admin_answer_body(answer), "pending", is_recorded && !is_there);
    json_put(admin_answer_body(answer), "decisions", list);
}

/* -- Events ------------------------------------------------------------------------------------ */

static void show_events(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    struct json *list = json_new_array();
    char *text = log_memory_lines();
    struct slice rest = slice_of(text);
    (void)context;
    (void)request;
    while (rest.size > 0) {
        struct json *line = json_parse(slice_cut(&rest, '\n'), 64 * 1024, NULL, NULL);
        if (line != NULL)
            json_append(list, line);
    }
    free(text);
    json_put(admin_answer_body(answer), "events", list);
}

const struct admin_operation QUESTION_OPERATIONS[] = {
    {"POST", "/v1/explain", explain, "what becomes of a request, and why", ""},
    {"GET", "/v1/decisions", show_decisions, "the last decisions, if they are recorded", ""},
    {"GET", "/v1/events", show_events, "the log's last errors, warnings and notices", ""},
    {0},
};
