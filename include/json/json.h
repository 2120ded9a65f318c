/* JSON as values: parsing text from strangers and from files, typed reading, building, printing.
 *
 * A thin facade; src/json/json.c is the only file that knows the library behind it. A value is
 * borrowed from its root and lives as long as the root. Every reader accepts NULL for "not there",
 * so that lookups chain: json_read_text(json_get(json_get(root, "meta"), "website"), &text).
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"

enum {
    JSON_MAX_DEPTH = 16,
    JSON_MAX_TEXT_BYTES = 64 * 1024 * 1024,
};

enum json_type {
    JSON_TYPE_NONE,
    JSON_TYPE_NULL,
    JSON_TYPE_BOOL,
    JSON_TYPE_INTEGER,
    JSON_TYPE_REAL,
    JSON_TYPE_TEXT,
    JSON_TYPE_ARRAY,
    JSON_TYPE_OBJECT,
};

struct json;

/* A place in a JSON text. `line` and `column` start at 1; columns are characters, not bytes. */
struct json_position {
    size_t offset; /* of the first byte */
    size_t size;   /* bytes of the key (with its quotes) or of the value */
    size_t line;
    size_t column;
};

/* Parses a text whose root is an object or an array. Refuses duplicate keys, nesting beyond
 * JSON_MAX_DEPTH, a NUL in a string, invalid UTF-8, and more than `max_bytes` (which may not exceed
 * JSON_MAX_TEXT_BYTES). NULL on failure: `where` (may be NULL) is then the offending place and
 * `why` the reason without it. Free the root with json_free(). */
MUST_CHECK struct json *json_parse(struct slice text, size_t max_bytes, struct json_position *where,
                                   struct error_text *why);
/* The same, with each number as a real: an integer of any size refuses nothing. */
MUST_CHECK struct json *json_parse_reals(struct slice text, size_t max_bytes);
void json_free(struct json *root);

enum json_type json_type_of(const struct json *value);

/* NULL when `object` is not an object or has no such key. */
const struct json *json_get(const struct json *object, const char *key);
/* NULL when `array` is not an array or is shorter. */
const struct json *json_at(const struct json *array, size_t index);
/* Members of an object, elements of an array, 0 for all else. */
size_t json_count(const struct json *value);

/* These return false, and leave the output alone, when the value is missing or of another type. */
MUST_CHECK bool json_read_text(const struct json *value, struct slice *text);
MUST_CHECK bool json_read_integer(const struct json *value, int64_t *integer);
MUST_CHECK bool json_read_real(const struct json *value, double *real); /* integers too */
MUST_CHECK bool json_read_bool(const struct json *value, bool *boolean);
/* The text of a member; empty when there is none. */
struct slice json_get_text(const struct json *object, const char *key);

/* The members of an object in the order of the text:
 *
 *     for (struct json_member m = {0}; json_next(object, &m);)
 */
struct json_member {
    struct slice key;
    const struct json *value;
    void *iterator; /* private */
};
MUST_CHECK bool json_next(const struct json *object, struct json_member *member);

/* -- Building. Running out of memory ends the program, as in core/memory.h. -- */

struct json *json_new_object(void) __attribute__((returns_nonnull));
struct json *json_new_array(void) __attribute__((returns_nonnull));
/* Set a member, replacing one that is there. Bytes that are not UTF-8 become U+FFFD, and so do
 * NULs, because text may come from a peer. */
void json_put_text(struct json *object, const char *key, struct slice text);
void json_put_integer(struct json *object, const char *key, int64_t integer);
void json_put_real(struct json *object, const char *key, double real);
void json_put_bool(struct json *object, const char *key, bool boolean);
void json_put_null(struct json *object, const char *key);
/* The container takes `value`; the pointer stays usable for adding to it. */
void json_put(struct json *object, const char *key, struct json *value);
void json_append(struct json *array, struct json *value);
void json_append_text(struct json *array, struct slice text);
void json_append_integer(struct json *array, int64_t integer);
/* An array of texts. */
struct json *json_new_texts(char *const *texts, size_t count) __attribute__((returns_nonnull));
/* A deep copy to be put elsewhere. */
struct json *json_clone(const struct json *value) __attribute__((returns_nonnull));

/* Whether both are there and alike, members in the same order, or neither is. */
MUST_CHECK bool json_same(const struct json *a, const struct json *b);

/* LINE is one line with blanks, for people. */
enum json_style { JSON_STYLE_COMPACT, JSON_STYLE_LINE, JSON_STYLE_INDENTED };
/* The text, for free(); JSON_STYLE_INDENTED ends with a newline. Members keep their order. */
char *json_print(const struct json *value, enum json_style style) __attribute__((returns_nonnull));

/* -- Places. For texts that json_parse() accepts; any other text yields false, never a wrong read.
 */

/* How many commas, colons and opening brackets there are outside of strings, which is about how
 * many keys and values the text has. For any text, valid or not. */
size_t json_count_marks(struct slice text);

enum json_part { JSON_PART_KEY, JSON_PART_VALUE };

/* Where the value that an RFC 6901 pointer names stands ("" is the root), or its key. For an
 * element of an array and for the root, the key is the value. */
MUST_CHECK bool json_locate(struct slice text, struct slice pointer, enum json_part part,
                            struct json_position *position);

/* The members or elements of one container, one by one and in linear time:
 *
 *     struct json_walk walk = json_walk_start(text, &container);
 *     while (json_walk_next(&walk)) ... walk.key, walk.value ...
 *
 * They come in the order of json_next(), so that both can be stepped together. */
struct json_walk {
    struct json_position key; /* equals `value` in an array */
    struct json_position value;
    /* private */
    struct slice text;
    struct json_position next;
    bool in_object;
    bool started;
};
struct json_walk json_walk_start(struct slice text, const struct json_position *container);
MUST_CHECK bool json_walk_next(struct json_walk *walk);

/* The position of byte `offset` of the text, with size 0. */
struct json_position json_position_at(struct slice text, size_t offset);
