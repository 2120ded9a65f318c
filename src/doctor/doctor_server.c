/* A tenant's server, asked without HAProxy: whether it is there, is ready, and is Open WebUI. See
 * doctor.h. */
#include "doctor.h"

#include "cli/ask.h"
#include "conf/own_address.h"
#include "core/memory.h"
#include "route/check.h"
#include "route/replica.h"
#include "upstreams/resolver.h"

#include <stdio.h>
#include <stdlib.h>

struct server_look {
    struct doctor *doctor;
    const struct tenant *tenant;
    const struct upstream *upstream;
    char *url;            /* "http://10.0.0.1:3000" */
    char *place;          /* of the tenant in its file */
    char *address;        /* where to connect to */
    bool is_draining;     /* it takes nobody new */
    size_t address_count; /* that its name has */
    bool asks_health;     /* it does not know /ready */
    struct http_look ready, health, version;
};

/* One that is on its way out may be off. */
static void find(const struct server_look *look, enum doctor_severity severity, char *fix,
                 const char *message)
{
    doctor_find(look->doctor, look->is_draining ? DOCTOR_NOTE : severity, DOCTOR_SERVER,
                look->tenant->name, look->url, fix, "%s", message);
}

static char *upstream_line(const struct server_look *look)
{
    return memory_format("\"%s\" in %s", look->tenant->replicas != NULL ? "replicas" : "upstream",
                         look->place);
}

static void ask_server(struct server_look *look, struct http_look *question, const char *path,
                       http_probed_fn *on_answer)
{
    const struct upstream *upstream = look->upstream;
    char *url = upstream_check_url(upstream, path);
    question->url = doctor_format(look->doctor, "%s", url);
    free(url);
    question->connect_to = look->address;
    question->no_verify = upstream->scheme == UPSTREAM_HTTPS_NO_VERIFY;
    doctor_look(look->doctor, question, on_answer, look);
}

static void on_version(void *context, const struct http_probe_answer *answer)
{
    const struct server_look *look = context;
    if (answer->result != HTTP_PROBE_ANSWERED)
        return; /* it was there a moment ago */
    struct json *told = json_parse(answer->body, JSON_MAX_TEXT_BYTES, NULL, NULL);
    doctor_made(look->doctor, DOCTOR_SERVER);
    if (answer->status != 200 || json_get_text(told, "version").size == 0)
        find(look, DOCTOR_ERROR, upstream_line(look),
             "what listens there is not Open WebUI: /api/version tells no version");
    json_free(told);
}

static void on_ready(void *context, const struct http_probe_answer *answer);

static void look_at_ready(struct server_look *look, const struct http_probe_answer *answer)
{
    const char *path = look->asks_health ? "/health" : "/ready";
    char *message = NULL;
    if (check_judge(answer->status, answer->body) == CHECK_UNKNOWN_PATH) {
        if (!look->asks_health) {
            look->asks_health = true; /* an older one */
            ask_server(look, &look->health, "/health", on_ready);
            return;
        }
        message = memory_format("what listens there is not Open WebUI: it does not know /health");
    } else if (answer->status != 200) {
        message = memory_format("it is not ready: %s is answered with %d; its database or Redis, "
                                "or it is still starting",
                                path, answer->status);
    }
    if (message == NULL) {
        ask_server(look, &look->version, "/api/version", on_version);
        return;
    }
    find(look, DOCTOR_ERROR,
         answer->status == 503 ? memory_format("docker logs open-webui, or its journal")
                               : upstream_line(look),
         message);
    free(message);
}

static void on_ready(void *context, const struct http_probe_answer *answer)
{
    struct server_look *look = context;
    if (answer->result == HTTP_PROBE_ANSWERED) {
        doctor_made(look->doctor, DOCTOR_SERVER);
        look_at_ready(look, answer);
        return;
    }
    doctor_made(look->doctor, DOCTOR_SERVER);
    char *place = look->address_count > 1 ? memory_format(" (%s, one of its %zu addresses)",
                                                          look->address, look->address_count)
                                          : memory_copy_text(SLICE(""));
    char *message = answer->result == HTTP_PROBE_REFUSED
                        ? memory_format("nobody listens there%s: is Open WebUI running?", place)
                        : memory_format("it cannot be asked%s: %s", place, answer->failure);
    find(look, DOCTOR_ERROR, upstream_line(look), message);
    free(message);
    free(place);
}

static void begin(struct server_look *look, const struct ip *ip)
{
    char text[IP_PORT_TEXT_SIZE];
    look->address =
        doctor_format(look->doctor, "%s", ip_print_with_port(ip, look->upstream->port, text));
    ask_server(look, &look->ready, "/ready", on_ready);
}

/* The one that HAProxy goes to; of family IP_NONE: none that an upstream may have. */
static struct ip choose(const struct server_look *look, const struct dns_addresses *addresses)
{
    const struct configuration *configuration = look->doctor->whole.configuration;
    struct ip chosen = {0};
    for (size_t i = 0; i < addresses->count; i++) {
        const struct ip *ip = &addresses->items[i].ip;
        if (own_address_allowed(configuration, ip, look->upstream->port) &&
            resolver_prefers(ip, &chosen))
            chosen = *ip;
    }
    return chosen;
}

/* Why none of them may be an upstream's. */
static void find_none_allowed(const struct server_look *look, const struct dns_addresses *addresses)
{
    const struct configuration *configuration = look->doctor->whole.configuration;
    const char *path = look->doctor->configuration_path;
    for (size_t i = 0; i < addresses->count; i++) {
        const struct ip *ip = &addresses->items[i].ip;
        const char *key;
        const char *own = own_address_find(configuration, ip, look->upstream->port, &key);
        if (!settings_upstream_allowed(configuration->settings, ip) || own == NULL)
            continue;
        char *message =
            memory_format("its name leads to \"%s\", which is \"%s\" in %s", own, key, path);
        find(look, DOCTOR_ERROR, upstream_line(look), message);
        free(message);
        return;
    }
    find(look, DOCTOR_ERROR, memory_format("\"upstream_allow\" in %s", path),
         "none of its addresses is in upstream_allow");
}

static void on_addresses(void *context, const struct dns_addresses *addresses)
{
    struct server_look *look = context;
    const struct ip chosen = choose(look, addresses);
    look->address_count = addresses->count;
    if (chosen.family != IP_NONE) {
        begin(look, &chosen);
    } else if (addresses->status == DNS_FOUND) {
        doctor_made(look->doctor, DOCTOR_SERVER);
        find_none_allowed(look, addresses);
    } else if (addresses->status != DNS_CANCELLED) {
        doctor_made(look->doctor, DOCTOR_SERVER);
        char *message = memory_format("its name has no address: %s",
                                      addresses->reason != NULL ? addresses->reason : "none");
        find(look, DOCTOR_ERROR, upstream_line(look), message);
        free(message);
    }
    doctor_end(look->doctor);
}

static bool is_draining(const struct tenant *tenant, const struct upstream *upstream)
{
    const struct replica_set *set = tenant->replicas;
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (&set->items[i].upstream == upstream)
            return set->items[i].draining;
    return false;
}

void doctor_server(struct doctor *doctor, const struct tenant *tenant,
                   const struct upstream *upstream)
{
    struct server_look *look = doctor_keep(doctor, sizeof(*look));
    char *url = upstream_url(upstream);
    char *place = doctor_place(tenant);
    *look = (struct server_look){.doctor = doctor, .tenant = tenant, .upstream = upstream};
    look->url = doctor_format(doctor, "%s", url);
    look->place = doctor_format(doctor, "%s", place);
    look->is_draining = is_draining(tenant, upstream);
    free(url);
    free(place);
    if (upstream->address.family != IP_NONE) {
        begin(look, &upstream->address);
        return;
    }
    doctor_begin(doctor);
    dns_client_addresses(doctor->dns, upstream->host, DNS_ANY_FAMILY, on_addresses, look);
}
