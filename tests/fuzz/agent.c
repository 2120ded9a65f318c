/* The whole agent, for AFL++: see tests/fuzz/agent, which builds and starts this.
 *
 * The daemon runs in a thread as `owui-spoa run` would have it, with its listener, its loops and
 * its configuration; an input is what one HAProxy sends over one connection. The first byte tells
 * how:
 *
 *     1  a HELLO comes in front
 *     2  length words are mended, so that not each change ends the connection
 *     4  in two pieces, which the agent may receive one by one
 *
 * With files as arguments it sends these instead, each as AFL++ would have: for what was found.
 */
#include "core/slice.h"
#include "daemon.h"
#include "spop/spop_session.h"
#include "support/spop_peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __AFL_COMPILER
/* Its macros are not written as strictly as the rest. */
#pragma clang diagnostic ignored "-Wcast-qual"
#pragma clang diagnostic ignored "-Wshorten-64-to-32"
__AFL_FUZZ_INIT();
#endif

enum {
    WITH_HELLO = 1,
    MENDED = 2,
    IN_TWO = 4,
    INPUT_MAX_BYTES = 1 << 20,
    HELLO_ROOM = 256,
    /* Connections of one process, so that what stays behind of one meets the next ones. */
    INPUTS_PER_PROCESS = 10000,
};

static const char *socket_path;

/* It has to go on: an agent that ends by itself is a finding. */
static void *run_daemon(void *configuration)
{
    int status = daemon_run(configuration);
    fprintf(stderr, "the daemon has ended: %d\n", status);
    abort();
}

static int try_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connected(void)
{
    int fd;
    while ((fd = try_connect()) < 0)
        usleep(1000);
    return fd;
}

static void start_agent(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_daemon, getenv("OWUI_FUZZ_CONFIGURATION")) != 0)
        abort();
    close(connected());
}

/* Takes what comes meanwhile, since an agent that cannot answer does not read either. */
static void send_all(int fd, struct slice bytes)
{
    uint8_t answers[4096];
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            bytes = slice_skip(bytes, (size_t)sent);
        else if (recv(fd, answers, sizeof(answers), 0) <= 0)
            return;
    }
}

static void run_input(const uint8_t *data, size_t size)
{
    static uint8_t stream[HELLO_ROOM + INPUT_MAX_BYTES];
    uint8_t answers[4096];
    if (size == 0 || size > INPUT_MAX_BYTES)
        return;
    struct writer writer = writer_of(stream, sizeof(stream));
    if ((data[0] & WITH_HELLO) != 0)
        peer_write_hello(&writer, SPOP_MAX_FRAME_BYTES, false);
    size_t own = writer_used(&writer);
    writer_bytes(&writer, slice_from(data + 1, size - 1));
    if ((data[0] & MENDED) != 0)
        peer_mend_lengths(stream + own, size - 1, size - 1);
    struct slice bytes = writer_written(&writer);
    size_t first = (data[0] & IN_TWO) != 0 ? own + (size - 1) / 2 : bytes.size;
    int fd = connected();
    send_all(fd, slice_head(bytes, first));
    send_all(fd, slice_skip(bytes, first));
    shutdown(fd, SHUT_WR);
    while (recv(fd, answers, sizeof(answers), 0) > 0)
        continue;
    close(fd);
}

static int replay(const char *path)
{
    static uint8_t data[INPUT_MAX_BYTES];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    run_input(data, fread(data, 1, sizeof(data), file));
    fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    int status = 0;
    socket_path = getenv("OWUI_FUZZ_SOCKET");
    if (socket_path == NULL || getenv("OWUI_FUZZ_CONFIGURATION") == NULL) {
        fputs("tests/fuzz/agent starts this\n", stderr);
        return 2;
    }
#ifdef __AFL_COMPILER
    if (argc == 1) {
        __AFL_INIT(); /* threads are no part of what is forked */
        const uint8_t *data = __AFL_FUZZ_TESTCASE_BUF;
        start_agent();
        while (__AFL_LOOP(INPUTS_PER_PROCESS))
            run_input(data, (size_t)__AFL_FUZZ_TESTCASE_LEN);
        _exit(0);
    }
#endif
    start_agent();
    for (int i = 1; i < argc; i++)
        status |= replay(argv[i]);
    fflush(stdout);
    _exit(status);
}
