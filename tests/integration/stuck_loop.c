/* Preloaded into an agent: a thread whose name begins with STUCK_THREAD and that receives something
 * does not come back from it while the file STUCK_LOOP is there, as one that is caught in a call
 * that does not end. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int is_meant(void)
{
    const char *wanted = getenv("STUCK_THREAD");
    char name[16] = "";
    return wanted != NULL && prctl(PR_GET_NAME, name) == 0 &&
           strncmp(name, wanted, strlen(wanted)) == 0;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *data, size_t size, int flags)
{
    const char *gate = getenv("STUCK_LOOP");
    const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
    while (gate != NULL && is_meant() && access(gate, F_OK) == 0)
        nanosleep(&moment, NULL);
    return syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
}
