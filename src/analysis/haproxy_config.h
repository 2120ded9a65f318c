/* HAProxy's side of the configuration, for `haproxy-config` and the admin interface. */
#pragma once

#include "conf/whole.h"

struct haproxy_config_wish {
    const char *path; /* of the global file */
    enum hap_version version;
    bool spoe;                  /* the SPOE file instead of haproxy.cfg */
    bool force;                 /* though tenants are wrong, whose headers it then does not know */
    const atomic_bool *give_up; /* set: nobody wants it any more */
};

/* What `owui-spoa haproxy-config` prints, for free(). NULL when there is a reason, or when it is
 * empty and `diagnostics` say what is wrong with the configuration. */
char *haproxy_config_text(const struct haproxy_config_wish *wish, struct diagnostics *diagnostics,
                          struct error_text *why);
