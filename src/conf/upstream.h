/* "upstream" and "upstream_tls": where a tenant's requests go. */
#pragma once

#include "conf/configuration.h"
#include "value.h"

/* Reads "http://host:port", where the host may be a template with {1}. */
bool upstream_read(const struct node *node, const struct configuration *configuration,
                   struct upstream *upstream);

/* The same for a replica: "host:port" is one that speaks HTTP. */
bool upstream_read_server(const struct node *node, struct slice text,
                          const struct configuration *configuration, struct upstream *upstream);

struct upstream_tls {
    char *server_name;
    bool no_verify;
};
void upstream_tls_read(const struct node *node, struct upstream_tls *tls);
/* Puts the two together. `url` is the node that `upstream` was read from. */
void upstream_apply_tls(const struct node *url, const struct upstream_tls *tls,
                        struct upstream *upstream);
