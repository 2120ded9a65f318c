/* The cover over libmicrohttpd, driven by our loop through its epoll descriptor: see
 * http/http_server.h. The sole includer of microhttpd.h. */
#include "http/http_server.h"

#include "core/clock.h"
#include "core/memory.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 512,
    IDLE_TIMEOUT_S = 10,
    REQUEST_MAX_MS = 30 * 1000,
    SWEEPS = 8, /* in that time */
    CONNECTION_MEMORY_BYTES = 16 * 1024,
};

struct http_server {
    struct MHD_Daemon *daemon;
    struct main_watch *watch;
    struct main_timer *timer;
    struct http_server_options options;
    struct guest *guests;
    unsigned guest_count;
    bool run_again; /* there is room for others again */
    struct main_timer *sweep_timer;
};

/* A connection, watched for those who send their request so slowly that they are never idle. */
struct guest {
    struct guest *next;
    struct guest **link; /* what points here */
    int fd;
    int64_t since_mono_ms; /* a request has been under way since; 0: it is whole */
};

/* What a request has gathered until it is whole. */
struct exchange {
    char *uri; /* as sent, with the query */
    bool begun;
    char *body;
    size_t body_size;
    bool body_too_big;
    struct MHD_Connection *connection;
    bool answered; /* after having been held, with: */
    unsigned status;
    struct MHD_Response *response; /* NULL: no memory for it */
};

static const struct exchange *exchange_of(const struct http_request *request)
{
    return request->internal;
}

struct slice http_request_header(const struct http_request *request, const char *name)
{
    return slice_of(
        MHD_lookup_connection_value(exchange_of(request)->connection, MHD_HEADER_KIND, name));
}

int http_request_socket(const struct http_request *request)
{
    return MHD_get_connection_info(exchange_of(request)->connection,
                                   MHD_CONNECTION_INFO_CONNECTION_FD)
        ->connect_fd;
}

/* A held request is its exchange, which lasts until it is answered: while its connection is
 * suspended, libmicrohttpd does not look at it. */
struct http_held *http_request_hold(const struct http_request *request)
{
    MHD_suspend_connection(exchange_of(request)->connection);
    return request->internal;
}

/* NULL when memory has run out. */
static struct MHD_Response *make_response(const struct http_answer *answer)
{
    /* The const is libmicrohttpd's: a buffer that it must copy is only read. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->body.size, (void *)(uintptr_t)answer->body.data, MHD_RESPMEM_MUST_COPY);
    if (answer->body_owned)
        free((void *)(uintptr_t)answer->body.data);
    if (response == NULL)
        return NULL;
    if (answer->content_type != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    for (size_t i = 0; i < COUNT_OF(answer->headers) && answer->headers[i].name != NULL; i++)
        MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
    return response;
}

static unsigned status_of(const struct http_answer *answer)
{
    return answer->status != 0 ? answer->status : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

/* Takes the response. */
static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status,
                                     struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

void http_server_answer(struct http_server *server, struct http_held *held,
                        const struct http_answer *answer)
{
    struct exchange *exchange = (void *)held;
    exchange->response = make_response(answer);
    exchange->status = status_of(answer);
    exchange->answered = true;
    MHD_resume_connection(exchange->connection);
    main_timer_once(server->timer, 0);
}

/* -- Slow ones --------------------------------------------------------------------------------- */

static struct guest *guest_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    struct guest *guest = *state;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        guest = memory_new(sizeof(*guest));
        guest->fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        guest->since_mono_ms = clock_mono_ms();
        guest->next = server->guests;
        guest->link = &server->guests;
        if (guest->next != NULL)
            guest->next->link = &guest->next;
        server->guests = guest;
        server->guest_count++;
        *state = guest;
    } else if (guest != NULL) {
        *guest->link = guest->next;
        if (guest->next != NULL)
            guest->next->link = guest->link;
        free(guest);
        *state = NULL;
        server->run_again |= server->guest_count-- >= server->options.connections_max;
    }
}

/* libmicrohttpd sees the end of the connection, and cleans up. */
static void on_sweep(void *context)
{
    const struct http_server *server = context;
    int64_t limit = clock_mono_ms() - server->options.request_max_ms;
    for (const struct guest *guest = server->guests; guest != NULL; guest = guest->next)
        if (guest->since_mono_ms != 0 && guest->since_mono_ms < limit)
            shutdown(guest->fd, SHUT_RDWR);
}

/* -- Requests ---------------------------------------------------------------------------------- */

/* Keeps what came of the body. A body over the limit is read to its end all the same and answered
 * with 413 then: closing at once would lose the answer. */
static void gather_body(const struct http_server *server, struct exchange *exchange,
                        const char *data, size_t size)
{
    if (exchange->body_too_big || size > server->options.body_max_bytes - exchange->body_size) {
        exchange->body_too_big = true;
        return;
    }
    exchange->body = memory_resize(exchange->body, exchange->body_size + size, 1);
    memcpy(exchange->body + exchange->body_size, data, size);
    exchange->body_size += size;
}

/* The URI as it was sent; libmicrohttpd hands it over before it parses the query, and what is
 * returned here comes back as the exchange. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)context;
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        return NULL;
    exchange->uri = strdup(uri);
    exchange->connection = connection;
    return exchange;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)code;
    struct exchange *exchange = *state;
    guest_of(connection)->since_mono_ms = clock_mono_ms(); /* of the next one */
    if (exchange != NULL) {
        free(exchange->uri);
        memory_wipe(exchange->body, exchange->body_size);
        free(exchange->body);
        if (exchange->response != NULL)
            MHD_destroy_response(exchange->response);
    }
    free(exchange);
    *state = NULL;
}

/* Percent-decoding is left to whoever gives the bytes a meaning. */
static size_t keep_as_sent(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **state)
{
    struct http_server *server = context;
    struct exchange *exchange = *state;
    struct http_answer answer = {.content_type = "text/plain; charset=utf-8"};
    (void)version;
    (void)url;

    if (exchange == NULL || exchange->uri == NULL)
        return MHD_NO; /* out of memory in on_uri() */
    if (exchange->answered) {
        struct MHD_Response *response = exchange->response;
        exchange->response = NULL;
        return send_response(connection, exchange->status, response);
    }
    if (!exchange->begun) {
        exchange->begun = true; /* libmicrohttpd's first call: only the headers are there */
        return MHD_YES;
    }
    if (*upload_size > 0) {
        gather_body(server, exchange, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (exchange->body_too_big) {
        answer.status = MHD_HTTP_CONTENT_TOO_LARGE;
        answer.body = SLICE("the request's body is too large\n");
        return send_response(connection, status_of(&answer), make_response(&answer));
    }
    guest_of(connection)->since_mono_ms = 0;
    const char *query = strchr(exchange->uri, '?');
    size_t path_size = query != NULL ? (size_t)(query - exchange->uri) : strlen(exchange->uri);
    struct http_request request = {
        .method = slice_of(method),
        .path = slice_from(exchange->uri, path_size),
        .query = slice_of(query != NULL ? query + 1 : NULL),
        .body = slice_from(exchange->body, exchange->body_size),
        .internal = exchange,
    };
    server->options.on_request(server->options.context, &request, &answer);
    if (answer.held)
        return MHD_YES;
    return send_response(connection, status_of(&answer), make_response(&answer));
}

/* Runs what is due and sets the timer for what is not: libmicrohttpd names its next time-out. */
static void on_ready(void *context)
{
    struct http_server *server = context;
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    MHD_run(server->daemon);
    if (server->run_again) { /* only its next turn listens again */
        server->run_again = false;
        MHD_run(server->daemon);
    }
    if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES)
        main_timer_once(server->timer, (int64_t)(timeout_ms > 0 ? timeout_ms : 1));
    else
        main_timer_stop(server->timer);
}

struct http_server *http_server_new(struct main_loop *loop, int listen_fd,
                                    const struct http_server_options *options,
                                    struct error_text *text)
{
    struct http_server *server = memory_new(sizeof(*server));
    server->options = *options;
    if (server->options.connections_max == 0)
        server->options.connections_max = CONNECTIONS_MAX;
    if (server->options.request_max_ms == 0)
        server->options.request_max_ms = REQUEST_MAX_MS;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access, server,
        MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        server->options.connections_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_as_sent, NULL, MHD_OPTION_END);
    if (server->daemon == NULL) {
        error_set_errno(text, "the HTTP server does not start");
        close(listen_fd);
        free(server);
        return NULL;
    }
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    server->watch = main_watch_new(loop, epoll_fd, MAIN_READ, on_ready, server);
    server->timer = main_timer_new(loop, on_ready, server);
    server->sweep_timer = main_timer_new(loop, on_sweep, server);
    main_timer_every(server->sweep_timer, server->options.request_max_ms / SWEEPS + 1);
    return server;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    main_watch_free(server->watch);
    main_timer_free(server->timer);
    main_timer_free(server->sweep_timer);
    MHD_stop_daemon(server->daemon);
    free(server);
}
