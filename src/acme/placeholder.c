/* The certificate that HAProxy shows for names that have none: see acme/placeholder.h. */
#include "acme/placeholder.h"

#include "core/file_path.h"
#include "core/memory.h"
#include "crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* No client asks for a name in .invalid (RFC 6761 6.4). */
#define NAME "placeholder.invalid"

enum {
    DAY_S = 86400,
    LIFE_S = 10 * 365 * DAY_S, /* renewed with the service's start, which may be rare */
    LEFT_MIN_S = 365 * DAY_S,
    FILE_MAX_BYTES = 64 * 1024,
};

static bool is_good(const struct folder *folder, const char *name, int64_t now_s)
{
    struct bytes pem = {0};
    struct bytes chain = {0};
    struct crypto_certificate leaf = {0};
    struct crypto_key *key = NULL;
    bool good = false;
    if (file_read(folder, name, FILE_MAX_BYTES, &pem, NULL) == ERROR_OK &&
        crypto_key_from_pem(bytes_slice(&pem), &key, NULL) == ERROR_OK &&
        crypto_chain_tidy(bytes_slice(&pem), key, &chain, &leaf, NULL) == ERROR_OK) {
        good = strcmp(leaf.issuer, NAME) != 0 || leaf.not_after_s - now_s > LEFT_MIN_S;
        crypto_certificate_free(&leaf);
    }
    crypto_key_free(key);
    bytes_free(&chain);
    bytes_free(&pem);
    return good;
}

static enum error make(const struct folder *folder, const char *name, const struct file_mode *mode,
                       int64_t now_s, struct error_text *why)
{
    struct bytes pem = {0};
    struct bytes certificate = {0};
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, why);
    enum error error = key != NULL ? crypto_key_to_pem(key, &pem, why) : ERROR_SYSTEM;
    if (error == ERROR_OK)
        error = crypto_self_signed(key, NAME, now_s - DAY_S, now_s + LIFE_S, &certificate, why);
    if (error == ERROR_OK && !bytes_append(&pem, bytes_slice(&certificate), FILE_MAX_BYTES))
        error = error_set(why, ERROR_NO_MEMORY, "out of memory");
    if (error == ERROR_OK)
        error = file_replace(folder, folder, name, bytes_slice(&pem), mode, why);
    crypto_key_free(key);
    bytes_free(&certificate);
    bytes_free(&pem);
    return error;
}

/* The folder around is the service's, and root may be who makes this one in it: no link leads it to
 * another. */
static enum error open_inside(const struct folder *around, const char *path, struct folder *folder,
                              bool *is_new, struct error_text *why)
{
    const char *name = file_path_name(path);
    *is_new = mkdirat(around->fd, name, 0755) == 0;
    if (!*is_new && errno != EEXIST)
        return error_set_errno(why, "cannot make the folder %s", path);
    int fd = openat(around->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set_errno(why, "cannot open %s, which is to be a folder and no link", path);
    *folder = (struct folder){.fd = fd, .path = memory_copy_text(slice_of(path))};
    return ERROR_OK;
}

/* What root makes for the service, the service has to be able to replace. */
static enum error take_owner(const struct folder *around, const struct folder *folder, bool is_new,
                             struct file_mode *mode, struct error_text *why)
{
    struct stat status;
    if (geteuid() != 0 || mode->owner >= 0)
        return ERROR_OK;
    if (fstat(around->fd, &status) != 0 ||
        (is_new && fchown(folder->fd, status.st_uid, status.st_gid) != 0))
        return error_set_errno(why, "cannot give %s to the owner of the folder around it",
                               folder->path);
    mode->owner = (int)status.st_uid;
    return ERROR_OK;
}

enum error placeholder_ensure(const char *path, const struct file_mode *mode, int64_t now_s,
                              struct error_text *why)
{
    const char *name = file_path_name(path);
    struct file_mode own_mode = *mode;
    struct folder around = {.fd = -1}, folder = {.fd = -1};
    bool is_new = false;
    char *place = memory_copy_text(file_path_folder(path));
    char *place_around = memory_copy_text(file_path_folder(place));
    enum error error = folder_open(&around, place_around, 0755, why);
    if (error == ERROR_OK)
        error = open_inside(&around, place, &folder, &is_new, why);
    if (error == ERROR_OK && !is_good(&folder, name, now_s)) {
        error = take_owner(&around, &folder, is_new, &own_mode, why);
        if (error == ERROR_OK)
            error = make(&folder, name, &own_mode, now_s, why);
    }
    folder_close(&folder);
    folder_close(&around);
    free(place_around);
    free(place);
    return error;
}
