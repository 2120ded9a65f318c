/* Files, tenants and what of them is in force: see sources.h. */
#include "sources_shared.h"

#include "core/memory.h"

#include <stdlib.h>

struct sources *sources_new(const struct sources_needs *needs)
{
    struct sources *sources = memory_new(sizeof(*sources));
    sources->needs = *needs;
    sources->registry = route_registry_new();
    return sources;
}

void sources_free(struct sources *sources)
{
    if (sources == NULL)
        return;
    for (size_t i = 0; i < sources->file_count; i++)
        source_free(sources->files[i]);
    free(sources->files);
    source_free(sources->inline_source);
    parked_free(&sources->parked);
    memory_free_texts(sources->changed, sources->changed_count);
    memory_free_texts(sources->contests, sources->contest_count);
    memory_free_texts(sources->wanted, sources->wanted_count);
    owners_free(sources->owners);
    route_registry_free(sources->registry);
    configuration_free(sources->configuration);
    free(sources);
}

void sources_started(struct sources *sources)
{
    route_registry_prefer(sources->registry, NULL, NULL);
    owners_free(sources->owners);
    sources->owners = NULL;
    sources->is_started = true;
}

const struct configuration *sources_configuration(const struct sources *sources)
{
    return sources->configuration;
}

struct route_registry *sources_registry(struct sources *sources)
{
    return sources->registry;
}

bool sources_want_global(const struct sources *sources)
{
    return sources->wants_global || (sources->is_again && sources->global_trouble != 0);
}

struct sources_counts sources_take_counts(struct sources *sources)
{
    struct sources_counts counts = sources->counts;
    counts.has_trouble = sources->folder_trouble != 0 || sources->global_trouble != 0;
    counts.files = sources->file_count;
    counts.parked = sources->parked.count;
    counts.kept = sources->inline_source != NULL ? sources->inline_source->kept : 0;
    counts.refused = sources->inline_source != NULL ? sources->inline_source->refused : 0;
    for (size_t i = 0; i < sources->file_count; i++) {
        counts.kept += sources->files[i]->kept;
        counts.refused += sources->files[i]->refused;
        counts.has_trouble |= sources->files[i]->trouble != 0;
    }
    sources->counts = (struct sources_counts){0};
    sources->is_again = false;
    return counts;
}

bool sources_trouble_is_told(const struct sources *sources, int before, int now)
{
    return sources->is_again && now != 0 && now == before;
}

void sources_note_change(struct sources *sources, const char *name)
{
    sources->counts.changed++;
    if (sources->changed_count == SOURCES_CHANGED_MAX)
        return;
    if (sources->changed == NULL)
        sources->changed = memory_new(SOURCES_CHANGED_MAX * sizeof(*sources->changed));
    sources->changed[sources->changed_count++] = memory_copy_text(slice_of(name));
}

size_t sources_take_changed(struct sources *sources, char ***names)
{
    size_t count = sources->changed_count;
    *names = sources->changed;
    sources->changed = NULL;
    sources->changed_count = 0;
    return count;
}
