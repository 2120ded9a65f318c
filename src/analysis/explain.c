/* `owui-spoa explain`: the decision about a request, and why. */
#include "explain.h"

#include "agent/claim.h"
#include "agent/explain.h"
#include "agent/instance.h"
#include "analysis/explain_recorded.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "conf/own_address.h"
#include "conf/whole.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "explain_identity.h"
#include "serving/seal_file.h"
#include "upstreams/resolver.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_HEADERS = COUNT_OF(((struct command_list *)NULL)->items) };

#define USUAL_FROM   "192.0.2.1"
#define USUAL_METHOD "GET"

struct inquiry {
    const char *path; /* of the global file */
    const char *url;
    const char *from;
    const char *sni;
    const char *method;
    const char *at;         /* NULL: now */
    const char *request_id; /* of one that is in the trace; NULL: the URL */
    struct recorded recorded;
    struct command_list headers;
    bool as_json;
    struct slice url_host; /* without a port */
    struct request request;
};

/* -- The request ------------------------------------------------------------------------------ */

static bool read_url(struct inquiry *inquiry)
{
    struct slice url = slice_of(inquiry->url);
    struct request *request = &inquiry->request;
    if (slice_starts_with(url, SLICE("https://"))) {
        request->client.peer_tls = true;
        url = slice_skip(url, sizeof("https://") - 1);
    } else if (slice_starts_with(url, SLICE("http://"))) {
        url = slice_skip(url, sizeof("http://") - 1);
    } else {
        return false;
    }
    size_t host_size = strcspn(url.data, "/?#");
    request->host = slice_head(url, host_size);
    inquiry->url_host = slice_head(url, strcspn(url.data, "/?#:"));
    url = slice_skip(url, host_size);
    request->path = slice_head(url, strcspn(url.data, "?#"));
    return true;
}

/* Lines come in the order of the request, the last ones count. */
static void add_line(struct client_question *client, enum client_source source, struct slice value)
{
    struct slice *lines = client->lines[source];
    uint32_t count = client->line_count[source]++;
    if (count < CLIENT_MAX_LINES) {
        lines[count] = value;
        return;
    }
    memmove(lines, lines + 1, (CLIENT_MAX_LINES - 1) * sizeof(*lines));
    lines[CLIENT_MAX_LINES - 1] = value;
}

/* The value of owui_tenant among "a=b; c=d"; the last one, as HAProxy has it. */
static struct slice cookie_value(struct slice cookies)
{
    static const struct slice NAME = {"owui_tenant=", 12};
    struct slice value = {0};
    while (cookies.size > 0) {
        struct slice cookie = slice_trim(slice_cut(&cookies, ';'));
        if (slice_starts_with(cookie, NAME))
            value = slice_skip(cookie, NAME.size);
    }
    return value;
}

/* For one that could be read in several ways, as haproxy.cfg tells it (hap/question_write.c). */
static const struct slice UNCLEAR_TOKEN = {"?", 1};

/* Python's blanks, some of which are not ASCII, and what is no part of a name anyway. */
static struct slice trim_name(struct slice name)
{
    while (name.size > 0 && ((uint8_t)name.data[0] <= ' ' || (uint8_t)name.data[0] >= 0x7f))
        name = slice_skip(name, 1);
    while (name.size > 0 &&
           ((uint8_t)name.data[name.size - 1] <= ' ' || (uint8_t)name.data[name.size - 1] >= 0x7f))
        name.size--;
    return name;
}

static void read_token(struct request *request, struct slice value)
{
    static const struct slice NAME = {"token", 5};
    while (value.size > 0) {
        struct slice token = slice_cut(&value, ';');
        bool is_pair = slice_has(token, '=');
        if (!slice_equal(trim_name(slice_cut(&token, '=')), NAME) || !is_pair)
            continue;
        bool is_clear = token.size > 0 && request->token.size == 0;
        request->token = is_clear ? slice_head(token, size_min(token.size, 3)) : UNCLEAR_TOKEN;
    }
}

/* As HAProxy tells them: the beginning of the first Authorization, and of the cookie "token". */
static void read_credential(struct request *request, struct slice name, struct slice value)
{
    if (slice_equal_nocase(name, SLICE("Authorization")) && request->bearer.size == 0) {
        request->bearer = slice_head(value, size_min(value.size, 10));
    } else if (slice_equal_nocase(name, SLICE("X-Api-Key"))) {
        request->api_keys++;
    } else if (slice_equal_nocase(name, SLICE("Cookie"))) {
        struct slice cookie = cookie_value(value);
        if (cookie.size > 0)
            request->cookie = cookie;
        read_token(request, value);
    }
}

/* A key or token behind a scheme that is not Bearer. */
static bool is_behind_other_scheme(struct slice authorization)
{
    struct slice scheme = slice_cut(&authorization, ' ');
    return !slice_equal_nocase(scheme, SLICE("Bearer")) &&
           (slice_starts_with(authorization, SLICE("sk-")) ||
            slice_starts_with(authorization, SLICE("eyJ")));
}

/* Not every reader looks at a second line of cookies. */
static void finish_token(struct inquiry *inquiry)
{
    struct slice authorization = {0};
    size_t lines = 0;
    for (size_t i = 0; i < inquiry->headers.count; i++) {
        const char *line = inquiry->headers.items[i];
        lines += strncasecmp(line, "cookie:", 7) == 0;
        if (authorization.size == 0 && strncasecmp(line, "authorization:", 14) == 0)
            authorization = slice_trim(slice_of(line + 14));
    }
    struct slice *token = &inquiry->request.token;
    if (token->size > 0 ? lines > 1 : is_behind_other_scheme(authorization))
        *token = UNCLEAR_TOKEN;
}

static void read_cookies(struct request *request, struct slice line)
{
    while (line.size > 0) {
        struct slice cookie = slice_trim(slice_cut(&line, ';'));
        if (slice_starts_with(cookie, SLICE("token=")))
            request->token_claims = claim_part(slice_skip(cookie, sizeof("token=") - 1));
        else if (slice_starts_with(cookie, SLICE("owui_replica=")))
            request->replica_cookie = slice_skip(cookie, sizeof("owui_replica=") - 1);
        else if (slice_starts_with(cookie, SLICE("owui_share=")))
            request->share_cookie = slice_skip(cookie, sizeof("owui_share=") - 1);
    }
}

static bool read_header(struct inquiry *inquiry, const char *line)
{
    const char *colon = strchr(line, ':');
    if (colon == NULL || colon == line)
        return false;
    struct slice name = slice_from(line, (size_t)(colon - line));
    struct slice value = slice_trim(slice_of(colon + 1));
    struct client_question *client = &inquiry->request.client;
    enum client_source source;
    if (client_source_parse(name, &source))
        add_line(client, source, value);
    else if (slice_equal_nocase(name, SLICE("Host")))
        inquiry->request.host = value;
    else if (slice_equal_nocase(name, SLICE("Upgrade")))
        inquiry->request.upgrade = value;
    else if (slice_equal_nocase(name, SLICE("X-Forwarded-Proto")))
        client->forwarded_proto = value;
    else if (slice_equal_nocase(name, SLICE("X-Request-ID")))
        client->request_id = value;
    else if (slice_equal_nocase(name, SLICE("Origin")))
        inquiry->request.origin = value;
    else
        read_credential(&inquiry->request, name, value);
    if (slice_equal_nocase(name, SLICE("Authorization")))
        inquiry->request.authorization_claims = claim_part(value);
    else if (slice_equal_nocase(name, SLICE("Cookie")))
        read_cookies(&inquiry->request, value);
    return true;
}

static enum error read_request(struct inquiry *inquiry, struct error_text *why)
{
    if (!read_url(inquiry))
        return error_set(why, ERROR_INVALID, "\"%s\" is no URL with http:// or https://",
                         inquiry->url);
    if (!ip_parse(slice_of(inquiry->from), &inquiry->request.client.peer))
        return error_set(why, ERROR_INVALID, "--from \"%s\" is no IP address", inquiry->from);
    for (size_t i = 0; i < inquiry->headers.count; i++)
        if (!read_header(inquiry, inquiry->headers.items[i]))
            return error_set(why, ERROR_INVALID, "--header \"%s\": expected 'NAME: VALUE'",
                             inquiry->headers.items[i]);
    finish_token(inquiry);
    inquiry->request.method = slice_of(inquiry->method);
    inquiry->request.credential_told = true;
    inquiry->request.replica_told = true;
    /* A client's handshake names the host of the URL. */
    struct slice url_host = inquiry->url_host;
    inquiry->request.sni = inquiry->sni != NULL ? slice_of(inquiry->sni) : url_host;
    if (inquiry->at != NULL &&
        !time_text_parse_point(slice_of(inquiry->at), &inquiry->request.wall_s))
        return error_set(why, ERROR_INVALID, "--at \"%s\" is no time such as 2026-12-01T02:00Z",
                         inquiry->at);
    if (strcmp(inquiry->method, "OPTIONS") == 0 && inquiry->request.path.size == 0)
        inquiry->request.path = SLICE("*");
    return ERROR_OK;
}

/* -- Addresses, which the daemon has found already, by the same resolver ----------------------- */

struct lookup {
    const struct configuration *configuration;
    struct main_loop *loop;
    struct resolver *resolver;
};

static bool is_allowed(void *context, const struct ip *address)
{
    const struct lookup *lookup = context;
    return settings_upstream_allowed(lookup->configuration->settings, address);
}

static void on_answer(void *context, const char *name)
{
    const struct lookup *lookup = context;
    (void)name;
    main_loop_stop(lookup->loop);
}

static void on_failure(void *context, const char *name, const char *reason,
                       const struct ip *lasting)
{
    (void)context, (void)lasting;
    terminal_complain("%s: %s", name, reason);
}

static bool open_lookup(struct lookup *lookup, const struct configuration *configuration)
{
    const struct resolver_options options = {
        .interval_s = RESOLVE_MIN_S,
        .nameservers = configuration->nameservers,
        .nameserver_count = configuration->nameserver_count,
    };
    const struct resolver_events events = {is_allowed, on_answer, on_failure, lookup};
    struct error_text why = {"there is no memory for it"};
    *lookup = (struct lookup){configuration, main_loop_new(&why), NULL};
    if (lookup->loop != NULL)
        lookup->resolver = resolver_new(lookup->loop, &events);
    if (lookup->resolver != NULL &&
        resolver_configure(lookup->resolver, &options, &why) == ERROR_OK)
        return true;
    terminal_complain("names cannot be asked for: %s", why.text);
    return false;
}

static void close_lookup(struct lookup *lookup)
{
    resolver_free(lookup->resolver);
    main_loop_free(lookup->loop);
}

static bool resolve(const struct lookup *lookup, const char *host, uint16_t port,
                    struct ip *address)
{
    enum resolver_answer answer;
    while ((answer = resolver_find(lookup->resolver, host, address)) == RESOLVER_PENDING)
        main_loop_run(lookup->loop);
    return answer == RESOLVER_KNOWN && own_address_allowed(lookup->configuration, address, port);
}

static struct tenant *find_instance(const struct lookup *lookup, const struct decision *decision)
{
    const struct tenant *tenant = decision->match.tenant;
    struct slice label = decision->match.label;
    char *host = label.size > 0 ? instance_host(tenant, label) : NULL;
    struct tenant *instance = NULL;
    struct ip address;
    if (host != NULL && resolve(lookup, host, instance_port(tenant, label), &address))
        instance = instance_new(tenant, label, host, &address, NULL);
    free(host);
    return instance;
}

static struct tenant *find_upstreams(const struct lookup *lookup, const struct tenant *tenant)
{
    struct tenant *moved = tenant_clone(tenant);
    size_t count = tenant_upstream_count(moved);
    bool is_found = false;
    struct ip address;
    for (size_t i = 0; i < count; i++) /* so that all are asked for at once */
        (void)resolver_find(lookup->resolver, tenant_upstream_at(moved, i)->host, &address);
    for (size_t i = 0; i < count; i++) {
        struct upstream *upstream = tenant_upstream_at(moved, i);
        if (resolve(lookup, upstream->host, upstream->port, &address)) {
            upstream->address = address;
            is_found = true;
        }
    }
    if (is_found && answer_prepare(moved, NULL) == ERROR_OK)
        return moved;
    tenant_free(moved);
    return NULL;
}

/* Puts what the daemon would have by now in the registry: the tenant with its address, or the
 * instance of the label. False when there is no address. */
static bool add_address(struct whole *whole, const struct decision *decision)
{
    struct lookup lookup;
    struct tenant *found = NULL;
    if (open_lookup(&lookup, whole->configuration))
        found = decision->match.tenant->upstream.per_label
                    ? find_instance(&lookup, decision)
                    : find_upstreams(&lookup, decision->match.tenant);
    close_lookup(&lookup);
    if (found != NULL)
        route_registry_put(whole->registry, found, NULL, NULL);
    return found != NULL;
}

/* Whether an address that the daemon has by now could change what is told: who is served, by which
 * replica, and by what without an agent. */
static bool wants_address(const struct decision *decision, const struct hap_config *haproxy)
{
    const struct tenant *tenant = decision->match.tenant;
    if (decision->outcome == OUTCOME_DENY_UNRESOLVED)
        return true;
    if (tenant == NULL || (decision->outcome != OUTCOME_FORWARD && haproxy->fallback_map == NULL))
        return false;
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        const struct upstream *upstream = tenant_upstream_peek(tenant, i);
        if (upstream->address.family == IP_NONE && upstream_has_name(upstream))
            return true;
    }
    return false;
}

static struct json *with_request(struct json *root, const struct inquiry *inquiry)
{
    json_put_text(root, "url", slice_of(inquiry->url));
    json_put_text(root, "method", slice_of(inquiry->method));
    if (inquiry->sni != NULL)
        json_put_text(root, "sni", slice_of(inquiry->sni));
    return root;
}

/* Completes and frees it. */
static void print_request_json(const struct inquiry *inquiry, struct json *root)
{
    with_request(root, inquiry);
    if (inquiry->recorded.entry != NULL)
        json_put(root, "recorded", recorded_json(&inquiry->recorded));
    char *text = json_print(root, JSON_STYLE_INDENTED);
    fputs(text, stdout);
    free(text);
    json_free(root);
}

/* -- What the agent is not asked -------------------------------------------------------------- */

static struct json *shortcut_json(enum hap_shortcut shortcut, const char *responder)
{
    struct json *root = json_new_object();
    if (shortcut == HAP_TO_ACME) {
        json_put_text(root, "decision", SLICE("acme"));
        json_put_text(root, "upstream", slice_of(responder));
    } else {
        json_put_text(root, "decision", SLICE("method-refused"));
        json_put_integer(root, "status", 405);
    }
    return root;
}

static void print_shortcut_text(const struct inquiry *inquiry, enum hap_shortcut shortcut,
                                const char *responder)
{
    printf("%s %s from %s\n\n", inquiry->method, inquiry->url, inquiry->from);
    if (shortcut == HAP_TO_ACME)
        printf("decision   acme\n"
               "upstream   %s, which answers ACME challenges\n"
               "  because  the path is a challenge's, which is nobody's but the CA's\n",
               responder);
    else
        printf("decision   method-refused, status 405\n"
               "  because  HAProxy opens no tunnels: it does not ask the agent\n");
}

/* Returns the exit code. */
static int tell_shortcut(const struct inquiry *inquiry, enum hap_shortcut shortcut,
                         const char *responder)
{
    if (inquiry->as_json)
        print_request_json(inquiry, shortcut_json(shortcut, responder));
    else
        print_shortcut_text(inquiry, shortcut, responder);
    return shortcut == HAP_TO_ACME ? EXIT_GOOD : EXIT_BAD;
}

/* -- The answer ------------------------------------------------------------------------------- */

static void print_json(const struct inquiry *inquiry, const struct explanation *explanation)
{
    print_request_json(inquiry, explanation_json(explanation));
}

static void print_text(const struct inquiry *inquiry, const struct explanation *explanation)
{
    const struct host *host = &explanation_decision(explanation)->host;
    char *text = explanation_text(explanation);
    printf("%s %s from %s\n\n%s", inquiry->method, inquiry->url, inquiry->from, text);
    free(text);
    if (inquiry->sni != NULL &&
        !slice_equal_nocase(slice_of(inquiry->sni), slice_from(host->name, host->name_size)))
        printf("\nnote: the certificate is chosen by the handshake's name %s, the tenant by Host\n",
               inquiry->sni);
}

static int tell(struct inquiry *inquiry, struct whole *whole)
{
    struct explain_identity known;
    explain_identity_init(&known, whole, inquiry->headers.items, inquiry->headers.count,
                          &inquiry->request);
    struct snapshot snapshot = {.generation = 1,
                                .settings = whole->configuration->settings,
                                .content_hash =
                                    whole_content_hash(whole->configuration, whole->table),
                                .table = whole->table,
                                .keys = known.keys};
    const struct hap_config *haproxy = &whole->configuration->haproxy;
    struct error_text why;
    if (haproxy->takeover &&
        seal_file_read(whole->configuration->cookie_key_file, &snapshot.seal, &why) != ERROR_OK)
        terminal_complain("no cookie can be looked at: %s", why.text);
    struct explanation *explanation = explanation_new(&snapshot, &inquiry->request, haproxy);
    struct route_table *resolved = NULL;

    if (wants_address(explanation_decision(explanation), haproxy) &&
        add_address(whole, explanation_decision(explanation))) {
        explanation_free(explanation);
        resolved = snapshot.table = route_registry_build(whole->registry, ++snapshot.generation);
        explanation = explanation_new(&snapshot, &inquiry->request, haproxy);
    }
    if (inquiry->as_json)
        print_json(inquiry, explanation);
    else
        print_text(inquiry, explanation);
    bool is_refused = explanation_decision(explanation)->status >= 400;
    explanation_free(explanation);
    route_table_free(resolved);
    explain_identity_fini(&known);
    return is_refused ? EXIT_BAD : EXIT_GOOD;
}

/* The request that is asked about is at hand, or in the trace. */
static bool find_request(struct inquiry *inquiry, const struct configuration *configuration)
{
    if (inquiry->request_id == NULL)
        return true;
    if (!recorded_find(configuration, inquiry->request_id, &inquiry->recorded))
        return false;
    inquiry->request = inquiry->recorded.made.request;
    inquiry->request.wall_s = 0;
    inquiry->url = inquiry->recorded.url;
    inquiry->from = inquiry->recorded.from;
    inquiry->method = inquiry->recorded.method;
    inquiry->url_host = inquiry->request.host;
    if (!inquiry->as_json)
        recorded_print(&inquiry->recorded);
    return true;
}

static int explain(struct inquiry *inquiry)
{
    struct whole whole;
    struct diagnostics diagnostics = {0};
    int code = EXIT_WRONG;
    bool is_good = whole_load(inquiry->path, answer_prepare, &whole, &diagnostics);

    if (!is_good)
        for (size_t i = 0; i < diagnostics.count; i++) {
            char *text = diagnostic_print(&diagnostics.items[i]);
            fputs(text, stderr);
            free(text);
        }
    if (whole.configuration != NULL && whole.has_broken)
        terminal_complain(
            "a daemon may serve these as they last were, and decide otherwise: " VIEW_KEPT_COMMAND);
    bool is_known = whole.configuration != NULL && find_request(inquiry, whole.configuration);
    enum hap_shortcut shortcut =
        hap_config_shortcut(slice_of(inquiry->method), inquiry->request.path);
    if (is_known)
        code =
            shortcut == HAP_ASK_AGENT
                ? tell(inquiry, &whole)
                : tell_shortcut(inquiry, shortcut, whole.configuration->haproxy.challenge_listen);
    recorded_fini(&inquiry->recorded);
    whole_fini(&whole);
    diagnostics_fini(&diagnostics);
    return code;
}

/* -- In the daemon ---------------------------------------------------------------------------- */

/* Texts that a question holds, kept with their NULs. */
struct kept {
    char *items[MAX_HEADERS + 5];
    size_t count;
};

static const char *keep(struct kept *kept, const struct json *value, const char *otherwise)
{
    struct slice text;
    if (!json_read_text(value, &text))
        return otherwise;
    return kept->items[kept->count++] = memory_copy_text(text);
}

static enum error read_question(struct inquiry *inquiry, const struct json *question,
                                struct kept *kept, struct error_text *why)
{
    const struct json *headers = json_get(question, "headers");
    *inquiry = (struct inquiry){
        .url = keep(kept, json_get(question, "url"), ""),
        .from = keep(kept, json_get(question, "from"), USUAL_FROM),
        .method = keep(kept, json_get(question, "method"), USUAL_METHOD),
        .sni = keep(kept, json_get(question, "sni"), NULL),
        .at = keep(kept, json_get(question, "at"), NULL),
    };
    if (json_count(headers) > MAX_HEADERS)
        return error_set(why, ERROR_TOO_BIG, "more than %d headers", MAX_HEADERS);
    for (size_t i = 0; i < json_count(headers); i++)
        inquiry->headers.items[inquiry->headers.count++] = keep(kept, json_at(headers, i), "");
    return read_request(inquiry, why);
}

static struct json *explain_now(struct inquiry *inquiry, const struct snapshot *snapshot,
                                const struct hap_config *haproxy)
{
    struct explain_identity known;
    explain_identity_ask(&known, haproxy, inquiry->headers.items, inquiry->headers.count,
                         &inquiry->request);
    struct explanation *explanation = explanation_new(snapshot, &inquiry->request, haproxy);
    struct json *root = explanation_json(explanation);
    explanation_free(explanation);
    explain_identity_fini(&known);
    return root;
}

struct json *explain_json(const struct json *question, const struct snapshot *snapshot,
                          const struct hap_config *haproxy, struct error_text *why)
{
    struct inquiry inquiry;
    struct kept kept = {.count = 0};
    struct json *root = NULL;
    if (read_question(&inquiry, question, &kept, why) == ERROR_OK) {
        enum hap_shortcut shortcut =
            hap_config_shortcut(slice_of(inquiry.method), inquiry.request.path);
        root = with_request(shortcut == HAP_ASK_AGENT
                                ? explain_now(&inquiry, snapshot, haproxy)
                                : shortcut_json(shortcut, haproxy->challenge_listen),
                            &inquiry);
    }
    for (size_t i = 0; i < kept.count; i++)
        free(kept.items[i]);
    return root;
}

/* -- The subcommand --------------------------------------------------------------------------- */

static const struct command_usage USAGE = {
    .forms = {"URL", "--request-id ID"},
    .about = "Decides about a request as the daemon would, and tells how: the rules that were "
             "tried and the one that won, with the line it stands on, HAProxy's variables, and the "
             "headers that are deleted and set.",
    .exit_codes = {"forwarded or redirected", "refused", "wrong usage or configuration"},
    .examples = {"owui-spoa explain https://chat.example.com/",
                 "owui-spoa explain http://example.com/owui/ --from 203.0.113.9",
                 "owui-spoa explain https://chat.example.com/ --from 10.20.0.1 \\\n"
                 "      -H 'X-Forwarded-For: 203.0.113.9' -H 'Host: Chat.Example.COM:443'"},
    .max_words = 1,
};

/* What only a request that is at hand can be given: one that is recorded has its own. */
static bool is_described(const struct inquiry *inquiry)
{
    return inquiry->from != NULL || inquiry->method != NULL || inquiry->sni != NULL ||
           inquiry->at != NULL || inquiry->headers.count > 0;
}

int explain_command(struct command_line *line)
{
    struct inquiry inquiry = {.path = DEFAULT_CONFIGURATION};
    const struct command_option options[] = {
        {"from", 0, "IP", "who connects to HAProxy (192.0.2.1)", .text = &inquiry.from},
        {"header", 'H', "LINE", "a header of the request, such as 'X-Forwarded-For: 203.0.113.9'",
         .list = &inquiry.headers},
        {"sni", 0, "NAME", "the name asked for in the TLS handshake (the URL's host)",
         .text = &inquiry.sni},
        {"method", 0, "METHOD", "GET, OPTIONS, ... (GET)", .text = &inquiry.method},
        {"at", 0, "TIME",
         "when it comes, as 2026-12-01T02:00:00Z: for maintenance and hours of routes (now)",
         .text = &inquiry.at},
        {"request-id", 0, "ID",
         "a request that is still in the trace's file, by its X-Request-ID: what was decided then, "
         "and what would be now",
         .text = &inquiry.request_id},
        command_option_config(&inquiry.path),
        command_option_json(&inquiry.as_json),
        {0},
    };
    if (!command_line_read(line, &USAGE, options))
        return line->code;
    struct error_text why;
    inquiry.url = command_line_next(line);
    if ((inquiry.url == NULL) == (inquiry.request_id == NULL))
        return command_line_misused(line, "expected one URL, or --request-id");
    if (inquiry.request_id != NULL && is_described(&inquiry))
        return command_line_misused(line, "--request-id is of a request that has its own --from, "
                                          "--header, --method, --sni and --at");
    inquiry.from = inquiry.from != NULL ? inquiry.from : USUAL_FROM;
    inquiry.method = inquiry.method != NULL ? inquiry.method : USUAL_METHOD;
    if (inquiry.url != NULL && read_request(&inquiry, &why) != ERROR_OK)
        return command_line_misused(line, "%s", why.text);
    return explain(&inquiry);
}
