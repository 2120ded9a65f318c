/* Looks at the servers of tenants that ask for it, and says what it found in words that decisions
 * read (route/replica.h). Main thread only, never blocks.
 *
 * Tenants that name one server with one rule share its checks. A server is looked at as long as
 * some tenant of some table names it; how it stands survives every reload. Checks are spread in
 * time, and only so many run at once. A change is logged once.
 */
#pragma once

#include "net/main_loop.h"
#include "route/tenant.h"

struct health;

enum { HEALTH_CHECKS_AT_ONCE = 64 };

struct health *health_new(struct main_loop *main_loop);
/* After all tenants that were attached are gone, or never to be looked at by a decision again. */
void health_free(struct health *health);

/* What certificates of https servers are verified with; NULL: the system's. */
void health_set_ca_file(struct health *health, const char *ca_file);
/* Gives the tenant, which is about to be put in force, its words. */
void health_attach(struct health *health, struct tenant *tenant);
/* Lets go of servers that no tenant names any more; now and then. */
void health_forget_unused(struct health *health);
