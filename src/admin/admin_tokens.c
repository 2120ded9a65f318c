/* Tokens in their file: see admin/admin_tokens.h. */
#include "admin/admin_tokens.h"

#include "core/file.h"
#include "core/file_path.h"
#include "core/hex.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "crypto/base64url.h"
#include "crypto/crypto.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* So that a token can be told as one wherever it turns up. */
#define PREFIX "owui_"

enum { RANDOM_BYTES = 32, FILE_MAX_BYTES = 64 * 1024 };

static_assert(sizeof(PREFIX) + BASE64URL_LENGTH(RANDOM_BYTES) == ADMIN_TOKEN_SIZE,
              "a token's size");

static const char *const ROLES[] = {[ADMIN_ROLE_READ] = "read", [ADMIN_ROLE_ADMIN] = "admin"};

const char *admin_role_name(enum admin_role role)
{
    return ROLES[role];
}

bool admin_role_parse(struct slice name, enum admin_role *role)
{
    for (size_t i = 0; i < COUNT_OF(ROLES); i++)
        if (slice_equal(name, slice_of(ROLES[i]))) {
            *role = (enum admin_role)i;
            return true;
        }
    return false;
}

/* -- Text and bytes ---------------------------------------------------------------------------- */

static bool is_name_byte(char c)
{
    return ascii_is_lower(c) || ascii_is_digit(c) || byte_is_one_of(c, "._-");
}

static bool name_is_valid(struct slice name)
{
    return name.size > 0 && name.size < ADMIN_TOKEN_NAME_SIZE &&
           slice_consists_of(name, is_name_byte);
}

/* -- The file ---------------------------------------------------------------------------------- */

static bool read_token(const struct json_member *member, struct admin_token *token)
{
    struct slice role, hash, made;
    *token = (struct admin_token){.role = ADMIN_ROLE_READ};
    if (!name_is_valid(member->key) || !json_read_text(json_get(member->value, "role"), &role) ||
        !json_read_text(json_get(member->value, "sha256"), &hash) ||
        !admin_role_parse(role, &token->role) ||
        !hex_read(hash, token->hash, ADMIN_TOKEN_HASH_BYTES))
        return false;
    if (json_read_text(json_get(member->value, "made"), &made) &&
        !time_text_parse_rfc3339(made, &token->made_wall_s))
        return false;
    memcpy(token->name, member->key.data, member->key.size);
    return true;
}

static enum error parse(const char *path, struct slice text, struct admin_tokens *tokens,
                        struct error_text *why)
{
    struct error_text reason;
    struct json *root = json_parse(text, FILE_MAX_BYTES, NULL, &reason);
    const struct json *list = json_get(root, "tokens");
    enum error error = ERROR_OK;
    if (root == NULL)
        error = error_set(why, ERROR_INVALID, "%s is not JSON: %s", path, reason.text);
    else if (json_type_of(list) != JSON_TYPE_OBJECT || json_count(list) > ADMIN_TOKENS_MAX)
        error = error_set(why, ERROR_INVALID, "%s needs \"tokens\": {...}, of up to %d", path,
                          ADMIN_TOKENS_MAX);
    for (struct json_member m = {0}; error == ERROR_OK && json_next(list, &m);)
        if (!read_token(&m, &tokens->items[tokens->count++]))
            error = error_set(why, ERROR_INVALID,
                              "%s: \"%.*s\" is no token as `owui-spoa token add` writes them", path,
                              SLICE_PRINT(m.key));
    if (error != ERROR_OK)
        tokens->count = 0;
    json_free(root);
    return error;
}

static enum error read_open(int fd, const char *path, struct bytes *text, struct error_text *why)
{
    struct stat about;
    char block[4096];
    ssize_t got = 0;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        return error_set(why, ERROR_INVALID, "%s is no file", path);
    if ((about.st_mode & 077) != 0)
        return error_set(why, ERROR_REFUSED,
                         "%s may be read or written by others (mode %04o): chmod 600 it, and make "
                         "new tokens if others have read it",
                         path, (unsigned)(about.st_mode & 07777));
    while ((got = read(fd, block, sizeof(block))) > 0)
        if (!bytes_append(text, slice_from(block, (size_t)got), FILE_MAX_BYTES))
            return error_set(why, ERROR_TOO_BIG, "%s is too big", path);
    return got == 0 ? ERROR_OK : error_set_errno(why, "cannot read %s", path);
}

enum error admin_tokens_read(const char *path, struct admin_tokens *tokens, struct error_text *why)
{
    struct bytes text = {0};
    tokens->count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is_missing = fd < 0 && errno == ENOENT;
    if (fd < 0) {
        enum error failed = error_set_errno(why, "cannot open %s", path);
        return is_missing ? ERROR_NOT_FOUND : failed;
    }
    enum error error = read_open(fd, path, &text, why);
    if (error == ERROR_OK)
        error = parse(path, bytes_slice(&text), tokens, why);
    bytes_free(&text);
    close(fd);
    return error;
}

static struct json *tokens_json(const struct admin_tokens *tokens)
{
    struct json *root = json_new_object();
    struct json *list = json_new_object();
    json_put(root, "tokens", list);
    for (size_t i = 0; i < tokens->count; i++) {
        const struct admin_token *token = &tokens->items[i];
        struct json *one = json_new_object();
        char hex[2 * ADMIN_TOKEN_HASH_BYTES + 1];
        char time[TIME_TEXT_SIZE];
        hex_print(token->hash, ADMIN_TOKEN_HASH_BYTES, hex);
        json_put_text(one, "role", slice_of(admin_role_name(token->role)));
        json_put_text(one, "sha256", slice_of(hex));
        json_put_text(one, "made", slice_of(time_text_print(token->made_wall_s, time)));
        json_put(list, token->name, one);
    }
    return root;
}

/* Root writes for the service: the file stays whose it is, and a new one is the folder's owner's.
 */
static void keep_owner(const struct folder *folder, const char *name, struct file_mode *mode)
{
    struct stat about;
    if ((fstatat(folder->fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(about.st_mode)) &&
        fstat(folder->fd, &about) != 0)
        return;
    mode->owner = (int)about.st_uid;
    mode->group = (int)about.st_gid;
}

enum error admin_tokens_write(const char *path, const struct admin_tokens *tokens,
                              struct error_text *why)
{
    char *folder_path = memory_copy_text(file_path_folder(path));
    struct folder folder;
    enum error error = folder_open(&folder, folder_path, 0750, why);
    if (error == ERROR_OK) {
        struct file_mode mode = {.mode = 0600, .owner = -1, .group = -1};
        if (geteuid() == 0)
            keep_owner(&folder, file_path_name(path), &mode);
        struct json *root = tokens_json(tokens);
        char *text = json_print(root, JSON_STYLE_INDENTED);
        error = file_replace(&folder, &folder, file_path_name(path), slice_of(text), &mode, why);
        free(text);
        json_free(root);
        folder_close(&folder);
    }
    free(folder_path);
    return error;
}

/* -- Tokens ------------------------------------------------------------------------------------ */

static struct admin_token *by_name(struct admin_tokens *tokens, struct slice name)
{
    for (size_t i = 0; i < tokens->count; i++)
        if (slice_equal(slice_of(tokens->items[i].name), name))
            return &tokens->items[i];
    return NULL;
}

enum error admin_tokens_add(struct admin_tokens *tokens, struct slice name, enum admin_role role,
                            int64_t now_wall_s, char text[static ADMIN_TOKEN_SIZE],
                            struct error_text *why)
{
    uint8_t secret[RANDOM_BYTES];
    struct bytes made = {0};
    if (!name_is_valid(name))
        return error_set(
            why, ERROR_INVALID,
            "\"%.*s\" is no name for a token: 1 to 32 of a-z, 0-9, \".\", \"_\", \"-\"",
            SLICE_PRINT(name));
    if (by_name(tokens, name) != NULL)
        return error_set(why, ERROR_EXISTS,
                         "there is a token \"%.*s\" already: remove it, or take another name",
                         SLICE_PRINT(name));
    if (tokens->count == ADMIN_TOKENS_MAX)
        return error_set(why, ERROR_TOO_BIG, "there are %d tokens already", ADMIN_TOKENS_MAX);
    struct admin_token *token = &tokens->items[tokens->count];
    *token = (struct admin_token){.role = role, .made_wall_s = now_wall_s};
    memcpy(token->name, name.data, name.size);
    crypto_random(secret, sizeof(secret));
    if (!bytes_set(&made, SLICE(PREFIX)) ||
        !base64url_append(&made, slice_from(secret, sizeof(secret))) ||
        crypto_sha256(bytes_slice(&made), token->hash) != ERROR_OK) {
        bytes_free(&made);
        return error_set(why, ERROR_NO_MEMORY, "no token can be made");
    }
    memcpy(text, made.data, ADMIN_TOKEN_SIZE);
    tokens->count++;
    memory_wipe(secret, sizeof(secret));
    bytes_free(&made);
    return ERROR_OK;
}

bool admin_tokens_remove(struct admin_tokens *tokens, struct slice name)
{
    struct admin_token *token = by_name(tokens, name);
    if (token == NULL)
        return false;
    *token = tokens->items[--tokens->count];
    return true;
}

const struct admin_token *admin_tokens_find(const struct admin_tokens *tokens, struct slice text)
{
    const struct admin_token *found = NULL;
    uint8_t hash[ADMIN_TOKEN_HASH_BYTES];
    if (crypto_sha256(text, hash) != ERROR_OK)
        return NULL;
    for (size_t i = 0; i < tokens->count; i++)
        if (crypto_equal(tokens->items[i].hash, hash, sizeof(hash)))
            found = &tokens->items[i];
    return found;
}
