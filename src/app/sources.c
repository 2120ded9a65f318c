/* Files, tenants and what of them is in force: see sources.h. */
#include "sources.h"

#include "agent/answer.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/memory.h"
#include "route/label_map.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What tells that a file is another one than last time, without reading it. */
struct signature {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    struct timespec changed;
};

/* A set of tenants' names, sorted, each with the hash of its text. */
struct names {
    struct tenant_text *items;
    size_t count;
};

/* Another file that tenants of a source are read from. */
struct named_file {
    char *path;
    struct signature signature; /* zeroed: it was not there */
};

struct source {
    char *path;
    struct signature signature;
    struct named_file *named;
    size_t named_count;
    struct names names;    /* every tenant that the file holds or held, right or wrong */
    struct names shadowed; /* of these, the ones that another file has */
    size_t kept;
    size_t refused;
    bool unreadable;          /* as a whole, when it was last read */
    bool seen;                /* by the scan that is under way */
    int64_t missing_since_ms; /* 0: it was there when it was last looked for */
    unsigned read_with;       /* configuration_number at the last reading */
};

struct sources {
    struct sources_needs needs;
    struct configuration *configuration;
    unsigned configuration_number; /* grows with every other one */
    struct route_registry *registry;
    struct source **files; /* sorted by path */
    size_t file_count;
    size_t capacity;
    struct source *inline_source; /* the tenants of the global file */
    bool wants_global;            /* one of them is in nobody's shadow any more */
    struct tenant **parked;       /* few: their addresses are on the way */
    size_t parked_count;
    struct sources_counts counts;
    char **changed; /* names of tenants, for whoever tells what changed */
    size_t changed_count;
    unsigned arguments; /* of messages, that are known to be wanted */
};

static bool signature_read(const char *path, struct signature *signature)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return false;
    *signature = (struct signature){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = status.st_size,
        .modified = status.st_mtim,
        .changed = status.st_ctim,
    };
    return true;
}

/* Zeroed where there is no such file. */
static struct signature signature_of(const char *path)
{
    struct signature signature;
    return signature_read(path, &signature) ? signature : (struct signature){0};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_signature(const struct signature *a, const struct signature *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct tenant_text *)a)->name, ((const struct tenant_text *)b)->name);
}

static struct tenant_text *names_find(const struct names *names, const char *name)
{
    assert(name != NULL);
    const struct tenant_text key = {.name = (char *)(uintptr_t)name};
    if (names->count == 0)
        return NULL;
    return bsearch(&key, names->items, names->count, sizeof(key), compare_names);
}

static void names_sort(struct names *names)
{
    if (names->count > 1)
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
}

static void names_fini(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].name);
    free(names->items);
    *names = (struct names){0};
}

static void names_add(struct names *names, const char *name)
{
    names->items = memory_resize(names->items, names->count + 1, sizeof(*names->items));
    names->items[names->count++] = (struct tenant_text){.name = memory_copy_text(slice_of(name))};
}

/* Takes the file's. */
static struct names names_of(struct tenant_file *file)
{
    struct names names = {file->texts, file->text_count};
    file->texts = NULL;
    file->text_count = 0;
    names_sort(&names);
    return names;
}

static struct source *source_new(const char *path)
{
    struct source *source = memory_new(sizeof(*source));
    source->path = memory_copy_text(slice_of(path));
    return source;
}

static void free_named(struct source *source)
{
    for (size_t i = 0; i < source->named_count; i++)
        free(source->named[i].path);
    free(source->named);
    source->named = NULL;
    source->named_count = 0;
}

static void source_free(struct source *source)
{
    if (source == NULL)
        return;
    free_named(source);
    names_fini(&source->names);
    names_fini(&source->shadowed);
    free(source->path);
    free(source);
}

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
    for (size_t i = 0; i < sources->parked_count; i++)
        tenant_free(sources->parked[i]);
    free(sources->parked);
    for (size_t i = 0; i < sources->changed_count; i++)
        free(sources->changed[i]);
    free(sources->changed);
    route_registry_free(sources->registry);
    configuration_free(sources->configuration);
    free(sources);
}

const struct configuration *sources_configuration(const struct sources *sources)
{
    return sources->configuration;
}

struct route_registry *sources_registry(struct sources *sources)
{
    return sources->registry;
}

struct sources_counts sources_take_counts(struct sources *sources)
{
    struct sources_counts counts = sources->counts;
    counts.files = sources->file_count;
    counts.parked = sources->parked_count;
    counts.kept = sources->inline_source != NULL ? sources->inline_source->kept : 0;
    counts.refused = sources->inline_source != NULL ? sources->inline_source->refused : 0;
    for (size_t i = 0; i < sources->file_count; i++) {
        counts.kept += sources->files[i]->kept;
        counts.refused += sources->files[i]->refused;
    }
    sources->counts = (struct sources_counts){0};
    return counts;
}

static void note_change(struct sources *sources, const char *name)
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

/* -- One tenant ------------------------------------------------------------------------------- */

/* A tenant's content hash is that of its text, xor this: so either can be had from the other. */
static uint64_t address_hash(const struct tenant *tenant)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        const struct upstream *upstream = tenant_upstream_peek(tenant, i);
        const struct ip *address = &upstream->address;
        if (address->family != IP_NONE && upstream_has_name(upstream))
            hash ^= hash_content(slice_from(address->bytes, sizeof(address->bytes)),
                                 address->family + i * 4);
    }
    return hash;
}

static bool is_from(const struct tenant *tenant, const struct source *source)
{
    return tenant->place.file != NULL && strcmp(tenant->place.file, source->path) == 0;
}

static bool can_serve(const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++)
        if (tenant_upstream_peek(tenant, i)->address.family != IP_NONE)
            return true;
    return tenant_upstream_count(tenant) == 0;
}

/* Takes the addresses that are known now. False while no upstream of the tenant has one. */
static bool resolve(struct sources *sources, struct tenant *tenant)
{
    tenant->content_hash ^= address_hash(tenant);
    for (size_t i = 0; i < tenant_upstream_count(tenant); i++) {
        struct upstream *upstream = tenant_upstream_at(tenant, i);
        struct ip address;
        if (upstream_has_name(upstream) &&
            sources->needs.resolve(sources->needs.context, upstream->host, &address))
            upstream->address = address;
    }
    tenant->content_hash ^= address_hash(tenant);
    return can_serve(tenant);
}

static void park(struct sources *sources, struct tenant *tenant)
{
    sources->parked =
        memory_resize(sources->parked, sources->parked_count + 1, sizeof(*sources->parked));
    sources->parked[sources->parked_count++] = tenant;
}

static void drop_parked(struct sources *sources, const char *name)
{
    for (size_t i = 0; i < sources->parked_count; i++) {
        if (strcmp(sources->parked[i]->name, name) != 0)
            continue;
        tenant_free(sources->parked[i]);
        sources->parked[i] = sources->parked[--sources->parked_count];
        return;
    }
}

static void on_conflict(void *diagnostics, const struct route_conflict *conflict)
{
    diagnostics_add_conflict(diagnostics, conflict);
}

/* Makes the tenant ready and puts it in force, or parks it; takes ownership. */
static bool put(struct sources *sources, struct tenant *tenant, struct diagnostics *diagnostics)
{
    struct error_text why;
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(tenant->name));
    bool is_resolved = resolve(sources, tenant);
    if (answer_prepare(tenant, &why) != ERROR_OK) {
        diagnostics_add_code(diagnostics, CODE_ANSWER_TOO_BIG, &tenant->place, NULL,
                             "tenant \"%s\": %s", tenant->name, why.text);
        tenant_free(tenant);
        return false;
    }
    unsigned needs = configuration_arguments_for(tenant);
    sources->counts.wants_arguments |= (needs & ~sources->arguments) != 0;
    sources->arguments |= needs;
    drop_parked(sources, tenant->name);
    sources->needs.on_tenant(sources->needs.context, tenant);
    if (!is_resolved && existing != NULL && can_serve(existing))
        park(sources, tenant);
    else
        route_registry_put(sources->registry, tenant, on_conflict, diagnostics);
    return true;
}

void sources_settle_parked(struct sources *sources, struct diagnostics *diagnostics)
{
    for (size_t i = sources->parked_count; i-- > 0;) {
        struct tenant *tenant = sources->parked[i];
        if (!resolve(sources, tenant))
            continue;
        sources->parked[i] = sources->parked[--sources->parked_count];
        if (put(sources, tenant, diagnostics))
            sources->counts.changed++; /* its name was noted when it was parked */
    }
}

/* Puts a copy whose addresses are others in the place of the tenant it was made from. */
static void put_moved(struct sources *sources, struct tenant *moved)
{
    struct error_text why;
    if (answer_prepare(moved, &why) != ERROR_OK) {
        /* Room for an address was left when the tenant was first prepared. */
        assert(false);
        tenant_free(moved);
        return;
    }
    sources->needs.on_tenant(sources->needs.context, moved);
    route_registry_put(sources->registry, moved, NULL, NULL);
}

void sources_refresh_addresses(struct sources *sources, const struct tenant *tenant)
{
    struct tenant *moved = tenant_clone(tenant);
    if (!resolve(sources, moved))
        tenant_free(moved);
    else
        put_moved(sources, moved);
}

/* -- One file --------------------------------------------------------------------------------- */

/* The tenant's own last good version stays in force, if it has one. */
static void keep_last_good(struct sources *sources, struct source *source, const char *name)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(name));
    if (existing != NULL && is_from(existing, source))
        source->kept++;
    else
        source->refused++;
}

static bool is_equal(const struct tenant *existing, uint64_t content_hash)
{
    return (existing->content_hash ^ address_hash(existing)) == content_hash;
}

/* Takes one tenant of a file that was just read. */
static void take_tenant(struct sources *sources, struct source *source, struct tenant *tenant,
                        struct diagnostics *diagnostics)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(tenant->name));

    if (existing != NULL && !is_from(existing, source)) {
        diagnostics_add_name_taken(diagnostics, existing, tenant);
        names_add(&source->shadowed, tenant->name);
        source->refused++;
        tenant_free(tenant);
        return;
    }
    if (existing != NULL && is_equal(existing, tenant->content_hash)) {
        drop_parked(sources, tenant->name);
        tenant_free(tenant);
        return;
    }
    if (existing != NULL && existing->labels != NULL && tenant->labels != NULL)
        label_map_keep(tenant->labels, existing->labels);
    struct tenant_text *text = names_find(&source->names, tenant->name);
    if (put(sources, tenant, diagnostics)) {
        note_change(sources, text->name);
    } else {
        keep_last_good(sources, source, text->name);
        text->hash = 0;
        text->is_broken = true;
    }
}

static void load_shadow(struct sources *sources, const struct source *giver, const char *name,
                        struct diagnostics *diagnostics);

/* The file gives the name up; the next file that has it gets it. */
static void remove_name(struct sources *sources, struct source *source, const char *name,
                        struct diagnostics *diagnostics)
{
    const struct tenant *existing = route_registry_find(sources->registry, slice_of(name));
    if (existing == NULL || !is_from(existing, source))
        return;
    route_registry_remove(sources->registry, slice_of(name));
    drop_parked(sources, name);
    note_change(sources, name);
    load_shadow(sources, source, name, diagnostics);
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
        named->signature = signature_of(named->path);
    }
}

static void apply(struct sources *sources, struct source *source, struct tenant_file *file,
                  struct diagnostics *diagnostics)
{
    source->unreadable = file->unreadable;
    if (file->unreadable) {
        source->kept = 0;
        for (size_t i = 0; i < source->names.count; i++) {
            const struct tenant *tenant =
                route_registry_find(sources->registry, slice_of(source->names.items[i].name));
            source->kept += tenant != NULL && is_from(tenant, source);
        }
        return;
    }
    struct names before = source->names;
    source->names = names_of(file);
    take_named(source, file);
    source->kept = 0;
    source->refused = 0;
    names_fini(&source->shadowed);
    for (size_t i = 0; i < before.count; i++)
        if (names_find(&source->names, before.items[i].name) == NULL)
            remove_name(sources, source, before.items[i].name, diagnostics);
    names_fini(&before);
    for (size_t i = 0; i < file->tenant_count; i++) {
        struct tenant *tenant = file->tenants[i];
        file->tenants[i] = NULL;
        take_tenant(sources, source, tenant, diagnostics);
    }
    for (size_t i = 0; i < file->broken_count; i++)
        keep_last_good(sources, source, file->broken[i]);
    names_sort(&source->shadowed);
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
    if (existing == NULL || !is_from(existing, asking->source) || existing->labels != NULL)
        return false; /* a list of labels may be another one by now */
    const struct tenant_text *text = names_find(&asking->source->names, existing->name);
    return text != NULL && text->hash == text_hash;
}

static void load(struct sources *sources, struct source *source, struct diagnostics *diagnostics)
{
    struct asking asking = {sources, source};
    const struct known_tenants known = {is_known, &asking};
    struct tenant_file file = {0};
    /* Hashes are of texts that were read with the same configuration. */
    if (source->read_with != sources->configuration_number)
        for (size_t i = 0; i < source->names.count; i++)
            source->names.items[i].hash = 0;
    source->read_with = sources->configuration_number;
    tenant_file_load_news(source->path, sources->configuration, &known, &file, diagnostics);
    apply(sources, source, &file, diagnostics);
    tenant_file_fini(&file);
}

/* Reads the file again that had the name in another's shadow; the global file is asked for. */
static void load_shadow(struct sources *sources, const struct source *giver, const char *name,
                        struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < sources->file_count; i++) {
        struct source *source = sources->files[i];
        if (source == giver || names_find(&source->shadowed, name) == NULL)
            continue;
        load(sources, source, diagnostics);
        return;
    }
    const struct source *inlined = sources->inline_source;
    sources->wants_global |=
        inlined != NULL && inlined != giver && names_find(&inlined->shadowed, name) != NULL;
}

/* -- The folder ------------------------------------------------------------------------------- */

/* Where the file stands in the sorted list, or would. */
static size_t position_of(const struct sources *sources, const char *path)
{
    size_t low = 0;
    size_t high = sources->file_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(sources->files[middle]->path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct source *find_source(const struct sources *sources, const char *path)
{
    size_t position = position_of(sources, path);
    if (position == sources->file_count || strcmp(sources->files[position]->path, path) != 0)
        return NULL;
    return sources->files[position];
}

static struct source *add_source(struct sources *sources, const char *path)
{
    size_t position = position_of(sources, path);
    if (sources->file_count == sources->capacity) {
        sources->capacity = sources->capacity > 0 ? sources->capacity * 2 : 16;
        sources->files = memory_resize(sources->files, sources->capacity, sizeof(*sources->files));
    }
    memmove(sources->files + position + 1, sources->files + position,
            (sources->file_count - position) * sizeof(*sources->files));
    sources->file_count++;
    return sources->files[position] = source_new(path);
}

static void remove_source(struct sources *sources, struct source *source,
                          struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < source->names.count; i++)
        remove_name(sources, source, source->names.items[i].name, diagnostics);
    size_t position = position_of(sources, source->path);
    sources->file_count--;
    memmove(sources->files + position, sources->files + position + 1,
            (sources->file_count - position) * sizeof(*sources->files));
    source_free(source);
}

static bool same_named(const struct source *source)
{
    for (size_t i = 0; i < source->named_count; i++) {
        struct signature now = signature_of(source->named[i].path);
        if (!same_signature(&now, &source->named[i].signature))
            return false;
    }
    return true;
}

/* The signature is taken first: a file that changes while it is read is read again next time. */
static struct source *read_file(struct sources *sources, const char *path, bool every_file,
                                struct diagnostics *diagnostics)
{
    struct source *source = find_source(sources, path);
    struct signature signature;
    if (!signature_read(path, &signature)) {
        /* A folder that is gone, with all that was in it, is no wish to lose every tenant. */
        if (source != NULL && access(sources->configuration->tenants_dir, F_OK) == 0)
            remove_source(sources, source, diagnostics);
        return NULL;
    }
    if (source != NULL && !every_file && same_signature(&signature, &source->signature) &&
        same_named(source))
        return source;
    if (source == NULL)
        source = add_source(sources, path);
    source->signature = signature;
    source->missing_since_ms = 0;
    load(sources, source, diagnostics);
    return source;
}

void sources_read_file(struct sources *sources, const char *path, struct diagnostics *diagnostics)
{
    read_file(sources, path, true, diagnostics);
}

static bool names_file(const struct source *source, const char *path)
{
    for (size_t i = 0; source != NULL && i < source->named_count; i++)
        if (strcmp(source->named[i].path, path) == 0)
            return true;
    return false;
}

bool sources_read_named(struct sources *sources, const char *path, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < sources->file_count; i++)
        if (names_file(sources->files[i], path))
            load(sources, sources->files[i], diagnostics);
    return names_file(sources->inline_source, path);
}

static void add_named(const struct source *source, char ***paths, size_t *count)
{
    for (size_t i = 0; source != NULL && i < source->named_count; i++) {
        *paths = memory_resize(*paths, *count + 1, sizeof(**paths));
        (*paths)[(*count)++] = memory_copy_text(slice_of(source->named[i].path));
    }
}

size_t sources_named(const struct sources *sources, char ***paths)
{
    size_t count = 0;
    *paths = NULL;
    add_named(sources->inline_source, paths, &count);
    for (size_t i = 0; i < sources->file_count; i++)
        add_named(sources->files[i], paths, &count);
    return count;
}

/* Marks the files that are listed as seen. */
static void mark_seen(struct sources *sources, char *const *paths, size_t count)
{
    for (size_t i = 0; i < sources->file_count; i++)
        sources->files[i]->seen = false;
    for (size_t i = 0; i < count; i++) {
        struct source *source = find_source(sources, paths[i]);
        if (source == NULL)
            continue;
        source->seen = true;
        source->missing_since_ms = 0;
    }
}

/* Drops the files that were not seen. True when one of them gets time to come back. */
static bool drop_missing(struct sources *sources, bool is_patient, struct diagnostics *diagnostics)
{
    int64_t now_ms = clock_mono_ms();
    bool is_waiting = false;
    for (size_t i = sources->file_count; i-- > 0;) {
        struct source *source = sources->files[i];
        if (source->seen)
            continue;
        if (source->missing_since_ms == 0)
            source->missing_since_ms = now_ms;
        if (is_patient && now_ms - source->missing_since_ms < SOURCES_PATIENCE_MS)
            is_waiting = true;
        else
            remove_source(sources, source, diagnostics);
    }
    return is_waiting;
}

/* Files that went are dropped first, so that a tenant can move to another file in one step. */
static bool scan(struct sources *sources, bool every_file, struct diagnostics *diagnostics)
{
    const char *folder = sources->configuration->tenants_dir;
    char **paths = NULL;
    size_t count = 0;
    struct error_text why;

    if (folder != NULL && tenant_files_list(folder, &paths, &count, &why) != ERROR_OK) {
        /* A folder that is gone for a moment must not take everybody's tenants with it. */
        const struct place place = {.file = folder};
        diagnostics_add_code(diagnostics, CODE_FILE_UNREADABLE, &place, NULL, "%s", why.text);
        return false;
    }
    mark_seen(sources, paths, count);
    bool is_waiting = drop_missing(sources, !every_file, diagnostics);
    for (size_t i = 0; i < count; i++) {
        read_file(sources, paths[i], every_file, diagnostics);
        free(paths[i]);
    }
    free(paths);
    return is_waiting;
}

void sources_read_all(struct sources *sources, struct diagnostics *diagnostics)
{
    scan(sources, true, diagnostics);
}

bool sources_scan(struct sources *sources, struct diagnostics *diagnostics)
{
    return scan(sources, false, diagnostics);
}

bool sources_want_global(const struct sources *sources)
{
    return sources->wants_global;
}

/* -- What was in force before the start -------------------------------------------------------- */

static bool is_wrong(const struct sources *sources, const struct source *source)
{
    if (source->unreadable && source->names.count == 0)
        return true;
    for (size_t i = 0; i < source->names.count; i++)
        if (source->names.items[i].is_broken &&
            route_registry_find(sources->registry, slice_of(source->names.items[i].name)) == NULL)
            return true;
    return false;
}

bool sources_is_wrong(const struct sources *sources, const char *path)
{
    const struct source *source = find_source(sources, path);
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

/* Of a file that is no JSON now, the tenants are those that it had when it was. */
static void adopt_names(struct source *source, struct tenant_file *file)
{
    source->names = names_of(file);
    for (size_t i = 0; i < source->names.count; i++) {
        source->names.items[i].is_broken = true;
        source->names.items[i].hash = 0;
    }
}

size_t sources_revive(struct sources *sources, const char *path, struct slice text)
{
    struct source *source = find_source(sources, path);
    struct diagnostics diagnostics = {0}; /* what was wrong then is nobody's concern now */
    struct tenant_file file;
    size_t revived = 0;
    tenant_text_load_news(path, text, sources->configuration, NULL, &file, &diagnostics);
    if (source->unreadable && source->names.count == 0 && file.tenant_count > 0)
        adopt_names(source, &file);
    for (size_t i = 0; i < file.tenant_count; i++) {
        struct slice name = slice_of(file.tenants[i]->name);
        const struct tenant_text *known = names_find(&source->names, file.tenants[i]->name);
        if (known == NULL || !known->is_broken ||
            route_registry_find(sources->registry, name) != NULL)
            continue;
        struct tenant *tenant = file.tenants[i];
        file.tenants[i] = NULL;
        if (!put(sources, tenant, &diagnostics))
            continue;
        revived++;
        source->kept++;
        source->refused -= source->refused > 0;
    }
    tenant_file_fini(&file);
    diagnostics_fini(&diagnostics);
    return revived;
}

/* -- What is in force ------------------------------------------------------------------------- */

const char *sources_state_name(enum sources_state state)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT) [SOURCES_##NAME] = (TEXT),
        SOURCES_STATE_TABLE(X)
#undef X
    };
    return NAMES[state];
}

static bool is_parked(const struct sources *sources, const char *name)
{
    for (size_t i = 0; i < sources->parked_count; i++)
        if (strcmp(sources->parked[i]->name, name) == 0)
            return true;
    return false;
}

static struct sources_entry entry_of(const struct sources *sources, const struct source *source,
                                     const struct tenant_text *text)
{
    const struct tenant *tenant = route_registry_find(sources->registry, slice_of(text->name));
    struct sources_entry entry = {text->name, source->path, SOURCES_LIVE, tenant};
    if (tenant != NULL && !is_from(tenant, source)) {
        entry.state = text->is_broken ? SOURCES_BROKEN : SOURCES_SHADOWED;
        entry.tenant = NULL;
    } else if (tenant == NULL) {
        entry.state = SOURCES_BROKEN;
    } else if (text->is_broken || source->unreadable) {
        entry.state = SOURCES_KEPT;
    } else if (!route_registry_has_all(sources->registry, tenant)) {
        entry.state = SOURCES_CONTESTED;
    } else if (is_parked(sources, text->name)) {
        entry.state = SOURCES_PARKED;
    } else if (!can_serve(tenant)) {
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
        const struct tenant_text *text = source != NULL ? names_find(&source->names, name) : NULL;
        if (text == NULL)
            continue;
        struct sources_entry one = entry_of(sources, source, text);
        if (!found || one.tenant != NULL)
            *entry = one;
        found = true;
    }
    return found;
}

static bool is_right(void *context, struct slice name, uint64_t text_hash)
{
    const struct source *source = context;
    char *key = memory_copy_text(name);
    const struct tenant_text *text = names_find(&source->names, key);
    free(key);
    return text != NULL && text->hash == text_hash;
}

void sources_complain(const struct sources *sources, const char *file,
                      struct diagnostics *diagnostics)
{
    struct source *source = find_source(sources, file);
    struct tenant_file loaded = {0};
    if (source != NULL) {
        const struct known_tenants known = {is_right, source};
        tenant_file_load_news(file, sources->configuration, &known, &loaded, diagnostics);
    } else if (sources->inline_source != NULL && strcmp(sources->inline_source->path, file) == 0) {
        configuration_free(configuration_load(file, &loaded, diagnostics));
    }
    tenant_file_fini(&loaded);
}

/* -- The global file -------------------------------------------------------------------------- */

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
    moved->content_hash ^= address_hash(moved);
    for (size_t i = 0; i < tenant_upstream_count(moved); i++) {
        struct upstream *upstream = tenant_upstream_at(moved, i);
        if (!settings_upstream_allowed(settings, &upstream->address))
            upstream->address = (struct ip){0};
    }
    moved->content_hash ^= address_hash(moved);
    put_moved(sources, moved);
}

/* A tenant that is wrong now keeps its last good version, but not past a list of addresses that has
 * been narrowed. */
static void drop_forbidden(struct sources *sources, struct source *source)
{
    const struct settings *settings = sources->configuration->settings;
    for (size_t i = 0; i < source->names.count; i++) {
        struct slice name = slice_of(source->names.items[i].name);
        const struct tenant *tenant = route_registry_find(sources->registry, name);
        if (tenant == NULL || !is_from(tenant, source))
            continue;
        enum addresses verdict = judge_addresses(tenant, settings);
        if (verdict == ADDRESSES_ALLOWED)
            continue;
        note_change(sources, tenant->name);
        if (verdict == ADDRESSES_NAMED) {
            drop_addresses(sources, tenant);
            continue;
        }
        route_registry_remove(sources->registry, name);
        source->kept -= source->kept > 0;
        source->refused++;
    }
}

bool sources_read_global(struct sources *sources, const char *path, struct configuration **replaced,
                         struct diagnostics *diagnostics)
{
    struct tenant_file inline_tenants = {0};
    struct configuration *fresh = configuration_load(path, &inline_tenants, diagnostics);
    *replaced = NULL;
    if (fresh == NULL) {
        tenant_file_fini(&inline_tenants);
        return false;
    }
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
    if (sources->inline_source == NULL)
        sources->inline_source = source_new(path);
    apply(sources, sources->inline_source, &inline_tenants, diagnostics);
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
