/* Suspension and maintenance told to people: see explain_outage.h. */
#include "explain_outage.h"

#include "core/clock.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "json/json.h"

#include <stdlib.h>

static void put_text(struct json *object, const char *key, const char *text)
{
    json_put_text(object, key, slice_of(text));
}

/* Why maintenance holds, or not; the caller frees it. */
static char *maintenance_text(const struct maintenance *maintenance, int64_t now_s)
{
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    time_text_print(maintenance->from_s, from);
    time_text_print(maintenance->to_s, to);
    if (maintenance->on)
        return memory_format("maintenance, because \"on\" is true");
    if (maintenance_holds(maintenance, now_s))
        return memory_format("maintenance until %s, by its window", to);
    if (!maintenance->has_window)
        return memory_format("none: maintenance is ready, and \"on\" is false");
    return now_s < maintenance->from_s
               ? memory_format("none: the window of maintenance begins at %s", from)
               : memory_format("none: the window of maintenance ended at %s", to);
}

static void explain_maintenance(const struct request *request, const struct decision *decision,
                                struct json *root)
{
    const struct maintenance *maintenance = decision->match.tenant->maintenance;
    int64_t now_s = request->wall_s != 0 ? request->wall_s : clock_wall_s();
    char *text = maintenance_text(maintenance, now_s);
    if (decision->admitted) {
        char ip_text[IP_TEXT_SIZE];
        char *passed = memory_format("%s; %s is in \"allow_ips\" and passes", text,
                                     ip_print(&decision->client.ip, ip_text));
        free(text);
        text = passed;
    }
    put_text(root, "outage", text);
    free(text);
}

static const char *form_text(enum answer_form form)
{
    switch (form) {
    case FORM_TEXT: return "a word, for a socket or an asset";
    case FORM_JSON: return "JSON, for programs";
    case FORM_PAGE: return "a page, for people";
    }
    return "";
}

void explain_outage(const struct request *request, const struct decision *decision,
                    struct json *root)
{
    const struct tenant *tenant = decision->match.tenant;
    const char *page = NULL;
    if (tenant == NULL || !tenant->brief->may_be_out)
        return;
    if (tenant->suspended != NULL) {
        put_text(root, "outage", "suspended, whatever else there is");
        page = tenant->suspended->page;
    } else {
        explain_maintenance(request, decision, root);
        page = tenant->maintenance->page;
    }
    if (decision->outcome != OUTCOME_SUSPENDED && decision->outcome != OUTCOME_MAINTENANCE)
        return;
    put_text(root, "form", form_text(decision->form));
    if (decision->form == FORM_PAGE)
        put_text(root, "page", page != NULL ? page : "(built-in)");
}
