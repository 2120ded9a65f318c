/* "upstream_map": labels of wildcard hosts from a file of lines. */
#include "conf_fixture.h"
#include "core/memory.h"
#include "route/label_map.h"
#include "route/tenant.h"

#include <stdio.h>
#include <stdlib.h>

#define FLEET "\"hosts\": [\"*.ai.test\"], \"upstream_map\": \"fleet.csv\""

static struct fixture *load(const char *tenant, const char *lines)
{
    struct fixture *fixture = fixture_new();
    char *text = memory_format("{\"upstream_allow\": [\"10.0.0.0/8\"], "
                               "\"tenants\": {\"fleet\": {%s}}}",
                               tenant);
    fixture_write(fixture, "owui-spoa.json", text);
    if (lines != NULL)
        fixture_write(fixture, "fleet.csv", lines);
    fixture_load(fixture);
    free(text);
    return fixture;
}

static const struct label_row *row_of(const struct fixture *fixture, const char *label)
{
    const struct tenant *tenant = fixture_tenant(fixture, "fleet");
    cr_assert_not_null(tenant);
    cr_assert_not_null(tenant->labels);
    return label_map_find(tenant->labels, slice_of(label));
}

Test(conf_labels, what_scripts_and_spreadsheets_write)
{
    struct fixture *fixture = load(FLEET, "\xef\xbb\xbf"
                                          "label,upstream\r\n"
                                          "# ours\r\n"
                                          "\r\n"
                                          "zeta,http://10.1.0.9:3000\r\n"
                                          " Acme , http://chat.internal:8080/ \r\n"
                                          "\"globex\",\"10.1.0.11:3000\"\r\n"
                                          "b\xc3\xbc"
                                          "cher,https://books.internal\r\n"
                                          "1234,http://[fd00::7]");
    char *said = fixture_text(fixture);
    cr_assert(eq(str, said,
                 "fleet.csv:8:6: error[E208]: tenant \"fleet\": no tenant may have an "
                 "upstream at fd00::7\n"
                 "    8 | 1234,http://[fd00::7]\n"
                 "      |      ^~~~~~~~~~~~~~~~\n"
                 "      = \"upstream_allow\" of the global file lists the networks that tenants "
                 "may use;\n"
                 "      = link-local, multicast, broadcast and unspecified addresses "
                 "are never allowed, nor clouds' metadata\n"),
              "%s", said);
    const struct label_map *labels = fixture_tenant(fixture, "fleet")->labels;
    cr_expect(eq(sz, labels->count, 5));
    cr_expect(eq(sz, labels->wrong_count, 1));
    cr_expect(labels->has_https);
    const struct {
        const char *label, *host;
        uint16_t port;
        uint32_t line;
    } ROWS[] = {{"acme", "chat.internal", 8080, 5},
                {"globex", "10.1.0.11", 3000, 6},
                {"xn--bcher-kva", "books.internal", 443, 7},
                {"zeta", "10.1.0.9", 3000, 4},
                {"1234", "", 0, 8}};
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        const struct label_row *row = row_of(fixture, ROWS[i].label);
        cr_assert_not_null(row, "%s", ROWS[i].label);
        cr_expect(eq(str, (char *)(uintptr_t)label_map_text(labels, row->host),
                     (char *)(uintptr_t)ROWS[i].host));
        cr_expect(eq(u16, row->port, ROWS[i].port));
        cr_expect(eq(u32, row->line, ROWS[i].line));
    }
    cr_expect_null(row_of(fixture, "acm"));
    cr_expect_null(row_of(fixture, "acmee"));
    cr_expect_null(row_of(fixture, "label"));
    cr_expect_null(label_map_find(labels, (struct slice){0}));
    free(said);
    fixture_free(fixture);
}

Test(conf_labels, each_wrong_line_is_told_and_touches_no_other)
{
    static const struct {
        const char *line;
        enum code code;
        const char *said;
    } ROWS[] = {
        {"acme", CODE_LABEL_LINE,
         "fleet.csv:2:1: error[E248]: tenant \"fleet\": a line is a label"},
        {"acme,", CODE_LABEL_LINE, "fleet.csv:2:1:"},
        {",http://10.0.0.1", CODE_LABEL_LINE, "\"\" is not a label"},
        {"acme,http://10.0.0.1,x", CODE_LABEL_LINE, "a line is a label, a comma and an upstream"},
        {"a.b,http://10.0.0.1", CODE_LABEL_LINE, "\"a.b\" is not a label"},
        {"*,http://10.0.0.1", CODE_LABEL_LINE, "\"*\" is not a label"},
        {"a b,http://10.0.0.1", CODE_LABEL_LINE, "\"a b\" is not a label"},
        {"good,http://10.0.0.1", CODE_LISTED_TWICE,
         "fleet.csv:2:1: error[E110]: tenant \"fleet\": label \"good\" is in line 1 already, which "
         "stays"},
        {"acme, 10.0.0.1", CODE_UPSTREAM_SYNTAX, "fleet.csv:2:7: error[E207]"},
        {"acme,http://{1}.internal", CODE_UPSTREAM_SYNTAX, "{1} cannot stand in a list"},
        {"acme,https://10.0.0.1", CODE_TLS_NAME, "add \"upstream_tls\""},
        {"acme,http://192.0.2.1", CODE_UPSTREAM_REFUSED, "no tenant may have"},
        {"acme,http://10.0.0.1:x", CODE_UPSTREAM_SYNTAX, "the port must be a number"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char *lines =
            memory_format("good,http://10.1.1.1:80\n%s\nlast,http://10.1.1.2:80\n", ROWS[i].line);
        struct fixture *fixture = load(FLEET, lines);
        char *said = fixture_text(fixture);
        cr_expect_not_null(strstr(said, ROWS[i].said), "%s:\n%s", ROWS[i].line, said);
        cr_expect(fixture_said(fixture, ROWS[i].code), "%s:\n%s", ROWS[i].line, said);
        cr_expect(eq(sz, fixture->diagnostics.count, 1), "%s:\n%s", ROWS[i].line, said);
        cr_expect(not(fixture->good));
        cr_expect(eq(sz, fixture->whole.tenant_count, 1), "%s", ROWS[i].line);
        cr_expect(eq(u16, row_of(fixture, "good")->port, 80));
        cr_expect_not_null(row_of(fixture, "last"));
        free(said);
        free(lines);
        fixture_free(fixture);
    }
}

Test(conf_labels, what_is_wrong_with_the_tenant)
{
    static const struct {
        const char *tenant;
        const char *lines;
        enum code code;
        const char *said;
    } ROWS[] = {
        {FLEET, NULL, CODE_FILE_UNREADABLE, "make it, with a line such as"},
        {FLEET ", \"upstream\": \"http://10.0.0.1\"", "", CODE_MEANINGLESS_KEY,
         "requests cannot go to an \"upstream\" and to an \"upstream_map\""},
        {"\"hosts\": [\"*.ai.test\", \"b.test\"], \"upstream_map\": \"fleet.csv\"", "",
         CODE_LABEL_WITHOUT_WILDCARD, "the upstream depends on the label"},
        {FLEET ", \"check\": {}", "", CODE_MEANINGLESS_KEY, "an upstream for each label"},
        {"\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\", \"unknown_label\": {}", NULL,
         CODE_MEANINGLESS_KEY, "\"unknown_label\" has no meaning without"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct fixture *fixture = load(ROWS[i].tenant, ROWS[i].lines);
        char *said = fixture_text(fixture);
        cr_expect_not_null(strstr(said, ROWS[i].said), "%s:\n%s", ROWS[i].tenant, said);
        cr_expect(fixture_said(fixture, ROWS[i].code), "%s", said);
        cr_expect(eq(sz, fixture->whole.broken_count, 1), "%s", said);
        free(said);
        fixture_free(fixture);
    }
}

Test(conf_labels, labels_that_the_pattern_lets_nobody_have)
{
    struct fixture *fixture =
        load(FLEET ", \"label\": \"[a-z]+\"", "acme,http://10.0.0.1\nt1,http://10.0.0.2\n");
    char *said = fixture_text(fixture);
    cr_expect_not_null(strstr(said, "fleet.csv:2:1: error[E248]"), "%s", said);
    cr_expect_not_null(strstr(said, "so that no request has it"), "%s", said);
    cr_expect_not_null(row_of(fixture, "acme"));
    cr_expect_null(row_of(fixture, "t1"));
    free(said);
    fixture_free(fixture);
}

Test(conf_labels, https_by_the_tenants_name)
{
    struct fixture *fixture = load(FLEET ", \"upstream_tls\": {\"server_name\": \"owui.internal\"}",
                                   "acme,https://10.0.0.1\nplain,http://10.0.0.2\n");
    char *said = fixture_text(fixture);
    cr_expect(eq(str, said, ""));
    cr_expect(eq(str, fixture_tenant(fixture, "fleet")->upstream.server_name, "owui.internal"));
    cr_expect(eq(u8, row_of(fixture, "acme")->scheme, UPSTREAM_HTTPS));
    cr_expect(eq(u8, row_of(fixture, "plain")->scheme, UPSTREAM_HTTP));
    free(said);
    fixture_free(fixture);
}

/* Whoever uploads the wrong file is told so, and not a hundred thousand times. */
Test(conf_labels, a_file_of_something_else)
{
    char *lines = memory_new(200 * 6 + 1);
    for (size_t i = 0; i < 200; i++)
        memcpy(lines + i * 6, "wrong\n", 6);
    struct fixture *fixture = load(FLEET, lines);
    char *said = fixture_text(fixture);
    cr_expect(eq(sz, fixture->diagnostics.count, 51));
    cr_expect_not_null(strstr(said, "150 more lines are wrong"), "%s", said);
    cr_expect(eq(sz, fixture_tenant(fixture, "fleet")->labels->count, 0));
    free(said);
    free(lines);
    fixture_free(fixture);
}

Test(conf_labels, a_line_that_is_wrong_now_stays_as_it_was)
{
    struct fixture *before = load(FLEET, "acme,http://10.0.0.1:1\ngone,http://10.0.0.2:2\n"
                                         "bad,http://10.0.0.3:3\n");
    struct fixture *after = load(FLEET, "bad,http:/10\nacme,http//10.0.0.9\nnew,nothing\n");
    struct label_map *labels = fixture_tenant(after, "fleet")->labels;
    cr_assert(eq(sz, labels->wrong_count, 3));
    cr_expect(eq(sz, label_map_keep(labels, fixture_tenant(before, "fleet")->labels), 2));
    cr_expect(eq(sz, labels->wrong_count, 1));
    const struct label_row *row = row_of(after, "acme");
    cr_expect(eq(u16, row->port, 1));
    cr_expect(eq(u32, row->line, 2));
    cr_expect(eq(str, (char *)(uintptr_t)label_map_text(labels, row->host), "10.0.0.1"));
    cr_expect(eq(u16, row_of(after, "bad")->port, 3));
    cr_expect(eq(u16, row_of(after, "new")->port, 0));
    cr_expect_null(row_of(after, "gone"));
    fixture_free(before);
    fixture_free(after);
}

Test(conf_labels, a_hundred_thousand)
{
    enum { LABELS = 100000 };
    char *lines = memory_new(LABELS * 40);
    size_t used = 0;
    for (unsigned i = 0; i < LABELS; i++)
        used += (size_t)sprintf(lines + used, "t%u,10.%u.%u.1:3000\n", i * 7919 % LABELS,
                                i / 256 % 256, i % 256);
    struct fixture *fixture = load(FLEET, lines);
    cr_expect(fixture->good);
    const struct label_map *labels = fixture_tenant(fixture, "fleet")->labels;
    cr_expect(eq(sz, labels->count, LABELS));
    for (unsigned i = 0; i < LABELS; i++) {
        char label[16];
        sprintf(label, "t%u", i);
        const struct label_row *row = label_map_find(labels, slice_of(label));
        cr_assert_not_null(row, "%s", label);
    }
    free(lines);
    fixture_free(fixture);
}
