/* json_edit: one member changes, and every other byte stays. */
#include "json/json_edit.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct json *parse(const char *text)
{
    struct error_text why;
    struct json *value = json_parse(slice_of(text), JSON_MAX_TEXT_BYTES, NULL, &why);
    cr_assert(value != NULL, "%s: %s", text, why.text);
    return value;
}

static void expect_set(const char *text, const char *pointer, const char *key, const char *value,
                       const char *wanted)
{
    struct json *array = parse(value);
    char *changed =
        json_edit_set(slice_of(text), slice_of(pointer), slice_of(key), json_at(array, 0));
    cr_assert(changed != NULL, "%s in %s", key, text);
    cr_expect(eq(str, changed, (char *)(uintptr_t)wanted));
    json_free(parse(changed));
    free(changed);
    json_free(array);
}

Test(json_edit, a_member_is_set_where_it_stands)
{
    expect_set("{ \"a\":1 ,\t\"b\" : 2 }\n", "", "a", "[3]", "{ \"a\":3 ,\t\"b\" : 2 }\n");
    expect_set("{\"a\": {\"b\": [1, {}]}}", "/a", "b", "[true]", "{\"a\": {\"b\": true}}");
    expect_set("{\"x/y\": {\"~\": 1}}", "/x~1y", "~", "[2]", "{\"x/y\": {\"~\": 2}}");
    expect_set("{\"\\u0061\": 1}", "", "a", "[2]", "{\"\\u0061\": 2}");
}

Test(json_edit, a_new_member_is_laid_out_like_the_others)
{
    expect_set("{}", "", "a", "[1]", "{\"a\": 1}");
    expect_set("{\"a\": 1}", "", "b", "[[1, 2]]", "{\"a\": 1, \"b\": [1, 2]}");
    expect_set("{ \"a\": 1 }", "", "b", "[2]", "{ \"a\": 1, \"b\": 2 }");
    expect_set("{\n    \"//\": \"mine\",\n    \"a\": 1\n}\n", "", "b", "[2]",
               "{\n    \"//\": \"mine\",\n    \"a\": 1,\n    \"b\": 2\n}\n");
    expect_set("{\r\n\t\"a\": 1\r\n}", "", "b", "[2]", "{\r\n\t\"a\": 1,\r\n\t\"b\": 2\r\n}");
}

Test(json_edit, what_is_long_gets_lines_of_its_own)
{
    expect_set("{\n  \"tenants\": {\n    \"a\": {}\n  }\n}\n", "/tenants", "b",
               "[{\"hosts\": [\"long.example.com\", \"longer.example.com\"], \"upstream\": "
               "\"http://10.0.0.1:3000\"}]",
               "{\n  \"tenants\": {\n    \"a\": {},\n    \"b\": {\n      \"hosts\": [\n        "
               "\"long.example.com\",\n        \"longer.example.com\"\n      ],\n      "
               "\"upstream\": \"http://10.0.0.1:3000\"\n    }\n  }\n}\n");
}

Test(json_edit, a_member_is_removed_with_one_comma)
{
    static const struct {
        const char *text, *key, *wanted;
    } ROWS[] = {
        {"{\"a\": 1}", "a", "{}"},
        {"{ \"a\": 1 }", "a", "{ }"},
        {"{\"a\": 1, \"b\": 2, \"c\": 3}", "a", "{\"b\": 2, \"c\": 3}"},
        {"{\"a\": 1, \"b\": 2, \"c\": 3}", "b", "{\"a\": 1, \"c\": 3}"},
        {"{\"a\": 1, \"b\": 2, \"c\": 3}", "c", "{\"a\": 1, \"b\": 2}"},
        {"{\n  \"a\": 1,\n  \"b\": 2\n}\n", "a", "{\n  \"b\": 2\n}\n"},
        {"{\n  \"a\": 1,\n  \"b\": 2\n}\n", "b", "{\n  \"a\": 1\n}\n"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *changed = json_edit_remove(slice_of(ROWS[i].text), SLICE(""), slice_of(ROWS[i].key));
        cr_assert(changed != NULL);
        cr_expect(eq(str, changed, (char *)(uintptr_t)ROWS[i].wanted));
        free(changed);
    }
}

Test(json_edit, what_is_not_there_is_told)
{
    struct json *value = parse("[1]");
    cr_expect(json_edit_remove(SLICE("{}"), SLICE(""), SLICE("a")) == NULL);
    cr_expect(json_edit_remove(SLICE("[1]"), SLICE(""), SLICE("0")) == NULL);
    cr_expect(json_edit_set(SLICE("{\"a\": 1}"), SLICE("/a"), SLICE("b"), value) == NULL);
    cr_expect(json_edit_set(SLICE("{\"a\": 1}"), SLICE("/b"), SLICE("b"), value) == NULL);
    json_free(value);
}
