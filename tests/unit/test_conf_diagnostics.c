/* conf: what messages look like. */
#include "conf_fixture.h"

#include "core/memory.h"
#include "json/json.h"

#include <errno.h>
#include <stdlib.h>

static void assert_text(const struct fixture *fixture, char *expected)
{
    char *said = fixture_text(fixture);
    cr_assert(eq(str, said, expected));
    free(said);
}

Test(conf_diagnostics, point_at_the_key)
{
    struct fixture *fixture = fixture_new();
    fixture_write(fixture, "owui-spoa.json", "{}");
    fixture_write(fixture, "tenants.d/acme.json",
                  "{\n"
                  "  \"tenants\": {\n"
                  "    \"acme\": {\n"
                  "      \"hosts\": [\"chat.acme.com\"],\n"
                  "      \"upsteam\": \"http://10.1.0.11:3000\"\n"
                  "    }\n"
                  "  }\n"
                  "}\n");
    fixture_load(fixture);
    assert_text(fixture,
                "tenants.d/acme.json:5:7: error[E107]: tenant \"acme\": unknown key \"upsteam\"\n"
                "    5 |       \"upsteam\": \"http://10.1.0.11:3000\"\n"
                "      |       ^~~~~~~~~ did you mean \"upstream\"?\n");
    fixture_free(fixture);
}

Test(conf_diagnostics, come_all_at_once)
{
    struct fixture *fixture =
        fixture_of("{\"loops\": 0, \"trace\": -1, \"nope\": 1, \"tenants\": {\n"
                   "\"a\": {\"hosts\": [\"a_b.c:1\", \"/\"], \"upstream\": 5},\n"
                   "\"b\": {\"hosts\": [\"b.test\"], \"upstream\": \"http://10.0.0.1\"},\n"
                   "\"c\": 7}}");
    cr_assert(eq(sz, fixture->diagnostics.errors, 7));
    cr_assert(eq(sz, fixture->whole.tenant_count, 1));
    cr_assert(eq(sz, fixture->whole.broken_count, 2));
    fixture_free(fixture);
}

Test(conf_diagnostics, columns_are_characters)
{
    struct fixture *fixture = fixture_of("{\"// k\": \"h\xc3\xa4\xc3\xb6\",\t\"l\xc3\xb6ps\": 1}");
    cr_assert(eq(u32, fixture->diagnostics.items[0].place.column, 17));
    char *said = fixture_text(fixture);
    const char *caret = strchr(said, '^');
    cr_assert(caret != NULL && strncmp(caret, "^~~~~~ ", 7) == 0, "%s", said);
    cr_assert(strstr(said, "      |                \t^") != NULL, "%s", said);
    free(said);
    fixture_free(fixture);
}

Test(conf_diagnostics, long_lines_are_cut)
{
    char *padding = memory_new(5001);
    memset(padding, 'x', 5000);
    char *text =
        memory_format("{\"// 1\": \"%s\", \"lopps\": 1, \"// 2\": \"%s\"}", padding, padding);
    struct fixture *fixture = fixture_of(text);
    char *said = fixture_text(fixture);
    cr_assert(strstr(said, "did you mean \"loops\"?") != NULL, "%s", said);
    cr_assert(lt(sz, strlen(said), 800));
    const struct diagnostic *diagnostic = &fixture->diagnostics.items[0];
    size_t offset = diagnostic->place.column - diagnostic->source_column;
    cr_assert(eq(int, strncmp(diagnostic->source + offset, "\"lopps\"", 7), 0));
    free(said);
    free(text);
    free(padding);
    fixture_free(fixture);
}

Test(conf_diagnostics, a_terminal_obeys_nothing_in_them)
{
    struct fixture *fixture = fixture_of("{\"\\u001b[2J\\u009b\": 1, \"\x1b\": 2}");
    char *said = fixture_text(fixture);
    cr_assert(strchr(said, 0x1b) == NULL, "%s", said);
    free(said);
    fixture_free(fixture);
    fixture = fixture_of("{\"\\u001b[2J\\u009b\": 1}");
    said = fixture_text(fixture);
    cr_assert(strstr(said, "unknown key \"?[2J?\"") != NULL, "%s", said);
    free(said);
    fixture_free(fixture);
}

Test(conf_diagnostics, files_that_cannot_be_read)
{
    struct fixture *fixture = fixture_new();
    fixture_load(fixture);
    assert_text(fixture, "owui-spoa.json: error[E101]: cannot open owui-spoa.json: No such file or "
                         "directory\n");
    fixture_free(fixture);

    fixture = fixture_of("");
    cr_assert(fixture_said(fixture, CODE_JSON_SYNTAX));
    fixture_free(fixture);
    fixture = fixture_of("[]");
    cr_assert(fixture_said(fixture, CODE_WRONG_TYPE));
    fixture_free(fixture);
    fixture = fixture_of("{\"a\": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}");
    cr_assert(fixture_said(fixture, CODE_JSON_SYNTAX));
    fixture_free(fixture);
}

/* Not by its words, which a file's name may have too. */
Test(conf_diagnostics, tell_of_permission_by_its_number)
{
    const struct place place = {"acme.json", 0, 0};
    struct diagnostics diagnostics = {0};
    struct error_text why;
    errno = ENOENT;
    enum error error = error_set_errno(&why, "cannot open \"Permission denied\"");
    diagnostics_add_unreadable(&diagnostics, &place, error, &why);
    cr_expect(eq(int, diagnostics.items[0].error_number, ENOENT));
    cr_expect(not(diagnostics_tell_of_permission(&diagnostics)));
    errno = EACCES;
    error = error_set_errno(&why, "cannot open acme.json");
    diagnostics_add_unreadable(&diagnostics, &place, error, &why);
    cr_expect(diagnostics_tell_of_permission(&diagnostics));
    diagnostics_fini(&diagnostics);
}

Test(conf_diagnostics, as_json)
{
    struct fixture *fixture = fixture_of("{\n\"lopps\": 1}");
    struct json *json = diagnostic_json(&fixture->diagnostics.items[0]);
    char *text = json_print(json, JSON_STYLE_COMPACT);
    char *expected = memory_format(
        "{\"severity\":\"error\",\"code\":\"E107\",\"meaning\":\"a key is not known\","
        "\"file\":\"%s/owui-spoa.json\",\"line\":2,\"column\":1,\"length\":7,"
        "\"message\":\"unknown key \\\"lopps\\\"\",\"hint\":\"did you mean \\\"loops\\\"?\"}",
        fixture->folder);
    cr_assert(eq(str, text, expected));
    free(expected);
    free(text);
    json_free(json);
    fixture_free(fixture);
}
