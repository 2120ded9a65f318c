/* A request that is in the trace: see explain_recorded.h. */
#include "analysis/explain_recorded.h"

#include "cli/terminal.h"
#include "core/memory.h"
#include "core/time_text.h"

#include <stdio.h>
#include <stdlib.h>

static const struct trace_entry *find(const struct trace_entry *entries, size_t count,
                                      const char *id)
{
    for (size_t i = count; i-- > 0;)
        if (slice_equal(trace_text(&entries[i], TRACE_ID), slice_of(id)))
            return &entries[i];
    return NULL;
}

bool recorded_find(const struct configuration *configuration, const char *id,
                   struct recorded *recorded)
{
    struct error_text why;
    size_t count = 0;
    char ip_text[IP_TEXT_SIZE];
    *recorded = (struct recorded){.entry = NULL};
    if (configuration->trace_file == NULL) {
        terminal_complain("decisions are not recorded: set \"trace\": {\"file\": ...}");
        return false;
    }
    struct trace_entry *entries = trace_file_read(configuration->trace_file, &count, &why);
    const struct trace_entry *found = entries != NULL ? find(entries, count, id) : NULL;
    if (entries == NULL)
        terminal_complain("%s", why.text);
    else if (found == NULL)
        terminal_complain("no request %s among the %zu in %s", id, count,
                          configuration->trace_file);
    if (found != NULL) {
        recorded->entry = memory_new(sizeof(*found));
        *recorded->entry = *found;
        trace_request_make(recorded->entry, configuration->settings, &recorded->made);
        recorded->url = memory_format(
            "%s://%.*s%.*s", (found->flags & TRACE_HTTPS) != 0 ? "https" : "http",
            SLICE_PRINT(trace_text(found, TRACE_HOST)), SLICE_PRINT(trace_text(found, TRACE_PATH)));
        recorded->from = memory_copy_text(slice_of(ip_print(&found->peer, ip_text)));
        struct slice method = recorded->made.request.method;
        recorded->method = memory_copy_text(method.size > 0 ? method : SLICE("?"));
    }
    free(entries);
    return found != NULL;
}

void recorded_fini(struct recorded *recorded)
{
    free(recorded->entry);
    free(recorded->url);
    free(recorded->from);
    free(recorded->method);
    *recorded = (struct recorded){.entry = NULL};
}

static const char *print_time(const struct trace_entry *entry, char text[static TIME_TEXT_SIZE])
{
    return time_text_print(entry->wall_ms / 1000, text);
}

struct json *recorded_json(const struct recorded *recorded)
{
    const struct trace_entry *entry = recorded->entry;
    struct json *object = json_new_object();
    char time[TIME_TEXT_SIZE];
    json_put_text(object, "when", slice_of(print_time(entry, time)));
    json_put_integer(object, "generation", (int64_t)entry->generation);
    json_put_text(object, "decision", trace_text(entry, TRACE_DECISION));
    if (entry->status != 0)
        json_put_integer(object, "status", entry->status);
    if (entry->size[TRACE_REASON] > 0)
        json_put_text(object, "reason", trace_text(entry, TRACE_REASON));
    if (entry->size[TRACE_TENANT] > 0)
        json_put_text(object, "tenant", trace_text(entry, TRACE_TENANT));
    if (entry->size[TRACE_UPSTREAM] > 0)
        json_put_text(object, "upstream", trace_text(entry, TRACE_UPSTREAM));
    json_put_bool(object, "depends_on_identity", (entry->flags & TRACE_IDENTITY) != 0);
    return object;
}

void recorded_print(const struct recorded *recorded)
{
    const struct trace_entry *entry = recorded->entry;
    char time[TIME_TEXT_SIZE];
    printf("recorded   %s, generation %llu: %.*s", print_time(entry, time),
           (unsigned long long)entry->generation, SLICE_PRINT(trace_text(entry, TRACE_DECISION)));
    if (entry->size[TRACE_REASON] > 0)
        printf(", %.*s", SLICE_PRINT(trace_text(entry, TRACE_REASON)));
    if (entry->size[TRACE_TENANT] > 0)
        printf(", tenant %.*s", SLICE_PRINT(trace_text(entry, TRACE_TENANT)));
    if (entry->size[TRACE_UPSTREAM] > 0)
        printf(", upstream %.*s", SLICE_PRINT(trace_text(entry, TRACE_UPSTREAM)));
    puts((entry->flags & TRACE_IDENTITY) != 0
             ? "\n  but      it depended on who the user was, which is not recorded\n"
             : "\n");
    puts("as it would be decided now:\n");
}
