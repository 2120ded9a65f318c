/* conf: where in a token the values of an identity are. */
#include "conf_fixture.h"

#include "core/memory.h"

#include <stdlib.h>

static struct fixture *load(const char *groups)
{
    char *global = memory_format(
        "{\"tenants\": {\"t\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\", "
        "\"identity\": {\"from\": \"jwt\", \"issuer\": \"https://id.test\", \"audience\": \"a\", "
        "\"jwks\": \"https://id.test/k\", \"set\": {\"X-User-Email\": \"{email}\"}%s%s}}}}",
        groups != NULL ? ", \"groups\": " : "", groups != NULL ? groups : "");
    struct fixture *fixture = fixture_of(global);
    free(global);
    return fixture;
}

/* `unread` of an identity with these keys besides an address that is told. */
static unsigned unread_with(const char *keys)
{
    char *text = memory_format(
        "{\"tenants\": {\"t\": {\"hosts\": [\"a.test\"], \"upstream\": \"http://10.0.0.1\", "
        "\"identity\": {\"from\": \"jwt\", \"issuer\": \"https://id.test\", \"audience\": \"a\", "
        "\"jwks\": \"https://id.test/k\", %s}}, \"u\": {\"hosts\": [\"b.test\"], \"upstream\": "
        "\"http://10.0.0.2\", \"identity\": {\"from\": \"shared\", \"set\": {\"X-Role\": "
        "\"{role}\"}}}}}",
        keys);
    struct fixture *fixture = fixture_of(text);
    char *said = fixture_text(fixture);
    cr_assert(fixture->good, "%s", said);
    unsigned unread = fixture_tenant(fixture, "t")->identity->unread;
    free(said);
    fixture_free(fixture);
    free(text);
    return unread;
}

Test(conf_claims, what_is_not_read)
{
    enum { NAME = 1 << IDENTITY_NAME, GROUPS = 1 << IDENTITY_GROUPS, ROLE = 1 << IDENTITY_ROLE };
    cr_expect(eq(u32, unread_with("\"set\": {\"X-E\": \"{email}\"}"), NAME | GROUPS | ROLE));
    cr_expect(
        eq(u32, unread_with("\"set\": {\"X-N\": \"<{name}>\", \"X-R\": \"{role}\"}"), GROUPS));
    cr_expect(eq(u32, unread_with("\"required\": true, \"groups\": \"roles\""), NAME | ROLE));
    cr_expect(eq(u32, unread_with("\"email_domains\": {\"example.com\": \"u\"}"), 0));
}

static const struct {
    const char *text;
    const char *path; /* names, with the separator between them */
} GOOD[] = {
    {NULL, "groups"},
    {"\"g\"", "g"},
    {"\"realm_access.roles\"", "realm_access\nroles"},
    {"\"a.b.c.d.e.f.g.h\"", "a\nb\nc\nd\ne\nf\ng\nh"},
    {"\"a b.\\u00e4\"", "a b\n\xc3\xa4"},
    {"\"cognito:groups\"", "cognito:groups"},
    {"\"https://example.com/roles\"", "https://example.com/roles"},
    {"\"http://example.com/roles.all\"", "http://example.com/roles.all"},
    {"[\"resource_access\", \"my.client\", \"roles\"]", "resource_access\nmy.client\nroles"},
    {"[\"user\", \"https://example.com/roles\"]", "user\nhttps://example.com/roles"},
    {"[\".\"]", "."},
};

Test(conf_claims, good)
{
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        struct fixture *fixture = load(GOOD[i].text);
        char *said = fixture_text(fixture);
        cr_assert(fixture->good, "%s: %s", GOOD[i].text, said);
        const struct tenant *tenant = fixture_tenant(fixture, "t");
        cr_expect_str_eq(tenant->identity->field[IDENTITY_GROUPS], GOOD[i].path);
        cr_expect_str_eq(tenant->identity->field[IDENTITY_ROLE], "role");
        free(said);
        fixture_free(fixture);
    }
}

static const struct {
    const char *text;
    enum code code;
} BAD[] = {
    {"\"\"", CODE_CLAIM},
    {"\".\"", CODE_CLAIM},
    {"\"a..b\"", CODE_CLAIM},
    {"\".a\"", CODE_CLAIM},
    {"\"a.\"", CODE_CLAIM},
    {"\"a .b\"", CODE_CLAIM},
    {"\"a\\nb\"", CODE_CLAIM},
    {"\"a\\u007f\"", CODE_CLAIM},
    {"\"user.https://example.com/roles\"", CODE_CLAIM},
    {"\"a.b.c.d.e.f.g.h.i\"", CODE_CLAIM},
    {"[]", CODE_CLAIM},
    {"[\"\"]", CODE_CLAIM},
    {"[\"a\\nb\"]", CODE_CLAIM},
    {"[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]", CODE_CLAIM},
    {"[\"a\", 1]", CODE_WRONG_TYPE},
    {"[[\"a\"]]", CODE_WRONG_TYPE},
    {"{\"a\": \"b\"}", CODE_WRONG_TYPE},
    {"null", CODE_WRONG_TYPE},
    {"1", CODE_WRONG_TYPE},
};

Test(conf_claims, bad)
{
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        struct fixture *fixture = load(BAD[i].text);
        cr_expect_not(fixture->good, "%s", BAD[i].text);
        cr_expect(fixture_said(fixture, BAD[i].code), "%s", BAD[i].text);
        fixture_free(fixture);
    }
}

Test(conf_claims, the_longest)
{
    char text[600];
    for (size_t size = 500; size <= 501; size++) {
        memset(text, 'x', sizeof(text));
        text[0] = text[size + 1] = '"';
        text[size + 2] = '\0';
        struct fixture *fixture = load(text);
        cr_expect(eq(int, fixture->good, size == 500), "%zu", size);
        fixture_free(fixture);
    }
}
