/* What a tenant lets through, as it stands in a tenant and in "defaults". */
#pragma once

#include "node.h"
#include "route/policy.h"

/* Reads the member of a tenant or of "defaults" that has one of the keys. `*policy`, which may be
 * NULL or shared with others, becomes one of its own. */
void policy_part_read(const struct node *node, struct policy **policy);

enum { NETWORKS_MAX = 256 };
/* A list of networks; what was there is replaced. */
void networks_read(const struct node *node, struct networks *networks);
/* "routes" into the policy that `target` is. */
void rules_read(const struct node *node, void *target);
/* "limits" of a tenant, of a route, and "timeouts" of both. */
void limits_read(const struct node *node, struct limits *limits);
void rule_limits_read(const struct node *node, struct limits *limits);
void timeouts_read(const struct node *node, struct limits *limits);
