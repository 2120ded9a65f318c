/* Requests that are led to another tenant: see lead.h. */
#include "lead.h"

#include "outage.h"
#include "screen.h"

/* The host speaks with one voice: its HSTS is its own tenant's, and so are the shares. The route
 * that matched is not: it is none of the other tenant's. */
void lead_to(struct decision *decision, const struct tenant *tenant)
{
    if (decision->led_from == NULL)
        decision->led_from = decision->match.tenant;
    route_match_lead(&decision->match, tenant);
    decision->match.label = (struct slice){0};
    decision->rule = NULL;
}

/* One step and no more: what the other tenant's routes say of tenants is for its own hosts. Its
 * maintenance, its lists, its limits and its question who the user is are asked as on its own. */
bool lead_by_route(const struct snapshot *snapshot, const struct request *request,
                   struct decision *decision)
{
    const struct policy_rule *rule = decision->rule;
    if (rule == NULL || rule->tenant == NULL)
        return true;
    const struct tenant *tenant = route_table_tenant(snapshot->table, slice_of(rule->tenant));
    if (tenant == NULL) {
        decision->outcome = OUTCOME_DENY_UNRESOLVED;
        decision->status = 503;
        decision->target = decision->match.brief; /* no label's instance would mend it */
        return false;
    }
    decision->led_by = rule;
    lead_to(decision, tenant);
    if (tenant->brief->may_be_out && outage_decide(request, decision))
        return false;
    return screen_passes(snapshot, request, decision);
}
