/* A decision told to people, as JSON: see agent/explain.h. explain_text.c prints it. */
#include "agent/explain.h"

#include "agent/actions.h"
#include "agent/fallback.h"
#include "agent/share.h"
#include "core/clock.h"
#include "core/memory.h"
#include "explain_outage.h"
#include "limits.h"
#include "route/label_map.h"
#include "json/json.h"

#include <inttypes.h>
#include <stdlib.h>

struct explanation {
    const struct snapshot *snapshot;
    const struct request *request;
    const struct hap_config *haproxy;
    struct decision decision;
    uint8_t action_bytes[SPOP_ACTIONS_MAX_BYTES];
    struct slice actions;
};

struct explanation *explanation_new(const struct snapshot *snapshot, const struct request *request,
                                    const struct hap_config *haproxy)
{
    struct explanation *explanation = memory_new(sizeof(*explanation));
    explanation->snapshot = snapshot;
    explanation->request = request;
    explanation->haproxy = haproxy;
    decide(snapshot, request, &explanation->decision);

    struct writer actions = writer_of(explanation->action_bytes, SPOP_ACTIONS_MAX_BYTES);
    if (!answer_write(request, &explanation->decision, &actions)) {
        decide_refused(&explanation->decision, REFUSAL_ANSWER_TOO_BIG);
        if (!answer_write(request, &explanation->decision, &actions))
            assert(false);
    }
    explanation->actions = writer_written(&actions);
    return explanation;
}

void explanation_free(struct explanation *explanation)
{
    free(explanation);
}

const struct decision *explanation_decision(const struct explanation *explanation)
{
    return &explanation->decision;
}

static void put_string(struct json *object, const char *key, const char *text)
{
    if (text != NULL)
        json_put_text(object, key, slice_of(text));
}

/* As Open WebUI's server reads it: a byte of a header is a character (Latin-1). */
static void put_header_text(struct json *object, const char *key, struct slice text)
{
    char *utf8 = memory_new(2 * text.size + 1);
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c >= 0x80)
            utf8[used++] = (char)(0xc0 | c >> 6);
        utf8[used++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    json_put_text(object, key, slice_from(utf8, used));
    free(utf8);
}

static void put_place(struct json *object, const struct place *place)
{
    if (place->file == NULL)
        return;
    char *text = memory_format("%s:%u:%u", place->file, place->line, place->column);
    json_put_text(object, "place", slice_of(text));
    free(text);
}

static struct json *request_json(const struct explanation *explanation)
{
    const struct decision *decision = &explanation->decision;
    struct json *object = json_new_object();
    json_put_text(object, "host", explanation->request->host);
    json_put_text(object, "path", explanation->request->path);
    if (decision->outcome == OUTCOME_BAD_REQUEST)
        return object;
    if (decision->host.changed)
        json_put_text(object, "host_told", host_name(&decision->host));
    if (decision->path_changed)
        json_put_text(object, "path_told", decision->path);
    return object;
}

static const char *trust_text(const struct explanation *explanation)
{
    const struct decision *decision = &explanation->decision;
    const struct trusted_proxies *trusted = &explanation->snapshot->settings->trusted_proxies;
    if (decision->client.limits_exceeded)
        return "the peer is a trusted proxy, but its header is too long to be believed: lists of "
               "addresses keep such a client out";
    if (decision->client.is_untold)
        return "the peer is a trusted proxy, but whom it tells of cannot be read: lists of "
               "addresses keep such a client out";
    if (decision->client.trusted_peer)
        return "the peer is a trusted proxy";
    return trusted->group_count > 0
               ? "the peer is no trusted proxy: what it says about others is ignored"
               : "no proxy is trusted: what a peer says about others is ignored";
}

static struct json *client_json(const struct explanation *explanation)
{
    const struct decision *decision = &explanation->decision;
    const struct client_question *question = &explanation->request->client;
    const struct proxy_group *group =
        trusted_proxies_find(&explanation->snapshot->settings->trusted_proxies, &question->peer);
    struct json *object = json_new_object();
    char ip_text[IP_TEXT_SIZE];

    put_string(object, "peer", ip_print(&question->peer, ip_text));
    put_string(object, "ip", ip_print(&decision->client.ip, ip_text));
    put_string(object, "proto", decision->client.https ? "https" : "http");
    put_string(object, "trust", trust_text(explanation));
    if (group != NULL) {
        put_string(object, "group", group->name);
        put_string(object, "header", client_source_header(group->source));
    }
    return object;
}

static void append_try(void *context, const struct route_try *attempt)
{
    struct json *object = json_new_object();
    char *rule = memory_format("%s%.*s%.*s", attempt->wildcard ? "*." : "",
                               SLICE_PRINT(attempt->host), SLICE_PRINT(attempt->prefix));
    put_string(object, "rule", rule);
    put_string(object, "tenant", attempt->claimant != NULL ? attempt->claimant->name : NULL);
    json_put_bool(object, "won", attempt->won);
    if (attempt->path != NULL)
        put_place(object, &attempt->path->place);
    else if (attempt->host_rule != NULL)
        put_place(object, &attempt->host_rule->place);
    json_append(context, object);
    free(rule);
}

static struct json *tried_json(const struct explanation *explanation)
{
    const struct decision *decision = &explanation->decision;
    struct json *list = json_new_array();
    struct route_match match;
    if (decision->outcome != OUTCOME_BAD_REQUEST)
        route_table_find_told(explanation->snapshot->table, host_name(&decision->host),
                              decision->path, &match, append_try, list);
    return list;
}

/* Where in the token each value is looked for: the names on the way. */
static struct json *claims_json(const struct identity_rule *rule)
{
    struct json *object = json_new_object();
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++) {
        struct json *names = json_new_array();
        for (const char *rest = rule->field[i]; rest != NULL;) {
            size_t size = strcspn(rest, (char[]){IDENTITY_CLAIM_SEPARATOR, '\0'});
            json_append_text(names, slice_from(rest, size));
            rest = rest[size] != '\0' ? rest + size + 1 : NULL;
        }
        json_put(object, identity_value_name(i), names);
    }
    return object;
}

/* Who the user is, or why nobody knows. */
static struct json *identity_json(const struct explanation *explanation)
{
    static const char *const FROM[] = {"client_cert", "jwt", "shared"};
    const struct decision *decision = &explanation->decision;
    const struct tenant *asked = decision->asked != NULL ? decision->asked : decision->match.tenant;
    const struct identity_rule *rule = asked->identity;
    struct json *object = json_new_object();
    put_string(object, "from", FROM[rule->from]);
    put_string(object, "by", asked->name);
    put_string(object, "token", rule->token_name);
    json_put_bool(object, "required", rule->required);
    if (decision->identity == NULL) {
        put_string(object, "refused", identity_refusal_name(decision->identity_refusal));
        return object;
    }
    for (unsigned i = 0; i < IDENTITY_VALUE__MAX; i++) {
        struct slice text = identity_text(decision->identity, i);
        if (text.size > 0)
            put_header_text(object, identity_value_name(i), text);
    }
    if (rule->from == IDENTITY_FROM_JWT)
        json_put(object, "claims", claims_json(rule));
    return object;
}

static const char *mode_text(enum path_mode mode)
{
    switch (mode) {
    case PATH_REDIRECT: return "redirect";
    case PATH_TAKEOVER: return "takeover";
    case PATH_ROOT_SHARE: return "root-share";
    case PATH_STRIP: return "strip";
    case PATH_KEEP: return "keep";
    }
    return "";
}

/* What became of the cookie. */
static const char *takeover_text(const struct decision *decision)
{
    if (decision->sealed == NULL)
        return "the cookie is not good for this host, or its tenant takes nothing over here";
    return decision->taken_over ? "the cookie gives the host's root to the tenant"
                                : "the cookie is good, and this path is not its tenant's";
}

/* Where the list of labels has this one, or that it has not. */
static void put_row(struct json *object, const struct label_map *labels, struct slice label)
{
    const struct label_row *row = label_map_find(labels, label);
    char *text = row == NULL ? memory_format("not in %s", labels->path)
                             : memory_format("%s:%" PRIu32 "%s", labels->path, row->line,
                                             row->port == 0 ? ", which is wrong" : "");
    json_put_text(object, "listed", slice_of(text));
    free(text);
}

static struct json *tenant_json(const struct explanation *explanation)
{
    const struct route_match *match = &explanation->decision.match;
    struct json *object = json_new_object();
    put_string(object, "name", match->tenant->name);
    put_place(object, &match->tenant->place);
    if (match->label.size > 0)
        json_put_text(object, "label", match->label);
    if (match->tenant->labels != NULL)
        put_row(object, match->tenant->labels, match->label);
    put_string(object, "version", match->tenant->active_version);
    if (match->path != NULL) {
        put_string(object, "path_mode", mode_text(match->path->mode));
        put_string(object, "prefix", match->path->prefix);
    }
    return object;
}

static const char *credential_text(enum credential credential)
{
    switch (credential) {
    case CREDENTIAL_API_KEY: return "api_key";
    case CREDENTIAL_SESSION: return "session";
    case CREDENTIAL_NONE: return "none";
    case CREDENTIAL_UNTOLD: break;
    }
    return NULL;
}

/* The rule of "routes" that matched. */
static struct json *rule_json(const struct explanation *explanation)
{
    const struct decision *decision = &explanation->decision;
    struct json *object = json_new_object();
    assert(decision->match.tenant != NULL);
    const struct policy *policy = decision->match.tenant->policy;
    json_put_integer(object, "number", decision->rule - policy->rules + 1);
    put_string(object, "action", decision->rule->deny ? "deny" : "allow");
    put_string(object, "path", decision->rule->path);
    put_string(object, "pool", decision->rule->pool);
    put_string(object, "credential", credential_text(request_credential(explanation->request)));
    put_place(object, &decision->rule->place);
    return object;
}

/* The route that led here from another tenant, or the user's address that did. */
static struct json *led_json(const struct decision *decision)
{
    struct json *object = json_new_object();
    put_string(object, "from", decision->led_from->name);
    put_string(object, "by", decision->led_by != NULL ? "route" : "email domain");
    if (decision->led_by == NULL)
        return object;
    put_place(object, &decision->led_by->place);
    return object;
}

static bool find_variable(const struct explanation *explanation, const char *name,
                          struct spop_value *value)
{
    struct reader reader = reader_of(explanation->actions);
    struct action action;
    while (action_next(&reader, &action)) {
        if (action.scope == SPOP_SCOPE_TRANSACTION && slice_equal(action.name, slice_of(name))) {
            *value = action.value;
            return true;
        }
    }
    return false;
}

static void put_some(struct json *object, const char *key, uint64_t value)
{
    if (value != 0)
        json_put_integer(object, key, (int64_t)value);
}

static void put_key(struct json *object, const char *name, const struct decision *decision,
                    bool is_of_websockets)
{
    char *key = limits_counted_as(decision, is_of_websockets);
    if (key != NULL)
        put_string(object, name, key);
    free(key);
}

/* What HAProxy is told to count and wait for; an empty object for nothing. */
static struct json *limits_json(const struct decision *decision)
{
    const struct limits *limits = limits_of(decision);
    struct json *object = json_new_object();
    put_key(object, "counted_as", decision, false);
    put_some(object, "requests_per_10s", limits->requests_per_10s);
    if (decision->is_sign_in) {
        put_some(object, "signin_per_minute_per_ip", limits->signin_per_minute_per_ip);
        put_some(object, "signin_per_minute_per_subnet", limits->signin_per_minute_per_subnet);
    }
    if (limits->websockets != 0)
        put_key(object, "websockets_counted_as", decision, true);
    put_some(object, "websockets", limits->websockets);
    put_some(object, "max_body_bytes", limits->max_body_bytes);
    put_some(object, "server_timeout_ms", limits->server_timeout_ms);
    put_some(object, "tunnel_timeout_ms", limits->tunnel_timeout_ms);
    return object;
}

static char *upstream_text(const struct decision *decision)
{
    const struct tenant *tenant = decision->target->tenant;
    const struct upstream *upstream =
        tenant->replicas != NULL ? &decision->replica.replica->upstream : &tenant->upstream;
    char address[IP_PORT_TEXT_SIZE];
    struct ip literal;
    if (tenant->backend != NULL)
        return memory_format("backend owui_%s", tenant->backend);
    const char *scheme = upstream->scheme == UPSTREAM_HTTP ? "http" : "https";
    char *text = memory_format("%s://%s", scheme,
                               ip_print_with_port(&upstream->address, upstream->port, address));
    if (upstream->host != NULL && !ip_parse(slice_of(upstream->host), &literal)) {
        char *named = memory_format("%s (%s)", text, upstream->host);
        free(text);
        text = named;
    }
    if (upstream->scheme != UPSTREAM_HTTP) {
        char *verified =
            memory_format("%s%s%s", text,
                          upstream->scheme == UPSTREAM_HTTPS ? ", verified as " : ", not verified",
                          upstream->scheme == UPSTREAM_HTTPS ? upstream->server_name : "");
        free(text);
        text = verified;
    }
    return text;
}

/* Which of them, and why. What the checks say is known to the daemon alone. */
static struct json *replica_json(const struct decision *decision)
{
    const struct replica_set *set = decision->target->tenant->replicas;
    struct json *object = json_new_object();
    const char *pool = decision->rule != NULL ? decision->rule->pool : NULL;
    char *text = memory_format("%td of %zu, %s%s%s", decision->replica.replica - set->items + 1,
                               set->count, replica_sticky_name(set->sticky),
                               pool != NULL ? ", pool " : "", pool != NULL ? pool : "");
    put_string(object, "which", text);
    put_string(object, "because", replica_reason_name(decision->replica.reason));
    free(text);
    return object;
}

static void put_value(struct json *object, const char *key, const struct spop_value *value)
{
    char ip_text[IP_TEXT_SIZE];
    struct ip ip;
    switch (value->type) {
    case SPOP_BOOLEAN: json_put_bool(object, key, value->boolean); break;
    case SPOP_STRING: put_header_text(object, key, value->bytes); break;
    case SPOP_IPV4:
    case SPOP_IPV6:
        if (ip_from_bytes(value->bytes, &ip))
            put_string(object, key, ip_print(&ip, ip_text));
        break;
    case SPOP_BINARY: json_put_integer(object, key, (int64_t)value->bytes.size); break;
    default: json_put_integer(object, key, value->integer); break;
    }
}

static struct json *variables_json(const struct explanation *explanation)
{
    struct json *object = json_new_object();
    struct reader reader = reader_of(explanation->actions);
    struct action action;
    while (action_next(&reader, &action)) {
        if (action.scope != SPOP_SCOPE_TRANSACTION) /* for later requests */
            continue;
        char *key = memory_copy_text(action.name);
        put_value(object, key, &action.value);
        free(key);
    }
    return object;
}

/* What of the answer becomes headers. */
struct header_lists {
    const struct explanation *explanation;
    struct json *deleted;
    struct json *set;
};

static void list_deleted(void *context, const char *name, bool is_prefix)
{
    const struct header_lists *lists = context;
    char *text = memory_format("%s%s", name, is_prefix ? "*" : "");
    json_append_text(lists->deleted, slice_of(text));
    free(text);
}

static void put_host(struct json *set, const char *name, const struct host *host)
{
    char buffer[HOST_MAX_BYTES + 16];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    host_write(host, &writer);
    json_put_text(set, name, writer_written(&writer));
}

/* RFC 7239, as haproxy.cfg makes it of the others. */
static void put_forwarded(const struct header_lists *lists, const char *name)
{
    char ip_text[IP_TEXT_SIZE], host_text[HOST_MAX_BYTES + 16];
    const struct decision *decision = &lists->explanation->decision;
    struct writer host = writer_of(host_text, sizeof(host_text));
    bool is_v6 = decision->client.ip.family == IP_V6;
    host_write(&decision->host, &host);
    char *text = memory_format("for=%s%s%s;host=\"%.*s\";proto=%s;by=_owui", is_v6 ? "\"[" : "",
                               ip_print(&decision->client.ip, ip_text), is_v6 ? "]\"" : "",
                               SLICE_PRINT(writer_written(&host)),
                               decision->client.https ? "https" : "http");
    put_string(lists->set, name, text);
    free(text);
}

static void list_set(void *context, const char *name, const char *variable)
{
    const struct header_lists *lists = context;
    struct spop_value value;
    const struct decision *decision = &lists->explanation->decision;
    if (strcmp(variable, "host") == 0)
        put_host(lists->set, name, &decision->host);
    else if (strcmp(variable, "proto") == 0)
        put_string(lists->set, name, decision->client.https ? "https" : "http");
    else if (strcmp(variable, "port") == 0)
        json_put_integer(lists->set, name, decision_public_port(decision));
    else if (strcmp(variable, "forwarded") == 0)
        put_forwarded(lists, name);
    else if (find_variable(lists->explanation, variable, &value))
        put_value(lists->set, name, &value);
    else if (strcmp(variable, "rid") == 0)
        put_string(lists->set, name, "(made by HAProxy)");
}

/* The tenant's own, in whichever form the answer has them. */
static void list_own(const struct header_lists *lists)
{
    const struct tenant *tenant = lists->explanation->decision.target->tenant;
    struct spop_value value;
    if (find_variable(lists->explanation, "headers", &value)) {
        struct reader reader = reader_of(value.bytes);
        struct slice name, text;
        while (header_pair_next(&reader, &name, &text)) {
            char *key = memory_copy_text(name);
            put_header_text(lists->set, key, text);
            free(key);
        }
        return;
    }
    for (size_t i = 0; i < tenant->header_count; i++)
        if (find_variable(lists->explanation, tenant->headers[i].variable, &value))
            put_value(lists->set, tenant->headers[i].name, &value);
}

static struct json *headers_json(const struct explanation *explanation)
{
    struct header_lists lists = {explanation, json_new_array(), json_new_object()};
    const struct hap_header_visitor visitor = {list_deleted, list_set, &lists};
    struct json *object = json_new_object();
    hap_config_visit_headers(explanation->haproxy, &visitor);
    if (explanation->decision.host.changed)
        put_host(lists.set, "Host", &explanation->decision.host);
    if (explanation->decision.strip_segments > 0)
        put_string(lists.set, "X-Forwarded-Prefix", explanation->decision.match.path->prefix);
    list_own(&lists);
    json_put(object, "deleted", lists.deleted);
    if (explanation->haproxy->keeps_trace)
        put_string(object, "kept", "traceparent and tracestate, where W3C Trace Context has them");
    json_put(object, "set", lists.set);
    return object;
}

static const char *response_text(unsigned set)
{
    switch (set) {
    case RESPONSE_SECURE_COOKIES: return "cookies are made Secure over https";
    case RESPONSE_NOSNIFF: return "nosniff";
    default: return "cookies are made Secure over https; nosniff";
    }
}

/* What HAProxy would do with the host's requests while no agent answers. */
static void put_fallback(struct json *root, const struct explanation *explanation)
{
    const struct tenant *tenant = explanation->decision.match.tenant;
    int64_t now_s = explanation->request->wall_s;
    if (explanation->haproxy->fallback_map == NULL || tenant == NULL)
        return;
    char *text =
        fallback_text(explanation->snapshot->table, tenant, host_name(&explanation->decision.host),
                      now_s != 0 ? now_s : clock_wall_s());
    put_string(root, "without_agent", text);
    free(text);
}

struct json *explanation_json(const struct explanation *explanation)
{
    const struct decision *decision = &explanation->decision;
    struct json *root = json_new_object();
    put_string(root, "decision", outcome_name(decision->outcome));
    if (decision->status != 0)
        json_put_integer(root, "status", decision->status);
    if (decision->status >= 400)
        put_string(root, "reason", decision_reason(decision));
    if (decision->location.size > 0)
        json_put_text(root, "to", decision->location);
    explain_outage(explanation->request, decision, root);
    if (explanation->request->cookie.size > 0)
        put_string(root, "takeover", takeover_text(decision));
    struct spop_value told;
    if (find_variable(explanation, "hsts", &told))
        json_put_text(root, "hsts", told.bytes);
    if (find_variable(explanation, "rs", &told))
        put_string(root, "answers", response_text((unsigned)told.integer));
    if (find_variable(explanation, "gen", &told))
        put_string(root, "generation", "told to this client in X-Owui-Generation");
    if (decision->strip_segments > 0)
        json_put_integer(root, "strip_segments", decision->strip_segments);
    if (decision->match.tenant != NULL)
        json_put(root, "tenant", tenant_json(explanation));
    if (decision->led_from != NULL)
        json_put(root, "led", led_json(decision));
    if (decision->share != SHARE_NOT_ASKED)
        json_put_integer(root, "share", decision->share);
    if (decision->rule != NULL)
        json_put(root, "route", rule_json(explanation));
    if (decision->outcome == OUTCOME_FORWARD) {
        char *upstream = upstream_text(decision);
        put_string(root, "upstream", upstream);
        free(upstream);
        if (decision->target->tenant->replicas != NULL)
            json_put(root, "replica", replica_json(decision));
        json_put(root, "limits", limits_json(decision));
    }
    put_fallback(root, explanation);
    json_put(root, "request", request_json(explanation));
    if (decision->outcome != OUTCOME_BAD_REQUEST)
        json_put(root, "client", client_json(explanation));
    if (decision->match.tenant != NULL && decision->match.tenant->identity != NULL &&
        decision->outcome != OUTCOME_REDIRECT_HTTPS && decision->outcome != OUTCOME_REDIRECT_PATH)
        json_put(root, "identity", identity_json(explanation));
    json_put(root, "tried", tried_json(explanation));
    if (decision->outcome == OUTCOME_FORWARD)
        json_put(root, "headers", headers_json(explanation));
    json_put(root, "variables", variables_json(explanation));
    return root;
}
