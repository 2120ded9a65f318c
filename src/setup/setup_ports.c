/* Whether HAProxy and the agent can have their ports: see setup.h. One that another program holds
 * would otherwise be found out by a HAProxy that does not start, when the one before has been
 * stopped. */
#include "cli/terminal.h"
#include "core/memory.h"
#include "net/listener.h"
#include "setup.h"
#include "setup_run.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* As HAProxy binds: beside whoever shares, the HAProxy that runs among them, and to [::] for IPv6
 * alone. Or beside nobody. */
static bool is_taken(const struct listen_address *address, bool beside_nobody)
{
    const int yes = 1, shares = !beside_nobody;
    const struct sockaddr *socket_address = (const void *)&address->socket;
    int fd = socket(socket_address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
                 setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof(shares)) == 0 &&
                 (socket_address->sa_family != AF_INET6 ||
                  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0) &&
                 bind(fd, socket_address, address->socket_size) != 0 && errno == EADDRINUSE;
    if (fd >= 0)
        close(fd);
    return taken;
}

/* "nginx (pid 4711)" of `users:(("nginx",pid=4711,fd=6))`; for free(). A HAProxy shares its ports,
 * so that it is the last to be told of. NULL when nobody is known. */
static char *holder_of(const char *port)
{
    char *filter = memory_format("sport = :%s", port);
    char *output = NULL, *holder = NULL;
    char name[64];
    unsigned pid;
    const char *const command[] = {"ss", "-Hltnp", filter, NULL};
    const char *user = setup_run(command, &output) == 0 ? output : NULL;
    while (user != NULL && (user = strstr(user, "(\"")) != NULL) {
        if (sscanf(user, "(\"%63[^\"]\",pid=%u", name, &pid) == 2 &&
            (holder == NULL || strcmp(name, "haproxy") != 0)) {
            free(holder);
            holder = memory_format("%s (pid %u)", name, pid);
            if (strcmp(name, "haproxy") != 0)
                break;
        }
        user++;
    }
    free(filter);
    free(output);
    return holder;
}

/* Whether somebody who is known has it, and not the program of that name. */
static bool is_anothers(const char *port, const char *program)
{
    char *holder = holder_of(port);
    bool is_anothers = holder != NULL && strncmp(holder, program, strlen(program)) != 0;
    free(holder);
    return is_anothers;
}

/* Who shares a port with HAProxy takes part of what is for it. "tcp:0.0.0.0:80" for "*:80" or
 * ":80". */
static bool is_free(const char *bind, const char *port)
{
    struct listen_address own;
    const char *address = bind[0] == '*' ? bind + 1 : bind;
    char *text = memory_format("tcp:%s%s", address[0] == ':' ? "0.0.0.0" : "", address);
    bool taken = listen_address_parse(slice_of(text), &own, NULL) == ERROR_OK &&
                 (is_taken(&own, false) || (is_taken(&own, true) && is_anothers(port, "haproxy")));
    free(text);
    return !taken;
}

static void tell_taken(const char *port, const char *who, const char *section, const char *key)
{
    char *holder = holder_of(port);
    terminal_complain("port %s is taken by %s, and %s needs it: stop that and disable it, or have "
                      "%s listen elsewhere (\"%s\": {\"%s\"})",
                      port, holder != NULL ? holder : "another program (ss -ltnp tells which)", who,
                      who, section, key);
    free(holder);
}

/* Each port is told once: who has it for IPv4 mostly has it for IPv6, too. */
static bool are_free(char *const *binds, size_t count, const char *key)
{
    const char *told = "";
    for (size_t i = 0; i < count; i++) {
        const char *port = strrchr(binds[i], ':') + 1;
        if (is_free(binds[i], port) || strcmp(port, told) == 0)
            continue;
        tell_taken(port, "HAProxy", "haproxy", key);
        told = port;
    }
    return told[0] == '\0';
}

bool setup_ports_are_free(const struct setup_plan *plan)
{
    const struct hap_config *haproxy = &plan->whole.configuration->haproxy;
    const char *was = plan->files.items[plan->haproxy_file].previous;
    if (was != NULL && strstr(was, "noreuseport") != NULL)
        return true; /* there is no telling a HAProxy that does not share from others */
    bool http = are_free(haproxy->http, haproxy->http_count, "http");
    return are_free(haproxy->https, haproxy->https_count, "https") && http;
}

bool setup_challenge_port_is_free(const struct setup_plan *plan)
{
    const struct configuration *configuration = plan->whole.configuration;
    const struct acme_settings *acme = &configuration->acme;
    const char *bind = configuration->haproxy.challenge_listen;
    struct listen_address own;
    bool orders = acme->directory != NULL && acme->directory[0] != '\0';
    if (bind == NULL || (!orders && acme->webroot == NULL))
        return true; /* the agent does not listen there */
    const char *port = strrchr(bind, ':') + 1;
    char *text = memory_format("tcp:%s", bind);
    bool taken = listen_address_parse(slice_of(text), &own, NULL) == ERROR_OK &&
                 is_taken(&own, true) && is_anothers(port, "owui-spoa");
    free(text);
    if (taken)
        tell_taken(port, "the agent", "acme", "challenge_listen");
    return !taken;
}
