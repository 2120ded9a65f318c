/* What the service manager is told: see service.h.
 *
 * The protocol of sd_notify(3) is stable and its page says that programs may speak it themselves:
 * one datagram of lines to the socket that NOTIFY_SOCKET names. libsystemd would do the same, and
 * brings four compression and encryption libraries along. */
#include "serving/service.h"

#include "core/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The manager's socket: a path, or "@" and an abstract name. 0: nobody wants to be told. */
static socklen_t find_manager(struct sockaddr_un *address)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t size = name != NULL ? strlen(name) : 0;
    if (size < 2 || size >= sizeof(address->sun_path) || (name[0] != '/' && name[0] != '@'))
        return 0;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, size + 1);
    if (name[0] == '@')
        address->sun_path[0] = '\0';
    else
        size++; /* a path ends with its NUL, an abstract name with its size */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

/* There is nothing to be done about a manager that does not listen. */
static void notify(const char *lines)
{
    struct sockaddr_un address = {0};
    socklen_t size = find_manager(&address);
    if (size == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    close(fd);
}

void service_ready(const char *status)
{
    char lines[256];
    snprintf(lines, sizeof(lines), "READY=1\nSTATUS=%s", status);
    notify(lines);
}

void service_reloading(void)
{
    char lines[64];
    snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
    notify(lines);
}

void service_stopping(void)
{
    notify("STOPPING=1");
}

/* A number of the environment; 0 when it is absent or none. */
static long long environment_number(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    long long value = text != NULL ? strtoll(text, &end, 10) : 0;
    return text != NULL && end != text && *end == '\0' && value > 0 ? value : 0;
}

int64_t service_watchdog_ms(void)
{
    long long watched = environment_number("WATCHDOG_PID");
    if (watched != 0 && watched != getpid())
        return 0;                                      /* it is a parent that is watched */
    return environment_number("WATCHDOG_USEC") / 2000; /* twice as often as asked */
}

void service_alive(void)
{
    notify("WATCHDOG=1");
}
