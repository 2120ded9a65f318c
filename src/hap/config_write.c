/* haproxy.cfg and the SPOE file: see hap/config.h.
 *
 * The text is read by people, so each block says what it is for. What is on the path of every
 * forwarded request is kept short: whatever is not forwarded leaves it by one rule, to a backend
 * that knows the answers. `http-request allow` ends a section's rules and is used as a branch: it
 * spares a forwarded request the rules behind it.
 */
#include "hap/config.h"

#include "core/memory.h"
#include "fallback_write.h"
#include "forwarded_write.h"
#include "limits_write.h"
#include "response_write.h"
#include "reuse_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    STRIP_MAX_SEGMENTS = 8,
    HOPS_MAX = 4,   /* installations behind one another; more is a loop */
    AGENT_MS = 400, /* an answer's time; the agent holds one back for 300 ms at most */
};

#define ACME_PREFIX "/.well-known/acme-challenge/"

#define WRITTEN_BY "Written by `owui-spoa haproxy-config`"

#define OWN_LINES_BEGIN "# own lines, "
#define OWN_LINES_END   "# end of own lines"

/* What a client may not assert, besides what the configuration lists. */
static const char *const STRIPPED_PREFIXES[] = {"X-Forwarded-", "X-OpenWebUI-"};
static const char *const STRIPPED_HEADERS[] = {
    "Forwarded",           "X-Real-IP",      "X-Client-IP",      "True-Client-IP",
    "CF-Connecting-IP",    "CF-IPCountry",   "Fastly-Client-IP", "X-Azure-ClientIP",
    "X-Cluster-Client-IP", "X-Original-URL", "X-Rewrite-URL",    "X-Scheme",
    "Front-End-Https",     "X-Request-ID",   "traceparent",      "tracestate",
    "HTTP2-Settings",
};

/* What every upstream is told, by the agent's variables; Host is HAProxy's own to say. */
static const struct told {
    const char *header;
    const char *variable;
} TOLD_HEADERS[] = {
    {"X-Forwarded-For", "ip"},      {"X-Real-IP", "ip"},          {"X-Client-IP", "ip"},
    {"X-Forwarded-Proto", "proto"}, {"X-Forwarded-Host", "host"}, {"X-Forwarded-Port", "fport"},
    {"X-Request-ID", "rid"},
};

static const struct answer {
    const char *text;
    int status;
    bool for_programs; /* as JSON, too; of a bad request not even the path is known */
} ANSWERS[] = {
    {"Bad request", 400, false},        {"Sign in first", 401, true},
    {"Payment required", 402, false},   {"Forbidden", 403, true},
    {"Not found", 404, true},           {"Misdirected request", 421, true},
    {"Service unavailable", 503, true},
};

/* What a tenant that does not serve answers with, and what programs are told. */
static const struct outage {
    int status;
    const char *detail;
} OUTAGES[] = {
    {402, "This service is suspended"},
    {403, "This service is suspended"},
    {503, "This service is under maintenance"},
};

static const struct source {
    const char *header;
    const char *argument;
    int lines;
} SOURCES[] = {
#define X(NAME, HEADER, ARGUMENT, LINES) [HAP_SOURCE_##NAME] = {HEADER, ARGUMENT, LINES},
    HAP_SOURCE_TABLE(X)
#undef X
};
static_assert(COUNT_OF(SOURCES) == HAP_SOURCE__MAX, "a source has no row");

static const char *const ARGUMENTS[] = {
#define X(NAME, TEXT, ARGUMENTS) [HAP_ARGUMENT_##NAME] = ARGUMENTS,
    HAP_ARGUMENT_TABLE(X)
#undef X
};

static const char *or_else(const char *value, const char *otherwise)
{
    return value != NULL ? value : otherwise;
}

static const char *spoe_path(const struct hap_config *config)
{
    return or_else(config->spoe_path, "/etc/haproxy/owui.spoe.cfg");
}

/* What the text is made with. */
struct page {
    FILE *out;
    const struct hap_config *config;
    enum hap_version version;
    struct slice previous;
};

/* Begins a text; ends the program when memory runs out, as core/memory.h does. */
static FILE *text_open(char **text, size_t *size)
{
    FILE *out = open_memstream(text, size);
    if (out == NULL)
        abort();
    return out;
}

static void text_close(FILE *out)
{
    if (fclose(out) != 0)
        abort();
}

static void put(const struct page *page, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(const struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(page->out, format, arguments);
    va_end(arguments);
}

/* `newer` from version `least` on, else `older`; one of them may be "". */
static void put_since(const struct page *page, enum hap_version least, const char *least_text,
                      const char *newer, const char *older)
{
    if (page->version != HAP_ANY) {
        put(page, "%s", page->version >= least ? newer : older);
        return;
    }
    if (newer[0] == '\0') {
        put(page, ".if version_before(%s)\n%s.endif\n", least_text, older);
        return;
    }
    put(page, ".if version_atleast(%s)\n%s", least_text, newer);
    if (older[0] != '\0')
        put(page, ".else\n%s", older);
    put(page, ".endif\n");
}

/* Own lines end where others begin, too: somebody may have deleted the mark between them. */
static const char *end_of_own_lines(const char *begin, const char *end)
{
    struct slice rest = slice_from(begin, (size_t)(end - begin));
    const char *mark = memmem(rest.data, rest.size, OWN_LINES_END, sizeof(OWN_LINES_END) - 1);
    const char *next = memmem(rest.data, rest.size, OWN_LINES_BEGIN, sizeof(OWN_LINES_BEGIN) - 1);
    return mark == NULL || (next != NULL && next < mark) ? next : mark;
}

/* The lines between the marks for `place` in an older text, or nothing. */
static struct slice own_lines(struct slice previous, const char *place)
{
    struct slice found = {0};
    char *mark = memory_format(OWN_LINES_BEGIN "%s (", place);
    const char *end = previous.data + previous.size;
    const char *begin =
        previous.size > 0 ? memmem(previous.data, previous.size, mark, strlen(mark)) : NULL;
    if (begin != NULL)
        begin = memchr(begin, '\n', (size_t)(end - begin));
    if (begin != NULL) {
        begin++;
        const char *stop = end_of_own_lines(begin, end);
        while (stop != NULL && stop > begin && stop[-1] != '\n')
            stop--;
        if (stop != NULL)
            found = slice_from(begin, (size_t)(stop - begin));
    }
    free(mark);
    return found;
}

/* A place where an admin's own lines survive the next writing of the file. */
static void put_own_lines(const struct page *page, const char *indent, const char *place)
{
    struct slice kept = own_lines(page->previous, place);
    put(page,
        "\n%s" OWN_LINES_BEGIN "%s (kept when this file is written again)\n%.*s%s" OWN_LINES_END
        "\n",
        indent, place, SLICE_PRINT(kept), indent);
}

static void put_binds(const struct page *page, char *const *binds, size_t count,
                      const char *options)
{
    for (size_t i = 0; i < count; i++)
        put(page, "    bind %s%s\n", binds[i], options);
}

/* --- haproxy.cfg, from top to bottom ------------------------------------------------------------
 */

/* The socket that the worker opens; the master's ("master:/path") is opened by HAProxy's -S. */
static const char *worker_socket(const struct hap_config *config)
{
    for (size_t i = 0; i < config->runtime_count; i++)
        if (!slice_starts_with(slice_of(config->runtime[i]), SLICE("master:")))
            return config->runtime[i];
    return NULL;
}

static void put_global(const struct page *page)
{
    const struct hap_config *config = page->config;
    const char *runtime = worker_socket(config);

    put(page, "global\n"
              "    log stdout format raw local0\n");
    if (config->chroot != NULL)
        put(page, "    chroot %s\n", config->chroot);
    if (config->user != NULL)
        put(page, "    user %s\n", config->user);
    if (config->group != NULL)
        put(page, "    group %s\n", config->group);
    if (runtime != NULL) {
        put(page,
            "    # the Runtime API, through which renewed certificates come in\n"
            "    stats socket %s mode 660 level admin expose-fd listeners",
            runtime);
        if (config->group != NULL)
            put(page, " group %s", config->group);
        put(page, "\n    stats timeout 30s\n");
    }
    if (config->https_count > 0)
        put(page, "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n"
                  "    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20\n");
    put_own_lines(page, "    ", "global");
}

/* In the longest unit that divides it. */
static void put_timeout(const struct page *page, const char *name, unsigned told_ms,
                        unsigned default_ms)
{
    static const struct {
        const char *unit;
        unsigned ms;
    } UNITS[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    unsigned ms = told_ms > 0 ? told_ms : default_ms;
    size_t i = 0;
    while (ms % UNITS[i].ms != 0)
        i++;
    put(page, "    timeout %s %u%s\n", name, ms / UNITS[i].ms, UNITS[i].unit);
}

static void put_timeouts(const struct page *page)
{
    const struct hap_timeouts *timeouts = &page->config->timeouts;
    put_timeout(page, "connect", timeouts->connect_ms, 5000);
    put_timeout(page, "http-request", timeouts->http_request_ms, 10000);
    put_timeout(page, "http-keep-alive", timeouts->keep_alive_ms, 30000);
    put_timeout(page, "client", timeouts->client_ms, 60000);
    put(page, "    # the time to a model's first token\n");
    put_timeout(page, "server", timeouts->server_ms, 600000);
    put(page, "    # Open WebUI pings its WebSockets every 25 s\n");
    put_timeout(page, "tunnel", timeouts->tunnel_ms, 3600000);
}

static void put_defaults(const struct page *page)
{
    put(page,
        "\n"
        "defaults\n"
        "    mode http\n"
        "    log global\n"
        "    log-format \"%%ci:%%cp [%%tr] %%ft %%b/%%s %%TR/%%Tw/%%Tc/%%Tr/%%Ta %%ST %%B %%tsc "
        "%%ac/%%fc/%%bc/%%sc/%%rc %%{+Q}r tenant=%%[var(txn.owui.tenant)] "
        "client=%%[var(txn.owui.ip)] id=%%[var(txn.owui.rid)]\"\n"
        "    option dontlognull\n"
        "    unique-id-format %%[uuid()]\n"
        "    # a header name with \"_\" is a twin of one with \"-\" to some upstreams\n"
        "    option http-restrict-req-hdr-names delete\n"
        "    # tokens leave at once\n"
        "    option http-no-delay\n");
    put_timeouts(page);
    put_own_lines(page, "    ", "defaults");
}

char *hap_placeholder_path(const struct hap_config *config)
{
    return memory_format("%s/.placeholder/placeholder.pem",
                         or_else(config->crt_dir, "/etc/haproxy/certs"));
}

/* Without a certificate for a name the handshake is refused; or the first certificate that is named
 * here is shown, which must then be nobody's. */
static void put_https(const struct page *page)
{
    const struct hap_config *config = page->config;
    const char *folder = or_else(config->crt_dir, "/etc/haproxy/certs");
    char *placeholder = hap_placeholder_path(config);
    /* Whose certificate is not good is a stranger, not a reason to hang up. */
    char *clients = config->client_ca_file != NULL
                        ? memory_format(" ca-file %s verify optional ca-ignore-err all "
                                        "crt-ignore-err all",
                                        config->client_ca_file)
                        : memory_copy_text(SLICE(""));
    char *options =
        config->placeholder
            ? memory_format(" ssl crt %s crt %s alpn h2,http/1.1%s", placeholder, folder, clients)
            : memory_format(" ssl crt %s strict-sni alpn h2,http/1.1%s", folder, clients);
    if (config->placeholder && config->https_count > 0)
        put(page, "    # the first certificate is for names that have none of their own\n");
    put_binds(page, config->https, config->https_count, options);
    free(options);
    free(clients);
    free(placeholder);
}

/* What the backend with the other half of several agents is named by. */
#define OTHER "_other"

static bool is_several(const struct hap_config *config)
{
    return config->agent_count > 1;
}

static void put_filters(const struct page *page)
{
    const char *path = spoe_path(page->config);
    bool several = is_several(page->config);
    put(page, "    filter spoe engine owui config %s\n", path);
    if (several)
        put(page, "    filter spoe engine owui-other config %s\n", path);
    char *other = memory_format("    filter spoe engine owui-other-again config %s\n", path);
    char *again = memory_format("    # for a second try; see the SPOE file\n"
                                "    filter spoe engine owui-again config %s\n%s",
                                path, several ? other : "");
    put_since(page, HAP_3_0, "3.0", "", again);
    free(again);
    free(other);
}

static void put_listeners(const struct page *page)
{
    const struct hap_config *config = page->config;

    put(page, "\n"
              "frontend owui\n");
    put_binds(page, config->http, config->http_count, "");
    put_https(page);
    if (config->proxy_protocol_from_count > 0) {
        put(page, "    # these senders, and no others, begin with a PROXY line\n"
                  "    tcp-request connection expect-proxy layer4 if { src");
        for (size_t i = 0; i < config->proxy_protocol_from_count; i++)
            put(page, " %s", config->proxy_protocol_from[i]);
        put(page, " }\n");
    }
    put_filters(page);
}

static unsigned agent_ms(const struct hap_config *config)
{
    return config->timeouts.agent_ms != 0 ? config->timeouts.agent_ms : AGENT_MS;
}

/* HAProxy before 3.0 forgets the timeout of a group that is sent while the timeout of an earlier
 * one is still to come: such a request would wait for ever. So there the second try has a timeout
 * that ends before the first one's would have, which takes an engine of its own, and is made only
 * when the first one failed early. */
static void put_tries_of_one(const struct page *page)
{
    static const char NEWER[] =
        "    http-request send-spoe-group owui route if { var(txn.owui.err) -m int ge 256 }\n"
        "    http-request send-spoe-group owui route if { var(txn.owui.err) -m int ge 256 } "
        "!{ var(txn.owui.ok) -m bool }\n";
    const char *not_reused = reuse_condition(page->config);
    char *older = memory_format(
        "    http-request send-spoe-group owui-again route if { var(txn.owui.err) -m int ge 256 } "
        "{ var(txn.owui.ptime) -m int lt %u }\n",
        agent_ms(page->config) / 2);
    put(page,
        "\n"
        "    # ask the agent, again when it did not answer (one that ends may take two tries "
        "along);\n"
        "    # without an answer nothing is forwarded\n"
        "    http-request send-spoe-group owui route%s%s\n",
        not_reused[0] != '\0' ? " if" : "", not_reused);
    put_since(page, HAP_3_0, "3.0", NEWER, older);
    free(older);
}

/* An agent that hangs looks well until its checks have failed, to a second try as to the first. So
 * the agents are two halves, with an engine each, and the second try is the other half's: whatever
 * one agent does, the other half answers. Which half is first goes by the connection, so that one
 * agent's decisions serve it (agent/reuse.h). A third try is for those who were about to be
 * answered by one that stood in when the first came back, and found the other gone.
 *
 * A first try on an old HAProxy may end late, when an agent is taken out; its second try is made
 * nevertheless, though HAProxy may forget its timeout: see put_tries_of_one(). It waits for an
 * agent that hangs as well until that one is taken out. */
static void put_tries_of_several(const struct page *page)
{
    static const char AGAIN[] =
        "    http-request send-spoe-group owui-other%s route if !other_half "
        "{ var(txn.owui.err) -m int gt 0 }\n"
        "    http-request send-spoe-group owui%s route if other_half "
        "{ var(txn.owui.err) -m int gt 0 }\n"
        "    http-request send-spoe-group owui%s route if !other_half "
        "{ var(txn.owui.err) -m int ge 256 } !{ var(txn.owui.ok) -m bool }\n"
        "    http-request send-spoe-group owui-other%s route if other_half "
        "{ var(txn.owui.err) -m int ge 256 } !{ var(txn.owui.ok) -m bool }\n";
    const char *not_reused = reuse_condition(page->config);
    char *newer = memory_format(AGAIN, "", "", "", "");
    char *older = memory_format(AGAIN, "-again", "-again", "-again", "-again");
    put(page,
        "\n"
        "    # ask one half of the agents, and the other when that one did not answer: an agent "
        "that\n"
        "    # hangs is not known to until its checks fail; without an answer nothing is "
        "forwarded\n"
        "    acl other_half src_port,div(2),mod(2) eq 1\n"
        "    http-request send-spoe-group owui route if !other_half%s\n"
        "    http-request send-spoe-group owui-other route if other_half%s\n",
        not_reused, not_reused);
    put_since(page, HAP_3_0, "3.0", newer, older);
    free(newer);
    free(older);
}

static void put_question(const struct page *page)
{
    put(page,
        "\n"
        "    # ACME challenges come before everything: the agent answers those that it has\n"
        "    # made known, whoever listens at the challenge backend answers the others\n"
        "    acl acme path_beg " ACME_PREFIX "\n"
        "    http-request send-spoe-group owui acme if acme\n"
        "    http-request return status 200 content-type application/octet-stream "
        "lf-string %%[var(txn.owui.acme)] if { var(txn.owui.acme) -m found }\n"
        "    http-request allow if acme\n"
        "    # a tunnel would carry requests past these rules\n"
        "    http-request deny deny_status 405 if METH_CONNECT\n"
        "    # an upstream that leads back here would have a request go round for ever\n"
        "    http-request return status 508 content-type text/plain hdr X-Refused loop "
        "string \"Loop detected\\n\" if { req.fhdr_cnt(X-Owui-Hop) ge %d }\n",
        HOPS_MAX);
    put_own_lines(page, "    ", "frontend before the agent is asked");
    if (page->config->client_certificates)
        put(page, "\n"
                  "    # a client certificate that was verified, for tenants that believe it\n"
                  "    http-request set-var(txn.owui_cert) ssl_c_der if { ssl_c_used } "
                  "{ ssl_c_verify 0 } { ssl_c_err 0 } { ssl_c_ca_err 0 }\n");
    reuse_put(page->out, page->config);
    if (is_several(page->config))
        put_tries_of_several(page);
    else
        put_tries_of_one(page);
    put(page,
        "    http-request set-var(txn.owui.rid) unique-id unless { var(txn.owui.rid) -m found }\n"
        "    http-after-response set-header X-Request-ID %%[var(txn.owui.rid)] if "
        "{ var(txn.owui.rid) -m found }\n"
        "    http-after-response set-header Strict-Transport-Security %%[var(txn.owui.hsts)] if "
        "{ var(txn.owui.hsts) -m found }\n");
    if (page->config->tells_generation)
        put(page, "    http-after-response set-header X-Owui-Generation %%[var(txn.owui.gen)] if "
                  "{ var(txn.owui.gen) -m found }\n");
    fallback_put_answer(page->out, page->config, page->version);
    put(page, "    http-request return status 503 content-type text/plain hdr Retry-After 2 "
              "hdr X-Refused no-agent string \"Service unavailable\\n\" unless "
              "{ var(txn.owui.ok) -m bool }\n");
}

enum hap_shortcut hap_config_shortcut(struct slice method, struct slice path)
{
    if (slice_starts_with(path, SLICE(ACME_PREFIX)))
        return HAP_TO_ACME;
    return slice_equal(method, SLICE("CONNECT")) ? HAP_REFUSE_METHOD : HAP_ASK_AGENT;
}

static bool is_stripped_already(const struct hap_config *config, size_t header_limit,
                                struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(STRIPPED_PREFIXES); i++) {
        struct slice prefix = slice_of(STRIPPED_PREFIXES[i]);
        if (name.size >= prefix.size && slice_equal_nocase(slice_head(name, prefix.size), prefix))
            return true;
    }
    for (size_t i = 0; i < COUNT_OF(STRIPPED_HEADERS); i++)
        if (slice_equal_nocase(name, slice_of(STRIPPED_HEADERS[i])))
            return !forwarded_is_trace(config, name);
    for (size_t i = 0; i < header_limit && i < config->strip_header_count; i++)
        if (slice_equal_nocase(name, slice_of(config->strip_headers[i])))
            return true;
    return false;
}

static const char *tenant_header(const struct hap_config *config)
{
    return or_else(config->tenant_header, "X-Tenant-ID");
}

static void visit_deleted(const struct hap_config *config, const struct hap_header_visitor *visitor)
{
    for (size_t i = 0; i < COUNT_OF(STRIPPED_PREFIXES); i++)
        visitor->on_deleted(visitor->context, STRIPPED_PREFIXES[i], true);
    for (size_t i = 0; i < COUNT_OF(STRIPPED_HEADERS); i++)
        if (!forwarded_is_trace(config, slice_of(STRIPPED_HEADERS[i])))
            visitor->on_deleted(visitor->context, STRIPPED_HEADERS[i], false);
    for (size_t i = 0; i < config->strip_header_count; i++)
        if (!is_stripped_already(config, i, slice_of(config->strip_headers[i])))
            visitor->on_deleted(visitor->context, config->strip_headers[i], false);
    for (size_t i = 0; i < config->header_count; i++)
        if (!is_stripped_already(config, SIZE_MAX, slice_of(config->headers[i].name)))
            visitor->on_deleted(visitor->context, config->headers[i].name, false);
}

void hap_config_visit_headers(const struct hap_config *config,
                              const struct hap_header_visitor *visitor)
{
    visit_deleted(config, visitor);
    for (size_t i = 0; i < COUNT_OF(TOLD_HEADERS); i++)
        visitor->on_set(visitor->context, TOLD_HEADERS[i].header, TOLD_HEADERS[i].variable);
    if (config->appends_forwarded_for)
        visitor->on_set(visitor->context, TOLD_HEADERS[0].header, "chain");
    if (config->tells_forwarded)
        visitor->on_set(visitor->context, "Forwarded", "forwarded");
    if (tenant_header(config)[0] != '\0')
        visitor->on_set(visitor->context, tenant_header(config), "tenant");
}

static void put_deletion(void *context, const char *name, bool is_prefix)
{
    put(context, "    http-request del-header %s%s\n", name, is_prefix ? " -m beg" : "");
}

static void put_stripping(const struct page *page)
{
    struct page copy = *page;
    const struct hap_header_visitor visitor = {.on_deleted = put_deletion, .context = &copy};

    put(page,
        "\n"
        "    # what a client may not say: who it is, where it came from, what it asked for\n");
    visit_deleted(page->config, &visitor);
    forwarded_put_trace(page->out, page->config);
    put(page,
        "\n"
        "    # the only upgrade is to WebSocket; Connection must not name a header set below\n"
        "    acl websocket req.fhdr(upgrade,-1) -i websocket\n"
        "    http-request set-header Upgrade websocket if websocket\n"
        "    http-request set-header Connection upgrade if websocket\n"
        "    http-request del-header Upgrade unless websocket\n"
        "    http-request del-header Connection unless websocket\n");
}

static void put_rewriting(const struct page *page)
{
    put(page, "\n"
              "    # host and path in normal form, where the client's were not\n"
              "    http-request set-header Host %%[var(txn.owui.host)] if "
              "{ var(txn.owui.host) -m found }\n"
              "    http-request set-path %%[var(txn.owui.path)] if "
              "{ var(txn.owui.path) -m found }\n"
              "    http-request set-uri %%[pathq] if !{ url_beg / } { path_beg / }\n");
}

/* HAProxy before 3.4 can only set headers whose names stand in its configuration. */
static void put_tenant_headers(const struct page *page)
{
    const struct hap_config *config = page->config;
    char *slots = NULL;
    size_t size;
    struct page inner = *page;

    inner.out = text_open(&slots, &size);
    for (size_t i = 0; i < config->header_count; i++)
        put(&inner,
            "    http-request set-header %s %%[var(txn.owui.%s)] if "
            "{ var(txn.owui.%s) -m found }\n",
            config->headers[i].name, config->headers[i].variable, config->headers[i].variable);
    text_close(inner.out);
    put_since(page, HAP_3_4, "3.4",
              "    http-request set-headers-bin var(txn.owui.headers) if "
              "{ var(txn.owui.headers) -m found }\n",
              slots);
    free(slots);
}

static bool has_authorization(const struct hap_config *config)
{
    for (size_t i = 0; i < config->token_count; i++)
        if (strcmp(config->tokens[i].argument, "jh_authorization") == 0)
            return true;
    return false;
}

static void put_headers(const struct page *page)
{
    const char *tenant_name = tenant_header(page->config);

    put(page, "\n"
              "    # what the upstream is told, one line each\n");
    for (size_t i = 0; i < COUNT_OF(TOLD_HEADERS); i++) {
        const struct told *told = &TOLD_HEADERS[i];
        if (strcmp(told->variable, "host") == 0)
            put(page, "    http-request set-header %s %%[req.fhdr(host)]\n", told->header);
        else
            put(page, "    http-request set-header %s %%[var(txn.owui.%s)]\n", told->header,
                told->variable);
    }
    forwarded_put_headers(page->out, page->config);
    put(page, "    http-request add-header X-Owui-Hop 1\n");
    if (has_authorization(page->config))
        put(page, "    # an identity provider's token, which has been verified\n"
                  "    http-request del-header Authorization if { var(txn.owui.spent) -m bool }\n");
    if (tenant_name[0] != '\0')
        put(page, "    http-request set-header %s %%[var(txn.owui.tenant)]\n", tenant_name);
    put_tenant_headers(page);
    fallback_put_headers(page->out, page->config);
    put_own_lines(page, "    ", "frontend after the agent answered");
}

static void put_prefix_cut(const struct page *page)
{
    put(page, "\n"
              "    # a path tenant's prefix to cut and to tell, or limits; for everybody else the "
              "rules end here\n"
              "    http-request allow unless { var(txn.owui.more) -m found }\n");
    for (int segments = 1; segments <= STRIP_MAX_SEGMENTS; segments++)
        put(page,
            "    http-request set-header X-Forwarded-Prefix %%[path,field(1,/,%d)] if "
            "{ var(txn.owui.strip) -m int eq %d }\n",
            segments + 1, segments);
    for (int segments = 1; segments <= STRIP_MAX_SEGMENTS; segments++)
        put(page,
            "    http-request set-path /%%[path,field(%d,/,0)] if "
            "{ var(txn.owui.strip) -m int eq %d }\n",
            segments + 2, segments);
}

/* Where routes are for a share of the browsers: each gets a number, and keeps it. */
static void put_share_cookie(const struct page *page)
{
    if ((page->config->arguments >> HAP_ARGUMENT_SHARE & 1) == 0)
        return;
    put(page,
        "\n"
        "    # which share of the browsers this one is of\n"
        "    acl share var(txn.owui.shr) -m found\n"
        "    acl share_https var(txn.owui.proto) -m str https\n"
        "    http-response add-header Set-Cookie \"" HAP_SHARE_COOKIE "=%%[var(txn.owui.shr)]; "
        "Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure\" if share share_https\n"
        "    http-response add-header Set-Cookie \"" HAP_SHARE_COOKIE "=%%[var(txn.owui.shr)]; "
        "Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax\" if share !share_https\n");
}

/* Where a tenant's replicas are told apart by a cookie: set when the agent says so. */
static void put_cookie(const struct page *page)
{
    if ((page->config->arguments >> HAP_ARGUMENT_REPLICA & 1) == 0)
        return;
    put(page, "\n"
              "    # which replica the browser is to stay at\n"
              "    acl stick var(txn.owui.stick) -m found\n"
              "    acl stick_https var(txn.owui.proto) -m str https\n");
    put(page, "    http-response add-header Set-Cookie \"" HAP_REPLICA_COOKIE
              "=%%[var(txn.owui.stick)]; Path=/; HttpOnly; SameSite=Lax; Secure\" if stick "
              "stick_https\n"
              "    http-response add-header Set-Cookie \"" HAP_REPLICA_COOKIE
              "=%%[var(txn.owui.stick)]; Path=/; HttpOnly; SameSite=Lax\" if stick !stick_https\n");
}

static void put_choice(const struct page *page)
{
    put(page, "\n"
              "    use_backend owui_acme if acme\n"
              "    use_backend owui_answer if { var(txn.owui.answer) -m found }\n"
              "    use_backend owui_%%[var(txn.owui.backend)] if "
              "{ var(txn.owui.backend) -m found }\n"
              "    # without an address HAProxy would connect to itself\n"
              "    acl address_known var(txn.owui.dst) -m found\n"
              "    acl port_known var(txn.owui.port) -m int gt 0\n"
              "    acl name_known var(txn.owui.sni) -m len gt 0\n"
              "    use_backend owui_http if { var(txn.owui.via) -m str http } address_known "
              "port_known\n"
              "    use_backend owui_https if { var(txn.owui.via) -m str https } address_known "
              "port_known name_known\n"
              "    use_backend owui_https_noverify if { var(txn.owui.via) -m str https-noverify } "
              "address_known port_known\n"
              "    default_backend owui_refuse\n");
}

/* HAProxy's own errors alone become this page: what the agent's server says is left as it is. */
static void put_page_of_last_resort(const struct page *page)
{
    static const int ERRORS[] = {502, 503, 504};
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++)
        put(page,
            "    http-error status %d content-type text/html lf-string "
            "\"<!doctype html><meta name=viewport content='width=device-width'>"
            "<meta name=color-scheme content='light dark'>"
            "<meta http-equiv=refresh content=30><title>%%[var(txn.owui.reason)]</title>"
            "<h1>%%[var(txn.owui.reason)]</h1><p>Please try again later.\\n\"\n",
            ERRORS[i]);
}

/* The root of a host goes to a tenant by cookie; what the tenant before has left goes with it. */
static void put_takeover(const struct page *page)
{
    static const char *const COOKIES[] = {"token", "oauth_id_token", "oauth_session_id",
                                          "owui-session"};
    if (!page->config->takeover)
        return;
    put(page,
        "    # a path takes the host's root over: it sets the cookie that says so\n"
        "    http-request redirect prefix %%[var(txn.owui.to)] code 307 if "
        "{ var(txn.owui.answer) -m str takeover }\n"
        "    http-after-response add-header Set-Cookie \"owui_tenant=%%[var(txn.owui.cookie)]; "
        "Path=/; HttpOnly; SameSite=Lax\" if { var(txn.owui.cookie) -m found }\n"
        "    # the next tenant's server is not to see what another has left in the browser\n"
        "    http-after-response set-header Clear-Site-Data '\"storage\"' if "
        "{ var(txn.owui.forget) -m bool }\n");
    for (size_t i = 0; i < COUNT_OF(COOKIES); i++)
        put(page,
            "    http-after-response add-header Set-Cookie \"%s=; Path=/; Max-Age=0\" if "
            "{ var(txn.owui.forget) -m bool }\n",
            COOKIES[i]);
}

/* Suspension and maintenance: a page for people, JSON for programs. */
static void put_outages(const struct page *page)
{
    put(page,
        "    # suspension and maintenance: people get a page, from the agent's HTTP server, or\n"
        "    # from below when it does not answer; programs get JSON\n"
        "    acl page var(txn.owui.answer) -m str page\n"
        "    http-request set-uri /%%[var(txn.owui.reason)]/%%[var(txn.owui.tenant)] if page "
        "METH_GET\n"
        "    http-request del-header Cookie if page\n"
        "    http-request del-header Authorization if page\n"
        "    http-request allow if page METH_GET\n");
    for (size_t i = 0; i < COUNT_OF(OUTAGES); i++)
        put(page,
            "    http-request return status %d content-type application/json "
            "hdr X-Refused %%[var(txn.owui.reason)]%s string \"{\\\"detail\\\":\\\"%s\\\"}\" if "
            "{ var(txn.owui.answer) -m str json } { var(txn.owui.status) -m int eq %d }\n",
            OUTAGES[i].status,
            OUTAGES[i].status == 503 ? " hdr Retry-After %[var(txn.owui.retry)]" : "",
            OUTAGES[i].detail, OUTAGES[i].status);
    for (size_t i = 0; i < COUNT_OF(OUTAGES); i++)
        put(page,
            "    http-after-response set-status %d if page { var(txn.owui.status) -m int eq %d }\n",
            OUTAGES[i].status, OUTAGES[i].status);
    put(page, "    http-after-response set-header X-Refused %%[var(txn.owui.reason)] if page\n"
              "    http-after-response set-header Retry-After %%[var(txn.owui.retry)] if page "
              "{ var(txn.owui.status) -m int eq 503 }\n"
              "    http-after-response set-header Cache-Control no-store unless "
              "{ var(txn.owui.answer) -m str redirect }\n");
    put_page_of_last_resort(page);
}

/* What belongs to a status besides its text. */
static const char *header_of(int status)
{
    return status == 503   ? " hdr Retry-After %[var(txn.owui.retry)]"
           : status == 401 ? " hdr WWW-Authenticate Bearer"
                           : "";
}

static void put_refusal(const struct page *page, const struct answer *answer)
{
    const char *header = header_of(answer->status);
    if (answer->for_programs)
        put(page,
            "    http-request return status %d content-type application/json "
            "hdr X-Refused %%[var(txn.owui.reason)]%s string '{\"detail\":\"%s\"}' if api "
            "!upgrade { var(txn.owui.status) -m int eq %d }\n",
            answer->status, header, answer->text, answer->status);
    put(page,
        "    http-request return status %d content-type text/plain "
        "hdr X-Refused %%[var(txn.owui.reason)]%s string \"%s\\n\" if "
        "{ var(txn.owui.status) -m int eq %d }\n",
        answer->status, header, answer->text, answer->status);
}

static void put_answers(const struct page *page)
{
    put(page, "\n"
              "# the agent's own answers\n"
              "backend owui_answer\n"
              "    retries 0\n"
              "    timeout connect 1s\n"
              "    timeout server 5s\n"
              "    http-request redirect prefix %%[var(txn.owui.to)] code 308 if "
              "{ var(txn.owui.answer) -m str redirect }\n"
              "    http-request set-var(txn.owui.retry) int(5) unless "
              "{ var(txn.owui.retry) -m found }\n"
              "    http-request redirect location %%[var(txn.owui.to)] code 302 if "
              "{ var(txn.owui.answer) -m str login }\n");
    put_takeover(page);
    put_outages(page);
    put(page, "    # all other refusals: programs, Open WebUI's own page among them, get JSON\n"
              "    acl api path_sub /api/\n"
              "    acl upgrade req.hdr(upgrade) -m found\n");
    for (size_t i = 0; i < COUNT_OF(ANSWERS); i++)
        put_refusal(page, &ANSWERS[i]);
    limits_put_answers(page->out);
    put(page,
        "    http-request deny deny_status 503\n"
        "    server pages %s\n",
        or_else(page->config->pages_listen, "127.0.0.1:8689"));
    put(page, "\n"
              "# no upstream that can be reached\n"
              "backend owui_refuse\n"
              "    http-request return status 503 content-type text/plain hdr Retry-After 5 "
              "hdr X-Refused no-upstream string \"Service unavailable\\n\"\n");
}

/* RFC 8555 8.1: an answer is the token and the thumbprint of the account's key, so HAProxy can make
 * it when nobody else does. Its own errors alone are turned into answers, not a server's. */
static void put_stateless_answer(const struct page *page)
{
    static const int ERRORS[] = {502, 503, 504};

    put(page,
        "    # nobody there: the thumbprint of the account's key is all that an answer needs\n"
        "    http-request set-var-fmt(txn.owui.stateless) \"%%[path,field(4,/)].%s\" if "
        "{ path -m reg ^/\\.well-known/acme-challenge/[A-Za-z0-9_-]{16,128}$ }\n"
        "    http-response set-var(txn.owui.answered) bool(true)\n"
        "    http-after-response set-status 200 if { status 502 503 504 } "
        "{ var(txn.owui.stateless) -m found } !{ var(txn.owui.answered) -m found }\n",
        page->config->thumbprint);
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++)
        put(page,
            "    http-error status %d content-type application/octet-stream "
            "lf-string %%[var(txn.owui.stateless)]\n",
            ERRORS[i]);
}

static void put_challenges(const struct page *page)
{
    put(page, "\n"
              "# ACME HTTP-01 challenges: the agent's sidecar\n"
              "backend owui_acme\n"
              "    retries 0\n"
              "    timeout connect 1s\n"
              "    timeout server 5s\n");
    if (page->config->thumbprint != NULL)
        put_stateless_answer(page);
    put(page, "    server acme %s\n", or_else(page->config->challenge_listen, "127.0.0.1:8688"));
}

static void put_upstreams(const struct page *page)
{
    /* uvicorn closes a connection that was idle for 5 s: HAProxy lets go of it first. */
    static const char *const SERVER =
        "    http-request set-dst var(txn.owui.dst)\n"
        "    http-request set-dst-port var(txn.owui.port)\n" LIMITS_TIMEOUT_RULES
        "    server any 0.0.0.0:0 pool-purge-delay 2s";
    put(page,
        "\n"
        "# upstreams, by the address that the agent tells; connections are kept per address\n"
        "backend owui_http\n"
        "%s\n"
        "\n"
        "backend owui_https\n"
        "%s ssl verify required ca-file %s sni var(txn.owui.sni) alpn http/1.1\n"
        "\n"
        "backend owui_https_noverify\n"
        "%s ssl verify none sni var(txn.owui.sni) alpn http/1.1\n",
        SERVER, SERVER, or_else(page->config->upstream_ca_file, "@system-ca"), SERVER);
}

static void put_named_backends(const struct page *page)
{
    const struct hap_config *config = page->config;

    for (size_t i = 0; i < config->backend_count; i++) {
        const struct hap_backend *backend = &config->backends[i];
        if (backend->server_count == 0)
            continue;
        put(page,
            "\n"
            "backend owui_%s\n"
            "    balance leastconn\n"
            "    cookie owui_replica insert indirect nocache httponly\n"
            "    option httpchk GET %s\n" LIMITS_TIMEOUT_RULES,
            backend->name, or_else(backend->check_path, "/health"));
        for (size_t j = 0; j < backend->server_count; j++)
            put(page, "    server replica%zu %s cookie %zu check inter 5s pool-purge-delay 2s\n",
                j + 1, backend->servers[j], j + 1);
    }
}

/* Servers of which those of one half, if there are two, come first. Each is checked there, so that
 * both halves know at the same time; and where somebody can stand in, its first refused connection
 * takes it out. HAProxy before 3.1 would go on using the connections to the other half that it has
 * made meanwhile. */
static void put_agents_servers(const struct page *page, bool is_other)
{
    static const char FIRST[] = "check inter 500ms fall 2 rise 1 observe layer4 error-limit 1 "
                                "on-error mark-down on-marked-up shutdown-backup-sessions";
    const struct hap_config *config = page->config;
    for (size_t i = 0; i < config->agent_count; i++) {
        char *address = hap_agent_address(slice_of(config->agents[i]), config->chroot, NULL);
        char *stands_in =
            memory_format("backup track owui_agents%s/agent%zu", is_other ? "" : OTHER, i + 1);
        const char *role = !is_several(config)        ? "check inter 500ms fall 2 rise 1"
                           : (i % 2 == 1) == is_other ? FIRST
                                                      : stands_in;
        put(page,
            "    server agent%zu %s %s on-marked-down shutdown-sessions pool-purge-delay 60s\n",
            i + 1, address, role);
        free(stands_in);
        free(address);
    }
}

static void put_agents_backend(const struct page *page, bool is_other)
{
    bool several = is_several(page->config);
    put(page, "backend owui_agents%s\n", is_other ? OTHER : "");
    /* A lone agent's refusal should be told at once, and 3.1+ can without a busy loop; with
     * several, the next one should be tried instead. */
    if (several)
        put_since(page, HAP_3_2, "3.1", "    mode spop\n    retries 2\n    option redispatch 1\n",
                  "    mode tcp\n    option redispatch 1\n");
    else
        put_since(page, HAP_3_2, "3.1", "    mode spop\n    retries 0\n", "    mode tcp\n");
    put(page,
        "    no option http-no-delay\n"
        "    balance roundrobin\n"
        "%s"
        "    option spop-check\n"
        "    timeout connect 300ms\n"
        "    timeout check 500ms\n"
        "    timeout server 3m\n",
        several ? "    option allbackups\n" : "");
    put_agents_servers(page, is_other);
}

static void put_agents(const struct page *page)
{
    put(page, "\n"
              "# the agents; spop-check takes a dead one out within two seconds\n");
    put_agents_backend(page, false);
    if (!is_several(page->config))
        return;
    put(page, "\n"
              "# the same, of which the other half comes first\n");
    put_agents_backend(page, true);
}

static void put_title(const struct page *page)
{
    static const char *const FOR[] = {
        [HAP_ANY] = "2.6 and newer", [HAP_2_6] = "2.6",           [HAP_3_0] = "3.0",
        [HAP_3_2] = "3.2",           [HAP_3_4] = "3.4 and newer",
    };
    static_assert(COUNT_OF(FOR) == HAP_VERSION__MAX, "a version has no title");
    put(page,
        "# HAProxy %s in front of Open WebUI tenants; the agent owui-spoa decides where a request\n"
        "# goes. " WRITTEN_BY ", together with the SPOE file.\n"
        "\n",
        FOR[page->version]);
}

bool hap_config_is_ours(struct slice text)
{
    return text.size > 0 &&
           memmem(text.data, text.size, WRITTEN_BY, sizeof(WRITTEN_BY) - 1) != NULL;
}

char *hap_config_write(const struct hap_config *config, enum hap_version version,
                       struct slice previous, struct error_text *text)
{
    char *written = NULL;
    size_t size;

    if (hap_config_check(config, text) != ERROR_OK)
        return NULL;
    struct page page = {text_open(&written, &size), config, version, previous};
    put_title(&page);
    put_global(&page);
    put_defaults(&page);
    put_listeners(&page);
    put_question(&page);
    put_stripping(&page);
    put_rewriting(&page);
    put_headers(&page);
    put_prefix_cut(&page);
    limits_put_counting(page.out);
    response_put(page.out, config);
    put_cookie(&page);
    put_share_cookie(&page);
    put_choice(&page);
    put_answers(&page);
    limits_put_tables(page.out, config);
    put_challenges(&page);
    put_upstreams(&page);
    put_named_backends(&page);
    put_agents(&page);
    put_own_lines(&page, "", "sections");
    text_close(page.out);
    return written;
}

/* --- the SPOE file ------------------------------------------------------------------------------
 */

/* What tells who the user is, and that nobody but the agent says so. */
static void put_identity_arguments(const struct page *page)
{
    const struct hap_config *config = page->config;
    for (size_t i = 0; i < config->token_count; i++) {
        const struct hap_token *token = &config->tokens[i];
        const char *fetch = token->is_cookie ? "cook" : "fhdr";
        put(page, "    args %s=req.%s(%s) %.2sn%s=req.%s_cnt(%s)\n", token->argument, fetch,
            token->name, token->argument, token->argument + 2, fetch, token->name);
    }
    if (config->client_certificates)
        put(page, "    args cert=var(txn.owui_cert)\n");
    if (config->identity_header_count == 0)
        return;
    put(page, "    args strip=str(/");
    for (size_t i = 0; i < config->identity_header_count; i++)
        put(page, "%s/", config->identity_headers[i]);
    put(page, ")\n");
}

/* Whether the whole of it is told because some tenant takes an identity from there. */
static bool tells_token(const struct hap_config *config, const char *name, bool is_cookie)
{
    for (size_t i = 0; i < config->token_count; i++) {
        const struct hap_token *token = &config->tokens[i];
        if (token->is_cookie == is_cookie &&
            (is_cookie ? strcmp(token->name, name) : strcasecmp(token->name, name)) == 0)
            return true;
    }
    return false;
}

/* Of tokens that are told anyway, the agent finds the middle part itself: told twice, a long one
 * makes a frame that is too big for HAProxy before 3.1, which then waits for an answer in vain. */
static void put_user_arguments(const struct page *page)
{
    bool by_cookie = tells_token(page->config, "token", true);
    bool by_header = tells_token(page->config, "Authorization", false);
    if (by_cookie && by_header)
        return;
    put(page, "    args%s%s\n", by_cookie ? "" : " utk=req.cook(token),field(2,.)",
        by_header ? "" : " uau=req.fhdr(authorization),field(2,.)");
}

static void put_arguments(const struct page *page)
{
    const bool *sources = page->config->sources;
    bool trusted = false;

    put(page, "    args host=req.fhdr(host) path=path src=src tls=ssl_fc "
              "up=req.fhdr(upgrade,-1)\n");
    if (page->config->tells_request_id)
        put(page, "    args uid=unique-id\n");
    for (size_t i = 0; i < COUNT_OF(ARGUMENTS); i++) {
        if ((page->config->arguments >> i & 1) == 0)
            continue;
        if (i == HAP_ARGUMENT_USER)
            put_user_arguments(page);
        else
            put(page, "    args %s\n", ARGUMENTS[i]);
    }
    for (size_t i = 0; i < COUNT_OF(SOURCES); i++) {
        if (!sources[i])
            continue;
        trusted = true;
        put(page, "    args");
        for (int line = 1; line <= SOURCES[i].lines; line++)
            put(page, " %s%d=req.fhdr(%s,-%d)", SOURCES[i].argument, line, SOURCES[i].header, line);
        put(page, " %sn=req.fhdr_cnt(%s)\n", SOURCES[i].argument, SOURCES[i].header);
    }
    if (trusted)
        put(page, "    args xfp=req.fhdr(X-Forwarded-Proto) rid=req.fhdr(X-Request-ID)\n");
    put_identity_arguments(page);
    if (page->config->takeover)
        put(page, "    args ck=req.cook(owui_tenant)\n");
    put_since(page, HAP_3_4, "3.4", "    args hb=bool(true)\n", "");
}

/* How an engine, of which the SPOE file has one or two, deals with the agents. */
struct engine {
    const char *name;
    const char *groups;
    const char *options;
    const char *idle; /* how long a connection is kept */
    unsigned processing_ms;
    bool is_other; /* asks the other half of several agents */
};

static void put_engine(const struct page *page, const struct engine *engine)
{
    put(page,
        "[%s]\n"
        "spoe-agent %s-agent\n"
        "    groups %s\n"
        "    option var-prefix owui\n"
        "    option set-on-error err\n"
        "%s"
        "    option continue-on-error\n"
        "    option dontlog-normal\n"
        "    timeout hello 500ms\n"
        "    timeout idle %s\n"
        "    timeout processing %ums\n"
        "    use-backend owui_agents%s\n"
        "    log global\n"
        "\n"
        "spoe-message route\n",
        engine->name, engine->name, engine->groups, engine->options, engine->idle,
        engine->processing_ms, engine->is_other ? OTHER : "");
    put_arguments(page);
    put(page, "\n"
              "spoe-group route\n"
              "    messages route\n");
}

char *hap_spoe_write(const struct hap_config *config, enum hap_version version)
{
    char *written = NULL;
    size_t size;
    struct page page = {text_open(&written, &size), config, version, {0}};
    bool is_old = version == HAP_ANY || version < HAP_3_0;
    const char *options = is_old ? "    option set-process-time ptime\n" : "";
    const struct engine firsts[] = {
        {"owui", "route acme", options, "60s", agent_ms(config), false},
        {"owui-other", "route", options, "60s", agent_ms(config), true},
    };
    unsigned again_ms = (agent_ms(config) * 3 + 7) / 8;
    const struct engine agains[] = {
        {"owui-again", "route", "", "500ms", again_ms, false},
        {"owui-other-again", "route", "", "500ms", again_ms, true},
    };

    put(&page, "# What HAProxy asks the agent, and how long it waits. Written by `owui-spoa "
               "haproxy-config`.\n");
    put_engine(&page, &firsts[0]);
    put(&page, "\n"
               "# an ACME challenge; the answer is in txn.owui.acme, if the agent has one\n"
               "spoe-message acme\n"
               "    args path=path\n"
               "\n"
               "spoe-group acme\n"
               "    messages acme\n");
    if (is_several(config)) {
        put(&page, "\n"
                   "# The other half of the agents.\n");
        put_engine(&page, &firsts[1]);
    }
    if (is_old) {
        put(&page,
            "\n"
            "# The same question for a second try. HAProxy before 3.0 forgets a timeout when "
            "an earlier\n"
            "# one, of the first try, is still to come; this one ends before it. Its "
            "connections are\n"
            "# not kept: they would break together with those of the first try.\n");
        put_engine(&page, &agains[0]);
        if (is_several(config)) {
            put(&page, "\n");
            put_engine(&page, &agains[1]);
        }
    }
    text_close(page.out);
    return written;
}
