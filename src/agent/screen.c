/* A tenant's policy, applied: see screen.h. */
#include "screen.h"

#include "agent/share.h"
#include "core/clock.h"
#include "identify.h"
#include "kind.h"
#include "route/origin.h"
#include "route/scanner.h"

static bool refuse(struct decision *decision, enum outcome outcome, uint16_t status)
{
    decision->outcome = outcome;
    decision->status = status;
    return false;
}

/* Whether `name` leads to the instance that the request is for. */
static bool is_same_instance(const struct snapshot *snapshot, const struct decision *decision,
                             struct slice name)
{
    const struct tenant *tenant = decision->match.tenant;
    struct route_match match;
    if (slice_equal(name, host_name(&decision->host)))
        return true;
    route_table_find(snapshot->table, name, decision->path, &match);
    return match.tenant == tenant && (tenant->backend != NULL || !tenant->upstream.per_label ||
                                      slice_equal(match.label, decision->match.label));
}

/* -- The name of the TLS handshake ------------------------------------------------------------ */

/* A browser sends requests for any host that the certificate of an open HTTP/2 connection has (RFC
 * 9113 9.1.1); after 421 it opens one of its own. */
SELDOM static bool sni_matches(const struct snapshot *snapshot, const struct request *request,
                               const struct decision *decision)
{
    struct host host;
    return !request->client.peer_tls || (host_parse(request->sni, &host) == REFUSAL_NONE &&
                                         is_same_instance(snapshot, decision, host_name(&host)));
}

/* -- Origin ----------------------------------------------------------------------------------- */

/* The page may be on any host of the tenant, at the usual port or at the request's: what listens at
 * others may be somebody else's. A page that came without TLS may have been changed on its way. */
static bool is_own_page(const struct snapshot *snapshot, const struct decision *decision,
                        const struct origin *origin)
{
    return origin_is_web(origin, !decision->client.https) &&
           (origin->host.port == 0 || origin->host.port == decision->host.port) &&
           is_same_instance(snapshot, decision, host_name(&origin->host));
}

static bool is_listed(const struct policy *policy, const struct origin *origin)
{
    char buffer[ORIGIN_MAX_BYTES];
    struct slice canonical = origin_canonical(origin, buffer);
    for (size_t i = 0; i < policy->origin_count; i++)
        if (slice_equal(canonical, slice_of(policy->origins[i])))
            return true;
    return false;
}

SELDOM static bool origin_passes(const struct snapshot *snapshot, const struct request *request,
                                 const struct decision *decision, const struct policy *policy)
{
    struct origin origin;
    enum origin_check check = policy != NULL ? policy->origin_check : ORIGIN_CHECKED;
    if (check == ORIGIN_IGNORED || !slice_equal_nocase(request->upgrade, SLICE("websocket")))
        return true;
    if (request->origin.size == 0)
        return check == ORIGIN_CHECKED;
    return origin_parse(request->origin, &origin) &&
           (is_own_page(snapshot, decision, &origin) ||
            (policy != NULL && is_listed(policy, &origin)));
}

/* -- Rules ------------------------------------------------------------------------------------ */

/* Whether it begins with "Bearer " in any case: a letter's case is one bit. */
static bool is_bearer(struct slice text)
{
    uint32_t bear;
    if (text.size < 7)
        return false;
    memcpy(&bear, text.data, sizeof(bear));
    bear |= 0x20202020;
    return memcmp(&bear, "bear", sizeof(bear)) == 0 && (text.data[4] | 0x20) == 'e' &&
           (text.data[5] | 0x20) == 'r' && text.data[6] == ' ';
}

static bool is_credential_byte(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "-._~+/=");
}

/* By the first bytes of a key or token. Behind blanks, of which Python knows more than HAProxy, or
 * in quotes may stand either, and whether Open WebUI sees it depends on its libraries' versions. */
static enum credential credential_kind(struct slice head)
{
    if (!slice_consists_of(head, is_credential_byte))
        return CREDENTIAL_UNTOLD;
    return slice_equal(head, SLICE("sk-")) ? CREDENTIAL_API_KEY : CREDENTIAL_SESSION;
}

/* In the order in which Open WebUI looks. Where there is no cookie, what is told of it is that a
 * key or token stands behind another scheme than Bearer: newer versions take it, older ones do not.
 */
static enum credential credential_with(const struct request *request, struct slice authorization)
{
    if (!request->credential_told)
        return CREDENTIAL_UNTOLD;
    if (is_bearer(authorization))
        return credential_kind(slice_skip(authorization, 7));
    if (request->token.size > 0)
        return credential_kind(request->token);
    return request->api_keys > 0 ? CREDENTIAL_API_KEY : CREDENTIAL_NONE;
}

enum credential request_credential(const struct request *request)
{
    return credential_with(request, request->bearer);
}

/* An identity provider's token is taken out of Authorization once it is verified: what is behind it
 * counts then, and may count while that is yet to come. */
static unsigned possible_credentials(const struct request *request, const struct decision *decision)
{
    enum credential seen = request_credential(request);
    enum credential behind = credential_with(request, (struct slice){0});
    if (identify_spends(decision))
        return behind;
    if (!decision->match.brief->token_in_authorization)
        return seen;
    return seen == CREDENTIAL_UNTOLD || behind == CREDENTIAL_UNTOLD ? CREDENTIAL_UNTOLD
                                                                    : (unsigned)(seen | behind);
}

/* The path as the upstream sees it: without the prefix, where that is cut off. */
static struct slice inner_path(const struct decision *decision)
{
    const struct route_match *match = &decision->match;
    if (match->path == NULL || match->path_mode == PATH_KEEP || match->path_mode == PATH_ROOT_SHARE)
        return decision->path;
    return path_behind(decision->path, match->path_segments);
}

static bool rules_pass(const struct request *request, struct decision *decision,
                       const struct policy *policy)
{
    if (policy->rule_count == 0)
        return true;
    struct policy_question question = {
        .path = inner_path(decision),
        .credentials = possible_credentials(request, decision),
        .ip = decision->client.ip,
        .ip_untold = decision->client.is_untold,
    };
    if (policy->looks_at_method)
        question.method = policy_method(request->method);
    if (policy->looks_at_clock)
        question.wall_s = request->wall_s != 0 ? request->wall_s : clock_wall_s();
    if (policy->has_shares) {
        bool is_told;
        question.share_of = share_of(request->share_cookie, &decision->client.ip, &is_told);
        decision->sets_share = !is_told;
        decision->share = (uint8_t)question.share_of;
    }
    decision->rule = policy_find_rule(policy, &question);
    return decision->rule == NULL || !decision->rule->deny;
}

/* -- All ------------------------------------------------------------------------------------- */

HOT bool screen_passes(const struct snapshot *snapshot, const struct request *request,
                       struct decision *decision)
{
    const struct tenant_brief *brief = decision->match.brief;
    const struct policy *policy = brief->has_policy ? brief->tenant->policy : NULL;
    decision->rule = NULL;
    decision->is_sign_in = false;
    if (policy != NULL && policy->require_sni_match && !sni_matches(snapshot, request, decision))
        return refuse(decision, OUTCOME_DENY_SNI, 421);
    if (policy != NULL && !policy_allows_ip(policy, client_known_ip(&decision->client)))
        return refuse(decision, OUTCOME_DENY_ADDRESS, 403);
    struct slice path = kind_path(decision);
    if ((policy == NULL || !policy->let_scanners_in) && path_is_scanners(path))
        return refuse(decision, OUTCOME_DENY_SCANNER, 404);
    if (policy != NULL && policy_limits_sign_in(policy))
        decision->is_sign_in = path_is_sign_in(path);
    if (policy != NULL && !rules_pass(request, decision, policy))
        return refuse(decision, OUTCOME_DENY_ROUTE, decision->rule->status);
    if (request->upgrade.size > 0 && !origin_passes(snapshot, request, decision, policy))
        return refuse(decision, OUTCOME_DENY_ORIGIN, 403);
    return true;
}
