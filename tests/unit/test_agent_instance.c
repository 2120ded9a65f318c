/* agent/instance: whose instance it is, when the list of labels or the tenant is another one. */
#include "agent/instance.h"
#include "conf_fixture.h"
#include "core/memory.h"
#include "route/label_map.h"

#include <stdlib.h>

static struct fixture *load(const char *more, const char *lines)
{
    struct fixture *fixture = fixture_new();
    char *text = memory_format("{\"tenants\": {\"fleet\": {\"hosts\": [\"*.ai.test\"], "
                               "\"upstream_map\": \"fleet.csv\"%s}}}",
                               more);
    fixture_write(fixture, "owui-spoa.json", text);
    fixture_write(fixture, "fleet.csv", lines);
    fixture_load(fixture);
    cr_assert(fixture->good);
    free(text);
    return fixture;
}

static struct tenant *instance_of(const struct fixture *fixture, const char *label)
{
    const struct tenant *parent = fixture_tenant(fixture, "fleet");
    char *host = instance_host(parent, slice_of(label));
    struct ip address;
    cr_assert_not_null(host);
    cr_assert(ip_parse(slice_of(host), &address));
    struct tenant *instance = instance_new(parent, slice_of(label), host, &address, NULL);
    cr_assert_not_null(instance);
    free(host);
    return instance;
}

Test(instance, a_line_that_is_the_same_is_nobodys_business)
{
    static const struct {
        const char *more;
        const char *lines;
        bool is_still;
    } ROWS[] = {
        {"", "acme,http://10.0.0.1:1\nother,http://10.0.0.9:9\n", true},
        {"", "new,http://10.0.0.5:5\nacme,10.0.0.1:1\n", true},
        {"", "acme,http://10.0.0.2:1\n", false},
        {"", "acme,http://10.0.0.1:2\n", false},
        {"", "other,http://10.0.0.2:2\n", false},
        {", \"upstream_tls\": {\"verify\": false}", "acme,https://10.0.0.1:1\n", false},
        {", \"headers\": {\"X-Team\": \"red\"}", "acme,http://10.0.0.1:1\n", false},
    };
    struct fixture *before = load("", "acme,http://10.0.0.1:1\nother,http://10.0.0.2:2\n");
    struct tenant *instance = instance_of(before, "acme");
    const struct tenant *parent = fixture_tenant(before, "fleet");
    cr_expect(instance_is_of(instance, parent, SLICE("acme")));
    cr_expect_null(instance->labels);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct fixture *after = load(ROWS[i].more, ROWS[i].lines);
        const struct tenant *other = fixture_tenant(after, "fleet");
        cr_expect(eq(int, instance_is_of(instance, other, SLICE("acme")), ROWS[i].is_still), "%s",
                  ROWS[i].lines);
        fixture_free(after);
    }
    tenant_free(instance);
    fixture_free(before);
}
