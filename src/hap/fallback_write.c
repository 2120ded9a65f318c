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

#define MAP_FIELD(NUMBER) "var(txn.owui.fb),field(" #NUMBER ",/)"

/* The headers that this file strips are taken out of those that the tenant needs stripped: only a
 * dot may be left. */
static void put_stripped(FILE *out, const struct hap_config *config)
{
    fputs("    http-request unset-var(txn.owui.fb) unless { " MAP_FIELD(7), out);
    for (size_t i = 0; i < config->identity_header_count; i++)
        fprintf(out, "%s%s[.]", i == 0 ? ",regsub(" : "|", config->identity_headers[i]);
    fprintf(out, "%s -m str . }\n", config->identity_header_count > 0 ? ",,g)" : "");
}

static bool has_trusted_proxies(const struct hap_config *config)
{
    for (size_t i = 0; i < HAP_SOURCE__MAX; i++)
        if (config->sources[i])
            return true;
    return false;
}

static void put_redirect(FILE *out, const struct hap_config *config)
{
    if (has_trusted_proxies(config)) {
        fputs("    # what a proxy in front says of the client is the agent's to believe\n"
              "    http-request unset-var(txn.owui.fb) if { " MAP_FIELD(6) " -m str s } "
                                                                           "!{ ssl_fc }\n",
              out);
        return;
    }
    fputs("    http-request redirect prefix https://%[req.fhdr(host),lower,field(1,:)]", out);
    if (config->https_port != 0 && config->https_port != 443)
        fprintf(out, ":%u", config->https_port);
    fputs(" code 308 if { " MAP_FIELD(6) " -m str s } !{ ssl_fc } "
                                         "!{ path /health /health/db /ready }\n",
          out);
}

/* HAProxy before 3.1 takes a message that fits into no frame for an agent that does not answer in
 * time. What a request's headers could not make too big, even told twice, was not. */
static void put_condition(FILE *out, enum hap_version version)
{
    static const char OLDER[] = "    http-request set-var(txn.owui.err) int(256) if "
                                "{ var(txn.owui.err) -m int 1 } { req.hdrs -m len 0:4000 }\n";
    static const char NEWER[] = "    acl no_agent var(txn.owui.err) -m int 1\n";
    if (version == HAP_ANY)
        fprintf(out, ".if version_atleast(3.1)\n%s.else\n%s.endif\n", NEWER, OLDER);
    else
        fputs(version >= HAP_3_2 ? NEWER : OLDER, out);
    fputs("    acl no_agent var(txn.owui.err) -m int 2 256:258 260:511\n", out);
}

static void put_lookup(FILE *out, const char *map)
{
    fprintf(out,
            "    acl host_plain req.fhdr(host) -m reg -i ^[a-z0-9][a-z0-9.-]*(:[0-9]+)?$\n"
            "    http-request set-var(txn.owui.fk) req.fhdr(host),lower,field(1,:) if "
            "!{ var(txn.owui.ok) -m bool } no_agent host_plain\n"
            "    http-request set-var(txn.owui.fk) var(txn.owui.fk),field(2,.,0),concat(/*) if "
            "{ var(txn.owui.fk) -m found } !{ var(txn.owui.fk),map_str(%s) -m found }\n"
            "    http-request set-var(txn.owui.fb) var(txn.owui.fk),map_str(%s) if "
            "{ var(txn.owui.fk) -m found }\n",
            map, map);
}

/* As the agent's answer would be: agent/answer.h. */
static void put_variables(FILE *out)
{
    fputs(
        "    acl fallback var(txn.owui.fb) -m found\n"
        "    http-request set-var(txn.owui.ok) bool(true) if fallback\n"
        "    http-request set-var(txn.owui.host) req.fhdr(host),lower if fallback\n"
        "    http-request set-var(txn.owui.ip) src if fallback\n"
        "    http-request set-var(txn.owui.proto) ssl_fc,iif(https,http) if fallback\n"
        "    http-request set-var(txn.owui.fport) ssl_fc,iif(443,80) if fallback\n"
        "    http-request set-var(txn.owui.fport) req.fhdr(host),field(2,:) if fallback "
        "{ req.fhdr(host) -m sub : }\n"
        "    http-request set-var(txn.owui.tenant) " MAP_FIELD(
            1) " if fallback\n"
               "    http-request set-var(txn.owui.via) " MAP_FIELD(
                   2) " if fallback\n"
                      "    http-request set-var(txn.owui.dst) " MAP_FIELD(
                          3) " if fallback\n"
                             "    http-request set-var(txn.owui.port) " MAP_FIELD(
                                 4) " if fallback\n"
                                    "    http-request set-var(txn.owui.sni) " MAP_FIELD(
                                        5) " if fallback\n"
                                           "    http-request set-var(txn.owui.backend) " MAP_FIELD(
                                               3) " if fallback "
                                                  "{ var(txn.owui.via) -m str backend }\n",
        out);
}

/* A page whose script opens a WebSocket has to be the host's own. */
static void put_origin(FILE *out)
{
    static const char REFUSAL[] = "    http-request return status 403 content-type text/plain "
                                  "hdr X-Refused origin string \"Forbidden\\n\" if fallback "
                                  "{ req.fhdr(upgrade,-1) -i websocket } "
                                  "{ req.fhdr(origin) -m found }";
    fprintf(out,
            "    http-request set-var(txn.owui.fo) req.fhdr(origin),lower,field(3,/) if fallback\n"
            "%s !{ var(txn.owui.fo),strcmp(txn.owui.host) eq 0 }\n"
            "%s { ssl_fc } !{ req.fhdr(origin) -i -m beg https:// }\n",
            REFUSAL, REFUSAL);
}

/* The path is as the client wrote it, so whatever could be one of a sign-in counts as such. */
static void put_limits(FILE *out)
{
    static const struct {
        const char *variable;
        int field;
        const char *condition;
    } LIMITS[] = {{"lr", 8, ""},
                  {"si", 9, "sign_in "},
                  {"sn", 10, "sign_in "},
                  {"lw", 11, ""},
                  {"lb", 12, ""}};
    fputs("    acl limited " MAP_FIELD(
              13) " -m found\n"
                  "    acl sign_in path,url_dec -i -m sub signin signup ldap mfa exchange\n"
                  "    http-request set-var(txn.owui.more) bool(true) if limited\n"
                  "    http-request set-var(txn.owui.lk) " MAP_FIELD(13) " if limited\n",
          out);
    for (size_t i = 0; i < COUNT_OF(LIMITS); i++)
        fprintf(out,
                "    http-request set-var(txn.owui.%s) var(txn.owui.fb),field(%d,/),add(0) if "
                "limited %s{ var(txn.owui.fb),field(%d,/) -m int gt 0 }\n",
                LIMITS[i].variable, LIMITS[i].field, LIMITS[i].condition, LIMITS[i].field);
}

void fallback_put_answer(FILE *out, const struct hap_config *config, enum hap_version version)
{
    if (config->fallback_map == NULL)
        return;
    fputs(
        "\n"
        "    # no agent is there: its map tells where a host's requests go; who is not in it is\n"
        "    # refused. A message too big for a frame (3, 259; before 3.1 it is 1, as a timeout)\n"
        "    # is no reason to look there\n",
        out);
    put_condition(out, version);
    put_lookup(out, config->fallback_map);
    put_stripped(out, config);
    put_redirect(out, config);
    put_variables(out);
    put_origin(out);
    put_limits(out);
}

void fallback_put_headers(FILE *out, const struct hap_config *config)
{
    if (config->fallback_map == NULL)
        return;
    for (size_t i = 0; i < config->header_count; i++) {
        const struct hap_header *header = &config->headers[i];
        char *value = memory_format("var(txn.owui.tenant),concat(/%s),map_str(%s)",
                                    header->variable, config->fallback_map);
        fprintf(out, "    http-request set-header %s %%[%s] if fallback { %s -m found }\n",
                header->name, value, value);
        free(value);
    }
}
