/* What was in force before the start, or under an earlier global file, of files that are wrong now.
 */
#include "sources_shared.h"

/* Whether it could come into force at a start: the name is nobody's and was no other file's, or was
 * this one's before another took it. Later, what is not in force was not right before. */
static bool is_missed(const struct sources *sources, const struct source *source,
                      const struct tenant_text *text)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(text->name));
    if (sources->is_started || !text->is_broken || text->is_new)
        return false;
    if (existing == NULL)
        return !owners_another_has_tenant(sources->owners, source->path, text->name);
    return !source_has(source, existing) &&
           owners_has_tenant(sources->owners, source->path, text->name);
}

/* What was right last of one that the file has in force; it may wait for its address. */
static const struct tenant *find_kept(const struct sources *sources, const struct source *source,
                                      const char *name)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(name));
    if (existing == NULL || !source_has(source, existing))
        return NULL;
    const struct tenant *parked = parked_find(&sources->parked, name);
    return parked != NULL ? parked : existing;
}

/* Whether it is kept as it was read when the global file let it inherit something else. */
static bool is_behind(const struct sources *sources, const struct source *source,
                      const struct tenant_text *text)
{
    if (!text->is_broken && !source->unreadable)
        return false;
    const struct tenant *kept = find_kept(sources, source, text->name);
    return kept != NULL && kept->inherited_hash != sources->configuration->inherited_hash;
}

static bool is_wrong(const struct sources *sources, const struct source *source)
{
    if (source->unreadable && !source->knows_names && !sources->is_started)
        return true;
    for (size_t i = 0; i < source->names.count; i++)
        if (is_missed(sources, source, &source->names.items[i]) ||
            is_behind(sources, source, &source->names.items[i]))
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
static void end_left_out(const struct sources *sources, struct source *source,
                         struct tenant_file *file)
{
    struct tenant_names listed = tenant_names_of(file);
    for (size_t i = 0; i < source->names.count; i++) {
        struct tenant_text *text = &source->names.items[i];
        text->is_new |=
            is_missed(sources, source, text) && tenant_names_find(&listed, text->name) == NULL;
    }
    tenant_names_fini(&listed);
}

/* False where it was not right even then. */
static bool put(struct sources *sources, const struct source *source, struct tenant *tenant,
                struct diagnostics *taken)
{
    struct diagnostics diagnostics = {0};
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(tenant->name));
    if (existing != NULL && !source_has(source, existing))
        source_take_name(sources, existing, tenant, taken);
    bool is_put = sources_put(sources, tenant, &diagnostics);
    diagnostics_fini(&diagnostics);
    return is_put;
}

/* Takes the tenant when it is looked for: of what is kept, no other version is. */
static bool revive(struct sources *sources, struct source *source, struct tenant **place,
                   struct diagnostics *taken)
{
    struct tenant *tenant = *place;
    const struct tenant_text *known = tenant_names_find(&source->names, tenant->name);
    bool missed = known != NULL && is_missed(sources, source, known);
    bool behind = known != NULL && is_behind(sources, source, known) &&
                  find_kept(sources, source, tenant->name)->own_hash == tenant->own_hash;
    if (!missed && !behind)
        return false;
    *place = NULL;
    if (!put(sources, source, tenant, taken))
        return false;
    source->kept += missed;
    source->refused -= missed && source->refused > 0;
    return true;
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
        end_left_out(sources, source, &file);
    for (size_t i = 0; i < file.tenant_count; i++)
        revived += revive(sources, source, &file.tenants[i], taken);
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    return revived;
}
