/* How configurations are changed: by what docs/schema knows of them, so that the text stays JSON,
 * and a key that is new there is tried without being named here.
 *
 * A document and its schema are walked side by side from the root to some object or array. There a
 * member is added, taken out, or gets another value, which the schema's types, examples and limits
 * make up. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "conf/configuration.h"
#include "fuzz/fuzz.h"
#include "support/chance.h"

#include <jansson.h>
#include <pcre2.h>
#include <stdlib.h>

/* For texts and names: what a pattern takes of these where the schema has no example, and what none
 * takes. */
static const char *const WORDS[] = {
    "a.test",
    "b.test",
    "*.a.test",
    "*.*.test",
    "a",
    "b",
    "big",
    "chat",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "::/0",
    "fd00::1",
    "127.0.0.1:80",
    "[::1]:443",
    "a.internal:8080",
    "http://h:80",
    "https://10.0.0.1",
    "http://{1}.i:80",
    "https://[::1]:1",
    "http://10.0.0.{1}",
    "https://a.test",
    "https://a.test/",
    "https://a.test/?from={label}",
    "http://localhost:80",
    "/a/",
    "/a/b",
    "/api/",
    "/",
    "//",
    "/..",
    "/%2e",
    "X-A",
    "X-User-Email",
    "Cookie",
    "Host",
    "{label}",
    "{client_ip}{tenant}",
    "{email}",
    "{{",
    "{",
    "*:80",
    "tcp:1",
    "unix:@a",
    "unix:/var/lib/haproxy/a",
    "master:/run/m",
    "systemd:x",
    "30s",
    "1d",
    "999999999d",
    "2026-12-01T00:00:00Z",
    "08:00",
    "23:59",
    "Europe/Berlin",
    "100MB",
    "0660",
    "[a-z]+",
    "(",
    "[",
    "mailto:a@b.test",
    "a@b.test",
    "b.test",
    "{1}",
    "localhost",
    "127.1",
    "0x7f.1",
    "// comment",
    "_",
    "",
    "\n",
    "\x1b[2J",
    "\"",
    "a b",
    "$HOME",
};

enum {
    ALTERNATIVES_MAX = 8, /* of a schema's part within each other, and references that lead on */
    DEPTH_MAX = 6,        /* of a value that is made up */
    CHANGES_MAX = 3,
    WORD_TRIES = 24,
};

/* ---- Chance ---- */

struct chance {
    uint64_t state;
};

/* Below `end`, which is not 0. */
static size_t below(struct chance *chance, size_t end)
{
    return chance_next(&chance->state) % end;
}

static bool one_in(struct chance *chance, size_t end)
{
    return below(chance, end) == 0;
}

/* NULL: there is none. */
static json_t *any_element(struct chance *chance, const json_t *array)
{
    size_t count = json_array_size(array);
    return count > 0 ? json_array_get(array, below(chance, count)) : NULL;
}

/* NULL: there is none. */
static const char *any_key(struct chance *chance, json_t *object)
{
    size_t count = json_object_size(object);
    if (count == 0)
        return NULL;
    void *iterator = json_object_iter(object);
    for (size_t left = below(chance, count); left > 0; left--)
        iterator = json_object_iter_next(object, iterator);
    return json_object_iter_key(iterator);
}

static pcre2_code *compile(const char *pattern)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_ALT_BSUX, &code, &at, NULL);
    FUZZ_REQUIRE(compiled != NULL);
    return compiled;
}

/* One that the pattern takes, mostly; `pattern` NULL: any. */
static const char *any_word(struct chance *chance, const char *pattern)
{
    const char *word = WORDS[below(chance, COUNT_OF(WORDS))];
    if (pattern == NULL || one_in(chance, 8))
        return word;
    pcre2_code *compiled = compile(pattern);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    for (unsigned i = 0; i < WORD_TRIES; i++) {
        if (pcre2_match(compiled, (PCRE2_SPTR)word, PCRE2_ZERO_TERMINATED, 0, 0, match, NULL) >= 0)
            break;
        word = WORDS[below(chance, COUNT_OF(WORDS))];
    }
    pcre2_match_data_free(match);
    pcre2_code_free(compiled);
    return word;
}

/* ---- The schema ---- */

/* What a schema says of one value. `schema` NULL: nothing. */
struct part {
    json_t *document; /* which its references are in */
    json_t *schema;
};

static json_t *read_schema(const char *path)
{
    json_t *document = json_load_file(path, 0, NULL);
    FUZZ_REQUIRE(document != NULL);
    return document;
}

static json_t *tenants_document(void)
{
    static json_t *document;
    if (document == NULL)
        document = read_schema(SCHEMA_FOLDER "/tenants.schema.json");
    return document;
}

static struct part root_part(void)
{
    static json_t *document;
    if (document == NULL)
        document = read_schema(SCHEMA_FOLDER "/owui-spoa.schema.json");
    return (struct part){document, document};
}

static struct part follow(struct part part, const char *reference)
{
    static const char DEFINITIONS[] = "#/definitions/";
    const char *name = strstr(reference, DEFINITIONS);
    FUZZ_REQUIRE(name != NULL);
    json_t *document = name > reference ? tenants_document() : part.document;
    json_t *definitions = json_object_get(document, "definitions");
    json_t *schema = json_object_get(definitions, name + strlen(DEFINITIONS));
    FUZZ_REQUIRE(schema != NULL);
    return (struct part){document, schema};
}

/* One of the alternatives that the part consists of, if it consists of such. */
static struct part settle(struct chance *chance, struct part part)
{
    for (unsigned i = 0; i < ALTERNATIVES_MAX; i++) {
        const char *reference = json_string_value(json_object_get(part.schema, "$ref"));
        if (reference != NULL) {
            part = follow(part, reference);
            continue;
        }
        if (json_object_get(part.schema, "type") != NULL)
            break;
        json_t *alternative = NULL;
        static const char *const WAYS[] = {"anyOf", "oneOf", "allOf"};
        for (size_t way = 0; way < COUNT_OF(WAYS) && alternative == NULL; way++)
            alternative = any_element(chance, json_object_get(part.schema, WAYS[way]));
        if (alternative == NULL)
            break;
        part.schema = alternative;
    }
    return part;
}

/* The pattern of keys that are not named, other than comments; NULL: there is none. */
static const char *key_pattern(json_t *schema)
{
    const char *pattern;
    json_t *value;
    json_object_foreach (json_object_get(schema, "patternProperties"), pattern, value)
        if (json_object_size(value) > 0)
            return pattern;
    return NULL;
}

static struct part part_of_key(struct part object, const char *key)
{
    json_t *schema = json_object_get(json_object_get(object.schema, "properties"), key);
    const char *pattern = schema == NULL ? key_pattern(object.schema) : NULL;
    if (pattern != NULL)
        schema = json_object_get(json_object_get(object.schema, "patternProperties"), pattern);
    return (struct part){object.document, schema};
}

static struct part part_of_elements(struct part array)
{
    return (struct part){array.document, json_object_get(array.schema, "items")};
}

/* ---- Values ---- */

static json_t *make(struct chance *chance, struct part part, unsigned depth);

static json_t *make_text(struct chance *chance, struct part part)
{
    return json_string(
        any_word(chance, json_string_value(json_object_get(part.schema, "pattern"))));
}

/* At a limit, beside it, or anything. */
static json_t *make_integer(struct chance *chance, struct part part)
{
    const json_t *limit = json_object_get(part.schema, one_in(chance, 2) ? "minimum" : "maximum");
    if (limit == NULL || one_in(chance, 3))
        return json_integer((json_int_t)below(chance, one_in(chance, 2) ? 10 : 100000));
    return json_integer(json_integer_value(limit) + (json_int_t)below(chance, 3) - 1);
}

static json_t *make_array(struct chance *chance, struct part part, unsigned depth)
{
    json_t *array = json_array();
    for (size_t left = 1 + below(chance, 2); left > 0; left--)
        json_array_append_new(array, make(chance, part_of_elements(part), depth));
    return array;
}

static bool is_required(struct part object, const char *key)
{
    size_t i;
    json_t *name;
    json_array_foreach (json_object_get(object.schema, "required"), i, name)
        if (strcmp(json_string_value(name), key) == 0)
            return true;
    return false;
}

static json_t *make_object(struct chance *chance, struct part part, unsigned depth)
{
    json_t *object = json_object();
    const char *key;
    json_t *schema;
    json_object_foreach (json_object_get(part.schema, "properties"), key, schema)
        if (is_required(part, key) || one_in(chance, 4))
            json_object_set_new(object, key, make(chance, part_of_key(part, key), depth));
    const char *pattern = key_pattern(part.schema);
    if (pattern != NULL) {
        key = any_word(chance, pattern);
        json_object_set_new(object, key, make(chance, part_of_key(part, key), depth));
    }
    return object;
}

/* One of the types that it may have; NULL: anything. */
static const char *any_type(struct chance *chance, json_t *schema)
{
    json_t *type = json_object_get(schema, "type");
    if (json_is_array(type))
        type = any_element(chance, type);
    return json_string_value(type);
}

static json_t *make_of_type(struct chance *chance, struct part part, unsigned depth)
{
    const char *type = any_type(chance, part.schema);
    if (type == NULL || strcmp(type, "string") == 0)
        return make_text(chance, part);
    if (strcmp(type, "boolean") == 0)
        return json_boolean(one_in(chance, 2));
    if (strcmp(type, "null") == 0)
        return json_null();
    if (strcmp(type, "array") == 0 && depth > 0)
        return make_array(chance, part, depth - 1);
    if (strcmp(type, "object") == 0 && depth > 0)
        return make_object(chance, part, depth - 1);
    return make_integer(chance, part);
}

/* One that the schema lists; NULL: it lists none, or chance is against it. */
static json_t *make_listed(struct chance *chance, json_t *schema)
{
    json_t *one = json_object_get(schema, "const");
    if (one == NULL)
        one = any_element(chance, json_object_get(schema, "enum"));
    if (one == NULL && !one_in(chance, 3))
        one = any_element(chance, json_object_get(schema, "examples"));
    if (one == NULL && one_in(chance, 4))
        one = json_object_get(schema, "default");
    return one != NULL ? json_deep_copy(one) : NULL;
}

static json_t *make(struct chance *chance, struct part part, unsigned depth)
{
    if (one_in(chance, 32))
        return json_string(any_word(chance, NULL));
    json_t *listed = make_listed(chance, part.schema);
    if (listed != NULL)
        return listed;
    part = settle(chance, part);
    listed = make_listed(chance, part.schema);
    return listed != NULL ? listed : make_of_type(chance, part, depth);
}

/* ---- Changes ---- */

/* A key that the schema knows, or one that is there. */
static const char *any_known_key(struct chance *chance, struct part part, json_t *object)
{
    const char *pattern = key_pattern(part.schema);
    if (pattern != NULL && one_in(chance, 3))
        return any_word(chance, pattern);
    const char *key = any_key(chance, json_object_get(part.schema, "properties"));
    return key != NULL ? key : any_key(chance, object);
}

static void change_object(struct chance *chance, struct part part, json_t *object)
{
    const char *there = any_key(chance, object);
    const char *known = any_known_key(chance, part, object);
    if (known != NULL && (there == NULL || one_in(chance, 2)))
        json_object_set_new(object, known, make(chance, part_of_key(part, known), DEPTH_MAX));
    else if (there != NULL && one_in(chance, 3))
        json_object_del(object, there);
    else if (there != NULL && one_in(chance, 8))
        json_object_set(object, any_word(chance, NULL), json_object_get(object, there));
    else if (there != NULL)
        json_object_set_new(object, there, make(chance, part_of_key(part, there), DEPTH_MAX));
}

static void change_array(struct chance *chance, struct part part, json_t *array)
{
    size_t count = json_array_size(array);
    if (count == 0 || one_in(chance, 3))
        json_array_append_new(array, make(chance, part_of_elements(part), DEPTH_MAX));
    else if (one_in(chance, 3))
        json_array_remove(array, below(chance, count));
    else if (one_in(chance, 4))
        json_array_append(array, json_array_get(array, below(chance, count)));
    else
        json_array_set_new(array, below(chance, count),
                           make(chance, part_of_elements(part), DEPTH_MAX));
}

/* Whether there is an object or array to go on to. */
static bool step_down(struct chance *chance, struct part *part, json_t **value)
{
    const char *key = any_key(chance, *value); /* NULL for an array, too */
    json_t *child = key != NULL ? json_object_get(*value, key) : any_element(chance, *value);
    if (!json_is_object(child) && !json_is_array(child))
        return false;
    *part = settle(chance, key != NULL ? part_of_key(*part, key) : part_of_elements(*part));
    *value = child;
    return true;
}

static void change_somewhere(struct chance *chance, json_t *root)
{
    struct part part = root_part();
    json_t *value = root;
    while (!one_in(chance, 5) && step_down(chance, &part, &value))
        ;
    if (json_is_object(value))
        change_object(chance, part, value);
    else
        change_array(chance, part, value);
}

/* 0: it has no room, and the data is as it was. */
static size_t print(const json_t *root, uint8_t *data, size_t max_size)
{
    char *text = json_dumps(root, JSON_COMPACT);
    size_t size = text != NULL ? strlen(text) : 0;
    if (size > max_size)
        size = 0;
    memcpy(data, text, size);
    free(text);
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct chance chance = {seed + UINT64_C(0x9E3779B97F4A7C15)};
    json_t *root = one_in(&chance, 8) ? NULL : json_loadb((const char *)data, size, 0, NULL);
    if (root == NULL)
        return LLVMFuzzerMutate(data, size, max_size);
    for (size_t left = 1 + below(&chance, CHANGES_MAX); left > 0; left--)
        change_somewhere(&chance, root);
    size_t printed = print(root, data, max_size);
    json_decref(root);
    return printed > 0 ? printed : LLVMFuzzerMutate(data, size, max_size);
}
