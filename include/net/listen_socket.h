/* Opening listening sockets, and leaving no file behind that is not ours. */
#pragma once

#include "net/listener.h"

#include <sys/stat.h>

enum { LISTEN_SOCKETS_MAX = 8 };

/* The sockets of one address: one, or as many as systemd passed under that name. */
struct listen_sockets {
    int fds[LISTEN_SOCKETS_MAX];
    size_t count;
    char path[108]; /* of the socket file that was bound; empty without one */
    dev_t device;   /* which file that is */
    ino_t inode;
};

/* All or nothing. */
MUST_CHECK enum error listen_sockets_open(const struct listen_address *address,
                                          const struct listen_options *options,
                                          struct listen_sockets *sockets, struct error_text *text);
void listen_sockets_close(struct listen_sockets *sockets);

/* Why accept(2) has brought nobody. */
enum listen_failure {
    LISTEN_EMPTY, /* nobody waits */
    LISTEN_LOST,  /* that one connection is gone: the next one need not fail */
    LISTEN_STUCK, /* nobody can be accepted, yet the socket stays ready: pause, or spin */
};
/* `error` is the errno of accept(2) on `fd`. */
enum listen_failure listen_failure_of(int fd, int error);
/* Logs that nobody is accepted on this socket for a while, why, and what to do about it. */
void listen_stuck_log(int fd, int error);
