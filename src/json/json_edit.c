/* Changes of one member in a text: see json/json_edit.h. */
#include "json/json_edit.h"

#include "core/text_stream.h"

#include <stdio.h>
#include <stdlib.h>

/* What is longer in one line is put on lines of its own, where the others are. */
enum { LINE_MAX_CHARACTERS = 72 };

static void put(struct text_stream *out, struct slice text)
{
    if (text.size > 0)
        fwrite(text.data, 1, text.size, out->out);
}

char *json_edit_pointer(struct slice pointer, struct slice key)
{
    struct text_stream out;
    text_stream_open(&out);
    put(&out, pointer);
    put(&out, SLICE("/"));
    for (size_t i = 0; i < key.size; i++) {
        if (key.data[i] == '~')
            put(&out, SLICE("~0"));
        else if (key.data[i] == '/')
            put(&out, SLICE("~1"));
        else
            put(&out, slice_from(key.data + i, 1));
    }
    return text_stream_close(&out);
}

/* The members of an object, as far as an edit has to know them. */
struct members {
    struct json_position object;
    size_t count;
    size_t first_key; /* offset */
    size_t last_value_end;
    /* Of the one that is meant: */
    bool found;
    struct json_position key;
    struct json_position value;
    size_t before_end; /* where the value before it ends */
    size_t next_key;   /* offset of the key behind it; 0: none */
};

static size_t end_of(const struct json_position *place)
{
    return place->offset + place->size;
}

static bool find_members(struct slice text, struct slice pointer, struct slice key,
                         struct members *members)
{
    *members = (struct members){0};
    if (!json_locate(text, pointer, JSON_PART_VALUE, &members->object) ||
        text.data[members->object.offset] != '{')
        return false;
    char *path = json_edit_pointer(pointer, key);
    members->found = json_locate(text, slice_of(path), JSON_PART_KEY, &members->key) &&
                     json_locate(text, slice_of(path), JSON_PART_VALUE, &members->value);
    free(path);
    struct json_walk walk = json_walk_start(text, &members->object);
    while (json_walk_next(&walk)) {
        bool is_it = members->found && walk.key.offset == members->key.offset;
        if (members->count == 0)
            members->first_key = walk.key.offset;
        if (is_it)
            members->before_end = members->last_value_end;
        else if (members->found && members->next_key == 0 && walk.key.offset > members->key.offset)
            members->next_key = walk.key.offset;
        members->last_value_end = end_of(&walk.value);
        members->count++;
    }
    return true;
}

/* -- Layout ------------------------------------------------------------------------------------ */

static bool has_newline(struct slice text)
{
    return slice_has(text, '\n');
}

/* The white space that the line of `offset` begins with. */
static struct slice indent_of(struct slice text, size_t offset)
{
    size_t start = offset;
    while (start > 0 && text.data[start - 1] != '\n')
        start--;
    size_t end = start;
    while (end < offset && (text.data[end] == ' ' || text.data[end] == '\t'))
        end++;
    return slice_from(text.data + start, end - start);
}

/* In one line where it is short or there is no other, else in lines that begin with `indent`. */
static void put_value(struct text_stream *out, const struct json *value, bool one_line,
                      struct slice indent)
{
    char *line = json_print(value, JSON_STYLE_LINE);
    if (one_line || strlen(line) <= LINE_MAX_CHARACTERS) {
        put(out, slice_of(line));
        free(line);
        return;
    }
    free(line);
    char *lines = json_print(value, JSON_STYLE_INDENTED);
    struct slice rest = slice_of(lines);
    rest.size--; /* its last newline */
    while (rest.size > 0) {
        const char *newline = memchr(rest.data, '\n', rest.size);
        size_t size = newline != NULL ? (size_t)(newline - rest.data) + 1 : rest.size;
        put(out, slice_head(rest, size));
        rest = slice_skip(rest, size);
        if (newline != NULL)
            put(out, indent);
    }
    free(lines);
}

static void put_key(struct text_stream *out, struct slice key)
{
    struct json *array = json_new_array();
    json_append_text(array, key);
    char *quoted = json_print(json_at(array, 0), JSON_STYLE_LINE);
    put(out, slice_of(quoted));
    put(out, SLICE(": "));
    free(quoted);
    json_free(array);
}

/* -- Edits ------------------------------------------------------------------------------------- */

static void replace(struct text_stream *out, struct slice text, const struct members *members,
                    const struct json *value)
{
    struct slice old = slice_from(text.data + members->value.offset, members->value.size);
    size_t inside = members->first_key - members->object.offset;
    bool one_line =
        !has_newline(slice_from(text.data + members->object.offset, inside)) && !has_newline(old);
    put(out, slice_head(text, members->value.offset));
    put_value(out, value, one_line, indent_of(text, members->key.offset));
    put(out, slice_skip(text, end_of(&members->value)));
}

/* What is between the object's bracket and its first key separates the others too. */
static void add(struct text_stream *out, struct slice text, const struct members *members,
                struct slice key, const struct json *value)
{
    size_t inside = members->object.offset + 1;
    bool is_first = members->count == 0;
    size_t at = is_first ? inside : members->last_value_end;
    struct slice between =
        is_first ? (struct slice){0} : slice_from(text.data + inside, members->first_key - inside);
    bool one_line = !has_newline(between);
    put(out, slice_head(text, at));
    if (!is_first)
        put(out, SLICE(","));
    if (!is_first && between.size == 0)
        put(out, SLICE(" "));
    put(out, between);
    put_key(out, key);
    put_value(out, value, one_line, indent_of(text, members->first_key));
    put(out, slice_skip(text, at));
}

char *json_edit_set(struct slice text, struct slice pointer, struct slice key,
                    const struct json *value)
{
    struct members members;
    struct text_stream out;
    if (!find_members(text, pointer, key, &members))
        return NULL;
    text_stream_open(&out);
    if (members.found)
        replace(&out, text, &members, value);
    else
        add(&out, text, &members, key, value);
    return text_stream_close(&out);
}

char *json_edit_remove(struct slice text, struct slice pointer, struct slice key)
{
    struct members members;
    struct text_stream out;
    if (!find_members(text, pointer, key, &members) || !members.found)
        return NULL;
    size_t from = members.key.offset;
    size_t to = end_of(&members.value);
    if (members.next_key > 0)
        to = members.next_key;
    else if (members.count == 1)
        from = members.object.offset + 1;
    else
        from = members.before_end;
    text_stream_open(&out);
    put(&out, slice_head(text, from));
    put(&out, slice_skip(text, to));
    return text_stream_close(&out);
}
