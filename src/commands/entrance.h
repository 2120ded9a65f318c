/* Whether HAProxy lets anybody in to a tenant that is to be in maintenance. HAProxy may ask several
 * agents, of which each goes by files of its own, so it is asked itself: for a host of the tenant,
 * from this machine, on as many new connections at once as it takes to meet each agent.
 *
 * For commands: asking runs `loop` until all have been answered, or somebody stops it. */
#pragma once

#include "conf/configuration.h"
#include "http/http_client.h"
#include "json/json.h"

struct entrance;

struct entrance_told {
    size_t shut;   /* turned away by maintenance, or suspension */
    size_t let_in; /* answered by the tenant's server, or for it */
    size_t others; /* turned away by an agent for another reason, which not every agent has */
    char what[64]; /* one that was not shut: "200", "403 (forbidden)"; "": there is none */
};

/* `configuration` is borrowed; `tenant` is read, as the admin interface has it (GET
 * /v1/tenants/NAME). */
struct entrance *entrance_new(struct main_loop *loop, struct http_client *client,
                              const struct configuration *configuration, const struct json *tenant)
    __attribute__((returns_nonnull));
void entrance_free(struct entrance *entrance); /* NULL is fine */

/* False when the loop was stopped before all were answered. What nobody answers is not counted; so
 * all are 0 where HAProxy is not there, or cannot be reached from here, or the tenant has no host.
 */
MUST_CHECK bool entrance_ask(struct entrance *entrance, struct entrance_told *told);
