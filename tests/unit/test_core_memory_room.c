/* core: what memory is left, by files as the kernel writes them. */
#include "core/memory.h"
#include "core/memory_room.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static char root[] = "/tmp/owui-test-room.XXXXXX";

static void run(const char *command, const char *name)
{
    char *line = memory_format("%s %s/%s", command, root, name);
    cr_assert(zero(int, system(line)), "%s", line);
    free(line);
}

static void make_root(void)
{
    cr_assert(ne(ptr, mkdtemp(root), NULL));
    run("mkdir -p", "proc/self");
    run("mkdir -p", "sys/fs/cgroup/system.slice/owui.service");
}

static void remove_root(void)
{
    run("rm -rf", "");
}

TestSuite(memory_room, .init = make_root, .fini = remove_root);

static void write_file(const char *name, const char *text)
{
    char *path = memory_format("%s/%s", root, name);
    FILE *file = fopen(path, "we");
    cr_assert(ne(ptr, file, NULL), "%s", path);
    cr_assert(ge(int, fputs(text, file), 0));
    cr_assert(eq(int, fclose(file), 0));
    free(path);
}

#define GROUP  "sys/fs/cgroup/system.slice/owui.service/"
#define AROUND "sys/fs/cgroup/system.slice/"

static void write_machine(void)
{
    write_file("proc/meminfo", "MemTotal:       24684092 kB\nMemFree:        20196296 kB\n"
                               "MemAvailable:       1000 kB\nSwapCached:            7 kB\n"
                               "SwapFree:             24 kB\n");
}

static void write_group(void)
{
    write_file("proc/self/cgroup", "0::/system.slice/owui.service\n");
    write_file(GROUP "memory.max", "900000\n");
    write_file(GROUP "memory.current", "500000\n");
    write_file(GROUP "memory.stat", "anon 300000\nfile 200000\ninactive_file 70000\n"
                                    "active_file 30000\nslab_reclaimable 5000\n");
    write_file(GROUP "memory.swap.max", "0\n");
    write_file(GROUP "memory.swap.current", "0\n");
}

static void expect(uint64_t bytes, const char *limit)
{
    struct memory_room room;
    memory_room_read(root, &room);
    cr_expect(eq(u64, room.bytes, bytes));
    cr_expect(slice_equal(slice_of(room.limit), slice_of(limit)), "%s", room.limit);
}

Test(memory_room, nothing_is_told)
{
    expect(UINT64_MAX, "");
    write_file("proc/meminfo", "MemTotal: 1 kB\n"); /* before Linux 3.14 */
    write_file("proc/self/cgroup", "4:memory:/a\n1:cpu:/\n");
    expect(UINT64_MAX, "");
    write_file("proc/self/cgroup", "0::/gone\n");
    expect(UINT64_MAX, "");
    write_file("proc/meminfo", "");
    write_file("proc/self/cgroup", "0::");
    expect(UINT64_MAX, "");
}

Test(memory_room, of_the_machine_with_its_swap)
{
    write_machine();
    expect(UINT64_C(1024) * 1024, "MemAvailable of /proc/meminfo");
}

Test(memory_room, of_a_control_group_with_files_that_can_be_dropped)
{
    write_machine();
    write_group();
    expect(505000, "memory.max of /sys/fs/cgroup/system.slice/owui.service");
    write_file(GROUP "memory.swap.max", "10000\n");
    expect(515000, "memory.max of /sys/fs/cgroup/system.slice/owui.service");
    write_file(GROUP "memory.swap.max", "max\n"); /* then the machine has not more */
    expect(505000 + 24 * 1024, "memory.max of /sys/fs/cgroup/system.slice/owui.service");
    write_file(GROUP "memory.current", "2000000\n"); /* lowered below what is taken */
    write_file(GROUP "memory.swap.max", "0\n");
    expect(0, "memory.max of /sys/fs/cgroup/system.slice/owui.service");
    write_file(GROUP "memory.max", "max\n");
    expect(UINT64_C(1024) * 1024, "MemAvailable of /proc/meminfo");
}

Test(memory_room, of_a_control_group_around_it)
{
    write_group();
    write_file(AROUND "memory.max", "1000\n");
    write_file(AROUND "memory.current", "400\n");
    expect(600, "memory.max of /sys/fs/cgroup/system.slice");
    write_file("sys/fs/cgroup/memory.max", "500\n"); /* as in a container */
    write_file("sys/fs/cgroup/memory.current", "400\n");
    expect(100, "memory.max of /sys/fs/cgroup");
    write_file("proc/self/cgroup", "0::/\n");
    expect(100, "memory.max of /sys/fs/cgroup");
}

/* Limits that are far above what the sanitizers take. */
Test(memory_room, of_the_process)
{
    const struct rlimit space = {UINT64_C(1) << 60, RLIM_INFINITY};
    const struct rlimit data = {UINT64_C(1) << 59, RLIM_INFINITY};
    write_file("proc/self/status",
               "Name:\tx\nVmPeak:\t 9 kB\nVmSize:\t   4 kB\nVmData:\t   2 kB\n");
    expect(UINT64_MAX, "");
    cr_assert(zero(int, setrlimit(RLIMIT_AS, &space)));
    expect((UINT64_C(1) << 60) - 4096, "RLIMIT_AS");
    cr_assert(zero(int, setrlimit(RLIMIT_DATA, &data)));
    expect((UINT64_C(1) << 59) - 2048, "RLIMIT_DATA");
}
