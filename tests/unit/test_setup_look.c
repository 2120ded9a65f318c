/* app/setup: whether what it has set up works. */
#include "core/memory.h"

#include "loopback_listener.h"
#include "printed.h"
#include "setup.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_LINES "Content-Length: 0\r\nConnection: close\r\n\r\n"
#define REDIRECT                          \
    "HTTP/1.1 308 Permanent Redirect\r\n" \
    "Location: https://chat.example.test/\r\n" LAST_LINES

/* Whether what comes in begins so; all of it is read. */
static bool reads(int client, const char *begin)
{
    char request[4096] = "";
    size_t size = 0;
    ssize_t count;
    while (strstr(request, "\r\n\r\n") == NULL &&
           (count = read(client, request + size, sizeof(request) - 1 - size)) > 0)
        size += (size_t)count;
    return size > 0 && strncmp(request, begin, strlen(begin)) == 0;
}

/* What the frontend for http answers to what begins so, at one port, until it is ended. */
static pid_t answer_at(int fd, const char *begin, const char *answer)
{
    pid_t pid = fork();
    while (pid == 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, -1) != 1)
            continue;
        int client = accept(fd, NULL, NULL);
        if (reads(client, begin))
            (void)!write(client, answer, strlen(answer));
        close(client);
    }
    close(fd);
    return pid;
}

static char *new_bind(uint16_t port)
{
    return memory_format("127.0.0.1:%u", port);
}

/* The port of nobody. */
static char *new_dead_bind(void)
{
    uint16_t port;
    close(listen_on_loopback(&port));
    return new_bind(port);
}

/* For a tenant with HTTPS or without, with what is printed, for free(). */
static bool look_for(bool https, const struct hap_config *haproxy,
                     bool (*run)(const struct setup_plan *plan), char **told)
{
    struct settings settings = {0};
    struct configuration configuration = {.haproxy = *haproxy, .settings = &settings};
    struct setup_tenant tenant = {
        .name = "chat", .host = "chat.example.test", .upstream = "http://ai", .https = https};
    const struct setup_plan plan = {
        .tenants = &tenant, .tenant_count = 1, .whole = {.configuration = &configuration}};
    configuration.admin_socket = memory_copy_text(SLICE("/nowhere/admin.sock"));
    struct printed printed = printed_from_here();
    bool good = run(&plan);
    *told = printed_till_here(&printed);
    free(configuration.admin_socket);
    return good;
}

static bool look(const struct hap_config *haproxy, bool (*run)(const struct setup_plan *plan),
                 char **told)
{
    return look_for(true, haproxy, run, told);
}

/* Whether the line about `what` begins so. */
static bool is_told(const char *told, const char *what, const char *verdict, const char *bind)
{
    char *line = memory_format("    %-10s %-4s %s", what, verdict, bind);
    bool found = strstr(told, line) != NULL;
    free(line);
    return found;
}

Test(setup_look, tries_every_bind)
{
    char *told;
    uint16_t port;
    pid_t pid = answer_at(listen_on_loopback(&port), "GET / ", REDIRECT);
    char *alive = new_bind(port), *dead = new_dead_bind(), *dead_https = new_dead_bind();
    char *both[] = {alive, dead}, *https[] = {dead_https};
    struct hap_config haproxy = {.http = both, .http_count = 1, .https = https, .https_count = 1};

    cr_expect_not(look(&haproxy, setup_look, &told));
    cr_expect(is_told(told, "http", "ok", "goes to https://chat.example.test/"), "%s", told);
    cr_expect(is_told(told, "TLS", "BAD", dead_https), "%s", told);
    free(told);

    haproxy.http_count = 2;
    cr_expect_not(look(&haproxy, setup_look, &told));
    cr_expect(is_told(told, "http", "BAD", dead), "%s", told);
    free(told);

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    free(alive);
    free(dead);
    free(dead_https);
}

Test(setup_look, begins_as_haproxy_is_told_that_this_machine_does)
{
    char *told;
    uint16_t port;
    pid_t pid = answer_at(listen_on_loopback(&port), "PROXY TCP4 ", REDIRECT);
    char *http[] = {new_bind(port)}, *https[] = {new_dead_bind()}, *from[] = {"127.0.0.0/8"};
    const struct hap_config haproxy = {.http = http,
                                       .http_count = 1,
                                       .https = https,
                                       .https_count = 1,
                                       .proxy_protocol_from = from,
                                       .proxy_protocol_from_count = 1};
    cr_expect_not(look(&haproxy, setup_look, &told));
    cr_expect(is_told(told, "http", "ok", "goes to https://chat.example.test/"), "%s", told);
    free(told);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    free(http[0]);
    free(https[0]);
}

/* What is told of a tenant without HTTPS whose requests are answered so. */
static char *look_without_https(const char *answer)
{
    char *told;
    uint16_t port;
    pid_t pid = answer_at(listen_on_loopback(&port), "GET /", answer);
    char *http[] = {new_bind(port)}, *https[] = {new_dead_bind()};
    const struct hap_config haproxy = {
        .http = http, .http_count = 1, .https = https, .https_count = 1};
    cr_expect_not(look_for(false, &haproxy, setup_look, &told)); /* nobody tells of headers */
    cr_expect_null(strstr(told, " TLS "), "%s", told);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    free(http[0]);
    free(https[0]);
    return told;
}

Test(setup_look, of_a_tenant_without_https_looks_at_http)
{
    char *told = look_without_https("HTTP/1.1 200 OK\r\n" LAST_LINES);
    cr_expect(is_told(told, "http", "ok", "/health of http://ai says 200"), "%s", told);
    cr_expect(is_told(told, "WebSocket", "BAD", "200: "), "%s", told);
    cr_expect_not_null(strstr(told, "http://chat.example.test\n"), "%s", told);
    free(told);
}

Test(setup_look, who_is_not_let_in_blames_nobody)
{
    char *told = look_without_https("HTTP/1.1 403 Forbidden\r\nX-Refused: address\r\n" LAST_LINES);
    cr_expect(is_told(told, "http", "-", "not looked at: "), "%s", told);
    cr_expect(is_told(told, "WebSocket", "-", "not looked at: "), "%s", told);
    free(told);
    told = look_without_https("HTTP/1.1 403 Forbidden\r\nX-Refused: origin\r\n" LAST_LINES);
    cr_expect(is_told(told, "WebSocket", "BAD", "403: "), "%s", told);
    free(told);
}

static bool wait_for_a_moment(const struct setup_plan *plan)
{
    return setup_wait(plan, 0);
}

Test(setup_look, a_daemon_that_does_not_answer_does_not_go_on_trying, .init = cr_redirect_stderr)
{
    char *told;
    char *https[] = {new_dead_bind()};
    const struct hap_config without = {0}, with = {.https = https, .https_count = 1};
    cr_expect(look(&without, wait_for_a_moment, &told), "no certificate is waited for");
    cr_expect_null(strstr(told, "does not tell"), "%s", told);
    free(told);
    cr_expect(look_for(false, &with, wait_for_a_moment, &told), "nor for one without HTTPS");
    free(told);
    cr_expect_not(look(&with, wait_for_a_moment, &told));
    cr_expect_not_null(strstr(told, " s  the daemon does not tell: "), "%s", told);
    free(told);
    fflush(stderr);
    cr_expect_stderr_eq_str("owui-spoa: whether certificates are served is not known after 0 s: "
                            "the daemon does not tell (`systemctl status owui-spoa`)\n");
    free(https[0]);
}
