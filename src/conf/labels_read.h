/* "upstream_map" and "unknown_label": labels of wildcard hosts with an upstream each, from a file
 * of lines such as
 *
 *     acme,http://10.1.0.11:3000
 */
#pragma once

#include "conf/configuration.h"
#include "upstream.h"

/* What stands in the tenant, and what its file will be read with. */
struct labels_draft {
    char *path; /* NULL: there is no "upstream_map" */
    uint16_t unknown_status;
    struct template unknown_to;
};

void labels_read_map(const struct node *node, struct labels_draft *labels);
void labels_read_unknown(const struct node *node, struct labels_draft *labels);
/* Reads the file into the tenant, whose "label" has been read, and looks at what the keys of
 * `tenant_node` mean together. Lines that are wrong are reported, and are no fault of the tenant's:
 * their number is returned. */
MUST_CHECK size_t labels_apply(const struct node *tenant_node,
                               const struct configuration *configuration,
                               const struct upstream_tls *tls, struct labels_draft *labels,
                               struct tenant *tenant);
void labels_draft_fini(struct labels_draft *labels);
