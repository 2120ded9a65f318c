/* Keys, certificates, accounts and memory on disk: see acme/store.h. */
#include "acme/store.h"

#include "store_facts.h"
#include "store_ours.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "json/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_MAX_BYTES = 16 * 1024,
    STATE_MAX_BYTES = 4 * 1024 * 1024,
    FILE_MAX_BYTES = CRYPTO_CHAIN_MAX_BYTES,
    HISTORY_DEFAULT = 3,
    TRASH_MAX = 100, /* then the oldest go */
    REST_MS_DEFAULT = 10 * 1000,
};

static const struct file_mode PRIVATE_MODE = {.mode = 0600, .owner = -1, .group = -1};
/* Keys and certificates are synced, and accounts; what else there is can be found out again. */
static const struct file_mode MEMORY_MODE = {.mode = 0600, .owner = -1, .group = -1, .lazy = true};

struct store {
    struct folder state, accounts, pending, schedule, facts, ours, left, history, trash, certs,
        staging;
    struct file_mode certs_mode;
    unsigned history_count;
    int64_t rest_ms;
    unsigned set_aside_count; /* two files may go within one millisecond */
    int lock_fd;
};

/* -- Opening -- */

static bool is_name_byte(char c)
{
    return ascii_is_lower(c) || ascii_is_digit(c) || byte_is_one_of(c, ".-_");
}

bool store_name_valid(struct slice name)
{
    return name.size > 0 && name.size <= NAME_MAX - 16 && name.data[0] != '.' &&
           slice_consists_of(name, is_name_byte);
}

static enum error open_below(struct folder *folder, const char *parent, const char *name,
                             struct error_text *why)
{
    char *path = memory_format("%s/%s", parent, name);
    enum error error = folder_open(folder, path, 0700, why);
    free(path);
    return error;
}

static enum error open_state(struct store *store, const char *path, struct error_text *why)
{
    enum error error = folder_open(&store->state, path, 0700, why);
    const struct {
        struct folder *folder;
        const char *name;
    } below[] = {{&store->accounts, "accounts"}, {&store->pending, "pending"},
                 {&store->schedule, "schedule"}, {&store->facts, "facts"},
                 {&store->ours, "ours"},         {&store->left, "left"},
                 {&store->history, "history"},   {&store->trash, "trash"}};
    for (size_t i = 0; error == ERROR_OK && i < COUNT_OF(below); i++)
        error = open_below(below[i].folder, path, below[i].name, why);
    return error;
}

/* The kernel lets go of the lock when the process ends, however it ends: no lock can be stale. */
static enum error lock(struct store *store, struct error_text *why)
{
    store->lock_fd = openat(store->state.fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return error_set_errno(why, "cannot open %s/lock", store->state.path);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? error_set(why, ERROR_BUSY, "%s is in use by another process",
                               store->state.path)
                   : error_set_errno(why, "cannot lock %s/lock", store->state.path);
    return ERROR_OK;
}

static enum error open_certs(struct store *store, const struct store_settings *settings,
                             struct error_text *why)
{
    struct stat certs, staging;
    char *path = settings->staging != NULL ? memory_copy_text(slice_of(settings->staging))
                                           : memory_format("%s/.staging", settings->certs);
    enum error error = folder_open(&store->certs, settings->certs, 0755, why);
    if (error == ERROR_OK)
        error = folder_open(&store->staging, path, 0700, why);
    free(path);
    if (error != ERROR_OK)
        return error;
    if (fstat(store->certs.fd, &certs) < 0 || fstat(store->staging.fd, &staging) < 0)
        return error_set_errno(why, "cannot look at %s", store->certs.path);
    if (certs.st_dev != staging.st_dev)
        return error_set(why, ERROR_INVALID,
                         "%s and %s are on different file systems, so that files cannot be renamed "
                         "from one to the other: choose another staging folder",
                         store->staging.path, store->certs.path);
    if (certs.st_ino == staging.st_ino)
        return error_set(why, ERROR_INVALID,
                         "%s is the folder for certificates too: HAProxy would load half-written "
                         "files",
                         store->staging.path);
    return ERROR_OK;
}

static void tidy_up(struct store *store)
{
    const struct folder *all[] = {&store->accounts, &store->pending, &store->schedule,
                                  &store->facts,    &store->ours,    &store->left,
                                  &store->staging};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        folder_sweep(all[i]);
    folder_trim(&store->trash, TRASH_MAX);
}

struct store *store_open(const struct store_settings *settings, struct error_text *why)
{
    struct store *store = memory_new(sizeof(*store));
    store->lock_fd = -1;
    store->certs_mode =
        (struct file_mode){.mode = settings->certs_mode != 0 ? settings->certs_mode : 0600,
                           .owner = settings->owner,
                           .group = settings->group};
    store->history_count = settings->history != 0 ? settings->history : HISTORY_DEFAULT;
    store->rest_ms = settings->rest_ms != 0 ? settings->rest_ms : REST_MS_DEFAULT;
    if (open_state(store, settings->state, why) == ERROR_OK && lock(store, why) == ERROR_OK &&
        open_certs(store, settings, why) == ERROR_OK) {
        tidy_up(store);
        return store;
    }
    store_close(store);
    return NULL;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    struct folder *all[] = {&store->staging,  &store->certs,    &store->trash, &store->history,
                            &store->left,     &store->ours,     &store->facts, &store->pending,
                            &store->schedule, &store->accounts, &store->state};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        folder_close(all[i]);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store);
}

/* -- What every part needs -- */

static enum error copy_and_remove(struct store *store, const struct folder *folder,
                                  const char *name, const char *aside)
{
    struct bytes content = {0};
    enum error error = file_read(folder, name, STATE_MAX_BYTES, &content, NULL);
    if (error == ERROR_OK)
        error = file_replace(&store->trash, &store->trash, aside, bytes_slice(&content),
                             &PRIVATE_MODE, NULL);
    bytes_free(&content);
    return error == ERROR_OK ? file_remove(folder, name, NULL) : error;
}

/* A file that cannot be used goes where people can look at it, and out of the way. From another
 * file system it cannot be moved, and is copied. Where neither can be done it stays, and the next
 * reader will say so again. `aside` gets its new name. */
static enum error move_aside(struct store *store, const struct folder *folder, const char *name,
                             char aside[static NAME_MAX + 1])
{
    snprintf(aside, NAME_MAX + 1, "%lld-%06u-%.200s", (long long)clock_wall_ms(),
             store->set_aside_count++ % 1000000, name);
    if (file_move(folder, name, &store->trash, aside, NULL) == ERROR_OK)
        return ERROR_OK;
    return copy_and_remove(store, folder, name, aside);
}

static void set_aside(struct store *store, const struct folder *folder, const char *name)
{
    char aside[NAME_MAX + 1];
    (void)!move_aside(store, folder, name, aside);
}

/* Whether what cannot be used was looked at, and is of no use. A file that could not be opened, for
 * want of descriptors, memory or of a right, may be as good as ever, and stays where it is. */
static bool is_spoilt(enum error read)
{
    return read == ERROR_OK || read == ERROR_INVALID || read == ERROR_TOO_BIG ||
           read == ERROR_UNSUPPORTED;
}

static struct json *load_json(struct store *store, const struct folder *folder, const char *name)
{
    struct bytes text = {0};
    struct json *root = NULL;
    enum error error = file_read(folder, name, STATE_MAX_BYTES, &text, NULL);
    if (error == ERROR_OK)
        root = json_parse(bytes_slice(&text), STATE_MAX_BYTES, NULL, NULL);
    if (root == NULL && is_spoilt(error))
        set_aside(store, folder, name);
    bytes_free(&text);
    return root;
}

static enum error save_json(const struct folder *folder, const char *name, const struct json *value,
                            const struct file_mode *mode, struct error_text *why)
{
    char *text = json_print(value, JSON_STYLE_INDENTED);
    enum error error = file_replace(folder, folder, name, slice_of(text), mode, why);
    free(text);
    return error;
}

/* `*key` is NULL when there is none, or none that can be used. An error: nobody knows. */
static enum error load_key(struct store *store, const struct folder *folder, const char *name,
                           struct crypto_key **key, struct error_text *why)
{
    struct bytes pem = {0};
    *key = NULL;
    enum error error = file_read(folder, name, KEY_MAX_BYTES, &pem, why);
    if (error == ERROR_OK)
        error = crypto_key_from_pem(bytes_slice(&pem), key, why);
    bytes_free(&pem);
    if (error == ERROR_NOT_FOUND)
        return ERROR_OK;
    if (!is_spoilt(error))
        return error;
    if (*key == NULL)
        set_aside(store, folder, name);
    return ERROR_OK;
}

static enum error save_key(const struct folder *folder, const char *name,
                           const struct crypto_key *key, struct error_text *why)
{
    struct bytes pem = {0};
    enum error error = crypto_key_to_pem(key, &pem, why);
    if (error == ERROR_OK)
        error = file_replace(folder, folder, name, bytes_slice(&pem), &PRIVATE_MODE, why);
    bytes_free(&pem);
    return error;
}

/* Loads the key, or makes one of `type` and writes it before anybody uses it. */
static struct crypto_key *load_or_make_key(struct store *store, const struct folder *folder,
                                           const char *name, enum crypto_key_type type,
                                           bool any_type, struct error_text *why)
{
    struct crypto_key *key;
    if (load_key(store, folder, name, &key, why) != ERROR_OK)
        return NULL;
    if (key != NULL && (any_type || crypto_key_type_of(key) == type))
        return key;
    crypto_key_free(key);
    key = crypto_key_new(type, why);
    if (key != NULL && save_key(folder, name, key, why) != ERROR_OK) {
        crypto_key_free(key);
        return NULL;
    }
    return key;
}

static void name_with(char file[static NAME_MAX + 1], const char *name, const char *suffix)
{
    snprintf(file, NAME_MAX + 1, "%.230s%s", name, suffix);
}

/* -- Accounts -- */

/* "acme-v02.api.letsencrypt.org-1f3a..." for the directory's URL: readable and unique. */
static void account_file(const char *url, const char *suffix, char file[static NAME_MAX + 1])
{
    char host[64] = "";
    const char *start = strstr(url, "://");
    start = start != NULL ? start + 3 : url;
    for (size_t i = 0; i + 1 < sizeof(host) && start[i] != '\0' && start[i] != '/'; i++) {
        char c = ascii_lower(start[i]);
        bool plain = ascii_is_alphanumeric(c) || c == '.' || c == '-';
        host[i] = plain ? c : '_';
    }
    snprintf(file, NAME_MAX + 1, "%s-%016llx%s", host,
             (unsigned long long)hash_content(slice_of(url), 0), suffix);
}

struct crypto_key *store_account_key(struct store *store, const char *directory_url,
                                     struct error_text *why)
{
    char file[NAME_MAX + 1];
    account_file(directory_url, ".key", file);
    return load_or_make_key(store, &store->accounts, file, CRYPTO_EC_P256, true, why);
}

enum error store_account_thumbprint(const char *state, const char *directory_url,
                                    char text[static CRYPTO_THUMBPRINT_LENGTH + 1],
                                    struct error_text *why)
{
    char file[NAME_MAX + 1];
    struct bytes pem = {0};
    struct crypto_key *key = NULL;
    struct folder folder = {.path = memory_format("%s/accounts", state)};

    account_file(directory_url, ".key", file);
    folder.fd = open(folder.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    enum error error = ERROR_NOT_FOUND;
    if (folder.fd >= 0)
        error = file_read(&folder, file, KEY_MAX_BYTES, &pem, why);
    else if (errno != ENOENT)
        error = error_set_errno(why, "cannot open %s", folder.path);
    if (error == ERROR_OK) {
        error = crypto_key_from_pem(bytes_slice(&pem), &key, why);
        if (error == ERROR_OK)
            error = crypto_key_thumbprint(key, text, why);
    }
    crypto_key_free(key);
    bytes_free(&pem);
    folder_close(&folder);
    return error;
}

enum error store_account_set_key(struct store *store, const char *directory_url,
                                 const struct crypto_key *key, struct error_text *why)
{
    char file[NAME_MAX + 1];
    account_file(directory_url, ".key", file);
    return save_key(&store->accounts, file, key, why);
}

enum error store_account_burn(struct store *store, const char *directory_url,
                              struct error_text *why)
{
    char file[NAME_MAX + 1];
    account_file(directory_url, ".json", file);
    enum error error = file_remove(&store->accounts, file, why);
    account_file(directory_url, ".key", file);
    set_aside(store, &store->accounts, file);
    return error;
}

/* What there is of it goes first: with its key alone, an account is found again by its CA. */
static const char *const ACCOUNT_PARTS[] = {".json", ".key"};

static void bound_account_file(const char *url, struct slice external_kid, const char *part,
                               char file[static NAME_MAX + 1])
{
    char suffix[32];
    snprintf(suffix, sizeof(suffix), "-%016llx%s",
             (unsigned long long)hash_content(external_kid, 0), part);
    account_file(url, suffix, file);
}

static enum error move_if_there(struct store *store, const char *from, const char *to,
                                struct error_text *why)
{
    enum error error = file_move(&store->accounts, from, &store->accounts, to, why);
    return error == ERROR_NOT_FOUND ? ERROR_OK : error;
}

enum error store_account_change(struct store *store, const char *directory_url, struct slice from,
                                struct slice to, struct error_text *why)
{
    char current[NAME_MAX + 1], aside[NAME_MAX + 1];
    enum error error = ERROR_OK;
    for (size_t i = 0; i < COUNT_OF(ACCOUNT_PARTS) && error == ERROR_OK; i++) {
        account_file(directory_url, ACCOUNT_PARTS[i], current);
        bound_account_file(directory_url, from, ACCOUNT_PARTS[i], aside);
        error = move_if_there(store, current, aside, why);
    }
    for (size_t i = COUNT_OF(ACCOUNT_PARTS); i-- > 0 && error == ERROR_OK;) {
        account_file(directory_url, ACCOUNT_PARTS[i], current);
        bound_account_file(directory_url, to, ACCOUNT_PARTS[i], aside);
        error = move_if_there(store, aside, current, why);
    }
    return error;
}

struct json *store_budget_load(struct store *store, const char *directory_url)
{
    char file[NAME_MAX + 1];
    account_file(directory_url, ".budget.json", file);
    return load_json(store, &store->accounts, file);
}

enum error store_budget_save(struct store *store, const char *directory_url,
                             const struct json *budget, struct error_text *why)
{
    char file[NAME_MAX + 1];
    account_file(directory_url, ".budget.json", file);
    return save_json(&store->accounts, file, budget, &MEMORY_MODE, why);
}

struct json *store_account_load(struct store *store, const char *directory_url)
{
    char file[NAME_MAX + 1];
    account_file(directory_url, ".json", file);
    return load_json(store, &store->accounts, file);
}

enum error store_account_save(struct store *store, const char *directory_url,
                              const struct json *account, struct error_text *why)
{
    char file[NAME_MAX + 1];
    account_file(directory_url, ".json", file);
    return save_json(&store->accounts, file, account, &PRIVATE_MODE, why);
}

/* -- Orders on their way -- */

struct crypto_key *store_pending_key(struct store *store, const char *name,
                                     enum crypto_key_type type, struct error_text *why)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".key");
    return load_or_make_key(store, &store->pending, file, type, false, why);
}

struct crypto_key *store_pending_key_find(struct store *store, const char *name,
                                          enum crypto_key_type type)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".key");
    struct crypto_key *key;
    if (load_key(store, &store->pending, file, &key, NULL) != ERROR_OK || key == NULL ||
        crypto_key_type_of(key) == type)
        return key;
    crypto_key_free(key);
    return NULL;
}

enum error store_pending_key_put(struct store *store, const char *name,
                                 const struct crypto_key *key, struct error_text *why)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".key");
    return save_key(&store->pending, file, key, why);
}

struct json *store_order_load(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    return load_json(store, &store->pending, file);
}

enum error store_order_save(struct store *store, const char *name, const struct json *order,
                            struct error_text *why)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    return save_json(&store->pending, file, order, &MEMORY_MODE, why);
}

void store_order_forget(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    /* An order that stays is found to be of no use by the next try. */
    (void)!file_remove(&store->pending, file, NULL);
}

void store_pending_forget(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    /* The order first: one without its key would be finalized with another. */
    store_order_forget(store, name);
    name_with(file, name, ".key");
    /* If it stays, the next order uses the same key, which does no harm. */
    (void)!file_remove(&store->pending, file, NULL);
}

/* -- Files that somebody else may be writing -- */

struct file_stamp store_stamp(const struct store *store, const char *name)
{
    struct stat status;
    return fstatat(store->certs.fd, name, &status, 0) == 0 ? file_stamp_of(&status)
                                                           : (struct file_stamp){0};
}

/* By the change of the inode, which nobody can set: `cp -p` gives a file an old date. A clock that
 * was set back makes files of the future, which are not being written either. */
static bool is_at_rest(const struct store *store, const char *name)
{
    struct file_stamp file = store_stamp(store, name);
    int64_t changed_ms = (int64_t)file.changed.tv_sec * 1000 + file.changed.tv_nsec / 1000000;
    return llabs(clock_wall_ms() - changed_ms) >= store->rest_ms;
}

/* Key and certificate of one file; ERROR_INVALID when nothing could load it. A file without a key
 * that we can read, ERROR_UNSUPPORTED, may be somebody else's: HAProxy also takes keys from a file
 * beside it. ERROR_NO_MEMORY: nobody knows. */
static enum error read_pair(struct slice pem, struct crypto_certificate *certificate,
                            struct error_text *why)
{
    struct bytes chain = {0};
    struct crypto_key *key;
    enum error error = crypto_key_from_pem(pem, &key, why);
    if (error == ERROR_OK) {
        error = crypto_chain_tidy(pem, key, &chain, certificate, why);
    } else if (error != ERROR_NO_MEMORY) {
        error = crypto_certificate_read(pem, certificate, NULL);
        if (error == ERROR_OK) {
            crypto_certificate_free(certificate);
            return ERROR_UNSUPPORTED;
        }
    }
    crypto_key_free(key);
    bytes_free(&chain);
    return error == ERROR_OK || error == ERROR_NO_MEMORY ? error : ERROR_INVALID;
}

/* -- History -- */

static enum error open_history(struct store *store, const char *name, struct folder *folder,
                               struct error_text *why)
{
    return open_below(folder, store->history.path, name, why);
}

/* The name of a pair that leaves service now, which comes behind all `names`: the clock may have
 * been set back. When the certificate was made says nothing: an older one may have been put back.
 */
static void name_in_history(char **names, size_t count, const struct crypto_certificate *facts,
                            char file[static NAME_MAX + 1])
{
    char date[TIME_TEXT_SIZE];
    int64_t left_s = clock_wall_s(), last_s;
    struct slice last = slice_of(count > 0 ? names[count - 1] : "");
    last = slice_head(last, size_min(last.size, strlen("2025-01-02T04:00:00Z")));
    if (time_text_parse_rfc3339(last, &last_s) && left_s <= last_s)
        left_s = last_s + 1;
    snprintf(file, NAME_MAX + 1, "%s-%s.pem", time_text_print(left_s, date), facts->serial);
}

static bool holds(const struct folder *folder, const char *file, struct slice pem)
{
    struct bytes text = {0};
    bool is_same = file_read(folder, file, FILE_MAX_BYTES, &text, NULL) == ERROR_OK &&
                   slice_equal(bytes_slice(&text), pem);
    bytes_free(&text);
    return is_same;
}

/* A pair is there once, as what it was the last time. */
static enum error put_last(const struct folder *folder, struct slice pem,
                           const struct crypto_certificate *facts, struct error_text *why)
{
    char **names, file[NAME_MAX + 1];
    enum error error = ERROR_OK;
    size_t count = folder_list(folder, &names);
    if (count == 0 || !holds(folder, names[count - 1], pem)) {
        name_in_history(names, count, facts, file);
        error = file_replace(folder, folder, file, pem, &PRIVATE_MODE, why);
        for (size_t i = 0; error == ERROR_OK && i < count; i++)
            if (holds(folder, names[i], pem))
                error = file_remove(folder, names[i], why);
    }
    memory_free_texts(names, count);
    return error;
}

static enum error put_in_history(struct store *store, const char *name, struct slice pem,
                                 const struct crypto_certificate *facts, size_t keep,
                                 struct error_text *why)
{
    struct folder folder;
    enum error error = open_history(store, name, &folder, why);
    if (error != ERROR_OK)
        return error;
    error = put_last(&folder, pem, facts, why);
    folder_trim(&folder, keep);
    folder_close(&folder);
    return error;
}

/* Copies what is in service into the history, of which `keep` stay; not there is fine. What is of
 * no use as it is may be an admin's own, on its way: it is waited for, and kept for people when
 * nothing comes of it. */
static enum error keep_in_history(struct store *store, const char *name, size_t keep,
                                  struct error_text *why)
{
    struct bytes pem = {0};
    struct crypto_certificate facts;
    char aside[NAME_MAX + 1];
    enum error error = file_read(&store->certs, name, FILE_MAX_BYTES, &pem, why);
    if (error == ERROR_NOT_FOUND)
        return ERROR_OK;
    if (error != ERROR_OK)
        return error;
    enum error use = read_pair(bytes_slice(&pem), &facts, NULL);
    bool is_at_work = use != ERROR_OK && !is_at_rest(store, name);
    if (use == ERROR_UNSUPPORTED && !is_at_work)
        use = crypto_certificate_read(bytes_slice(&pem), &facts, NULL);
    if (use == ERROR_NO_MEMORY) {
        error = error_set(why, ERROR_NO_MEMORY, "cannot read %s/%s: out of memory",
                          store->certs.path, name);
    } else if (is_at_work) {
        error = error_set(why, ERROR_BUSY, "%s/%s is being written by somebody else",
                          store->certs.path, name);
    } else if (use == ERROR_OK) {
        error = put_in_history(store, name, bytes_slice(&pem), &facts, keep, why);
        crypto_certificate_free(&facts);
    } else if (move_aside(store, &store->certs, name, aside) != ERROR_OK) {
        error = error_set(why, ERROR_SYSTEM, "cannot keep %s/%s, which is of no use, in %s",
                          store->certs.path, name, store->trash.path);
    }
    bytes_free(&pem);
    return error;
}

/* -- Whose it is -- */

/* Before it is put in service: a certificate that is known and not there does no harm, and one that
 * is there and not known would stay for ever. */
static enum error remember_as_ours(struct store *store, const char *name,
                                   const struct crypto_certificate *certificate, const char *issuer,
                                   struct error_text *why)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    struct json *before = load_json(store, &store->ours, file);
    struct json *saved = store_ours_add(before, certificate, issuer);
    enum error error = save_json(&store->ours, file, saved, &PRIVATE_MODE, why);
    json_free(saved);
    json_free(before);
    return error;
}

static enum error disown(struct store *store, const char *name, struct error_text *why)
{
    char file[NAME_MAX + 1];
    struct json *saved = store_ours_none();
    name_with(file, name, ".json");
    enum error error = save_json(&store->ours, file, saved, &MEMORY_MODE, why);
    json_free(saved);
    return error;
}

/* As what was ours leaves. If it cannot be saved, it costs an order when the name is back. */
static void keep_as_left(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    struct json *saved = load_json(store, &store->ours, file);
    if (saved != NULL)
        (void)!save_json(&store->left, file, saved, &MEMORY_MODE, NULL);
    json_free(saved);
}

/* Before it is put in service again, as with what is new. */
static enum error own_again(struct store *store, const char *name, struct slice pem,
                            struct error_text *why)
{
    char file[NAME_MAX + 1];
    struct crypto_certificate certificate;
    enum error error = ERROR_OK;
    name_with(file, name, ".json");
    struct json *left = load_json(store, &store->left, file);
    if (left != NULL && crypto_certificate_read(pem, &certificate, NULL) == ERROR_OK) {
        if (store_ours_has(left, &certificate))
            error = save_json(&store->ours, file, left, &PRIVATE_MODE, why);
        crypto_certificate_free(&certificate);
    }
    json_free(left);
    return error;
}

static void forget_left(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    (void)!file_remove(&store->left, file, NULL); /* what stays is not the last in the history */
}

void store_each_removed(struct store *store, store_name_fn *found, void *context)
{
    char **names;
    size_t count = folder_list(&store->ours, &names);
    for (size_t i = 0; i < count; i++) {
        if (!slice_ends_with(slice_of(names[i]), SLICE(".json")))
            continue;
        names[i][strlen(names[i]) - strlen(".json")] = '\0';
        struct file_stamp file = store_stamp(store, names[i]);
        if (file_stamp_is_none(&file))
            found(context, names[i]);
    }
    memory_free_texts(names, count);
}

void store_forget_removed(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    struct file_stamp in_service = store_stamp(store, name);
    name_with(file, name, ".json");
    if (file_stamp_is_none(&in_service))
        (void)!file_remove(&store->ours, file, NULL); /* or it is found at the next start */
}

bool store_is_ours(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    struct bytes pem = {0};
    struct crypto_certificate certificate;
    bool is_ours = false;
    name_with(file, name, ".json");
    struct json *saved = load_json(store, &store->ours, file);
    if (saved != NULL && store_read(store, name, &pem, NULL) == ERROR_OK &&
        crypto_certificate_read(bytes_slice(&pem), &certificate, NULL) == ERROR_OK) {
        is_ours = store_ours_has(saved, &certificate);
        crypto_certificate_free(&certificate);
    }
    bytes_free(&pem);
    json_free(saved);
    return is_ours;
}

char *store_issuer(struct store *store, const char *name,
                   const struct crypto_certificate *certificate)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    struct json *saved = load_json(store, &store->ours, file);
    struct slice issuer = store_ours_issuer(saved, certificate);
    char *copy = issuer.size > 0 ? memory_copy_text(issuer) : NULL;
    json_free(saved);
    return copy;
}

/* -- Certificates -- */

static enum error put_in_service(struct store *store, const char *name, struct slice pem,
                                 struct error_text *why)
{
    if (pem.size > STORE_PEM_MAX_BYTES)
        return error_set(why, ERROR_TOO_BIG,
                         "%s: key and chain are %zu bytes, and HAProxy's Runtime API takes %d",
                         name, pem.size, STORE_PEM_MAX_BYTES);
    return file_replace(&store->certs, &store->staging, name, pem, &store->certs_mode, why);
}

enum error store_install(struct store *store, const char *name, const struct crypto_key *key,
                         struct slice chain, const char *issuer, struct error_text *why)
{
    struct bytes pem = {0}, tidy = {0};
    struct crypto_certificate certificate;
    /* Encoded anew, so that no byte of a stranger reaches HAProxy's command line. */
    enum error error = crypto_chain_tidy(chain, key, &tidy, &certificate, why);
    if (error != ERROR_OK) {
        bytes_free(&tidy);
        return error;
    }
    error = crypto_key_to_pem(key, &pem, why);
    if (error == ERROR_OK && !bytes_append(&pem, bytes_slice(&tidy), FILE_MAX_BYTES))
        error = error_set(why, ERROR_TOO_BIG, "%s: the chain is too long", name);
    if (error == ERROR_OK)
        error = keep_in_history(store, name, store->history_count, why);
    if (error == ERROR_OK)
        error = remember_as_ours(store, name, &certificate, issuer, why);
    if (error == ERROR_OK)
        error = put_in_service(store, name, bytes_slice(&pem), why);
    crypto_certificate_free(&certificate);
    bytes_free(&pem);
    bytes_free(&tidy);
    if (error == ERROR_OK) {
        store_pending_forget(store, name);
        forget_left(store, name);
    }
    return error;
}

enum error store_read(struct store *store, const char *name, struct bytes *pem,
                      struct error_text *why)
{
    return file_read(&store->certs, name, FILE_MAX_BYTES, pem, why);
}

void store_pending_settle(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    struct bytes pem = {0};
    struct error_text why;
    name_with(file, name, ".key");
    struct crypto_key *pending, *served = NULL;
    if (load_key(store, &store->pending, file, &pending, &why) == ERROR_OK && pending != NULL &&
        store_read(store, name, &pem, &why) == ERROR_OK &&
        crypto_key_from_pem(bytes_slice(&pem), &served, &why) == ERROR_OK &&
        crypto_key_equal(pending, served))
        store_pending_forget(store, name);
    crypto_key_free(served);
    crypto_key_free(pending);
    bytes_free(&pem);
}

/* Reads the pair; when it is good, what was found is remembered with the file's stamp. A file that
 * changes while it is read is remembered by what it was before, so that it is read again. */
static enum error read_and_remember(struct store *store, const char *name,
                                    const struct file_stamp *file,
                                    struct crypto_certificate *certificate, struct error_text *why)
{
    char facts[NAME_MAX + 1];
    struct bytes pem = {0};
    enum error error = store_read(store, name, &pem, why);
    if (error == ERROR_OK) {
        error = read_pair(bytes_slice(&pem), certificate, why);
        if (error != ERROR_OK && error != ERROR_NO_MEMORY && !is_at_rest(store, name))
            error = ERROR_BUSY;
    }
    bytes_free(&pem);
    if (error != ERROR_OK)
        return error;
    struct json *saved = store_facts_to_json(certificate, file);
    name_with(facts, name, ".json");
    /* If it cannot be saved, the pair is read again the next time. */
    (void)!save_json(&store->facts, facts, saved, &MEMORY_MODE, NULL);
    json_free(saved);
    return ERROR_OK;
}

enum error store_certificate(struct store *store, const char *name,
                             struct crypto_certificate *certificate, struct error_text *why)
{
    char facts[NAME_MAX + 1];
    struct file_stamp file = store_stamp(store, name);
    if (file_stamp_is_none(&file))
        return errno == ENOENT
                   ? error_set(why, ERROR_NOT_FOUND, "%s/%s is not there", store->certs.path, name)
                   : error_set_errno(why, "cannot look at %s/%s", store->certs.path, name);
    name_with(facts, name, ".json");
    struct json *saved = load_json(store, &store->facts, facts);
    bool known = store_facts_from_json(saved, &file, certificate);
    json_free(saved);
    return known ? ERROR_OK : read_and_remember(store, name, &file, certificate, why);
}

bool store_set_aside(struct store *store, const char *name, struct error_text *why)
{
    char aside[NAME_MAX + 1];
    struct stat status;
    const struct error_text before = *why;
    if (fstatat(store->certs.fd, name, &status, 0) < 0 || !S_ISREG(status.st_mode) ||
        !is_at_rest(store, name) || move_aside(store, &store->certs, name, aside) != ERROR_OK)
        return false;
    error_set(why, ERROR_OK, "%.300s; the file is now %s/%s", before.text, store->trash.path,
              aside);
    return true;
}

enum error store_remove(struct store *store, const char *name, struct error_text *why)
{
    enum error error = keep_in_history(store, name, store->history_count, why);
    if (error == ERROR_OK) {
        keep_as_left(store, name);
        error = file_remove(&store->certs, name, why);
    }
    /* Last. Who puts the same certificate there again is not us. */
    if (error == ERROR_OK)
        error = disown(store, name, why);
    if (error == ERROR_OK) {
        char facts[NAME_MAX + 1];
        name_with(facts, name, ".json");
        (void)!file_remove(&store->facts, facts, NULL); /* they are of a file that is no more */
    }
    return error;
}

/* Opens the history of `name`, and reads its newest pair; `file` is what that is called there. On
 * failure nothing is left open. */
static enum error open_newest(struct store *store, const char *name, struct folder *history,
                              char file[static NAME_MAX + 1], struct bytes *pem,
                              struct error_text *why)
{
    char **names;
    enum error error = open_history(store, name, history, why);
    if (error != ERROR_OK)
        return error;
    size_t count = folder_list(history, &names);
    if (count == 0) {
        error = error_set(why, ERROR_NOT_FOUND, "%s has no history", name);
    } else {
        snprintf(file, NAME_MAX + 1, "%s", names[count - 1]);
        error = file_read(history, file, FILE_MAX_BYTES, pem, why);
    }
    memory_free_texts(names, count);
    if (error != ERROR_OK)
        folder_close(history);
    return error;
}

enum error store_before(struct store *store, const char *name,
                        struct crypto_certificate *certificate, struct error_text *why)
{
    struct folder folder;
    struct bytes pem = {0};
    char file[NAME_MAX + 1];
    enum error error = open_newest(store, name, &folder, file, &pem, why);
    if (error != ERROR_OK)
        return error;
    error = crypto_certificate_read(bytes_slice(&pem), certificate, why);
    folder_close(&folder);
    bytes_free(&pem);
    return error;
}

enum error store_left(struct store *store, const char *name, struct crypto_certificate *certificate,
                      struct error_text *why)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    struct json *left = load_json(store, &store->left, file);
    enum error error = left != NULL
                           ? store_before(store, name, certificate, why)
                           : error_set(why, ERROR_NOT_FOUND, "nothing of %s has left", name);
    if (error == ERROR_OK && !store_ours_has(left, certificate)) {
        crypto_certificate_free(certificate);
        error =
            error_set(why, ERROR_NOT_FOUND, "the last in the history of %s is not from here", name);
    }
    json_free(left);
    return error;
}

enum error store_rollback(struct store *store, const char *name, struct error_text *why)
{
    struct folder folder;
    struct bytes pem = {0};
    char file[NAME_MAX + 1];
    enum error error = open_newest(store, name, &folder, file, &pem, why);
    if (error != ERROR_OK)
        return error;
    /* One more, since what is put back is still among them. */
    error = keep_in_history(store, name, store->history_count + 1, why);
    if (error == ERROR_OK)
        error = own_again(store, name, bytes_slice(&pem), why);
    if (error == ERROR_OK)
        error = put_in_service(store, name, bytes_slice(&pem), why);
    /* What is in service again is no history; a second rollback undoes the first. */
    if (error == ERROR_OK)
        error = file_remove(&folder, file, why);
    if (error == ERROR_OK)
        forget_left(store, name);
    folder_close(&folder);
    bytes_free(&pem);
    return error;
}

void store_each(struct store *store, store_name_fn *found, void *context)
{
    char **names;
    size_t count = folder_list(&store->certs, &names);
    for (size_t i = 0; i < count; i++)
        if (store_name_valid(slice_of(names[i])))
            found(context, names[i]);
    memory_free_texts(names, count);
}

char *store_path(const struct store *store, const char *name)
{
    return memory_format("%s/%s", store->certs.path, name);
}

/* -- Memory -- */

struct json *store_schedule_load(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    return load_json(store, &store->schedule, file);
}

enum error store_schedule_save(struct store *store, const char *name, const struct json *schedule,
                               struct error_text *why)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    return save_json(&store->schedule, file, schedule, &MEMORY_MODE, why);
}

/* What stays is overwritten, or found to be of no use, when the name comes back. */
void store_forget(struct store *store, const char *name)
{
    char file[NAME_MAX + 1];
    name_with(file, name, ".json");
    (void)!file_remove(&store->schedule, file, NULL);
    (void)!file_remove(&store->facts, file, NULL);
    store_pending_forget(store, name);
}
