/* The admin interface behind its sockets: HTTP, who may ask, which operation is asked for.
 *
 * The first byte of the input says where it is sent: 0, the unix socket; 1, the one over TCP, which
 * wants a token ("owui_AAAA...", of which a good one is in the corpus); 2, that of the metrics. The
 * rest is what a client sends before it closes its side. It is sent as a whole and, again, in two
 * pieces: the answers are the same, and whole.
 */
#include "admin/admin_server.h"
#include "admin/admin_tokens.h"
#include "admin/metrics_text.h"
#include "core/log.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DOOR_UNIX, DOOR_TCP, DOOR_METRICS, DOOR__MAX };
enum { SOURCES = 250 }; /* addresses that connections come from */
enum { ANSWERS_MAX_BYTES = 1 << 20, REQUESTS_MAX = 20000, ADDRESS_SIZE = 32 };

static struct main_loop *loop;
static char folder[] = "/tmp/owui.fuzz-XXXXXX";
static char socket_path[64], tokens_path[64];
static uint16_t ports[DOOR__MAX];

/* ---- The server ---- */

/* Tells back what was understood. */
static void on_item(void *context, const struct admin_request *request, struct admin_answer *answer)
{
    struct json *body = admin_answer_body(answer);
    char *name = admin_query_text(request->query, "name");
    (void)context;
    FUZZ_REQUIRE(request->item.size <= ADMIN_ITEM_MAX_BYTES);
    FUZZ_REQUIRE(admin_query_number(request->query, "limit", 100, 7) <= 100);
    FUZZ_REQUIRE(memchr(request->item.data, '/', request->item.size) == NULL);
    json_put_text(body, "item", request->item);
    json_put_text(body, "name", slice_of(name));
    json_put_bool(body, "may_change", request->peer.may_change);
    if (request->body != NULL)
        json_put(body, "body", json_clone(request->body));
    snprintf(answer->etag, sizeof(answer->etag), "\"%08zx\"", request->if_match.size);
    free(name);
}

static void on_metrics(void *context, const struct admin_request *request,
                       struct admin_answer *answer)
{
    struct metrics_text text;
    (void)context;
    metrics_begin(&text, request, answer);
    metrics_family(&text, METRICS_COUNTER, "owui_spoa_item", "What was asked for.");
    metrics_count(&text, 1, METRICS_LABELS({"query", request->query}));
    metrics_end(&text, answer);
}

static const struct admin_operation OPERATIONS[] = {
    {"GET", "/v1/items", on_item, "all", "name limit=N"},
    {"GET", "/v1/items/{}", on_item, "one", ""},
    {"PUT", "/v1/items/{}", on_item, "set one", ""},
    {"POST", "/v1/items/{}/renew", on_item, "renew one", ""},
    {"GET", "/metrics", on_metrics, "numbers", "a"},
    {0},
};

static void remove_files(void)
{
    unlink(socket_path);
    unlink(tokens_path);
    rmdir(folder);
}

/* A token that everybody knows: "owui_" and 43 times "A". */
static void write_tokens(void)
{
    static const char TOKENS[] =
        "{\"tokens\": {\"fuzz\": {\"role\": \"read\", \"sha256\": "
        "\"0d78ebf2e49a64ba8663fdc239b065b037d7cc9f4b777ed9bac7aadbd9c9a381\", "
        "\"made\": \"2026-01-31T08:00:00Z\"}}}";
    snprintf(tokens_path, sizeof(tokens_path), "%s/tokens.json", folder);
    FILE *file = fopen(tokens_path, "w");
    FUZZ_REQUIRE(file != NULL && fchmod(fileno(file), 0600) == 0);
    FUZZ_REQUIRE(fputs(TOKENS, file) >= 0 && fclose(file) == 0);
}

/* "127.0.0.1:PORT", of a port that is free. */
static const char *free_address(uint16_t *port, char text[static ADDRESS_SIZE])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    FUZZ_REQUIRE(bind(fd, (struct sockaddr *)&address, size) == 0);
    FUZZ_REQUIRE(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    close(fd);
    *port = ntohs(address.sin_port);
    snprintf(text, ADDRESS_SIZE, "127.0.0.1:%u", *port);
    return text;
}

/* For the process's life. */
static void start_server(void)
{
    struct error_text why;
    char tcp[ADDRESS_SIZE], metrics[ADDRESS_SIZE];
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    FUZZ_REQUIRE(mkdtemp(folder) != NULL && atexit(remove_files) == 0);
    snprintf(socket_path, sizeof(socket_path), "%s/admin.sock", folder);
    write_tokens();
    loop = main_loop_new(&why);
    struct admin_server *server = admin_server_new(loop, socket_path, &why);
    const struct admin_tcp_settings settings = {.listen = free_address(&ports[DOOR_TCP], tcp),
                                                .tokens_file = tokens_path,
                                                .requests_per_minute = 1000000000};
    free_address(&ports[DOOR_METRICS], metrics);
    FUZZ_REQUIRE(server != NULL && admin_server_open_tcp(server, &settings, &why) == ERROR_OK);
    FUZZ_REQUIRE(admin_server_open_metrics(server, metrics, "/metrics", &why) == ERROR_OK);
    admin_server_add(server, OPERATIONS, NULL);
}

/* ---- The client ---- */

struct client {
    int fd;
    char answers[ANSWERS_MAX_BYTES];
    size_t size;
};

/* From another address of this machine each time: the ports of one are soon all resting, as they do
 * for a minute after a connection. One that has none left, which happens beside whatever else opens
 * many, is passed over, and so is one whose handshake libFuzzer's clock (SIGALRM) has interrupted.
 */
static int connect_over_tcp(unsigned door)
{
    static uint32_t last;
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ports[door])};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned tries = 0; tries < SOURCES; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + last++ % SOURCES);
        if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
            connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
            return fd;
        FUZZ_REQUIRE(errno == EADDRINUSE || errno == EADDRNOTAVAIL || errno == EINTR);
        close(fd);
    }
    return -1;
}

static int connect_to(unsigned door)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (door != DOOR_UNIX)
        return connect_over_tcp(door);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, socket_path, sizeof(socket_path));
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

static void stop_loop(void *context)
{
    (void)context;
    main_loop_stop(loop);
}

static void on_answer(void *context)
{
    struct client *client = context;
    size_t room = sizeof(client->answers) - client->size;
    ssize_t count = recv(client->fd, client->answers + client->size, room, MSG_DONTWAIT);
    if (count > 0)
        client->size += (size_t)count;
    else
        main_loop_stop(loop);
}

static void send_all(int fd, struct slice bytes)
{
    ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    FUZZ_REQUIRE(bytes.size == 0 || sent < 0 || (size_t)sent == bytes.size);
}

/* All that comes back until the server ends the connection. */
static struct slice ask(struct client *client, unsigned door, struct slice bytes, size_t first)
{
    client->size = 0;
    client->fd = connect_to(door);
    FUZZ_REQUIRE(client->fd >= 0);
    struct main_watch *watch = main_watch_new(loop, client->fd, MAIN_READ, on_answer, client);
    if (first > 0) {
        struct main_waker *pause = main_waker_new(loop, stop_loop, NULL);
        send_all(client->fd, slice_head(bytes, first));
        for (unsigned turns = 0; turns < 3; turns++) { /* accepted, read, answered */
            main_waker_wake(pause);
            main_loop_run(loop);
        }
        main_waker_free(pause);
    }
    send_all(client->fd, slice_skip(bytes, first));
    shutdown(client->fd, SHUT_WR);
    main_loop_run(loop);
    main_watch_free(watch);
    close(client->fd);
    return slice_from(client->answers, client->size);
}

/* ---- The answers ---- */

/* Takes an answer off; false at the end, or where it is to a HEAD. */
static bool take_answer(struct slice *answers)
{
    static const char LENGTH[] = "Content-Length: ";
    if (answers->size == 0)
        return false;
    FUZZ_REQUIRE(slice_starts_with(*answers, SLICE("HTTP/1.1 ")));
    struct slice head = input_take(answers, SLICE("\r\n\r\n"));
    (void)input_take(&head, slice_of(LENGTH));
    FUZZ_REQUIRE(head.size > 0);
    size_t body = strtoul(head.data, NULL, 10);
    if (body > answers->size)
        return false;
    *answers = slice_skip(*answers, body);
    return true;
}

/* Takes out of the answers each `size` bytes that begin so. */
static void drop_each(struct slice *answers, struct slice words, size_t size)
{
    char *from = (char *)(uintptr_t)answers->data, *end = from + answers->size;
    while ((from = memmem(from, (size_t)(end - from), words.data, words.size)) != NULL) {
        FUZZ_REQUIRE((size_t)(end - from) >= size);
        memmove(from, from + size, (size_t)(end - from) - size);
        end -= size;
    }
    answers->size = (size_t)(end - answers->data);
}

/* Without what depends on the time, and on whether a body had begun to come. */
static struct slice comparable(struct slice answers)
{
    static const struct slice GO_ON = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    drop_each(&answers, SLICE("\r\nDate: "), sizeof("\r\nDate: Thu, 26 Nov 2026 12:00:00 GMT") - 1);
    drop_each(&answers, GO_ON, GO_ON.size);
    return answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct client clients[2];
    if (size < 2 || size > REQUESTS_MAX)
        return 0;
    if (loop == NULL)
        start_server();
    unsigned door = data[0] % DOOR__MAX;
    struct slice bytes = slice_from(data + 1, size - 1);
    struct slice whole = comparable(ask(&clients[0], door, bytes, 0));
    struct slice pieces = comparable(ask(&clients[1], door, bytes, bytes.size / 2));
    FUZZ_REQUIRE(slice_equal(whole, pieces));
    bool is_head = memmem(bytes.data, bytes.size, "HEAD ", 5) != NULL;
    while (!is_head && take_answer(&whole))
        continue;
    return 0;
}
