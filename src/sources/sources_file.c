/* One file of the sources: what it holds is compared with what is in force. */
#include "sources_shared.h"

#include "core/memory.h"

#include <stdlib.h>

static void free_named(struct source *source)
{
    for (size_t i = 0; i < source->named_count; i++)
        free(source->named[i].path);
    free(source->named);
    source->named = NULL;
    source->named_count = 0;
}

struct source *source_new(const char *path)
{
    struct source *source = memory_new(sizeof(*source));
    source->path = memory_copy_text(slice_of(path));
    return source;
}

void source_free(struct source *source)
{
    if (source == NULL)
        return;
    free_named(source);
    tenant_names_fini(&source->names);
    tenant_names_fini(&source->shadowed);
    free(source->path);
    free(source);
}

bool source_has(const struct source *source, const struct tenant *tenant)
{
    return tenant->place.file != NULL && strcmp(tenant->place.file, source->path) == 0;
}

/* The tenant's own last good version stays in force, if it has one. */
static void keep_last_good(struct sources *sources, struct source *source, const char *name)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(name));
    if (existing != NULL && source_has(source, existing))
        source->kept++;
    else
        source->refused++;
}

static bool is_equal(const struct tenant *existing, uint64_t content_hash)
{
    return (existing->content_hash ^ sources_address_hash(existing)) == content_hash;
}

static void put_in_shadow(struct sources *sources, struct source *source, const char *name)
{
    tenant_names_add(&source->shadowed, name);
    sources->shadowed_count++;
}

void source_leave_shadows(struct sources *sources, struct source *source)
{
    sources->shadowed_count -= source->shadowed.count;
    tenant_names_fini(&source->shadowed);
}

void source_take_name(struct sources *sources, const struct tenant *existing,
                      const struct tenant *tenant, struct diagnostics *diagnostics)
{
    struct source *other = source_has(sources->inline_source, existing)
                               ? sources->inline_source
                               : sources_find_file(sources, existing->place.file);
    diagnostics_add_name_taken(diagnostics, tenant, existing);
    put_in_shadow(sources, other, existing->name);
    other->refused++;
    sources_drop_parked(sources, existing->name);
    route_registry_remove(sources->registry, slice_of(existing->name));
    sources->is_freed = true; /* the one that takes it may turn out to be none that can serve */
}

/* Takes one tenant of a file that was just read. */
static void take_tenant(struct sources *sources, struct source *source, struct tenant *tenant,
                        struct diagnostics *diagnostics)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(tenant->name));

    if (existing != NULL && !source_has(source, existing) &&
        owners_prefer_tenant(sources->owners, existing, tenant)) {
        source_take_name(sources, existing, tenant, diagnostics);
        existing = NULL;
    }
    if (existing != NULL && !source_has(source, existing)) {
        diagnostics_add_name_taken(diagnostics, existing, tenant);
        put_in_shadow(sources, source, tenant->name);
        source->refused++;
        tenant_free(tenant);
        return;
    }
    if (existing != NULL && is_equal(existing, tenant->content_hash)) {
        sources_drop_parked(sources, tenant->name);
        tenant_free(tenant);
        return;
    }
    const struct tenant *parked = parked_find(&sources->parked, tenant->name);
    if (parked != NULL && is_equal(parked, tenant->content_hash)) {
        tenant_free(tenant);
        return;
    }
    struct tenant_text *text = tenant_names_find(&source->names, tenant->name);
    if (sources_put(sources, tenant, diagnostics)) {
        sources_note_change(sources, text->name);
    } else {
        keep_last_good(sources, source, text->name);
        text->hash = 0;
        text->is_broken = true;
    }
}

void source_remove_name(struct sources *sources, struct source *source, const char *name)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(name));
    if (existing == NULL || !source_has(source, existing))
        return;
    route_registry_remove(sources->registry, slice_of(name));
    sources_drop_parked(sources, name);
    sources_note_change(sources, name);
    sources->is_freed = true;
}

/* What has changed since the file was read is read again when somebody looks. */
static void take_named(struct source *source, const struct tenant_file *file)
{
    free_named(source);
    if (file->named_count == 0)
        return;
    source->named = memory_new(file->named_count * sizeof(*source->named));
    for (size_t i = 0; i < file->named_count; i++) {
        struct named_file *named = &source->named[source->named_count++];
        named->path = memory_copy_text(slice_of(file->named[i]));
        named->stamp = file_stamp_read(named->path);
    }
}

void source_apply(struct sources *sources, struct source *source, struct tenant_file *file,
                  struct diagnostics *diagnostics)
{
    source->text_hash = file->text_hash;
    source->unreadable = file->unreadable;
    if (file->unreadable) {
        source->kept = 0;
        for (size_t i = 0; i < source->names.count; i++) {
            const struct tenant *tenant =
                route_registry_find(sources->registry, slice_of(source->names.items[i].name));
            source->kept += tenant != NULL && source_has(source, tenant);
        }
        return;
    }
    struct tenant_names before = source->names;
    source->names = tenant_names_of(file);
    source->knows_names = true;
    take_named(source, file);
    source->kept = 0;
    source->refused = 0;
    source_leave_shadows(sources, source);
    for (size_t i = 0; i < before.count; i++)
        if (tenant_names_find(&source->names, before.items[i].name) == NULL)
            source_remove_name(sources, source, before.items[i].name);
    tenant_names_fini(&before);
    for (size_t i = 0; i < file->tenant_count; i++) {
        struct tenant *tenant = file->tenants[i];
        file->tenants[i] = NULL;
        take_tenant(sources, source, tenant, diagnostics);
    }
    for (size_t i = 0; i < file->broken_count; i++)
        keep_last_good(sources, source, file->broken[i]);
}

struct asking {
    struct sources *sources;
    const struct source *source;
};

/* The file's own, in force or parked, from this very text. A tenant that moved to another line is
 * known too: the line that is told of it is an old one until it changes. */
static bool is_known(void *context, struct slice name, uint64_t text_hash)
{
    const struct asking *asking = context;
    const struct tenant *existing = route_registry_find(asking->sources->registry, name);
    if (existing == NULL || !source_has(asking->source, existing))
        return false;
    const struct tenant *parked = parked_find(&asking->sources->parked, existing->name);
    const struct tenant *latest = parked != NULL ? parked : existing;
    if (latest->labels != NULL ||
        (latest->identity != NULL && latest->identity->issuer_pem != NULL))
        return false; /* the file that it names may be another one by now */
    const struct tenant_text *text = tenant_names_find(&asking->source->names, existing->name);
    return text != NULL && text->hash == text_hash;
}

void source_load(struct sources *sources, struct source *source, struct diagnostics *diagnostics)
{
    struct asking asking = {sources, source};
    const struct known_tenants known = {is_known, &asking};
    struct tenant_file file = {0};
    int trouble_before = source->trouble;
    size_t told = diagnostics->count;
    /* Hashes are of texts that were read with the same configuration. */
    if (source->read_with != sources->configuration_number)
        for (size_t i = 0; i < source->names.count; i++)
            source->names.items[i].hash = 0;
    source->read_with = sources->configuration_number;
    diagnostics->trouble = 0;
    tenant_file_load_news(source->path, sources->configuration, &known, &file, diagnostics);
    source->trouble = diagnostics->trouble;
    if (sources_trouble_is_told(sources, trouble_before, source->trouble))
        diagnostics_cut(diagnostics, told);
    source_apply(sources, source, &file, diagnostics);
    tenant_file_fini(&file);
}

/* Whether a name that it has is nobody's, which was in another's shadow. */
static bool is_owed(const struct sources *sources, const struct source *source)
{
    for (size_t i = 0; source != NULL && i < source->shadowed.count; i++) {
        struct slice name = slice_of(source->shadowed.items[i].name);
        if (route_registry_find(sources->registry, name) == NULL)
            return true;
    }
    return false;
}

/* Of a file that was read again since, by which it is told again where it is still so: two may have
 * swapped their names. */
static bool is_outdated(void *context, const struct diagnostic *one)
{
    const struct sources *sources = context;
    if (one->code != CODE_TENANT_TWICE)
        return false;
    const struct source *source = sources_find_file(sources, one->place.file);
    return source != NULL && source->given_in == sources->turns;
}

/* Each file is read once at most: one that still does not bring the name leaves it to the next. */
void sources_give_freed(struct sources *sources, struct diagnostics *diagnostics)
{
    size_t told = diagnostics->count;
    sources->turns++;
    while (sources->is_freed && sources->shadowed_count > 0) {
        sources->is_freed = false;
        for (size_t i = 0; i < sources->file_count; i++) {
            struct source *source = sources->files[i];
            if (source->given_in == sources->turns || !is_owed(sources, source))
                continue;
            source->given_in = sources->turns;
            source_load(sources, source, diagnostics);
        }
        sources->wants_global |= is_owed(sources, sources->inline_source);
    }
    diagnostics_drop(diagnostics, told, is_outdated, sources);
    sources->is_freed = false;
}
