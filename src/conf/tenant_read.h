/* Tenants as they stand in a file. */
#pragma once

#include "conf/configuration.h"
#include "node.h"

/* Reads the members of a "tenants" object but those that the document's news leave out. */
void tenants_read(const struct node *tenants, const struct configuration *configuration,
                  struct tenant_file *file);

/* "paths" of a tenant. */
void paths_read(const struct node *node, struct tenant *tenant);

/* "maintenance" and "suspended". */
void maintenance_read(const struct node *node, struct tenant *tenant);
void suspended_read(const struct node *node, struct tenant *tenant);

/* "https": "redirect" or "off". */
bool https_read(const struct node *node, bool *redirect);

/* "hsts" as the header's value, NULL for null. Frees what was there. */
void hsts_read(const struct node *node, char **value);
/* Whether browsers may build in what the value says. */
bool hsts_is_preloaded(const char *value);

/* A host or wildcard; reports what is neither. The caller frees `*name`. */
bool host_pattern_read(const struct node *node, char **name, bool *wildcard);
