/* How much memory the process may still take, as the kernel tells. */
#pragma once

#include "core/base.h"

struct memory_room {
    uint64_t bytes;  /* UINT64_MAX: nobody tells */
    char limit[256]; /* what leaves no more: "MemAvailable of /proc/meminfo" */
};

/* The least that the machine, the control groups of the process (version 2) and its own limits
 * leave, with what the kernel would drop for it, and swap. What cannot be read limits nothing.
 * `root` stands before "/proc" and "/sys": "" but in tests. */
void memory_room_read(const char *root, struct memory_room *room);
