/* The admin interface: HTTP and JSON over a unix socket (mode 0660), for the command line, for
 * scripts (`curl --unix-socket`) and for monitoring.
 *
 * Operations are rows of a table; the server finds the row, checks the method, parses the body, and
 * logs who (peer credentials) changed what. GET never changes anything. A handler answers at once.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"
#include "net/main_loop.h"
#include "json/json.h"

struct admin_server;

struct admin_request {
    struct slice item; /* what "{}" of the row's path stands for; empty without one */
    struct slice query;
    const struct json *body; /* NULL: none was sent */
};

struct admin_answer {
    unsigned status;   /* 0 means 200 */
    struct json *body; /* freed by the server; NULL: {} */
};

/* The answer to a request that cannot be done: {"error": "..."}. */
void admin_refuse(struct admin_answer *answer, unsigned status, const char *format, ...)
    PRINTF_LIKE(3, 4);

typedef void admin_handler_fn(void *context, const struct admin_request *request,
                              struct admin_answer *answer);

struct admin_operation {
    const char *method; /* "GET" or "POST" */
    const char *path;   /* "/v1/certificates/{}/renew": one "{}" at most, a whole segment */
    admin_handler_fn *handle;
    const char *summary; /* what it does, in a few words */
};

enum { ADMIN_BODY_MAX_BYTES = 1024 * 1024, ADMIN_ITEM_MAX_BYTES = 255 };

/* Serves on `path`, owned by `group` (NULL: as it comes). `operations` ends with a row whose path
 * is NULL; it and `context` outlive the server. */
MUST_CHECK struct admin_server *admin_server_new(struct main_loop *loop, const char *path,
                                                 const char *group,
                                                 const struct admin_operation *operations,
                                                 void *context, struct error_text *text);
void admin_server_free(struct admin_server *server); /* NULL is fine */
