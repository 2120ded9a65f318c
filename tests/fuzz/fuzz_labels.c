/* A file of labels, each with an upstream of its own.
 *
 * The input is the file; its first half is the file as it was before. Whatever its lines are, those
 * that are good are found by the label that a request would have, lead nowhere that tenants may not
 * go, and what is wrong is told where it stands.
 */
#include "conf/configuration.h"
#include "core/memory.h"
#include "fuzz/fuzz.h"
#include "route/label_map.h"
#include "route/settings.h"
#include "route/tenant.h"
#include "support/fuzz_input.h"

#include <stdlib.h>

static struct configuration *usual_configuration(void)
{
    static struct configuration *usual;
    static struct input_file global;
    struct tenant_file tenants;
    struct diagnostics diagnostics = {0};
    if (usual != NULL)
        return usual;
    const char *path =
        input_file_write(&global, SLICE("{\"upstream_allow\": [\"10.0.0.0/8\", \"fd00::/8\"]}"));
    usual = configuration_load(path, &tenants, &diagnostics);
    FUZZ_REQUIRE(usual != NULL && diagnostics.errors == 0);
    tenant_file_fini(&tenants);
    diagnostics_fini(&diagnostics);
    return usual;
}

static void check_diagnostics(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        char *text = diagnostic_print(&diagnostics->items[i]);
        for (const char *c = text; *c != '\0'; c++)
            FUZZ_REQUIRE((uint8_t)*c >= ' ' || *c == '\n' || *c == '\t');
        free(text);
    }
}

/* A tenant of wildcard hosts with these lines. */
static void load(struct slice lines, struct tenant_file *file)
{
    static struct input_file labels, tenants;
    struct diagnostics diagnostics = {0};
    char *text = memory_format("{\"tenants\": {\"fleet\": {\"hosts\": [\"*.ai.test\"], "
                               "\"label\": \"[a-z0-9-]{1,20}\", \"upstream_map\": \"%s\"}}}",
                               input_file_write(&labels, lines));
    tenant_file_load(input_file_write(&tenants, slice_of(text)), usual_configuration(), file,
                     &diagnostics);
    check_diagnostics(&diagnostics);
    diagnostics_fini(&diagnostics);
    free(text);
}

static void check_row(const struct label_map *map, const struct label_row *row)
{
    char label[LABEL_MAX_BYTES + 1];
    struct slice text = slice_of(label_map_text(map, row->label));
    const char *host = label_map_text(map, row->host);
    FUZZ_REQUIRE(host_label_parse(text, label) && slice_equal(slice_of(label), text));
    FUZZ_REQUIRE(text.size <= 20 && label_map_find(map, text) == row);
    FUZZ_REQUIRE((row->port != 0) == (host[0] != '\0'));
    for (; *host != '\0'; host++)
        FUZZ_REQUIRE((uint8_t)*host > ' ' && *host < 0x7f && strchr("/\"\\%", *host) == NULL);
    if (row->address.family != IP_NONE)
        FUZZ_REQUIRE(settings_upstream_allowed(usual_configuration()->settings, &row->address));
}

static void check_map(const struct label_map *map)
{
    size_t wrong = 0;
    for (size_t i = 0; i < map->count; i++) {
        check_row(map, &map->rows[i]);
        wrong += map->rows[i].port == 0;
    }
    FUZZ_REQUIRE(map->wrong_count == wrong);
    FUZZ_REQUIRE(label_map_find(map, SLICE("not there")) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tenant_file before, now;
    struct slice lines = slice_from(data, size);
    load(slice_head(lines, size / 2), &before);
    load(lines, &now);
    for (size_t i = 0; i < now.tenant_count; i++) {
        struct label_map *map = now.tenants[i]->labels;
        FUZZ_REQUIRE(map != NULL);
        check_map(map);
        size_t wrong = map->wrong_count;
        if (before.tenant_count > 0)
            FUZZ_REQUIRE(label_map_keep(map, before.tenants[0]->labels) ==
                         wrong - map->wrong_count);
        check_map(map);
    }
    tenant_file_fini(&before);
    tenant_file_fini(&now);
    return 0;
}
