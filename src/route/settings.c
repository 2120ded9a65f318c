/* Global settings: see route/settings.h. */
#include "route/settings.h"

#include <stdlib.h>

/* Where no upstream can be: "this network", link-local (cloud metadata lives there), multicast,
 * reserved and broadcast; and where clouds have their metadata elsewhere: Alibaba's and Azure's,
 * and by IPv6 Amazon's, Google's, Oracle's and Scaleway's. */
static const struct ip_network NEVER[] = {
    {{{0}, IP_V4}, 8},
    {{{169, 254}, IP_V4}, 16},
    {{{100, 100, 100, 200}, IP_V4}, 32},
    {{{168, 63, 129, 16}, IP_V4}, 32},
    {{{224}, IP_V4}, 4},
    {{{240}, IP_V4}, 4},
    {{{0}, IP_V6}, 128},
    {{{0xfe, 0x80}, IP_V6}, 10},
    {{{0xff}, IP_V6}, 8},
    {{{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54}, IP_V6}, 128},
    {{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54}, IP_V6}, 128},
    {{{0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe}, IP_V6}, 128},
    {{{0xfd, 0x00, 0x00, 0x42, [15] = 0x42}, IP_V6}, 128},
};

/* Where routers make IPv4 of IPv6, of the address that begins at a byte: NAT64 (RFC 6052, RFC
 * 8215), SIIT (RFC 2765), compatible addresses (RFC 4291) and 6to4 (RFC 3056). */
static const struct {
    struct ip_network network;
    unsigned at;
} MADE_IPV4[] = {
    {{{{0x00, 0x64, 0xff, 0x9b}, IP_V6}, 96}, 12},
    {{{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, IP_V6}, 48}, 12},
    {{{{[8] = 0xff, 0xff}, IP_V6}, 96}, 12},
    {{{{0}, IP_V6}, 96}, 12},
    {{{{0x20, 0x02}, IP_V6}, 16}, 2},
};

static bool is_never_allowed(const struct ip *address)
{
    bool never = address->family == IP_NONE || ip_networks_contain(NEVER, COUNT_OF(NEVER), address);
    for (size_t i = 0; i < COUNT_OF(MADE_IPV4) && !never && !ip_is_loopback(address); i++) {
        struct ip made;
        never = ip_network_contains(&MADE_IPV4[i].network, address) &&
                ip_from_bytes(slice_from(address->bytes + MADE_IPV4[i].at, 4), &made) &&
                ip_networks_contain(NEVER, COUNT_OF(NEVER), &made);
    }
    return never;
}

bool settings_upstream_allowed(const struct settings *settings, const struct ip *address)
{
    if (is_never_allowed(address))
        return false;
    return settings->upstream_allow_count == 0 ||
           ip_networks_contain(settings->upstream_allow, settings->upstream_allow_count, address);
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    trusted_proxies_fini(&settings->trusted_proxies);
    free(settings->unknown_host_location);
    free(settings->unknown_host_tenant);
    free(settings->upstream_allow);
    free(settings->generation_to.items);
    free(settings);
}
