/* What was right before the start: see last_good.h. */
#include "changes/last_good.h"

#include "core/file_path.h"
#include "core/log.h"
#include "core/memory.h"
#include "history_shared.h"
#include "sources/sources.h"

#include <stdlib.h>

struct revival {
    const struct history *history;
    struct publisher *publisher;
    char **paths; /* of files with tenants that are not in force */
    size_t count;
};

static void note_file(void *context, const char *path)
{
    struct revival *revival = context;
    revival->paths = memory_resize(revival->paths, revival->count + 1, sizeof(*revival->paths));
    revival->paths[revival->count++] = memory_copy_text(slice_of(path));
}

/* Frees the content. */
static void take(const struct revival *revival, const char *path, struct bytes *content,
                 uint64_t before_change)
{
    size_t revived = publisher_revive(revival->publisher, path, bytes_slice(content));
    bytes_free(content);
    if (revived > 0)
        log_event(LOG_WARNING, "last_good_revived", LOG_TEXT("file", path),
                  LOG_NUMBER("tenants", revived), LOG_NUMBER("before_change", before_change),
                  LOG_TEXT("so", "they are in force as they last were right; mend the file"));
}

static void revive(const struct revival *revival, const char *path)
{
    const struct sources *sources = publisher_sources(revival->publisher);
    const char *name = file_path_name(path);
    struct bytes content;
    /* Of a file that cannot be read, that is the last one. */
    if (history_read_shadow(revival->history, name, &content, NULL) == ERROR_OK)
        take(revival, path, &content, revival->history->last + 1);
    for (uint64_t number = revival->history->last; number > 0; number--) {
        if (number + HISTORY_KEPT <= revival->history->last || !sources_is_wrong(sources, path))
            return;
        if (!history_before(revival->history, number, name, &content))
            continue;
        take(revival, path, &content, number);
    }
}

void last_good_revive(const struct history *history, struct publisher *publisher)
{
    struct revival revival = {.history = history, .publisher = publisher};
    if (history == NULL)
        return;
    sources_each_wrong_file(publisher_sources(publisher), note_file, &revival);
    for (size_t i = 0; i < revival.count; i++) {
        revive(&revival, revival.paths[i]);
        free(revival.paths[i]);
    }
    free(revival.paths);
}
