/* Keys that wait for a restart: see restart_keys.h.
 *
 * What a key said at the start is kept as a hash of its text: the configuration of the start is
 * gone when a third one is in force, and who changes a key back has nothing to wait for. */
#include "serving/restart_keys.h"

#include "core/hash.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* -- What each key says ------------------------------------------------------------------------ */

/* With its length, so that no two lists of texts are one text. */
static void put(FILE *out, const char *text)
{
    if (text == NULL)
        fputs("-", out);
    else
        fprintf(out, "%zu:%s", strlen(text), text);
}

static void put_number(FILE *out, unsigned number)
{
    fprintf(out, "%u,", number);
}

static void put_list(FILE *out, char *const *texts, size_t count)
{
    fprintf(out, "%zu[", count);
    for (size_t i = 0; i < count; i++)
        put(out, texts[i]);
}

static void put_listen(FILE *out, const struct configuration *configuration)
{
    put_list(out, configuration->listen, configuration->listen_count);
}

static void put_listen_group(FILE *out, const struct configuration *configuration)
{
    put(out, configuration->listen_group);
}

static void put_listen_mode(FILE *out, const struct configuration *configuration)
{
    put_number(out, configuration->listen_mode);
}

static void put_admin_socket(FILE *out, const struct configuration *configuration)
{
    put(out, configuration->admin_socket);
}

static void put_loops(FILE *out, const struct configuration *configuration)
{
    put_number(out, configuration->loops);
}

static void put_trace(FILE *out, const struct configuration *configuration)
{
    put_number(out, configuration->trace_entries);
    put(out, configuration->trace_file);
}

static void put_pages_listen(FILE *out, const struct configuration *configuration)
{
    put(out, configuration->haproxy.pages_listen);
}

static void put_admin_http(FILE *out, const struct configuration *configuration)
{
    const struct admin_http_settings *settings = &configuration->admin_http;
    put(out, settings->listen);
    put(out, settings->tokens_file);
    put_list(out, settings->hosts, settings->host_count);
    put_number(out, settings->requests_per_minute);
}

static void put_metrics(FILE *out, const struct configuration *configuration)
{
    put(out, configuration->metrics.listen);
    put_number(out, configuration->metrics.tenants);
}

static void put_cas(FILE *out, const struct acme_settings *acme)
{
    put(out, acme->staging);
    put(out, acme->ca_file);
    put_list(out, acme->contacts, acme->contact_count);
    put(out, acme->profile);
    put(out, acme->preferred_chain);
    put(out, acme->external_kid);
    put(out, acme->external_secret_file);
    put(out, acme->second_directory);
    put(out, acme->second_ca_file);
    put(out, acme->second_external_kid);
    put(out, acme->second_external_secret_file);
    put_number(out, acme->second_after);
    put_number(out, acme->limits);
}

/* All that certificates are looked after with; without a directory, none are, but there is a
 * history of changes. */
static void put_acme(FILE *out, const struct configuration *configuration)
{
    const struct acme_settings *acme = &configuration->acme;
    const struct hap_config *haproxy = &configuration->haproxy;
    put(out, acme->directory);
    put(out, acme->state_dir);
    if (acme->directory == NULL)
        return;
    put_cas(out, acme);
    put(out, acme->webroot);
    put(out, acme->certbot_live);
    put(out, acme->owner);
    put(out, acme->group);
    put_number(out, acme->keys);
    put_number(out, acme->orders_at_once);
    put_number(out, acme->no_haproxy_preflight);
    put_number(out, acme->no_dns_preflight);
    put_number(out, haproxy->placeholder);
    put(out, haproxy->challenge_listen);
}

static void put_nameservers(FILE *out, const struct configuration *configuration)
{
    put_list(out, configuration->nameservers, configuration->nameserver_count);
}

static void put_crt_dir(FILE *out, const struct configuration *configuration)
{
    put(out, configuration->haproxy.crt_dir);
}

static void put_runtime(FILE *out, const struct configuration *configuration)
{
    put_list(out, configuration->haproxy.runtime, configuration->haproxy.runtime_count);
}

static void put_http(FILE *out, const struct configuration *configuration)
{
    put_list(out, configuration->haproxy.http, configuration->haproxy.http_count);
}

static void put_https(FILE *out, const struct configuration *configuration)
{
    put_list(out, configuration->haproxy.https, configuration->haproxy.https_count);
}

/* Of who connects from this machine, which may be in one of these networks. */
static void put_proxy_protocol(FILE *out, const struct configuration *configuration)
{
    put_list(out, configuration->haproxy.proxy_protocol_from,
             configuration->haproxy.proxy_protocol_from_count);
}

static const struct key {
    const char *name;
    void (*put)(FILE *out, const struct configuration *configuration); /* NULL: is marked */
    bool of_certificates; /* what else uses it takes up changes */
} KEYS[] = {
    {"listen", put_listen, false},
    {"listen_group", put_listen_group, false},
    {"listen_mode", put_listen_mode, false},
    {"admin_socket", put_admin_socket, false},
    {"loops", put_loops, false},
    {"trace", put_trace, false},
    {"pages_listen", put_pages_listen, false},
    {"admin_http", put_admin_http, false},
    {"metrics", put_metrics, false},
    {"acme", put_acme, false},
    {"resolver.nameservers", put_nameservers, true},
    {"haproxy.crt_dir", put_crt_dir, true},
    {"haproxy.runtime", put_runtime, true},
    {"haproxy.http", put_http, true},
    {"haproxy.https", put_https, true},
    {"haproxy.proxy_protocol", put_proxy_protocol, true},
    {"haproxy.fallback_map", NULL, false},
    {"haproxy.decision_map", NULL, false},
};

static uint64_t hash_key(const struct key *key, const struct configuration *configuration)
{
    struct text_stream stream;
    text_stream_open(&stream);
    key->put(stream.out, configuration);
    char *text = text_stream_close(&stream);
    uint64_t hash = hash_content(slice_from(text, stream.size), 0);
    free(text);
    return hash;
}

/* -- Which have changed ------------------------------------------------------------------------ */

struct restart_keys {
    uint64_t at_start[COUNT_OF(KEYS)];
    uint64_t last[COUNT_OF(KEYS)];
    bool is_waiting[COUNT_OF(KEYS)];
    bool had_certificates;
};

struct restart_keys *restart_keys_new(const struct configuration *at_start)
{
    struct restart_keys *keys = memory_new(sizeof(*keys));
    keys->had_certificates = at_start->acme.directory != NULL;
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        if (KEYS[i].put != NULL)
            keys->last[i] = keys->at_start[i] = hash_key(&KEYS[i], at_start);
    return keys;
}

void restart_keys_free(struct restart_keys *keys)
{
    free(keys);
}

static void set(struct restart_keys *keys, size_t i, bool is_waiting)
{
    keys->is_waiting[i] = is_waiting;
    if (is_waiting)
        log_event(LOG_WARNING, "restart_needed", LOG_TEXT("key", KEYS[i].name),
                  LOG_TEXT("until_then", "the value at start stays in force"));
}

static bool is_used(const struct restart_keys *keys, size_t i, const struct configuration *now)
{
    return !KEYS[i].of_certificates || (keys->had_certificates && now->acme.directory != NULL);
}

void restart_keys_look(struct restart_keys *keys, const struct configuration *now)
{
    for (size_t i = 0; i < COUNT_OF(KEYS); i++) {
        uint64_t hash = KEYS[i].put == NULL     ? keys->last[i]
                        : is_used(keys, i, now) ? hash_key(&KEYS[i], now)
                                                : keys->at_start[i];
        if (hash == keys->last[i])
            continue;
        keys->last[i] = hash;
        set(keys, i, hash != keys->at_start[i]);
    }
}

void restart_keys_mark(struct restart_keys *keys, const char *name, bool is_waiting)
{
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        if (strcmp(KEYS[i].name, name) == 0 && keys->is_waiting[i] != is_waiting)
            set(keys, i, is_waiting); /* told once */
}

const char *restart_keys_waiting(const struct restart_keys *keys, size_t index)
{
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        if (keys->is_waiting[i] && index-- == 0)
            return KEYS[i].name;
    return NULL;
}
