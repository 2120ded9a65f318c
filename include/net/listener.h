/* Where HAProxy finds the agent: listening sockets, and the handing out of what connects.
 *
 *     unix:/run/owui-spoa/agent.sock    a socket file
 *     unix:@owui-spoa                   an abstract name, padded with zeroes to its full length as
 *                                       HAProxy's abns@ has it
 *     tcp:127.0.0.1:12345               an address, never a name; [::1] for IPv6
 *     tcp:12345                         the same on 127.0.0.1
 *     systemd:NAME                      sockets passed by a socket unit (FileDescriptorName=NAME)
 *
 * Connections are accepted in one thread (net/acceptor.h) and dealt out evenly, because HAProxy has
 * few and keeps them long. When the process has no descriptor left, or the loops as many
 * connections as they may have and none that is idle, accepting pauses and the kernel's queue holds
 * those who wait; nobody is refused. It pauses likewise when accepting fails in another way.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"

#include <sys/socket.h>

struct loops;
struct main_loop;
struct listener;

enum listen_kind { LISTEN_UNIX, LISTEN_ABSTRACT, LISTEN_TCP, LISTEN_SYSTEMD };

struct listen_address {
    enum listen_kind kind;
    char name[108];                 /* path, abstract name without '@', or systemd's name */
    struct sockaddr_storage socket; /* of the first three kinds */
    socklen_t socket_size;
};

MUST_CHECK enum error listen_address_parse(struct slice text, struct listen_address *address,
                                           struct error_text *reason);

struct listen_options {
    unsigned mode;     /* of a socket file; 0 means 0660 */
    const char *group; /* that owns a socket file; NULL leaves it as it comes */
    int backlog;       /* 0 means 4096 */
};

/* Binds and listens. A socket file that nobody answers on is replaced; one that answers, and
 * whatever is no socket, is an error. NULL with the reason on failure. */
MUST_CHECK struct listener *listener_open(const struct listen_address *address,
                                          const struct listen_options *options,
                                          struct error_text *text);
/* Begins to accept, in the thread of `main_loop`. */
void listener_start(struct listener *listener, struct main_loop *main_loop, struct loops *loops);
/* The opposite, in that thread or when it has ended; the sockets stay open. */
void listener_stop(struct listener *listener);
/* Closes the sockets; removes the socket file if it is still the one that was bound. */
void listener_close(struct listener *listener);

/* When it last began to pause, 0: never. Any thread. */
int64_t listener_paused_mono_ms(const struct listener *listener);
