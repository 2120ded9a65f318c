/* Decisions as SPOP actions: see agent/answer.h. */
#include "action_write.h"
#include "agent/share.h"
#include "identify.h"
#include "limits.h"
#include "reuse.h"

enum { HOST_HEADER_MAX_BYTES = HOST_MAX_BYTES + 2 + 6 }; /* brackets and ":65535" */

/* As text: HAProxy has three headers and a line of the log to make of it, and would print an
 * address anew for each. It takes one that is shorter as bytes all the same. */
static void write_client(const struct decision *decision, struct writer *actions)
{
    char text[IP_TEXT_SIZE];
    if (decision->client.ip.family != IP_NONE)
        action_set_text(actions, SLICE("ip"), slice_of(ip_print(&decision->client.ip, text)));
}

static void write_tenant(const struct decision *decision, struct writer *actions)
{
    if (decision->match.tenant != NULL)
        action_set_text(actions, SLICE("tenant"), slice_of(decision->match.tenant->name));
}

/* RFC 6797 7.2: never on plain HTTP. A host that the tenant has a path of is not its own to speak
 * for. */
static void write_hsts(const struct decision *decision, struct writer *actions)
{
    const struct tenant_brief *brief =
        decision->led_from != NULL ? decision->led_from->brief : decision->match.brief;
    if (decision->client.https && decision->match.host != NULL && brief->hsts_size > 0)
        writer_bytes(actions, slice_from(tenant_brief_answer(brief) + brief->slots_size +
                                             brief->headers_size,
                                         brief->hsts_size));
}

/* What changes of the path that HAProxy has. */
SELDOM static void write_changed_path(const struct decision *decision, struct writer *actions)
{
    if (decision->path_changed)
        action_set_text(actions, SLICE("path"), decision->path);
    if (decision->strip_segments > 0) {
        if (decision->outcome != OUTCOME_FORWARD || !limits_look_further(decision))
            spop_write_set_boolean(actions, SPOP_SCOPE_TRANSACTION, SLICE("more"), true);
        action_set_number(actions, SLICE("strip"), decision->strip_segments);
    }
}

static struct slice form_name(enum answer_form form)
{
    switch (form) {
    case FORM_TEXT: break;
    case FORM_JSON: return SLICE("json");
    case FORM_PAGE: return SLICE("page");
    }
    return SLICE("deny");
}

static void write_denial(const struct decision *decision, struct writer *actions)
{
    action_set_text(actions, SLICE("answer"), form_name(decision->form));
    action_set_number(actions, SLICE("status"), decision->status);
    if (decision->retry_after_s > 0)
        action_set_number(actions, SLICE("retry"), decision->retry_after_s);
    action_set_text(actions, SLICE("reason"), slice_of(decision_reason(decision)));
    write_tenant(decision, actions);
    write_client(decision, actions);
    write_hsts(decision, actions);
}

static void write_redirect(const struct decision *decision, struct writer *actions)
{
    action_set_text(actions, SLICE("answer"), SLICE("redirect"));
    action_set_text(actions, SLICE("to"), decision->location);
    write_changed_path(decision, actions);
    write_tenant(decision, actions);
    write_client(decision, actions);
    write_hsts(decision, actions);
}

/* Elsewhere, and not to what was asked for. */
static void write_login(const struct decision *decision, struct writer *actions)
{
    action_set_text(actions, SLICE("answer"), SLICE("login"));
    action_set_text(actions, SLICE("to"), decision->location);
    write_tenant(decision, actions);
    write_client(decision, actions);
}

static void write_takeover(const struct decision *decision, struct writer *actions)
{
    action_set_text(actions, SLICE("answer"), SLICE("takeover"));
    action_set_text(actions, SLICE("to"), decision->location);
    action_set_text(actions, SLICE("cookie"), decision->cookie);
    if (decision->forget)
        spop_write_set_boolean(actions, SPOP_SCOPE_TRANSACTION, SLICE("forget"), true);
    write_changed_path(decision, actions);
    write_tenant(decision, actions);
    write_client(decision, actions);
}

static struct slice proto_of(const struct decision *decision)
{
    return decision->client.https ? SLICE("https") : SLICE("http");
}

/* What the placeholders of the tenant's headers stand for; `ip_text` is what a value views. */
static void fill_values(const struct decision *decision, char ip_text[static IP_TEXT_SIZE],
                        struct template_values *values)
{
    values->value[HEADER_CLIENT_IP] = (struct slice){0};
    if (decision->target->headers_tell_ip) /* it costs more than all the rest */
        values->value[HEADER_CLIENT_IP] = slice_of(ip_print(&decision->client.ip, ip_text));
    values->value[HEADER_PROTO] = proto_of(decision);
    values->value[HEADER_HOST] = host_name(&decision->host);
    values->value[HEADER_TENANT] = slice_of(decision->match.tenant->name);
    values->value[HEADER_LABEL] = decision->match.label;
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++)
        values->value[HEADER_EMAIL + i] =
            decision->identity != NULL ? identity_text(decision->identity, i) : (struct slice){0};
}

SELDOM static void write_dynamic_headers(const struct request *request,
                                         const struct decision *decision, struct writer *actions)
{
    char ip_text[IP_TEXT_SIZE];
    struct template_values values;
    fill_values(decision, ip_text, &values);
    if (request->headers_in_one)
        action_set_headers(actions, decision->target->tenant, &values);
    else
        action_set_header_slots(actions, decision->target->tenant, true, &values);
}

static void write_headers(const struct request *request, const struct decision *decision,
                          struct writer *actions)
{
    const struct tenant_brief *target = decision->target;
    if (target->dynamic_headers)
        write_dynamic_headers(request, decision, actions);
    else if (request->headers_in_one)
        writer_bytes(actions, slice_from(tenant_brief_answer(target) + target->slots_size,
                                         target->headers_size));
}

static void write_spent(const struct decision *decision, struct writer *actions)
{
    if (identify_spends(decision))
        spop_write_set_boolean(actions, SPOP_SCOPE_TRANSACTION, SLICE("spent"), true);
}

SELDOM static void write_changed_host(const struct decision *decision, struct writer *actions)
{
    char buffer[HOST_HEADER_MAX_BYTES];
    struct writer host = writer_of(buffer, sizeof(buffer));
    host_write(&decision->host, &host);
    action_set_text(actions, SLICE("host"), writer_written(&host));
}

/* Scheme and port in one: HAProxy takes what is not told for http and 80. */
static void write_public_port(const struct decision *decision, struct writer *actions)
{
    uint16_t port = decision_public_port(decision);
    if (decision->client.https)
        action_set_number(actions, SLICE("by_https"), port);
    else if (port != PUBLIC_PORT_NOT_TOLD)
        action_set_number(actions, SLICE("by_http"), port);
}

static void write_replica(const struct replica_choice *choice, struct writer *actions)
{
    const struct replica *replica = choice->replica;
    writer_bytes(actions, slice_from(replica->prepared, replica->prepared_size));
    if (choice->set_cookie)
        action_set_text(actions, SLICE("stick"),
                        slice_from(replica->cookie, sizeof(replica->cookie)));
}

SELDOM static void write_share(const struct decision *decision, struct writer *actions)
{
    char text[SHARE_COOKIE_BYTES];
    share_cookie(decision->share, text);
    action_set_text(actions, SLICE("shr"), slice_from(text, sizeof(text)));
}

static void write_if_it_fits(struct slice name, struct slice value, struct writer *actions)
{
    struct writer with = *actions;
    action_set_text(&with, name, value);
    if (!with.failed)
        *actions = with;
}

typedef void write_part_fn(const struct decision *decision, struct writer *actions);

/* What the host's own tenant has, for which the one that was led to has kept no room, or what an
 * answer can do without. Without its number a client's share goes by its address, and browsers hear
 * of HSTS by other answers of the host, too. */
SELDOM static void write_part_if_it_fits(write_part_fn *write_part, const struct decision *decision,
                                         struct writer *actions)
{
    struct writer with = *actions;
    write_part(decision, &with);
    if (!with.failed)
        *actions = with;
}

/* Two HAProxys that tell the same decide the same. */
static void write_generation(const struct decision *decision, struct writer *actions)
{
    static const char DIGITS[] = "0123456789abcdef";
    char text[16];
    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = DIGITS[decision->generation_hash >> (4 * (15 - i)) & 15];
    write_if_it_fits(SLICE("gen"), slice_from(text, sizeof(text)), actions);
}

HOT static void write_forward(const struct request *request, const struct decision *decision,
                              bool is_tight, struct writer *actions)
{
    const struct tenant_brief *target = decision->target;
    writer_bytes(actions,
                 slice_from(tenant_brief_answer(target),
                            request->headers_in_one ? target->plain_size : target->slots_size));
    if (decision->replica.replica != NULL)
        write_replica(&decision->replica, actions);
    if (decision->sets_share && decision->led_from == NULL)
        write_share(decision, actions);
    if (is_tight)
        action_set_ip(actions, SLICE("ip"), &decision->client.ip);
    else
        write_client(decision, actions);
    write_public_port(decision, actions);
    if (decision->host.changed)
        write_changed_host(decision, actions);
    if (decision->path_changed || decision->strip_segments > 0)
        write_changed_path(decision, actions);
    limits_write(decision, actions);
    bool hsts_may_lack = is_tight || decision->led_from != NULL;
    if (!hsts_may_lack)
        write_hsts(decision, actions);
    write_spent(decision, actions);
    write_headers(request, decision, actions);
    if (decision->sets_share && decision->led_from != NULL)
        write_part_if_it_fits(write_share, decision, actions);
    if (hsts_may_lack)
        write_part_if_it_fits(write_hsts, decision, actions);

    /* Last, because an answer is complete without these: HAProxy then makes an id of its own, tells
     * the client alone, and asks again. */
    write_if_it_fits(SLICE("rid"), decision->client.request_id, actions);
    write_if_it_fits(SLICE("chain"), decision->chain, actions);
    if (decision->reuse_stamp.size > 0)
        reuse_write(request, decision, actions);
}

bool answer_write(const struct request *request, const struct decision *decision,
                  struct writer *actions)
{
    struct writer before = *actions;
    switch (decision->outcome) {
    case OUTCOME_FORWARD:
        write_forward(request, decision, false, actions);
        if (actions->failed) {
            *actions = before;
            write_forward(request, decision, true, actions);
        }
        break;
    case OUTCOME_REDIRECT_HTTPS:
    case OUTCOME_REDIRECT_PATH:
    case OUTCOME_REDIRECT_CANONICAL:
    case OUTCOME_REDIRECT_UNKNOWN: write_redirect(decision, actions); break;
    case OUTCOME_REDIRECT_UNLISTED:
    case OUTCOME_REDIRECT_LOGIN: write_login(decision, actions); break;
    case OUTCOME_TAKEOVER:
    case OUTCOME_TAKEOVER_LEAVE: write_takeover(decision, actions); break;
    case OUTCOME_CHALLENGE:
        action_set_text(actions, SLICE("acme"), decision->key_authorization);
        break;
    case OUTCOME_CHALLENGE_UNKNOWN: break;
    case OUTCOME_DENY_UNKNOWN_HOST:
    case OUTCOME_DENY_UNKNOWN_LABEL:
    case OUTCOME_DENY_PATH:
    case OUTCOME_DENY_UNRESOLVED:
    case OUTCOME_DENY_ORIGIN:
    case OUTCOME_DENY_SNI:
    case OUTCOME_DENY_UNSEALED:
    case OUTCOME_SUSPENDED:
    case OUTCOME_MAINTENANCE:
    case OUTCOME_DENY_IDENTITY:
    case OUTCOME_DENY_EMAIL_DOMAIN:
    case OUTCOME_DENY_UNSTRIPPED:
    case OUTCOME_DENY_UNVERIFIED:
    case OUTCOME_DENY_SCANNER:
    case OUTCOME_DENY_ADDRESS:
    case OUTCOME_DENY_ROUTE:
    case OUTCOME_BAD_REQUEST:
    case OUTCOME__MAX: write_denial(decision, actions); break;
    }
    if (decision->generation_hash != 0)
        write_generation(decision, actions);
    if (!actions->failed)
        return true;
    *actions = before;
    return false;
}

void answer_notify(const struct snapshot *snapshot, struct verifier *verifier, struct ahead *ahead,
                   const struct spop_notify *notify, struct decision *decision,
                   struct writer *actions)
{
    struct request request;
    struct slice path;
    bool is_route = request_decode(notify, &request);
    request.verifier = verifier;
    if (is_route && ahead != NULL)
        request.guess = ahead_take(ahead, request.host);
    if (is_route)
        decide(snapshot, &request, decision);
    else if (challenge_decode(notify, &path))
        decide_challenge(snapshot, path, decision);
    else
        decide_refused(decision, REFUSAL_MESSAGE);
    if (answer_write(&request, decision, actions))
        return;
    decide_refused(decision, REFUSAL_ANSWER_TOO_BIG);
    bool fits = answer_write(&request, decision, actions);
    assert(fits);
    (void)fits;
}
