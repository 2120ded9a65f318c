/* http: those who take their time. */
#include "core/memory.h"
#include "http/http_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct main_loop *loop;
    struct main_timer *drip;
    struct http_server *server;
    int client;
    unsigned sent;
    unsigned requests;
    char answer[4096];
    size_t answer_size;
};

static void on_request(void *context, const struct http_request *request,
                       struct http_answer *answer)
{
    struct fixture *fixture = context;
    (void)request;
    fixture->requests++;
    answer->status = 200;
    answer->body = SLICE("here\n");
}

static int listen_somewhere(struct sockaddr_in *address)
{
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert(bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
    cr_assert(listen(fd, 16) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)address, &size) == 0);
    return fd;
}

static void setup(struct fixture *fixture, int64_t request_max_ms)
{
    struct sockaddr_in address;
    *fixture = (struct fixture){.loop = main_loop_new(NULL)};
    const struct http_server_options options = {
        .request_max_ms = request_max_ms, .on_request = on_request, .context = fixture};
    int fd = listen_somewhere(&address);
    fixture->server = http_server_new(fixture->loop, fd, &options);
    fixture->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(fixture->client, (const struct sockaddr *)&address, sizeof(address)) == 0);
    fcntl(fixture->client, F_SETFL, O_NONBLOCK);
}

static void teardown(struct fixture *fixture)
{
    main_timer_free(fixture->drip);
    close(fixture->client);
    http_server_free(fixture->server);
    main_loop_free(fixture->loop);
}

/* True when the server has closed the connection. */
static bool read_answer(struct fixture *fixture)
{
    char *end = fixture->answer + fixture->answer_size;
    ssize_t got = recv(fixture->client, end, sizeof(fixture->answer) - 1 - fixture->answer_size,
                       MSG_DONTWAIT);
    if (got > 0)
        fixture->answer_size += (size_t)got;
    return got == 0;
}

/* One byte after the other of a header that never ends: the connection is never idle. */
static void on_drip(void *context)
{
    struct fixture *fixture = context;
    static const char START[] = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ";
    char c = fixture->sent < sizeof(START) - 1 ? START[fixture->sent] : 'x';
    bool failed = send(fixture->client, &c, 1, MSG_NOSIGNAL) != 1;
    fixture->sent++;
    if (failed || read_answer(fixture))
        main_loop_stop(fixture->loop);
}

Test(http, a_request_that_never_ends_is_ended, .timeout = 60)
{
    struct fixture fixture;
    setup(&fixture, 300);
    fixture.drip = main_timer_new(fixture.loop, on_drip, &fixture);
    main_timer_every(fixture.drip, 5);
    main_loop_run(fixture.loop);
    cr_expect(fixture.requests == 0);
    teardown(&fixture);
}

static void on_look(void *context)
{
    struct fixture *fixture = context;
    if (read_answer(fixture) || strstr(fixture->answer, "here\n") != NULL)
        main_loop_stop(fixture->loop);
}

Test(http, a_request_that_is_whole_is_answered, .timeout = 60)
{
    static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct fixture fixture;
    setup(&fixture, 0);
    cr_assert(send(fixture.client, REQUEST, sizeof(REQUEST) - 1, 0) == sizeof(REQUEST) - 1);
    fixture.drip = main_timer_new(fixture.loop, on_look, &fixture);
    main_timer_every(fixture.drip, 5);
    main_loop_run(fixture.loop);
    cr_expect(fixture.requests == 1 && strstr(fixture.answer, "200 OK") != NULL);
    teardown(&fixture);
}
