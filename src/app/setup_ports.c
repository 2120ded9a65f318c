/* Whether HAProxy can have its ports: see setup.h. One that another program holds would otherwise
 * be found out by a HAProxy that does not start, when the one before has been stopped. */
#include "core/ip.h"
#include "core/memory.h"
#include "net/listener.h"
#include "setup.h"
#include "setup_run.h"
#include "sidecar/loopback.h"
#include "terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* As HAProxy binds: beside the HAProxy that runs, and beside nobody who does not share. */
static bool is_taken(const struct listen_address *address)
{
    const int yes = 1;
    const struct sockaddr *socket_address = (const void *)&address->socket;
    int fd = socket(socket_address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
                 setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) == 0 &&
                 bind(fd, socket_address, address->socket_size) != 0 && errno == EADDRINUSE;
    if (fd >= 0)
        close(fd);
    return taken;
}

/* "nginx (pid 4711)" of `users:(("nginx",pid=4711,fd=6))`; for free(). */
static char *holder_of(uint16_t port)
{
    char filter[32], name[64];
    char *output = NULL;
    unsigned pid;
    snprintf(filter, sizeof(filter), "sport = :%u", port);
    const char *const command[] = {"ss", "-Hltnp", filter, NULL};
    const char *users =
        setup_run(command, &output) == 0 && output != NULL ? strstr(output, "users:((\"") : NULL;
    char *holder = users != NULL && sscanf(users, "users:((\"%63[^\"]\",pid=%u", name, &pid) == 2
                       ? memory_format("%s (pid %u)", name, pid)
                       : memory_format("another program (ss -ltnp tells which)");
    free(output);
    return holder;
}

static bool is_free(const char *address, const char *key)
{
    struct ip ip;
    uint16_t port;
    struct listen_address own;
    char *text = memory_format("tcp:%s", address);
    bool taken = ip_parse_with_port(slice_of(address), &ip, &port) &&
                 listen_address_parse(slice_of(text), &own, NULL) == ERROR_OK && is_taken(&own);
    free(text);
    if (!taken)
        return true;
    char *holder = holder_of(port);
    terminal_complain("port %u is taken by %s, and HAProxy needs it: stop that and disable it, or "
                      "have HAProxy listen elsewhere (\"haproxy\": {\"%s\"})",
                      port, holder, key);
    free(holder);
    return false;
}

static bool are_free(char *const *binds, size_t count, const char *key)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        char *address = loopback_of_bind(slice_of(binds[i]));
        good &= address == NULL || is_free(address, key);
        free(address);
    }
    return good;
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
