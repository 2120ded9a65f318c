/* The decision: see agent/answer.h. */
#include "agent/claim.h"
#include "agent/instance.h"
#include "agent/share.h"
#include "core/clock.h"
#include "core/hash.h"
#include "identify.h"
#include "lead.h"
#include "outage.h"
#include "reuse.h"
#include "screen.h"
#include "takeover.h"
#include "unlisted.h"

#include "route/owui_path.h"

enum {
    HTTP_PORT = 80,
    HTTPS_PORT = 443,
    NEWCOMERS_S = 10, /* how long those who come begin at one replica */
};

const char *outcome_name(enum outcome outcome)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT) [OUTCOME_##NAME] = TEXT,
        OUTCOME_TABLE(X)
#undef X
    };
    static_assert(COUNT_OF(NAMES) == OUTCOME__MAX, "an outcome has no name");
    return outcome < OUTCOME__MAX ? NAMES[outcome] : "unknown";
}

uint16_t decision_public_port(const struct decision *decision)
{
    if (decision->host.port != 0)
        return decision->host.port;
    return decision->client.https ? HTTPS_PORT : HTTP_PORT;
}

const char *decision_reason(const struct decision *decision)
{
    switch (decision->outcome) {
    case OUTCOME_DENY_UNKNOWN_HOST: return "unknown-host";
    case OUTCOME_DENY_UNKNOWN_LABEL: return "unknown-label";
    case OUTCOME_DENY_PATH: return "path-not-served";
    case OUTCOME_DENY_UNRESOLVED: return "upstream-unresolved";
    case OUTCOME_DENY_ORIGIN: return "origin";
    case OUTCOME_DENY_SNI: return "sni";
    case OUTCOME_DENY_UNSEALED: return "no-cookie-key";
    case OUTCOME_SUSPENDED: return "suspended";
    case OUTCOME_MAINTENANCE: return "maintenance";
    case OUTCOME_DENY_IDENTITY: return "identity-required";
    case OUTCOME_DENY_EMAIL_DOMAIN: return "email-domain";
    case OUTCOME_DENY_UNSTRIPPED: return "header-not-stripped";
    case OUTCOME_DENY_UNVERIFIED: return "identity-unverified";
    case OUTCOME_DENY_SCANNER: return "scanner";
    case OUTCOME_DENY_ADDRESS: return "address";
    case OUTCOME_DENY_ROUTE: return "route";
    default: return refusal_name(decision->refusal);
    }
}

/* The buffers are left as they are: clearing them for every request would cost more than the rest
 * of the decision. */
static void clear(struct decision *decision)
{
    decision->outcome = OUTCOME_FORWARD;
    decision->refusal = REFUSAL_NONE;
    decision->status = 0;
    decision->form = FORM_TEXT;
    decision->retry_after_s = 0;
    decision->admitted = false;
    decision->sealed = NULL;
    decision->taken_over = false;
    decision->forget = false;
    decision->cookie = (struct slice){0};
    decision->host.name_size = 0;
    decision->host.changed = false;
    decision->path = (struct slice){0};
    decision->path_changed = false;
    decision->client = (struct client){0};
    decision->match = (struct route_match){0};
    decision->target = NULL;
    decision->asked = NULL;
    decision->identity = NULL;
    decision->identity_refusal = IDENTITY_REFUSAL_NONE;
    decision->led_from = NULL;
    decision->led_by = NULL;
    decision->sets_share = false;
    decision->share = SHARE_NOT_ASKED;
    decision->rule = NULL;
    decision->is_sign_in = false;
    decision->replica = (struct replica_choice){0};
    decision->strip_segments = 0;
    decision->location = (struct slice){0};
    decision->chain = (struct slice){0};
    decision->generation_hash = 0;
    decision->reuse_stamp = (struct slice){0};
}

static void finish(struct decision *decision, enum outcome outcome, uint16_t status)
{
    decision->outcome = outcome;
    decision->status = status;
}

void decide_refused(struct decision *decision, enum refusal refusal)
{
    clear(decision);
    decision->refusal = refusal;
    finish(decision, OUTCOME_BAD_REQUEST, 400);
}

/* Host and path in normal form, or a refusal. */
static enum refusal validate(const struct request *request, struct decision *decision)
{
    enum refusal refusal = host_parse(request->host, &decision->host);
    if (refusal != REFUSAL_NONE)
        return refusal;
    refusal = path_normalise(request->path, decision->path_buffer, &decision->path);
    decision->path_changed = decision->path.data != request->path.data;
    return refusal;
}

static void redirect(struct decision *decision, enum outcome outcome, struct slice scheme,
                     const struct host *host)
{
    struct writer location = writer_of(decision->location_buffer, LOCATION_MAX_BYTES);
    writer_bytes(&location, scheme);
    host_write(host, &location);
    assert(!location.failed);
    decision->location = writer_written(&location);
    finish(decision, outcome, 308);
}

static void decide_unknown_host(const struct snapshot *snapshot, struct decision *decision)
{
    const struct settings *settings = snapshot->settings;
    uint16_t status = settings->unknown_host_status != 0 ? settings->unknown_host_status : 404;

    switch (settings->unknown_host) {
    case UNKNOWN_HOST_REDIRECT:
        decision->location = slice_of(settings->unknown_host_location);
        finish(decision, OUTCOME_REDIRECT_UNKNOWN, 308);
        return;
    case UNKNOWN_HOST_TENANT:
        route_match_lead(
            &decision->match,
            route_table_tenant(snapshot->table, slice_of(settings->unknown_host_tenant)));
        if (decision->match.tenant != NULL)
            return;
        break; /* it is broken or gone: nobody else may have its requests */
    case UNKNOWN_HOST_DENY: break;
    }
    finish(decision, OUTCOME_DENY_UNKNOWN_HOST, status);
}

static void find_tenant(const struct snapshot *snapshot, const struct request *request,
                        struct decision *decision)
{
    struct route_match *match = &decision->match;
    route_table_find_guessed(snapshot->table, request->guess, host_name(&decision->host),
                             decision->path, match);
    if (request->cookie.size > 0)
        takeover_find(snapshot, request, decision);
    if (match->tenant != NULL)
        return;
    if (match->label_refused)
        finish(decision, OUTCOME_DENY_UNKNOWN_LABEL, 404);
    else if (match->host_known)
        finish(decision, OUTCOME_DENY_PATH, 404);
    else
        decide_unknown_host(snapshot, decision);
}

/* False when the name has no room. */
static bool name_host(const struct tenant_host *pattern, struct slice label, struct host *host)
{
    struct writer name = writer_of(host->name, HOST_MAX_BYTES);
    if (pattern->wildcard) {
        writer_bytes(&name, label);
        writer_u8(&name, '.');
    }
    writer_bytes(&name, slice_of(pattern->name));
    host->name_size = (uint8_t)writer_used(&name);
    host->is_address = slice_has(host_name(host), ':');
    return !name.failed;
}

/* Whether the host leads to the tenant. One that it lists may be another's: who claimed it first,
 * or has what its wildcard stands for as an exact host. */
static bool leads_to_tenant(const struct snapshot *snapshot, const struct decision *decision,
                            const struct host *host)
{
    struct route_match match;
    if (decision->match.host != NULL && slice_equal(host_name(host), host_name(&decision->host)))
        return true;
    route_table_find(snapshot->table, host_name(host), SLICE("/"), &match);
    return match.tenant == decision->match.tenant;
}

/* The first host that a browser can be sent to: a wildcard is one when its label is known. */
static bool first_host(const struct snapshot *snapshot, const struct decision *decision,
                       struct host *host)
{
    const struct tenant *tenant = decision->match.tenant;
    const struct slice label = decision->match.label;

    for (size_t i = 0; i < tenant->host_count; i++) {
        const struct tenant_host *candidate = &tenant->hosts[i];
        if (!(candidate->wildcard && label.size == 0) && name_host(candidate, label, host) &&
            leads_to_tenant(snapshot, decision, host))
            return true;
    }
    return false;
}

/* RFC 6455: a browser does not follow the redirect of a handshake. */
static bool is_websocket(const struct request *request)
{
    return slice_equal_nocase(request->upgrade, SLICE("websocket"));
}

static bool wants_https(const struct decision *decision)
{
    return decision->match.brief->https_redirect && !decision->client.https;
}

static uint16_t redirect_port(const struct snapshot *snapshot)
{
    uint16_t port = snapshot->settings->https_port;
    return port == HTTPS_PORT ? 0 : port;
}

/* To the tenant's own host without the prefix; over HTTPS at once where that comes next anyway. */
static void redirect_path(const struct snapshot *snapshot, struct decision *decision)
{
    struct host host = {.port = decision->host.port};
    bool upgrade = wants_https(decision);
    if (!first_host(snapshot, decision, &host)) {
        finish(decision, OUTCOME_DENY_PATH, 404);
        return;
    }
    if (upgrade)
        host.port = redirect_port(snapshot);
    bool https = upgrade || decision->client.https;
    redirect(decision, OUTCOME_REDIRECT_PATH, https ? SLICE("https://") : SLICE("http://"), &host);
    decision->strip_segments = decision->match.path->segments;
}

static void redirect_https(const struct snapshot *snapshot, struct decision *decision)
{
    struct host host = decision->host;
    host.port = redirect_port(snapshot);
    redirect(decision, OUTCOME_REDIRECT_HTTPS, SLICE("https://"), &host);
}

/* From one of the tenant's hosts to its first, over HTTPS at once where that comes next anyway:
 * unless it is by HTTPS that the host has to be heard of first, for its HSTS (RFC 6797 8.1). */
static bool redirect_canonical(const struct snapshot *snapshot, struct decision *decision)
{
    struct host host = {.port = decision->host.port};
    bool upgrade = wants_https(decision);
    if (decision->match.host == NULL || (upgrade && decision->match.brief->hsts_size > 0) ||
        !first_host(snapshot, decision, &host) ||
        slice_equal(host_name(&host), host_name(&decision->host)))
        return false;
    if (upgrade)
        host.port = redirect_port(snapshot);
    bool https = upgrade || decision->client.https;
    redirect(decision, OUTCOME_REDIRECT_CANONICAL, https ? SLICE("https://") : SLICE("http://"),
             &host);
    return true;
}

/* To where the request should have been sent. A handshake on another host is served as it is: no
 * browser would follow, and who has a page open there would lose its socket. Without TLS it is
 * refused by this very redirect, which tells why: its token would travel in the clear. */
static bool redirect_elsewhere(const struct snapshot *snapshot, const struct request *request,
                               struct decision *decision)
{
    if (owui_path_is_health(decision->path))
        return false;
    if (decision->match.brief->canonical_host && !is_websocket(request) &&
        redirect_canonical(snapshot, decision))
        return true;
    if (!wants_https(decision))
        return false;
    redirect_https(snapshot, decision);
    return true;
}

/* The claims of a token that HAProxy tells as a whole for somebody's identity, and so not twice. */
static struct slice claims_of(const struct identity_question *question, struct slice argument)
{
    for (size_t i = 0; i < question->token_count; i++)
        if (slice_equal(question->tokens[i].argument, argument))
            return claim_part(question->tokens[i].text);
    return (struct slice){0};
}

/* The user that the request's token names, which may be anybody's word: good for nothing but
 * finding the replica. 0: none. Open WebUI looks at Authorization first, too, unless it gets none
 * because an identity was in it. */
static uint64_t find_user(const struct request *request, const struct decision *decision)
{
    const struct identity_question *question = &request->identity;
    struct slice claims = request->authorization_claims;
    uint64_t user = 0;
    if (claims.size == 0 && question->token_count > 0)
        claims = claims_of(question, SLICE("jh_authorization"));
    if (claims.size > 0 && !identify_spends(decision))
        user = claim_user(claims);
    if (user != 0)
        return user;
    claims = request->token_claims;
    if (claims.size == 0 && question->token_count > 0)
        claims = claims_of(question, SLICE("jc_token"));
    return claim_user(claims);
}

/* Whether a client begins by its address and a stretch of time. By the address alone an office
 * behind one would be at one replica; by chance, what a browser asks for at once would get cookies
 * that differ, and its socket be elsewhere than its requests. So does every agent say the same of
 * all that comes together, and those who come later are spread. A cookie that names nobody any more
 * goes by the address alone: the tabs of a browser come again together, and at any time. */
static bool is_newcomer(const struct replica_set *set, const struct request *request, uint64_t pool)
{
    return request->replica_told && request->replica_cookie.size == 0 && pool == 0 &&
           replica_set_uses_cookie(set);
}

static uint64_t client_key(const struct request *request, const struct ip *client, bool is_new)
{
    uint64_t stretch = 0;
    if (is_new)
        stretch = (uint64_t)(request->wall_s != 0 ? request->wall_s : clock_wall_s()) / NEWCOMERS_S;
    return hash_content(slice_from(client->bytes, sizeof(client->bytes)),
                        stretch << 2 | client->family);
}

/* False when none of the replicas has an address yet. */
HOT static bool find_replica(const struct request *request, struct decision *decision)
{
    const struct replica_set *set = decision->target->tenant->replicas;
    struct replica_question question = {
        .cookie = request->replica_cookie,
        .pool = decision->rule != NULL ? decision->rule->pool_mask : 0,
    };
    if (replica_set_uses_user(set))
        question.user = find_user(request, decision);
    if (question.user == 0) {
        question.is_new = is_newcomer(set, request, question.pool);
        question.client = client_key(request, &decision->client.ip, question.is_new);
    }
    replica_choose(set, &question, &decision->replica);
    return decision->replica.replica != NULL;
}

/* The label's own; NULL: there is none yet. */
static const struct tenant_brief *find_instance(const struct snapshot *snapshot,
                                                const struct route_match *match)
{
    char name[INSTANCE_NAME_MAX_BYTES];
    struct slice key = instance_name(match->tenant, match->label, name);
    const struct tenant *instance = key.size > 0 ? route_table_tenant(snapshot->table, key) : NULL;
    return instance != NULL ? instance->brief : NULL;
}

/* Where the tenant's requests go, if that is known yet. */
static void find_upstream(const struct snapshot *snapshot, const struct request *request,
                          struct decision *decision)
{
    const struct tenant_brief *target = decision->match.brief;
    if (target->is_by_label)
        target = find_instance(snapshot, &decision->match);
    decision->target = target;
    if (target != NULL && target->is_reachable)
        return;
    if (target == NULL && unlisted_decide(decision))
        return;
    if (target == NULL || target->tenant->replicas == NULL || !find_replica(request, decision))
        finish(decision, OUTCOME_DENY_UNRESOLVED, 503);
}

/* Who the client is and, where that is wanted, who has told. */
static void find_client(const struct snapshot *snapshot, const struct request *request,
                        struct decision *decision)
{
    const struct settings *settings = snapshot->settings;
    client_resolve(&settings->trusted_proxies, &request->client, &decision->client);
    if (settings->tells_chain && decision->client.trusted_peer) {
        struct writer chain = writer_of(decision->chain_buffer, CHAIN_MAX_BYTES);
        client_write_chain(&settings->trusted_proxies, &request->client, &chain);
        decision->chain = chain.failed ? (struct slice){0} : writer_written(&chain);
    }
    const struct ip *ip = client_known_ip(&decision->client);
    if (ip != NULL && networks_contain(&settings->generation_to, ip))
        decision->generation_hash = snapshot->content_hash;
}

/* Nothing is forwarded, so that nobody is kept in: by an outage least of all. Over HTTPS where the
 * tenant asks for it, since a browser lets no other answer replace a cookie that is Secure. */
SELDOM static void leave(const struct snapshot *snapshot, const struct request *request,
                         struct decision *decision)
{
    if (!redirect_elsewhere(snapshot, request, decision))
        takeover_enter(snapshot, request, decision);
}

void decide(const struct snapshot *snapshot, const struct request *request,
            struct decision *decision)
{
    clear(decision);
    decision->refusal = validate(request, decision);
    if (decision->refusal != REFUSAL_NONE) {
        finish(decision, OUTCOME_BAD_REQUEST, 400);
        return;
    }
    find_client(snapshot, request, decision);
    find_tenant(snapshot, request, decision);
    if (decision->match.tenant == NULL)
        return;
    const bool by_path = decision->match.path != NULL;
    const enum path_mode mode = decision->match.path_mode;
    if (by_path && mode == PATH_TAKEOVER && takeover_leaves(decision)) {
        leave(snapshot, request, decision);
        return;
    }
    if (!screen_passes(snapshot, request, decision))
        return;
    if (by_path && mode == PATH_REDIRECT) {
        redirect_path(snapshot, decision);
        return;
    }
    if (redirect_elsewhere(snapshot, request, decision))
        return;
    if (decision->match.brief->may_be_out && outage_decide(request, decision))
        return;
    if (by_path && mode == PATH_TAKEOVER) {
        takeover_enter(snapshot, request, decision);
        return;
    }
    if (by_path && mode == PATH_STRIP)
        decision->strip_segments = decision->match.path_segments;
    if (!lead_by_route(snapshot, request, decision))
        return;
    decision->asked = decision->match.tenant;
    if (decision->match.brief->asks_user && !identify(snapshot, request, decision))
        return;
    /* What another tenant than the host's lets in is for that one to say. */
    if (decision->match.tenant != decision->asked && !screen_passes(snapshot, request, decision))
        return;
    find_upstream(snapshot, request, decision);
    decision->reuse_stamp = reuse_stamp(snapshot, request, decision);
}

void decide_challenge(const struct snapshot *snapshot, struct slice path, struct decision *decision)
{
    clear(decision);
    decision->path = path;
    decision->key_authorization = challenge_table_find(snapshot->challenges, path);
    bool known = decision->key_authorization.size > 0;
    finish(decision, known ? OUTCOME_CHALLENGE : OUTCOME_CHALLENGE_UNKNOWN, 0);
}
