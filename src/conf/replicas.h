/* "replicas" and "check": several servers of one tenant, and how their health is looked at. */
#pragma once

#include "route/replica.h"
#include "upstream.h"

/* Reads the servers and what keeps people at one. `*set` is NULL when that is wrong. */
void replicas_read(const struct node *node, const struct configuration *configuration,
                   struct replica_set **set);
/* When everything of `tenant_node` is read: gives the tenant its replicas, which it takes over. */
void replicas_apply(const struct node *tenant_node, const struct upstream_tls *tls,
                    struct replica_set **set, struct tenant *tenant);
bool replicas_use_https(const struct replica_set *set); /* NULL is fine */

/* Reads {"path": "/ready", ...}, or false for no check. */
void check_read(const struct node *node, struct check_rule *check, bool *off);
/* What holds unless told. */
void check_init(struct check_rule *check);
void check_fini(struct check_rule *check);
