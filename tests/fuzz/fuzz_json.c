/* JSON from strangers: parsing, and finding every key and value again by its place.
 *
 * What parses must print to something that parses to the same, and a walk over the text must meet
 * the members in step with the values, each at a place that parses to that value.
 */
#include "fuzz/fuzz.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX_BYTES = 65536 };

/* The token at a place, alone, must be the value that it stands for. */
static void check_token(struct slice text, const struct json_position *at, const struct json *value)
{
    FUZZ_REQUIRE(at->offset <= text.size && at->size <= text.size - at->offset && at->size > 0);
    struct json_position again = json_position_at(text, at->offset);
    FUZZ_REQUIRE(again.line == at->line && again.column == at->column);
    char *wrapped = malloc(at->size + 2);
    wrapped[0] = '[';
    memcpy(wrapped + 1, text.data + at->offset, at->size);
    wrapped[at->size + 1] = ']';
    struct json *alone = json_parse(slice_from(wrapped, at->size + 2), TEXT_MAX_BYTES, NULL, NULL);
    free(wrapped);
    if (alone == NULL)
        return; /* one level too deep */
    char *a = json_print(json_at(alone, 0), JSON_STYLE_COMPACT);
    char *b = json_print(value, JSON_STYLE_COMPACT);
    FUZZ_REQUIRE(strcmp(a, b) == 0);
    free(a);
    free(b);
    json_free(alone);
}

static void check_container(struct slice text, const struct json *value,
                            const struct json_position *at)
{
    enum json_type type = json_type_of(value);
    if (type != JSON_TYPE_OBJECT && type != JSON_TYPE_ARRAY)
        return;
    struct json_walk walk = json_walk_start(text, at);
    struct json_member member = {0};
    for (size_t i = 0; i < json_count(value); i++) {
        const struct json *own = json_at(value, i);
        FUZZ_REQUIRE(json_walk_next(&walk));
        if (type == JSON_TYPE_OBJECT) {
            FUZZ_REQUIRE(json_next(value, &member));
            own = member.value;
        }
        check_token(text, &walk.value, own);
        check_container(text, own, &walk.value);
    }
    FUZZ_REQUIRE(!json_walk_next(&walk));
}

/* A member of the root is found by its name. */
static void check_pointers(struct slice text, const struct json *root)
{
    for (struct json_member m = {0}; json_next(root, &m);) {
        char pointer[2 * 100 + 2] = "/";
        size_t size = 1;
        if (m.key.size > 100)
            continue;
        for (size_t i = 0; i < m.key.size; i++) {
            bool escaped = m.key.data[i] == '~' || m.key.data[i] == '/';
            if (escaped)
                pointer[size++] = '~';
            pointer[size++] = !escaped ? m.key.data[i] : m.key.data[i] == '~' ? '0' : '1';
        }
        struct json_position at;
        FUZZ_REQUIRE(json_locate(text, slice_from(pointer, size), JSON_PART_VALUE, &at));
        check_token(text, &at, m.value);
        FUZZ_REQUIRE(json_locate(text, slice_from(pointer, size), JSON_PART_KEY, &at));
        FUZZ_REQUIRE(text.data[at.offset] == '"');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_from(data, size);
    struct json_position where, at;
    struct error_text why = {0};
    struct json *root = json_parse(text, TEXT_MAX_BYTES, &where, &why);
    bool found = json_locate(text, SLICE(""), JSON_PART_VALUE, &at);
    FUZZ_REQUIRE(!found || at.size <= text.size - at.offset);
    if (root == NULL) {
        FUZZ_REQUIRE(why.text[0] != '\0' && where.line >= 1 && where.column >= 1);
        FUZZ_REQUIRE(where.offset <= text.size);
        return 0;
    }
    FUZZ_REQUIRE(found);
    check_token(text, &at, root);
    check_container(text, root, &at);
    check_pointers(text, root);
    json_free(root);
    return 0;
}
