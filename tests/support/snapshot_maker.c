/* See snapshot_maker.h. */
#include "support/snapshot_maker.h"

#include "agent/answer.h"
#include "conf/configuration.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"

void snapshot_make(struct slice global_file, struct snapshot *snapshot)
{
    static struct input_file input;
    struct tenant_file file;
    struct diagnostics diagnostics = {0};
    static struct configuration *configuration;
    static struct route_registry *registry;
    configuration = configuration_load(input_file_write(&input, global_file), &file, &diagnostics);
    registry = route_registry_new();
    FUZZ_REQUIRE(configuration != NULL && diagnostics.errors == 0);
    for (size_t i = 0; i < file.tenant_count; i++) {
        FUZZ_REQUIRE(answer_prepare(file.tenants[i], NULL) == ERROR_OK);
        route_registry_put(registry, file.tenants[i], NULL, NULL);
        file.tenants[i] = NULL;
    }
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    snapshot->generation = 1;
    snapshot->settings = configuration->settings;
    snapshot->table = route_registry_build(registry, 1);
}
