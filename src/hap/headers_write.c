/* The headers and the path of a request: see headers_write.h. */
#include "headers_write.h"

#include "fallback_write.h"
#include "forwarded_write.h"

#include <stdlib.h>

enum { STRIP_MAX_SEGMENTS = 8 };

/* What a client may not assert, besides what the configuration lists. */
static const char *const STRIPPED_PREFIXES[] = {"X-Forwarded-", "X-OpenWebUI-"};
static const char *const STRIPPED_HEADERS[] = {
    "Forwarded",           "X-Real-IP",      "X-Client-IP",      "True-Client-IP",
    "CF-Connecting-IP",    "CF-IPCountry",   "Fastly-Client-IP", "X-Azure-ClientIP",
    "X-Cluster-Client-IP", "X-Original-URL", "X-Rewrite-URL",    "X-Scheme",
    "Front-End-Https",     "X-Request-ID",   "traceparent",      "tracestate",
    "HTTP2-Settings",
};

/* What every upstream is told. The agent tells the public port by its scheme, and says nothing of
 * http and 80. */
static const struct told {
    const char *header;
    const char *what; /* for visitors; NULL: the header is there already */
    const char *value;
    const char *condition;
} TOLD_HEADERS[] = {
    {"X-Forwarded-For", "ip", "%[var(txn.owui.ip)]", ""},
    {"X-Real-IP", "ip", "%[var(txn.owui.ip)]", ""},
    {"X-Client-IP", "ip", "%[var(txn.owui.ip)]", ""},
    {"X-Forwarded-Proto", "proto", "https", " if over_https"},
    {"X-Forwarded-Proto", NULL, "http", " unless over_https"},
    {"X-Forwarded-Host", "host", "%[req.fhdr(host)]", ""},
    {"X-Forwarded-Port", "port", "%[var(txn.owui.by_https)]", " if over_https"},
    {"X-Forwarded-Port", NULL, "%[var(txn.owui.by_http,80)]", " unless over_https"},
    {"X-Request-ID", "rid", "%[var(txn.owui.rid)]", ""},
};

static const char *tenant_header(const struct hap_config *config)
{
    return or_else(config->tenant_header, "X-Tenant-ID");
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

/* What a tenant sets for an upstream behind HTTP Basic is what clients sign in with elsewhere. */
bool hap_config_leaves_to_clients(struct slice name)
{
    return slice_equal_nocase(name, SLICE("Authorization"));
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
    for (size_t i = 0; i < config->header_count; i++) {
        struct slice name = slice_of(config->headers[i].name);
        if (!hap_config_leaves_to_clients(name) && !is_stripped_already(config, SIZE_MAX, name))
            visitor->on_deleted(visitor->context, config->headers[i].name, false);
    }
}

void hap_config_visit_headers(const struct hap_config *config,
                              const struct hap_header_visitor *visitor)
{
    visit_deleted(config, visitor);
    for (size_t i = 0; i < COUNT_OF(TOLD_HEADERS); i++)
        if (TOLD_HEADERS[i].what != NULL)
            visitor->on_set(visitor->context, TOLD_HEADERS[i].header, TOLD_HEADERS[i].what);
    if (config->appends_forwarded_for)
        visitor->on_set(visitor->context, TOLD_HEADERS[0].header, "chain");
    if (config->tells_forwarded)
        visitor->on_set(visitor->context, "Forwarded", "forwarded");
    if (tenant_header(config)[0] != '\0')
        visitor->on_set(visitor->context, tenant_header(config), "tenant");
}

/* No rule sees a header that comes behind a body (RFC 9110 6.5), but uvicorn's parser hands it on
 * as if it had stood before: it would name the client, or the user. */
void headers_put_trailers_option(const struct page *page)
{
    put_since(page, HAP_3_2, "3.2",
              "    # a header behind a body is one to some upstreams, and was seen by no rule\n"
              "    option http-drop-request-trailers\n",
              "");
}

/* HAProxy before 3.2 passes such headers on, but for those behind a body whose length was told: so
 * bodies of unknown length are refused there. HTTP/2 has no Transfer-Encoding that would announce
 * one: the message is not at its end then, or has more than headers already. */
static void put_trailers_refusal(const struct page *page)
{
    put_since(
        page, HAP_3_2, "3.2", "",
        "\n"
        "    # a header behind a body is one to some upstreams, and was seen by no rule: none is\n"
        "    # passed on where the body's length was told\n"
        "    acl length_told req.fhdr(content-length) -m found\n"
        "    acl length_told req.fhdr(upgrade,-1) -i websocket\n"
        "    acl ended internal.htx.has_eom\n"
        "    acl no_body internal.htx_blk.type(tail) HTX_BLK_EOH\n"
        "    http-request set-var(txn.owui.over) str(length) if "
        "{ req.fhdr(transfer-encoding) -m found } || !ended !length_told || "
        "!no_body !length_told\n"
        "    http-request set-var(txn.owui.answer) str(over) if "
        "{ var(txn.owui.over) -m found } !{ var(txn.owui.answer) -m found }\n");
}

static void put_deletion(void *context, const char *name, bool is_prefix)
{
    put(context, "    http-request del-header %s%s\n", name, is_prefix ? " -m beg" : "");
}

static void put_stripping(const struct page *page)
{
    struct page copy = *page;
    const struct hap_header_visitor visitor = {.on_deleted = put_deletion, .context = &copy};

    put_text(page,
             "\n"
             "    # what a client may not say: who it is, where it came from, what it asked for\n");
    visit_deleted(page->config, &visitor);
    forwarded_put_trace(page);
    put_text(page,
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
    put_text(page, "\n"
                   "    # host and path in normal form, where the client's were not\n"
                   "    http-request set-header Host %[var(txn.owui.host)] if "
                   "{ var(txn.owui.host) -m found }\n"
                   "    http-request set-path %[var(txn.owui.path)] if "
                   "{ var(txn.owui.path) -m found }\n"
                   "    http-request set-uri %[pathq] if !{ url_beg / } { path_beg / }\n");
}

/* HAProxy before 3.4 can only set headers whose names stand in its configuration. */
static void put_tenant_headers(const struct page *page)
{
    const struct hap_config *config = page->config;
    struct page inner;

    page_open(&inner, config, page->version, (struct slice){0});
    for (size_t i = 0; i < config->header_count; i++)
        put(&inner,
            "    http-request set-header %s %%[var(txn.owui.%s)] if "
            "{ var(txn.owui.%s) -m found }\n",
            config->headers[i].name, config->headers[i].variable, config->headers[i].variable);
    char *slots = page_close(&inner);
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

static void put_told(const struct page *page)
{
    const char *tenant_name = tenant_header(page->config);

    put_text(page, "\n"
                   "    # what the upstream is told, one line each\n"
                   "    acl over_https var(txn.owui.by_https) -m found\n");
    for (size_t i = 0; i < COUNT_OF(TOLD_HEADERS); i++)
        put(page, "    http-request set-header %s %s%s\n", TOLD_HEADERS[i].header,
            TOLD_HEADERS[i].value, TOLD_HEADERS[i].condition);
    forwarded_put_headers(page);
    put_text(page, "    http-request add-header X-Owui-Hop 1\n");
    if (has_authorization(page->config))
        put_text(page,
                 "    # an identity provider's token, which has been verified\n"
                 "    http-request del-header Authorization if { var(txn.owui.spent) -m bool }\n");
    if (tenant_name[0] != '\0')
        put(page, "    http-request set-header %s %%[var(txn.owui.tenant)]\n", tenant_name);
    put_tenant_headers(page);
    fallback_put_headers(page);
    put_own_lines(page, "    ", "frontend after the agent answered");
}

static void put_prefix_cut(const struct page *page)
{
    put_text(page,
             "\n"
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

void headers_put(const struct page *page)
{
    put_trailers_refusal(page);
    put_stripping(page);
    put_rewriting(page);
    put_told(page);
    put_prefix_cut(page);
}
