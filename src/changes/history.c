/* The generations of the files: see history.h. */
#include "history_shared.h"

#include "core/clock.h"
#include "core/decimal.h"
#include "core/file_path.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/memory.h"
#include "sources/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is lost with the power is the way back, not the truth. */
static const struct file_mode KEPT = {.mode = 0600, .owner = -1, .group = -1, .lazy = true};

/* -- Reading ----------------------------------------------------------------------------------- */

char *history_path(const struct history *history, const char *name)
{
    const struct configuration *configuration = publisher_configuration(history->live->publisher);
    if (strcmp(name, HISTORY_GLOBAL) == 0)
        return memory_copy_text(slice_of(configuration->path));
    return memory_format("%s/%s", configuration->tenants_dir, name);
}

/* The name in records; NULL for a path that is not recorded. */
static const char *name_of(const struct history *history, const char *path)
{
    const struct configuration *configuration = publisher_configuration(history->live->publisher);
    const char *name = file_path_name(path);
    if (strcmp(path, configuration->path) == 0)
        return HISTORY_GLOBAL;
    return tenant_file_name(name) ? name : NULL;
}

enum error history_read_shadow(const struct history *history, const char *name,
                               struct bytes *content, struct error_text *why)
{
    *content = (struct bytes){0};
    return file_read(&history->shadow, name, JSON_MAX_TEXT_BYTES, content, why);
}

bool history_read_present(const char *path, struct bytes *content)
{
    const struct folder here = {.fd = AT_FDCWD, .path = (char *)(uintptr_t) "."};
    *content = (struct bytes){0};
    return file_read(&here, path, JSON_MAX_TEXT_BYTES, content, NULL) == ERROR_OK;
}

void history_hash(struct slice content, char text[static 17])
{
    snprintf(text, 17, "%016" PRIx64, hash_content(content, 0));
}

static bool parse_number(const char *name, uint64_t *number)
{
    return strlen(name) == HISTORY_NUMBER_DIGITS &&
           decimal_parse(slice_of(name), HISTORY_NUMBER_DIGITS, number);
}

/* The folder of one record, made if it is not there. */
static bool make_record(const struct history *history, uint64_t number, struct folder *record,
                        struct error_text *why)
{
    char *path = memory_format("%s/%08" PRIu64, history->folder.path, number);
    bool good = folder_open(record, path, 0700, why) == ERROR_OK;
    free(path);
    return good;
}

bool history_open_record(const struct history *history, uint64_t number, struct folder *record)
{
    char *path = memory_format("%s/%08" PRIu64, history->folder.path, number);
    *record = (struct folder){.fd = -1};
    bool good = access(path, F_OK) == 0 && folder_open(record, path, 0700, NULL) == ERROR_OK;
    free(path);
    return good;
}

struct json *history_record(const struct history *history, uint64_t number)
{
    struct folder folder;
    struct bytes content = {0};
    struct json *record = NULL;
    if (!history_open_record(history, number, &folder))
        return NULL;
    if (file_read(&folder, HISTORY_RECORD, JSON_MAX_TEXT_BYTES, &content, NULL) == ERROR_OK)
        record = json_parse(bytes_slice(&content), JSON_MAX_TEXT_BYTES, NULL, NULL);
    bytes_free(&content);
    folder_close(&folder);
    return record;
}

/* What a file is called in the folder of a record, where one name is the record's own. */
static const char *name_in_record(const char *name)
{
    return strcmp(name, HISTORY_RECORD) == 0 ? "@record" : name;
}

bool history_before(const struct history *history, uint64_t number, const char *name,
                    struct bytes *content)
{
    struct folder folder;
    *content = (struct bytes){0};
    if (!history_open_record(history, number, &folder))
        return false;
    bool good =
        file_read(&folder, name_in_record(name), JSON_MAX_TEXT_BYTES, content, NULL) == ERROR_OK;
    folder_close(&folder);
    return good;
}

size_t history_numbers(const struct history *history, uint64_t **numbers)
{
    char **names;
    size_t count = 0;
    size_t all = folder_list(&history->folder, &names);
    *numbers = memory_new((all + 1) * sizeof(**numbers));
    for (size_t i = 0; i < all; i++) {
        char *path = memory_format("%s/%s/" HISTORY_RECORD, history->folder.path, names[i]);
        if (parse_number(names[i], &(*numbers)[count]) && access(path, F_OK) == 0)
            count++;
        free(path);
    }
    memory_free_texts(names, all);
    return count;
}

/* -- Recording --------------------------------------------------------------------------------- */

/* A file that is another than it was. */
struct difference {
    char *name;
    bool was_there;
    bool is_there;
    struct bytes before;
    struct bytes now;
};

struct differences {
    struct difference *items;
    size_t count;
};

static void difference_fini(struct difference *one)
{
    free(one->name);
    bytes_free(&one->before);
    bytes_free(&one->now);
}

static void differences_fini(struct differences *differences)
{
    for (size_t i = 0; i < differences->count; i++)
        difference_fini(&differences->items[i]);
    free(differences->items);
}

static bool set_shadow(const struct history *history, const char *name, bool is_there,
                       const struct bytes *content, struct error_text *why)
{
    return is_there ? file_replace(&history->shadow, &history->shadow, name, bytes_slice(content),
                                   &KEPT, why) == ERROR_OK
                    : file_remove(&history->shadow, name, why) == ERROR_OK;
}

static bool follow(const struct history *history, const struct difference *one,
                   struct error_text *why)
{
    struct stat about;
    char *path = history_path(history, one->name);
    bool good = set_shadow(history, one->name, one->is_there, &one->now, why);
    if (good && one->is_there && stat(path, &about) == 0) {
        const struct timespec times[] = {about.st_atim, about.st_mtim};
        /* Without the time, the file is compared as a whole the next time. */
        (void)!utimensat(history->shadow.fd, one->name, times, 0);
    }
    free(path);
    return good;
}

static bool follow_all(const struct history *history, const struct differences *differences,
                       struct error_text *why)
{
    size_t done = 0;
    while (done < differences->count && follow(history, &differences->items[done], why))
        done++;
    if (done == differences->count)
        return true;
    while (done-- > 0) {
        const struct difference *one = &differences->items[done];
        (void)!set_shadow(history, one->name, one->was_there, &one->before, NULL);
    }
    return false;
}

/* NULL: it is none of those that nobody knows to have been read ever. */
static char **find_unread(const struct history *history, const char *name)
{
    for (size_t i = 0; i < history->unread_count; i++)
        if (strcmp(history->unread[i], name) == 0)
            return &history->unread[i];
    return NULL;
}

static void fail(struct history *history, const struct error_text *why)
{
    history->is_behind = true;
    log_event(LOG_ERROR, "history_failed", LOG_TEXT("reason", why->text),
              LOG_TEXT("so", "until it can be recorded, this change cannot be rolled back"));
}

/* It was there before: to take it away would not be the way back. It is known from here on. */
static void take_unread(struct history *history, char **unread, const struct difference *one)
{
    struct error_text why;
    if (!follow(history, one, &why)) {
        fail(history, &why);
        return;
    }
    free(*unread);
    *unread = history->unread[--history->unread_count];
}

static void compare(struct history *history, const char *name, struct differences *differences)
{
    struct difference one = {.name = NULL};
    struct error_text why;
    char *path = history_path(history, name);
    one.is_there = history_read_present(path, &one.now);
    enum error error = history_read_shadow(history, name, &one.before, &why);
    one.was_there = error == ERROR_OK;
    struct slice now = bytes_slice(&one.now);
    /* What is newer than what was read is the next reading's, which tells whose tenants it changed.
     */
    bool is_read = sources_have_read(publisher_sources(history->live->publisher), path,
                                     one.is_there ? &now : NULL);
    free(path);
    /* A rollback would take away what "was not there". */
    bool is_known = error == ERROR_OK || error == ERROR_NOT_FOUND;
    if (is_read && !is_known)
        fail(history, &why);
    if (!is_read || !is_known ||
        (one.is_there == one.was_there && slice_equal(bytes_slice(&one.before), now))) {
        bytes_free(&one.before);
        bytes_free(&one.now);
        return;
    }
    one.name = memory_copy_text(slice_of(name));
    char **unread = one.was_there ? NULL : find_unread(history, name);
    if (unread != NULL) {
        take_unread(history, unread, &one);
        difference_fini(&one);
        return;
    }
    differences->items =
        memory_resize(differences->items, differences->count + 1, sizeof(*differences->items));
    differences->items[differences->count++] = one;
}

/* Size and time tell most that are the same: a shadow has its file's. */
static bool looks_same(const struct history *history, const char *name)
{
    struct stat present, shadow;
    char *path = history_path(history, name);
    bool same = stat(path, &present) == 0 && fstatat(history->shadow.fd, name, &shadow, 0) == 0 &&
                present.st_size == shadow.st_size &&
                present.st_mtim.tv_sec == shadow.st_mtim.tv_sec &&
                present.st_mtim.tv_nsec == shadow.st_mtim.tv_nsec;
    free(path);
    return same;
}

/* Every file that is there, and every one that was. */
static void compare_all(struct history *history, struct differences *differences)
{
    const struct configuration *configuration = publisher_configuration(history->live->publisher);
    char **paths = NULL;
    char **names;
    size_t count = 0;
    if (configuration->tenants_dir == NULL ||
        tenant_files_list(configuration->tenants_dir, &paths, &count, NULL) != ERROR_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = name_of(history, paths[i]);
        if (name != NULL && !looks_same(history, name))
            compare(history, name, differences);
        free(paths[i]);
    }
    free(paths);
    if (!looks_same(history, HISTORY_GLOBAL))
        compare(history, HISTORY_GLOBAL, differences);
    size_t shadows = folder_list(&history->shadow, &names);
    for (size_t i = 0; i < shadows; i++) {
        char *path = history_path(history, names[i]);
        if (access(path, F_OK) != 0)
            compare(history, names[i], differences);
        free(path);
    }
    memory_free_texts(names, shadows);
}

static struct json *files_json(const struct differences *differences)
{
    struct json *files = json_new_array();
    for (size_t i = 0; i < differences->count; i++) {
        const struct difference *one = &differences->items[i];
        struct json *file = json_new_object();
        char hash[17];
        json_put_text(file, "name", slice_of(one->name));
        json_put_null(file, "before");
        json_put_null(file, "after");
        if (one->was_there) {
            history_hash(bytes_slice(&one->before), hash);
            json_put_text(file, "before", slice_of(hash));
        }
        if (one->is_there) {
            history_hash(bytes_slice(&one->now), hash);
            json_put_text(file, "after", slice_of(hash));
        }
        json_append(files, file);
    }
    return files;
}

static struct json *record_json(const struct history *history, const struct reading *reading,
                                const struct differences *differences)
{
    const struct origin *origin = reading->origin;
    struct json *record = json_new_object();
    struct json *tenants = json_new_array();
    json_put_integer(record, "id", (int64_t)history->last + 1);
    json_put_integer(record, "when", clock_wall_s());
    json_put_integer(record, "generation", (int64_t)reading->generation);
    json_put_text(record, "by", slice_of(origin->by));
    json_put_text(record, "who",
                  origin->who != NULL ? slice_of(origin->who) : SLICE("whoever wrote the files"));
    if (origin->what != NULL)
        json_put_text(record, "what", slice_of(origin->what));
    for (size_t i = 0; i < reading->tenant_count; i++)
        json_append_text(tenants, slice_of(reading->tenants[i]));
    json_put(record, "tenants", tenants);
    json_put(record, "files", files_json(differences));
    return record;
}

/* The files as they were first, then what makes it a record. */
static bool write_record(struct history *history, const struct reading *reading,
                         const struct differences *differences, struct error_text *why)
{
    struct folder folder;
    if (!make_record(history, history->last + 1, &folder, why))
        return false;
    bool good = true;
    for (size_t i = 0; good && i < differences->count; i++)
        if (differences->items[i].was_there)
            good = file_replace(&folder, &folder, name_in_record(differences->items[i].name),
                                bytes_slice(&differences->items[i].before), &KEPT, why) == ERROR_OK;
    if (good) {
        struct json *record = record_json(history, reading, differences);
        char *text = json_print(record, JSON_STYLE_INDENTED);
        good =
            file_replace(&folder, &folder, HISTORY_RECORD, slice_of(text), &KEPT, why) == ERROR_OK;
        free(text);
        json_free(record);
    }
    folder_close(&folder);
    if (!good)
        history_remove_record(history, history->last + 1);
    history->last += good;
    return good;
}

/* What a record of them takes, and the shadows that are written anew beside it. */
static uint64_t record_bytes(const struct differences *differences, uint64_t *beside)
{
    uint64_t bytes = HISTORY_FILE_BYTES;
    *beside = 0;
    for (size_t i = 0; i < differences->count; i++) {
        bytes += HISTORY_FILE_BYTES + bytes_slice(&differences->items[i].before).size;
        *beside += HISTORY_FILE_BYTES + bytes_slice(&differences->items[i].now).size;
    }
    return bytes;
}

static void record(struct history *history, const struct reading *reading,
                   const struct differences *differences)
{
    struct error_text why;
    uint64_t beside;
    uint64_t bytes = record_bytes(differences, &beside);
    bool good = history_make_room(history, bytes, beside, &why) &&
                write_record(history, reading, differences, &why);
    if (good && !follow_all(history, differences, &why)) {
        /* The next record of these files begins where the shadows are: before this one. */
        history_remove_record(history, history->last--);
        good = false;
    }
    if (good)
        history->bytes += bytes;
    else
        fail(history, &why);
}

static void settle(struct history *history, const struct reading *reading,
                   struct differences *differences)
{
    if (differences->count > 0)
        record(history, reading, differences);
    differences_fini(differences);
    *differences = (struct differences){0};
}

void history_look(struct history *history, const struct reading *reading)
{
    struct differences differences = {0};
    if (history == NULL)
        return;
    /* A look at the whole folder passes over a file that may still be in the making, which a
     * reading of its own then tells: what brought nothing is not a change yet. What could not be
     * recorded comes first: behind other files' changes it would be one of later on. */
    bool is_of_all = reading->paths == NULL && reading->published;
    if (is_of_all || (reading->paths != NULL && history->is_behind)) {
        history->is_behind = false;
        compare_all(history, &differences);
        settle(history, reading, &differences);
    }
    if (reading->paths == NULL || history->is_behind)
        return;
    for (size_t i = 0; i < reading->path_count; i++) {
        const char *name = name_of(history, reading->paths[i]);
        if (name != NULL)
            compare(history, name, &differences);
    }
    settle(history, reading, &differences);
}

bool history_catch_up(struct history *history)
{
    static const struct origin LATE = {.by = "watch", .what = "could not be recorded at once"};
    const struct reading reading = {.origin = &LATE,
                                    .generation =
                                        publisher_snapshot(history->live->publisher)->generation,
                                    .published = true};
    if (history->is_behind)
        history_look(history, &reading);
    return !history->is_behind;
}

/* -- Life -------------------------------------------------------------------------------------- */

static void note_unread(void *context, const char *path)
{
    struct history *history = context;
    const char *name = name_of(history, path);
    struct stat about;
    if (name == NULL || fstatat(history->shadow.fd, name, &about, 0) == 0)
        return;
    history->unread =
        memory_resize(history->unread, history->unread_count + 1, sizeof(*history->unread));
    history->unread[history->unread_count++] = memory_copy_text(slice_of(name));
}

static bool is_hash_of(const struct json *hash, bool is_there, const struct bytes *content)
{
    char text[17];
    struct slice told;
    if (!is_there || !json_read_text(hash, &told))
        return !is_there && !json_read_text(hash, &told);
    history_hash(bytes_slice(content), text);
    return slice_equal(told, slice_of(text));
}

/* Whether it is the record's own: the end came before its shadow followed. */
static bool is_recorded(const struct json *record, const struct difference *one)
{
    const struct json *files = json_get(record, "files");
    for (size_t i = 0; i < json_count(files); i++) {
        const struct json *file = json_at(files, i);
        struct slice name;
        if (json_read_text(json_get(file, "name"), &name) && slice_equal(name, slice_of(one->name)))
            return is_hash_of(json_get(file, "before"), one->was_there, &one->before) &&
                   is_hash_of(json_get(file, "after"), one->is_there, &one->now);
    }
    return false;
}

static void leave_out_recorded(const struct history *history, struct differences *differences)
{
    struct json *last = history_record(history, history->last);
    size_t left = 0;
    for (size_t i = 0; i < differences->count; i++) {
        struct difference *one = &differences->items[i];
        if (is_recorded(last, one) && follow(history, one, NULL))
            difference_fini(one);
        else
            differences->items[left++] = *one;
    }
    differences->count = left;
    json_free(last);
}

/* What is there at the start: recorded when it is another than at the last end. */
static void begin(struct history *history)
{
    static const struct origin START = {.by = "start", .what = "changed while nobody looked"};
    struct error_text why;
    struct differences differences = {0};
    char **names;
    size_t shadows = folder_list(&history->shadow, &names);
    memory_free_texts(names, shadows);
    compare_all(history, &differences);
    leave_out_recorded(history, &differences);
    const struct reading reading = {
        .origin = &START, .generation = publisher_snapshot(history->live->publisher)->generation};
    if (shadows > 0 && differences.count > 0)
        record(history, &reading, &differences);
    for (size_t i = 0; shadows == 0 && i < differences.count; i++)
        if (!follow(history, &differences.items[i], &why)) {
            log_event(LOG_ERROR, "history_failed", LOG_TEXT("reason", why.text));
            break;
        }
    differences_fini(&differences);
    sources_each_unreadable(publisher_sources(history->live->publisher), note_unread, history);
}

/* A history is of one configuration: to go back in another's would put its tenants among ours. */
static bool is_of_this(const struct history *history, struct error_text *why)
{
    struct bytes of = {0};
    const char *path = publisher_configuration(history->live->publisher)->path;
    char *whole = realpath(path, NULL);
    struct slice ours = slice_of(whole != NULL ? whole : path);
    enum error error = file_read(&history->folder, "of", PATH_MAX, &of, why);
    if (error == ERROR_NOT_FOUND)
        error = file_replace(&history->folder, &history->folder, "of", ours, &KEPT, why);
    else if (error == ERROR_OK && !slice_equal(bytes_slice(&of), ours))
        error = error_set(
            why, ERROR_EXISTS,
            "%s is the history of %.*s: tell another \"acme\".\"state_dir\", or remove it",
            history->folder.path, SLICE_PRINT(bytes_slice(&of)));
    bytes_free(&of);
    free(whole);
    return error == ERROR_OK;
}

static bool open_folders(struct history *history, const char *state_dir, struct error_text *why)
{
    struct folder state;
    char *folder = memory_format("%s/history", state_dir);
    char *shadow = memory_format("%s/shadow", folder);
    bool good = folder_open(&state, state_dir, 0700, why) == ERROR_OK &&
                folder_open(&history->folder, folder, 0700, why) == ERROR_OK &&
                folder_open(&history->shadow, shadow, 0700, why) == ERROR_OK;
    folder_close(&state);
    if (good && flock(history->folder.fd, LOCK_EX | LOCK_NB) != 0) {
        error_set_errno(why, "another daemon has %s", folder);
        good = false;
    }
    good = good && is_of_this(history, why);
    free(shadow);
    free(folder);
    return good;
}

struct history *history_open(struct main_loop *main_loop, const char *state_dir,
                             const struct live *live, struct error_text *why)
{
    struct history *history = memory_new(sizeof(*history));
    uint64_t *numbers;
    history->live = live;
    if (!open_folders(history, state_dir, why)) {
        history_close(history);
        return NULL;
    }
    folder_sweep(&history->shadow);
    size_t count = history_numbers(history, &numbers);
    history->last = count > 0 ? numbers[count - 1] : 0;
    free(numbers);
    history_watch_room(history, main_loop);
    begin(history);
    return history;
}

void history_close(struct history *history)
{
    if (history == NULL)
        return;
    main_timer_free(history->room_timer);
    memory_free_texts(history->unread, history->unread_count);
    folder_close(&history->shadow);
    folder_close(&history->folder);
    free(history);
}
