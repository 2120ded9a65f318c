/* Writing to stderr without waiting: see log_output.h.
 *
 * O_NONBLOCK belongs to the open file, which we share with whoever has started us: set there, their
 * writes would fail, or ours would wait again when they take it back. So a socket is told with each
 * call, and a pipe or a terminal is opened a second time. That is refused where it is another
 * user's (a container's runtime, `runuser ... | tee`), and where there is no /proc. The terminal of
 * our session is then still open to us as /dev/tty. Else poll(2) is asked first: a pipe that has
 * any room takes a line at once, as long as nobody else writes in between; a lock holds for our own
 * threads.
 *
 * A terminal that has room for a byte has us wait with the rest of a line, and does not tell how
 * much room it has (TIOCOUTQ is always 0 on a pseudoterminal). So where it is neither ours nor our
 * session's (`su -c`, setsid) there is no way not to wait for it.
 */
#include "log_output.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static_assert(LOG_LINE_MAX_BYTES <= PIPE_BUF, "a line may go into a pipe in parts");

/* Written before there are threads. */
static enum { BY_WRITE, BY_SEND, BY_POLL } way = BY_WRITE;
static int fd = STDERR_FILENO;
static bool is_set_up;

static pthread_mutex_t poll_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_cut; /* the line before has no end */

/* -1 when that is refused. */
static int open_anew(void)
{
    enum { FLAGS = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
    int own = open("/proc/self/fd/2", FLAGS);
    if (own < 0 && tcgetsid(STDERR_FILENO) == getsid(0))
        own = open("/dev/tty", FLAGS);
    return own;
}

void log_output_never_wait(void)
{
    struct stat about;
    if (is_set_up || fstat(STDERR_FILENO, &about) != 0)
        return;
    is_set_up = true;
    if (S_ISSOCK(about.st_mode)) {
        way = BY_SEND;
    } else if (S_ISFIFO(about.st_mode) || isatty(STDERR_FILENO)) {
        int own = open_anew();
        if (own >= 0)
            fd = own;
        else
            way = BY_POLL;
    }
}

static ssize_t write_if_ready(const char *bytes, size_t size)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    ssize_t written = -1;
    pthread_mutex_lock(&poll_lock);
    if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0)
        written = write(fd, bytes, size);
    pthread_mutex_unlock(&poll_lock);
    return written;
}

static ssize_t put(const char *bytes, size_t size)
{
    switch (way) {
    case BY_SEND: return send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    case BY_POLL: return write_if_ready(bytes, size);
    default: return write(fd, bytes, size);
    }
}

/* A terminal, a disk and a stream over TCP may take the first part of a line. */
bool log_output_write(const char *line, size_t size)
{
    assert(size <= LOG_LINE_MAX_BYTES);
    if (atomic_load_explicit(&is_cut, memory_order_relaxed)) {
        if (put("\n", 1) != 1)
            return false;
        atomic_store(&is_cut, false);
    }
    ssize_t written = put(line, size);
    if (written > 0 && (size_t)written < size)
        atomic_store(&is_cut, true);
    return written >= 0 && (size_t)written == size;
}
