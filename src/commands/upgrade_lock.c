/* One upgrade at a time: see upgrade_lock.h.
 *
 * The lock is an address of a socket that nobody sends to. A file would take a folder that every
 * admin may write to, and outlives a kill -9. */
#include "upgrade_lock.h"

#include "core/hash.h"
#include "core/slice.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int upgrade_lock(const char *socket_path, const char *tenant, struct error_text *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *real = realpath(socket_path, NULL);
    uint64_t hash = hash_content(slice_of(real != NULL ? real : socket_path), 0);
    hash = hash_content(slice_of(tenant), hash);
    free(real);
    /* The first byte stays 0: an abstract address. The name is there to be read. */
    int size = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
                        "owui-spoa-upgrade-%016llx-%.60s", (unsigned long long)hash, tenant);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) + (socklen_t)size;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0)
        return fd;
    if (errno == EADDRINUSE)
        error_set(
            why, ERROR_BUSY,
            "another upgrade of %s is under way on this machine: it has to end first (ss -xap "
            "| grep owui-spoa-upgrade tells its process)",
            tenant);
    else
        error_set_errno(why, "cannot keep others from upgrading %s too", tenant);
    if (fd >= 0)
        close(fd);
    return -1;
}
