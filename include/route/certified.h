/* The names that a tenant's certificate is for.
 *
 * Each host belongs to whom it leads to, so that no two tenants order one name. Where only paths of
 * a host are served, it belongs to whoever has the root of a path there first. A wildcard is
 * nobody's: HTTP-01 (RFC 8555 8.3) cannot prove it, so that its certificate is somebody else's to
 * get: the one that the tenant's `certificate_file` names, which then is for all of its hosts. Nor
 * has an address one: who connects to it names no host in the handshake (RFC 6066 3), by which
 * HAProxy would choose it.
 */
#pragma once

#include "route/table.h"

/* CAs put no more names into a certificate, and a tenant has one. */
enum { CERTIFIED_HOSTS_MAX = 100 };

struct certified_host {
    const char *name; /* without "*." */
    bool wildcard;
};

struct certified {
    size_t room;                                      /* how many hosts there may be in one */
    struct certified_host hosts[CERTIFIED_HOSTS_MAX]; /* each once; the tenant's, as is all below */
    size_t count;                                     /* 0: the tenant has no certificate */
    const char *left_out; /* the first that there is no room for; NULL: none */
    const struct place *left_out_place;
    const struct place *wildcard; /* the first that nothing is certified for; NULL: none */
};

/* `tenant` is one of `table`, `room` at most the number above. Tenants without HTTPS have none, nor
 * have instances of another. */
void certified_hosts(const struct route_table *table, const struct tenant *tenant, size_t room,
                     struct certified *certified);

/* Whether the host is an address. */
MUST_CHECK bool certified_is_address(const char *host);
/* Whether it is a name of a machine or a LAN alone, for which no CA for the public issues a
 * certificate: of one label, or below a name that is set aside for them (RFC 6761, 6762, 8375) or
 * used as if it were. */
MUST_CHECK bool certified_is_private(const char *host);
