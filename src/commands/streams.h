/* What of a tenant is under way in HAProxy: the requests and WebSockets that lead to its servers,
 * asked for through the Runtime API, and ended where somebody wants that.
 *
 * For commands: each call runs `loop` until all HAProxys have answered, or somebody stops it. A
 * HAProxy that was reloaded tells of its present process alone. */
#pragma once

#include "conf/configuration.h"
#include "net/main_loop.h"
#include "json/json.h"

struct streams;

/* `configuration` is borrowed. */
struct streams *streams_new(struct main_loop *loop, const struct configuration *configuration)
    __attribute__((returns_nonnull));
void streams_free(struct streams *streams); /* NULL is fine */

struct streams_told {
    size_t requests;
    size_t sockets;
    size_t busy_sockets; /* of these, those on which something came since the last time but pings */
};

/* Counts what leads to `servers`, a list as the admin interface has it: [{"address":
 * "10.0.0.1:80"}]. ERROR_CLOSED: the loop was stopped. ERROR_NOT_FOUND: there is no HAProxy to ask.
 * A HAProxy that does not answer, which is an error, counts with what it told the last time. */
MUST_CHECK enum error streams_count(struct streams *streams, const struct json *servers,
                                    struct streams_told *told, struct error_text *why);
/* Ends the WebSockets that were last counted, but those of a HAProxy that did not answer then,
 * which is an error. `*closed` is how many; those that have ended by themselves are among them,
 * those that HAProxy does not end are not. */
MUST_CHECK enum error streams_close_sockets(struct streams *streams, size_t *closed,
                                            struct error_text *why);
