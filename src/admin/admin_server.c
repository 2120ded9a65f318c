/* The admin interface's server: see admin/admin_server.h. */
#include "admin_call.h"
#include "admin_gate.h"

#include "core/log.h"
#include "core/memory.h"
#include "net/listen_socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    TCP_CONNECTIONS_MAX = 64, /* strangers among them */
    REQUEST_MAX_MS = 30 * 1000,
};

struct table {
    const struct admin_operation *operations;
    void *context;
    struct admin_desk *desk;
    enum admin_access access;
};

/* One way in. */
struct door {
    struct admin_server *server;
    struct listen_sockets sockets;
    struct http_server *http;
    struct admin_gate *gate; /* NULL: the socket's mode and owner are the gate */
    const char *only_path;   /* and nothing else is to be had here; NULL: everything is */
};

struct admin_server {
    struct main_loop *loop;
    struct table tables[ADMIN_TABLES_MAX];
    size_t table_count;
    struct door unix_door;
    struct door tcp_door;
    struct door metrics_door;
    struct admin_box outbox;  /* calls that come back from desks */
    struct main_waker *waker; /* when some have */
};

/* -- Which rows a request is for --------------------------------------------------------------- */

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
    return item->size <= ADMIN_ITEM_MAX_BYTES && !slice_has(*item, '/');
}

/* Adds to the list of an Allow header, once; five methods fit into it. */
static void add_method(char allow[static ADMIN_ALLOW_SIZE], const char *method)
{
    size_t used = strlen(allow);
    if (strstr(allow, method) == NULL)
        snprintf(allow + used, ADMIN_ALLOW_SIZE - used, "%s%s", used > 0 ? ", " : "", method);
}

/* The table's row for a request; NULL when it has none. `allow` gets the methods that its path has
 * rows for. */
static const struct admin_operation *find_row(const struct table *table,
                                              const struct http_request *request,
                                              struct slice *item, char *allow)
{
    for (const struct admin_operation *row = table->operations; row->path != NULL; row++) {
        struct slice found;
        if (!path_matches(row->path, request->path, &found))
            continue;
        add_method(allow, row->method);
        if (!slice_equal(request->method, slice_of(row->method)))
            continue;
        *item = found;
        return row;
    }
    return NULL;
}

/* Those of the server's thread first, then those of desks, each in the order of the tables. */
static void find_parts(const struct admin_server *server, const struct http_request *request,
                       struct admin_call *call, struct slice *item)
{
    for (int at_desks = 0; at_desks < 2; at_desks++) {
        for (size_t i = 0; i < server->table_count; i++) {
            const struct table *table = &server->tables[i];
            if ((table->desk != NULL) != at_desks)
                continue;
            const struct admin_operation *row = find_row(table, request, item, call->answer.allow);
            if (row != NULL)
                call->parts[call->part_count++] =
                    (struct admin_part){row, table->context, table->desk, table->access};
        }
    }
}

/* -- One call ---------------------------------------------------------------------------------- */

static struct admin_peer peer_of(const struct http_request *request)
{
    struct ucred peer = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof(peer);
    getsockopt(http_request_socket(request), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return (struct admin_peer){.uid = peer.uid, .pid = peer.pid, .may_change = true};
}

static struct admin_call *new_call(const struct door *door, const struct http_request *request,
                                   struct slice item, const struct admin_token *token)
{
    struct admin_call *call = memory_new(sizeof(*call));
    call->method = memory_copy_text(request->method);
    call->path = memory_copy_text(request->path);
    call->query = memory_copy_text(request->query);
    call->item = memory_copy_text(item);
    call->if_match = memory_copy_text(http_request_header(request, "If-Match"));
    call->accept = memory_copy_text(http_request_header(request, "Accept"));
    call->token = token != NULL ? memory_copy_text(slice_of(token->name)) : NULL;
    call->request = (struct admin_request){
        .item = slice_of(call->item),
        .query = slice_of(call->query),
        .if_match = slice_of(call->if_match),
        .accept = slice_of(call->accept),
    };
    if (door->gate == NULL)
        call->request.peer = peer_of(request);
    else
        call->request.peer =
            (struct admin_peer){.uid = (uid_t)-1,
                                .token = call->token,
                                .may_change = token != NULL && token->role == ADMIN_ROLE_ADMIN};
    return call;
}

/* False when there is a body that cannot be read. */
static bool read_body(struct admin_call *call, const struct http_request *request)
{
    struct error_text why;
    if (request->body.size == 0)
        return true;
    call->body = json_parse(request->body, ADMIN_BODY_MAX_BYTES, NULL, &why);
    call->request.body = call->body;
    if (call->body == NULL)
        admin_refuse(&call->answer, 400, "the body is not JSON: %s", why.text);
    return call->body != NULL;
}

/* Whoever was not let in is nobody, and has a name of his own in the log: the lines of one name are
 * limited, and strangers shall not use up those of admins. */
static void log_call(const struct admin_call *call, unsigned status)
{
    const struct admin_peer *peer = &call->request.peer;
    if (!call->is_let_in)
        log_event(LOG_NOTICE, "admin_refused", LOG_TEXT("method", call->method),
                  LOG_TEXT("path", call->path), LOG_TEXT("token", peer->token),
                  LOG_NUMBER("status", status));
    else if (peer->token != NULL)
        log_event(LOG_NOTICE, "admin", LOG_TEXT("method", call->method),
                  LOG_TEXT("path", call->path), LOG_TEXT("token", peer->token),
                  LOG_NUMBER("status", status));
    else
        log_event(LOG_NOTICE, "admin", LOG_TEXT("method", call->method),
                  LOG_TEXT("path", call->path), LOG_NUMBER("uid", (int64_t)peer->uid),
                  LOG_NUMBER("pid", peer->pid), LOG_NUMBER("status", status));
}

static void add_header(struct http_answer *http, const char *name, const char *value)
{
    size_t i = 0;
    while (http->headers[i].name != NULL)
        i++;
    assert(i < COUNT_OF(http->headers));
    http->headers[i].name = name;
    http->headers[i].value = value;
}

static void add_headers(struct http_answer *http, const struct admin_answer *answer,
                        const char *etag, const char *allow)
{
    add_header(http, "Cache-Control", "no-store");
    add_header(http, "X-Content-Type-Options", "nosniff");
    add_header(http, "Cross-Origin-Resource-Policy", "same-origin");
    add_header(http, "Content-Security-Policy",
               answer->content_security_policy != NULL
                   ? answer->content_security_policy
                   : "default-src 'none'; frame-ancestors 'none'");
    if (etag[0] != '\0')
        add_header(http, "ETag", etag);
    if (http->status == 405)
        add_header(http, "Allow", allow);
    if (http->status == 401)
        add_header(http, "WWW-Authenticate", "Bearer");
    if (http->status == 429)
        add_header(http, "Retry-After", "10");
}

/* The call's answer as HTTP; what it has for headers has to outlive it. */
static struct http_answer to_http(struct admin_call *call, const char *etag, const char *allow)
{
    struct admin_answer *answer = &call->answer;
    struct http_answer http = {
        .status = answer->status != 0 ? answer->status : 200,
        .content_type = "application/json",
        .body_owned = true,
    };
    if (answer->text != NULL && http.status < 400) {
        http.content_type = answer->content_type;
        http.body = slice_of(answer->text);
        answer->text = NULL; /* the HTTP server's now */
    } else {
        http.body = slice_of(json_print(admin_answer_body(answer), JSON_STYLE_INDENTED));
    }
    add_headers(&http, answer, etag, allow);
    if (call->is_change || !call->is_let_in)
        log_call(call, http.status);
    return http;
}

void admin_server_finish(struct admin_call *call)
{
    struct http_answer http = to_http(call, call->answer.etag, call->answer.allow);
    http_server_answer(call->held, &http);
    admin_call_free(call);
}

/* Does what can be done here. True when the call is done. */
static bool advance(struct admin_call *call)
{
    admin_call_go_on(call, NULL);
    const struct admin_desk *desk = admin_call_desk(call);
    if (desk == NULL)
        return true;
    bool is_stuck = admin_desk_is_stuck(desk);
    if (is_stuck && call->done == 0)
        admin_refuse(&call->answer, 503,
                     "the thread that knows stands still: \"owui-spoa status\" tells what to do");
    if (is_stuck)
        return true;
    if (!admin_desk_is_full(desk))
        return false;
    admin_refuse(&call->answer, 429, "too many of these are being done already");
    return true;
}

/* What is done before any part is: false when the answer is there already. */
static bool may_go_on(const struct http_request *request, struct admin_call *call)
{
    struct slice if_match = http_request_header(request, "If-Match");
    if (call->part_count == 0 && call->answer.allow[0] != '\0')
        admin_refuse(&call->answer, 405, "%s is not for %s", call->method, call->path);
    else if (call->part_count == 0)
        admin_refuse(&call->answer, 404, "there is no %s", call->path);
    else if (if_match.data != NULL && if_match.size == 0) /* an ETag that a script did not get */
        admin_refuse(&call->answer, 400, "If-Match is empty: without it, all is changed");
    else
        return admin_query_check(call, &call->answer) && read_body(call, request);
    return false;
}

static enum admin_access access_of(const struct admin_call *call)
{
    return call->part_count > 0 ? call->parts[0].access : ADMIN_ACCESS_METHOD;
}

/* The rows are found before the gate is asked, because it depends on the row what it takes. */
static struct admin_call *take_call(const struct door *door, const struct http_request *request)
{
    struct slice item = {0};
    struct admin_call probe = {.part_count = 0};
    const struct admin_token *token = NULL;

    find_parts(door->server, request, &probe, &item);
    bool passes = door->gate == NULL ||
                  admin_gate_pass(door->gate, request, access_of(&probe), &token, &probe.answer);
    struct admin_call *call = new_call(door, request, item, token);
    call->answer = probe.answer;
    memcpy(call->parts, probe.parts, sizeof(call->parts));
    call->part_count = probe.part_count;
    call->is_change =
        !slice_equal(request->method, SLICE("GET")) && access_of(call) == ADMIN_ACCESS_METHOD;
    call->is_let_in = passes;
    if (!passes || !may_go_on(request, call))
        call->part_count = 0;
    return call;
}

/* Where one path is open to all, the rest is not there. False with the answer. */
static bool is_open_here(const struct door *door, const struct http_request *request,
                         struct http_answer *answer)
{
    bool is_get = slice_equal(request->method, SLICE("GET"));
    answer->content_type = "text/plain; charset=utf-8";
    if (!admin_gate_knows_host(NULL, http_request_header(request, "Host"))) {
        answer->status = 421;
        answer->body = SLICE("ask by a loopback address: a proxy in front has to set Host to it\n");
    } else if (!is_get) {
        answer->status = 405;
        answer->body = SLICE("GET only\n");
        add_header(answer, "Allow", "GET");
    } else if (!slice_equal(request->path, slice_of(door->only_path))) {
        answer->status = 404;
        answer->body = SLICE("not here\n");
    } else {
        return true;
    }
    return false;
}

static void on_request(void *context, const struct http_request *request,
                       struct http_answer *http_answer)
{
    static _Thread_local char etag[ADMIN_ETAG_SIZE], allow[ADMIN_ALLOW_SIZE];
    const struct door *door = context;
    if (door->only_path != NULL && !is_open_here(door, request, http_answer))
        return;
    struct admin_call *call = take_call(door, request);
    if (!advance(call)) {
        http_answer->held = true;
        call->held = http_request_hold(request);
        admin_desk_put(admin_call_desk(call), call);
        return;
    }
    memcpy(etag, call->answer.etag, sizeof(etag));
    memcpy(allow, call->answer.allow, sizeof(allow));
    *http_answer = to_http(call, etag, allow);
    admin_call_free(call);
}

static void on_outbox(void *context)
{
    struct admin_server *server = context;
    struct admin_call *call = admin_box_take(&server->outbox);
    while (call != NULL) {
        struct admin_call *next = call->next;
        admin_desk_take_back(call);
        if (admin_call_desk(call) != NULL)
            admin_desk_put(admin_call_desk(call), call);
        else
            admin_server_finish(call);
        call = next;
    }
}

struct admin_box *admin_server_outbox(struct admin_server *server, struct main_waker **waker)
{
    *waker = server->waker;
    return &server->outbox;
}

/* -- Tables ------------------------------------------------------------------------------------ */

void admin_server_add_table(struct admin_server *server, enum admin_access access,
                            const struct admin_operation *operations, void *context,
                            struct admin_desk *desk)
{
    assert(server->table_count < ADMIN_TABLES_MAX);
    server->tables[server->table_count++] = (struct table){operations, context, desk, access};
}

void admin_server_add_as(struct admin_server *server, enum admin_access access,
                         const struct admin_operation *operations, void *context)
{
    if (server != NULL)
        admin_server_add_table(server, access, operations, context, NULL);
}

void admin_server_add(struct admin_server *server, const struct admin_operation *operations,
                      void *context)
{
    admin_server_add_as(server, ADMIN_ACCESS_METHOD, operations, context);
}

void admin_server_remove_desk(struct admin_server *server, const struct admin_desk *desk)
{
    size_t kept = 0;
    for (size_t i = 0; i < server->table_count; i++)
        if (server->tables[i].desk != desk)
            server->tables[kept++] = server->tables[i];
    server->table_count = kept;
    on_outbox(server); /* what the desk had done already */
}

/* -- What there is ----------------------------------------------------------------------------- */

static const char *access_name(const struct table *table, const struct admin_operation *row)
{
    if (table->access == ADMIN_ACCESS_OPEN)
        return "anybody";
    return table->access == ADMIN_ACCESS_READ || strcmp(row->method, "GET") == 0 ? "read" : "admin";
}

/* A row that is in several tables is one operation. */
static bool is_told(const struct json *list, const struct admin_operation *row)
{
    for (size_t i = 0; i < json_count(list); i++) {
        struct slice method, path;
        if (json_read_text(json_get(json_at(list, i), "method"), &method) &&
            json_read_text(json_get(json_at(list, i), "path"), &path) &&
            slice_equal(method, slice_of(row->method)) && slice_equal(path, slice_of(row->path)))
            return true;
    }
    return false;
}

static struct json *you(const struct admin_peer *peer)
{
    struct json *object = json_new_object();
    if (peer->token != NULL)
        json_put_text(object, "token", slice_of(peer->token));
    json_put_text(object, "role",
                  slice_of(admin_role_name(peer->may_change ? ADMIN_ROLE_ADMIN : ADMIN_ROLE_READ)));
    return object;
}

static void list_operations(void *context, const struct admin_request *request,
                            struct admin_answer *answer)
{
    const struct admin_server *server = context;
    struct json *list = json_new_array();
    for (size_t i = 0; i < server->table_count; i++)
        for (const struct admin_operation *row = server->tables[i].operations; row->path != NULL;
             row++) {
            if (is_told(list, row))
                continue;
            struct json *one = json_new_object();
            json_put_text(one, "method", slice_of(row->method));
            json_put_text(one, "path", slice_of(row->path));
            json_put_text(one, "role", slice_of(access_name(&server->tables[i], row)));
            json_put_text(one, "summary", slice_of(row->summary));
            json_append(list, one);
        }
    json_put(admin_answer_body(answer), "you", you(&request->peer));
    json_put(admin_answer_body(answer), "operations", list);
}

static const struct admin_operation INDEX_OPERATIONS[] = {
    {"GET", "/v1", list_operations, "lists what can be asked", ""},
    {0},
};

/* -- Life -------------------------------------------------------------------------------------- */

/* Opens a door on a bound address; all or nothing. */
static enum error open_door(struct admin_server *server, struct door *door,
                            const char *address_text, const struct listen_options *options,
                            unsigned connections_max, struct error_text *text)
{
    struct listen_address address;
    enum error error = listen_address_parse(slice_of(address_text), &address, text);
    if (error == ERROR_OK)
        error = listen_sockets_open(&address, options, &door->sockets, text);
    if (error != ERROR_OK)
        return error;
    const struct http_server_options http = {.body_max_bytes = ADMIN_BODY_MAX_BYTES,
                                             .connections_max = connections_max,
                                             .request_max_ms = REQUEST_MAX_MS,
                                             .on_request = on_request,
                                             .context = door};
    door->server = server;
    door->http = http_server_new(server->loop, door->sockets.fds[0], &http);
    door->sockets.fds[0] = -1; /* the HTTP server's now */
    return ERROR_OK;
}

static void close_door(struct door *door)
{
    http_server_free(door->http);
    listen_sockets_close(&door->sockets);
    admin_gate_free(door->gate);
}

struct admin_server *admin_server_new(struct main_loop *loop, const char *path,
                                      struct error_text *text)
{
    struct admin_server *server = memory_new(sizeof(*server));
    const struct listen_options options = {.mode = 0660, .backlog = 128};
    char *address = memory_format("unix:%s", path);
    server->loop = loop;
    server->waker = main_waker_new(loop, on_outbox, server);
    enum error error = open_door(server, &server->unix_door, address, &options, 0, text);
    free(address);
    if (error != ERROR_OK) {
        admin_server_free(server);
        return NULL;
    }
    admin_server_add(server, INDEX_OPERATIONS, server);
    return server;
}

enum error admin_server_open_tcp(struct admin_server *server,
                                 const struct admin_tcp_settings *settings, struct error_text *text)
{
    const struct listen_options options = {.backlog = 128};
    char *address = memory_format("tcp:%s", settings->listen);
    server->tcp_door.gate = admin_gate_new(settings);
    enum error error =
        open_door(server, &server->tcp_door, address, &options, TCP_CONNECTIONS_MAX, text);
    free(address);
    return error;
}

enum error admin_server_open_metrics(struct admin_server *server, const char *listen,
                                     const char *path, struct error_text *text)
{
    const struct listen_options options = {.backlog = 128};
    char *address = memory_format("tcp:%s", listen);
    server->metrics_door.only_path = path;
    enum error error =
        open_door(server, &server->metrics_door, address, &options, TCP_CONNECTIONS_MAX, text);
    free(address);
    return error;
}

void admin_server_free(struct admin_server *server)
{
    if (server == NULL)
        return;
    main_waker_free(server->waker);
    close_door(&server->metrics_door);
    close_door(&server->tcp_door);
    close_door(&server->unix_door);
    free(server);
}
