/* What memory is left: see core/memory_room.h. */
#include "core/memory_room.h"

#include "core/memory.h"
#include "core/whole_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 256 * 1024, KIB = 1024 };

#define GROUPS "/sys/fs/cgroup"

/* The text of a file, for free(); NULL when there is none. */
static char *read_file(const char *root, const char *group, const char *name)
{
    char *path = memory_format("%s%s%s", root, group, name);
    char *text = NULL;
    (void)!whole_file_read(path, FILE_MAX_BYTES, &text, NULL, NULL);
    free(path);
    return text;
}

/* What follows `name` on the line that starts with it; NULL when none does. */
static const char *find_line(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, size) == 0)
            return line + size;
    }
    return NULL;
}

/* False for "max", and where there is nothing. */
static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    if (text == NULL)
        return false;
    *number = strtoull(text, &end, 10);
    return end != text;
}

static uint64_t number_of(const char *text, const char *name)
{
    uint64_t number = 0;
    return read_number(find_line(text, name), &number) ? number : 0;
}

static bool read_number_file(const char *root, const char *group, const char *name,
                             uint64_t *number)
{
    char *text = read_file(root, group, name);
    bool is_number = read_number(text, number);
    free(text);
    return is_number;
}

static uint64_t left_of(uint64_t most, uint64_t taken)
{
    return most > taken ? most - taken : 0;
}

static void narrow(struct memory_room *room, uint64_t bytes, const char *what, const char *where)
{
    if (bytes >= room->bytes)
        return;
    room->bytes = bytes;
    snprintf(room->limit, sizeof(room->limit), "%s%s", what, where);
}

/* -- The machine ------------------------------------------------------------------------------ */

/* Returns what is left of the swap. */
static uint64_t look_at_machine(const char *root, struct memory_room *room)
{
    uint64_t available;
    char *text = read_file(root, "", "/proc/meminfo");
    uint64_t swap = number_of(text, "SwapFree:") * KIB;
    if (read_number(find_line(text, "MemAvailable:"), &available))
        narrow(room, available * KIB + swap, "MemAvailable of /proc/meminfo", "");
    free(text);
    return swap;
}

/* -- Control groups --------------------------------------------------------------------------- */

/* Pages of files count as taken, and are dropped when there is need. */
static uint64_t droppable(const char *root, const char *group)
{
    char *text = read_file(root, group, "/memory.stat");
    uint64_t bytes = number_of(text, "inactive_file ") + number_of(text, "active_file ") +
                     number_of(text, "slab_reclaimable ");
    free(text);
    return bytes;
}

static uint64_t swap_of(const char *root, const char *group, uint64_t swap)
{
    uint64_t most, taken;
    if (!read_number_file(root, group, "/memory.swap.max", &most) ||
        !read_number_file(root, group, "/memory.swap.current", &taken) ||
        left_of(most, taken) > swap)
        return swap;
    return left_of(most, taken);
}

static void look_at_group(const char *root, const char *group, uint64_t swap,
                          struct memory_room *room)
{
    uint64_t most, taken;
    if (!read_number_file(root, group, "/memory.max", &most) ||
        !read_number_file(root, group, "/memory.current", &taken))
        return;
    taken = left_of(taken, droppable(root, group));
    narrow(room, left_of(most, taken) + swap_of(root, group, swap), "memory.max of ", group);
}

/* Its own and those around it, each of which may allow less. */
static void look_at_groups(const char *root, uint64_t swap, struct memory_room *room)
{
    char *text = read_file(root, "", "/proc/self/cgroup");
    const char *path = find_line(text, "0::");
    if (path != NULL) {
        char *group = memory_format(GROUPS "%.*s", (int)strcspn(path, "\n"), path);
        for (size_t size = strlen(group); size >= strlen(GROUPS); size--) {
            bool is_end = group[size] == '\0' || group[size] == '/';
            group[size] = '\0';
            if (is_end && group[size - 1] != '/')
                look_at_group(root, group, swap, room);
        }
        free(group);
    }
    free(text);
}

/* -- The process's own limits ----------------------------------------------------------------- */

static void look_at_limit(int resource, uint64_t taken, const char *name, struct memory_room *room)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        narrow(room, left_of(limit.rlim_cur, taken), name, "");
}

static void look_at_limits(const char *root, struct memory_room *room)
{
    char *text = read_file(root, "", "/proc/self/status");
    if (text != NULL) {
        look_at_limit(RLIMIT_AS, number_of(text, "VmSize:") * KIB, "RLIMIT_AS", room);
        look_at_limit(RLIMIT_DATA, number_of(text, "VmData:") * KIB, "RLIMIT_DATA", room);
    }
    free(text);
}

void memory_room_read(const char *root, struct memory_room *room)
{
    *room = (struct memory_room){.bytes = UINT64_MAX};
    uint64_t swap = look_at_machine(root, room);
    look_at_groups(root, swap, room);
    look_at_limits(root, room);
}
