/* A tenant's host as the CA and browsers meet it: DNS, port 80, TLS, /health, WebSocket, origins
 * and OAuth, all but DNS through HAProxy's binds on this machine. See doctor.h. */
#include "doctor.h"

#include "cli/ask.h"
#include "cli/told_certificate.h"
#include "cli/view.h"
#include "core/clock.h"
#include "core/file_path.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "doctor/refused.h"
#include "route/certified.h"
#include "serving/haproxy_files.h"
#include "shown_file.h"
#include "sidecar/loopback.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>

enum { STATUS_SWITCHING = 101, HEAD_BYTES = 120 };
/* When to be told of a certificate that nobody renews. */
enum { DAY_S = 86400, WILDCARD_SOON_S = 14 * DAY_S };

#define SOCKET_PATH "/ws/socket.io/?EIO=4&transport=websocket"
#define STRANGER    "https://doctor.invalid"

/* One host; lives until the doctor's end, as do the probes in it. */
struct host_look {
    struct doctor *doctor;
    const struct tenant *tenant;
    const char *host;
    const char *sample;  /* of a wildcard: the name that is asked for */
    char *place;         /* of the tenant in its file */
    bool tls;            /* it is met over HTTPS */
    const char *address; /* HAProxy's first */
    char *const *http;   /* where a challenge is tried, of the doctor's */
    char *const *https;  /* where a handshake is made, of the doctor's */
    char *authority;     /* the host and, unless it is the usual one, the port of https */
    char *origin;        /* of its pages */
    char *provider;      /* an OAuth provider's name */
    struct http_probe challenge, handshake, health, socket, direct_socket, config, login, session;
};

static void find(const struct host_look *look, enum doctor_severity severity,
                 enum doctor_check check, char *fix, const char *format, ...) PRINTF_LIKE(5, 6);

static void find(const struct host_look *look, enum doctor_severity severity,
                 enum doctor_check check, char *fix, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *message = memory_format_list(format, arguments);
    va_end(arguments);
    doctor_find(look->doctor, severity, check, look->tenant->name, look->host, fix, "%s", message);
    free(message);
}

/* "503 (upstream-unresolved)", or what kept an answer from coming. For free(). */
static char *told(const struct http_probe_answer *answer)
{
    if (answer->result != HTTP_PROBE_ANSWERED)
        return memory_format("%s", answer->failure);
    if (answer->refused.size > 0)
        return memory_format("%d, refused by the agent: %.*s", answer->status,
                             SLICE_PRINT(answer->refused));
    struct slice head = slice_head(answer->body, size_min(answer->body.size, HEAD_BYTES));
    struct slice line = slice_before(head, '\n');
    if (slice_starts_with(line, SLICE("<")))
        line.size = 0; /* a page */
    return memory_format("%d%s%.*s", answer->status, line.size > 0 ? " " : "", SLICE_PRINT(line));
}

/* " at [::1]:443", of another than the first, which goes without saying. */
static const char *told_place(const struct host_look *look, char *const *at, char *const *first)
{
    return at == first ? "" : doctor_format(look->doctor, " at %s", *at);
}

static char *explain(const struct host_look *look, const char *path)
{
    return memory_format("owui-spoa explain %s://%s%s", look->tls ? "https" : "http", look->host,
                         path);
}

/* -- DNS --------------------------------------------------------------------------------------- */

/* Whether it is one of this machine's own addresses. */
static bool is_here(const struct ip *ip)
{
    struct ifaddrs *all;
    bool here = false;
    if (getifaddrs(&all) != 0)
        return true; /* there is no telling */
    for (const struct ifaddrs *one = all; one != NULL && !here; one = one->ifa_next) {
        struct ip own;
        here = one->ifa_addr != NULL && ip_from_socket(one->ifa_addr, &own, NULL) &&
               ip_equal(&own, ip);
    }
    freeifaddrs(all);
    return here || ip_is_loopback(ip);
}

/* Whether HAProxy listens where the name leads, by its binds. */
static void look_at_binds(const struct host_look *look, const struct ip *ip)
{
    const struct hap_config *haproxy = &look->doctor->whole.configuration->haproxy;
    const struct {
        const char *key;
        char *const *binds;
        size_t count;
    } lists[] = {{"http", haproxy->http, haproxy->http_count},
                 {"https", haproxy->https, haproxy->https_count}};
    char text[IP_TEXT_SIZE];
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        if (lists[i].count == 0 || binds_are_at(lists[i].binds, lists[i].count, ip))
            continue;
        const char *colon = strrchr(lists[i].binds[0], ':');
        find(
            look, DOCTOR_WARNING, DOCTOR_DNS,
            memory_format("add \"%s%s\" to \"haproxy\": {\"%s\"} in %s, or have the record removed",
                          ip->family == IP_V6 ? "[::]" : "*", colon, lists[i].key,
                          look->doctor->configuration_path),
            "it leads to %s, where HAProxy does not listen for %s: who asks there gets no answer",
            ip_print(ip, text), lists[i].key);
        return;
    }
}

static bool has_four_alone(const struct networks *networks)
{
    for (size_t i = 0; i < networks->count; i++)
        if (networks->items[i].ip.family == IP_V6)
            return false;
    return networks->count > 0;
}

/* Lists that are older than the name's IPv6 address. */
static void look_at_networks(const struct host_look *look)
{
    static const char FIX[] = "the IPv6 networks of those it lists as well, in \"%s\" of %s";
    const struct policy *policy = look->tenant->policy;
    char *place = doctor_place(look->tenant);
    if (policy != NULL && has_four_alone(&policy->deny_ips))
        find(look, DOCTOR_NOTE, DOCTOR_DNS, memory_format(FIX, "deny_ips", place),
             "clients come by IPv6, too, and \"deny_ips\" lists IPv4 alone: who is in it gets in "
             "by the other way");
    if (policy != NULL && has_four_alone(&policy->allow_ips))
        find(look, DOCTOR_NOTE, DOCTOR_DNS, memory_format(FIX, "allow_ips", place),
             "clients come by IPv6, too, and \"allow_ips\" lists IPv4 alone: whoever does is "
             "refused");
    free(place);
}

static void look_at_addresses(const struct host_look *look, const struct dns_addresses *addresses)
{
    char text[IP_TEXT_SIZE];
    size_t here = 0, elsewhere = addresses->count;
    bool has_six = false;
    for (size_t i = 0; i < addresses->count; i++) {
        const struct ip *ip = &addresses->items[i].ip;
        has_six |= ip->family == IP_V6;
        if (is_here(ip)) {
            here++;
            look_at_binds(look, ip);
        } else if (elsewhere == addresses->count) {
            elsewhere = i;
        }
    }
    if (elsewhere < addresses->count)
        find(look, DOCTOR_NOTE, DOCTOR_DNS,
             memory_format(
                 "nothing, where a router, another proxy or another machine answers there; "
                 "browsers and the CA prefer IPv6"),
             "it leads to %s%s, which is no address of this machine",
             ip_print(&addresses->items[elsewhere].ip, text), here > 0 ? " as well" : "");
    if (has_six)
        look_at_networks(look);
}

static void on_addresses(void *context, const struct dns_addresses *addresses)
{
    struct host_look *look = context;
    switch (addresses->status) {
    case DNS_FOUND:
        doctor_made(look->doctor, DOCTOR_DNS);
        look_at_addresses(look, addresses);
        break;
    case DNS_NOTHING:
        doctor_made(look->doctor, DOCTOR_DNS);
        find(look, DOCTOR_ERROR, DOCTOR_DNS,
             memory_format("an A or AAAA record for %s at whoever has the domain", look->host),
             "the name has no address (%s): neither browsers nor the CA find it",
             addresses->reason);
        break;
    case DNS_TROUBLE:
        find(look, DOCTOR_WARNING, DOCTOR_DNS,
             memory_format("/etc/resolv.conf, or \"resolver\": {\"nameservers\"} in %s",
                           look->doctor->configuration_path),
             "no name server tells about it: %s", addresses->reason);
        break;
    case DNS_CANCELLED: break;
    }
    doctor_end(look->doctor);
}

static void begin_at(struct host_look *look, struct http_probe *probe, const char *address,
                     bool tls, const char *path, http_probed_fn *on_probed)
{
    const struct hap_config *haproxy = &look->doctor->whole.configuration->haproxy;
    probe->host = look->sample != NULL ? look->sample : look->host;
    if (tls && path != NULL) /* as a browser asks for it */
        probe->host = look->authority;
    probe->connect_to = address;
    probe->path = path;
    probe->tls = tls;
    probe->proxy_line =
        loopback_needs_proxy_line(address, (const char *const *)haproxy->proxy_protocol_from,
                                  haproxy->proxy_protocol_from_count);
    doctor_probe(look->doctor, probe, on_probed, look);
}

/* -- Port 80 ----------------------------------------------------------------------------------- */

static void try_challenge(struct host_look *look);

/* The agent knows no such token, and says so. */
static void on_challenge(void *context, const struct http_probe_answer *answer)
{
    struct host_look *look = context;
    char *what = told(answer);
    const char *place = told_place(look, look->http, look->doctor->http);
    bool is_answered = answer->result == HTTP_PROBE_ANSWERED;
    doctor_made(look->doctor, DOCTOR_CHALLENGE);
    if (!is_answered)
        find(look, DOCTOR_ERROR, DOCTOR_CHALLENGE,
             memory_format("systemctl start haproxy; \"haproxy\": {\"http\"} in %s",
                           look->doctor->configuration_path),
             "HAProxy does not answer on %s, where the CA will ask: %s", *look->http, what);
    else if (answer->status >= 300 && answer->status < 400)
        find(look, DOCTOR_ERROR, DOCTOR_CHALLENGE,
             haproxy_files_fix(look->doctor->whole.configuration),
             "a challenge%s is redirected to %.*s instead of answered", place,
             SLICE_PRINT(answer->location));
    else if (answer->status != 404)
        find(look, DOCTOR_ERROR, DOCTOR_CHALLENGE,
             memory_format("\"acme\": {\"challenge_listen\"} in %s, and who listens there",
                           look->doctor->configuration_path),
             "challenges%s do not lead to the agent: an unknown one is answered with %s", place,
             what);
    free(what);
    look->http++;
    if (!is_answered || answer->status == 404)
        try_challenge(look);
}

/* On one bind after the other, until one has a fault, which the others mostly have, too. */
static void try_challenge(struct host_look *look)
{
    if (*look->http != NULL)
        begin_at(look, &look->challenge, *look->http, false,
                 "/.well-known/acme-challenge/owui-spoa-doctor", on_challenge);
}

/* -- The certificate --------------------------------------------------------------------------- */

/* What the daemon has for the host; NULL: nothing is known. */
static const struct json *find_certificate(const struct host_look *look)
{
    return told_certificate(look->doctor->certificates, look->host);
}

/* Why there is none, in the daemon's words or the CA's. For free(). */
static char *why_none(const struct json *stored)
{
    const struct json *problem = json_get(stored, "problem");
    struct slice doing = json_get_text(stored, "doing");
    struct slice next = doing.size > 0 ? doing : json_get_text(stored, "next");
    if (problem != NULL)
        return memory_format(": %.*s", SLICE_PRINT(json_get_text(problem, "detail")));
    return next.size > 0 ? memory_format(": %.*s", SLICE_PRINT(next)) : memory_format("%s", "");
}

/* Why a HAProxy does not serve what is on disk, in the daemon's words. */
static struct slice why_not_served(const struct json *stored)
{
    const struct json *haproxys = json_get(stored, "haproxys");
    struct slice why = SLICE("");
    for (size_t i = 0; i < json_count(haproxys) && why.size == 0; i++)
        why = json_get_text(json_at(haproxys, i), "problem");
    return why;
}

/* When the daemon has tried in vain, HAProxy's own files are what has to be changed. For free(). */
static char *serving_fix(const struct host_look *look, struct slice why)
{
    return why.size > 0 ? haproxy_files_fix(look->doctor->whole.configuration)
                        : memory_format("owui-spoa certs deploy %s", look->tenant->name);
}

/* Not even one that is there would be shown: no name tells HAProxy which. */
static void find_address(const struct host_look *look)
{
    char *place = doctor_place(look->tenant);
    find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE,
         memory_format("a name instead of the address in %s; man owui-spoa.json, In a LAN", place),
         "no certificate can be shown for an address: browsers name no host when they connect to "
         "one");
    free(place);
}

static void find_none(const struct host_look *look, const char *what, const char *place)
{
    if (certified_is_address(look->host)) {
        find_address(look);
        return;
    }
    const struct json *stored = find_certificate(look);
    bool is_stored = json_get(stored, "serial") != NULL;
    struct slice not_served = why_not_served(stored);
    char *why = is_stored ? memory_format(", though there is one on disk%s%.*s",
                                          not_served.size > 0 ? ": " : "", SLICE_PRINT(not_served))
                          : why_none(stored);
    find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE,
         is_stored ? serving_fix(look, not_served)
                   : memory_format("owui-spoa certs; \"acme\": {\"directory\"} in %s",
                                   look->doctor->configuration_path),
         "%s%s%s", what, place, why);
    free(why);
}

/* With keys of both kinds there are two files for a host. */
static bool is_stored(const struct host_look *look, struct slice serial)
{
    const struct json *list = json_get(look->doctor->certificates, "certificates");
    for (size_t i = 0; i < json_count(list); i++)
        if (told_certificate_has(json_at(list, i), look->host) &&
            slice_equal(json_get_text(json_at(list, i), "serial"), serial))
            return true;
    return false;
}

/* For free(). */
static char *why_not_fine(const struct json *one)
{
    struct slice why = json_get_text(one, "served_wrong"), host;
    if (view_certificate_is_untrusted(one))
        return memory_format("browsers do not trust it, and its CA is configured no longer");
    if (why.size == 0)
        why = why_not_served(one);
    if (why.size == 0)
        why = json_get_text(json_get(one, "problem"), "detail");
    if (why.size == 0 && json_read_text(json_at(json_get(one, "lacking"), 0), &host))
        return memory_format("it is not for %.*s", SLICE_PRINT(host));
    return memory_copy_text(why.size > 0 ? why : json_get_text(one, "next"));
}

/* What `certs --check` fails for is told here, too. */
static void find_not_fine(const struct host_look *look)
{
    const struct json *list = json_get(look->doctor->certificates, "certificates");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *one = json_at(list, i);
        if (!told_certificate_has(one, look->host) || view_certificate_is_fine(one))
            continue;
        char *why = why_not_fine(one);
        find(look, DOCTOR_WARNING, DOCTOR_CERTIFICATE,
             memory_format("owui-spoa certs; within seconds of a start of HAProxy or the agent, "
                           "look again"),
             "the daemon does not find %.*s fine: %s", SLICE_PRINT(json_get_text(one, "name")),
             why);
        free(why);
    }
}

static bool is_over(const struct crypto_certificate *shown)
{
    return shown->not_after_s <= clock_wall_s();
}

/* Whosever it is; NULL: no tenant's. */
static const struct json *find_owner(const struct host_look *look, const char *serial)
{
    return told_certificate_with(look->doctor->certificates, "serial", serial);
}

static bool is_in_haproxys(const struct json *stored)
{
    const struct json *haproxys = json_get(stored, "haproxys");
    bool all = json_count(haproxys) > 0, served;
    for (size_t i = 0; i < json_count(haproxys) && all; i++)
        all = json_read_bool(json_get(json_at(haproxys, i), "served"), &served) && served;
    return all;
}

/* Whether it is for names that the daemon has no certificate for: a website's beside Open WebUI. */
static bool is_for_others(const struct host_look *look, const struct crypto_certificate *shown)
{
    for (size_t i = 0; i < shown->name_count; i++)
        if (told_certificate(look->doctor->certificates, shown->names[i]) == NULL)
            return true;
    return false;
}

static const char *crt_dir_of(const struct host_look *look)
{
    const char *folder = look->doctor->whole.configuration->haproxy.crt_dir;
    return folder != NULL ? folder : "/etc/haproxy/certs";
}

/* One that the daemon has put there since it was asked. */
static bool is_the_daemons(const struct host_look *look, const char *file)
{
    return told_certificate_with(look->doctor->certificates, "name", file_path_name(file)) != NULL;
}

/* Both are in HAProxy, which neither a renewal nor a swap changes. */
static void find_file(const struct host_look *look, const struct crypto_certificate *shown,
                      const struct json *stored, const char *place)
{
    const char *over = is_over(shown) ? ", which is over" : "";
    struct slice serial = json_get_text(stored, "serial");
    char *file = shown_file_find(crt_dir_of(look), shown);
    if (file == NULL)
        find(
            look, DOCTOR_ERROR, DOCTOR_CERTIFICATE,
            memory_format("whatever else is for %s in %s, or on a \"crt\" line of haproxy.cfg, has "
                          "to go; systemctl reload haproxy",
                          look->host, crt_dir_of(look)),
            "HAProxy shows serial %s%s%s, of no file in %s that may be read: it has had that for "
            "longer than %.*s, which is on disk",
            shown->serial, place, over, crt_dir_of(look), SLICE_PRINT(serial));
    else if (!is_the_daemons(look, file))
        find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE,
             memory_format(is_for_others(look, shown)
                               ? "%s is to be for its other names alone; systemctl reload haproxy"
                               : "rm %s, and whatever makes it; systemctl reload haproxy",
                           file),
             "HAProxy shows what is in %s%s%s: it has had that for longer than serial %.*s, which "
             "is on disk",
             file, place, over, SLICE_PRINT(serial));
    free(file);
}

static void find_another(const struct host_look *look, const struct crypto_certificate *shown,
                         const struct json *stored, const char *place)
{
    const struct json *owner = find_owner(look, shown->serial);
    struct slice serial = json_get_text(stored, "serial"), why = why_not_served(stored);
    bool lasts = ask_number(stored, "not_after") > clock_wall_s();
    if (owner != NULL)
        find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE, memory_format("owui-spoa certs"),
             "HAProxy shows %.*s%s, which is for this name, too, and is over",
             SLICE_PRINT(json_get_text(owner, "name")), place);
    else if (lasts && is_in_haproxys(stored))
        find_file(look, shown, stored, place);
    else
        find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE, serving_fix(look, why),
             "HAProxy shows serial %s%s, and on disk is %.*s%s%.*s", shown->serial, place,
             SLICE_PRINT(serial), why.size > 0 ? ": " : "", SLICE_PRINT(why));
}

/* Another tenant's is as good for the host until its end: see sidecar/overlap.h. */
static bool is_another(const struct host_look *look, const struct crypto_certificate *shown,
                       const struct json *stored)
{
    if (json_get(stored, "serial") == NULL || is_stored(look, slice_of(shown->serial)))
        return false;
    if (is_over(shown))
        return ask_number(stored, "not_after") > clock_wall_s();
    return find_owner(look, shown->serial) == NULL;
}

static void compare_certificates(const struct host_look *look,
                                 const struct crypto_certificate *shown, const char *place)
{
    const struct json *stored = find_certificate(look);
    if (is_another(look, shown, stored))
        find_another(look, shown, stored, place);
    else if (is_over(shown))
        find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE,
             memory_format("owui-spoa certs renew %s", look->tenant->name),
             "the certificate that is shown%s is over", place);
    else if (slice_equal(json_get_text(stored, "alarm"), SLICE("expiring")))
        find(look, DOCTOR_WARNING, DOCTOR_CERTIFICATE, memory_format("owui-spoa certs"),
             "it nears its end and is not renewed: %.*s",
             SLICE_PRINT(json_get_text(json_get(stored, "problem"), "detail")));
    else
        find_not_fine(look);
}

static void look_at_shown(const struct host_look *look, struct slice certificate)
{
    const char *place = told_place(look, look->https, look->doctor->https);
    struct crypto_certificate shown;
    if (certificate.size == 0 || crypto_certificate_read(certificate, &shown, NULL) != ERROR_OK) {
        find_none(look, "HAProxy has no certificate for it", place);
        return;
    }
    if (!crypto_certificate_covers(&shown, look->host))
        find_none(look, "a certificate for another name is shown", place);
    else
        compare_certificates(look, &shown, place);
    crypto_certificate_free(&shown);
}

static bool is_away(const struct http_probe_answer *answer)
{
    return answer->result == HTTP_PROBE_REFUSED || answer->result == HTTP_PROBE_TIMED_OUT;
}

/* With one bind after the other, until one has a fault, which the others mostly have, too. */
static void shake_hands(struct host_look *look, http_probed_fn *on_shown)
{
    if (*look->https != NULL)
        begin_at(look, &look->handshake, *look->https, true, NULL, on_shown);
}

static void on_handshake(void *context, const struct http_probe_answer *answer)
{
    struct host_look *look = context;
    size_t before = look->doctor->finding_count;
    doctor_made(look->doctor, DOCTOR_CERTIFICATE);
    if (is_away(answer))
        find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE,
             memory_format("systemctl start haproxy; \"haproxy\": {\"https\"} in %s",
                           look->doctor->configuration_path),
             "HAProxy does not answer on %s: %s", *look->https, answer->failure);
    else
        look_at_shown(look, answer->certificate);
    look->https++;
    if (is_away(answer) || look->doctor->finding_count == before)
        shake_hands(look, on_handshake);
}

/* -- Through HAProxy --------------------------------------------------------------------------- */

/* That is told of the certificate, and what is behind it is not known. */
static bool has_no_handshake(const struct host_look *look, const struct http_probe_answer *answer)
{
    return look->tls && answer->result == HTTP_PROBE_NO_TLS;
}

static void on_health(void *context, const struct http_probe_answer *answer)
{
    struct host_look *look = context;
    if (has_no_handshake(look, answer))
        return;
    char *what = told(answer);
    doctor_made(look->doctor, DOCTOR_HTTPS);
    if (answer->result == HTTP_PROBE_ANSWERED && answer->refused.size == 0 &&
        (answer->status == 502 || answer->status == 503 || answer->status == 504))
        find(look, DOCTOR_ERROR, DOCTOR_HTTPS, memory_format("\"upstream\" in %s", look->place),
             "HAProxy cannot reach the server: /health is answered with %d", answer->status);
    else if (refused_as_not_let_in(answer->refused))
        find(look, DOCTOR_NOTE, DOCTOR_HTTPS, explain(look, "/health"),
             "not let in from here (%.*s): what is behind it is not looked at",
             SLICE_PRINT(answer->refused));
    else if (refused_as_unserved(answer->refused))
        find(look, DOCTOR_NOTE, DOCTOR_HTTPS,
             memory_format("\"%.*s\" in %s", SLICE_PRINT(answer->refused), look->place),
             "the tenant does not serve: %.*s", SLICE_PRINT(answer->refused));
    else if (answer->status != 200)
        find(look, DOCTOR_ERROR, DOCTOR_HTTPS, explain(look, "/health"),
             "/health is answered with %s", what);
    free(what);
}

static void find_socket(const struct host_look *look, const char *what, bool is_upstreams)
{
    find(look, DOCTOR_ERROR, DOCTOR_WEBSOCKET,
         is_upstreams
             ? memory_format("CORS_ALLOW_ORIGIN=%s in Open WebUI's environment", look->origin)
             : memory_format("owui-spoa explain %s://%s/ws/socket.io/ --header 'Upgrade: "
                             "websocket' --header 'Origin: %s'",
                             look->tls ? "https" : "http", look->host, look->origin),
         "pages of %s cannot open their WebSocket, so that chats do not answer: %s%s", look->origin,
         is_upstreams ? "Open WebUI says " : "", what);
}

/* Asked without HAProxy, the server tells whose no it was. */
static void on_direct_socket(void *context, const struct http_probe_answer *answer)
{
    struct host_look *look = context;
    char *what = told(answer);
    if (answer->status == STATUS_SWITCHING)
        find_socket(look, "HAProxy does not let it through", false);
    else
        find_socket(look, what, true);
    free(what);
}

static bool ask_directly(struct host_look *look)
{
    const struct upstream *upstream = &look->tenant->upstream;
    char text[IP_PORT_TEXT_SIZE];
    if (tenant_upstream_count(look->tenant) != 1 || look->tenant->replicas != NULL ||
        upstream->address.family == IP_NONE)
        return false;
    look->direct_socket = (struct http_probe){
        .host = look->authority,
        .connect_to = doctor_format(look->doctor, "%s",
                                    ip_print_with_port(&upstream->address, upstream->port, text)),
        .path = SOCKET_PATH,
        .tls = upstream->scheme != UPSTREAM_HTTP,
        .websocket_origin = look->origin,
    };
    doctor_probe(look->doctor, &look->direct_socket, on_direct_socket, look);
    return true;
}

static void on_socket(void *context, const struct http_probe_answer *answer)
{
    struct host_look *look = context;
    bool is_agents = answer->refused.size > 0;
    if (has_no_handshake(look, answer))
        return;
    doctor_made(look->doctor, DOCTOR_WEBSOCKET);
    if (answer->status == STATUS_SWITCHING || refused_as_unserved(answer->refused))
        return;
    if (refused_as_not_let_in(answer->refused)) {
        find(look, DOCTOR_NOTE, DOCTOR_WEBSOCKET, explain(look, "/ws/socket.io/"),
             "not let in from here (%.*s): whether pages can open it is not known",
             SLICE_PRINT(answer->refused));
        return;
    }
    if (!is_agents && answer->result == HTTP_PROBE_ANSWERED && ask_directly(look))
        return;
    char *what = told(answer);
    find_socket(look, what, !is_agents && (answer->status == 400 || answer->status == 403));
    free(what);
}

/* -- What Open WebUI is set to ----------------------------------------------------------------- */

static void look_at_origins(const struct host_look *look, struct slice allowed)
{
    doctor_made(look->doctor, DOCTOR_ORIGINS);
    if (slice_equal(allowed, SLICE("*")) || slice_equal(allowed, SLICE(STRANGER)))
        find(look, DOCTOR_WARNING, DOCTOR_ORIGINS,
             memory_format("CORS_ALLOW_ORIGIN=%s in Open WebUI's environment", look->origin),
             "pages of any website may ask its API (Access-Control-Allow-Origin: %.*s)",
             SLICE_PRINT(allowed));
}

/* The first flow of a browser's sign-in: where the provider is to send it back to, and the cookie
 * that remembers it. */
static void look_at_redirect(const struct host_look *look, struct slice location)
{
    static const struct slice KEY = {"redirect_uri=", 13};
    const char *found =
        location.size > 0 ? memmem(location.data, location.size, KEY.data, KEY.size) : NULL;
    if (found == NULL)
        return;
    struct slice uri = slice_skip(location, (size_t)(found - location.data) + KEY.size);
    uri = slice_before(uri, '&');
    bool is_plain = slice_starts_with(uri, SLICE("http%3A")) ||
                    slice_starts_with(uri, SLICE("http%3a")) ||
                    slice_starts_with(uri, SLICE("http:"));
    if (look->tls && is_plain)
        find(look, DOCTOR_ERROR, DOCTOR_SIGN_IN,
             memory_format("FORWARDED_ALLOW_IPS=* (or HAProxy's address) in Open WebUI's "
                           "environment, and WEBUI_URL=%s",
                           look->origin),
             "OAuth leads back to plain http, which providers refuse: Open WebUI does not believe "
             "X-Forwarded-Proto (redirect_uri=%.*s)",
             SLICE_PRINT(uri));
    else if (!slice_contains(uri, slice_of(look->host)))
        find(look, DOCTOR_ERROR, DOCTOR_SIGN_IN,
             memory_format("%s/oauth/%s/login/callback as the provider's redirect URI in Open "
                           "WebUI's environment (OPENID_REDIRECT_URI, GOOGLE_REDIRECT_URI, ...), "
                           "or none there: then it is made from the host",
                           look->origin, look->provider),
             "OAuth leads back to another host (redirect_uri=%.*s)", SLICE_PRINT(uri));
}

static void on_login(void *context, const struct http_probe_answer *answer)
{
    const struct host_look *look = context;
    if (answer->result != HTTP_PROBE_ANSWERED || answer->status < 300 || answer->status >= 400)
        return;
    doctor_made(look->doctor, DOCTOR_SIGN_IN);
    look_at_redirect(look, answer->location);
    doctor_cookies(look->doctor, look->tenant, look->host, look->tls, answer->cookies);
}

/* Whoever shows a token there is given it as a cookie once more, as a browser is at each visit. */
static void on_session(void *context, const struct http_probe_answer *answer)
{
    const struct host_look *look = context;
    if (answer->result != HTTP_PROBE_ANSWERED || refused_as_not_let_in(answer->refused))
        return; /* that is told by other checks */
    doctor_made(look->doctor, DOCTOR_SIGN_IN);
    if (answer->status != 200) {
        char *what = told(answer);
        find(look, DOCTOR_WARNING, DOCTOR_SIGN_IN,
             memory_format("sign in once more, and take localStorage.token of that page"),
             "Open WebUI does not take the token of --token-file: %s", what);
        free(what);
        return;
    }
    doctor_cookies(look->doctor, look->tenant, look->host, look->tls, answer->cookies);
}

static void begin(struct host_look *look, struct http_probe *probe, const char *path,
                  http_probed_fn *on_probed)
{
    begin_at(look, probe, look->address, look->tls, path, on_probed);
}

/* {"oauth": {"providers": {"oidc": "SSO"}}}: the first one is as good as any. */
static void look_at_providers(struct host_look *look, const struct json *config)
{
    const struct json *providers = json_get(json_get(config, "oauth"), "providers");
    struct json_member member = {0};
    if (!json_next(providers, &member))
        return;
    look->provider = doctor_format(look->doctor, "%.*s", SLICE_PRINT(member.key));
    if (ask_item_valid(look->provider))
        begin(look, &look->login, doctor_format(look->doctor, "/oauth/%s/login", look->provider),
              on_login);
}

static void look_at_session(struct host_look *look)
{
    look->session.bearer = look->doctor->token;
    if (look->doctor->token != NULL)
        begin(look, &look->session, "/api/v1/auths/", on_session);
}

/* {"features": {"auth_trusted_header": true}}: not which one, so that nobody can look whether
 * HAProxy deletes it. */
static void look_at_trust(const struct host_look *look, const struct json *config)
{
    bool trusts = false;
    const struct json *told = json_get(json_get(config, "features"), "auth_trusted_header");
    if (!json_read_bool(told, &trusts) || !trusts || look->tenant->identity != NULL)
        return;
    find(look, DOCTOR_WARNING, DOCTOR_SIGN_IN,
         memory_format("\"identity\" in %s, or no WEBUI_AUTH_TRUSTED_EMAIL_HEADER in Open WebUI's "
                       "environment",
                       look->place),
         "Open WebUI believes what a header says of who the user is "
         "(WEBUI_AUTH_TRUSTED_EMAIL_HEADER), and nobody verifies it: whoever sends that header is "
         "that user");
}

static void on_config(void *context, const struct http_probe_answer *answer)
{
    struct host_look *look = context;
    if (answer->result != HTTP_PROBE_ANSWERED || answer->status != 200)
        return; /* that is told by other checks */
    look_at_origins(look, answer->allow_origin);
    struct json *config = json_parse(answer->body, JSON_MAX_TEXT_BYTES, NULL, NULL);
    look_at_trust(look, config);
    look_at_providers(look, config);
    json_free(config);
}

/* -- All of it --------------------------------------------------------------------------------- */

/* Else the port is another client's, which may listen only while it orders. */
static bool daemon_answers_challenges(const struct acme_settings *acme)
{
    return acme->directory != NULL && (acme->directory[0] != '\0' || acme->webroot != NULL);
}

static void ask_haproxy(struct host_look *look)
{
    if (daemon_answers_challenges(&look->doctor->whole.configuration->acme))
        try_challenge(look);
    if (look->address == NULL)
        return;
    if (look->tls)
        shake_hands(look, on_handshake);
    begin(look, &look->health, "/health", on_health);
    look->socket.websocket_origin = look->origin;
    begin(look, &look->socket, SOCKET_PATH, on_socket);
    look->config.origin = STRANGER;
    begin(look, &look->config, "/api/config", on_config);
    look_at_session(look);
}

/* A name below the wildcard that is the tenant's too, and has a certificate. */
static const char *find_used(struct doctor *doctor, const struct tenant *tenant, const char *below)
{
    const struct json *list = json_get(doctor->certificates, "certificates");
    struct slice ending = slice_of(doctor_format(doctor, ".%s", below));
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *hosts = json_get(json_at(list, i), "hosts");
        bool is_its =
            slice_equal(json_get_text(json_at(list, i), "tenant"), slice_of(tenant->name));
        for (size_t j = 0; is_its && j < json_count(hosts); j++) {
            struct slice name;
            if (json_read_text(json_at(hosts, j), &name) && name.data[0] != '*' &&
                name.size > ending.size && slice_ends_with(name, ending))
                return doctor_format(doctor, "%.*s", SLICE_PRINT(name));
        }
    }
    return NULL;
}

static void on_wildcard(void *context, const struct dns_addresses *addresses)
{
    struct host_look *look = context;
    if (addresses->status != DNS_NOTHING) {
        on_addresses(context, addresses);
        return;
    }
    doctor_made(look->doctor, DOCTOR_DNS);
    find(look, DOCTOR_ERROR, DOCTOR_DNS,
         memory_format("an A or AAAA record for %s at whoever has the domain", look->host),
         "a name below it, such as %s, has no address (%s): neither browsers nor the CA find it",
         look->sample, addresses->reason);
    doctor_end(look->doctor);
}

/* What is somebody's to bring, and where; for free(). */
static char *wildcard_fix(const struct host_look *look, bool is_there)
{
    const struct configuration *configuration = look->doctor->whole.configuration;
    const char *file = look->tenant->certificate_file;
    const char *besides = "";
    if (configuration->acme.directory == NULL)
        besides = ", and a reload of HAProxy";
    else if (file == NULL)
        besides = ", and \"certificate_file\": \"wildcard.pem\" with the tenant";
    return memory_format("a %scertificate for %s, chain and key in one file, as %s/%s%s",
                         is_there ? "new " : "", look->host, crt_dir_of(look),
                         file != NULL ? file : "wildcard.pem", besides);
}

/* No CA is asked for a wildcard's certificate, since that takes dns-01: it is somebody's to bring.
 */
static void on_wildcard_handshake(void *context, const struct http_probe_answer *answer)
{
    struct host_look *look = context;
    const char *place = told_place(look, look->https, look->doctor->https);
    struct crypto_certificate shown;
    bool covers = false;
    int64_t not_after_s = 0;
    look->https++;
    if (is_away(answer)) { /* that is told by other checks */
        shake_hands(look, on_wildcard_handshake);
        return;
    }
    doctor_made(look->doctor, DOCTOR_CERTIFICATE);
    if (answer->certificate.size > 0 &&
        crypto_certificate_read(answer->certificate, &shown, NULL) == ERROR_OK) {
        covers = crypto_certificate_covers(&shown, look->sample);
        not_after_s = shown.not_after_s;
        crypto_certificate_free(&shown);
    }
    int64_t left_s = not_after_s - clock_wall_s();
    if (covers && left_s >= WILDCARD_SOON_S) {
        shake_hands(look, on_wildcard_handshake);
        return;
    }
    char *fix = wildcard_fix(look, covers);
    if (!covers)
        find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE, fix,
             "HAProxy has no certificate for names below it, such as %s%s", look->sample, place);
    else if (left_s <= 0)
        find(look, DOCTOR_ERROR, DOCTOR_CERTIFICATE, fix,
             "the certificate that HAProxy shows for it%s is over: nobody renews it but you",
             place);
    else
        find(look, DOCTOR_WARNING, DOCTOR_CERTIFICATE, fix,
             "the certificate that HAProxy shows for it%s ends in %lld days: nobody renews it but "
             "you",
             place, (long long)(left_s / DAY_S));
}

/* Of a wildcard, any name has to lead here, and to have a certificate. More is not asked for a name
 * that nobody uses: the agent would look for a server of its own for it. */
void doctor_wildcard(struct doctor *doctor, const struct tenant *tenant, const char *below)
{
    const char *used = find_used(doctor, tenant, below);
    if (used != NULL) {
        doctor_host(doctor, tenant, used);
        return;
    }
    struct host_look *look = doctor_keep(doctor, sizeof(*look));
    *look = (struct host_look){
        .doctor = doctor,
        .tenant = tenant,
        .host = doctor_format(doctor, "*.%s", below),
        .sample = doctor_format(doctor, "owui-spoa-doctor.%s", below),
        .https = doctor->https,
    };
    doctor_begin(doctor);
    dns_client_addresses(doctor->dns, look->sample, DNS_ANY_FAMILY, on_wildcard, look);
    if (tenant->https_redirect)
        shake_hands(look, on_wildcard_handshake);
}

void doctor_host(struct doctor *doctor, const struct tenant *tenant, const char *host)
{
    struct host_look *look = doctor_keep(doctor, sizeof(*look));
    char *place = doctor_place(tenant);
    *look = (struct host_look){
        .doctor = doctor,
        .tenant = tenant,
        .host = host,
        .place = doctor_format(doctor, "%s", place),
        .tls = doctor->https[0] != NULL && (tenant->https_redirect || doctor->http[0] == NULL),
        .http = doctor->http,
        .https = doctor->https,
    };
    free(place);
    look->address = look->tls ? doctor->https[0] : doctor->http[0];
    unsigned port = look->tls ? doctor->whole.configuration->settings->https_port : 0;
    look->authority =
        port == 0 ? doctor_format(doctor, "%s", host) : doctor_format(doctor, "%s:%u", host, port);
    look->origin = doctor_format(doctor, "%s://%s", look->tls ? "https" : "http", look->authority);
    doctor_begin(doctor);
    dns_client_addresses(doctor->dns, host, DNS_ANY_FAMILY, on_addresses, look);
    ask_haproxy(look);
}

void doctor_path_host(struct doctor *doctor, const struct tenant *tenant, const char *host)
{
    struct host_look *look = doctor_keep(doctor, sizeof(*look));
    *look = (struct host_look){
        .doctor = doctor, .tenant = tenant, .host = host, .https = doctor->https};
    doctor_begin(doctor);
    dns_client_addresses(doctor->dns, host, DNS_ANY_FAMILY, on_addresses, look);
    if (tenant->https_redirect)
        shake_hands(look, on_handshake);
}
