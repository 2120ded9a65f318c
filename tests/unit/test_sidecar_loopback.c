/* sidecar/loopback: where a bind can be reached. */
#include "core/base.h"
#include "sidecar/loopback.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

Test(loopback, of_binds)
{
    static const struct {
        const char *bind;
        const char *address; /* NULL: none */
    } rows[] = {
        {"*:80", "127.0.0.1:80"},
        {":443", "127.0.0.1:443"},
        {"0.0.0.0:80", "127.0.0.1:80"},
        {"ipv4@*:80", "127.0.0.1:80"},
        {"ipv6@:80", "[::1]:80"},
        {"[::]:80", "[::1]:80"},
        {":::80", "[::1]:80"},
        {"192.0.2.7:8080", "192.0.2.7:8080"},
        {"[2001:db8::1]:443", "[2001:db8::1]:443"},
        {"/run/haproxy.sock", NULL},
        {"unix@/run/x:80", NULL},
        {"abns@x", NULL},
        {"fd@3", NULL},
        {"*:80-90", NULL},
        {"*:", NULL},
        {"name.test:80", NULL},
        {"*:80,*:81", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *address = loopback_of_bind(slice_of(rows[i].bind));
        if (rows[i].address == NULL)
            cr_expect(eq(ptr, address, NULL), "%s", rows[i].bind);
        else
            cr_expect(address != NULL && strcmp(address, rows[i].address) == 0, "%s: %s",
                      rows[i].bind, address != NULL ? address : "none");
        free(address);
    }
}

Test(loopback, of_each_bind_for_which_there_is)
{
    static char *binds[] = {"/run/x", "*:80", "fd@3", "[::]:80"};
    char **addresses = loopbacks_of_binds(binds, COUNT_OF(binds));
    cr_expect(eq(str, addresses[0], "127.0.0.1:80"));
    cr_expect(eq(str, addresses[1], "[::1]:80"));
    cr_expect(eq(ptr, addresses[2], NULL));
    loopbacks_free(addresses);
    addresses = loopbacks_of_binds(NULL, 0);
    cr_expect(eq(ptr, addresses[0], NULL));
    loopbacks_free(addresses);
    loopbacks_free(NULL);
}

Test(loopback, binds_are_at_addresses_of_their_family)
{
    static char *both[] = {"*:80", "[::]:80"}, *one[] = {"192.0.2.7:80", "/run/x", "[::1]:80"};
    static const struct {
        const char *ip;
        bool by_both, by_the_first, by_one;
    } rows[] = {
        {"192.0.2.7", true, true, true},
        {"192.0.2.8", true, true, false},
        {"::1", true, false, true},
        {"2001:db8::1", true, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ip ip;
        cr_assert(ip_parse(slice_of(rows[i].ip), &ip));
        cr_expect(eq(int, binds_are_at(both, 2, &ip), rows[i].by_both), "%s", rows[i].ip);
        cr_expect(eq(int, binds_are_at(both, 1, &ip), rows[i].by_the_first), "%s", rows[i].ip);
        cr_expect(eq(int, binds_are_at(one, 3, &ip), rows[i].by_one), "%s", rows[i].ip);
    }
}

Test(loopback, proxy_lines_are_for_listed_networks)
{
    const char *const networks[] = {"192.0.2.0/24", "::1"};
    cr_expect(not(loopback_needs_proxy_line("127.0.0.1:80", networks, 2)));
    cr_expect(loopback_needs_proxy_line("[::1]:80", networks, 2));
    cr_expect(loopback_needs_proxy_line("192.0.2.9:80", networks, 2));
    cr_expect(not(loopback_needs_proxy_line("[::1]:80", networks, 0)));
}
