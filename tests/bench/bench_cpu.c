/* The CPU time of another process: see bench/bench_cpu.h. */
#include "bench/bench_cpu.h"

#include "bench/bench_socket.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        bench_give_up("%s: the agent is gone", path);
    size_t used = fread(text, 1, size - 1, file);
    text[used] = '\0';
    fclose(file);
}

/* The 14th and 15th field; the second one, a name in parentheses, may hold blanks. */
static void read_ticks(int pid, struct cpu_time *time)
{
    char path[64];
    char text[1024];
    unsigned long user, system;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    read_file(path, text, sizeof(text));
    const char *rest = strrchr(text, ')');
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                               &user, &system) != 2)
        bench_give_up("%s: not understood", path);
    double per_second = (double)sysconf(_SC_CLK_TCK);
    time->user_s = (double)user / per_second;
    time->system_s = (double)system / per_second;
}

struct cpu_time cpu_time_of(int pid)
{
    struct cpu_time time = {0};
    char folder[64];
    if (pid == 0)
        return time;
    read_ticks(pid, &time);
    snprintf(folder, sizeof(folder), "/proc/%d/task", pid);
    DIR *directory = opendir(folder);
    if (directory == NULL)
        bench_give_up("%s: the agent is gone", folder);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[512];
        char text[128];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s/schedstat", folder, entry->d_name);
        read_file(path, text, sizeof(text));
        time.total_s += strtod(text, NULL) / 1e9;
    }
    closedir(directory);
    return time;
}
