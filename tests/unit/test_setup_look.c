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

/* What the frontend for http answers, at one port, until it is ended. */
static pid_t redirect_at(int fd)
{
    static const char ANSWER[] = "HTTP/1.1 308 Permanent Redirect\r\n"
                                 "Location: https://chat.example.test/\r\n"
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n";
    pid_t pid = fork();
    while (pid == 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        char request[4096];
        if (poll(&ready, 1, -1) != 1)
            continue;
        int client = accept(fd, NULL, NULL);
        if (read(client, request, sizeof(request)) > 0)
            (void)!write(client, ANSWER, sizeof(ANSWER) - 1);
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

/* With what is printed, for free(). */
static bool look(const struct hap_config *haproxy, bool (*run)(const struct setup_plan *plan),
                 char **told)
{
    struct configuration configuration = {.haproxy = *haproxy};
    struct setup_tenant tenant = {.name = "chat", .host = "chat.example.test", .upstream = "http"};
    const struct setup_plan plan = {
        .tenants = &tenant, .tenant_count = 1, .whole = {.configuration = &configuration}};
    configuration.admin_socket = memory_copy_text(SLICE("/nowhere/admin.sock"));
    struct printed printed = printed_from_here();
    bool good = run(&plan);
    *told = printed_till_here(&printed);
    free(configuration.admin_socket);
    return good;
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
    pid_t pid = redirect_at(listen_on_loopback(&port));
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
    cr_expect_not(look(&with, wait_for_a_moment, &told));
    cr_expect_not_null(strstr(told, " s  the daemon does not tell: "), "%s", told);
    free(told);
    fflush(stderr);
    cr_expect_stderr_eq_str("owui-spoa: whether certificates are served is not known after 0 s: "
                            "the daemon does not tell (`systemctl status owui-spoa`)\n");
    free(https[0]);
}
