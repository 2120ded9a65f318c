/* What HAProxy and this service listen at, where no upstream may be: requests would go round in
 * circles, or tell a tenant's visitors what is the admin's alone. */
#pragma once

#include "conf/configuration.h"

/* The one that leads to this address and port, with the key that it stands at; NULL: none does. */
const char *own_address_find(const struct configuration *configuration, const struct ip *ip,
                             uint16_t port, const char **key);
/* Whether an upstream whose name, or label, has come to this address may be there: allowed by the
 * settings, and none of our own. */
bool own_address_allowed(const struct configuration *configuration, const struct ip *ip,
                         uint16_t port);
/* Where HAProxy finds agents that are not this one, as "tcp:10.0.0.8:12345, tcp:10.0.0.9:12345":
 * those of "haproxy"."agents" that are not in "listen". What a "systemd:NAME" there stands for is
 * not known; one of them is taken to be it. For free(); NULL: there are none. */
char *own_address_others(const struct configuration *configuration);
