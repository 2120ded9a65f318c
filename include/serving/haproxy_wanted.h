/* What HAProxy's two files are to be written from while the daemon runs: what the global file says,
 * and what the tenants in force need. */
#pragma once

#include "agent/snapshot.h"
#include "conf/configuration.h"

struct haproxy_wanted {
    struct hap_config config;    /* borrows from the configuration, and from `names` */
    struct configuration *names; /* what tenants add */
};

void haproxy_wanted_init(struct haproxy_wanted *wanted, const struct configuration *configuration,
                         const struct snapshot *snapshot);
void haproxy_wanted_fini(struct haproxy_wanted *wanted);
