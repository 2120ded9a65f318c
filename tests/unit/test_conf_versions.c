/* conf: blue and green. */
#include "conf_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define GLOBAL(TENANT) "{\"tenants\": {\"t\": {\"hosts\": [\"a.test\"], " TENANT "}}}"
#define TWO            "\"versions\": {\"blue\": \"http://10.0.0.1:3000\", \"green\": \"https://green.test\"}"

Test(conf_versions, the_active_one_is_the_upstream)
{
    struct fixture *fixture = fixture_of(GLOBAL(TWO ", \"active\": \"green\""));
    const struct tenant *tenant = fixture_tenant(fixture, "t");
    cr_assert(fixture->good);
    cr_assert(eq(str, tenant->upstream.host, "green.test"));
    cr_assert(eq(str, tenant->upstream.server_name, "green.test"));
    cr_assert(eq(u16, tenant->upstream.port, 443));
    cr_assert(eq(str, tenant->active_version, "green"));

    struct tenant *copy = tenant_clone(tenant);
    cr_assert(eq(str, copy->active_version, "green"));
    cr_assert(copy->active_version != tenant->active_version);
    tenant_free(copy);
    fixture_free(fixture);
}

Test(conf_versions, a_switch_is_another_tenant)
{
    struct fixture *blue = fixture_of(GLOBAL(TWO ", \"active\": \"blue\""));
    struct fixture *green = fixture_of(GLOBAL(TWO ", \"active\": \"green\""));
    cr_assert(
        ne(u64, fixture_tenant(blue, "t")->content_hash, fixture_tenant(green, "t")->content_hash));
    fixture_free(blue);
    fixture_free(green);
}

static const struct {
    const char *tenant;
    enum code code;
    const char *said;
} WRONG[] = {
    {TWO ", \"active\": \"gren\"", CODE_VERSION_UNKNOWN, "did you mean \"green\"?"},
    {TWO, CODE_MISSING_KEY, "add \"active\": \"blue\""},
    {TWO ", \"active\": {\"blue\": 90, \"green\": 10}", CODE_VERSION_SPLIT, "never run on one"},
    {TWO ", \"active\": [\"blue\", \"green\"]", CODE_VERSION_SPLIT, "Switch the whole tenant"},
    {"\"versions\": {\"blue\": {\"upstream\": \"http://h\", \"weight\": 90}}, \"active\": \"blue\"",
     CODE_VERSION_SPLIT, "cannot share a tenant's requests"},
    {"\"versions\": {\"Blue\": \"http://h\"}, \"active\": \"Blue\"", CODE_BAD_NAME,
     "not a name for a version"},
    {"\"versions\": {\"blue\": \"h:3000\"}, \"active\": \"blue\"", CODE_UPSTREAM_SYNTAX,
     "http://h:3000"},
    {"\"versions\": {\"blue\": \"http://{1}.test\"}, \"active\": \"blue\"", CODE_UPSTREAM_SYNTAX,
     "{1}"},
    {"\"versions\": [], \"active\": \"blue\"", CODE_WRONG_TYPE, "must be an object"},
    {"\"upstream\": \"http://h\", \"active\": \"blue\"", CODE_MEANINGLESS_KEY, "without"},
    {"\"upstream\": \"http://h\", " TWO ", \"active\": \"blue\"", CODE_MEANINGLESS_KEY,
     "an \"upstream\" and to \"versions\""},
    /* What is wrong with the one that is not active is told before anybody switches to it. */
    {"\"versions\": {\"blue\": \"http://h\", \"green\": \"https://10.0.0.2\"}, \"active\": "
     "\"blue\"",
     CODE_TLS_NAME, "server_name"},
    {"\"versions\": {\"blue\": \"http://h\", \"green\": \"http://169.254.1.1\"}, \"active\": "
     "\"blue\"",
     CODE_UPSTREAM_REFUSED, "169.254.1.1"},
};

Test(conf_versions, what_is_wrong)
{
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        char text[512];
        snprintf(text, sizeof(text), GLOBAL("%s"), WRONG[i].tenant);
        struct fixture *fixture = fixture_of(text);
        char *said = fixture_text(fixture);
        cr_expect_not(fixture->good, "%s", text);
        cr_expect(fixture_said(fixture, WRONG[i].code), "%s", said);
        cr_expect(strstr(said, WRONG[i].said) != NULL, "%s", said);
        free(said);
        fixture_free(fixture);
    }
}
