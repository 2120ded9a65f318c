/* Sockets of the benchmark: see bench/bench_socket.h. */
#include "bench/bench_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_un local;
};

_Noreturn void bench_give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

static socklen_t parse_local(const char *path, union address *address)
{
    if (strlen(path) >= sizeof(address->local.sun_path))
        bench_give_up("%s: too long for a socket", path);
    address->local.sun_family = AF_UNIX;
    strcpy(address->local.sun_path, path);
    if (path[0] == '@') /* abstract, padded with zeroes as HAProxy's abns@ is */
        address->local.sun_path[0] = '\0';
    return sizeof(address->local);
}

static socklen_t parse_ipv4(const char *text, union address *address)
{
    char host[INET_ADDRSTRLEN];
    unsigned port;
    if (sscanf(text, "%15[^:]:%u", host, &port) != 2 || port > UINT16_MAX ||
        inet_pton(AF_INET, host, &address->ipv4.sin_addr) != 1)
        bench_give_up("%s: not an IPv4 address and a port", text);
    address->ipv4.sin_family = AF_INET;
    address->ipv4.sin_port = htons((uint16_t)port);
    return sizeof(address->ipv4);
}

static int open_socket(const char *text, union address *address, socklen_t *size)
{
    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0)
        *size = parse_local(text + 5, address);
    else if (strncmp(text, "tcp:", 4) == 0)
        *size = parse_ipv4(text + 4, address);
    else
        bench_give_up("%s: neither tcp:HOST:PORT nor unix:PATH", text);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0)
        bench_give_up("socket: %s", strerror(errno));
    if (address->any.sa_family == AF_INET)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return fd;
}

static void never_block(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        bench_give_up("fcntl: %s", strerror(errno));
}

int bench_listen(const char *text)
{
    union address address;
    socklen_t size;
    int fd = open_socket(text, &address, &size);
    if (address.any.sa_family == AF_UNIX && address.local.sun_path[0] != '\0')
        unlink(address.local.sun_path);
    if (bind(fd, &address.any, size) != 0 || listen(fd, 4096) != 0)
        bench_give_up("%s: %s", text, strerror(errno));
    never_block(fd);
    return fd;
}

int bench_connect(const char *text)
{
    union address address;
    socklen_t size;
    int fd = open_socket(text, &address, &size);
    if (connect(fd, &address.any, size) != 0)
        bench_give_up("%s: %s", text, strerror(errno));
    never_block(fd);
    return fd;
}
