/* A small HTTP/1.1 server on an event loop of ours: for ACME challenges, tenants' pages, and the
 * admin interface. All three are asked from this machine, in plain HTTP; libraries that serve more
 * than that bring a TLS stack along, which would be a quarter of this program's memory.
 *
 * Handlers never block: they answer at once, or put the answer off until somebody else has it.
 * Limits: 16 kB for a request's line and headers, `body_max_bytes` of body, `idle_ms` without a
 * byte, `request_max_ms` for all of a request, `connections_max` connections.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"
#include "net/main_loop.h"

struct http_server;

struct http_request {
    struct slice method;
    struct slice path;  /* as sent, not percent-decoded, without the query */
    struct slice query; /* without "?" */
    struct slice body;
    void *internal; /* for the functions below */
};

/* The value of a header, by name in any case; empty when absent. Valid during the handler. */
struct slice http_request_header(const struct http_request *request, const char *name);

/* The connection, for SO_PEERCRED; not to be read or written. */
int http_request_socket(const struct http_request *request);

/* Puts the answer off. The handler also sets `held` in its answer, and somebody later calls
 * http_server_answer(), exactly once. */
struct http_held;
struct http_held *http_request_hold(const struct http_request *request);

enum { HTTP_ANSWER_HEADERS_MAX = 8 };

/* Texts are copied once the handler has returned, so that they must outlive it. `body` is freed
 * with free() when `body_owned`. */
struct http_answer {
    bool held;       /* http_request_hold() was called: nothing else counts */
    unsigned status; /* 0 means 500 */
    const char *content_type;
    struct slice body;
    bool body_owned;
    struct {
        const char *name;
        const char *value;
    } headers[HTTP_ANSWER_HEADERS_MAX];
};

typedef void http_handler_fn(void *context, const struct http_request *request,
                             struct http_answer *answer);

struct http_server_options {
    size_t body_max_bytes;    /* 0: any body is refused with 413 */
    unsigned connections_max; /* 0: 512 */
    int64_t request_max_ms;   /* from its first byte to its last; 0: 30 s */
    int64_t idle_ms;          /* 0: 10 s */
    http_handler_fn *on_request;
    void *context;
};

/* Serves what is accepted on `listen_fd` (listening, non-blocking; taken over). All calls belong to
 * the thread of `loop`. */
struct http_server *http_server_new(struct main_loop *loop, int listen_fd,
                                    const struct http_server_options *options)
    __attribute__((returns_nonnull));
/* Answers a held request, in the thread of the loop but not from a handler. */
void http_server_answer(struct http_held *held, const struct http_answer *answer);
/* Stops accepting and ends what is under way. Held requests must have been answered before. NULL is
 * fine. */
void http_server_free(struct http_server *server);
