/* What of the sources is in force, for people. */
#include "sources_shared.h"

#include "core/memory.h"
#include "route/label_map.h"

#include <stdlib.h>

const char *sources_state_name(enum sources_state state)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT) [SOURCES_##NAME] = (TEXT),
        SOURCES_STATE_TABLE(X)
#undef X
    };
    return NAMES[state];
}

static struct sources_entry entry_of(const struct sources *sources, const struct source *source,
                                     const struct tenant_text *text)
{
    const struct tenant *tenant = route_registry_find(sources->registry, slice_of(text->name));
    struct sources_entry entry = {text->name, source->path, SOURCES_LIVE, tenant};
    if (tenant != NULL && !source_has(source, tenant)) {
        entry.state = text->is_broken ? SOURCES_BROKEN : SOURCES_SHADOWED;
        entry.tenant = NULL;
    } else if (tenant == NULL) {
        entry.state = SOURCES_BROKEN;
    } else if (text->is_broken || source->unreadable) {
        entry.state = SOURCES_KEPT;
    } else if (!route_registry_has_all(sources->registry, tenant)) {
        entry.state = SOURCES_CONTESTED;
    } else if (parked_has(&sources->parked, text->name)) {
        entry.state = SOURCES_PARKED;
    } else if (!sources_can_serve(tenant)) {
        entry.state = SOURCES_UNRESOLVED;
    }
    return entry;
}

static void visit_names(const struct sources *sources, const struct source *source,
                        sources_visit_fn *visit, void *context)
{
    for (size_t i = 0; source != NULL && i < source->names.count; i++) {
        struct sources_entry entry = entry_of(sources, source, &source->names.items[i]);
        visit(context, &entry);
    }
}

void sources_each(const struct sources *sources, sources_visit_fn *visit, void *context)
{
    visit_names(sources, sources->inline_source, visit, context);
    for (size_t i = 0; i < sources->file_count; i++)
        visit_names(sources, sources->files[i], visit, context);
}

bool sources_find(const struct sources *sources, const char *name, struct sources_entry *entry)
{
    bool found = false;
    for (size_t i = 0; i <= sources->file_count; i++) {
        const struct source *source = i > 0 ? sources->files[i - 1] : sources->inline_source;
        const struct tenant_text *text =
            source != NULL ? tenant_names_find(&source->names, name) : NULL;
        if (text == NULL)
            continue;
        struct sources_entry one = entry_of(sources, source, text);
        if (!found || one.tenant != NULL)
            *entry = one;
        found = true;
    }
    return found;
}

struct complaining {
    const struct sources *sources;
    const struct source *source;
};

/* Where only lines of its list are wrong, a tenant is in force all the same. */
static bool is_right(void *context, struct slice name, uint64_t text_hash)
{
    const struct complaining *complaining = context;
    const struct tenant *tenant = route_registry_find(complaining->sources->registry, name);
    if (tenant != NULL && tenant->labels != NULL && tenant->labels->has_wrong_lines)
        return false;
    char *key = memory_copy_text(name);
    const struct tenant_text *text = tenant_names_find(&complaining->source->names, key);
    free(key);
    return text != NULL && text->hash == text_hash;
}

void sources_complain(const struct sources *sources, const char *file,
                      struct diagnostics *diagnostics)
{
    struct source *source = sources_find_file(sources, file);
    struct tenant_file loaded = {0};
    if (source != NULL) {
        struct complaining complaining = {sources, source};
        const struct known_tenants known = {is_right, &complaining};
        tenant_file_load_news(file, sources->configuration, &known, &loaded, diagnostics);
    } else if (sources->inline_source != NULL && strcmp(sources->inline_source->path, file) == 0) {
        configuration_free(configuration_load(file, &loaded, diagnostics));
    }
    tenant_file_fini(&loaded);
}
