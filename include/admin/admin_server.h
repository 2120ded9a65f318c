/* The admin interface: HTTP and JSON over a unix socket (mode 0660), for the command line, for
 * scripts (`curl --unix-socket`) and for monitoring; and over loopback TCP, for who has a token
 * (admin_tokens.h), with the page.
 *
 * Operations are rows of tables. A part of the program that has something to offer adds its table;
 * one that lives in another thread adds it through a desk, whose handlers run in that thread:
 *
 *     the server's thread                    the desk's thread
 *     request: its parts here, in order
 *              the rest of it  -- inbox -->  its parts there
 *     answer                  <-- outbox --
 *
 * What is handed over is the whole call; nobody else has it meanwhile. A request whose row is in
 * several tables is made of parts: each adds to the answer, those of the server's thread first.
 *
 * What takes long has a desk with a thread for each call instead (admin_desk_new_threaded).
 *
 * The server finds the rows, checks the method, parses the body, and logs who (peer credentials)
 * changed what. GET never changes anything. A handler answers at once and never blocks for long.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"
#include "net/main_loop.h"
#include "json/json.h"

#include <sys/types.h>

struct admin_server;
struct admin_desk;

/* Who asks: as the kernel tells it, or whose token it is. */
struct admin_peer {
    uid_t uid;
    pid_t pid;
    const char *token; /* its name, as long as the request lasts; NULL: over the unix socket */
    bool may_change;
};

struct admin_request {
    struct slice item; /* what "{}" of the row's path stands for; empty without one */
    struct slice query;
    struct slice if_match;   /* the header, as sent; empty: none */
    struct slice accept;     /* the same */
    const struct json *body; /* NULL: none was sent */
    struct admin_peer peer;
};

enum { ADMIN_ETAG_SIZE = 24, ADMIN_ALLOW_SIZE = 48 };

struct admin_answer {
    unsigned status;              /* 0 means 200 */
    struct json *body;            /* freed by the server; NULL: {} */
    char etag[ADMIN_ETAG_SIZE];   /* with its quotes; empty: none */
    char allow[ADMIN_ALLOW_SIZE]; /* of a 405, set by the server: "GET, POST" */
    /* Instead of `body`, anything else: text for free(), and its type, which is static. */
    char *text;
    const char *content_type;
    const char *content_security_policy; /* of a page; outlives the server */
};

/* The answer to a request that cannot be done: {"error": "..."}. Later parts are not asked. */
void admin_refuse(struct admin_answer *answer, unsigned status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The body to add to: an object, made by the first part that asks for it. */
struct json *admin_answer_body(struct admin_answer *answer) __attribute__((returns_nonnull));
/* The value of `key` in a query, "all=1&name=x", not decoded; empty when it is not there. */
struct slice admin_query_value(struct slice query, const char *key);
/* The same decoded, for free(); what "%" makes no byte of, or NUL, stays as it is. */
char *admin_query_text(struct slice query, const char *key) __attribute__((returns_nonnull));
/* The same as a number of at most `maximum`; `otherwise` when it is not there or no number. */
size_t admin_query_number(struct slice query, const char *key, size_t maximum, size_t otherwise);

typedef void admin_handler_fn(void *context, const struct admin_request *request,
                              struct admin_answer *answer);

struct admin_operation {
    const char *method; /* "GET", "POST", "PUT", "PATCH" or "DELETE" */
    const char *path;   /* "/v1/certificates/{}/renew": one "{}" at most, a whole segment */
    admin_handler_fn *handle;
    const char *summary; /* what it does, in a few words */
    /* Keys of its query: "search force=0|1 limit=N" takes any text for the first, 0 or 1 for the
     * second and a number for the third, each once. All else is refused with 400. */
    const char *query;
};

enum { ADMIN_BODY_MAX_BYTES = 1024 * 1024, ADMIN_ITEM_MAX_BYTES = 255, ADMIN_TABLES_MAX = 16 };

/* Serves on `path`, for the process's own user and group. */
MUST_CHECK struct admin_server *admin_server_new(struct main_loop *loop, const char *path,
                                                 struct error_text *text);

/* Texts are copied. */
struct admin_tcp_settings {
    const char *listen; /* "127.0.0.1:8690": a loopback address */
    const char *tokens_file;
    char *const *hosts; /* names for it besides "localhost" and loopback addresses */
    size_t host_count;
    unsigned requests_per_minute; /* of each token, and of all who have none */
};

/* Serves over TCP too. */
MUST_CHECK enum error admin_server_open_tcp(struct admin_server *server,
                                            const struct admin_tcp_settings *settings,
                                            struct error_text *text);
/* Serves GET of `path`, and nothing else, to whoever connects to a loopback address
 * ("127.0.0.1:9478") and calls it by no other name: for monitoring. */
MUST_CHECK enum error admin_server_open_metrics(struct admin_server *server, const char *listen,
                                                const char *path, struct error_text *text);
/* Desks first. NULL is fine. */
void admin_server_free(struct admin_server *server);

/* Adds operations of the server's thread. `operations` ends with a row whose path is NULL; it and
 * `context` outlive the server. A NULL server is fine: nobody can ask then. */
void admin_server_add(struct admin_server *server, const struct admin_operation *operations,
                      void *context);

/* What the rows of a table take over TCP; whoever may open the unix socket may do all. */
enum admin_access {
    ADMIN_ACCESS_METHOD, /* a role that may read for GET, one that may change for all else */
    ADMIN_ACCESS_READ,   /* one that may read, though it is no GET: nothing is changed */
    ADMIN_ACCESS_OPEN,   /* not even a token: the page, which holds nothing */
};
void admin_server_add_as(struct admin_server *server, enum admin_access access,
                         const struct admin_operation *operations, void *context);

/* Adds operations of the thread that runs `loop`. To be called in the server's thread, before the
 * other one runs. NULL for a NULL server. */
struct admin_desk *admin_desk_new(struct admin_server *server, struct main_loop *loop,
                                  const struct admin_operation *operations, void *context);
/* A desk for what takes long: each call gets a thread of its own, which steps behind all others,
 * and ends with it. One call is done at a time, ADMIN_WAITING_MAX wait, and more are refused with
 * 429. Operations are added as to the server. NULL for a NULL server, here and below. */
enum { ADMIN_WAITING_MAX = 4 };
struct admin_desk *admin_desk_new_threaded(struct admin_server *server);
void admin_desk_add(struct admin_desk *desk, enum admin_access access,
                    const struct admin_operation *operations, void *context);
/* Whether its thread is stuck, in the server's thread: what it would add to others' answers is left
 * out then, and what it alone knows is refused with 503. */
void admin_desk_pass_over(struct admin_desk *desk, bool is_stuck);
/* In the server's thread, after the other one has ended, or with the call in hand: it is waited
 * for, so whoever frees the desk sees to it that this is soon. What was asked and not answered is
 * refused with 503. NULL is fine. */
void admin_desk_free(struct admin_desk *desk);
