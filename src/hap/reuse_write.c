/* Decisions that hold for more than one request: see reuse_write.h, and agent/reuse.h for what the
 * agent tells. */
#include "reuse_write.h"

#include "core/base.h"

/* Less than no time is a clock that was set back. */
enum { REUSE_MAX_S = 10 };

/* What the next rules and sections need of a decision that forwards. */
static const char *const VARIABLES[] = {"tenant",   "dst",  "to_http", "ip",
                                        "by_https", "hsts", "rest"};

/* What few have is in one variable, in fields of this order: see agent/reuse.h. */
enum rest_field {
    REST_BACKEND = 1,
    REST_TO_HTTPS,
    REST_TO_NO_VERIFY,
    REST_TLS_NAME,
    REST_RESPONSE
};

#define FIELD "var(txn.owui.rest),field(%d,/)"

/* Paths of Open WebUI's own, of which no rule makes a difference, in a spelling that every parser
 * reads alike: no dot begins a segment, nothing is encoded, no segment is empty. */
#define PLAIN_PATH                                                                              \
    "^/((api|_app|static|ws|ollama|openai|cache|assets)(/[A-Za-z0-9_:@~-][A-Za-z0-9_:@~.-]*)*/" \
    "?)?$"

const char *reuse_condition(const struct hap_config *config)
{
    return config->decision_map != NULL ? " !{ var(txn.owui.reused) -m found }" : "";
}

/* An empty field is found, and empty: that there is any comes first, as it seldom is. */
static void put_field(const struct page *page, const char *variable, enum rest_field field,
                      const char *made_number)
{
    put(page,
        "    http-request set-var(txn.owui.%s) " FIELD "%s if { var(txn.owui.rest) -m found } "
        "{ " FIELD " -m len gt 0 }\n",
        variable, field, made_number, field);
}

void reuse_put(const struct page *page)
{
    const struct hap_config *config = page->config;
    if (config->decision_map == NULL)
        return;
    put(page,
        "\n"
        "    # the agent need not be asked when what it said for the same host on this very\n"
        "    # connection holds for more than that request, and has not been superseded: then\n"
        "    # the agent changes the map (one that cannot is believed for some seconds)\n"
        "    acl reusable req.fhdr(host),strcmp(sess.owui.host) eq 0\n"
        "    acl in_force str(now),map_str(%s),strcmp(sess.owui.stamp) eq 0\n"
        "    acl in_time date,sub(sess.owui.since) 0:%d\n"
        "    acl plain_path path -m reg " PLAIN_PATH "\n"
        "    http-request set-var(txn.owui.reused) bool(true) if reusable in_force in_time "
        "plain_path !{ req.fhdr(upgrade) -m found } !{ stopping }%s\n",
        config->decision_map, REUSE_MAX_S - 1,
        config->takeover ? " !{ req.cook(owui_tenant) -m found }" : "");
    for (size_t i = 0; i < COUNT_OF(VARIABLES); i++)
        put(page,
            "    http-request set-var(txn.owui.%s) var(sess.owui.%s) if "
            "{ var(txn.owui.reused) -m found }\n",
            VARIABLES[i], VARIABLES[i]);
    put_field(page, "backend", REST_BACKEND, "");
    put_field(page, "rs", REST_RESPONSE, ",add(0)");
}

/* Behind the choice of http, so that they cost nobody else anything. */
void reuse_put_tls_choice(const struct page *page)
{
    if (page->config->decision_map == NULL)
        return;
    put(page, "    acl name_known " FIELD " -m len gt 0\n", REST_TLS_NAME);
    put(page, "    acl to_https " FIELD " -m int gt 0\n", REST_TO_HTTPS);
    put(page, "    acl to_noverify " FIELD " -m int gt 0\n", REST_TO_NO_VERIFY);
}

void reuse_put_tls(const struct page *page, const char *port)
{
    bool is_verified = strcmp(port, "to_https") == 0;
    if (page->config->decision_map == NULL)
        return;
    put_field(page, port, is_verified ? REST_TO_HTTPS : REST_TO_NO_VERIFY, ",add(0)");
    put_field(page, "sni", REST_TLS_NAME, "");
}
