/* app/setup: whether HAProxy can have its ports, and who has them. */
#include "setup.h"

#include "loopback_listener.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A socket that listens; at `*port`, or at one that is free, which is then told there. */
static int listen_at(const char *host, uint16_t *port, bool shares)
{
    const int yes = 1;
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(*port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
    bool is_four = inet_pton(AF_INET, host, &four.sin_addr) == 1;
    cr_assert(is_four || inet_pton(AF_INET6, host, &six.sin6_addr) == 1);
    struct sockaddr *address = is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t size = is_four ? sizeof(four) : sizeof(six);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(ge(int, fd, 0));
    if (shares)
        cr_assert(zero(int, setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes))));
    cr_assert(zero(int, bind(fd, address, size)));
    cr_assert(zero(int, listen(fd, 1)));
    cr_assert(zero(int, getsockname(fd, address, &size)));
    *port = ntohs(is_four ? four.sin_port : six.sin6_port);
    return fd;
}

/* A program of that name which has the sockets, and nobody else; -1 is none. */
static pid_t hold(const char *name, int fd, int other_fd)
{
    int ready[2];
    char byte;
    cr_assert(zero(int, pipe(ready)));
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, name);
        close(ready[0]);
        close(ready[1]);
        pause();
        _exit(0);
    }
    close(ready[1]);
    cr_assert(zero(long, read(ready[0], &byte, 1)));
    close(ready[0]);
    close(fd);
    if (other_fd >= 0)
        close(other_fd);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* `was` is the haproxy.cfg that is there. */
static bool are_all_free(const struct hap_config *haproxy, const char *was)
{
    struct configuration configuration = {.haproxy = *haproxy};
    struct setup_file file = {.previous = (char *)(uintptr_t)was};
    const struct setup_plan plan = {.files = {.items = &file, .count = 1},
                                    .whole = {.configuration = &configuration}};
    return setup_ports_are_free(&plan);
}

static bool are_free(char *binds[], size_t count)
{
    return are_all_free(&(struct hap_config){.http = binds, .http_count = count}, NULL);
}

/* Once. */
static void expect_told(uint16_t port, pid_t squatter)
{
    char expected[200];
    snprintf(
        expected, sizeof(expected),
        "owui-spoa: port %u is taken by squatter (pid %ld), and HAProxy needs it: stop that and "
        "disable it, or have HAProxy listen elsewhere (\"haproxy\": {\"http\"})\n",
        port, (long)squatter);
    fflush(stderr);
    cr_expect_stderr_eq_str(expected);
}

Test(setup_ports, of_a_haproxy_that_shares_its_port_another_program_is_told,
     .init = cr_redirect_stderr)
{
    char four[32], six[32];
    uint16_t port = 0;
    skip_without_ipv6();
    pid_t haproxy = hold("haproxy", listen_at("127.0.0.1", &port, true), -1);
    snprintf(four, sizeof(four), "127.0.0.1:%u", port);
    snprintf(six, sizeof(six), "[::1]:%u", port);
    char *binds[] = {four, six};
    cr_expect(are_free(binds, 2));

    pid_t other = hold("squatter", listen_at("::1", &port, false), -1);
    cr_expect_not(are_free(binds, 2));
    expect_told(port, other);
    end(other);
    end(haproxy);
}

Test(setup_ports, one_program_at_both_is_told_once, .init = cr_redirect_stderr)
{
    char four[32], six[32];
    uint16_t port = 0;
    skip_without_ipv6();
    int fd = listen_at("127.0.0.1", &port, false), other_fd = listen_at("::1", &port, false);
    snprintf(four, sizeof(four), "127.0.0.1:%u", port);
    snprintf(six, sizeof(six), "[::1]:%u", port);
    pid_t other = hold("squatter", fd, other_fd);
    char *binds[] = {four, six};
    cr_expect_not(are_free(binds, 2));
    expect_told(port, other);
    end(other);
}

Test(setup_ports, a_program_at_one_address_is_in_the_way_of_all, .init = cr_redirect_stderr)
{
    char all[32];
    uint16_t port = 0;
    pid_t other = hold("squatter", listen_at("127.0.0.2", &port, false), -1);
    snprintf(all, sizeof(all), "*:%u", port);
    char *binds[] = {all};
    cr_expect_not(are_free(binds, 1));
    end(other);
}

/* HAProxy has its own already, which it shares with itself. */
Test(setup_ports, another_address_of_the_same_port_is_no_concern, .init = cr_redirect_stderr)
{
    char one[32], all[32];
    uint16_t port = 0;
    skip_without_ipv6();
    pid_t haproxy = hold("haproxy", listen_at("127.0.0.5", &port, true), -1);
    pid_t other = hold("squatter", listen_at("127.0.0.6", &port, true), -1);
    pid_t six = hold("squatter", listen_at("::1", &port, true), -1);
    snprintf(one, sizeof(one), "127.0.0.5:%u", port);
    snprintf(all, sizeof(all), "0.0.0.0:%u", port);
    char *binds[] = {one, all};
    struct configuration configuration = {.haproxy = {.challenge_listen = one},
                                          .acme = {.webroot = one}};
    const struct setup_plan plan = {.whole = {.configuration = &configuration}};
    cr_expect(are_free(binds, 1));
    cr_expect_not(setup_challenge_port_is_free(&plan), "HAProxy has that");
    cr_expect_not(are_free(binds, 2), "who has all has each");
    end(six);
    end(other);
    other = hold("squatter", listen_at("0.0.0.0", &port, true), -1);
    cr_expect_not(are_free(binds, 1), "part of it is for who has all");
    end(other);
    end(haproxy);
}

Test(setup_ports, of_https_are_looked_at, .init = cr_redirect_stderr)
{
    char bind[32];
    uint16_t port = 0;
    pid_t other = hold("squatter", listen_at("127.0.0.1", &port, false), -1);
    snprintf(bind, sizeof(bind), "127.0.0.1:%u", port);
    char *binds[] = {bind};
    const struct hap_config haproxy = {.https = binds, .https_count = 1};
    cr_expect_not(are_all_free(&haproxy, "global\n    daemon\n"));
    /* It may be the HAProxy that is there. */
    cr_expect(are_all_free(&haproxy, "global\n    noreuseport\n"));
    end(other);
}

/* Part of the requests would be its. */
Test(setup_ports, who_shares_one_with_haproxy_is_in_its_way, .init = cr_redirect_stderr)
{
    char bind[32];
    uint16_t port = 0;
    pid_t other = hold("squatter", listen_at("127.0.0.1", &port, true), -1);
    snprintf(bind, sizeof(bind), "127.0.0.1:%u", port);
    char *binds[] = {bind};
    cr_expect_not(are_free(binds, 1));
    expect_told(port, other);
    end(other);
}

/* Whether the agent can answer challenges at a port that a program of this name has. */
static bool may_answer_at(const char *name, const char *directory)
{
    char bind[32];
    uint16_t port = 0;
    pid_t pid = hold(name, listen_at("127.0.0.1", &port, false), -1);
    snprintf(bind, sizeof(bind), "127.0.0.1:%u", port);
    struct configuration configuration = {.haproxy = {.challenge_listen = bind},
                                          .acme = {.directory = (char *)(uintptr_t)directory}};
    const struct setup_plan plan = {.whole = {.configuration = &configuration}};
    bool may = setup_challenge_port_is_free(&plan);
    end(pid);
    return may;
}

Test(setup_ports, the_agents_own_is_looked_at, .init = cr_redirect_stderr)
{
    cr_expect_not(may_answer_at("squatter", "https://ca.test/"));
    cr_expect(may_answer_at("owui-spoa", "https://ca.test/"), "it runs already");
    cr_expect(may_answer_at("squatter", ""), "nothing is ordered");
    cr_expect(may_answer_at("squatter", NULL));
}

/* For HAProxy to tell, in its own words. */
Test(setup_ports, of_an_address_of_another_machine_are_not_taken)
{
    char bind[] = "192.0.2.1:80";
    char *binds[] = {bind};
    cr_expect(are_free(binds, 1));
}
