/* Which file has what several claim, on disk: see owner_keeper.h. */
#include "sources/owner_keeper.h"

#include "conf/owners.h"
#include "core/file.h"
#include "core/file_path.h"
#include "core/log.h"
#include "core/memory.h"
#include "json/json.h"

#include <stdlib.h>

static const struct file_mode MODE = {.mode = 0600, .owner = -1, .group = -1, .lazy = true};

struct owner_keeper {
    struct folder folder;
    char *name;
    char *text; /* as it is on disk; NULL: that is not known */
    bool has_failed;
};

struct owner_keeper *owner_keeper_new(const char *state_dir)
{
    struct owner_keeper *keeper = memory_new(sizeof(*keeper));
    struct error_text why;
    if (folder_open(&keeper->folder, state_dir, 0700, &why) != ERROR_OK) {
        log_event(LOG_NOTICE, "owners_not_kept", LOG_TEXT("reason", why.text));
        free(keeper);
        return NULL;
    }
    char *path = owners_path(state_dir);
    keeper->name = memory_copy_text(slice_of(file_path_name(path)));
    free(path);
    return keeper;
}

void owner_keeper_free(struct owner_keeper *keeper)
{
    if (keeper == NULL)
        return;
    folder_close(&keeper->folder);
    free(keeper->name);
    free(keeper->text);
    free(keeper);
}

static enum error write_down(const struct owner_keeper *keeper, const char *text,
                             struct error_text *why)
{
    if (text[0] == '\0')
        return file_remove(&keeper->folder, keeper->name, why);
    return file_replace(&keeper->folder, &keeper->folder, keeper->name, slice_of(text), &MODE, why);
}

void owner_keeper_look(struct owner_keeper *keeper, struct json *contests)
{
    char *text =
        contests != NULL ? json_print(contests, JSON_STYLE_INDENTED) : memory_copy_text(SLICE(""));
    struct error_text why;
    json_free(contests);
    if (keeper == NULL || (keeper->text != NULL && strcmp(text, keeper->text) == 0)) {
        free(text);
        return;
    }
    free(keeper->text);
    keeper->text = NULL;
    if (write_down(keeper, text, &why) == ERROR_OK) {
        keeper->text = text;
        keeper->has_failed = false;
        return;
    }
    free(text);
    if (!keeper->has_failed)
        log_event(LOG_WARNING, "owners_not_kept", LOG_TEXT("reason", why.text),
                  LOG_TEXT("consequence", "a restart gives what several files claim to the first "
                                          "of them by name"));
    keeper->has_failed = true;
}
