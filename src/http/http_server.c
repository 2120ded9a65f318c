/* Accepting, and who is connected: see http/http_server.h. */
#include "http/http_server.h"

#include "core/memory.h"
#include "http_connection.h"
#include "net/listen_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 512,
    IDLE_MS = 10 * 1000,
    REQUEST_MAX_MS = 30 * 1000,
    PAUSE_MS = 100, /* when the process has no descriptor left */
};

struct http_server {
    int listen_fd;
    struct main_watch *watch;
    struct main_timer *pause;
    struct http_server_options options;
    struct http_connection_host host;
    struct http_connection **connections; /* room for as many as there may be */
    size_t connection_count;
};

static void on_end(void *context, struct http_connection *connection)
{
    struct http_server *server = context;
    for (size_t i = 0; i < server->connection_count; i++) {
        if (server->connections[i] != connection)
            continue;
        server->connections[i] = server->connections[--server->connection_count];
        break;
    }
    main_watch_set(server->watch, MAIN_READ);
}

/* Who comes when all places are taken waits in the kernel's queue. */
static void on_connect(void *context)
{
    struct http_server *server = context;
    while (server->connection_count < server->options.connections_max) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct http_connection *connection = http_connection_new(&server->host, fd);
            if (connection != NULL)
                server->connections[server->connection_count++] = connection;
            continue;
        }
        int error = errno;
        enum listen_failure failure = listen_failure_of(server->listen_fd, error);
        if (failure == LISTEN_EMPTY)
            return;
        if (failure == LISTEN_STUCK) {
            main_timer_once(server->pause, PAUSE_MS);
            listen_stuck_log(server->listen_fd, error);
            break;
        }
    }
    main_watch_set(server->watch, 0);
}

static void on_pause_over(void *context)
{
    struct http_server *server = context;
    main_watch_set(server->watch, MAIN_READ);
}

static void apply_defaults(struct http_server_options *options)
{
    if (options->connections_max == 0)
        options->connections_max = CONNECTIONS_MAX;
    if (options->request_max_ms == 0)
        options->request_max_ms = REQUEST_MAX_MS;
    if (options->idle_ms == 0)
        options->idle_ms = IDLE_MS;
}

struct http_server *http_server_new(struct main_loop *loop, int listen_fd,
                                    const struct http_server_options *options)
{
    struct http_server *server = memory_new(sizeof(*server));
    server->listen_fd = listen_fd;
    server->options = *options;
    apply_defaults(&server->options);
    server->connections =
        memory_new(server->options.connections_max * sizeof(*server->connections));
    server->host = (struct http_connection_host){loop, &server->options, on_end, server};
    server->pause = main_timer_new(loop, on_pause_over, server);
    server->watch = main_watch_new(loop, listen_fd, MAIN_READ, on_connect, server);
    return server;
}

void http_server_answer(struct http_held *held, const struct http_answer *answer)
{
    http_connection_answer((struct http_connection *)held, answer);
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    for (size_t i = 0; i < server->connection_count; i++)
        http_connection_free(server->connections[i]);
    main_watch_free(server->watch);
    main_timer_free(server->pause);
    free(server->connections);
    close(server->listen_fd);
    free(server);
}
