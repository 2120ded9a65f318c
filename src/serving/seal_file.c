/* Keys of cookies on disk: see seal_file.h. */
#include "serving/seal_file.h"

#include "core/decimal.h"
#include "core/file.h"
#include "core/file_path.h"
#include "core/hex.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_LIFE_S = SEAL_LIFE_S,
    YOUNG_S = 2 * SEAL_FILE_LOOK_S, /* until all who share the file have read it */
    CLOCKS_DIFFER_S = 300,          /* of several machines, and no fault of any */
    TIME_MAX_DIGITS = 12,
    KEY_HEX_BYTES = CRYPTO_SEAL_KEY_BYTES * 2,
    LINE_MAX_BYTES = 20 + 1 + KEY_HEX_BYTES + 1,
    FILE_MAX_BYTES = SEAL_KEYS * LINE_MAX_BYTES,
};

struct key_ring {
    struct seal_keys keys;
    int64_t made_s[SEAL_KEYS];
};

static bool parse(struct slice text, struct key_ring *ring)
{
    *ring = (struct key_ring){0};
    while (text.size > 0) {
        unsigned i = ring->keys.count;
        uint64_t made_s;
        if (!slice_has(text, '\n') || i == SEAL_KEYS)
            return false;
        struct slice key = slice_cut(&text, '\n');
        if (!decimal_parse(slice_cut(&key, ' '), TIME_MAX_DIGITS, &made_s) ||
            !hex_read(key, ring->keys.keys[i], CRYPTO_SEAL_KEY_BYTES))
            return false;
        ring->made_s[i] = (int64_t)made_s;
        ring->keys.count++;
    }
    return ring->keys.count > 0;
}

static enum error read_ring(const char *path, struct key_ring *ring, struct error_text *why)
{
    char text[FILE_MAX_BYTES + 1] = "";
    struct stat about;
    *ring = (struct key_ring){0};
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? error_set(why, ERROR_NOT_FOUND, "%s is not there", path)
                               : error_set_errno(why, "cannot open %s", path);
    enum error error = ERROR_OK;
    ssize_t size = -1;
    if (fstat(fd, &about) != 0)
        error = error_set_errno(why, "cannot look at %s", path);
    else if (!S_ISREG(about.st_mode) || (about.st_mode & 077) != 0)
        error =
            error_set(why, ERROR_INVALID,
                      "%s must be a file that its owner alone can read: chmod 600 it, or remove "
                      "it to have another made",
                      path);
    else if ((size = read(fd, text, sizeof(text))) < 0)
        error = error_set_errno(why, "cannot read %s", path);
    close(fd);
    if (error == ERROR_OK && !parse(slice_from(text, (size_t)size), ring)) {
        error = error_set(why, ERROR_INVALID, "%s does not hold keys: remove it to have some made",
                          path);
        *ring = (struct key_ring){0};
    }
    memory_wipe(text, sizeof(text));
    return error;
}

static enum error write_ring(const char *path, const struct key_ring *ring, struct error_text *why)
{
    static const struct file_mode MODE = {.mode = 0600, .owner = -1, .group = -1};
    char text[FILE_MAX_BYTES + 1];
    size_t size = 0;
    for (unsigned i = 0; i < ring->keys.count; i++) {
        size +=
            (size_t)snprintf(text + size, sizeof(text) - size, "%lld ", (long long)ring->made_s[i]);
        hex_print(ring->keys.keys[i], CRYPTO_SEAL_KEY_BYTES, text + size);
        size += 2 * (size_t)CRYPTO_SEAL_KEY_BYTES;
        text[size++] = '\n';
    }
    struct folder folder;
    char *folder_path = memory_copy_text(file_path_folder(path));
    enum error error = folder_open(&folder, folder_path, 0700, why);
    if (error == ERROR_OK)
        error = file_replace(&folder, &folder, file_path_name(path), slice_from(text, size), &MODE,
                             why);
    folder_close(&folder);
    memory_wipe(text, sizeof(text));
    free(folder_path);
    return error;
}

static void add_key(struct key_ring *ring, int64_t now_s)
{
    for (unsigned i = SEAL_KEYS - 1; i > 0; i--) {
        memcpy(ring->keys.keys[i], ring->keys.keys[i - 1], CRYPTO_SEAL_KEY_BYTES);
        ring->made_s[i] = ring->made_s[i - 1];
    }
    crypto_random(ring->keys.keys[0], CRYPTO_SEAL_KEY_BYTES);
    ring->made_s[0] = now_s;
    if (ring->keys.count < SEAL_KEYS)
        ring->keys.count++;
}

/* By a clock that is behind, or of one that was ahead, a key is of the future: it is left alone.
 * The wrong clock may be this one, and who renews a key too late does less harm than who drops the
 * one before, by whose cookies people are known. */
static bool is_due(const struct key_ring *ring, int64_t now_s)
{
    return ring->keys.count == 0 || now_s - ring->made_s[0] >= KEY_LIFE_S;
}

/* Not one of the future, which would be young for as long as it takes that to come. */
static bool is_young(int64_t made_s, int64_t now_s)
{
    return now_s - made_s < YOUNG_S && made_s - now_s <= CLOCKS_DIFFER_S;
}

/* A key that other agents may not have read yet comes second. */
static struct seal_keys keys_at(const struct key_ring *ring, int64_t now_s)
{
    struct seal_keys keys = ring->keys;
    if (keys.count > 1 && is_young(ring->made_s[0], now_s)) {
        memcpy(keys.keys[0], ring->keys.keys[1], CRYPTO_SEAL_KEY_BYTES);
        memcpy(keys.keys[1], ring->keys.keys[0], CRYPTO_SEAL_KEY_BYTES);
    }
    return keys;
}

/* Reading takes no lock, since the file is always a whole one. */
static enum error renew(const char *path, int64_t now_s, bool is_locked, struct key_ring *ring,
                        struct error_text *why)
{
    enum error error = read_ring(path, ring, why);
    if (error != ERROR_OK && error != ERROR_NOT_FOUND)
        return error;
    if (!is_due(ring, now_s))
        return ERROR_OK;
    if (!is_locked)
        return error_set(why, ERROR_BUSY, "another process has the lock %s.lock", path);
    struct key_ring renewed = *ring;
    add_key(&renewed, now_s);
    error = write_ring(path, &renewed, why);
    if (error == ERROR_OK)
        *ring = renewed;
    memory_wipe(&renewed, sizeof(renewed));
    return error;
}

enum error seal_file_read(const char *path, struct seal_keys *keys, struct error_text *why)
{
    struct key_ring ring;
    enum error error = read_ring(path, &ring, why);
    *keys = ring.keys;
    memory_wipe(&ring, sizeof(ring));
    return error;
}

enum error seal_file_look(const char *path, int64_t now_s, struct seal_keys *keys, bool *due,
                          struct error_text *why)
{
    struct key_ring ring;
    enum error error = read_ring(path, &ring, why);
    *keys = keys_at(&ring, now_s);
    *due = (error == ERROR_OK || error == ERROR_NOT_FOUND) && is_due(&ring, now_s);
    memory_wipe(&ring, sizeof(ring));
    return error;
}

/* The lock is a file of its own, because a renamed one takes its lock away. Who has it may be
 * stopped, and the caller has more to do than to wait. */
enum error seal_file_renew(const char *path, int64_t now_s, struct seal_keys *keys,
                           struct error_text *why)
{
    struct key_ring ring;
    bool due;
    char *lock_path = memory_format("%s.lock", path);
    int lock = open(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool is_locked = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0;
    enum error error = ERROR_OK;
    if (!is_locked && (lock < 0 || errno != EWOULDBLOCK)) {
        error = error_set_errno(why, "cannot lock %s", lock_path);
        enum error present = seal_file_look(path, now_s, keys, &due, NULL);
        (void)present; /* none, if they cannot be read either */
    } else {
        error = renew(path, now_s, is_locked, &ring, why);
        *keys = keys_at(&ring, now_s);
        memory_wipe(&ring, sizeof(ring));
    }
    if (lock >= 0)
        close(lock);
    free(lock_path);
    return error;
}
