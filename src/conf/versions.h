/* "versions" and "active": blue and green, one of which is the tenant's upstream. */
#pragma once

#include "upstream.h"

/* A tenant's versions as far as they have been read. */
struct versions {
    struct version *items;
    size_t count;
    bool given;   /* whether they are good or not */
    char *active; /* NULL: not told, or wrong */
    bool active_given;
};

/* Reads {"blue": "http://...", "green": "http://..."}. */
void versions_read(const struct node *node, const struct configuration *configuration,
                   struct versions *versions);
/* Reads "blue". */
void versions_read_active(const struct node *node, struct versions *versions);
/* When everything of `tenant_node` is read: gives the tenant the active one's upstream. */
void versions_apply(const struct node *tenant_node, const struct upstream_tls *tls,
                    struct versions *versions, struct tenant *tenant);
bool versions_use_https(const struct versions *versions);
void versions_fini(struct versions *versions);
