/* From a configuration to what HAProxy is told.
 *
 * The input is read as a global file and as a tenants' file. Whatever of it is good must be fit for
 * use: tenants are found by their hosts and answered for within an ACK, whoever asks, and HAProxy's
 * files are text that a terminal shows as it is.
 */
#include "agent/answer.h"
#include "conf/configuration.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"
#include "support/spop_peer.h"

#include <stdio.h>
#include <stdlib.h>

static struct input_file input;

/* ---- Tenants ---- */

/* What HAProxy would do with the actions, except to keep them. */
static void check_actions(struct slice bytes)
{
    struct reader reader = reader_of(bytes);
    while (reader_left(&reader) > 0) {
        struct peer_action action;
        FUZZ_REQUIRE(peer_read_action(&reader, &action));
        FUZZ_REQUIRE(!action.is_unset && action.scope == SPOP_SCOPE_TRANSACTION);
    }
}

static void ask(const struct snapshot *snapshot, struct slice host, struct slice path,
                bool headers_in_one)
{
    static struct decision decision;
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct request request = {.host = host, .path = path, .headers_in_one = headers_in_one};
    struct writer actions = writer_of(buffer, sizeof(buffer));
    request.client.peer_tls = true;
    request.upgrade = SLICE("websocket");
    request.origin = path;
    request.method = SLICE("POST");
    request.credential_told = headers_in_one;
    FUZZ_REQUIRE(ip_parse(SLICE("2001:db8:1111:2222:3333:4444:5555:6666"), &request.client.peer));
    decide(snapshot, &request, &decision);
    FUZZ_REQUIRE(decision.outcome < OUTCOME__MAX);
    FUZZ_REQUIRE(answer_write(&request, &decision, &actions));
    check_actions(writer_written(&actions));
}

/* Every host of the tenant leads somewhere, and the answer fits into an ACK. */
static void ask_for(const struct snapshot *snapshot, const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->host_count; i++) {
        char host[HOST_MAX_BYTES + 8];
        bool wildcard = tenant->hosts[i].wildcard;
        snprintf(host, sizeof(host), "%s%s", wildcard ? "label." : "", tenant->hosts[i].name);
        ask(snapshot, slice_of(host), SLICE("/api/config"), false);
        ask(snapshot, slice_of(host), SLICE("//api/./config"), true);
    }
    for (size_t i = 0; i < tenant->path_count; i++) {
        struct slice host = slice_of(tenant->paths[i].host);
        ask(snapshot, host, slice_of(tenant->paths[i].prefix), false);
    }
}

static void use_tenants(const struct configuration *configuration, struct tenant_file *file)
{
    struct route_registry *registry = route_registry_new();
    for (size_t i = 0; i < file->tenant_count; i++) {
        if (answer_prepare(file->tenants[i], NULL) != ERROR_OK)
            continue;
        route_registry_put(registry, file->tenants[i], NULL, NULL);
        file->tenants[i] = NULL;
    }
    struct snapshot snapshot = {.generation = 1, .settings = configuration->settings};
    snapshot.table = route_registry_build(registry, 1);
    ask(&snapshot, SLICE("nobody.example.test"), SLICE("/"), false);

    /* The file no longer knows the tenants that it gave away: they are asked for by a walk. */
    struct tenant_file again;
    struct diagnostics diagnostics = {0};
    tenant_file_load(file->path, configuration, &again, &diagnostics);
    for (size_t i = 0; i < again.tenant_count; i++)
        ask_for(&snapshot, again.tenants[i]);
    FUZZ_REQUIRE(again.tenant_count == file->tenant_count);
    tenant_file_fini(&again);
    diagnostics_fini(&diagnostics);
    route_table_free(snapshot.table);
    route_registry_free(registry);
}

/* ---- HAProxy's files ---- */

static void require_printable(const char *text)
{
    for (; *text != '\0'; text++)
        FUZZ_REQUIRE(((uint8_t)*text >= 0x20 && *text != 0x7f) || *text == '\n' || *text == '\t');
}

static void write_haproxy(const struct hap_config *config, enum hap_version version)
{
    char *text = hap_config_write(config, version, SLICE(""), NULL);
    if (text == NULL)
        return;
    require_printable(text);
    free(text);
    text = hap_spoe_write(config, version);
    require_printable(text);
    free(text);
}

/* ---- The two files ---- */

static void read_global(const char *path)
{
    struct tenant_file tenants;
    struct diagnostics diagnostics = {0};
    struct configuration *configuration = configuration_load(path, &tenants, &diagnostics);
    if (configuration != NULL) {
        for (size_t i = 0; i < tenants.tenant_count; i++) {
            configuration_add_header_names(configuration, tenants.tenants[i]);
            configuration_add_arguments(configuration, tenants.tenants[i]);
        }
        write_haproxy(&configuration->haproxy, HAP_ANY);
        write_haproxy(&configuration->haproxy, HAP_3_4);
    }
    configuration_free(configuration);
    tenant_file_fini(&tenants);
    diagnostics_fini(&diagnostics);
}

static void read_tenants(const char *path, const struct configuration *configuration)
{
    struct tenant_file file;
    struct diagnostics diagnostics = {0};
    tenant_file_load(path, configuration, &file, &diagnostics);
    use_tenants(configuration, &file);
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
}

/* What a tenants' file is read against: default headers, so that a tenant can drop them. */
static struct configuration *usual_configuration(void)
{
    static const char TEXT[] = "{\"defaults\": {\"headers\": {\"X-Team\": \"{tenant}\"}}}";
    struct tenant_file tenants;
    struct diagnostics diagnostics = {0};
    const char *path = input_file_write(&input, slice_of(TEXT));
    struct configuration *configuration = configuration_load(path, &tenants, &diagnostics);
    FUZZ_REQUIRE(configuration != NULL);
    tenant_file_fini(&tenants);
    diagnostics_fini(&diagnostics);
    return configuration;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct configuration *usual;
    if (usual == NULL)
        usual = usual_configuration();
    const char *path = input_file_write(&input, slice_from(data, size));
    read_global(path);
    read_tenants(path, usual);
    return 0;
}
