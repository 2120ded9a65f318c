/* The admin interface's server: see admin/admin_server.h. */
#include "admin/admin_server.h"

#include "core/log.h"
#include "core/memory.h"
#include "http/http_server.h"
#include "net/listen_socket.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct admin_server {
    const struct admin_operation *operations;
    void *context;
    struct listen_sockets sockets;
    struct http_server *http;
};

void admin_refuse(struct admin_answer *answer, unsigned status, const char *format, ...)
{
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    json_free(answer->body);
    answer->status = status;
    answer->body = json_new_object();
    json_put_text(answer->body, "error", slice_of(reason));
}

/* Whether `path` is the row's, with `item` what stands for "{}". No percent-decoding: no name of
 * ours needs it. */
static bool path_matches(const char *row, struct slice path, struct slice *item)
{
    const char *hole = strstr(row, "{}");
    *item = (struct slice){0};
    if (hole == NULL)
        return slice_equal(slice_of(row), path);
    struct slice before = slice_from(row, (size_t)(hole - row));
    struct slice after = slice_of(hole + 2);
    if (path.size <= before.size + after.size || !slice_starts_with(path, before) ||
        !slice_ends_with(path, after))
        return false;
    *item = slice_from(path.data + before.size, path.size - before.size - after.size);
    return item->size <= ADMIN_ITEM_MAX_BYTES && memchr(item->data, '/', item->size) == NULL;
}

/* The row for a request; `*path_known` tells a wrong method from a wrong path. */
static const struct admin_operation *find_operation(const struct admin_server *server,
                                                    const struct http_request *request,
                                                    struct slice *item, bool *path_known)
{
    *path_known = false;
    for (const struct admin_operation *row = server->operations; row->path != NULL; row++) {
        if (!path_matches(row->path, request->path, item))
            continue;
        *path_known = true;
        if (slice_equal(request->method, slice_of(row->method)))
            return row;
    }
    return NULL;
}

static void log_change(const struct http_request *request, unsigned status)
{
    struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof(peer);
    getsockopt(http_request_socket(request), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    log_event(LOG_NOTICE, "admin", LOG_SLICE("method", request->method),
              LOG_SLICE("path", request->path), LOG_NUMBER("uid", (int64_t)peer.uid),
              LOG_NUMBER("pid", peer.pid), LOG_NUMBER("status", status));
}

static void perform(const struct admin_server *server, const struct admin_operation *operation,
                    const struct http_request *request, struct slice item,
                    struct admin_answer *answer)
{
    struct error_text why;
    struct json *body = NULL;
    if (request->body.size > 0) {
        body = json_parse(request->body, ADMIN_BODY_MAX_BYTES, NULL, &why);
        if (body == NULL) {
            admin_refuse(answer, 400, "the body is not JSON: %s", why.text);
            return;
        }
    }
    const struct admin_request asked = {.item = item, .query = request->query, .body = body};
    operation->handle(server->context, &asked, answer);
    json_free(body);
}

static void on_request(void *context, const struct http_request *request,
                       struct http_answer *http_answer)
{
    const struct admin_server *server = context;
    struct admin_answer answer = {0};
    struct slice item;
    bool path_known;
    const struct admin_operation *operation = find_operation(server, request, &item, &path_known);

    if (operation != NULL)
        perform(server, operation, request, item, &answer);
    else if (path_known)
        admin_refuse(&answer, 405, "%.*s is not for %.*s", SLICE_PRINT(request->method),
                     SLICE_PRINT(request->path));
    else
        admin_refuse(&answer, 404, "there is no %.*s", SLICE_PRINT(request->path));
    if (answer.body == NULL)
        answer.body = json_new_object();
    http_answer->status = answer.status != 0 ? answer.status : 200;
    http_answer->content_type = "application/json";
    http_answer->body = slice_of(json_print(answer.body, JSON_STYLE_INDENTED));
    http_answer->body_owned = true;
    json_free(answer.body);
    if (!slice_equal(request->method, SLICE("GET")))
        log_change(request, http_answer->status);
}

struct admin_server *admin_server_new(struct main_loop *loop, const char *path, const char *group,
                                      const struct admin_operation *operations, void *context,
                                      struct error_text *text)
{
    char *address_text = memory_format("unix:%s", path);
    struct listen_address address;
    const struct listen_options options = {.mode = 0660, .group = group, .backlog = 128};
    struct admin_server *server = memory_new(sizeof(*server));
    server->operations = operations;
    server->context = context;

    enum error error = listen_address_parse(slice_of(address_text), &address, text);
    if (error == ERROR_OK)
        error = listen_sockets_open(&address, &options, &server->sockets, text);
    free(address_text);
    if (error != ERROR_OK) {
        free(server);
        return NULL;
    }
    const struct http_server_options http = {
        .body_max_bytes = ADMIN_BODY_MAX_BYTES, .on_request = on_request, .context = server};
    server->http = http_server_new(loop, server->sockets.fds[0], &http, text);
    server->sockets.fds[0] = -1; /* the HTTP server's now */
    if (server->http == NULL) {
        admin_server_free(server);
        return NULL;
    }
    return server;
}

void admin_server_free(struct admin_server *server)
{
    if (server == NULL)
        return;
    http_server_free(server->http);
    listen_sockets_close(&server->sockets);
    free(server);
}
