/* The global file's sections. */
#pragma once

#include "conf/configuration.h"
#include "value.h"

/* Reads all but "tenants" into a configuration that holds the defaults. */
void global_read(const struct node *root, struct configuration *configuration);
/* What a configuration is before anything was read. */
void configuration_set_defaults(struct configuration *configuration, const char *path);

void forwarding_read(const struct node *node, void *configuration);
void generation_header_read(const struct node *node, void *configuration);
void haproxy_read(const struct node *node, void *configuration);
void acme_read(const struct node *node, void *configuration);
void admin_http_read(const struct node *node, void *configuration);
void jwks_read(const struct node *node, void *configuration);
void metrics_read(const struct node *node, void *configuration);
void trusted_proxies_read(const struct node *node, void *configuration);

/* What the sections mean together, and what is taken from one for another. */
void haproxy_complete(const struct node *root, struct configuration *configuration);
