/* http/http_server: over real sockets, asked by a client in another thread. */
#include "http/http_server.h"

#include "core/memory.h"
#include "loopback_listener.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BODY_MAX_BYTES = 64 * 1024, BIG_BYTES = 4 * 1024 * 1024 };

struct fixture {
    struct main_loop *loop;
    struct main_waker *done;
    struct main_timer *later;
    struct http_server *server;
    struct http_held *held;
    uint16_t port;
    unsigned handled;
    /* The client's: what it sends, in pieces of `piece` bytes, and all that it gets. */
    struct slice request;
    size_t piece;
    unsigned pause_us; /* before each */
    char *answer;
    size_t answer_size;
};

/* GET /big, /late; everything else is told back. */
static void on_request(void *context, const struct http_request *request,
                       struct http_answer *answer)
{
    struct fixture *fixture = context;
    fixture->handled++;
    answer->status = 200;
    if (slice_equal(request->path, SLICE("/big"))) {
        char *body = memory_new(BIG_BYTES);
        memset(body, 'b', BIG_BYTES);
        answer->body = slice_from(body, BIG_BYTES);
        answer->body_owned = true;
        return;
    }
    if (slice_equal(request->path, SLICE("/late"))) {
        answer->held = true;
        fixture->held = http_request_hold(request);
        main_timer_once(fixture->later, 1);
        return;
    }
    struct slice note = http_request_header(request, "X-Note");
    char *body = memory_format("%.*s %.*s %.*s [%.*s] %.*s", SLICE_PRINT(request->method),
                               SLICE_PRINT(request->path), SLICE_PRINT(request->query),
                               SLICE_PRINT(note), SLICE_PRINT(request->body));
    answer->body = slice_of(body);
    answer->body_owned = true;
    answer->headers[0].name = "X-Answer";
    answer->headers[0].value = "yes";
}

static void on_later(void *context)
{
    struct fixture *fixture = context;
    const struct http_answer answer = {.status = 202, .body = SLICE("late")};
    http_server_answer(fixture->held, &answer);
}

static void *client_thread(void *context)
{
    struct fixture *fixture = context;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t sent = 0, room = BIG_BYTES + 4096;
    ssize_t count = connect(fd, (struct sockaddr *)&address, sizeof(address));
    while (count >= 0 && sent < fixture->request.size) {
        size_t size = size_min(fixture->piece, fixture->request.size - sent);
        usleep(fixture->pause_us);
        count = send(fd, fixture->request.data + sent, size, MSG_NOSIGNAL);
        sent += count > 0 ? (size_t)count : 0;
    }
    fixture->answer = memory_new(room + 1);
    while (fixture->answer_size < room && (count = recv(fd, fixture->answer + fixture->answer_size,
                                                        room - fixture->answer_size, 0)) > 0)
        fixture->answer_size += (size_t)count;
    close(fd);
    main_waker_wake(fixture->done);
    return NULL;
}

static void stop_loop(void *context)
{
    main_loop_stop(context);
}

/* What comes back for the bytes until the server ends the connection, without the lines that are
 * always there: dates differ. Freed by the caller. */
static char *ask_slowly(int64_t idle_ms, int64_t request_max_ms, struct slice request, size_t piece,
                        unsigned pause_us, unsigned *handled)
{
    struct error_text why;
    struct fixture fixture = {.request = request, .piece = piece, .pause_us = pause_us};
    const struct http_server_options options = {.body_max_bytes = BODY_MAX_BYTES,
                                                .idle_ms = idle_ms,
                                                .request_max_ms = request_max_ms,
                                                .on_request = on_request,
                                                .context = &fixture};
    pthread_t client;
    fixture.loop = main_loop_new(&why);
    fixture.done = main_waker_new(fixture.loop, stop_loop, fixture.loop);
    fixture.later = main_timer_new(fixture.loop, on_later, &fixture);
    fixture.server = http_server_new(fixture.loop, listen_on_loopback(&fixture.port), &options);
    cr_assert(pthread_create(&client, NULL, client_thread, &fixture) == 0);
    main_loop_run(fixture.loop);
    pthread_join(client, NULL);
    http_server_free(fixture.server);
    main_timer_free(fixture.later);
    main_waker_free(fixture.done);
    main_loop_free(fixture.loop);
    char *date;
    while ((date = strstr(fixture.answer, "Date: ")) != NULL) {
        char *behind = strstr(date, "\r\n");
        cr_assert(behind == date + strlen("Date: Thu, 01 Jan 1970 00:00:00 GMT"), "%s", date);
        memmove(date, behind + 2, strlen(behind + 2) + 1);
    }
    *handled = fixture.handled;
    return fixture.answer;
}

static char *ask_with(int64_t idle_ms, struct slice request, size_t piece, unsigned *handled)
{
    return ask_slowly(idle_ms, 0, request, piece, 0, handled);
}

static void expect(const char *request, unsigned handled_wanted, const char *wanted)
{
    const struct slice bytes = slice_of(request);
    for (size_t piece = bytes.size; piece > 0; piece = piece == 1 ? 0 : piece > 7 ? 7 : 1) {
        unsigned handled;
        char *answer = ask_with(0, bytes, piece, &handled);
        cr_expect(strcmp(answer, wanted) == 0, "%s\nin pieces of %zu ->\n%s", request, piece,
                  answer);
        cr_expect(handled == handled_wanted, "%s: %u handled", request, handled);
        free(answer);
    }
}

#define H     "Host: x\r\n"
#define CLOSE "Connection: close\r\n"
#define TEXT  "Content-Type: text/plain; charset=utf-8\r\n"

Test(http_server, one_request_after_the_other)
{
    expect("GET /a?b HTTP/1.1\r\n" H "x-note: c\r\n\r\n\r\n"
           "POST /d HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbodyGET /e HTTP/1.0\r\n\r\n",
           3,
           "HTTP/1.1 200 OK\r\n" TEXT "X-Answer: yes\r\nContent-Length: 13\r\n\r\nGET /a b [c] "
           "HTTP/1.1 200 OK\r\n" TEXT "X-Answer: yes\r\nContent-Length: 16\r\n\r\nPOST /d  [] body"
           "HTTP/1.1 200 OK\r\n" CLOSE TEXT
           "X-Answer: yes\r\nContent-Length: 11\r\n\r\nGET /e  [] ");
}

Test(http_server, head_gets_no_body)
{
    expect("HEAD /a HTTP/1.1\r\n" H CLOSE "\r\n", 1,
           "HTTP/1.1 200 OK\r\n" CLOSE TEXT "X-Answer: yes\r\nContent-Length: 12\r\n\r\n");
}

Test(http_server, an_answer_may_be_put_off)
{
    expect("GET /late HTTP/1.1\r\n" H "\r\nGET /a HTTP/1.1\r\n" H CLOSE "\r\n", 2,
           "HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\nlate"
           "HTTP/1.1 200 OK\r\n" CLOSE TEXT "X-Answer: yes\r\nContent-Length: 11\r\n\r\n"
           "GET /a  [] ");
}

Test(http_server, what_is_wrong_ends_the_connection)
{
    expect("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 0,
           "HTTP/1.1 400 Bad Request\r\n" CLOSE TEXT "Content-Length: 31\r\n\r\n"
           "this request is not understood\n");
}

/* The answer gets there although most of the body was never read. */
Test(http_server, a_body_that_is_too_large_is_refused)
{
    const char *head = "PUT / HTTP/1.1\r\n" H "Content-Length: 4194304\r\n\r\n";
    size_t size = strlen(head) + BIG_BYTES;
    char *request = memory_new(size);
    unsigned handled;
    memcpy(request, head, strlen(head));
    char *answer = ask_with(0, slice_from(request, size), size, &handled);
    cr_assert(strncmp(answer, "HTTP/1.1 413 ", 13) == 0, "%s", answer);
    cr_assert(handled == 0);
    free(answer);
    free(request);
}

Test(http_server, a_head_that_is_too_large_is_refused)
{
    size_t size = 20000;
    char *request = memory_new(size);
    unsigned handled;
    memset(request, 'a', size);
    char *answer = ask_with(0, slice_from(request, size), size, &handled);
    cr_assert(strncmp(answer, "HTTP/1.1 431 ", 13) == 0, "%s", answer);
    free(answer);
    free(request);
}

static int64_t spent_ms(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * 1000 + spent.tv_nsec / 1000000;
}

static void check_waits(int listen_fd)
{
    enum { LOOKED_MS = 400 };
    struct error_text why;
    struct fixture fixture = {.loop = main_loop_new(&why)};
    const struct http_server_options options = {.on_request = on_request, .context = &fixture};
    fixture.server = http_server_new(fixture.loop, listen_fd, &options);
    fixture.later = main_timer_new(fixture.loop, stop_loop, fixture.loop);
    main_timer_once(fixture.later, LOOKED_MS);
    int64_t before_ms = spent_ms();
    main_loop_run(fixture.loop);
    cr_expect(spent_ms() - before_ms < LOOKED_MS / 2);
    http_server_free(fixture.server);
    main_timer_free(fixture.later);
    main_loop_free(fixture.loop);
}

/* "ss -K" does it, and whoever holds a copy of the descriptor: all else in this thread goes on. */
Test(http_server, a_socket_that_was_shut_down_is_waited_for, .timeout = 60)
{
    const struct sockaddr_un anywhere = {.sun_family = AF_UNIX};
    uint16_t port;
    int fds[] = {listen_on_loopback(&port), socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    cr_assert(bind(fds[1], (const struct sockaddr *)&anywhere, sizeof(sa_family_t)) == 0);
    cr_assert(listen(fds[1], 1) == 0);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        cr_assert(shutdown(fds[i], SHUT_RDWR) == 0);
        check_waits(fds[i]);
    }
}

Test(http_server, a_large_answer_is_sent_whole)
{
    unsigned handled;
    char *answer = ask_with(0, SLICE("GET /big HTTP/1.1\r\n" H CLOSE "\r\n"), 1000, &handled);
    const char *body = strstr(answer, "\r\n\r\n");
    cr_assert(body != NULL && strspn(body + 4, "b") == BIG_BYTES);
    free(answer);
}

Test(http_server, who_wants_to_be_told_to_go_on_is)
{
    unsigned handled;
    const struct slice request = SLICE("PUT /a HTTP/1.1\r\n" H CLOSE
                                       "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nbody");
    char *answer = ask_with(0, request, request.size - 4, &handled);
    const char *final = strstr(answer, "HTTP/1.1 200 OK\r\n");
    cr_assert(final != NULL && strstr(final, "PUT /a  [] body") != NULL, "%s", answer);
    free(answer);
}

Test(http_server, who_does_not_go_on_is_told_and_who_says_nothing_is_not)
{
    unsigned handled;
    const struct slice begun[] = {SLICE("GET / HT"),
                                  SLICE("PUT / HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbo")};
    for (size_t i = 0; i < COUNT_OF(begun); i++) {
        char *answer = ask_with(1000, begun[i], 100, &handled);
        cr_expect(strncmp(answer, "HTTP/1.1 408 ", 13) == 0, "%s", answer);
        cr_expect(handled == 0);
        free(answer);
    }
    char *answer = ask_with(50, (struct slice){0}, 1, &handled);
    cr_expect(answer[0] == '\0', "%s", answer);
    free(answer);
}

/* A byte now and then is no idleness. */
Test(http_server, a_request_has_a_time_in_which_to_come)
{
    enum { REQUEST_MAX_MS = 300, PAUSE_US = 20 * 1000 };
    unsigned handled;
    char *answer = ask_slowly(0, REQUEST_MAX_MS,
                              SLICE("PUT /a HTTP/1.1\r\n" H "Content-Length: 50\r\n\r\n"
                                    "01234567890123456789012345678901234567890123456789"),
                              1, PAUSE_US, &handled);
    cr_expect(strncmp(answer, "HTTP/1.1 408 ", 13) == 0, "%s", answer);
    cr_expect(zero(uint, handled));
    free(answer);
}
