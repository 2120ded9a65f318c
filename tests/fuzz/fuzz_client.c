/* What a server answers over HTTP: a CA, an upstream that is looked at, HAProxy itself.
 *
 * The input is all that it sends before it ends the connection, behind a byte: 1, it was asked for
 * a WebSocket; 2, with an origin and a token. Whatever comes, the request ends, once, and headers
 * that are told are those of lines.
 */
#include "fuzz/fuzz.h"
#include "http/http_client.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AS_WEBSOCKET = 1, AS_PAGE = 2, BODY_MAX_BYTES = 8192 };

static struct main_loop *loop;
static struct http_client *client;
static struct slice answer;
static char address_text[32];
static unsigned answers_told;

/* ---- The server ---- */

static int listener;
static int connection = -1;
static struct main_watch *asked;

/* Reads before it answers: to close a socket with unread bytes is to reset it. */
static void on_asked(void *context)
{
    char request[4096];
    ssize_t size = recv(connection, request, sizeof(request), 0);
    (void)context;
    if (size > 0) {
        (void)send(connection, answer.data, answer.size, MSG_NOSIGNAL);
        shutdown(connection, SHUT_WR);
        main_watch_set(asked, 0);
    }
}

static void on_connect(void *context)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    (void)context;
    if (fd < 0)
        return;
    main_watch_free(asked);
    if (connection >= 0)
        close(connection);
    connection = fd;
    asked = main_watch_new(loop, fd, MAIN_READ, on_asked, NULL);
}

static void start(void)
{
    static const struct http_client_settings SETTINGS = {.answer_max_bytes = BODY_MAX_BYTES};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    struct error_text why;
    loop = main_loop_new(&why);
    client = http_client_new(loop, &SETTINGS, &why);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    FUZZ_REQUIRE(client != NULL && bind(listener, (struct sockaddr *)&address, size) == 0);
    FUZZ_REQUIRE(listen(listener, 16) == 0);
    FUZZ_REQUIRE(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    snprintf(address_text, sizeof(address_text), "127.0.0.1:%u", ntohs(address.sin_port));
    FUZZ_REQUIRE(main_watch_new(loop, listener, MAIN_READ, on_connect, NULL) != NULL);
}

/* ---- The client ---- */

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (((uint8_t)text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
            return false;
    return true;
}

static void on_probed(void *context, const struct http_probe_answer *told)
{
    (void)context;
    if (told->result == HTTP_PROBE_ANSWERED) {
        FUZZ_REQUIRE(told->status >= 0 && told->status <= 999);
        FUZZ_REQUIRE(told->body.size <= BODY_MAX_BYTES);
        FUZZ_REQUIRE(is_plain(told->location) && is_plain(told->refused));
        FUZZ_REQUIRE(is_plain(told->allow_origin));
    } else {
        FUZZ_REQUIRE(told->failure != NULL && told->failure[0] != '\0');
    }
    answers_told++;
    main_loop_stop(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 32768)
        return 0;
    if (client == NULL)
        start();
    answer = slice_from(data + 1, size - 1);
    answers_told = 0;
    const struct http_probe probe = {.host = "a.test",
                                     .connect_to = address_text,
                                     .path = "/ws",
                                     .websocket_origin =
                                         (data[0] & AS_WEBSOCKET) != 0 ? "https://a.test" : NULL,
                                     .origin = (data[0] & AS_PAGE) != 0 ? "https://a.test" : NULL,
                                     .bearer = (data[0] & AS_PAGE) != 0 ? "token" : NULL};
    FUZZ_REQUIRE(http_client_probe(client, &probe, on_probed, NULL) != NULL);
    main_loop_run(loop);
    FUZZ_REQUIRE(answers_told == 1);
    return 0;
}
