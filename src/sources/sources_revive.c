/* What was in force before the start, of files that are wrong now. */
#include "sources_shared.h"

/* Whether it could come into force: the name is nobody's and was no other file's, or was this one's
 * before another took it at the start. */
static bool is_missed(const struct sources *sources, const struct source *source,
                      const struct tenant_text *text)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(text->name));
    if (!text->is_broken || text->is_new)
        return false;
    if (existing == NULL)
        return !owners_another_has_tenant(sources->owners, source->path, text->name);
    return !source_has(source, existing) &&
           owners_has_tenant(sources->owners, source->path, text->name);
}

static bool is_wrong(const struct sources *sources, const struct source *source)
{
    if (source->unreadable && !source->knows_names)
        return true;
    for (size_t i = 0; i < source->names.count; i++)
        if (is_missed(sources, source, &source->names.items[i]))
            return true;
    return false;
}

bool sources_is_wrong(const struct sources *sources, const char *path)
{
    const struct source *source = sources_find_file(sources, path);
    return source != NULL && is_wrong(sources, source);
}

void sources_each_wrong_file(const struct sources *sources,
                             void (*visit)(void *context, const char *path), void *context)
{
    for (size_t i = 0; i < sources->file_count; i++)
        if (is_wrong(sources, sources->files[i]))
            visit(context, sources->files[i]->path);
}

void sources_each_unreadable(const struct sources *sources,
                             void (*visit)(void *context, const char *path), void *context)
{
    for (size_t i = 0; i < sources->file_count; i++)
        if (sources->files[i]->unreadable)
            visit(context, sources->files[i]->path);
}

/* Of a file that is no JSON now, the tenants are those that it last had when it was. */
static void adopt_names(struct source *source, struct tenant_file *file)
{
    source->names = tenant_names_of(file);
    source->knows_names = true;
    source->refused = source->names.count;
    for (size_t i = 0; i < source->names.count; i++) {
        source->names.items[i].is_broken = true;
        source->names.items[i].hash = 0;
    }
}

/* One that the file did not have had ended by then: what it was before that is not missed. */
static void end_left_out(struct source *source, struct tenant_file *file)
{
    struct tenant_names listed = tenant_names_of(file);
    for (size_t i = 0; i < source->names.count; i++)
        source->names.items[i].is_new |=
            tenant_names_find(&listed, source->names.items[i].name) == NULL;
    tenant_names_fini(&listed);
}

/* False where it was not right even then. */
static bool revive(struct sources *sources, struct tenant *tenant, struct diagnostics *taken)
{
    struct diagnostics diagnostics = {0};
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(tenant->name));
    if (existing != NULL)
        source_take_name(sources, existing, tenant, taken);
    bool is_put = sources_put(sources, tenant, &diagnostics);
    diagnostics_fini(&diagnostics);
    return is_put;
}

size_t sources_revive(struct sources *sources, const char *path, struct slice text,
                      struct diagnostics *taken)
{
    struct source *source = sources_find_file(sources, path);
    struct diagnostics diagnostics = {0}; /* what was wrong then is nobody's concern now */
    struct tenant_file file;
    size_t revived = 0;
    tenant_text_load_news(path, text, sources->configuration, NULL, &file, &diagnostics);
    if (!file.unreadable && !source->knows_names)
        adopt_names(source, &file);
    else if (!file.unreadable)
        end_left_out(source, &file);
    for (size_t i = 0; i < file.tenant_count; i++) {
        const struct tenant_text *known = tenant_names_find(&source->names, file.tenants[i]->name);
        if (known == NULL || !is_missed(sources, source, known))
            continue;
        struct tenant *tenant = file.tenants[i];
        file.tenants[i] = NULL;
        if (!revive(sources, tenant, taken))
            continue;
        revived++;
        source->kept++;
        source->refused -= source->refused > 0;
    }
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    return revived;
}
