/* Who the user is: see identify.h. */
#include "identify.h"

#include "kind.h"
#include "lead.h"
#include "outage.h"

static bool finish(struct decision *decision, enum outcome outcome, uint16_t status)
{
    decision->outcome = outcome;
    decision->status = status;
    return false;
}

/* Whether "/a/b/c/" has `name` between two slashes. */
static bool lists(struct slice list, struct slice name)
{
    while (list.size > name.size) {
        const char *found = memmem(list.data + 1, list.size - 1, name.data, name.size);
        if (found == NULL)
            return false;
        const char *behind = found + name.size;
        if (found[-1] == '/' && behind < list.data + list.size && *behind == '/')
            return true;
        list = slice_skip(list, (size_t)(found - list.data));
    }
    return false;
}

/* HAProxy's configuration may be older than the tenant. As long as clients could send a header that
 * the tenant believes, it has no requests. */
static bool is_stripped(const struct tenant *tenant, struct slice stripped)
{
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct header *header = &tenant->headers[i];
        struct slice name = slice_of(header->variable);
        if (header->value.has_identity && !lists(stripped, slice_skip(name, 2)))
            return false;
    }
    return true;
}

/* HAProxy tells the same in every request, so that once is enough for each tenant. */
static bool is_safe(const struct tenant *tenant, const struct request *request)
{
    struct slice stripped = request->identity.stripped;
    if (request->verifier == NULL)
        return is_stripped(tenant, stripped);
    if (verifier_has_seen(request->verifier, tenant->content_hash, stripped))
        return true;
    if (!is_stripped(tenant, stripped))
        return false;
    verifier_note_seen(request->verifier, tenant->content_hash, stripped);
    return true;
}

static bool refuse_unstripped(struct decision *decision)
{
    decision->identity_refusal = IDENTITY_REFUSAL_UNSTRIPPED;
    return finish(decision, OUTCOME_DENY_UNSTRIPPED, 503);
}

/* To sign in again would not help whose token nobody looks at. */
static bool refuse_unknown_user(const struct identity_rule *rule, struct decision *decision)
{
    if (decision->identity_refusal == IDENTITY_REFUSAL_UNVERIFIED)
        return finish(decision, OUTCOME_DENY_UNVERIFIED, 503);
    if (rule->login == NULL || !kind_is_page(decision))
        return finish(decision, OUTCOME_DENY_IDENTITY, 401);
    decision->location = slice_of(rule->login);
    return finish(decision, OUTCOME_REDIRECT_LOGIN, 302);
}

/* The request is another tenant's from here on. */
static bool lead_by_domain(const struct snapshot *snapshot, const struct request *request,
                           struct decision *decision)
{
    const char *name = identity_rule_tenant(decision->match.tenant->identity,
                                            identity_text(decision->identity, IDENTITY_EMAIL));
    const struct tenant *tenant =
        name != NULL ? route_table_tenant(snapshot->table, slice_of(name)) : NULL;
    if (tenant == NULL || tenant->identity == NULL ||
        tenant->identity->from != IDENTITY_FROM_SHARED)
        return finish(decision, OUTCOME_DENY_EMAIL_DOMAIN, 403);
    lead_to(decision, tenant);
    if (tenant->brief->may_be_out && outage_decide(request, decision))
        return false;
    return is_safe(tenant, request) || refuse_unstripped(decision);
}

bool identify(const struct snapshot *snapshot, const struct request *request,
              struct decision *decision)
{
    const struct tenant *tenant = decision->match.tenant;
    const struct identity_rule *rule = tenant->identity;
    if (!is_safe(tenant, request))
        return refuse_unstripped(decision);
    decision->identity_refusal = IDENTITY_REFUSAL_ABSENT;
    if (request->verifier != NULL)
        decision->identity_refusal =
            verifier_ask(request->verifier, rule, tenant->content_hash, snapshot->keys,
                         &request->identity, &decision->identity);
    if (decision->identity == NULL)
        return rule->required ? refuse_unknown_user(rule, decision) : true;
    return rule->domain_count == 0 || lead_by_domain(snapshot, request, decision);
}

/* An identity provider's token is nothing that Open WebUI knows. */
bool identify_spends(const struct decision *decision)
{
    return decision->identity != NULL && decision->asked->brief->token_in_authorization;
}
