/* A file that is mapped, and may be taken away: see trace_map.h.
 *
 * Nothing keeps others from truncating a file that they may write, and to look at its size before
 * each store would be a call for each decision, and too late at times. To write it from an
 * anonymous ring at intervals would lose the last interval when the process is killed, which is
 * what the file is for.
 */
#include "trace_map.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILE_MODE = 0640 };

/* -- A file that is gone ----------------------------------------------------------------------- */

/* Written while no thread is there that could fault in it. */
static struct {
    char *block; /* NULL: there is none */
    size_t size;
    struct main_waker *lost;
    atomic_bool is_lost;
    struct sigaction before;
} guarded;

#ifdef SYS_mmap2
enum { MMAP_CALL = SYS_mmap2 };
#else
enum { MMAP_CALL = SYS_mmap };
#endif

/* Memory of our own, all at once: entries of before would only be those that the file has left, and
 * a mapping for each page would be too many. A loop that is in the middle of an entry just then
 * loses its first half, which reads as empty texts. The system call itself, since the library's
 * function is not among those that a handler may call (signal-safety(7)), and the thread sanitizer
 * would take it for a store into what the other loops store into. */
static bool replace_file(void)
{
    return syscall(MMAP_CALL, guarded.block, guarded.size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != -1;
}

/* In the thread that has touched the memory, which tries again when this returns. Of several only
 * one replaces the file, or it would take away what another has stored already; the others come
 * here again until it has. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    int cause = errno;
    bool is_fault = info->si_code > 0;
    bool is_ours = info->si_code == BUS_ADRERR && guarded.block != NULL &&
                   (uintptr_t)info->si_addr - (uintptr_t)guarded.block < guarded.size;
    (void)context;
    if (is_ours && atomic_exchange(&guarded.is_lost, true))
        return;
    if (is_ours && replace_file()) {
        main_waker_wake(guarded.lost);
    } else {
        /* A fault comes again by itself, and what was sent is sent again. */
        sigaction(number, &guarded.before, NULL);
        if (!is_fault)
            raise(number);
    }
    errno = cause;
}

static void guard(char *block, size_t size, struct main_waker *lost)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    assert(guarded.block == NULL);
    sigemptyset(&action.sa_mask);
    guarded.block = block;
    guarded.size = size;
    guarded.lost = lost;
    atomic_store(&guarded.is_lost, false);
    sigaction(SIGBUS, &action, &guarded.before);
}

void trace_map_close(void *block, size_t size)
{
    assert(block == guarded.block);
    sigaction(SIGBUS, &guarded.before, NULL);
    guarded.block = NULL;
    munmap(block, size);
}

/* -- A new one --------------------------------------------------------------------------------- */

/* Allocated on the disk, so that a full one is told here and not by SIGBUS. */
static void *map_file(const char *path, size_t size, struct error_text *why)
{
    void *block = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    int failure = fd >= 0 ? posix_fallocate(fd, 0, (off_t)size) : 0;
    if (fd >= 0 && failure == 0)
        block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    else if (failure != 0)
        errno = failure;
    if (block == MAP_FAILED) {
        error_set_errno(why, "the trace's file %s cannot be made, of %zu bytes", path, size);
        if (fd >= 0)
            unlink(path);
    }
    if (fd >= 0)
        close(fd);
    return block != MAP_FAILED ? block : NULL;
}

/* The new file is whole before it takes the name. */
void *trace_map_open(const char *path, size_t size, const struct trace_header *header,
                     struct main_waker *lost, struct error_text *why)
{
    char *fresh = memory_format("%s.new", path);
    char *old = memory_format("%s.old", path);
    void *block = map_file(fresh, size, why);
    if (block != NULL) {
        guard(block, size, lost);
        memset(block, 0, size); /* every page is there from now on */
        memcpy(block, header, sizeof(*header));
        if (rename(path, old) != 0 && errno != ENOENT) {
            error_set_errno(why, "cannot rename %s to %s", path, old);
        } else if (rename(fresh, path) == 0) {
            free(fresh);
            free(old);
            return block;
        } else {
            error_set_errno(why, "cannot rename %s to %s", fresh, path);
        }
        trace_map_close(block, size);
        unlink(fresh);
    }
    free(fresh);
    free(old);
    return NULL;
}
