/* The fallback in haproxy.cfg: see fallback_write.h.
 *
 * It sets the variables that the agent would have set, so that everything behind it is as ever: a
 * client's headers are stripped, an admin's own lines hold, limits are counted.
 *
 * Only an agent that is not there is stood in for. A message that is too big for a frame (3, and
 * 259 from the connection) is of the client's making, and no reason to decide without the agent. */
#include "fallback_write.h"

#include "core/memory.h"

#include <stdlib.h>

/* The fields of a value of the map, as agent/fallback.h tells them. */
#define MAP_FIELD(NUMBER) "var(txn.owui.fb),field(" #NUMBER ",/)"
#define MAP_TENANT        MAP_FIELD(1)
#define MAP_VIA           MAP_FIELD(2)
#define MAP_ADDRESS       MAP_FIELD(3)
#define MAP_PORT          MAP_FIELD(4)
#define MAP_TLS_NAME      MAP_FIELD(5)
#define MAP_PLAIN_HTTP    MAP_FIELD(6)
#define MAP_STRIPPED      MAP_FIELD(7)
/* The last one, which may have slashes itself. */
#define MAP_LIMITS "var(txn.owui.fb),field(8,/,0)"

/* The headers that this file strips are taken out of those that the tenant needs stripped: only a
 * dot may be left. */
static void put_stripped(const struct page *page)
{
    const struct hap_config *config = page->config;
    put_text(page, "    http-request unset-var(txn.owui.fb) unless { " MAP_STRIPPED);
    for (size_t i = 0; i < config->identity_header_count; i++)
        put(page, "%s%s[.]", i == 0 ? ",regsub(" : "|", config->identity_headers[i]);
    put(page, "%s -m str . }\n", config->identity_header_count > 0 ? ",,g)" : "");
}

/* A `return`, as a `redirect` takes no header: the one by which browsers do not keep it. */
static void put_redirect(const struct page *page)
{
    const struct hap_config *config = page->config;
    if (has_trusted_proxies(config)) {
        put_text(page, "    # what a proxy in front says of the client is the agent's to believe\n"
                       "    http-request unset-var(txn.owui.fb) if { " MAP_PLAIN_HTTP " -m str s } "
                       "!{ ssl_fc }\n");
        return;
    }
    put_text(page, "    http-request return status 308 hdr Cache-Control no-store hdr Location "
                   "https://%[req.fhdr(host),lower,field(1,:)]");
    if (config->https_port != 0 && config->https_port != 443)
        put(page, ":%u", config->https_port);
    put_text(page, "%[pathq] if { " MAP_PLAIN_HTTP " -m str s } !{ ssl_fc } "
                   "!{ path /health /health/db /ready }\n");
}

/* HAProxy before 3.1 takes a message that fits into no frame for an agent that does not answer in
 * time. What a request's headers, path and method could not make too big, those told twice, was
 * not. */
static void put_condition(const struct page *page)
{
    static const char OLDER[] = "    http-request set-var(txn.owui.err) int(256) if "
                                "{ var(txn.owui.err) -m int 1 } { req.hdrs -m len 0:4000 } "
                                "{ path -m len 0:4000 } { method -m len 0:32 }\n";
    static const char NEWER[] = "    acl no_agent var(txn.owui.err) -m int 1\n";
    put_since(page, HAP_3_2, "3.1", NEWER, OLDER);
    put_text(page, "    acl no_agent var(txn.owui.err) -m int 2 256:258 260:511\n");
}

static void put_lookup(const struct page *page)
{
    const char *map = page->config->fallback_map;
    put(page,
        "    acl host_plain req.fhdr(host) -m reg -i ^[a-z0-9][a-z0-9.-]*(:[1-9][0-9]*)?$\n"
        "    http-request set-var(txn.owui.fk) req.fhdr(host),lower,field(1,:) if "
        "!answered no_agent host_plain\n"
        "    http-request set-var(txn.owui.fk) var(txn.owui.fk),field(2,.,0),concat(/*) if "
        "{ var(txn.owui.fk) -m found } !{ var(txn.owui.fk),map_str(%s) -m found }\n"
        "    http-request set-var(txn.owui.fb) var(txn.owui.fk),map_str(%s) if "
        "{ var(txn.owui.fk) -m found }\n",
        map, map);
}

/* As the agent's answer would be: agent/answer.h. A mask makes 192.0.2.7 of ::ffff:192.0.2.7, which
 * PROXY lines of senders with sockets for both tell (and of 6to4, which is left as it is). */
static void put_variables(const struct page *page)
{
    put_text(page,
             "    acl fallback var(txn.owui.fb) -m found\n"
             "    http-request set-var(txn.owui.host) req.fhdr(host),lower if fallback\n"
             "    http-request set-var(txn.owui.ip) src if fallback\n"
             "    http-request set-var(txn.owui.ip) src,ipmask(32) if fallback "
             "{ src -m beg ::ffff: }\n"
             "    http-request set-var(txn.owui.by_https) int(443) if fallback { ssl_fc }\n"
             "    http-request set-var(txn.owui.by_https) req.fhdr(host),field(2,:) if fallback "
             "{ ssl_fc } { req.fhdr(host) -m sub : }\n"
             "    http-request set-var(txn.owui.by_http) req.fhdr(host),field(2,:) if fallback "
             "!{ ssl_fc } { req.fhdr(host) -m sub : }\n"
             "    http-request set-var(txn.owui.tenant) " MAP_TENANT " if fallback\n"
             "    acl to_backend " MAP_VIA " -m str backend\n"
             "    http-request set-var(txn.owui.backend) " MAP_ADDRESS " if fallback "
             "to_backend\n"
             "    http-request set-var(txn.owui.dst) " MAP_ADDRESS " if fallback "
             "!to_backend\n"
             "    http-request set-var(txn.owui.to_http) " MAP_PORT " if fallback "
             "{ " MAP_VIA " -m str http }\n"
             "    http-request set-var(txn.owui.to_https) " MAP_PORT " if fallback "
             "{ " MAP_VIA " -m str https }\n"
             "    http-request set-var(txn.owui.to_noverify) " MAP_PORT " if fallback "
             "{ " MAP_VIA " -m str https-noverify }\n"
             "    http-request set-var(txn.owui.sni) " MAP_TLS_NAME " if fallback "
             "!{ " MAP_TLS_NAME " -m str -- - }\n");
}

/* A page whose script opens a WebSocket has to be the host's own. */
static void put_origin(const struct page *page)
{
    static const char REFUSAL[] = "    http-request return status 403 content-type text/plain "
                                  "hdr X-Refused origin string \"Forbidden\\n\" if fallback "
                                  "{ req.fhdr(upgrade,-1) -i websocket } "
                                  "{ req.fhdr(origin) -m found }";
    put(page,
        "    http-request set-var(txn.owui.fo) req.fhdr(origin),lower,field(3,/) if fallback\n"
        "%s !{ var(txn.owui.fo),strcmp(txn.owui.host) eq 0 }\n"
        "%s { ssl_fc } !{ req.fhdr(origin) -i -m beg https:// }\n",
        REFUSAL, REFUSAL);
}

/* The path is as the client wrote it, so whatever could be one of a sign-in counts as such. */
static void put_limits(const struct page *page)
{
    put_text(page,
             "    acl limited " MAP_LIMITS " -m found\n"
             "    acl sign_in path,url_dec -i -m sub signin signup ldap mfa password exchange\n"
             "    http-request set-var(txn.owui.more) " MAP_LIMITS " if limited sign_in\n"
             "    http-request set-var(txn.owui.more) " MAP_LIMITS ",field(1,:,6) if limited "
             "!sign_in\n");
}

void fallback_put_answer(const struct page *page)
{
    if (page->config->fallback_map == NULL)
        return;
    put_text(
        page,
        "\n"
        "    # no agent is there: its map tells where a host's requests go; who is not in it is\n"
        "    # refused. A message too big for a frame (3, 259; before 3.1 it is 1, as a timeout)\n"
        "    # is no reason to look there\n");
    put_condition(page);
    put_lookup(page);
    put_stripped(page);
    put_redirect(page);
    put_variables(page);
    put_origin(page);
    put_limits(page);
}

void fallback_put_headers(const struct page *page)
{
    const struct hap_config *config = page->config;
    if (config->fallback_map == NULL)
        return;
    for (size_t i = 0; i < config->header_count; i++) {
        const struct hap_header *header = &config->headers[i];
        char *value = memory_format("var(txn.owui.tenant),concat(/%s),map_str(%s)",
                                    header->variable, config->fallback_map);
        put(page, "    http-request set-header %s %%[%s] if fallback { %s -m found }\n",
            header->name, value, value);
        free(value);
    }
}
