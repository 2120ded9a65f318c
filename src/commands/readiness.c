/* Whether servers are ready: see readiness.h. */
#include "readiness.h"

#include "cli/ask.h"
#include "core/memory.h"
#include "route/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct server {
    struct readiness *readiness;
    struct server_state state;
    char *url;     /* to be asked: "http://chat.internal:3000" */
    char *address; /* where to connect to; "": nowhere */
    bool verify;
    bool asks_health; /* it does not know /ready */
    char *question;   /* the URL that is being asked */
    struct http_look look;
    struct http_exchange *exchange;
};

struct readiness {
    struct main_loop *loop;
    struct http_client *client;
    struct server *servers;
    size_t count;
    size_t under_way;
};

static char *text_of(const struct json *object, const char *key)
{
    return memory_copy_text(json_get_text(object, key));
}

/* "https://NAME:PORT": what the certificate is verified for is in the URL, and where to connect to
 * is told apart from it. */
static char *url_to_ask(const struct json *server)
{
    struct slice url = json_get_text(server, "url");
    struct slice name = json_get_text(server, "server_name");
    const char *scheme_end = memmem(url.data, url.size, "://", 3);
    const char *colon = url.size > 0 ? memrchr(url.data, ':', url.size) : NULL;
    if (name.size == 0 || scheme_end == NULL || colon <= scheme_end)
        return memory_copy_text(url);
    return memory_format("%.*s://%.*s%s", (int)(scheme_end - url.data), url.data, SLICE_PRINT(name),
                         colon);
}

struct readiness *readiness_new(struct main_loop *loop, struct http_client *client,
                                const struct json *servers)
{
    struct readiness *readiness = memory_new(sizeof(*readiness));
    readiness->loop = loop;
    readiness->client = client;
    readiness->count = json_count(servers);
    readiness->servers = memory_new((readiness->count + 1) * sizeof(*readiness->servers));
    for (size_t i = 0; i < readiness->count; i++) {
        const struct json *told = json_at(servers, i);
        struct server *server = &readiness->servers[i];
        server->readiness = readiness;
        server->url = url_to_ask(told);
        server->address = text_of(told, "address");
        bool verifies;
        server->verify = !json_read_bool(json_get(told, "verify"), &verifies) || verifies;
        server->state.url = server->url;
    }
    return readiness;
}

void readiness_free(struct readiness *readiness)
{
    if (readiness == NULL)
        return;
    for (size_t i = 0; i < readiness->count; i++) {
        struct server *server = &readiness->servers[i];
        http_exchange_cancel(server->exchange);
        free(server->url);
        free(server->address);
        free(server->question);
    }
    free(readiness->servers);
    free(readiness);
}

size_t readiness_count(const struct readiness *readiness)
{
    return readiness->count;
}

const struct server_state *readiness_at(const struct readiness *readiness, size_t index)
{
    assert(index < readiness->count);
    return &readiness->servers[index].state;
}

/* -- One server -------------------------------------------------------------------------------- */

static void end(struct server *server)
{
    if (--server->readiness->under_way == 0)
        main_loop_stop(server->readiness->loop);
}

static void give_up(struct server *server, const char *format, ...) PRINTF_LIKE(2, 3);
static void give_up(struct server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(server->state.why, sizeof(server->state.why), format, arguments);
    va_end(arguments);
    end(server);
}

static void ask_server(struct server *server, const char *path, http_probed_fn *on_answer)
{
    free(server->question);
    server->question = memory_format("%s%s", server->url, path);
    server->look = (struct http_look){
        .url = server->question, .connect_to = server->address, .no_verify = !server->verify};
    server->exchange =
        http_client_look(server->readiness->client, &server->look, on_answer, server);
    if (server->exchange == NULL)
        give_up(server, "%s", "there is no memory to ask it");
}

static void copy(char *room, size_t size, struct slice text)
{
    snprintf(room, size, "%.*s", SLICE_PRINT(text));
}

static void on_version(void *context, const struct http_probe_answer *answer)
{
    struct server *server = context;
    server->exchange = NULL;
    bool is_good = answer->result == HTTP_PROBE_ANSWERED && answer->status == 200;
    struct json *told = is_good ? json_parse(answer->body, JSON_MAX_TEXT_BYTES, NULL, NULL) : NULL;
    copy(server->state.version, sizeof(server->state.version), json_get_text(told, "version"));
    copy(server->state.deployment, sizeof(server->state.deployment),
         json_get_text(told, "deployment_id"));
    json_free(told);
    server->state.is_ready = server->state.version[0] != '\0';
    if (server->state.is_ready)
        end(server);
    else
        give_up(server, "%s", "/api/version tells no version: is it Open WebUI?");
}

static void on_ready(void *context, const struct http_probe_answer *answer)
{
    struct server *server = context;
    server->exchange = NULL;
    if (answer->result != HTTP_PROBE_ANSWERED) {
        give_up(server, "%s",
                answer->result == HTTP_PROBE_REFUSED ? "nobody listens there" : answer->failure);
        return;
    }
    server->state.answers = true;
    bool is_unknown = check_judge(answer->status, answer->body) == CHECK_UNKNOWN_PATH;
    if (is_unknown && !server->asks_health) {
        server->asks_health = true; /* an older one */
        ask_server(server, "/health", on_ready);
        return;
    }
    if (is_unknown)
        give_up(server, "%s", "it knows neither /ready nor /health: is it Open WebUI?");
    else if (answer->status != 200)
        give_up(server, "%s is answered with %d", server->asks_health ? "/health" : "/ready",
                answer->status);
    else
        ask_server(server, "/api/version", on_version);
}

static void begin(struct server *server)
{
    const char *url = server->state.url;
    server->state = (struct server_state){.url = url};
    server->asks_health = false;
    if (server->address[0] == '\0')
        give_up(server, "%s", "its name has no address");
    else
        ask_server(server, "/ready", on_ready);
}

bool readiness_ask(struct readiness *readiness)
{
    readiness->under_way = readiness->count + 1; /* so that nothing ends before all has begun */
    for (size_t i = 0; i < readiness->count; i++)
        begin(&readiness->servers[i]);
    if (--readiness->under_way > 0)
        main_loop_run(readiness->loop);
    bool all = readiness->under_way == 0;
    for (size_t i = 0; i < readiness->count; i++) {
        http_exchange_cancel(readiness->servers[i].exchange);
        readiness->servers[i].exchange = NULL;
    }
    return all;
}
