/* The admin interface: what was changed by whom, and the way back. */
#include "changes/change_operations.h"

#include "core/decimal.h"
#include "core/file_path.h"
#include "core/hash.h"
#include "core/memory.h"
#include "history_shared.h"
#include "rollback_check.h"
#include "sources/sources.h"
#include "tenant_edit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { DIFFERENCES_MAX = 100 };

static struct history *history_of(void *context, struct admin_answer *answer)
{
    const struct live *live = context;
    if (live->history == NULL)
        admin_refuse(answer, 409,
                     "no history is kept: the log says why (history_off); it needs \"acme\": "
                     "{\"state_dir\": ...} to be a folder that the service can write");
    return live->history;
}

static void list_history(void *context, const struct admin_request *request,
                         struct admin_answer *answer)
{
    const struct history *history = history_of(context, answer);
    uint64_t *numbers;
    (void)request;
    if (history == NULL)
        return;
    struct json *list = json_new_array();
    size_t count = history_numbers(history, &numbers);
    for (size_t i = count; i-- > 0;) {
        struct json *record = history_record(history, numbers[i]);
        if (record != NULL)
            json_append(list, record);
    }
    free(numbers);
    json_put(admin_answer_body(answer), "history", list);
}

/* -- One record -------------------------------------------------------------------------------- */

/* The names of the files that a record changed. */
static size_t files_of(const struct json *record, char ***names)
{
    const struct json *files = json_get(record, "files");
    size_t count = 0;
    *names = memory_new((json_count(files) + 1) * sizeof(**names));
    for (size_t i = 0; i < json_count(files); i++) {
        struct slice name;
        if (json_read_text(json_get(json_at(files, i), "name"), &name) && !slice_has(name, '/'))
            (*names)[count++] = memory_copy_text(name);
    }
    return count;
}

/* For each file of a record, by their sorted names, the next record that changed it, too; 0: none.
 * For free(). */
static uint64_t *find_next(const struct history *history, uint64_t number, char **names,
                           size_t count)
{
    uint64_t *found = memory_new((count + 1) * sizeof(*found));
    for (uint64_t next = number + 1; next <= history->last; next++) {
        struct json *record = history_record(history, next);
        char **others;
        size_t other_count = files_of(record, &others);
        for (size_t i = 0; i < other_count; i++) {
            char **same = bsearch(&others[i], names, count, sizeof(*names), memory_compare_texts);
            if (same != NULL && found[same - names] == 0)
                found[same - names] = next;
        }
        memory_free_texts(others, other_count);
        json_free(record);
    }
    return found;
}

/* How a file was before the next record that changed it, or is. */
static struct json *before_next(const struct history *history, uint64_t next, const char *name)
{
    struct bytes content;
    struct json *root = NULL;
    if (next > 0 ? history_before(history, next, name, &content)
                 : history_read_shadow(history, name, &content, NULL) == ERROR_OK)
        root = json_parse(bytes_slice(&content), JSON_MAX_TEXT_BYTES, NULL, NULL);
    bytes_free(&content);
    return root;
}

static void put_difference(struct json *list, struct slice name, const struct json *before,
                           const struct json *now)
{
    struct json *one = json_new_object();
    json_put_text(one, "tenant", name);
    if (before != NULL)
        json_put(one, "before", json_clone(before));
    if (now != NULL)
        json_put(one, "after", json_clone(now));
    json_append(list, one);
}

/* The tenants whose objects are not the same. */
static void compare_tenants(const struct json *before, const struct json *now, struct json *list)
{
    const struct json *old_ones = json_get(before, "tenants");
    const struct json *new_ones = json_get(now, "tenants");
    for (struct json_member m = {0}; json_next(old_ones, &m);) {
        char *name = memory_copy_text(m.key);
        const struct json *other = json_get(new_ones, name);
        if (!json_same(m.value, other) && json_count(list) < DIFFERENCES_MAX)
            put_difference(list, m.key, m.value, other);
        free(name);
    }
    for (struct json_member m = {0}; json_next(new_ones, &m);) {
        char *name = memory_copy_text(m.key);
        if (json_get(old_ones, name) == NULL && json_count(list) < DIFFERENCES_MAX)
            put_difference(list, m.key, NULL, m.value);
        free(name);
    }
}

static void show_record(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    const struct history *history = history_of(context, answer);
    uint64_t number;
    if (history == NULL)
        return;
    struct json *record = decimal_parse(request->item, HISTORY_NUMBER_DIGITS, &number)
                              ? history_record(history, number)
                              : NULL;
    if (record == NULL) {
        admin_refuse(answer, 404, "there is no such change; `owui-spoa history` lists them");
        return;
    }
    char **names;
    struct json *differences = json_new_array();
    size_t count = files_of(record, &names);
    if (count > 0)
        qsort(names, count, sizeof(*names), memory_compare_texts);
    uint64_t *next = find_next(history, number, names, count);
    for (size_t i = 0; i < count && json_count(differences) < DIFFERENCES_MAX; i++) {
        struct bytes content;
        struct json *before = NULL;
        if (history_before(history, number, names[i], &content))
            before = json_parse(bytes_slice(&content), JSON_MAX_TEXT_BYTES, NULL, NULL);
        struct json *now = before_next(history, next[i], names[i]);
        compare_tenants(before, now, differences);
        json_free(before);
        json_free(now);
        bytes_free(&content);
    }
    free(next);
    memory_free_texts(names, count);
    json_put(record, "differences", differences);
    answer->body = record;
}

/* -- The way back ------------------------------------------------------------------------------ */

/* A file that is to be as it was, and what is there now. */
struct target {
    char *name;
    char *path;
    bool was_there, is_there;
    struct bytes content, present;
    struct file_stamp stamp; /* of what is there, ours or not */
};

struct way_back {
    const struct history *history;
    struct target *items;
    size_t count;
    uint32_t *slots;   /* while records are looked through: by the hash of a name, its index + 1 */
    size_t slot_count; /* a power of two, more than twice the count; or 0 */
    size_t unread_count; /* behind them: files that are as they were then, which nobody has read */
};

static void target_fini(struct target *target)
{
    free(target->name);
    free(target->path);
    bytes_free(&target->content);
    bytes_free(&target->present);
}

static void way_back_fini(struct way_back *way)
{
    for (size_t i = 0; i < way->count + way->unread_count; i++)
        target_fini(&way->items[i]);
    free(way->items);
    free(way->slots);
}

/* The name's slot: its own, or the empty one that it is to have. */
static uint32_t *slot_for(const struct way_back *way, const char *name)
{
    size_t at = hash_bytes(slice_of(name)) & (way->slot_count - 1);
    while (way->slots[at] != 0 && strcmp(way->items[way->slots[at] - 1].name, name) != 0)
        at = (at + 1) & (way->slot_count - 1);
    return &way->slots[at];
}

static void grow_slots(struct way_back *way)
{
    way->slot_count = way->slot_count * 2 + (way->slot_count == 0 ? 64 : 0);
    free(way->slots);
    way->slots = memory_new(way->slot_count * sizeof(*way->slots));
    for (size_t i = 0; i < way->count; i++)
        *slot_for(way, way->items[i].name) = (uint32_t)i + 1;
}

static struct target *target_for(struct way_back *way, const char *name)
{
    if (way->slot_count <= 2 * way->count)
        grow_slots(way);
    uint32_t *slot = slot_for(way, name);
    if (*slot != 0)
        return &way->items[*slot - 1];
    way->items = memory_resize(way->items, way->count + 1, sizeof(*way->items));
    way->items[way->count] = (struct target){.name = memory_copy_text(slice_of(name)),
                                             .path = history_path(way->history, name)};
    *slot = (uint32_t)++way->count;
    return &way->items[way->count - 1];
}

/* False when the record does not have the file as it was, though there was one. */
static bool take_before(struct way_back *way, uint64_t number, const struct json *file)
{
    struct slice name, hash;
    if (!json_read_text(json_get(file, "name"), &name) || slice_has(name, '/') ||
        slice_equal(name, SLICE(HISTORY_GLOBAL)))
        return true;
    char *text = memory_copy_text(name);
    struct target *target = target_for(way, text);
    bytes_free(&target->content);
    target->was_there = history_before(way->history, number, text, &target->content);
    free(text);
    return target->was_there || !json_read_text(json_get(file, "before"), &hash);
}

/* Undoes one record after the other, the latest first: what is left is as before the oldest. The
 * global file is not the service's to write. False when a record is missing. */
static bool find_way_back(struct way_back *way, uint64_t to)
{
    for (uint64_t number = way->history->last; number > to; number--) {
        struct json *record = history_record(way->history, number);
        const struct json *files = json_get(record, "files");
        bool good = record != NULL;
        for (size_t i = 0; good && i < json_count(files); i++)
            good = take_before(way, number, json_at(files, i));
        json_free(record);
        if (!good)
            return false;
    }
    return true;
}

/* The global file as it was before a record, or is: NULL when it is not in there, or was no JSON.
 */
static struct json *global_before(const struct history *history, uint64_t number)
{
    struct bytes content;
    struct json *root = NULL;
    bool is_there = number <= history->last
                        ? history_before(history, number, HISTORY_GLOBAL, &content)
                        : history_read_shadow(history, HISTORY_GLOBAL, &content, NULL) == ERROR_OK;
    if (is_there)
        root = json_parse(bytes_slice(&content), JSON_MAX_TEXT_BYTES, NULL, NULL);
    bytes_free(&content);
    return root;
}

/* The folder of tenants that a global file names; for free(). */
static char *folder_of(const struct history *history, const struct json *global)
{
    struct slice name = SLICE("tenants.d");
    (void)!json_read_text(json_get(global, "tenants_dir"), &name);
    return file_path_beside(publisher_configuration(history->live->publisher)->path, name);
}

static bool has_same_folder(const struct history *history, const struct json *one,
                            const struct json *other)
{
    char *folder = folder_of(history, one);
    char *other_folder = folder_of(history, other);
    bool same = strcmp(folder, other_folder) == 0;
    free(other_folder);
    free(folder);
    return same;
}

/* Records have files' names alone: those of another folder would be written into this one, and
 * this one's own removed. */
static bool is_same_folder(const struct history *history, uint64_t to, struct admin_answer *answer)
{
    struct json *present = global_before(history, history->last + 1);
    bool same = true;
    for (uint64_t number = history->last; present != NULL && same && number > to; number--) {
        struct json *before = global_before(history, number);
        same = before == NULL || has_same_folder(history, before, present);
        json_free(before);
        if (!same)
            admin_refuse(answer, 409,
                         "change %" PRIu64 " made \"tenants_dir\" another folder: what was before "
                         "cannot be gone back to, since it was in files elsewhere",
                         number);
    }
    json_free(present);
    return same;
}

static bool is_same(const struct target *target)
{
    return target->is_there == target->was_there &&
           slice_equal(bytes_slice(&target->present), bytes_slice(&target->content));
}

static bool has_been_read(const struct way_back *way, const struct target *target)
{
    struct slice present = bytes_slice(&target->present);
    return sources_have_read(publisher_sources(way->history->live->publisher), target->path,
                             target->is_there ? &present : NULL);
}

/* What is as it was then already is not written, and not told. */
static void leave_out_same(struct way_back *way)
{
    size_t all = way->count;
    way->count = 0;
    for (size_t i = 0; i < all; i++) {
        struct target target = way->items[i];
        target.stamp = file_stamp_read(target.path);
        target.is_there = history_read_present(target.path, &target.present);
        if (!is_same(&target)) {
            way->items[i] = way->items[way->count];
            way->items[way->count++] = target;
        } else {
            way->items[i] = target;
        }
    }
    for (size_t i = way->count; i < all; i++) {
        if (has_been_read(way, &way->items[i]))
            target_fini(&way->items[i]);
        else
            way->items[way->count + way->unread_count++] = way->items[i];
    }
}

/* A file that is another than the history knows was changed by somebody who has not been seen yet.
 */
static bool is_as_known(const struct history *history, const struct target *target)
{
    struct bytes known;
    bool was_there = history_read_shadow(history, target->name, &known, NULL) == ERROR_OK;
    bool equal = target->is_there == was_there &&
                 slice_equal(bytes_slice(&target->present), bytes_slice(&known));
    bytes_free(&known);
    return equal;
}

/* Who changes the file after it was looked at keeps it. */
static enum error put(struct target *target, bool is_to_be_there, struct slice content,
                      struct error_text *why)
{
    const char *path = target->path;
    enum error error = ERROR_OK;
    if (is_to_be_there)
        error = tenant_file_write(path, content, &target->stamp, why);
    else if (access(path, F_OK) == 0)
        error = tenant_file_remove(path, &target->stamp, why);
    if (error == ERROR_OK)
        target->stamp = file_stamp_read(path);
    return error;
}

static enum error put_file(struct target *target, struct error_text *why)
{
    return put(target, target->was_there, bytes_slice(&target->content), why);
}

static enum error put_back(struct target *target)
{
    return put(target, target->is_there, bytes_slice(&target->present), NULL);
}

/* All or nothing, as far as a disk can promise: when one cannot be written, those before it are put
 * back. `*left` is one that could not be put back either; NULL: none. */
static enum error write_files(struct way_back *way, const char **left, struct error_text *why)
{
    enum error error = ERROR_OK;
    size_t done = 0;
    *left = NULL;
    for (; done < way->count; done++) {
        error = put_file(&way->items[done], why);
        if (error != ERROR_OK)
            break;
    }
    for (size_t i = 0; error != ERROR_OK && i < done; i++)
        if (put_back(&way->items[i]) != ERROR_OK)
            *left = way->items[i].path;
    return error;
}

static void publish(const struct live *live, const struct way_back *way, uint64_t to,
                    const struct admin_peer *peer)
{
    char *who = live_who(peer);
    char *what = memory_format("roll back to %" PRIu64, to);
    size_t count = way->count + way->unread_count;
    char **paths = memory_new((count + 1) * sizeof(*paths));
    const struct origin origin = {.by = "admin", .who = who, .what = what};
    for (size_t i = 0; i < count; i++)
        paths[i] = way->items[i].path;
    publisher_files_written(live->publisher, paths, count, &origin);
    free(paths);
    free(what);
    free(who);
}

/* Before anything is written. */
static bool may_be_written(const struct live *live, const struct way_back *way, bool force,
                           struct admin_answer *answer)
{
    for (size_t i = 0; i < way->count; i++) {
        const struct target *target = &way->items[i];
        if (!force && !is_as_known(way->history, target)) {
            admin_refuse(answer, 409,
                         "%s has been changed by somebody in the meantime: look at it, or "
                         "overwrite it with --force",
                         target->path);
            return false;
        }
        if (target->was_there &&
            !rollback_check(live, target->path, bytes_slice(&target->content), answer))
            return false;
    }
    return true;
}

static void perform(const struct live *live, struct way_back *way, uint64_t to, bool force,
                    const struct admin_request *request, struct admin_answer *answer)
{
    struct error_text why;
    const char *left;
    leave_out_same(way);
    if (!may_be_written(live, way, force, answer))
        return;
    enum error error = write_files(way, &left, &why);
    if (error != ERROR_OK) {
        if (left == NULL)
            admin_refuse(answer, tenant_file_status(error), "nothing is changed: %s", why.text);
        else
            admin_refuse(answer, 507,
                         "%s could not be put back: it is as it was then, or somebody has changed "
                         "it since: %s",
                         left, why.text);
        return;
    }
    if (way->count + way->unread_count > 0)
        publish(live, way, to, &request->peer);
    struct json *files = json_new_array();
    struct json *body = admin_answer_body(answer);
    for (size_t i = 0; i < way->count; i++)
        json_append_text(files, slice_of(way->items[i].path));
    json_put_integer(body, "to", (int64_t)to);
    json_put_integer(body, "id", (int64_t)way->history->last);
    json_put(body, "files", files);
    live_put_generation(body, live);
}

/* Whether nothing came after what was looked at; who does not tell what it was takes all. */
static bool is_last(const struct history *history, const struct admin_request *request,
                    struct admin_answer *answer)
{
    uint64_t number;
    struct slice last = admin_query_value(request->query, "last");
    if (last.size == 0 ||
        (decimal_parse(last, HISTORY_NUMBER_DIGITS, &number) && number == history->last))
        return true;
    admin_refuse(answer, 412,
                 "there has been another change since you looked, and %" PRIu64
                 " is the latest: look again at what would be undone",
                 history->last);
    return false;
}

static void roll_back(void *context, const struct admin_request *request,
                      struct admin_answer *answer)
{
    const struct live *live = context;
    struct history *history = history_of(context, answer);
    struct way_back way = {.history = history};
    uint64_t to;
    if (history == NULL)
        return;
    bool force = slice_equal(admin_query_value(request->query, "force"), SLICE("1"));
    if (!live->serving)
        admin_refuse(answer, 503, "the daemon is starting or stopping");
    else if (!history_catch_up(history) && !force)
        admin_refuse(answer, 507,
                     "nothing is changed: the last change could not be recorded, and would not be "
                     "undone; the log says why (history_failed)");
    else if (!decimal_parse(request->item, HISTORY_NUMBER_DIGITS, &to) || to > history->last ||
             !find_way_back(&way, to))
        admin_refuse(answer, 404,
                     "change %.*s cannot be gone back to: it must be one that `owui-spoa history` "
                     "lists, or the one before the oldest of them",
                     SLICE_PRINT(request->item));
    else if (is_last(history, request, answer) && is_same_folder(history, to, answer))
        perform(live, &way, to, force, request, answer);
    way_back_fini(&way);
}

const struct admin_operation HISTORY_OPERATIONS[] = {
    {"GET", "/v1/history", list_history, "tells who changed what, the latest first", ""},
    {"GET", "/v1/history/{}", show_record, "tells about one change, with what differs", ""},
    {"POST", "/v1/history/{}/rollback", roll_back, "makes the files what they were after it",
     "force=1 last=N"},
    {0},
};
