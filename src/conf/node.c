/* A JSON document under inspection: see node.h. */
#include "node.h"

#include "core/hash.h"
#include "core/memory.h"
#include "core/text_stream.h"
#include "file.h"
#include "room.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* A longer line is shown in part, around the place that is meant. */
    SOURCE_MAX_CHARACTERS = 100,
    SOURCE_BEFORE_PLACE = 40,
};

/* -- The line of the text that a place is on -- */

static bool is_character_start(char c)
{
    return ((uint8_t)c & 0xc0) != 0x80;
}

/* Up to `most` characters of the line before `offset`, told in bytes. Never looks at the rest of
 * the line: a file of 20 MB may be one. */
static size_t bytes_before(struct slice text, size_t offset, size_t most)
{
    size_t start = offset;
    while (start > 0 && most > 0 && text.data[start - 1] != '\n') {
        start--;
        if (is_character_start(text.data[start]))
            most--;
    }
    return offset - start;
}

/* The same behind it. */
static size_t bytes_behind(struct slice text, size_t offset, size_t most)
{
    size_t end = offset;
    while (end < text.size && text.data[end] != '\n' && text.data[end] != '\r') {
        if (is_character_start(text.data[end]) && most-- == 0)
            break;
        end++;
    }
    return end - offset;
}

static uint32_t count_characters(struct slice text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += is_character_start(text.data[i]);
    return count;
}

static void set_source(struct diagnostic *diagnostic, struct slice text,
                       const struct json_position *position)
{
    size_t offset = size_min(position->offset, text.size);
    bool is_cut = position->column > SOURCE_MAX_CHARACTERS;
    size_t before = bytes_before(text, offset, is_cut ? SOURCE_BEFORE_PLACE : SIZE_MAX);
    size_t shown_before = count_characters(slice_from(text.data + offset - before, before));
    size_t behind = bytes_behind(text, offset, SOURCE_MAX_CHARACTERS - shown_before);
    diagnostic->source = memory_copy_text(slice_from(text.data + offset - before, before + behind));
    diagnostic->source_column = (uint32_t)(position->column - shown_before);
    /* Of a container, its bracket: what is inside is not meant. */
    bool is_container = behind > 0 && byte_is_one_of(text.data[offset], "{[");
    size_t size = is_container ? 1 : size_min(behind, position->size);
    diagnostic->length = count_characters(slice_from(text.data + offset, size));
    if (diagnostic->length == 0)
        diagnostic->length = 1;
}

/* Takes ownership of hint and message. */
static void report(struct document *document, const struct json_position *position,
                   struct diagnostic *diagnostic)
{
    diagnostic->severity = code_severity((enum code)diagnostic->code);
    diagnostic->place =
        (struct place){document->file, (uint32_t)position->line, (uint32_t)position->column};
    set_source(diagnostic, document->text, position);
    diagnostics_add(document->diagnostics, diagnostic);
    free(diagnostic->source);
    free(diagnostic->message);
    free(diagnostic->hint);
}

/* -- Reading -- */

/* What editors of Windows call Unicode: a mark, or ASCII with a NUL for each letter. */
static bool is_utf16(struct slice text)
{
    return text.size >= 2 && (slice_starts_with(text, SLICE("\xff\xfe")) ||
                              slice_starts_with(text, SLICE("\xfe\xff")) || text.data[0] == '\0' ||
                              text.data[1] == '\0');
}

/* What people write that JSON has not. */
static char *syntax_hint(struct slice text, size_t offset)
{
    size_t before = size_min(offset, text.size);
    struct slice here = slice_skip(text, before);
    if (is_utf16(text))
        return memory_format("save the file as UTF-8: it is in UTF-16");
    if (slice_starts_with(text, SLICE("\xef\xbb\xbf")))
        return memory_format("save the file without a byte order mark");
    if (slice_starts_with(here, SLICE("/")) || slice_starts_with(here, SLICE("#")))
        return memory_format("JSON has no comments: use a key that starts with \"//\"");
    if (slice_starts_with(here, SLICE("'")))
        return memory_format("JSON strings stand in double quotes");
    while (before > 0 && byte_is_one_of(text.data[before - 1], " \t\r\n"))
        before--;
    bool closes = here.size > 0 && (here.data[0] == '}' || here.data[0] == ']');
    if (closes && before > 0 && text.data[before - 1] == ',')
        return memory_format("no comma before the closing bracket");
    if (slice_starts_with(here, SLICE("\"")) && before > 0 &&
        !byte_is_one_of(text.data[before - 1], ",:[{"))
        return memory_format("a comma or colon is missing before this");
    return NULL;
}

static void report_parse_error(struct document *document, struct json_position *where,
                               const struct error_text *why)
{
    bool duplicate = slice_starts_with(slice_of(why->text), SLICE("duplicate key"));
    struct diagnostic diagnostic = {
        .code = duplicate ? CODE_DUPLICATE_KEY : CODE_JSON_SYNTAX,
        .message = memory_copy_text(slice_of(why->text)),
        .hint = duplicate ? memory_format("remove one of the two")
                          : syntax_hint(document->text, where->offset),
    };
    report(document, where, &diagnostic);
}

static bool read_text(struct document *document, const char *path, struct diagnostics *diagnostics)
{
    struct error_text why;
    *document = (struct document){.file = file_name_keep(path), .diagnostics = diagnostics};
    enum error error =
        text_file_read(path, diagnostics, &document->text_block, &document->text, &why);
    if (error == ERROR_OK)
        return true;
    struct place place = {document->file, 0, 0};
    diagnostics_add_unreadable(diagnostics, &place, error, &why);
    return false;
}

static bool parse_text(struct document *document)
{
    struct json_position where;
    struct error_text why;
    if (!room_check(room_needed(document->text), document->file, document->diagnostics))
        return false;
    document->root = json_parse(document->text, JSON_MAX_TEXT_BYTES, &where, &why);
    if (document->root == NULL) {
        report_parse_error(document, &where, &why);
        return false;
    }
    if (json_type_of(document->root) != JSON_TYPE_OBJECT) {
        struct node root = document_root(document);
        node_report(&root, JSON_PART_VALUE, CODE_WRONG_TYPE, NULL,
                    "the file must hold an object { ... }");
        return false;
    }
    return true;
}

bool document_open(struct document *document, const char *path, struct diagnostics *diagnostics)
{
    return read_text(document, path, diagnostics) && parse_text(document);
}

/* The short text tells whether the whole is right, but not where it is wrong. */
static bool parse_news(struct document *document, const struct known_tenants *known)
{
    struct news news;
    if (known != NULL && news_find(document->text, known, &news)) {
        struct slice short_text = slice_from(news.short_text, news.short_size);
        if (!room_check(room_needed(short_text), document->file, document->diagnostics)) {
            news_fini(&news);
            return false;
        }
        document->root = json_parse(short_text, JSON_MAX_TEXT_BYTES, NULL, NULL);
        if (document->root != NULL) {
            document->news = memory_new(sizeof(news));
            *document->news = news;
            return true;
        }
        news_fini(&news);
    }
    return parse_text(document);
}

bool document_open_news(struct document *document, const char *path,
                        const struct known_tenants *known, struct diagnostics *diagnostics)
{
    return read_text(document, path, diagnostics) && parse_news(document, known);
}

bool document_open_text(struct document *document, const char *path, struct slice text,
                        const struct known_tenants *known, struct diagnostics *diagnostics)
{
    *document =
        (struct document){.file = file_name_keep(path), .text = text, .diagnostics = diagnostics};
    if (text.size <= JSON_MAX_TEXT_BYTES)
        return parse_news(document, known);
    /* However short it is without what is known: once it is a file, nobody can read it. */
    struct error_text why;
    struct place place = {document->file, 0, 0};
    enum error error = error_set(&why, ERROR_TOO_BIG, "%s would be bigger than %d MB", path,
                                 JSON_MAX_TEXT_BYTES / 1024 / 1024);
    diagnostics_add_unreadable(diagnostics, &place, error, &why);
    return false;
}

uint64_t document_hash(const struct document *document)
{
    return document->text.data != NULL ? hash_content(document->text, 0) : 0;
}

void document_close(struct document *document)
{
    if (document->root != NULL)
        json_free(document->root);
    if (document->news != NULL)
        news_fini(document->news);
    free(document->news);
    free(document->text_block);
    *document = (struct document){0};
}

struct node document_root(struct document *document)
{
    return (struct node){.document = document, .value = document->root};
}

/* -- Walking -- */

bool key_is_comment(struct slice key)
{
    return slice_starts_with(key, SLICE("//")) || slice_starts_with(key, SLICE("_"));
}

static bool node_locate(const struct node *node, struct node_place *place);

/* Goes on from where the last one was found, unless that is elsewhere: a list of 20,000 wrong
 * values is then walked once, and not once for each. */
static bool walk_to(const struct node *node, struct node_place *place)
{
    struct document *document = node->document;
    struct node_place parent;
    if (document->walked != node->parent->value || document->walked_count > node->index + 1) {
        document->walked = NULL;
        if (!node_locate(node->parent, &parent))
            return false;
        document->walked = node->parent->value;
        document->walk = json_walk_start(document->text, &parent.value);
        document->walked_count = 0;
    }
    for (; document->walked_count <= node->index; document->walked_count++) {
        if (!json_walk_next(&document->walk)) {
            document->walked = NULL;
            return false;
        }
    }
    *place = (struct node_place){document->walk.key, document->walk.value};
    return true;
}

static bool node_locate(const struct node *node, struct node_place *place)
{
    if (node->place != NULL) {
        *place = *node->place;
        return true;
    }
    struct slice text = node->document->text;
    if (node->parent == NULL) {
        bool found = json_locate(text, SLICE(""), JSON_PART_VALUE, &place->value);
        place->key = place->value;
        return found;
    }
    return walk_to(node, place);
}

struct node_iterator node_children(const struct node *parent)
{
    return (struct node_iterator){
        .node = {.parent = parent, .document = parent->document},
    };
}

struct node_iterator node_children_placed(const struct node *parent)
{
    struct node_iterator iterator = node_children(parent);
    struct node_place place;
    iterator.placed = node_locate(parent, &place);
    if (iterator.placed)
        iterator.walk = json_walk_start(parent->document->text, &place.value);
    return iterator;
}

/* One step, comments included. */
static bool step(struct node_iterator *iterator)
{
    const struct json *container = iterator->node.parent->value;
    struct node *node = &iterator->node;
    if (json_type_of(container) == JSON_TYPE_OBJECT) {
        if (!json_next(container, &iterator->member))
            return false;
        node->key = iterator->member.key;
        node->value = iterator->member.value;
    } else {
        node->value = json_at(container, iterator->next);
        if (node->value == NULL)
            return false;
    }
    node->index = iterator->next++;
    if (iterator->placed && json_walk_next(&iterator->walk)) {
        iterator->place = (struct node_place){iterator->walk.key, iterator->walk.value};
        node->place = &iterator->place;
    }
    return true;
}

bool node_next(struct node_iterator *iterator)
{
    while (step(iterator))
        if (!key_is_comment(iterator->node.key))
            return true;
    return false;
}

bool node_member(const struct node *object, const char *key, struct node *member)
{
    for (struct node_iterator i = node_children(object); node_next(&i);) {
        if (slice_equal(i.node.key, slice_of(key))) {
            *member = i.node;
            return true;
        }
    }
    return false;
}

static struct place to_place(const struct node *node, bool found,
                             const struct json_position *position)
{
    if (!found)
        return (struct place){.file = node->document->file};
    return (struct place){node->document->file, (uint32_t)position->line,
                          (uint32_t)position->column};
}

struct place node_key_place(const struct node *node)
{
    struct node_place place;
    bool found = node_locate(node, &place);
    return to_place(node, found, &place.key);
}

struct place node_value_place(const struct node *node)
{
    struct node_place place;
    bool found = node_locate(node, &place);
    return to_place(node, found, &place.value);
}

/* -- Reporting -- */

/* Takes ownership of hint and message. */
static void report_of_node(const struct node *node, enum json_part part,
                           struct diagnostic *diagnostic)
{
    struct document *document = node->document;
    struct node_place place;
    struct json_position nowhere = {.line = 1, .column = 1};
    if (document->subject != NULL) {
        char *with_subject = memory_format("%s: %s", document->subject, diagnostic->message);
        free(diagnostic->message);
        diagnostic->message = with_subject;
    }
    bool found = node_locate(node, &place);
    const struct json_position *position = part == JSON_PART_KEY ? &place.key : &place.value;
    report(document, found ? position : &nowhere, diagnostic);
}

void node_report(const struct node *node, enum json_part part, enum code code, char *hint,
                 const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct diagnostic diagnostic = {
        .code = (uint16_t)code, .message = memory_format_list(format, arguments), .hint = hint};
    va_end(arguments);
    report_of_node(node, part, &diagnostic);
}

void node_report_unreadable(const struct node *node, const char *hint, enum error error,
                            const struct error_text *why)
{
    struct diagnostic diagnostic = diagnostic_of_unreadable(error, why);
    diagnostic.hint = memory_copy_optional(hint);
    report_of_node(node, JSON_PART_VALUE, &diagnostic);
}

static void put_name(const struct node *node, FILE *out)
{
    if (node->parent == NULL)
        return;
    put_name(node->parent, out);
    if (node->key.data == NULL)
        fprintf(out, "[%zu]", node->index);
    else
        fprintf(out, "%s%.*s", node->parent->parent != NULL ? "." : "", SLICE_PRINT(node->key));
}

char *node_name(const struct node *node)
{
    struct text_stream name;
    text_stream_open(&name);
    put_name(node, name.out);
    return text_stream_close(&name);
}

/* -- Content -- */

/* Members are summed up, so that their order does not count. */
static uint64_t object_hash(const struct json *object)
{
    uint64_t sum = 0;
    for (struct json_member member = {0}; json_next(object, &member);)
        if (!key_is_comment(member.key))
            sum += hash_content(member.key, node_content_hash(member.value));
    return hash_content(slice_from(&sum, sizeof(sum)), JSON_TYPE_OBJECT);
}

uint64_t node_content_hash(const struct json *value)
{
    enum json_type type = json_type_of(value);
    struct slice text = {0};
    int64_t integer = 0;
    double real = 0;
    bool boolean = false;

    if (type == JSON_TYPE_OBJECT)
        return object_hash(value);
    if (type == JSON_TYPE_ARRAY) {
        uint64_t hash = type;
        for (size_t i = 0; i < json_count(value); i++) {
            uint64_t item = node_content_hash(json_at(value, i));
            hash = hash_content(slice_from(&item, sizeof(item)), hash);
        }
        return hash;
    }
    if (json_read_text(value, &text))
        return hash_content(text, type);
    if (json_read_integer(value, &integer))
        return hash_content(slice_from(&integer, sizeof(integer)), type);
    if (json_read_real(value, &real))
        return hash_content(slice_from(&real, sizeof(real)), type);
    if (json_read_bool(value, &boolean))
        return hash_content(slice_from(&boolean, sizeof(boolean)), type);
    return hash_content((struct slice){0}, type);
}
