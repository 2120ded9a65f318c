/* Whether HAProxy and the agent can have their ports: see setup.h. One that another program holds
 * would otherwise be found out by a HAProxy that does not start, when the one before has been
 * stopped. */
#include "cli/terminal.h"
#include "core/ip.h"
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

/* Where HAProxy or the agent is to listen. */
struct door {
    struct listen_address address;
    struct ip ip;
    const char *port;
};

/* "*:80" and ":80" are all addresses of IPv4. */
static bool read_door(const char *bind, struct door *door)
{
    const char *address = bind[0] == '*' ? bind + 1 : bind;
    char *text = memory_format("tcp:%s%s", address[0] == ':' ? "0.0.0.0" : "", address);
    bool is_read = listen_address_parse(slice_of(text), &door->address, NULL) == ERROR_OK &&
                   ip_from_socket((const struct sockaddr *)&door->address.socket, &door->ip, NULL);
    door->port = strrchr(bind, ':') + 1;
    free(text);
    return is_read;
}

/* As HAProxy binds: beside whoever shares, the HAProxy that runs among them, and to [::] for IPv6
 * alone. Or beside nobody. */
static bool is_taken(const struct door *door, bool beside_nobody)
{
    const int yes = 1, shares = !beside_nobody;
    const struct sockaddr *address = (const struct sockaddr *)&door->address.socket;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
                 setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof(shares)) == 0 &&
                 (address->sa_family != AF_INET6 ||
                  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0) &&
                 bind(fd, address, door->address.socket_size) != 0 && errno == EADDRINUSE;
    if (fd >= 0)
        close(fd);
    return taken;
}

/* "127.0.0.1" of "LISTEN 0 128 127.0.0.1%lo:80 0.0.0.0:*", "::" where it says "[::]:80". */
static struct slice local_host(struct slice line)
{
    struct slice word = {0};
    while (line.size > 0 && !slice_has(word, ':'))
        word = slice_cut(&line, ' ');
    while (word.size > 0 && word.data[word.size - 1] != ':')
        word.size--;
    struct slice host = slice_before(slice_head(word, word.size - (word.size > 0)), '%');
    bool has_brackets = slice_starts_with(host, SLICE("[")) && slice_ends_with(host, SLICE("]"));
    return has_brackets ? slice_head(slice_skip(host, 1), host.size - 2) : host;
}

/* Whether who listens there gets, in part, what is for the door: not who has the same port of
 * another address. What is no address is "*", of both families. */
static bool is_at(struct slice line, const struct door *door)
{
    struct ip ip;
    if (!ip_parse(local_host(line), &ip))
        return true;
    return ip.family == door->ip.family &&
           (ip_is_unspecified(&ip) || ip_is_unspecified(&door->ip) || ip_equal(&ip, &door->ip));
}

/* Takes the first of `users:(("nginx",pid=4711,fd=6))` for the holder, unless there is one that is
 * no HAProxy: that shares its ports, so that it is the last to be told of. */
static void note_holder(const char *line, char **holder)
{
    char name[64];
    unsigned pid;
    for (const char *user = line; (user = strstr(user, "(\"")) != NULL; user++) {
        if (*holder != NULL && !slice_starts_with(slice_of(*holder), SLICE("haproxy ")))
            return;
        if (sscanf(user, "(\"%63[^\"]\",pid=%u", name, &pid) != 2 ||
            (*holder != NULL && strcmp(name, "haproxy") == 0))
            continue;
        free(*holder);
        *holder = memory_format("%s (pid %u)", name, pid);
    }
}

/* "nginx (pid 4711)", for free(). NULL when nobody is known. */
static char *holder_of(const struct door *door)
{
    char *filter = memory_format("sport = :%s", door->port);
    char *output = NULL, *holder = NULL, *rest = NULL;
    const char *const command[] = {"ss", "-Hltnp", filter, NULL};
    bool is_told = setup_run(command, &output) == 0 && output != NULL;
    char *line = is_told ? strtok_r(output, "\n", &rest) : NULL;
    for (; line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (is_at(slice_of(line), door))
            note_holder(line, &holder);
    free(filter);
    free(output);
    return holder;
}

/* Whether somebody who is known has it, and not the program of that name. */
static bool is_anothers(const struct door *door, const char *program)
{
    char *holder = holder_of(door);
    bool is_anothers = holder != NULL && strncmp(holder, program, strlen(program)) != 0;
    free(holder);
    return is_anothers;
}

/* Who shares a port with HAProxy takes part of what is for it. */
static bool is_free(const struct door *door)
{
    return !is_taken(door, false) && !(is_taken(door, true) && is_anothers(door, "haproxy"));
}

static void tell_taken(const struct door *door, const char *who, const char *section,
                       const char *key)
{
    char *holder = holder_of(door);
    terminal_complain("port %s is taken by %s, and %s needs it: stop that and disable it, or have "
                      "%s listen elsewhere (\"%s\": {\"%s\"})",
                      door->port,
                      holder != NULL ? holder : "another program (ss -ltnp tells which)", who, who,
                      section, key);
    free(holder);
}

/* Each port is told once: who has it for IPv4 mostly has it for IPv6, too. */
static bool are_free(char *const *binds, size_t count, const char *key)
{
    const char *told = "";
    struct door door;
    for (size_t i = 0; i < count; i++) {
        if (!read_door(binds[i], &door) || is_free(&door) || strcmp(door.port, told) == 0)
            continue;
        tell_taken(&door, "HAProxy", "haproxy", key);
        told = door.port;
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
    struct door door;
    bool orders = acme->directory != NULL && acme->directory[0] != '\0';
    if (bind == NULL || (!orders && acme->webroot == NULL))
        return true; /* the agent does not listen there */
    if (!read_door(bind, &door) || !is_taken(&door, true) || !is_anothers(&door, "owui-spoa"))
        return true;
    tell_taken(&door, "the agent", "acme", "challenge_listen");
    return false;
}
