/* What a tenant lets through, as it stands in a tenant and in "defaults". */
#pragma once

#include "node.h"
#include "route/policy.h"

/* The keys, for tables of options: each is read by policy_part_read(). */
#define POLICY_KEYS(READ)                                                                        \
    {"origins", READ}, {"origin_check", READ}, {"require_sni_match", READ}, {"allow_ips", READ}, \
        {"deny_ips", READ},                                                                      \
    {                                                                                            \
        "refuse_scanners", READ                                                                  \
    }
/* And those of a tenant alone. */
#define TENANT_POLICY_KEYS(READ) \
    POLICY_KEYS(READ),           \
    {                            \
        "routes", READ           \
    }

/* Reads the member of a tenant or of "defaults" that has one of the keys. `*policy`, which may be
 * NULL or shared with others, becomes one of its own. */
void policy_part_read(const struct node *node, struct policy **policy);

enum { NETWORKS_MAX = 256 };
/* A list of networks; what was there is replaced. */
void networks_read(const struct node *node, struct networks *networks);
/* "routes" into the policy that `target` is. */
void rules_read(const struct node *node, void *target);
