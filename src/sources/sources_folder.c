/* The folder of the sources' files: which there are, which came, changed and went. */
#include "sources_shared.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/sorted.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char *path_at(const void *sources, size_t index)
{
    return ((const struct sources *)sources)->files[index]->path;
}

/* Where the file stands in the sorted list, or would. */
static size_t position_of(const struct sources *sources, const char *path, bool *is_there)
{
    return sorted_place(sources, sources->file_count, path_at, path, is_there);
}

struct source *sources_find_file(const struct sources *sources, const char *path)
{
    bool is_there;
    size_t position = position_of(sources, path, &is_there);
    return is_there ? sources->files[position] : NULL;
}

static struct source *add_source(struct sources *sources, const char *path)
{
    size_t position = position_of(sources, path, NULL);
    if (sources->file_count == sources->capacity) {
        sources->capacity = sources->capacity > 0 ? sources->capacity * 2 : 16;
        sources->files = memory_resize(sources->files, sources->capacity, sizeof(*sources->files));
    }
    memmove(sources->files + position + 1, sources->files + position,
            (sources->file_count - position) * sizeof(*sources->files));
    sources->file_count++;
    return sources->files[position] = source_new(path);
}

static void remove_source(struct sources *sources, struct source *source)
{
    for (size_t i = 0; i < source->names.count; i++)
        source_remove_name(sources, source, source->names.items[i].name);
    source_leave_shadows(sources, source);
    size_t position = position_of(sources, source->path, NULL);
    sources->file_count--;
    memmove(sources->files + position, sources->files + position + 1,
            (sources->file_count - position) * sizeof(*sources->files));
    source_free(source);
}

static bool same_named(const struct source *source)
{
    for (size_t i = 0; i < source->named_count; i++) {
        struct file_stamp now = file_stamp_read(source->named[i].path);
        if (!file_stamp_equal(&now, &source->named[i].stamp))
            return false;
    }
    return true;
}

/* The stamp is taken first: a file that changes while it is read is read again next time. One that
 * cannot be looked at is not gone for that. */
static struct source *read_file(struct sources *sources, const char *path, bool every_file,
                                struct diagnostics *diagnostics)
{
    struct source *source = sources_find_file(sources, path);
    struct file_stamp stamp = file_stamp_read(path);
    if (file_stamp_is_none(&stamp) && (errno == ENOENT || errno == ENOTDIR)) {
        /* A folder that is gone, with all that was in it, is no wish to lose every tenant. */
        if (source != NULL && access(sources->configuration->tenants_dir, F_OK) == 0)
            remove_source(sources, source);
        return NULL;
    }
    if (source != NULL && !every_file && file_stamp_equal(&stamp, &source->stamp) &&
        same_named(source))
        return source;
    if (source == NULL)
        source = add_source(sources, path);
    source->stamp = stamp;
    source->missing_since_ms = 0;
    source_load(sources, source, diagnostics);
    return source;
}

bool sources_have_read(const struct sources *sources, const char *path, const struct slice *text)
{
    const struct source *source = strcmp(path, sources->inline_source->path) == 0
                                      ? sources->inline_source
                                      : sources_find_file(sources, path);
    return text != NULL ? source != NULL && source->text_hash == hash_content(*text, 0)
                        : source == NULL;
}

void sources_read_file(struct sources *sources, const char *path, struct diagnostics *diagnostics)
{
    read_file(sources, path, true, diagnostics);
}

/* Every tenant may have a file of its own, and all of them may have changed: those that have are
 * looked for in the list, and not the list in each of them. */
static bool lists(char *const *paths, size_t count, const char *path)
{
    return bsearch(&path, paths, count, sizeof(*paths), memory_compare_texts) != NULL;
}

static bool names_one(const struct source *source, char *const *paths, size_t count)
{
    for (size_t i = 0; source != NULL && i < source->named_count; i++)
        if (lists(paths, count, source->named[i].path))
            return true;
    return false;
}

bool sources_read_named(struct sources *sources, char *const *paths, size_t count,
                        struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < sources->file_count; i++)
        if (names_one(sources->files[i], paths, count))
            source_load(sources, sources->files[i], diagnostics);
    for (size_t i = 0; i < sources->wanted_count; i++)
        if (lists(paths, count, sources->wanted[i]))
            return true;
    return names_one(sources->inline_source, paths, count);
}

static void add_path(const char *path, char ***paths, size_t *count)
{
    *paths = memory_resize(*paths, *count + 1, sizeof(**paths));
    (*paths)[(*count)++] = memory_copy_text(slice_of(path));
}

static void add_named(const struct source *source, char ***paths, size_t *count)
{
    for (size_t i = 0; source != NULL && i < source->named_count; i++)
        add_path(source->named[i].path, paths, count);
}

size_t sources_named(const struct sources *sources, char ***paths)
{
    size_t count = 0;
    *paths = NULL;
    add_named(sources->inline_source, paths, &count);
    for (size_t i = 0; i < sources->file_count; i++)
        add_named(sources->files[i], paths, &count);
    for (size_t i = 0; i < sources->wanted_count; i++)
        add_path(sources->wanted[i], paths, &count);
    return count;
}

/* Marks the files that are listed as seen. */
static void mark_seen(struct sources *sources, char *const *paths, size_t count)
{
    for (size_t i = 0; i < sources->file_count; i++)
        sources->files[i]->seen = false;
    for (size_t i = 0; i < count; i++) {
        struct source *source = sources_find_file(sources, paths[i]);
        if (source == NULL)
            continue;
        source->seen = true;
        source->missing_since_ms = 0;
    }
}

/* Drops the files that were not seen. True when one of them gets time to come back. */
static bool drop_missing(struct sources *sources, bool is_patient)
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
            remove_source(sources, source);
    }
    return is_waiting;
}

/* Files that went are dropped first, so that a tenant can move to another file in one step. */
static bool scan(struct sources *sources, bool every_file, struct diagnostics *diagnostics)
{
    const char *folder = sources->configuration->tenants_dir;
    int trouble_before = sources->folder_trouble;
    char **paths = NULL;
    size_t count = 0;
    struct error_text why;
    enum error error = folder != NULL ? tenant_files_list(folder, &paths, &count, &why) : ERROR_OK;

    sources->folder_trouble = 0;
    if (error != ERROR_OK) {
        /* A folder that is gone for a moment must not take everybody's tenants with it. */
        const struct place place = {.file = folder};
        bool is_unused = errno == ENOENT && sources->configuration->tenants_dir_optional &&
                         sources->file_count == 0; /* all tenants are in the global file */
        sources->folder_trouble = errno != ENOENT ? errno : 0;
        if (!is_unused &&
            !sources_trouble_is_told(sources, trouble_before, sources->folder_trouble))
            diagnostics_add_unreadable(diagnostics, &place, error, &why);
        return false;
    }
    mark_seen(sources, paths, count);
    bool is_waiting = drop_missing(sources, !every_file);
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

void sources_read_again(struct sources *sources, struct diagnostics *diagnostics)
{
    sources->is_again = true;
    if (sources->folder_trouble != 0) {
        scan(sources, true, diagnostics);
        return;
    }
    for (size_t i = sources->file_count; i-- > 0;)
        if (sources->files[i]->trouble != 0)
            read_file(sources, sources->files[i]->path, true, diagnostics);
}

bool sources_scan(struct sources *sources, struct diagnostics *diagnostics)
{
    return scan(sources, false, diagnostics);
}
