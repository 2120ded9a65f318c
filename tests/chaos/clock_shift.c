/* Preloaded into an agent: its wall clock is off by so many seconds as the first eight bytes of the
 * file CLOCK_SHIFT say, which may change at any time. The monotonic clock is left alone, as it is
 * when somebody sets a machine's clock, but for the seconds that the next eight bytes say, if there
 * are any: so long waits pass at once. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift; /* of the wall clock, and of the monotonic one */

__attribute__((constructor)) static void open_shift(void)
{
    const char *path = getenv("CLOCK_SHIFT");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    /* What is mapped behind the file's end reads as zeros. */
    void *mapped = mmap(NULL, 2 * sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        shift = mapped;
    close(fd);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && shift != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift[0];
    if (status == 0 && shift != NULL && clock == CLOCK_MONOTONIC)
        now->tv_sec += shift[1];
    return status;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict now,
                                                        void *restrict zone)
{
    struct timespec told;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &told);
    now->tv_sec = told.tv_sec;
    now->tv_usec = told.tv_nsec / 1000;
    return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *result)
{
    struct timespec told;
    clock_gettime(CLOCK_REALTIME, &told);
    if (result != NULL)
        *result = told.tv_sec;
    return told.tv_sec;
}
