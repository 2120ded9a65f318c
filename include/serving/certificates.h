/* From tenants to certificates: the sidecar's start, and what it is to want. Main thread only. */
#pragma once

#include "admin/admin_server.h"
#include "agent/snapshot.h"
#include "conf/configuration.h"
#include "net/main_loop.h"

struct certificates;

/* Sees to it that the certificate for names that have none is there, if it is wanted. */
MUST_CHECK enum error certificates_placeholder(const struct configuration *configuration,
                                               struct error_text *text);

/* What they need of the daemon. */
struct certificates_host {
    /* The present tenants. */
    const struct snapshot *(*snapshot)(void *context);
    /* From now on challenges are answered from this table, which is taken over. */
    void (*set_challenges)(void *context, const struct challenge_table *table);
    void *context;
    struct admin_server *admin; /* NULL: nobody can ask about certificates */
};

/* Starts the sidecar when the configuration has a CA. `*failed` tells "none is wanted" (NULL,
 * false) from "cannot start" (NULL, true, with the reason). */
struct certificates *certificates_start(struct main_loop *main_loop,
                                        const struct configuration *configuration,
                                        const struct certificates_host *host, bool *failed,
                                        struct error_text *text);
void certificates_stop(struct certificates *certificates); /* NULL is fine */
/* How often the sidecar's thread has come round. */
uint64_t certificates_turns(const struct certificates *certificates);
/* Whether who asks is answered without what the sidecar knows. NULL is fine. */
void certificates_pass_over(struct certificates *certificates, bool is_stuck);
/* The tenants have changed; the sidecar is told soon, once for many changes. NULL is fine. */
void certificates_look(struct certificates *certificates);
