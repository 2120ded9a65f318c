/* Global settings: see route/settings.h. */
#include "route/settings.h"

#include <stdlib.h>

/* Where no upstream can be: "this network", link-local (cloud metadata lives there), multicast,
 * reserved and broadcast. */
static const struct ip_network NEVER[] = {
    {{{0}, IP_V4}, 8},   {{{169, 254}, IP_V4}, 16},   {{{224}, IP_V4}, 4},  {{{240}, IP_V4}, 4},
    {{{0}, IP_V6}, 128}, {{{0xfe, 0x80}, IP_V6}, 10}, {{{0xff}, IP_V6}, 8},
};

static bool any_contains(const struct ip_network *networks, size_t count, const struct ip *ip)
{
    for (size_t i = 0; i < count; i++)
        if (ip_network_contains(&networks[i], ip))
            return true;
    return false;
}

bool settings_upstream_allowed(const struct settings *settings, const struct ip *address)
{
    if (address->family == IP_NONE || any_contains(NEVER, COUNT_OF(NEVER), address))
        return false;
    return settings->upstream_allow_count == 0 ||
           any_contains(settings->upstream_allow, settings->upstream_allow_count, address);
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
