/* Where on this machine a `bind` of HAProxy's can be reached. */
#pragma once

#include "core/ip.h"
#include "core/slice.h"

/* "127.0.0.1:80" for "*:80" or ":80", "[::1]:80" for "[::]:80", an address as it is. For free().
 * NULL when there is no telling: unix sockets, inherited descriptors, ranges. */
char *loopback_of_bind(struct slice bind);
/* Of each bind for which there is, and NULL behind the last. */
char **loopbacks_of_binds(char *const *binds, size_t count) __attribute__((returns_nonnull));
void loopbacks_free(char **addresses); /* NULL is fine */
/* Whether who connects to `ip`, an address of this machine, finds one of the binds there. */
MUST_CHECK bool binds_are_at(char *const *binds, size_t count, const struct ip *ip);
/* Whether HAProxy expects a PROXY line of who connects from this machine to `address`, given the
 * networks that begin with one. */
MUST_CHECK bool loopback_needs_proxy_line(const char *address, const char *const *networks,
                                          size_t count);

/* A bind as it can be reached from this machine. */
struct loopback_door {
    char *address;
    bool needs_proxy_line;
};

/* Each for which there is such an address; returns how many. */
size_t loopback_doors_of_binds(const char *const *binds, size_t count, const char *const *networks,
                               size_t network_count, struct loopback_door **doors);
void loopback_doors_free(struct loopback_door *doors, size_t count);
