/* Ways to HAProxy's binds: see sidecar/loopback.h. */
#include "sidecar/loopback.h"

#include "core/ip.h"
#include "core/memory.h"

#include <stdlib.h>

static struct slice without_brackets(struct slice text)
{
    if (text.size < 2 || text.data[0] != '[' || text.data[text.size - 1] != ']')
        return text;
    return slice_head(slice_skip(text, 1), text.size - 2);
}

/* Where it is: an address, or an unspecified one for each of that family. */
static bool bind_parse(struct slice bind, struct ip *ip, struct slice *port)
{
    bool six = slice_starts_with(bind, SLICE("ipv6@"));

    if (six || slice_starts_with(bind, SLICE("ipv4@")))
        bind = slice_skip(bind, 5);
    const char *colon = bind.size > 0 ? memrchr(bind.data, ':', bind.size) : NULL;
    if (colon == NULL)
        return false;
    struct slice host = slice_head(bind, (size_t)(colon - bind.data));
    *port = slice_skip(bind, host.size + 1);
    host = without_brackets(host);
    if (host.size == 0 || slice_equal(host, SLICE("*")))
        host = six ? SLICE("::") : SLICE("0.0.0.0");
    bool is_port = port->size > 0 && port->size <= 5 && slice_consists_of(*port, ascii_is_digit);
    return is_port && ip_parse(host, ip);
}

char *loopback_of_bind(struct slice bind)
{
    char text[IP_TEXT_SIZE];
    struct ip ip;
    struct slice port;

    if (!bind_parse(bind, &ip, &port) ||
        (ip_is_unspecified(&ip) &&
         !ip_parse(ip.family == IP_V6 ? SLICE("::1") : SLICE("127.0.0.1"), &ip)))
        return NULL;
    return memory_format(ip.family == IP_V6 ? "[%s]:%.*s" : "%s:%.*s", ip_print(&ip, text),
                         SLICE_PRINT(port));
}

char **loopbacks_of_binds(char *const *binds, size_t count)
{
    char **addresses = memory_new((count + 1) * sizeof(*addresses));
    for (size_t i = 0, found = 0; i < count; i++) {
        addresses[found] = loopback_of_bind(slice_of(binds[i]));
        found += addresses[found] != NULL;
    }
    return addresses;
}

void loopbacks_free(char **addresses)
{
    for (size_t i = 0; addresses != NULL && addresses[i] != NULL; i++)
        free(addresses[i]);
    free(addresses);
}

bool binds_are_at(char *const *binds, size_t count, const struct ip *ip)
{
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        struct ip own;
        struct slice port;
        found = bind_parse(slice_of(binds[i]), &own, &port) && own.family == ip->family &&
                (ip_is_unspecified(&own) || ip_equal(&own, ip));
    }
    return found;
}

/* Who connects to an address of this machine comes from that address. */
bool loopback_needs_proxy_line(const char *address, const char *const *networks, size_t count)
{
    struct slice host = slice_of(address);
    const char *colon = strrchr(address, ':');
    struct ip ip;
    if (colon != NULL)
        host = without_brackets(slice_head(host, (size_t)(colon - address)));
    if (!ip_parse(host, &ip))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct ip_network network;
        if (ip_network_parse(slice_of(networks[i]), &network) && ip_network_contains(&network, &ip))
            return true;
    }
    return false;
}

size_t loopback_doors_of_binds(const char *const *binds, size_t count, const char *const *networks,
                               size_t network_count, struct loopback_door **doors)
{
    size_t found = 0;
    *doors = memory_new((count + 1) * sizeof(**doors));
    for (size_t i = 0; i < count; i++) {
        char *address = loopback_of_bind(slice_of(binds[i]));
        if (address != NULL)
            (*doors)[found++] = (struct loopback_door){
                address, loopback_needs_proxy_line(address, networks, network_count)};
    }
    return found;
}

void loopback_doors_free(struct loopback_door *doors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(doors[i].address);
    free(doors);
}
