/* sidecar/challenges: the server over real sockets, asked by a client in another thread. */
#include "core/memory.h"
#include "loopback_listener.h"
#include "sidecar/challenges.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "/.well-known/acme-challenge/"

struct fixture {
    struct main_loop *loop;
    struct main_waker *done;
    struct challenges *challenges;
    struct challenge_server *server;
    uint16_t port;
    const char *request; /* what the client sends */
    char answer[4096];
};

static void setup(struct fixture *fixture, const char *webroot)
{
    struct error_text why;
    *fixture = (struct fixture){0};
    fixture->loop = main_loop_new(&why);
    fixture->challenges = challenges_new();
    fixture->server = challenge_server_new(fixture->challenges, webroot, &why);
    cr_assert(fixture->server != NULL, "%s", why.text);
    challenge_server_listen(fixture->server, fixture->loop, listen_on_loopback(&fixture->port));
}

static void teardown(struct fixture *fixture)
{
    challenge_server_free(fixture->server);
    challenges_free(fixture->challenges);
    main_loop_free(fixture->loop);
}

static void *client_thread(void *context)
{
    struct fixture *fixture = context;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t used = 0;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        send(fd, fixture->request, strlen(fixture->request), MSG_NOSIGNAL) > 0) {
        ssize_t count;
        while (used < sizeof(fixture->answer) - 1 &&
               (count = recv(fd, fixture->answer + used, sizeof(fixture->answer) - 1 - used, 0)) >
                   0)
            used += (size_t)count;
    }
    fixture->answer[used] = '\0';
    close(fd);
    main_waker_wake(fixture->done);
    return NULL;
}

static void stop_loop(void *context)
{
    main_loop_stop(context);
}

/* Sends a request and returns the whole answer. */
static const char *ask(struct fixture *fixture, const char *request)
{
    pthread_t thread;
    fixture->request = request;
    fixture->done = main_waker_new(fixture->loop, stop_loop, fixture->loop);
    pthread_create(&thread, NULL, client_thread, fixture);
    main_loop_run(fixture->loop);
    pthread_join(thread, NULL);
    main_waker_free(fixture->done);
    return fixture->answer;
}

#define GET(PATH) "GET " PATH " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

Test(challenge_server, answers_a_challenge_that_is_out_and_nothing_else)
{
    struct fixture fixture;
    setup(&fixture, NULL);
    cr_assert(challenges_set(fixture.challenges, SLICE("to_ken-1"), SLICE("to_ken-1.thumb")) ==
              ERROR_OK);

    const char *answer = ask(&fixture, GET(PREFIX "to_ken-1"));
    cr_assert(strncmp(answer, "HTTP/1.1 200", 12) == 0, "%s", answer);
    cr_assert(eq(str, strstr(answer, "\r\n\r\n") + 4, "to_ken-1.thumb"));

    const char *refused[] = {
        GET(PREFIX "to_ken-2"),
        GET(PREFIX),
        GET(PREFIX "to%5Fken-1"),
        GET("/"),
        GET(PREFIX "../"
                   "acme-challenge/to_ken-1"),
        GET("//.well-known/acme-challenge/to_ken-1"),
    };
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        answer = ask(&fixture, refused[i]);
        cr_expect(strncmp(answer, "HTTP/1.1 404", 12) == 0, "%s -> %s", refused[i], answer);
    }

    challenges_unset(fixture.challenges, SLICE("to_ken-1"));
    cr_assert(strncmp(ask(&fixture, GET(PREFIX "to_ken-1")), "HTTP/1.1 404", 12) == 0);
    teardown(&fixture);
}

Test(challenge_server, head_get_query_and_post)
{
    struct fixture fixture;
    setup(&fixture, NULL);
    cr_assert(challenges_set(fixture.challenges, SLICE("t"), SLICE("t.thumb")) == ERROR_OK);

    const char *answer =
        ask(&fixture, "HEAD " PREFIX "t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    cr_assert(strncmp(answer, "HTTP/1.1 200", 12) == 0, "%s", answer);
    cr_assert(eq(str, strstr(answer, "\r\n\r\n") + 4, ""));
    cr_assert(strncmp(ask(&fixture, GET(PREFIX "t?x=1")), "HTTP/1.1 200", 12) == 0);
    answer = ask(&fixture, "POST " PREFIX "t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           "Content-Length: 3\r\n\r\nabc");
    cr_assert(strncmp(answer, "HTTP/1.1 413", 12) == 0, "%s", answer);
    answer = ask(&fixture, "DELETE " PREFIX "t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    cr_assert(strncmp(answer, "HTTP/1.1 405", 12) == 0, "%s", answer);
    teardown(&fixture);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

Test(challenge_server, serves_a_webroot_beside_its_own_and_follows_no_link)
{
    char root[] = "/tmp/owui-webroot-XXXXXX";
    cr_assert(mkdtemp(root) != NULL);
    char *folder = memory_format("%s/.well-known", root);
    char *challenge_folder = memory_format("%s/acme-challenge", folder);
    char *file = memory_format("%s/certbot-token", challenge_folder);
    char *link = memory_format("%s/link", challenge_folder);
    cr_assert(mkdir(folder, 0700) == 0 && mkdir(challenge_folder, 0700) == 0);
    write_file(file, "certbot-token.other");
    cr_assert(symlink("/etc/passwd", link) == 0);
    char *pipe_path = memory_format("%s/pipe", challenge_folder);
    char *inner = memory_format("%s/folder", challenge_folder);
    char *page = memory_format("%s/a.html", challenge_folder);
    cr_assert(mkfifo(pipe_path, 0600) == 0 && mkdir(inner, 0700) == 0);
    write_file(page, "no token");

    struct fixture fixture;
    setup(&fixture, root);
    const char *answer = ask(&fixture, GET(PREFIX "certbot-token"));
    cr_expect(eq(str, strstr(answer, "\r\n\r\n") + 4, "certbot-token.other"));
    static const char *const NOT_SERVED[] = {
        GET(PREFIX "link"),
        GET(PREFIX "pipe"),
        GET(PREFIX "folder"),
        /* What is a file there, by names that are no tokens. */
        GET(PREFIX "../acme-challenge/certbot-token"),
        GET(PREFIX "./certbot-token"),
        GET(PREFIX "/certbot-token"),
        GET(PREFIX "a.html"),
    };
    for (size_t i = 0; i < COUNT_OF(NOT_SERVED); i++) {
        answer = ask(&fixture, NOT_SERVED[i]);
        cr_expect(strncmp(answer, "HTTP/1.1 404", 12) == 0, "%s -> %s", NOT_SERVED[i], answer);
    }
    char *request = memory_format("GET " PREFIX "%0*d HTTP/1.1\r\nHost: x\r\n"
                                  "Connection: close\r\n\r\n",
                                  CHALLENGE_TOKEN_MAX_BYTES + 1, 0);
    cr_expect(strncmp(ask(&fixture, request), "HTTP/1.1 404", 12) == 0);
    free(request);
    teardown(&fixture);

    rmdir(inner);
    unlink(pipe_path);
    unlink(page);
    free(inner);
    free(pipe_path);
    free(page);
    unlink(link);
    unlink(file);
    rmdir(challenge_folder);
    rmdir(folder);
    rmdir(root);
    free(folder);
    free(challenge_folder);
    free(file);
    free(link);
}

Test(challenges, tokens_are_base64url)
{
    const char *bad[] = {"", "a/b", "..", "a b", "a%41", "a+b", "a=", "\xc3\xa9"};
    struct challenges *challenges = challenges_new();
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect(challenges_set(challenges, slice_of(bad[i]), SLICE("x")) == ERROR_INVALID);
    char *longest = memory_format("%0*d", CHALLENGE_TOKEN_MAX_BYTES + 1, 0);
    char *answer = memory_format("%0*d", CHALLENGE_ANSWER_MAX_BYTES + 1, 0);
    struct slice token = slice_head(slice_of(longest), CHALLENGE_TOKEN_MAX_BYTES);
    struct slice text = slice_head(slice_of(answer), CHALLENGE_ANSWER_MAX_BYTES);
    cr_expect(challenges_set(challenges, slice_of(longest), text) == ERROR_INVALID);
    cr_expect(challenges_set(challenges, token, slice_of(answer)) == ERROR_INVALID);
    cr_expect(challenges_set(challenges, token, text) == ERROR_OK);
    challenges_unset(challenges, token);
    free(longest);
    free(answer);
    cr_assert(challenges_set(challenges, SLICE("a"), SLICE("1")) == ERROR_OK);
    cr_assert(challenges_set(challenges, SLICE("b"), SLICE("2")) == ERROR_OK);
    cr_assert(challenges_set(challenges, SLICE("a"), SLICE("3")) == ERROR_OK);
    cr_assert(challenges_count(challenges) == 2);
    cr_assert(slice_equal(challenges_find(challenges, SLICE("a")), SLICE("3")));
    challenges_unset(challenges, SLICE("a"));
    challenges_unset(challenges, SLICE("a"));
    cr_assert(challenges_count(challenges) == 1);
    cr_assert(slice_equal(challenges_find(challenges, SLICE("b")), SLICE("2")));
    challenges_free(challenges);
}
