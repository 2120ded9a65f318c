/* HAProxy's maps over the Runtime API: see hap/runtime_map.h. */
#include "hap/runtime_map.h"

#include "core/memory.h"
#include "core/text_stream.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* What is kept of a command's room for an entry's words: "set map F K V" and around. */
    AROUND_BYTES = 64,
};

void runtime_map_free(struct runtime_map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->count; i++) {
        free(map->entries[i].key);
        free(map->entries[i].value);
    }
    free(map->entries);
    free(map);
}

static bool same_entry(const struct runtime_map_entry *a, const struct runtime_map_entry *b)
{
    return strcmp(a->key, b->key) == 0 && strcmp(a->value, b->value) == 0;
}

bool runtime_map_equal(const struct runtime_map *a, const struct runtime_map *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_entry(&a->entries[i], &b->entries[i]))
            return false;
    return true;
}

char *runtime_map_text(const struct runtime_map *map, const char *comment, size_t *size)
{
    struct text_stream stream;
    text_stream_open(&stream);
    fprintf(stream.out, "# %s\n", comment);
    for (size_t i = 0; i < map->count; i++)
        fprintf(stream.out, "%s %s\n", map->entries[i].key, map->entries[i].value);
    char *text = text_stream_close(&stream);
    *size = stream.size;
    return text;
}

/* -- Changes, one by one ---------------------------------------------------------------------- */

/* How the next key of the two maps compares: below 0, it is only in `before`; above, only in `now`.
 */
static int compare_next(const struct runtime_map_push *push)
{
    if (push->old_at == push->before->count)
        return 1;
    if (push->new_at == push->now->count)
        return -1;
    return strcmp(push->before->entries[push->old_at].key, push->now->entries[push->new_at].key);
}

enum change { CHANGE_NONE, CHANGE_DELETE, CHANGE_SET };

/* Goes on to the next difference. What is to be set is now->entries[new_at - 1], what is to go
 * before->entries[old_at - 1]. */
static enum change next_change(struct runtime_map_push *push)
{
    while (push->old_at < push->before->count || push->new_at < push->now->count) {
        int order = compare_next(push);
        const struct runtime_map_entry *old = &push->before->entries[push->old_at];
        const struct runtime_map_entry *new = &push->now->entries[push->new_at];
        push->old_at += order <= 0;
        push->new_at += order >= 0;
        if (order < 0)
            return CHANGE_DELETE;
        if (order > 0 || !same_entry(old, new))
            return CHANGE_SET;
    }
    return CHANGE_NONE;
}

/* Words of a command: what separates or quotes them would have to be escaped. */
static bool is_word(const char *text)
{
    return text[0] != '\0' && strpbrk(text, " \t\"'\\;<") == NULL;
}

/* Whether the changes are few and can be said in commands. */
static bool can_tell_changes(struct runtime_map_push *push)
{
    size_t count = 0;
    bool can = true;
    enum change change;
    if (push->before == NULL)
        return false;
    while (can && (change = next_change(push)) != CHANGE_NONE) {
        if (change == CHANGE_SET)
            can = is_word(push->now->entries[push->new_at - 1].value);
        can &= ++count <= RUNTIME_MAP_CHANGES_MAX;
    }
    push->old_at = push->new_at = 0;
    return can;
}

static void write_words(struct runtime_map_push *push, const char *words, const char *key,
                        const char *value, struct writer *command)
{
    writer_bytes(command, push->prefix);
    writer_bytes(command, slice_of(words));
    writer_bytes(command, push->file);
    if (key != NULL) {
        writer_u8(command, ' ');
        writer_bytes(command, slice_of(key));
    }
    if (value != NULL) {
        writer_u8(command, ' ');
        writer_bytes(command, slice_of(value));
    }
    writer_u8(command, '\n');
}

static enum runtime_step give_up(struct runtime_map_push *push, enum error error)
{
    push->state = MAP_END;
    push->error = error;
    return RUNTIME_FAILED;
}

static enum runtime_step send(struct runtime_map_push *push, enum runtime_map_state state,
                              const struct writer *command)
{
    push->state = state;
    if (!command->failed)
        return RUNTIME_SEND;
    error_set(&push->reason, ERROR_TOO_BIG, "an entry of the map is too long");
    return give_up(push, ERROR_TOO_BIG);
}

static enum runtime_step tell_next_change(struct runtime_map_push *push, struct writer *command)
{
    switch (next_change(push)) {
    case CHANGE_DELETE:
        push->deleting = true;
        write_words(push, "del map ", push->before->entries[push->old_at - 1].key, NULL, command);
        return send(push, MAP_CHANGE, command);
    case CHANGE_SET: {
        push->deleting = false;
        push->pending = push->new_at - 1;
        const struct runtime_map_entry *entry = &push->now->entries[push->pending];
        write_words(push, "set map ", entry->key, entry->value, command);
        return send(push, MAP_CHANGE, command);
    }
    case CHANGE_NONE: break;
    }
    push->state = MAP_END;
    return RUNTIME_DONE;
}

/* -- As a whole ------------------------------------------------------------------------------- */

static size_t line_size(const struct runtime_map_entry *entry)
{
    return strlen(entry->key) + strlen(entry->value) + 2;
}

static size_t room_of(const struct runtime_map_push *push)
{
    return push->room != 0 ? push->room : (size_t)RUNTIME_COMMAND_MAX_BYTES;
}

/* The first entry that no command has room for; NULL: there is none. */
static const struct runtime_map_entry *find_too_long(const struct runtime_map_push *push)
{
    size_t around = push->prefix.size + push->file.size + AROUND_BYTES;
    for (size_t i = 0; i < push->now->count; i++)
        if (line_size(&push->now->entries[i]) + around > room_of(push))
            return &push->now->entries[i];
    return NULL;
}

/* Nothing is prepared that could not be filled. */
static enum runtime_step prepare(struct runtime_map_push *push, struct writer *command)
{
    const struct runtime_map_entry *too_long = find_too_long(push);
    if (too_long != NULL) {
        error_set(&push->reason, ERROR_TOO_BIG,
                  "the entry of %.260s is too long for a command: HAProxy's tune.bufsize allows "
                  "%zu bytes, its default %d",
                  too_long->key, room_of(push), RUNTIME_COMMAND_MAX_BYTES);
        return give_up(push, ERROR_TOO_BIG);
    }
    push->whole = true;
    push->filled = 0;
    write_words(push, "prepare map ", NULL, NULL, command);
    return send(push, MAP_PREPARE, command);
}

static void write_version(const struct runtime_map_push *push, const char *words,
                          struct writer *command)
{
    char number[24];
    writer_bytes(command, push->prefix);
    writer_bytes(command, slice_of(words));
    snprintf(number, sizeof(number), "@%llu ", (unsigned long long)push->version);
    writer_bytes(command, slice_of(number));
    writer_bytes(command, push->file);
}

/* As many entries as a command holds; the blank line ends them. */
static enum runtime_step fill(struct runtime_map_push *push, struct writer *command)
{
    if (push->filled == push->now->count) {
        write_version(push, "commit map ", command);
        writer_u8(command, '\n');
        return send(push, MAP_COMMIT, command);
    }
    write_version(push, "add map ", command);
    writer_bytes(command, SLICE(" <<\n"));
    do {
        const struct runtime_map_entry *entry = &push->now->entries[push->filled++];
        writer_bytes(command, slice_of(entry->key));
        writer_u8(command, ' ');
        writer_bytes(command, slice_of(entry->value));
        writer_u8(command, '\n');
    } while (push->filled < push->now->count &&
             writer_used(command) + line_size(&push->now->entries[push->filled]) + AROUND_BYTES <
                 room_of(push));
    writer_u8(command, '\n');
    return send(push, MAP_FILL, command);
}

/* What was prepared stays in HAProxy's memory until it is taken away. */
static enum runtime_step clear(struct runtime_map_push *push, struct writer *command)
{
    write_version(push, "clear map ", command);
    writer_u8(command, '\n');
    return send(push, MAP_CLEAR, command);
}

/* -- Answers ---------------------------------------------------------------------------------- */

static struct slice said(struct slice answer)
{
    while (answer.size > 0 && byte_is_one_of(answer.data[answer.size - 1], " \r\n"))
        answer.size--;
    while (answer.size > 0 && byte_is_one_of(answer.data[0], " \r\n"))
        answer = slice_skip(answer, 1);
    return answer;
}

static bool is_unknown_map(struct slice words)
{
    return slice_contains(words, SLICE("Unknown map identifier"));
}

static void keep_reason(struct runtime_map_push *push, struct slice words)
{
    if (is_unknown_map(words)) {
        push->error = ERROR_NOT_FOUND;
        error_set(&push->reason, push->error,
                  "HAProxy's configuration does not know the map %.*s: write it anew with "
                  "`owui-spoa haproxy-config`",
                  SLICE_PRINT(push->file));
    } else {
        push->error = ERROR_PROTOCOL;
        error_set(&push->reason, push->error, "HAProxy says \"%.*s\" to a change of the map %.*s",
                  SLICE_PRINT(runtime_said(words)), SLICE_PRINT(push->file));
    }
}

static enum runtime_step answer_change(struct runtime_map_push *push, struct slice words,
                                       struct writer *command)
{
    /* "entry not found." to `set map`, "Key not found." to `del map` */
    bool is_absent = slice_contains(words, SLICE("not found"));
    if (push->deleting && (words.size == 0 || is_absent)) {
        const struct runtime_map_entry *gone = &push->before->entries[push->old_at - 1];
        write_words(push, "get map ", gone->key, NULL, command);
        return send(push, MAP_LOOK, command);
    }
    if (words.size == 0)
        return tell_next_change(push, command);
    if (!is_absent || push->state == MAP_ADD_NEW)
        return prepare(push, command); /* it has something else than was thought */
    const struct runtime_map_entry *entry = &push->now->entries[push->pending];
    write_words(push, "add map ", entry->key, entry->value, command);
    return send(push, MAP_ADD_NEW, command);
}

/* Two agents that add a key at one time add it twice, and 3.4 deletes one of them. */
static enum runtime_step answer_look(struct runtime_map_push *push, struct slice words,
                                     struct writer *command)
{
    return slice_contains(words, SLICE("found=no")) ? tell_next_change(push, command)
                                                    : prepare(push, command);
}

static enum runtime_step answer_prepare(struct runtime_map_push *push, struct slice words,
                                        struct writer *command)
{
    const struct slice created = SLICE("New version created: ");
    char number[24] = "";
    if (!slice_starts_with(words, created) || words.size - created.size >= sizeof(number)) {
        keep_reason(push, words);
        return give_up(push, push->error);
    }
    memcpy(number, words.data + created.size, words.size - created.size);
    push->version = strtoull(number, NULL, 10);
    return fill(push, command);
}

enum runtime_step runtime_map_start(struct runtime_map_push *push, struct writer *command)
{
    push->error = ERROR_OK;
    push->old_at = push->new_at = push->pending = 0;
    push->whole = false;
    return can_tell_changes(push) ? tell_next_change(push, command) : prepare(push, command);
}

enum runtime_step runtime_map_broken(struct runtime_map_push *push, enum error error,
                                     const char *reason, struct writer *command)
{
    if (push->state == MAP_CLEAR)
        return give_up(push, push->error);
    push->error = error_set(&push->reason, error, "%s", reason);
    return push->state == MAP_FILL ? clear(push, command) : give_up(push, error);
}

enum runtime_step runtime_map_answer(struct runtime_map_push *push, struct slice answer,
                                     struct writer *command)
{
    struct slice words = said(answer);
    if (answer.size == 0)
        return runtime_map_broken(push, ERROR_CLOSED, "HAProxy has ended the connection unanswered",
                                  command);
    switch (push->state) {
    case MAP_CHANGE:
    case MAP_ADD_NEW:
        if (!is_unknown_map(words))
            return answer_change(push, words, command);
        keep_reason(push, words);
        return give_up(push, push->error);
    case MAP_LOOK: return answer_look(push, words, command);
    case MAP_PREPARE: return answer_prepare(push, words, command);
    case MAP_FILL:
        if (words.size == 0)
            return fill(push, command);
        keep_reason(push, words);
        return clear(push, command);
    case MAP_COMMIT:
        push->state = MAP_END;
        if (words.size == 0)
            return RUNTIME_DONE;
        keep_reason(push, words);
        return RUNTIME_FAILED;
    case MAP_CLEAR: return give_up(push, push->error);
    case MAP_END: break;
    }
    assert(!"the machine has ended");
    return RUNTIME_FAILED;
}
