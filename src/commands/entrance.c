/* Whether HAProxy lets anybody in: see entrance.h. */
#include "entrance.h"

#include "core/memory.h"
#include "sidecar/loopback.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* The client's port tells HAProxy which of two agents to ask: one is missed once in 2^31. */
    TRIES_OF_AGENT = 16,
    TRIES_MAX = 256,
    AGENTS_MIN = 2, /* haproxy.cfg may name more than the configuration */
    STATUS_TOO_MANY = 429,
};

struct attempt {
    struct entrance *entrance;
    struct http_exchange *exchange;
};

struct entrance {
    struct main_loop *loop;
    struct http_client *client;
    char *host; /* NULL: the tenant has none */
    char *door; /* where HAProxy is asked; NULL: nowhere */
    struct http_probe probe;
    struct attempt *attempts;
    size_t count;
    size_t under_way;
    struct entrance_told *told;
};

/* Its first whole name; else one below its wildcard. For free(); NULL: it has none. */
static char *host_to_ask(const struct json *hosts)
{
    struct slice host, wildcard = {0};
    for (size_t i = 0; i < json_count(hosts); i++) {
        if (!json_read_text(json_at(hosts, i), &host))
            continue;
        if (!slice_starts_with(host, SLICE("*.")))
            return memory_copy_text(host);
        wildcard = wildcard.size == 0 ? host : wildcard;
    }
    return wildcard.size > 0
               ? memory_format("owui-spoa-upgrade%.*s", (int)wildcard.size - 1, wildcard.data + 1)
               : NULL;
}

/* The first that can be reached from here. For free(); NULL: none can. */
static char *find_door(char *const *binds, size_t count)
{
    char *address = NULL;
    for (size_t i = 0; i < count && address == NULL; i++)
        address = loopback_of_bind(slice_of(binds[i]));
    return address;
}

/* /health is asked for, which is not redirected to HTTPS: no certificate has to be there yet. */
static void set_probe(struct entrance *entrance, const struct hap_config *haproxy)
{
    struct http_probe *probe = &entrance->probe;
    entrance->door = find_door(haproxy->http, haproxy->http_count);
    probe->tls = entrance->door == NULL;
    if (probe->tls)
        entrance->door = find_door(haproxy->https, haproxy->https_count);
    probe->host = entrance->host;
    probe->connect_to = entrance->door;
    probe->path = "/health";
    if (entrance->door != NULL)
        probe->proxy_line = loopback_needs_proxy_line(
            entrance->door, (const char *const *)haproxy->proxy_protocol_from,
            haproxy->proxy_protocol_from_count);
}

struct entrance *entrance_new(struct main_loop *loop, struct http_client *client,
                              const struct configuration *configuration, const struct json *tenant)
{
    const struct hap_config *haproxy = &configuration->haproxy;
    size_t agents = haproxy->agent_count > AGENTS_MIN ? haproxy->agent_count : AGENTS_MIN;
    struct entrance *entrance = memory_new(sizeof(*entrance));
    entrance->loop = loop;
    entrance->client = client;
    entrance->host = host_to_ask(json_get(tenant, "hosts"));
    set_probe(entrance, haproxy);
    if (entrance->door != NULL && entrance->host != NULL)
        entrance->count = size_min(agents * TRIES_OF_AGENT, TRIES_MAX);
    entrance->attempts = memory_new((entrance->count + 1) * sizeof(*entrance->attempts));
    return entrance;
}

void entrance_free(struct entrance *entrance)
{
    if (entrance == NULL)
        return;
    for (size_t i = 0; i < entrance->count; i++)
        http_exchange_cancel(entrance->attempts[i].exchange);
    free(entrance->attempts);
    free(entrance->door);
    free(entrance->host);
    free(entrance);
}

static bool is_one_of(struct slice word, const char *const *words)
{
    while (*words != NULL && !slice_equal(word, slice_of(*words)))
        words++;
    return *words != NULL;
}

/* What no agent has answered, or a limit of HAProxy's has cut short, tells nothing of the tenant.
 */
static void count_answer(struct entrance_told *told, const struct http_probe_answer *answer)
{
    static const char *const SHUT[] = {"maintenance", "suspended", NULL};
    static const char *const UNASKED[] = {"no-agent", "loop", NULL};
    if (answer->result != HTTP_PROBE_ANSWERED || answer->status == STATUS_TOO_MANY ||
        is_one_of(answer->refused, UNASKED))
        return;
    if (is_one_of(answer->refused, SHUT)) {
        told->shut++;
        return;
    }
    bool is_refused = answer->refused.size > 0;
    told->let_in += !is_refused;
    told->others += is_refused;
    snprintf(told->what, sizeof(told->what), "%d%s%.*s%s", answer->status, is_refused ? " (" : "",
             SLICE_PRINT(answer->refused), is_refused ? ")" : "");
}

static void end(struct entrance *entrance)
{
    if (--entrance->under_way == 0)
        main_loop_stop(entrance->loop);
}

static void on_answer(void *context, const struct http_probe_answer *answer)
{
    struct attempt *attempt = context;
    attempt->exchange = NULL;
    count_answer(attempt->entrance->told, answer);
    end(attempt->entrance);
}

bool entrance_ask(struct entrance *entrance, struct entrance_told *told)
{
    *told = (struct entrance_told){0};
    entrance->told = told;
    entrance->under_way = entrance->count + 1; /* so that nothing ends before all has begun */
    for (size_t i = 0; i < entrance->count; i++) {
        struct attempt *attempt = &entrance->attempts[i];
        attempt->entrance = entrance;
        attempt->exchange =
            http_client_probe(entrance->client, &entrance->probe, on_answer, attempt);
        entrance->under_way -= attempt->exchange == NULL;
    }
    if (--entrance->under_way > 0)
        main_loop_run(entrance->loop);
    bool all = entrance->under_way == 0;
    for (size_t i = 0; i < entrance->count; i++) {
        http_exchange_cancel(entrance->attempts[i].exchange);
        entrance->attempts[i].exchange = NULL;
    }
    return all;
}
