/* How much memory the process may still take, as the kernel tells. */
#pragma once

#include "core/base.h"

struct memory_room {
    uint64_t bytes;  /* UINT64_MAX: not known */
    char limit[256]; /* which limit is the narrowest: "MemAvailable of /proc/meminfo" */
};

/* The narrowest of what the machine, the control groups of the process (version 2) and its own
 * resource limits leave, counting what the kernel would drop for it and free swap. A limit that
 * cannot be read does not count. `root` is put before "/proc" and "/sys": "" except in tests. */
void memory_room_read(const char *root, struct memory_room *room);
