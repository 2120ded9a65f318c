/* One connection of an HTTP server: reads requests one after the other, has each answered, and ends
 * without losing the last answer.
 *
 *     HEAD -> BODY -> (handler) -> WRITE -> HEAD ...      keep-alive
 *                         |          |
 *                         v          v
 *                        HELD -> WRITE -> LINGER          the last one
 */
#pragma once

#include "http/http_server.h"

struct http_connection;

/* What a connection needs of its server. */
struct http_connection_host {
    struct main_loop *loop;
    const struct http_server_options *options;
    /* The connection has ended and is gone when this returns. */
    void (*on_end)(void *context, struct http_connection *connection);
    void *context;
};

/* Takes `fd`, also on failure; NULL when memory runs out. `host` outlives the connection. */
MUST_CHECK struct http_connection *http_connection_new(const struct http_connection_host *host,
                                                       int fd);
/* Without on_end(). */
void http_connection_free(struct http_connection *connection);

/* The answer to what was held. It may end the connection. */
void http_connection_answer(struct http_connection *connection, const struct http_answer *answer);
