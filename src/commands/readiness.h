/* A tenant's servers, asked without HAProxy: whether each is ready, and which version of Open WebUI
 * it is.
 *
 * For commands: asking runs `loop` until all have answered, or somebody stops it. */
#pragma once

#include "http/http_client.h"
#include "json/json.h"

struct readiness;

struct server_state {
    const char *url;     /* as the tenant has it */
    bool answers;        /* somebody listens there and speaks HTTP */
    bool is_ready;       /* and it is ready, and Open WebUI */
    char version[64];    /* "": it told none */
    char deployment[64]; /* the same */
    char why[160];       /* it is not ready */
};

/* `servers` as the admin interface has them (GET /v1/tenants/NAME), borrowed. */
struct readiness *readiness_new(struct main_loop *loop, struct http_client *client,
                                const struct json *servers) __attribute__((returns_nonnull));
void readiness_free(struct readiness *readiness); /* NULL is fine */

/* False when the loop was stopped before all had answered. */
MUST_CHECK bool readiness_ask(struct readiness *readiness);
size_t readiness_count(const struct readiness *readiness);
const struct server_state *readiness_at(const struct readiness *readiness, size_t index);
