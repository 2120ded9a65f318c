/* Which file has what several claim, on disk: see owner_keeper.h. */
#include "sources/owner_keeper.h"

#include "conf/owners.h"
#include "core/file.h"
#include "core/file_path.h"
#include "core/log.h"
#include "core/memory.h"
#include "net/main_loop.h"
#include "json/json.h"

#include <stdlib.h>

enum { AGAIN_MS = 30 * 1000 };

static const struct file_mode MODE = {.mode = 0600, .owner = -1, .group = -1, .lazy = true};

struct owner_keeper {
    struct folder folder;
    char *name;
    char *text;      /* as it is to be on disk; NULL: that is not known */
    bool is_written; /* so it is there */
    bool has_failed;
    struct main_timer *again_timer;
};

static enum error write_down(const struct owner_keeper *keeper, const char *text,
                             struct error_text *why)
{
    if (text[0] == '\0')
        return file_remove(&keeper->folder, keeper->name, why);
    return file_replace(&keeper->folder, &keeper->folder, keeper->name, slice_of(text), &MODE, why);
}

static void try_again(struct owner_keeper *keeper, const char *reason)
{
    if (!keeper->has_failed)
        log_event(LOG_WARNING, "owners_not_kept", LOG_TEXT("reason", reason),
                  LOG_TEXT("consequence", "a restart gives what several files claim to the first "
                                          "of them by name"));
    keeper->has_failed = true;
    main_timer_once(keeper->again_timer, AGAIN_MS);
}

static void write_wanted(struct owner_keeper *keeper)
{
    struct error_text why;
    keeper->is_written = write_down(keeper, keeper->text, &why) == ERROR_OK;
    if (keeper->is_written)
        keeper->has_failed = false;
    else
        try_again(keeper, why.text);
}

static void on_again(void *context)
{
    struct owner_keeper *keeper = context;
    if (!keeper->is_written)
        write_wanted(keeper);
}

struct owner_keeper *owner_keeper_new(struct main_loop *main_loop, const char *state_dir)
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
    keeper->again_timer = main_timer_new(main_loop, on_again, keeper);
    return keeper;
}

void owner_keeper_free(struct owner_keeper *keeper)
{
    if (keeper == NULL)
        return;
    main_timer_free(keeper->again_timer);
    folder_close(&keeper->folder);
    free(keeper->name);
    free(keeper->text);
    free(keeper);
}

void owner_keeper_look(struct owner_keeper *keeper, struct json *contests)
{
    char *text =
        contests != NULL ? json_print(contests, JSON_STYLE_INDENTED) : memory_copy_text(SLICE(""));
    json_free(contests);
    if (keeper == NULL ||
        (keeper->is_written && keeper->text != NULL && strcmp(text, keeper->text) == 0)) {
        free(text);
        return;
    }
    free(keeper->text);
    keeper->text = text;
    write_wanted(keeper);
}
