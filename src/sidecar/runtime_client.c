/* One command, one connection: see sidecar/runtime_client.h. */
#include "sidecar/runtime_client.h"

#include "core/memory.h"
#include "hap/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 * 1024,
    /* `show ssl crt-list` of 100,000 certificates is about 10 MB. */
    ANSWER_MAX_BYTES = 32 * 1024 * 1024,
};

struct runtime_exchange {
    struct runtime_target target; /* borrowed */
    int fd;
    struct main_watch *watch;
    struct main_timer *timer;
    char *command;
    size_t command_size;
    struct runtime_exchange *question; /* how large a command may be */
    struct main_loop *loop;
    int64_t timeout_ms;
    size_t sent;
    int connect_errno;
    char *answer;
    size_t answer_size;
    size_t answer_capacity;
    runtime_enough_fn *has_enough;
    runtime_answer_fn *on_answer;
    void *context;
};

enum error runtime_target_parse(struct slice text, struct runtime_target *target,
                                struct error_text *reason)
{
    const struct slice master = SLICE("master:");
    *target = (struct runtime_target){0};
    if (slice_starts_with(text, master)) {
        text = slice_skip(text, master.size);
        target->prefix = SLICE("@1 ");
    }
    if (text.size == 0 || text.data[0] != '/' || slice_has(text, '\0'))
        return error_set(reason, ERROR_INVALID,
                         "a Runtime API socket is \"/PATH\" or \"master:/PATH\", not \"%.*s\"",
                         SLICE_PRINT(text));
    if (text.size >= sizeof((struct sockaddr_un){0}.sun_path))
        return error_set(reason, ERROR_TOO_BIG,
                         "the socket path %.*s is too long for a unix socket", SLICE_PRINT(text));
    target->path = memory_copy_text(text);
    return ERROR_OK;
}

void runtime_target_fini(struct runtime_target *target)
{
    free(target->path);
    target->path = NULL;
}

char *runtime_target_commands(const struct runtime_target *target, const char *first,
                              const char *second)
{
    return memory_format("%.*s%s;%.*s%s\n", SLICE_PRINT(target->prefix), first,
                         SLICE_PRINT(target->prefix), second);
}

void runtime_exchange_free(struct runtime_exchange *exchange)
{
    if (exchange == NULL)
        return;
    runtime_exchange_free(exchange->question);
    main_watch_free(exchange->watch);
    main_timer_free(exchange->timer);
    if (exchange->fd >= 0)
        close(exchange->fd);
    /* A command may hold a private key. */
    memory_wipe(exchange->command, exchange->command_size);
    free(exchange->command);
    free(exchange->answer);
    free(exchange);
}

/* The exchange is gone when this returns. */
static void finish(struct runtime_exchange *exchange, enum error error, const char *reason)
{
    exchange->on_answer(exchange->context, error, reason,
                        slice_from(exchange->answer, exchange->answer_size));
    runtime_exchange_free(exchange);
}

static void finish_with_errno(struct runtime_exchange *exchange, const char *what)
{
    struct error_text text;
    error_set_errno(&text, "%s %s", what, exchange->target.path);
    finish(exchange, ERROR_SYSTEM, text.text);
}

static void on_timeout(void *context)
{
    struct runtime_exchange *exchange = context;
    finish(exchange, ERROR_TIMEOUT, "HAProxy did not answer on its Runtime API socket in time");
}

/* False when the exchange has ended. */
static bool send_rest(struct runtime_exchange *exchange)
{
    while (exchange->sent < exchange->command_size) {
        ssize_t count = send(exchange->fd, exchange->command + exchange->sent,
                             exchange->command_size - exchange->sent, MSG_NOSIGNAL);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (count < 0) {
            finish_with_errno(exchange, "cannot write to");
            return false;
        }
        exchange->sent += (size_t)count;
    }
    /* The master keeps the connection open until its peer has closed the sending side. */
    shutdown(exchange->fd, SHUT_WR);
    main_watch_set(exchange->watch, MAIN_READ);
    return true;
}

static bool make_room(struct runtime_exchange *exchange)
{
    if (exchange->answer_capacity - exchange->answer_size >= READ_BYTES)
        return true;
    if (exchange->answer_size > ANSWER_MAX_BYTES)
        return false;
    exchange->answer_capacity = exchange->answer_capacity * 2 + READ_BYTES;
    exchange->answer = memory_resize(exchange->answer, exchange->answer_capacity, 1);
    return true;
}

static void receive(struct runtime_exchange *exchange)
{
    if (!make_room(exchange)) {
        finish(exchange, ERROR_TOO_BIG, "HAProxy's answer on its Runtime API socket does not end");
        return;
    }
    ssize_t count = recv(exchange->fd, exchange->answer + exchange->answer_size, READ_BYTES, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count < 0) {
        finish_with_errno(exchange, "cannot read from");
        return;
    }
    exchange->answer_size += (size_t)count;
    struct slice answer = slice_from(exchange->answer, exchange->answer_size);
    if (count == 0 ||
        (exchange->has_enough != NULL && exchange->has_enough(exchange->context, answer)))
        finish(exchange, ERROR_OK, NULL);
}

static void on_ready(void *context)
{
    struct runtime_exchange *exchange = context;
    if (exchange->sent < exchange->command_size)
        send_rest(exchange);
    else
        receive(exchange);
}

/* Connecting failed: told from the loop, as every end is. */
static void on_connect_failed(void *context)
{
    struct runtime_exchange *exchange = context;
    errno = exchange->connect_errno;
    finish_with_errno(exchange, "cannot connect to");
}

static void begin(struct runtime_exchange *exchange)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = exchange->target.path;
    assert(strlen(path) < sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    exchange->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* A unix socket connects at once, or fails with EAGAIN when the queue is full. */
    if (exchange->fd < 0 ||
        connect(exchange->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        exchange->connect_errno = errno;
        exchange->timer = main_timer_new(exchange->loop, on_connect_failed, exchange);
        main_timer_once(exchange->timer, 0);
        return;
    }
    exchange->watch = main_watch_new(exchange->loop, exchange->fd, MAIN_WRITE, on_ready, exchange);
    exchange->timer = main_timer_new(exchange->loop, on_timeout, exchange);
    main_timer_once(exchange->timer, exchange->timeout_ms);
}

static void on_room(void *context, enum error error, const char *reason, struct slice answer)
{
    struct runtime_exchange *exchange = context;
    struct error_text text;
    size_t room = runtime_room(answer);
    exchange->question = NULL; /* ends with this call */
    if (error == ERROR_OK && answer.size == 0)
        error = error_set(&text, ERROR_CLOSED, "HAProxy has ended the connection unanswered");
    else if (error == ERROR_OK && exchange->command_size > room)
        error = runtime_room_reason(room, exchange->command_size, &text);
    else if (error != ERROR_OK)
        error_set(&text, error, "%s", reason);
    if (error == ERROR_OK)
        begin(exchange);
    else
        finish(exchange, error, text.text);
}

struct runtime_exchange *runtime_exchange_new(struct main_loop *loop,
                                              const struct runtime_target *target,
                                              struct slice command, int64_t timeout_ms,
                                              runtime_enough_fn *has_enough,
                                              runtime_answer_fn *on_answer, void *context)
{
    struct runtime_exchange *exchange = memory_new(sizeof(*exchange));
    *exchange = (struct runtime_exchange){
        .target = *target,
        .fd = -1,
        .command = memory_copy_text(command),
        .command_size = command.size,
        .loop = loop,
        .timeout_ms = timeout_ms,
        .has_enough = has_enough,
        .on_answer = on_answer,
        .context = context,
    };
    if (command.size <= RUNTIME_COMMAND_SHORT_BYTES) {
        begin(exchange);
        return exchange;
    }
    char *question = memory_format("%.*s" RUNTIME_SHOW_BUFFER "\n", SLICE_PRINT(target->prefix));
    exchange->question =
        runtime_exchange_new(loop, target, slice_of(question), timeout_ms, NULL, on_room, exchange);
    free(question);
    return exchange;
}
