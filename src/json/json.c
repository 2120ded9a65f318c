/* JSON as values: see json/json.h. The only file that includes jansson.h.
 *
 * `struct json` is never defined: a pointer to it is a json_t pointer under another name.
 */
#include "json_scan.h"

#include "core/memory.h"
#include "core/utf8.h"

#include <jansson.h>
#include <stdlib.h>

static const json_t *in(const struct json *value)
{
    return (const void *)value;
}

static json_t *in_mutable(struct json *value)
{
    return (void *)value;
}

static struct json *out(json_t *value)
{
    return (void *)value;
}

static void *allocate(size_t size)
{
    void *block = malloc(size);
    if (block == NULL)
        memory_give_up(size);
    return block;
}

/* Where jansson has no memory, its parser leaves bytes out of a text and goes on, and a file that
 * is good is told to be none: as the configuration's, its memory is there or the program ends. And
 * it seeds its key hash when the first object is made; before main() no two threads can. */
__attribute__((constructor)) static void set_jansson_up(void)
{
    json_set_alloc_funcs(allocate, free);
    json_object_seed(0);
}

/* jansson points behind what it had read when it stopped. For a duplicate key that is the key's
 * end, and for the rest the last character read. */
static void place_error(struct slice text, const json_error_t *error, struct json_position *where)
{
    size_t end = error->position > 0 ? (size_t)error->position : 0;
    if (json_error_code(error) == json_error_duplicate_key &&
        json_scan_string_ending_at(text, end, where))
        return;
    *where = json_position_at(text, end > 0 ? end - 1 : 0);
}

static void explain_error(struct slice text, const json_error_t *error,
                          const struct json_position *where, struct error_text *why)
{
    if (json_error_code(error) == json_error_duplicate_key && where->size > 0)
        error_set(why, ERROR_INVALID, "duplicate key %.*s", (int)size_min(where->size, 80),
                  text.data + where->offset);
    else
        error_set(why, ERROR_INVALID, "not valid JSON: %s", error->text);
}

static struct json *parse(struct slice text, size_t max_bytes, size_t flags,
                          struct json_position *where, struct error_text *why)
{
    struct json_position unwanted;
    json_error_t error;

    assert(max_bytes <= JSON_MAX_TEXT_BYTES);
    if (where == NULL)
        where = &unwanted;
    *where = (struct json_position){.line = 1, .column = 1};
    if (text.size > max_bytes) {
        error_set(why, ERROR_TOO_BIG, "%zu bytes of JSON, and at most %zu are accepted", text.size,
                  max_bytes);
        return NULL;
    }
    /* jansson loses a NUL that follows a number. */
    const char *nul = text.size > 0 ? memchr(text.data, '\0', text.size) : NULL;
    if (nul != NULL) {
        *where = json_position_at(text, (size_t)(nul - text.data));
        error_set(why, ERROR_INVALID, "not valid JSON: a NUL byte");
        return NULL;
    }
    if (!json_scan_depth(text, where)) {
        error_set(why, ERROR_INVALID, "nested deeper than %d levels", JSON_MAX_DEPTH);
        return NULL;
    }
    json_t *root = json_loadb(text.size > 0 ? text.data : "", text.size,
                              JSON_REJECT_DUPLICATES | flags, &error);
    if (root == NULL) {
        place_error(text, &error, where);
        explain_error(text, &error, where, why);
    }
    return out(root);
}

struct json *json_parse(struct slice text, size_t max_bytes, struct json_position *where,
                        struct error_text *why)
{
    return parse(text, max_bytes, 0, where, why);
}

struct json *json_parse_reals(struct slice text, size_t max_bytes)
{
    return parse(text, max_bytes, JSON_DECODE_INT_AS_REAL, NULL, NULL);
}

void json_free(struct json *root)
{
    json_decref(in_mutable(root));
}

enum json_type json_type_of(const struct json *value)
{
    if (value == NULL)
        return JSON_TYPE_NONE;
    switch (json_typeof(in(value))) {
    case JSON_OBJECT: return JSON_TYPE_OBJECT;
    case JSON_ARRAY: return JSON_TYPE_ARRAY;
    case JSON_STRING: return JSON_TYPE_TEXT;
    case JSON_INTEGER: return JSON_TYPE_INTEGER;
    case JSON_REAL: return JSON_TYPE_REAL;
    case JSON_TRUE:
    case JSON_FALSE: return JSON_TYPE_BOOL;
    case JSON_NULL: return JSON_TYPE_NULL;
    }
    return JSON_TYPE_NONE;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return out(json_object_get(in(object), key));
}

const struct json *json_at(const struct json *array, size_t index)
{
    return out(json_array_get(in(array), index));
}

size_t json_count(const struct json *value)
{
    return json_type_of(value) == JSON_TYPE_ARRAY ? json_array_size(in(value))
                                                  : json_object_size(in(value));
}

bool json_read_text(const struct json *value, struct slice *text)
{
    if (json_type_of(value) != JSON_TYPE_TEXT)
        return false;
    *text = slice_from(json_string_value(in(value)), json_string_length(in(value)));
    return true;
}

struct slice json_get_text(const struct json *object, const char *key)
{
    struct slice text = SLICE("");
    (void)!json_read_text(json_get(object, key), &text);
    return text;
}

bool json_read_integer(const struct json *value, int64_t *integer)
{
    if (json_type_of(value) != JSON_TYPE_INTEGER)
        return false;
    *integer = json_integer_value(in(value));
    return true;
}

bool json_read_real(const struct json *value, double *real)
{
    enum json_type type = json_type_of(value);
    if (type != JSON_TYPE_INTEGER && type != JSON_TYPE_REAL)
        return false;
    *real = json_number_value(in(value));
    return true;
}

bool json_read_bool(const struct json *value, bool *boolean)
{
    if (json_type_of(value) != JSON_TYPE_BOOL)
        return false;
    *boolean = json_is_true(in(value));
    return true;
}

bool json_next(const struct json *object, struct json_member *member)
{
    /* jansson's iteration changes nothing, but its parameter is not const. */
    union {
        const struct json *constant;
        json_t *plain;
    } cast = {.constant = object};
    member->iterator = member->iterator == NULL
                           ? json_object_iter(cast.plain)
                           : json_object_iter_next(cast.plain, member->iterator);
    if (member->iterator == NULL)
        return false;
    member->key = slice_of(json_object_iter_key(member->iterator));
    member->value = out(json_object_iter_value(member->iterator));
    return true;
}

/* Building fails for want of memory alone, which ends the program: keys and texts are made valid
 * first. */
static json_t *must(json_t *value)
{
    assert(value != NULL);
    return value;
}

static void must_succeed(int result)
{
    assert(result == 0);
}

struct json *json_new_object(void)
{
    return out(must(json_object()));
}

struct json *json_new_array(void)
{
    return out(must(json_array()));
}

static json_t *text_value(struct slice text)
{
    const struct slice replacement = SLICE("\xef\xbf\xbd");
    char *valid = memory_new(text.size * replacement.size + 1);
    size_t used = 0;
    while (text.size > 0) {
        int size = text.data[0] != '\0' ? utf8_judge(text) : UTF8_BAD;
        struct slice taken = slice_head(text, size > 0 ? (size_t)size : 1);
        struct slice told = size > 0 ? taken : replacement;
        memcpy(valid + used, told.data, told.size);
        used += told.size;
        text = slice_skip(text, taken.size);
    }
    json_t *value = must(json_stringn(valid, used));
    free(valid);
    return value;
}

static void put(struct json *object, const char *key, json_t *value)
{
    must_succeed(json_object_set_new(in_mutable(object), key, must(value)));
}

void json_put_text(struct json *object, const char *key, struct slice text)
{
    put(object, key, text_value(text));
}

void json_put_integer(struct json *object, const char *key, int64_t integer)
{
    put(object, key, json_integer(integer));
}

void json_put_real(struct json *object, const char *key, double real)
{
    put(object, key, json_real(real));
}

void json_put_bool(struct json *object, const char *key, bool boolean)
{
    put(object, key, json_boolean(boolean));
}

void json_put_null(struct json *object, const char *key)
{
    put(object, key, json_null());
}

void json_put(struct json *object, const char *key, struct json *value)
{
    put(object, key, in_mutable(value));
}

void json_append(struct json *array, struct json *value)
{
    must_succeed(json_array_append_new(in_mutable(array), in_mutable(value)));
}

void json_append_text(struct json *array, struct slice text)
{
    json_append(array, out(text_value(text)));
}

struct json *json_new_texts(char *const *texts, size_t count)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < count; i++)
        json_append_text(array, slice_of(texts[i]));
    return array;
}

void json_append_integer(struct json *array, int64_t integer)
{
    json_append(array, out(must(json_integer(integer))));
}

struct json *json_clone(const struct json *value)
{
    return out(must(json_deep_copy(in(value))));
}

char *json_print(const struct json *value, enum json_style style)
{
    static const size_t FLAGS[] = {
        [JSON_STYLE_COMPACT] = JSON_COMPACT,
        [JSON_STYLE_LINE] = 0,
        [JSON_STYLE_INDENTED] = JSON_INDENT(2),
    };
    char *text = json_dumps(in(value), JSON_ENCODE_ANY | FLAGS[style]);
    assert(text != NULL);
    if (style != JSON_STYLE_INDENTED)
        return text;
    size_t size = strlen(text);
    text = memory_resize(text, size + 2, 1);
    memcpy(text + size, "\n", 2);
    return text;
}

bool json_same(const struct json *a, const struct json *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    char *left = json_print(a, JSON_STYLE_COMPACT);
    char *right = json_print(b, JSON_STYLE_COMPACT);
    bool same = strcmp(left, right) == 0;
    free(left);
    free(right);
    return same;
}
