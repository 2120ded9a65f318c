/* Listening sockets: see net/listen_socket.h. */
#include "net/listen_socket.h"

#include "core/account.h"
#include "core/ip.h"
#include "core/log.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    SOCKET_MODE = 0660,
    FIRST_SYSTEMD_FD = 3,
    SYSTEMD_FDS_MAX = 1024,
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_PROBES = 3,
    GIVE_UP_MS = (KEEPALIVE_IDLE_S + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL_S) * 1000,
};

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof(value));
}

/* What accepted sockets inherit. ACKs are small and wanted at once. An idle connection is never
 * closed by us, so a peer that vanished without a word is found by keepalive probes; or, where it
 * was sent something before, which nobody probes for a quarter of an hour, by what is not answered.
 */
static void prepare_tcp(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, GIVE_UP_MS);
}

static int open_socket(const struct listen_address *address, struct error_text *text)
{
    int family = address->socket.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(text, "cannot make a socket for %s", address->name);
        return -1;
    }
    if (address->kind == LISTEN_TCP) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (family == AF_INET6)
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        prepare_tcp(fd);
    }
    return fd;
}

static enum error bind_socket(int fd, const struct listen_address *address)
{
    if (bind(fd, (const struct sockaddr *)&address->socket, address->socket_size) == 0)
        return ERROR_OK;
    return ERROR_SYSTEM;
}

/* Whether somebody accepts on the socket file. A full queue counts: its owner is only slow. */
static bool is_answered(const struct listen_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    int result = connect(fd, (const struct sockaddr *)&address->socket, address->socket_size);
    bool is_refused = result != 0 && errno == ECONNREFUSED;
    close(fd);
    return !is_refused;
}

/* A process that was killed leaves its socket file behind, and bind() wants none. Of two that start
 * at the same moment each may find the same leftover, or the other's before it listens: then the
 * later one's is there, and answers. A lock that keeps them apart would be one on the folder, which
 * everybody who may read that could hold for ever. */
static enum error remove_stale(const struct listen_address *address, struct error_text *text)
{
    struct stat status;
    if (lstat(address->name, &status) != 0)
        return errno == ENOENT ? ERROR_OK
                               : error_set_errno(text, "cannot look at %s", address->name);
    if (!S_ISSOCK(status.st_mode))
        return error_set(text, ERROR_EXISTS, "%s exists and is no socket: move it out of the way",
                         address->name);
    if (is_answered(address))
        return error_set(text, ERROR_BUSY,
                         "another process listens on %s: stop it, or choose another path",
                         address->name);
    if (unlink(address->name) != 0 && errno != ENOENT)
        return error_set_errno(text, "cannot remove %s, which nobody listens on", address->name);
    return ERROR_OK;
}

/* Nobody can connect before listen(), so that there is no moment with the wrong mode. */
static enum error own_file(const struct listen_address *address,
                           const struct listen_options *options, struct listen_sockets *sockets,
                           struct error_text *text)
{
    struct stat status;
    if (lstat(address->name, &status) != 0)
        return error_set_errno(text, "%s is gone at once", address->name);
    memcpy(sockets->path, address->name, sizeof(sockets->path));
    sockets->device = status.st_dev;
    sockets->inode = status.st_ino;
    if (options->group != NULL) {
        gid_t gid = 0;
        enum error error = account_find_group(options->group, &gid, text);
        if (error != ERROR_OK)
            return error;
        if (chown(address->name, (uid_t)-1, gid) != 0)
            return error_set_errno(text, "cannot give %s to the group %s", address->name,
                                   options->group);
    }
    if (chmod(address->name, options->mode != 0 ? options->mode : SOCKET_MODE) != 0)
        return error_set_errno(text, "cannot set the mode of %s", address->name);
    return ERROR_OK;
}

static enum error bind_any(int fd, const struct listen_address *address, struct error_text *text)
{
    enum error error = bind_socket(fd, address);
    if (error != ERROR_OK && errno == EADDRINUSE && address->kind == LISTEN_UNIX) {
        error = remove_stale(address, text);
        if (error != ERROR_OK)
            return error;
        error = bind_socket(fd, address);
    }
    if (error != ERROR_OK)
        return error_set_errno(text, "cannot bind %s", address->name);
    return ERROR_OK;
}

/* How many descriptors the service manager passed to this very process: sd_listen_fds(3). */
static int systemd_fd_count(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != (long)getpid())
        return 0;
    long value = strtol(count, NULL, 10);
    return value < 0 || value > SYSTEMD_FDS_MAX ? 0 : (int)value;
}

static enum error take_passed(int fd, const struct listen_address *address,
                              struct listen_sockets *sockets, struct error_text *text)
{
    int is_listening = 0, type = 0;
    socklen_t size = sizeof(is_listening);
    struct sockaddr_storage bound = {0};
    socklen_t bound_size = sizeof(bound);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 || !is_listening ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_size) != 0)
        return error_set(text, ERROR_INVALID,
                         "%s: the socket that was passed is not a listening stream socket "
                         "(ListenStream=, Accept=no)",
                         address->name);
    /* Passed descriptors survive an exec; one that does not was taken before. */
    if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0)
        return error_set(text, ERROR_EXISTS, "%s: the socket that was passed is used twice",
                         address->name);
    if (sockets->count == LISTEN_SOCKETS_MAX)
        return error_set(text, ERROR_TOO_BIG, "%s: more than %d sockets were passed", address->name,
                         LISTEN_SOCKETS_MAX);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (bound.ss_family == AF_INET || bound.ss_family == AF_INET6)
        prepare_tcp(fd);
    sockets->fds[sockets->count++] = fd;
    return ERROR_OK;
}

/* Whether the service manager passed a socket that is bound to the very file. Then the socket is
 * the manager's: it stays open while the process restarts, and its file is not ours to remove. */
static bool is_bound_to(int fd, const struct listen_address *address)
{
    struct sockaddr_un bound = {0};
    const struct sockaddr_un *wanted = (const void *)&address->socket;
    socklen_t size = sizeof(bound);
    return getsockname(fd, (struct sockaddr *)&bound, &size) == 0 && bound.sun_family == AF_UNIX &&
           strncmp(bound.sun_path, wanted->sun_path, sizeof(bound.sun_path)) == 0;
}

static int find_passed(const struct listen_address *address)
{
    int count = address->kind == LISTEN_UNIX ? systemd_fd_count() : 0;
    for (int i = 0; i < count; i++)
        if (is_bound_to(FIRST_SYSTEMD_FD + i, address))
            return FIRST_SYSTEMD_FD + i;
    return -1;
}

static enum error open_one(const struct listen_address *address,
                           const struct listen_options *options, struct listen_sockets *sockets,
                           struct error_text *text)
{
    int fd = find_passed(address);
    if (fd >= 0)
        return take_passed(fd, address, sockets, text);
    fd = open_socket(address, text);
    if (fd < 0)
        return ERROR_SYSTEM;
    sockets->fds[sockets->count++] = fd;
    enum error error = bind_any(fd, address, text);
    if (error == ERROR_OK && address->kind == LISTEN_UNIX)
        error = own_file(address, options, sockets, text);
    if (error == ERROR_OK && listen(fd, options->backlog > 0 ? options->backlog : BACKLOG) != 0)
        error = error_set_errno(text, "cannot listen on %s", address->name);
    return error;
}

static enum error open_systemd(const struct listen_address *address, struct listen_sockets *sockets,
                               struct error_text *text)
{
    struct slice wanted = slice_of(address->name);
    struct slice names = slice_of(getenv("LISTEN_FDNAMES"));
    int count = systemd_fd_count();

    for (int i = 0; i < count; i++) {
        if (!slice_equal(slice_cut(&names, ':'), wanted))
            continue;
        enum error error = take_passed(FIRST_SYSTEMD_FD + i, address, sockets, text);
        if (error != ERROR_OK)
            return error;
    }
    if (sockets->count == 0)
        return error_set(text, ERROR_NOT_FOUND,
                         "systemd passed no socket named %s: the socket unit needs "
                         "FileDescriptorName=%s and has to be started",
                         address->name, address->name);
    return ERROR_OK;
}

enum error listen_sockets_open(const struct listen_address *address,
                               const struct listen_options *options, struct listen_sockets *sockets,
                               struct error_text *text)
{
    *sockets = (struct listen_sockets){0};
    enum error error = address->kind == LISTEN_SYSTEMD ? open_systemd(address, sockets, text)
                                                       : open_one(address, options, sockets, text);
    if (error != ERROR_OK)
        listen_sockets_close(sockets);
    return error;
}

/* The file is removed while its socket still listens: a successor that has replaced it is then seen
 * by its inode, which cannot have been used again. */
void listen_sockets_close(struct listen_sockets *sockets)
{
    struct stat status;
    if (sockets->path[0] != '\0' && lstat(sockets->path, &status) == 0 &&
        status.st_dev == sockets->device && status.st_ino == sockets->inode)
        unlink(sockets->path);
    for (size_t i = 0; i < sockets->count; i++)
        close(sockets->fds[i]);
    *sockets = (struct listen_sockets){0};
}

/* A unix socket that was shut down, by whoever holds a copy of it, is ready for ever, and has
 * nobody to accept; TCP says EINVAL. */
static bool is_shut_down(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0;
}

enum listen_failure listen_failure_of(int fd, int error)
{
    switch (error) {
    case EAGAIN: return is_shut_down(fd) ? LISTEN_STUCK : LISTEN_EMPTY;
    case ECONNABORTED: /* what became of it while it waited, or a signal: accept(2) */
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case ENONET:
    case EOPNOTSUPP: return LISTEN_LOST;
    default: return LISTEN_STUCK;
    }
}

static const char *reason_of(int error, const char **hint)
{
    *hint = NULL;
    switch (error) {
    case EMFILE:
    case ENFILE: *hint = "raise LimitNOFILE= of the service"; return "no descriptor left";
    case ENOBUFS:
    case ENOMEM: return "out of memory";
    case EAGAIN:
    case EINVAL: *hint = "restart the service"; return "the listening socket was shut down";
    default: return strerror(error);
    }
}

/* As the configuration writes it; empty when there is no telling. For free(). */
static char *own_address(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in6 in6; /* for its room */
    } own = {0};
    socklen_t size = sizeof(own);
    char text[IP_PORT_TEXT_SIZE];
    struct ip ip;
    uint16_t port;
    size_t path_size = 0;

    if (getsockname(fd, &own.any, &size) == 0 && size > offsetof(struct sockaddr_un, sun_path))
        path_size = size - offsetof(struct sockaddr_un, sun_path);
    if (own.any.sa_family == AF_UNIX && path_size > 0 && own.un.sun_path[0] == '\0')
        return memory_format("unix:@%.*s", (int)path_size - 1, own.un.sun_path + 1);
    if (own.any.sa_family == AF_UNIX)
        return memory_format("unix:%.*s", (int)path_size, own.un.sun_path);
    if (!ip_from_socket(&own.any, &ip, &port))
        return memory_copy_text(SLICE(""));
    return memory_format("tcp:%s", ip_print_with_port(&ip, port, text));
}

void listen_stuck_log(int fd, int error)
{
    const char *hint;
    const char *reason = reason_of(error, &hint);
    char *address = own_address(fd);
    log_event(LOG_WARNING, "accept_paused", LOG_TEXT("address", address),
              LOG_TEXT("reason", reason), LOG_TEXT("hint", hint));
    free(address);
}
