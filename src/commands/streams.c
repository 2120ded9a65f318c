/* Streams of a tenant's servers: see streams.h. */
#include "streams.h"

#include "cli/ask.h"
#include "core/memory.h"
#include "hap/runtime.h"
#include "hap/runtime_streams.h"
#include "sidecar/runtime_client.h"

#include <stdlib.h>

enum {
    ANSWER_MS = 15000, /* ten thousand streams are 15 MB of text */
    /* Open WebUI's server pings each socket every 25 s, with 3 bytes. */
    PINGS_MAX_BYTES = 64,
    ID_SIZE = 24,
    COMMAND_BYTES = 8000,
};

struct server {
    struct ip ip;
    uint16_t port;
};

struct socket {
    char id[ID_SIZE];
    uint64_t received_bytes;
};

/* One HAProxy's Runtime API, and what it has told last. */
struct haproxy {
    struct streams *streams;
    const char *name; /* borrowed */
    struct runtime_target target;
    struct runtime_exchange *exchange;
    bool has_answered; /* the last time that it was asked for streams */
    size_t requests;
    size_t busy_sockets;
    struct socket *sockets;
    size_t socket_count;
};

struct streams {
    struct main_loop *loop;
    struct haproxy *haproxys;
    size_t haproxy_count;
    size_t under_way; /* HAProxys that have not answered */
    struct server *servers;
    size_t server_count;
    enum error error;
    struct error_text *why;
};

struct streams *streams_new(struct main_loop *loop, const struct configuration *configuration)
{
    struct streams *streams = memory_new(sizeof(*streams));
    const struct hap_config *haproxy = &configuration->haproxy;
    streams->loop = loop;
    streams->haproxys = memory_new((haproxy->runtime_count + 1) * sizeof(*streams->haproxys));
    for (size_t i = 0; i < haproxy->runtime_count; i++) {
        struct haproxy *one = &streams->haproxys[streams->haproxy_count];
        *one = (struct haproxy){.streams = streams, .name = haproxy->runtime[i]};
        if (runtime_target_parse(slice_of(one->name), &one->target, NULL) == ERROR_OK)
            streams->haproxy_count++;
    }
    return streams;
}

void streams_free(struct streams *streams)
{
    if (streams == NULL)
        return;
    for (size_t i = 0; i < streams->haproxy_count; i++) {
        runtime_exchange_free(streams->haproxys[i].exchange);
        runtime_target_fini(&streams->haproxys[i].target);
        free(streams->haproxys[i].sockets);
    }
    free(streams->haproxys);
    free(streams->servers);
    free(streams);
}

/* Runs the loop until all have answered, or somebody stops it. */
static bool wait_for_all(struct streams *streams)
{
    if (streams->under_way > 0)
        main_loop_run(streams->loop);
    bool all = streams->under_way == 0;
    for (size_t i = 0; i < streams->haproxy_count; i++) {
        runtime_exchange_free(streams->haproxys[i].exchange);
        streams->haproxys[i].exchange = NULL;
    }
    streams->under_way = 0;
    return all;
}

static void one_less(struct haproxy *haproxy)
{
    haproxy->exchange = NULL;
    if (--haproxy->streams->under_way == 0)
        main_loop_stop(haproxy->streams->loop);
}

/* -- Counting ---------------------------------------------------------------------------------- */

static bool leads_here(const struct streams *streams, const struct runtime_stream *stream)
{
    for (size_t i = 0; i < streams->server_count; i++)
        if (stream->server.family != IP_NONE && streams->servers[i].port == stream->port &&
            ip_equal(&streams->servers[i].ip, &stream->server))
            return true;
    return false;
}

static const struct socket *find_socket(const struct socket *sockets, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(sockets[i].id, id) == 0)
            return &sockets[i];
    return NULL;
}

/* HAProxy tells its streams in the order of their birth, so that the next one is where the last one
 * was found, or a little behind. */
static bool is_busy(const struct haproxy *before, size_t *at, const struct socket *now)
{
    size_t start = *at < before->socket_count ? *at : 0;
    const struct socket *old =
        find_socket(before->sockets + start, before->socket_count - start, now->id);
    if (old == NULL)
        old = find_socket(before->sockets, start, now->id);
    if (old == NULL)
        return true; /* it was not there yet */
    *at = (size_t)(old - before->sockets) + 1;
    return now->received_bytes - old->received_bytes > PINGS_MAX_BYTES;
}

static void add_socket(struct haproxy *haproxy, const struct runtime_stream *stream)
{
    size_t count = haproxy->socket_count;
    if ((count & (count + 1)) == 0)
        haproxy->sockets =
            memory_resize(haproxy->sockets, count * 2 + 2, sizeof(*haproxy->sockets));
    struct socket *socket = &haproxy->sockets[haproxy->socket_count++];
    *socket = (struct socket){.received_bytes = stream->received_bytes};
    memcpy(socket->id, stream->id.data, stream->id.size);
}

static void read_answer(struct haproxy *haproxy, struct slice answer)
{
    struct streams *streams = haproxy->streams;
    struct haproxy before = *haproxy;
    struct runtime_stream stream;
    size_t at = 0;
    haproxy->has_answered = true;
    haproxy->requests = 0;
    haproxy->busy_sockets = 0;
    haproxy->sockets = NULL;
    haproxy->socket_count = 0;
    while (runtime_stream_next(&answer, &stream)) {
        if (!leads_here(streams, &stream) || stream.id.size >= ID_SIZE)
            continue;
        if (!stream.is_tunnel) {
            haproxy->requests++;
            continue;
        }
        add_socket(haproxy, &stream);
        haproxy->busy_sockets +=
            is_busy(&before, &at, &haproxy->sockets[haproxy->socket_count - 1]);
    }
    free(before.sockets);
}

/* Whoever may not ask, or asks a worker that is not there, is told so in words, and nothing of what
 * is under way. */
static enum error tell_fault(const struct haproxy *haproxy, enum error error, const char *reason,
                             struct slice answer)
{
    struct error_text *why = haproxy->streams->why;
    struct slice line = {0};
    if (error != ERROR_OK)
        return error_set(why, error, "HAProxy cannot be asked on %s: %s", haproxy->name, reason);
    if (!runtime_next_line(&answer, &line) || slice_starts_with(line, SLICE("0x")))
        return error_set(why, ERROR_PROTOCOL, "HAProxy, asked on %s: the answer is cut",
                         haproxy->name);
    return error_set(why, ERROR_PROTOCOL, "HAProxy, asked on %s, says \"%.*s\"", haproxy->name,
                     SLICE_PRINT(slice_trim(line)));
}

static void on_answer(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy *haproxy = context;
    struct streams *streams = haproxy->streams;
    if (error == ERROR_OK && runtime_streams_are_whole(answer))
        read_answer(haproxy, answer);
    else if (streams->error == ERROR_OK)
        streams->error = tell_fault(haproxy, error, reason, answer);
    one_less(haproxy);
}

static void take_servers(struct streams *streams, const struct json *servers)
{
    free(streams->servers);
    streams->server_count = json_count(servers);
    streams->servers = memory_new((streams->server_count + 1) * sizeof(*streams->servers));
    for (size_t i = 0; i < streams->server_count; i++) {
        struct server *server = &streams->servers[i];
        struct slice address = json_get_text(json_at(servers, i), "address");
        if (!ip_parse_with_port(address, &server->ip, &server->port))
            server->ip = (struct ip){0}; /* none is known: nothing leads there */
    }
}

static struct streams_told add_up(const struct streams *streams)
{
    struct streams_told told = {0};
    for (size_t i = 0; i < streams->haproxy_count; i++) {
        told.requests += streams->haproxys[i].requests;
        told.sockets += streams->haproxys[i].socket_count;
        told.busy_sockets += streams->haproxys[i].busy_sockets;
    }
    return told;
}

enum error streams_count(struct streams *streams, const struct json *servers,
                         struct streams_told *told, struct error_text *why)
{
    *told = (struct streams_told){0};
    streams->why = why;
    streams->error = ERROR_OK;
    take_servers(streams, servers);
    if (streams->haproxy_count == 0)
        return error_set(why, ERROR_NOT_FOUND, "\"haproxy\".\"runtime\" names no HAProxy to ask");
    streams->under_way = streams->haproxy_count;
    for (size_t i = 0; i < streams->haproxy_count; i++) {
        struct haproxy *haproxy = &streams->haproxys[i];
        char *command = memory_format("%.*sshow sess all\n", SLICE_PRINT(haproxy->target.prefix));
        haproxy->has_answered = false;
        haproxy->exchange = runtime_exchange_new(streams->loop, &haproxy->target, slice_of(command),
                                                 ANSWER_MS, NULL, on_answer, haproxy);
        free(command);
    }
    bool all = wait_for_all(streams);
    *told = add_up(streams);
    return all ? streams->error : error_set(why, ERROR_CLOSED, "interrupted");
}

/* -- Ending ------------------------------------------------------------------------------------ */

/* What was said that is neither nothing nor that a stream is not there any more, which is fine. */
static struct slice find_refusal(struct slice answer)
{
    struct slice line;
    while (runtime_next_line(&answer, &line)) {
        line = slice_trim(line);
        if (line.size > 0 && !slice_starts_with(line, SLICE("No such session")))
            return line;
    }
    return (struct slice){0};
}

static void on_closed(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy *haproxy = context;
    struct streams *streams = haproxy->streams;
    struct slice refusal = error == ERROR_OK ? find_refusal(answer) : slice_of(reason);
    if (refusal.size > 0)
        streams->error = error_set(streams->why, ERROR_SYSTEM, "HAProxy, asked on %s: %.*s",
                                   haproxy->name, SLICE_PRINT(refusal));
    one_less(haproxy);
}

/* As many of its sockets as fit into one command; how many they are. */
static size_t close_some(struct haproxy *haproxy, size_t from)
{
    char text[COMMAND_BYTES];
    struct writer command = writer_of(text, sizeof(text));
    size_t count = 0;
    for (; from + count < haproxy->socket_count; count++) {
        if (writer_used(&command) + ID_SIZE + 32 > sizeof(text))
            break;
        writer_bytes(&command, count > 0 ? SLICE(";") : SLICE(""));
        writer_bytes(&command, haproxy->target.prefix);
        writer_bytes(&command, SLICE("shutdown session "));
        writer_bytes(&command, slice_of(haproxy->sockets[from + count].id));
    }
    if (count == 0)
        return 0;
    writer_bytes(&command, SLICE("\n"));
    haproxy->streams->under_way++;
    haproxy->exchange =
        runtime_exchange_new(haproxy->streams->loop, &haproxy->target, writer_written(&command),
                             ANSWER_MS, NULL, on_closed, haproxy);
    return count;
}

/* Command by command; one that is refused is the last of its HAProxy. What is not known to be there
 * still is left: by now the same name may be another tenant's stream. */
static enum error close_all(struct haproxy *haproxy, size_t *closed)
{
    struct streams *streams = haproxy->streams;
    if (!haproxy->has_answered && haproxy->socket_count > 0)
        return error_set(streams->why, ERROR_SYSTEM, "HAProxy has not answered on %s",
                         haproxy->name);
    streams->error = ERROR_OK;
    for (size_t from = 0, count; (count = close_some(haproxy, from)) > 0; from += count) {
        if (!wait_for_all(streams))
            return error_set(streams->why, ERROR_CLOSED, "interrupted");
        if (streams->error != ERROR_OK)
            return streams->error;
        *closed += count;
    }
    haproxy->socket_count = 0;
    return ERROR_OK;
}

enum error streams_close_sockets(struct streams *streams, size_t *closed, struct error_text *why)
{
    enum error error = ERROR_OK;
    *closed = 0;
    streams->why = why;
    for (size_t i = 0; i < streams->haproxy_count && error != ERROR_CLOSED; i++) {
        enum error one = close_all(&streams->haproxys[i], closed);
        error = one != ERROR_OK ? one : error;
    }
    return error;
}
