/* What was right before: see last_good.h. */
#include "changes/last_good.h"

#include "core/file_path.h"
#include "core/log.h"
#include "core/memory.h"
#include "history_shared.h"
#include "sources/sources.h"

#include <stdlib.h>

/* A file with tenants that are looked for. */
struct wrong_file {
    char *path;
    uint64_t since; /* the last record of which it was not there before, or after; 0: none */
};

struct revival {
    const struct history *history;
    struct publisher *publisher;
    struct wrong_file *files; /* sorted */
    size_t count;
    uint64_t oldest;      /* of the records that are looked at */
    enum log_level level; /* of the event, with what it means */
    const char *event;
    const char *so;
    size_t revived;
};

static void note_file(void *context, const char *path)
{
    struct revival *revival = context;
    revival->files = memory_resize(revival->files, revival->count + 1, sizeof(*revival->files));
    revival->files[revival->count++] =
        (struct wrong_file){.path = memory_copy_text(slice_of(path))};
}

/* -- Where each file ends ---------------------------------------------------------------------- */

static int compare_names(const void *name, const void *file)
{
    return strcmp(name, file_path_name(((const struct wrong_file *)file)->path));
}

/* NULL: it is none of them. */
static struct wrong_file *find_file(const struct revival *revival, struct slice name)
{
    char *key = memory_copy_text(name);
    struct wrong_file *file =
        bsearch(key, revival->files, revival->count, sizeof(*file), compare_names);
    free(key);
    return file;
}

static void note_gone(const struct revival *revival, uint64_t number, const struct json *record)
{
    const struct json *files = json_get(record, "files");
    for (size_t i = 0; i < json_count(files); i++) {
        const struct json *one = json_at(files, i);
        struct slice name, hash;
        if (json_read_text(json_get(one, "before"), &hash) &&
            json_read_text(json_get(one, "after"), &hash))
            continue;
        struct wrong_file *file =
            json_read_text(json_get(one, "name"), &name) ? find_file(revival, name) : NULL;
        if (file != NULL && file->since < number)
            file->since = number;
    }
}

/* Each record once, however many files are wrong. */
static void look_through_records(struct revival *revival)
{
    uint64_t last = revival->history->last;
    revival->oldest = last + 1;
    while (revival->oldest > 1 && revival->oldest + HISTORY_KEPT > last + 1) {
        struct json *record = history_record(revival->history, revival->oldest - 1);
        if (record == NULL)
            return; /* nobody knows what went with it */
        revival->oldest--;
        note_gone(revival, revival->oldest, record);
        json_free(record);
    }
}

/* -- What they were ---------------------------------------------------------------------------- */

/* Frees the content. */
static void take(struct revival *revival, const char *path, struct bytes *content,
                 uint64_t before_change)
{
    size_t revived = publisher_revive(revival->publisher, path, bytes_slice(content));
    bytes_free(content);
    revival->revived += revived;
    if (revived > 0)
        log_event(revival->level, revival->event, LOG_TEXT("file", path),
                  LOG_NUMBER("tenants", revived), LOG_NUMBER("before_change", before_change),
                  LOG_TEXT("so", revival->so));
}

static void revive(struct revival *revival, const struct wrong_file *file)
{
    const struct sources *sources = publisher_sources(revival->publisher);
    const char *name = file_path_name(file->path);
    uint64_t number = revival->history->last;
    struct bytes content;
    /* Of a file that cannot be read, that is the last one. Without it, the file is a new one. */
    if (history_read_shadow(revival->history, name, &content, NULL) != ERROR_OK)
        return;
    take(revival, file->path, &content, number + 1);
    for (; number >= revival->oldest && number > file->since; number--)
        if (sources_is_wrong(sources, file->path) &&
            history_before(revival->history, number, name, &content))
            take(revival, file->path, &content, number);
}

/* Of all files that are wrong. */
static void revive_all(struct revival *revival)
{
    sources_each_wrong_file(publisher_sources(revival->publisher), note_file, revival);
    if (revival->count == 0 || revival->history == NULL)
        return;
    look_through_records(revival);
    for (size_t i = 0; i < revival->count; i++)
        revive(revival, &revival->files[i]);
    if (revival->revived > 0)
        publisher_publish_revived(revival->publisher);
}

static void free_files(struct revival *revival)
{
    for (size_t i = 0; i < revival->count; i++)
        free(revival->files[i].path);
    free(revival->files);
}

void last_good_revive(const struct history *history, struct publisher *publisher)
{
    struct revival revival = {.history = history,
                              .publisher = publisher,
                              .level = LOG_WARNING,
                              .event = "last_good_revived",
                              .so = "they are in force as they last were right; mend the file"};
    revive_all(&revival);
    free_files(&revival);
}

void last_good_renew(const struct history *history, struct publisher *publisher)
{
    const struct sources *sources = publisher_sources(publisher);
    struct revival revival = {
        .history = history,
        .publisher = publisher,
        .level = LOG_INFO,
        .event = "last_good_renewed",
        .so = "they are kept as they last were right, with what the global file says now"};
    revive_all(&revival);
    for (size_t i = 0; i < revival.count; i++)
        if (sources_is_wrong(sources, revival.files[i].path))
            log_event(LOG_WARNING, "last_good_outdated", LOG_TEXT("file", revival.files[i].path),
                      LOG_TEXT("so", "tenants of it are kept as they last were right, and what the "
                                     "global file says by now does not reach them: mend the file"));
    free_files(&revival);
}
