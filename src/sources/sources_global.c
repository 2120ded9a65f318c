/* The global file of the sources: the configuration, and what it allows of what is in force. */
#include "sources_shared.h"

#include "core/memory.h"

/* What has become of a tenant's addresses under a list that has been narrowed. */
enum addresses { ADDRESSES_ALLOWED, ADDRESSES_FORBIDDEN, ADDRESSES_NAMED };

/* One with a name may get another address of it yet. */
static enum addresses judge_addresses(const struct tenant *tenant, const struct settings *settings)
{
    enum addresses verdict = ADDRESSES_ALLOWED;
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        const struct upstream *upstream = tenant_upstream_peek(tenant, i);
        if (upstream->address.family == IP_NONE ||
            settings_upstream_allowed(settings, &upstream->address))
            continue;
        if (!upstream_has_name(upstream))
            return ADDRESSES_FORBIDDEN;
        verdict = ADDRESSES_NAMED;
    }
    return verdict;
}

static void drop_addresses(struct sources *sources, const struct tenant *tenant)
{
    const struct settings *settings = sources->configuration->settings;
    struct tenant *moved = tenant_clone(tenant);
    moved->content_hash ^= sources_address_hash(moved);
    for (size_t i = 0; i < tenant_upstream_count(moved); i++) {
        struct upstream *upstream = tenant_upstream_at(moved, i);
        if (!settings_upstream_allowed(settings, &upstream->address))
            upstream->address = (struct ip){0};
    }
    moved->content_hash ^= sources_address_hash(moved);
    sources_put_moved(sources, moved);
}

/* A tenant that is wrong now keeps its last good version, but not past a list of addresses that has
 * been narrowed. */
static void drop_forbidden(struct sources *sources, struct source *source)
{
    const struct settings *settings = sources->configuration->settings;
    for (size_t i = 0; i < source->names.count; i++) {
        struct slice name = slice_of(source->names.items[i].name);
        const struct tenant *tenant = route_registry_find(sources->registry, name);
        if (tenant == NULL || !source_has(source, tenant))
            continue;
        enum addresses verdict = judge_addresses(tenant, settings);
        if (verdict == ADDRESSES_ALLOWED)
            continue;
        sources_note_change(sources, tenant->name);
        if (verdict == ADDRESSES_NAMED) {
            drop_addresses(sources, tenant);
            continue;
        }
        route_registry_remove(sources->registry, name);
        sources->is_freed = true;
        source->kept -= source->kept > 0;
        source->refused++;
    }
}

static void keep_wanted(struct sources *sources, struct tenant_file *file)
{
    memory_free_texts(sources->wanted, sources->wanted_count);
    sources->wanted = file->named;
    sources->wanted_count = file->named_count;
    file->named = NULL;
    file->named_count = 0;
}

bool sources_read_global(struct sources *sources, const char *path, struct configuration **replaced,
                         struct diagnostics *diagnostics)
{
    struct tenant_file inline_tenants = {0};
    int trouble_before = sources->global_trouble;
    size_t told = diagnostics->count;
    diagnostics->trouble = 0;
    struct configuration *fresh = configuration_load(path, &inline_tenants, diagnostics);
    sources->global_trouble = diagnostics->trouble;
    if (sources_trouble_is_told(sources, trouble_before, sources->global_trouble))
        diagnostics_cut(diagnostics, told);
    *replaced = NULL;
    if (fresh == NULL) {
        keep_wanted(sources, &inline_tenants);
        if (sources->inline_source != NULL)
            sources->inline_source->text_hash = inline_tenants.text_hash;
        tenant_file_fini(&inline_tenants);
        return false;
    }
    keep_wanted(sources, &(struct tenant_file){0});
    struct configuration *before = sources->configuration;
    bool means_else = before == NULL || before->content_hash != fresh->content_hash;
    sources->wants_global = false;
    if (means_else) {
        sources->configuration = fresh;
        sources->arguments |= fresh->haproxy.arguments;
        sources->configuration_number++;
        sources->needs.on_configuration(sources->needs.context, fresh);
        *replaced = before;
    }
    if (before == NULL) {
        sources->owners = owners_load(fresh->acme.state_dir);
        route_registry_prefer(sources->registry, owners_prefer, sources->owners);
    }
    if (sources->inline_source == NULL)
        sources->inline_source = source_new(path);
    source_apply(sources, sources->inline_source, &inline_tenants, diagnostics);
    tenant_file_fini(&inline_tenants);
    if (!means_else) {
        configuration_free(fresh);
        return true;
    }
    sources_read_all(sources, diagnostics);
    drop_forbidden(sources, sources->inline_source);
    for (size_t i = 0; i < sources->file_count; i++)
        drop_forbidden(sources, sources->files[i]);
    return true;
}
