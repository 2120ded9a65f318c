/* Preloaded into an agent: allocations of its libraries fail. The file FAILING_MEMORY has four
 * numbers of eight bytes: the first allocation to fail, counted from when that number was written
 * (0: none does), how many in a row do, how many there were, and how many have failed.
 *
 * Those of the program itself are left alone, since it ends when one fails (core/memory.h), as are
 * those of libev, which ends it too, and of libc, whose are nearly all the program's own texts. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

/* As the compiler lays a frame out, the caller's one is where its first word points to. */
struct frame {
    const struct frame *before;
    void *returns_to;
};
#define FRAME ((const struct frame *)__builtin_frame_address(0))

struct state {
    _Atomic int64_t first, count, seen, failed;
};

static struct state *state;

__attribute__((constructor)) static void open_state(void)
{
    const char *path = getenv("FAILING_MEMORY");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        state = mapped;
    close(fd);
}

/* "" is the program; NULL: nobody knows. */
static const char *name_of(void *place)
{
    struct dl_find_object found;
    return _dl_find_object(place, &found) == 0 ? found.dlfo_link_map->l_name : NULL;
}

static bool is_library(const char *name)
{
    static const char *const OTHERS[] = {"/libc.so",   "/ld-linux", "/libasan.",       "/libubsan.",
                                         "/libgcc_s.", "/libev.",   "/failing_memory."};
    if (name == NULL || name[0] == '\0')
        return false;
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
        if (strstr(name, OTHERS[i]) != NULL)
            return false;
    return true;
}

/* OpenSSL's allocations come through a function of the program (src/crypto/openssl.c). */
static bool is_asked_by_library(const struct frame *frame)
{
    const char *name = name_of(frame->returns_to);
    if (name == NULL || name[0] != '\0')
        return is_library(name);
    name = name_of(frame->before->returns_to);
    return name != NULL && strstr(name, "/libcrypto.") != NULL;
}

static bool fails(const struct frame *frame)
{
    int64_t first = state != NULL ? state->first : 0;
    if (first == 0 || !is_asked_by_library(frame))
        return false;
    int64_t number = atomic_fetch_add(&state->seen, 1) + 1;
    if (number < first || number - first >= state->count)
        return false;
    atomic_fetch_add(&state->failed, 1);
    errno = ENOMEM;
    return true;
}

/* The next library's, which may be a sanitizer's. */
#define NEXT(NAME)                   \
    static __typeof__(&(NAME)) next; \
    if (next == NULL)                \
    *(void **)&next = dlsym(RTLD_NEXT, #NAME)

EXPORTED void *malloc(size_t size)
{
    NEXT(malloc);
    return fails(FRAME) ? NULL : next(size);
}

EXPORTED void *calloc(size_t number, size_t size)
{
    NEXT(calloc);
    return fails(FRAME) ? NULL : next(number, size);
}

EXPORTED void *realloc(void *block, size_t size)
{
    NEXT(realloc);
    return fails(FRAME) ? NULL : next(block, size);
}

EXPORTED char *strdup(const char *text)
{
    NEXT(strdup);
    return fails(FRAME) ? NULL : next(text);
}

EXPORTED char *strndup(const char *text, size_t size)
{
    NEXT(strndup);
    return fails(FRAME) ? NULL : next(text, size);
}
