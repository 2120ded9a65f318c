/* json: parsing, typed reading, building, places. */
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct json *must_parse(const char *text)
{
    struct error_text why = {0};
    struct json *root = json_parse(slice_of(text), JSON_MAX_TEXT_BYTES, NULL, &why);
    cr_assert(ne(ptr, root, NULL), "%s: %s", text, why.text);
    return root;
}

Test(json, values_are_read_by_type)
{
    struct json *root = must_parse("{\"a\": [1, 2.5, true, \"t\\u00e9\", null], \"b\": -7}");
    const struct json *array = json_get(root, "a");
    int64_t integer = 0;
    double real = 0;
    bool boolean = false;
    struct slice text = {0};

    cr_assert(eq(sz, json_count(array), 5));
    cr_assert(eq(sz, json_count(root), 2));
    cr_expect(json_read_integer(json_at(array, 0), &integer));
    cr_expect(eq(i64, integer, 1));
    cr_expect_not(json_read_integer(json_at(array, 1), &integer));
    cr_expect(json_read_real(json_at(array, 1), &real));
    cr_expect(eq(dbl, real, 2.5));
    cr_expect(json_read_real(json_get(root, "b"), &real));
    cr_expect(eq(dbl, real, -7));
    cr_expect(json_read_bool(json_at(array, 2), &boolean));
    cr_expect(boolean);
    cr_expect(json_read_text(json_at(array, 3), &text));
    cr_expect(slice_equal(text, SLICE("t\xc3\xa9")));
    cr_expect_not(json_read_text(json_at(array, 4), &text));
    cr_expect(eq(int, json_type_of(json_at(array, 4)), JSON_TYPE_NULL));
    cr_expect(eq(int, json_type_of(json_at(array, 5)), JSON_TYPE_NONE));
    cr_expect(eq(int, json_type_of(json_get(json_get(root, "x"), "y")), JSON_TYPE_NONE));
    cr_expect_not(json_read_text(NULL, &text));
    json_free(root);
}

Test(json, members_come_in_the_order_of_the_text)
{
    struct json *root = must_parse("{\"z\":1,\"a\":2,\"m\":3}");
    char order[4] = {0};
    size_t count = 0;
    for (struct json_member m = {0}; json_next(root, &m);)
        order[count++] = m.key.data[0];
    cr_assert(eq(str, order, "zam"));
    json_free(root);
}

struct bad_text {
    const char *text;
    size_t line, column;
    const char *reason; /* a part of it */
};

Test(json, what_is_wrong_is_told_with_its_place)
{
    const struct bad_text cases[] = {
        {"", 1, 1, "not valid JSON"},
        {"{\n  \"a\": 1,\n  \"b\": 2,\n  \"a\": 3\n}", 4, 3, "duplicate key \"a\""},
        {"{\"a\": {\"k\": 1, \"x\": \"k\", \"k\": 2}}", 1, 26, "duplicate key \"k\""},
        {"{\"a\": tru}", 1, 9, "not valid JSON"},
        {"{\"a\": 1} x", 1, 10, "not valid JSON"},
        {"{\"a\": \"\\u0000\"}", 1, 14, "not valid JSON"},
        {"{\"a\": \"\xff\"}", 1, 7, "not valid JSON"},
        {"{\"a\": 99999999999999999999}", 1, 26, "not valid JSON"},
        {"3", 1, 1, "not valid JSON"},
        {"[[[[[[[[\n[[[[[[[[ [ ]]]]]]]]]]]]]]]]]", 2, 10, "deeper than 16"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct json_position where;
        struct error_text why = {0};
        struct json *root = json_parse(slice_of(cases[i].text), 1000, &where, &why);
        cr_expect(eq(ptr, root, NULL), "%s", cases[i].text);
        cr_expect(eq(sz, where.line, cases[i].line), "%s", cases[i].text);
        cr_expect(eq(sz, where.column, cases[i].column), "%s", cases[i].text);
        cr_expect(strstr(why.text, cases[i].reason) != NULL, "%s: %s", cases[i].text, why.text);
    }
}

Test(json, a_nul_byte_is_nowhere_valid)
{
    const struct slice texts[] = {SLICE("[1\0]"), SLICE("[1]\0"), SLICE("\0[1]"),
                                  SLICE("[\"a\0\"]")};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct json_position where;
        struct error_text why = {0};
        cr_expect(eq(ptr, json_parse(texts[i], 100, &where, &why), NULL), "%zu", i);
        cr_expect(strstr(why.text, "NUL") != NULL, "%s", why.text);
        cr_expect(eq(chr, texts[i].data[where.offset], '\0'), "%zu", i);
    }
}

Test(json, size_and_depth_are_capped)
{
    struct error_text why = {0};
    cr_expect(eq(ptr, json_parse(SLICE("[1,2,3]"), 6, NULL, &why), NULL));
    cr_expect(strstr(why.text, "at most 6") != NULL, "%s", why.text);
    json_free(must_parse("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"));

    /* Brackets in strings do not count, and many empty containers are not deep. */
    json_free(
        must_parse("[\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[\", [],[],[],[],[],[],[],[],[],[],[],[]]"));

    size_t size = 1000000;
    char *deep = malloc(size);
    memset(deep, '[', size);
    cr_expect(eq(ptr, json_parse(slice_from(deep, size), size, NULL, &why), NULL));
    free(deep);
}

Test(json, what_is_built_prints_as_json)
{
    struct json *root = json_new_object();
    struct json *array = json_new_array();
    json_put_text(root, "name", SLICE("a\"b\n"));
    json_put(root, "list", array);
    json_append_integer(array, 5);
    json_append_text(array, SLICE("x"));
    json_put_bool(root, "yes", true);
    json_put_null(root, "none");
    json_put_text(root, "name", SLICE("new"));
    struct json *copy = json_clone(root);
    json_append_integer(array, 6);
    char *text = json_print(copy, JSON_STYLE_COMPACT);
    cr_assert(eq(str, text, "{\"name\":\"new\",\"list\":[5,\"x\"],\"yes\":true,\"none\":null}"));
    free(text);
    text = json_print(root, JSON_STYLE_INDENTED);
    cr_assert(slice_ends_with(slice_of(text), SLICE("null\n}\n")));
    free(text);
    json_free(root);
    json_free(copy);
}

Test(json, bytes_that_are_not_text_are_replaced)
{
    const struct {
        struct slice raw;
        char *printed;
    } cases[] = {
        {SLICE("ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
         "[\"ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"]"},
        {SLICE("\xff"), "[\"\xef\xbf\xbd\"]"},
        {SLICE("a\0b"), "[\"a\xef\xbf\xbd"
                        "b\"]"},
        {SLICE("\xc0\xaf"), "[\"\xef\xbf\xbd\xef\xbf\xbd\"]"},
        {SLICE("\xed\xa0\x80"), "[\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]"},
        {SLICE("\xe2\x82"), "[\"\xef\xbf\xbd\xef\xbf\xbd\"]"},
        {SLICE(""), "[\"\"]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct json *array = json_new_array();
        json_append_text(array, cases[i].raw);
        char *text = json_print(array, JSON_STYLE_COMPACT);
        cr_expect(eq(str, text, cases[i].printed));
        free(text);
        json_free(array);
    }
}

static const char PLACES[] = "\n{\n"
                             "  \"tenants\": {\n"
                             "    \"a/b\": { \"hosts\": [ \"x\", {\"k~\": 10} , true ] },\n"
                             "    \"\\u00e9\\ud83d\\ude00\\n\": -1.5e3, \"e\": {}, \"f\":[ ]\n"
                             "  }, \"\xc3\xa9\": \"}]\\\"\", \"z\" : null\n"
                             "}\n";

struct place {
    const char *pointer;
    size_t line, column;
    const char *value;
    size_t key_column;
    const char *key;
};

Test(json, marks_outside_of_strings_are_counted)
{
    static const struct {
        const char *text;
        size_t count;
    } ROWS[] = {
        {"", 0},
        {"{\"a\": [1, 2], \"b\": {}}", 7},
        {"{\"a,b:[{\": \"\\\",\\\\\"}", 2},
        {"[\"not ended, [", 1},
        {"[\"\\", 1},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(sz, json_count_marks(slice_of(ROWS[i].text)), ROWS[i].count), "%s",
                  ROWS[i].text);
}

Test(json, places_are_found_by_pointer)
{
    const struct place cases[] = {
        {"/tenants/a~1b/hosts", 4, 23, "[ \"x\", {\"k~\": 10} , true ]", 14, "\"hosts\""},
        {"/tenants/a~1b/hosts/0", 4, 25, "\"x\"", 25, "\"x\""},
        {"/tenants/a~1b/hosts/1/k~0", 4, 37, "10", 31, "\"k~\""},
        {"/tenants/a~1b/hosts/2", 4, 43, "true", 43, "true"},
        {"/tenants/\xc3\xa9\xf0\x9f\x98\x80\n", 5, 29, "-1.5e3", 5, "\"\\u00e9\\ud83d\\ude00\\n\""},
        {"/tenants/e", 5, 42, "{}", 37, "\"e\""},
        {"/tenants/f", 5, 50, "[ ]", 46, "\"f\""},
        {"/\xc3\xa9", 6, 11, "\"}]\\\"\"", 6, "\"\xc3\xa9\""},
        {"/z", 6, 25, "null", 19, "\"z\""},
    };
    struct slice text = slice_of(PLACES);
    json_free(must_parse(PLACES));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct place *c = &cases[i];
        struct json_position key, value;
        cr_assert(json_locate(text, slice_of(c->pointer), JSON_PART_VALUE, &value), "%s",
                  c->pointer);
        cr_assert(json_locate(text, slice_of(c->pointer), JSON_PART_KEY, &key), "%s", c->pointer);
        cr_expect(eq(sz, value.line, c->line), "%s", c->pointer);
        cr_expect(eq(sz, value.column, c->column), "%s", c->pointer);
        cr_expect(eq(sz, key.column, c->key_column), "%s", c->pointer);
        cr_expect(slice_equal(slice_from(text.data + value.offset, value.size), slice_of(c->value)),
                  "%s", c->pointer);
        cr_expect(slice_equal(slice_from(text.data + key.offset, key.size), slice_of(c->key)), "%s",
                  c->pointer);
    }
    struct json_position root;
    cr_assert(json_locate(text, SLICE(""), JSON_PART_VALUE, &root));
    cr_expect(eq(sz, root.line, 2));
    cr_expect(eq(sz, root.size, sizeof(PLACES) - 3));
}

Test(json, what_is_not_there_has_no_place)
{
    const char *missing[] = {"/x",           "/tenants/a~1b/hosts/3", "/tenants/a~1b/hosts/01x",
                             "/tenants/e/x", "/tenants/f/0",          "/z/0",
                             "tenants",      "/tenants/a/b",          "/"};
    struct json_position at;
    for (size_t i = 0; i < COUNT_OF(missing); i++)
        cr_expect_not(json_locate(slice_of(PLACES), slice_of(missing[i]), JSON_PART_VALUE, &at),
                      "%s", missing[i]);
}

Test(json, broken_texts_are_never_read_beyond_their_end)
{
    size_t size = sizeof(PLACES) - 1;
    for (size_t cut = 0; cut <= size; cut++) {
        char *copy = malloc(cut > 0 ? cut : 1); /* exact, so that ASan sees one byte too many */
        memcpy(copy, PLACES, cut);
        struct json_position at = {0};
        bool found = json_locate(slice_from(copy, cut), SLICE("/z"), JSON_PART_VALUE, &at);
        cr_expect(le(sz, found ? at.offset + at.size : 0, cut));
        json_free(json_parse(slice_from(copy, cut), 1000, &at, NULL));
        free(copy);
    }
}

Test(json, a_walk_steps_with_the_members)
{
    struct json *root = must_parse(PLACES);
    const struct json *tenants = json_get(root, "tenants");
    struct json_position at;
    cr_assert(json_locate(slice_of(PLACES), SLICE("/tenants"), JSON_PART_VALUE, &at));
    struct json_walk walk = json_walk_start(slice_of(PLACES), &at);
    size_t count = 0;
    for (struct json_member m = {0}; json_next(tenants, &m); count++) {
        cr_assert(json_walk_next(&walk));
        cr_expect(eq(sz, walk.value.line, count == 0 ? 4 : 5));
    }
    cr_expect(eq(sz, count, 4));
    cr_expect_not(json_walk_next(&walk));
    cr_expect_not(json_walk_next(&walk));
    json_free(root);
}
