/* One connection: see http_connection.h. */
#include "http_connection.h"

#include "core/clock.h"
#include "core/cursor.h"
#include "core/memory.h"
#include "http/http_head.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LINGER_MS = 10 * 1000,
    ANSWER_HEAD_BYTES = 1024,
};

enum connection_state {
    STATE_HEAD,
    STATE_BODY,
    STATE_HELD,
    STATE_WRITE,
    STATE_LINGER, /* the last answer is out, the peer has yet to read it */
};

struct http_connection {
    const struct http_connection_host *host;
    enum connection_state state;
    int fd;
    struct main_watch *watch;
    struct main_timer *timer;
    int64_t request_end_ms; /* on the monotonic clock; 0: none has begun */
    struct http_head head;  /* views into `input` */
    size_t head_size;
    char input[HTTP_HEAD_MAX_BYTES]; /* a head, and what came with it */
    size_t input_size;
    size_t searched; /* for the head's end */
    char *body;
    size_t body_size; /* of head.body_bytes */
    char *output;
    size_t output_size;
    size_t sent;
    bool last; /* nothing is read after this answer */
};

/* -- Answers ---------------------------------------------------------------------------------- */

static const char *reason_phrase(unsigned status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return ""; /* RFC 9112 section 4: clients are not to look at it */
    }
}

static void write_text(struct writer *writer, const char *text)
{
    writer_bytes(writer, slice_of(text));
}

/* RFC 9110 section 5.6.7, whatever the locale. */
static void write_date(struct writer *writer)
{
    static const char DAYS[] = "SunMonTueWedThuFriSat";
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char date[64];
    struct tm tm = {0};
    time_t now = (time_t)clock_wall_s();
    if (gmtime_r(&now, &tm) == NULL)
        return;
    snprintf(date, sizeof(date), "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n",
             DAYS + 3 * tm.tm_wday, tm.tm_mday, MONTHS + 3 * tm.tm_mon, tm.tm_year + 1900,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    write_text(writer, date);
}

static void write_head(struct writer *writer, const struct http_answer *answer, bool last)
{
    unsigned status = answer->status != 0 ? answer->status : 500;
    char line[96];
    snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", status, reason_phrase(status));
    write_text(writer, line);
    write_date(writer);
    if (last)
        write_text(writer, "Connection: close\r\n");
    if (answer->content_type != NULL) {
        write_text(writer, "Content-Type: ");
        write_text(writer, answer->content_type);
        write_text(writer, "\r\n");
    }
    for (size_t i = 0; i < COUNT_OF(answer->headers) && answer->headers[i].name != NULL; i++) {
        write_text(writer, answer->headers[i].name);
        write_text(writer, ": ");
        write_text(writer, answer->headers[i].value);
        write_text(writer, "\r\n");
    }
    snprintf(line, sizeof(line), "Content-Length: %zu\r\n\r\n", answer->body.size);
    write_text(writer, line);
}

/* False when memory has run out. */
static bool compose(struct http_connection *connection, const struct http_answer *answer)
{
    bool head_only = slice_equal(connection->head.method, SLICE("HEAD"));
    size_t room = ANSWER_HEAD_BYTES + (head_only ? 0 : answer->body.size);
    connection->output = malloc(room);
    if (connection->output == NULL)
        return false;
    struct writer writer = writer_of(connection->output, room);
    write_head(&writer, answer, connection->last);
    if (!head_only)
        writer_bytes(&writer, answer->body);
    assert(!writer.failed); /* heads are our own */
    connection->output_size = writer_used(&writer);
    connection->sent = 0;
    return true;
}

/* -- Life ------------------------------------------------------------------------------------- */

static void forget_request(struct http_connection *connection)
{
    if (connection->body != NULL)
        memory_wipe(connection->body, connection->body_size);
    free(connection->body);
    free(connection->output);
    connection->body = connection->output = NULL;
    connection->body_size = connection->output_size = connection->sent = 0;
    connection->request_end_ms = 0;
}

void http_connection_free(struct http_connection *connection)
{
    if (connection == NULL)
        return;
    main_watch_free(connection->watch);
    main_timer_free(connection->timer);
    close(connection->fd);
    forget_request(connection);
    memory_wipe(connection->input, sizeof(connection->input)); /* tokens of the admin interface */
    free(connection);
}

static void end(struct http_connection *connection)
{
    connection->host->on_end(connection->host->context, connection);
    http_connection_free(connection);
}

/* The peer has as long as this for its next byte, or to take ours. */
static void wait_for_peer(struct http_connection *connection, int events)
{
    int64_t wait_ms = connection->host->options->idle_ms;
    if (connection->request_end_ms != 0) {
        int64_t left_ms = connection->request_end_ms - clock_mono_ms();
        wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
    }
    main_watch_set(connection->watch, events);
    main_timer_once(connection->timer, wait_ms > 0 ? wait_ms : 1);
}

/* To close a socket with unread bytes is to reset it, and the answer may be lost with that: so the
 * end is told, and what still comes is read until the peer has seen it. */
static void linger(struct http_connection *connection)
{
    forget_request(connection);
    connection->state = STATE_LINGER;
    connection->request_end_ms = clock_mono_ms() + LINGER_MS;
    shutdown(connection->fd, SHUT_WR);
    wait_for_peer(connection, MAIN_READ);
}

/* -- Steps: each returns whether there is another to be done now ------------------------------- */

enum step { STEP_ON, STEP_WAIT, STEP_ENDED };

static enum step begin_answer(struct http_connection *connection, const struct http_answer *answer)
{
    bool composed = compose(connection, answer);
    if (answer->body_owned)
        free((void *)(uintptr_t)answer->body.data);
    if (!composed) {
        end(connection);
        return STEP_ENDED;
    }
    connection->state = STATE_WRITE;
    connection->request_end_ms = 0;
    return STEP_ON;
}

/* What is wrong with the request itself; where the next one begins is not known any more. */
static enum step refuse(struct http_connection *connection, unsigned status, const char *text)
{
    const struct http_answer answer = {
        .status = status, .content_type = "text/plain; charset=utf-8", .body = slice_of(text)};
    connection->last = true;
    return begin_answer(connection, &answer);
}

static enum step ask_handler(struct http_connection *connection)
{
    const struct http_server_options *options = connection->host->options;
    struct http_answer answer = {.content_type = "text/plain; charset=utf-8"};
    const struct http_request request = {
        .method = connection->head.method,
        .path = connection->head.path,
        .query = connection->head.query,
        .body = slice_from(connection->body, connection->body_size),
        .internal = connection,
    };
    connection->last = !connection->head.keep_alive;
    options->on_request(options->context, &request, &answer);
    if (!answer.held)
        return begin_answer(connection, &answer);
    connection->state = STATE_HELD;
    main_watch_set(connection->watch, 0);
    main_timer_stop(connection->timer);
    return STEP_WAIT;
}

/* Nothing but 25 bytes on a connection that has sent nothing else: they fit. */
static void tell_to_go_on(const struct http_connection *connection)
{
    static const struct slice GO_ON = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    (void)send(connection->fd, GO_ON.data, GO_ON.size, MSG_NOSIGNAL);
}

/* The head is whole: makes room for the body, which may have begun to come with it. */
static enum step begin_body(struct http_connection *connection)
{
    const struct http_head *head = &connection->head;
    if (head->body_bytes > connection->host->options->body_max_bytes)
        return refuse(connection, 413, "the request's body is too large\n");
    connection->state = STATE_BODY;
    if (head->body_bytes == 0)
        return STEP_ON;
    connection->body = malloc((size_t)head->body_bytes);
    if (connection->body == NULL)
        return refuse(connection, 503, "out of memory\n");
    size_t here = size_min(connection->input_size - connection->head_size, head->body_bytes);
    memcpy(connection->body, connection->input + connection->head_size, here);
    connection->body_size = here;
    connection->head_size += here; /* what is behind it is the next request */
    if (head->wants_go_on && here == 0)
        tell_to_go_on(connection);
    return STEP_ON;
}

/* Empty lines before a request are passed over (RFC 9112 section 2.2). */
static void skip_empty_lines(struct http_connection *connection)
{
    size_t skip = 0;
    while (connection->input_size - skip >= 2 && memcmp(connection->input + skip, "\r\n", 2) == 0)
        skip += 2;
    connection->input_size -= skip;
    memmove(connection->input, connection->input + skip, connection->input_size);
}

static enum step take_head(struct http_connection *connection)
{
    if (connection->input_size > 0 && connection->request_end_ms == 0)
        connection->request_end_ms = clock_mono_ms() + connection->host->options->request_max_ms;
    if (connection->searched == 0)
        skip_empty_lines(connection);
    const struct slice input = slice_from(connection->input, connection->input_size);
    connection->head_size = http_head_size(input, connection->searched);
    connection->searched = input.size >= 2 ? input.size : 0; /* half an empty line may become one */
    if (connection->head_size == 0 && input.size == sizeof(connection->input))
        return refuse(connection, 431, "the request's head is too large\n");
    if (connection->head_size == 0)
        return STEP_WAIT;
    unsigned refused = http_head_parse(slice_head(input, connection->head_size), &connection->head);
    if (refused != 0)
        return refuse(connection, refused, "this request is not understood\n");
    return begin_body(connection);
}

static enum step take_body(struct http_connection *connection)
{
    if (connection->body_size < connection->head.body_bytes)
        return STEP_WAIT;
    return ask_handler(connection);
}

/* The answer is out. */
static enum step go_on(struct http_connection *connection)
{
    if (connection->last) {
        linger(connection);
        return STEP_WAIT;
    }
    forget_request(connection);
    connection->input_size -= connection->head_size;
    memmove(connection->input, connection->input + connection->head_size, connection->input_size);
    connection->head_size = connection->searched = 0;
    connection->state = STATE_HEAD;
    return STEP_ON;
}

static enum step write_on(struct http_connection *connection)
{
    while (connection->sent < connection->output_size) {
        ssize_t count = send(connection->fd, connection->output + connection->sent,
                             connection->output_size - connection->sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return STEP_WAIT;
        if (count < 0) {
            end(connection);
            return STEP_ENDED;
        }
        connection->sent += (size_t)count;
    }
    return go_on(connection);
}

/* Does what can be done with what is there. */
static void advance(struct http_connection *connection)
{
    enum step step = STEP_ON;
    while (step == STEP_ON) {
        switch (connection->state) {
        case STATE_HEAD: step = take_head(connection); break;
        case STATE_BODY: step = take_body(connection); break;
        case STATE_WRITE: step = write_on(connection); break;
        case STATE_HELD: return;
        case STATE_LINGER: return;
        }
    }
    if (step == STEP_WAIT && connection->state != STATE_HELD && connection->state != STATE_LINGER)
        wait_for_peer(connection, connection->state == STATE_WRITE ? MAIN_WRITE : MAIN_READ);
}

/* -- Events ----------------------------------------------------------------------------------- */

/* Where the next bytes go. */
static size_t find_room(struct http_connection *connection, char **room)
{
    if (connection->state == STATE_BODY) {
        *room = connection->body + connection->body_size;
        return (size_t)connection->head.body_bytes - connection->body_size;
    }
    if (connection->state == STATE_LINGER)
        connection->input_size = 0; /* nobody reads it */
    *room = connection->input + connection->input_size;
    return sizeof(connection->input) - connection->input_size;
}

static void on_ready(void *context)
{
    struct http_connection *connection = context;
    if (connection->state == STATE_WRITE) {
        advance(connection);
        return;
    }
    char *room;
    size_t size = find_room(connection, &room);
    ssize_t count = recv(connection->fd, room, size, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        end(connection);
        return;
    }
    if (connection->state == STATE_BODY)
        connection->body_size += (size_t)count;
    else
        connection->input_size += (size_t)count;
    advance(connection);
}

/* Nobody is told that there was nothing to wait for. */
static void on_late(void *context)
{
    struct http_connection *connection = context;
    bool reading = connection->state == STATE_HEAD || connection->state == STATE_BODY;
    if (!reading || connection->request_end_ms == 0) {
        end(connection);
        return;
    }
    if (refuse(connection, 408, "the rest of the request did not come\n") != STEP_ENDED)
        advance(connection);
}

void http_connection_answer(struct http_connection *connection, const struct http_answer *answer)
{
    assert(connection->state == STATE_HELD);
    if (begin_answer(connection, answer) != STEP_ENDED)
        advance(connection);
}

struct http_connection *http_connection_new(const struct http_connection_host *host, int fd)
{
    struct http_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        close(fd);
        return NULL;
    }
    connection->host = host;
    connection->fd = fd;
    connection->watch = main_watch_new(host->loop, fd, MAIN_READ, on_ready, connection);
    connection->timer = main_timer_new(host->loop, on_late, connection);
    wait_for_peer(connection, MAIN_READ);
    return connection;
}

/* -- What a handler asks about its request ----------------------------------------------------- */

struct slice http_request_header(const struct http_request *request, const char *name)
{
    const struct http_connection *connection = request->internal;
    return http_head_field(&connection->head, slice_of(name));
}

int http_request_socket(const struct http_request *request)
{
    const struct http_connection *connection = request->internal;
    return connection->fd;
}

struct http_held *http_request_hold(const struct http_request *request)
{
    return request->internal;
}
