/* The global settings that a decision needs. Immutable once published. */
#pragma once

#include "route/client.h"
#include "route/policy.h"
#include "route/tenant.h"

enum unknown_host_action { UNKNOWN_HOST_DENY, UNKNOWN_HOST_REDIRECT, UNKNOWN_HOST_TENANT };

struct settings {
    struct trusted_proxies trusted_proxies;
    enum unknown_host_action unknown_host;
    uint16_t unknown_host_status; /* for DENY: 400, 403, 404, 421 or 503 */
    char *unknown_host_location;  /* for REDIRECT: scheme and host, without path */
    char *unknown_host_tenant;    /* for TENANT: its name */

    bool tells_chain;              /* answers tell the trusted proxies on the way, too */
    struct networks generation_to; /* whose answers tell what is in force; none: nobody's */

    uint16_t https_port; /* where plain HTTP is redirected to; 0: 443, which is not written out */

    struct ip_network *upstream_allow; /* addresses that an upstream may have; none: any */
    size_t upstream_allow_count;
};

/* Whether an upstream may have this address: inside upstream_allow, and never link-local,
 * multicast, unspecified, reserved or broadcast, also where it is an IPv6 address that leads to
 * such an IPv4 address (NAT64, 6to4). */
bool settings_upstream_allowed(const struct settings *settings, const struct ip *address);
void settings_free(struct settings *settings);
