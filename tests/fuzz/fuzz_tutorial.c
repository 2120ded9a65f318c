/* A haproxy.cfg that somebody has: whatever stands in it, what is carried over is whole. Tenants
 * have a server, and a host or a path, each from one line; notes are in order. And where it is one
 * of ours, the admin's own lines outlive that it is written anew. */
#include "fuzz/fuzz.h"
#include "hap/config.h"
#include "hap/tutorial.h"

#include <stdlib.h>

static void check_own_lines(struct slice text)
{
    static char bind[] = "*:80", agent[] = "unix:@owui", *binds[] = {bind}, *agents[] = {agent};
    const struct hap_config config = {
        .http = binds, .http_count = 1, .agents = agents, .agent_count = 1};
    if (!hap_config_is_ours(text) || memchr(text.data, '\0', text.size) != NULL)
        return;
    char *once = hap_config_write(&config, HAP_ANY, text, NULL);
    char *twice = hap_config_write(&config, HAP_ANY, slice_of(once), NULL);
    FUZZ_REQUIRE(once != NULL && twice != NULL && strcmp(once, twice) == 0);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tutorial tutorial;
    struct slice text = slice_from(data, size);
    tutorial_read(text, &tutorial);
    for (size_t i = 0; i < tutorial.tenant_count; i++) {
        const struct tutorial_tenant *tenant = &tutorial.tenants[i];
        FUZZ_REQUIRE(tenant->backend != NULL && tenant->server != NULL);
        FUZZ_REQUIRE(tenant->host_count + tenant->path_count > 0);
        for (size_t j = 0; j < tenant->path_count; j++)
            FUZZ_REQUIRE(tenant->paths[j].prefix != NULL);
        for (size_t j = 0; j < tenant->host_count; j++)
            FUZZ_REQUIRE(memchr(tenant->hosts[j], '\n', strlen(tenant->hosts[j])) == NULL);
        FUZZ_REQUIRE(strchr(tenant->server, '\n') == NULL);
    }
    for (size_t i = 0; i < tutorial.note_count; i++) {
        FUZZ_REQUIRE(tutorial.notes[i].text[0] != '\0');
        FUZZ_REQUIRE(i == 0 || tutorial.notes[i - 1].line <= tutorial.notes[i].line);
    }
    tutorial_fini(&tutorial);
    char *doors = tutorial_doors(text);
    FUZZ_REQUIRE(doors == NULL || doors[0] != '\0');
    free(doors);
    check_own_lines(text);
    return 0;
}
