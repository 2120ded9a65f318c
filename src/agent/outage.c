/* Suspension and maintenance: see outage.h. */
#include "outage.h"

#include "core/clock.h"
#include "kind.h"

/* People get a page; programs JSON, which Open WebUI's own page shows as its error; what is neither
 * read nor shown, a word. */
static enum answer_form form_of(const struct request *request, const struct decision *decision)
{
    if (request->upgrade.size > 0)
        return FORM_TEXT;
    switch (kind_of(decision)) {
    case OWUI_API: return FORM_JSON;
    case OWUI_SOCKET:
    case OWUI_ASSET: return FORM_TEXT;
    case OWUI_PAGE:
    case OWUI_OTHER: break;
    }
    return FORM_PAGE;
}

static void refuse(const struct request *request, struct decision *decision, enum outcome outcome,
                   uint16_t status)
{
    decision->outcome = outcome;
    decision->status = status;
    decision->form = form_of(request, decision);
}

bool outage_decide(const struct request *request, struct decision *decision)
{
    const struct tenant *tenant = decision->match.tenant;
    const struct maintenance *maintenance = tenant->maintenance;
    if (tenant->suspended != NULL) {
        refuse(request, decision, OUTCOME_SUSPENDED, tenant->suspended->status);
        return true;
    }
    if (maintenance == NULL)
        return false;
    /* The clock is looked at for those alone who have a window, and replaced by who replays. */
    int64_t now_s = request->wall_s != 0      ? request->wall_s
                    : maintenance->has_window ? clock_wall_s()
                                              : 0;
    if (!maintenance_holds(maintenance, now_s))
        return false;
    const struct ip *ip = client_known_ip(&decision->client);
    if (ip != NULL && maintenance_admits(maintenance, ip)) {
        decision->admitted = true;
        return false;
    }
    refuse(request, decision, OUTCOME_MAINTENANCE, 503);
    decision->retry_after_s = maintenance_retry_after_s(maintenance, now_s);
    return true;
}
