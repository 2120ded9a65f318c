/* Decisions that hold for more than one request: see reuse_write.h, and agent/reuse.h for what the
 * agent tells. */
#include "reuse_write.h"

#include "core/base.h"

/* Less than no time is a clock that was set back. */
enum { REUSE_MAX_S = 10 };

/* What the next rules and sections need of nearly every decision that forwards. */
static const char *const VARIABLES[] = {"tenant",   "dst",  "to_http", "ip",
                                        "by_https", "hsts", "more"};

/* What few have, in the order of `more`: see agent/reuse.h. */
static const struct rest_field {
    const char *variable;
    const char *made_number;
} REST[] = {
    {"backend", ""}, {"to_https", ",add(0)"}, {"to_noverify", ",add(0)"},
    {"sni", ""},     {"rs", ",add(0)"},
};

/* Paths of Open WebUI's own, of which no rule makes a difference, in a spelling that every parser
 * reads alike: no dot begins a segment, nothing is encoded, no segment is empty. */
#define PLAIN_PATH                                                                              \
    "^/((api|_app|static|ws|ollama|openai|cache|assets)(/[A-Za-z0-9_:@~-][A-Za-z0-9_:@~.-]*)*/" \
    "?)?$"

const char *reuse_condition(const struct hap_config *config)
{
    return config->decision_map != NULL ? " !{ var(txn.owui.reused) -m found }" : "";
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
}

/* A backend of an admin's has no address. */
void reuse_put_answered(const struct page *page)
{
    if (page->config->decision_map != NULL)
        put_text(page, "    acl answered var(txn.owui.reused) -m found\n");
}

/* From the request's own, for the session may have another host's by now: rules of an admin wait.
 */
void reuse_put_rest(const struct page *page)
{
    if (page->config->decision_map == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(REST); i++)
        put(page,
            "    http-request set-var(txn.owui.%s) var(txn.owui.more),field(%zu,/)%s if "
            "{ var(txn.owui.reused) -m found } { var(txn.owui.more),field(%zu,/) -m len gt 0 }\n",
            REST[i].variable, i + 1, REST[i].made_number, i + 1);
    put_text(page, "    http-request allow if { var(txn.owui.reused) -m found }\n");
}
