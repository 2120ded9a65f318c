/* route/certified: for which hosts a certificate is ordered, and which names no CA for the public
 * knows. */
#include "core/memory.h"
#include "route/certified.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct tenant *tenant_of(const char *const *hosts, size_t count)
{
    struct tenant *tenant = tenant_new();
    tenant->name = memory_copy_text(SLICE("t"));
    tenant->content_hash = 1;
    tenant->https_redirect = true;
    tenant->hosts = memory_new(count * sizeof(*tenant->hosts));
    for (; tenant->host_count < count; tenant->host_count++) {
        const char *host = hosts[tenant->host_count];
        bool wildcard = host[0] == '*';
        tenant->hosts[tenant->host_count] = (struct tenant_host){
            .name = memory_copy_text(slice_of(host + (wildcard ? 2 : 0))), .wildcard = wildcard};
    }
    return tenant;
}

Test(route_certified, neither_addresses_nor_wildcards_are_ordered)
{
    static const char *const HOSTS[] = {"192.0.2.1", "a.test", "*.b.test", "2001:db8::1", "chat"};
    struct route_registry *registry = route_registry_new();
    struct tenant *tenant = tenant_of(HOSTS, COUNT_OF(HOSTS));
    struct certified certified;
    route_registry_put(registry, tenant, NULL, NULL);
    struct route_table *table = route_registry_build(registry, 1);
    certified_hosts(table, tenant, 2, &certified);
    cr_assert(eq(sz, certified.count, 2));
    cr_expect(eq(str, (char *)(uintptr_t)certified.hosts[0].name, "a.test"));
    cr_expect(eq(str, (char *)(uintptr_t)certified.hosts[1].name, "chat"));
    cr_expect_null(certified.left_out);
    route_table_free(table);
    route_registry_free(registry);
}

Test(route_certified, names_of_a_lan)
{
    static const char *const PRIVATE[] = {"localhost",    "chat",      "chat.local",
                                          "a.b.internal", "chat.lan",  "chat.home.arpa",
                                          "chat.corp",    "chat.home", "a.localhost"};
    static const char *const PUBLIC[] = {
        "chat.example.com", "local.example.com", "chat.locale", "192.0.2.1",
        "2001:db8::1",      "xn--bcher-kva.de",  "chat.test"};
    for (size_t i = 0; i < COUNT_OF(PRIVATE); i++)
        cr_expect(certified_is_private(PRIVATE[i]), "%s", PRIVATE[i]);
    for (size_t i = 0; i < COUNT_OF(PUBLIC); i++)
        cr_expect_not(certified_is_private(PUBLIC[i]), "%s", PUBLIC[i]);
    cr_expect(certified_is_address("192.0.2.1") && certified_is_address("2001:db8::1"));
    cr_expect_not(certified_is_address("192.0.2.1.test"));
}
