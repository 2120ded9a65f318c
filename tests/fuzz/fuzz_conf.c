/* The configuration: whatever a file holds, reading it ends, tells each error with its place, and
 * keeps out of HAProxy's configuration everything that could mean something there. */
#include "conf/whole.h"
#include "fuzz/fuzz.h"
#include "route/replica.h"
#include "support/fuzz_input.h"
#include "json/json.h"

#include <stdlib.h>

/* ---- What is good must stay good ---- */

/* A blank or quote would end a word of haproxy.cfg, a line break a line. */
static void check_word(const char *text)
{
    if (text == NULL)
        return;
    for (const char *c = text; *c != '\0'; c++)
        FUZZ_REQUIRE(*c > ' ' && *c < 0x7f && strchr("\"'\\#$", *c) == NULL);
    FUZZ_REQUIRE(text[0] != '\0');
}

static void check_words(char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_word(texts[i]);
}

static void check_haproxy(const struct hap_config *haproxy)
{
    FUZZ_REQUIRE(haproxy->http_count > 0 && haproxy->agent_count > 0);
    check_words(haproxy->http, haproxy->http_count);
    check_words(haproxy->https, haproxy->https_count);
    check_words(haproxy->runtime, haproxy->runtime_count);
    check_words(haproxy->agents, haproxy->agent_count);
    check_words(haproxy->proxy_protocol_from, haproxy->proxy_protocol_from_count);
    check_words(haproxy->strip_headers, haproxy->strip_header_count);
    check_word(haproxy->crt_dir);
    check_word(haproxy->user);
    check_word(haproxy->group);
    check_word(haproxy->chroot);
    check_word(haproxy->challenge_listen);
    check_word(haproxy->upstream_ca_file);
    check_word(haproxy->tenant_header);
    check_word(haproxy->spoe_path);
    for (size_t i = 0; i < haproxy->backend_count; i++) {
        check_word(haproxy->backends[i].name);
        check_word(haproxy->backends[i].check_path);
        check_words(haproxy->backends[i].servers, haproxy->backends[i].server_count);
    }
    for (size_t i = 0; i < haproxy->header_count; i++) {
        check_word(haproxy->headers[i].name);
        check_word(haproxy->headers[i].variable);
    }
}

static void check_upstream(const struct whole *whole, const struct upstream *upstream)
{
    FUZZ_REQUIRE(upstream->port > 0);
    FUZZ_REQUIRE((upstream->host != NULL) == !upstream->per_label);
    check_word(upstream->host);
    check_word(upstream->server_name);
    FUZZ_REQUIRE(upstream->scheme != UPSTREAM_HTTPS || upstream->per_label ||
                 upstream->server_name != NULL);
    if (whole->configuration != NULL && upstream->address.family != IP_NONE)
        FUZZ_REQUIRE(settings_upstream_allowed(whole->configuration->settings, &upstream->address));
}

static void check_tenant(void *context, const struct tenant *tenant)
{
    const struct whole *whole = context;
    FUZZ_REQUIRE(tenant_name_valid(slice_of(tenant->name)));
    FUZZ_REQUIRE(tenant->host_count + tenant->path_count > 0);
    FUZZ_REQUIRE(tenant->place.line > 0);
    if (tenant->replicas != NULL)
        for (size_t i = 0; i < tenant->replicas->count; i++)
            check_upstream(whole, &tenant->replicas->items[i].upstream);
    else if (tenant->backend == NULL)
        check_upstream(whole, &tenant->upstream);
    for (size_t i = 0; i < tenant->host_count; i++) {
        struct route_match match;
        if (tenant->hosts[i].wildcard)
            continue;
        route_table_find(whole->table, slice_of(tenant->hosts[i].name), SLICE("/"), &match);
        FUZZ_REQUIRE(match.tenant != NULL);
    }
}

static void check_diagnostics(const struct diagnostics *diagnostics)
{
    size_t errors = 0;
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *item = &diagnostics->items[i];
        FUZZ_REQUIRE(code_meaning(item->code) != NULL);
        FUZZ_REQUIRE(item->message != NULL && item->message[0] != '\0');
        FUZZ_REQUIRE(item->place.file != NULL);
        FUZZ_REQUIRE(item->source == NULL || item->place.column >= item->source_column);
        errors += item->severity == SEVERITY_ERROR;
        char *text = diagnostic_print(item);
        for (const char *c = text; *c != '\0'; c++)
            FUZZ_REQUIRE((uint8_t)*c >= ' ' || *c == '\n' || *c == '\t');
        free(text);
        struct json *json = diagnostic_json(item);
        json_free(json);
    }
    FUZZ_REQUIRE(errors == diagnostics->errors);
}

/* ---- One file ---- */

static uint64_t load(const char *path)
{
    struct whole whole;
    struct diagnostics diagnostics = {0};
    uint64_t hash = 0;
    bool good = whole_load(path, NULL, &whole, &diagnostics);
    FUZZ_REQUIRE(good == (diagnostics.errors == 0));
    FUZZ_REQUIRE(!good || whole.configuration != NULL);
    FUZZ_REQUIRE(!good || whole.broken_count == 0);
    check_diagnostics(&diagnostics);
    if (whole.configuration != NULL) {
        check_haproxy(&whole.configuration->haproxy);
        hash = whole.configuration->content_hash ^ route_table_content_hash(whole.table);
    }
    if (whole.table != NULL)
        route_table_each_tenant(whole.table, check_tenant, &whole);
    whole_fini(&whole);
    diagnostics_fini(&diagnostics);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct input_file file;
    const char *path = input_file_write(&file, slice_from(data, size));
    uint64_t hash = load(path);
    FUZZ_REQUIRE(hash == load(path));
    return 0;
}
