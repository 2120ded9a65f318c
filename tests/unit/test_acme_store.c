/* acme: files, and the store. Folders are real; a process is killed at every step. */
#include "acme/store.h"
#include "core/file.h"
#include "core/memory.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME      "chat.example.test.pem"
#define DIRECTORY "https://ca.example.test/dir"
static const int64_t NOW_S = 1800000000;

enum { AT_REST_SOON_MS = 1, NEVER_AT_REST_MS = 24 * 3600 * 1000 };

static char *new_root(void)
{
    const char *base = getenv("TMPDIR");
    char *root = memory_format("%s/store-XXXXXX", base != NULL ? base : "/tmp");
    cr_assert(ne(ptr, mkdtemp(root), NULL));
    return root;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
    (void)facts, (void)kind, (void)walk;
    return remove(path);
}

static void end_root(char *root)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(root);
}

static struct store *open_patient(const char *root, unsigned rest_ms, struct error_text *why)
{
    char *state = memory_format("%s/state", root), *certs = memory_format("%s/haproxy/certs", root);
    const struct store_settings settings = {
        .state = state, .certs = certs, .owner = -1, .group = -1, .history = 2, .rest_ms = rest_ms};
    struct store *store = store_open(&settings, why);
    free(state);
    free(certs);
    return store;
}

static struct store *open_at(const char *root, struct error_text *why)
{
    return open_patient(root, NEVER_AT_REST_MS, why);
}

static struct store *must_open(const char *root)
{
    struct error_text why = {0};
    struct store *store = open_at(root, &why);
    cr_assert(ne(ptr, store, NULL), "%s", why.text);
    return store;
}

static void make_chain(const struct crypto_key *key, int64_t from_s, struct bytes *chain)
{
    cr_assert(eq(int,
                 crypto_self_signed(key, "chat.example.test", from_s, from_s + 86400, chain, NULL),
                 ERROR_OK));
}

/* What an order does to the store. */
static enum error issue(struct store *store, int64_t from_s, struct error_text *why)
{
    struct bytes chain = {0};
    char issuer[64];
    struct crypto_key *key = store_pending_key(store, NAME, CRYPTO_EC_P256, why);
    if (key == NULL)
        return ERROR_SYSTEM;
    snprintf(issuer, sizeof(issuer), "https://ca.test/%lld", (long long)from_s);
    struct json *order = json_new_object();
    json_put_text(order, "url", SLICE("https://ca/order/1"));
    enum error error = store_order_save(store, NAME, order, why);
    json_free(order);
    make_chain(key, from_s, &chain);
    if (error == ERROR_OK)
        error = store_install(store, NAME, key, bytes_slice(&chain), issuer, why);
    bytes_free(&chain);
    crypto_key_free(key);
    return error;
}

static int64_t served_from(struct store *store)
{
    struct crypto_certificate facts;
    struct error_text why = {0};
    enum error error = store_certificate(store, NAME, &facts, &why);
    if (error == ERROR_NOT_FOUND)
        return 0;
    cr_assert(eq(int, error, ERROR_OK), "%s", why.text);
    int64_t from_s = facts.not_before_s;
    crypto_certificate_free(&facts);
    return from_s;
}

static size_t count_files(const char *root, const char *folder)
{
    char *command = memory_format("find '%s/%s' -type f | wc -l", root, folder);
    FILE *pipe = popen(command, "r");
    unsigned count = 0;
    cr_assert(eq(int, fscanf(pipe, "%u", &count), 1));
    pclose(pipe);
    free(command);
    return count;
}

static mode_t mode_of(const char *root, const char *name)
{
    char *path = memory_format("%s/%s", root, name);
    struct stat facts;
    cr_assert(eq(int, stat(path, &facts), 0), "%s", path);
    free(path);
    return facts.st_mode & 07777;
}

static void write_file(const char *root, const char *name, const char *text)
{
    char *path = memory_format("%s/%s", root, name);
    FILE *file = fopen(path, "w");
    cr_assert(ne(ptr, file, NULL), "%s", path);
    fputs(text, file);
    fclose(file);
    free(path);
}

Test(store, a_pair_is_put_in_service)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    struct bytes pem = {0};
    cr_expect(eq(i64, served_from(store), 0));
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S));
    cr_expect(eq(uint, mode_of(root, "haproxy/certs/" NAME), 0600));
    cr_expect(eq(uint, mode_of(root, "state"), 0700));
    cr_expect(eq(sz, count_files(root, "state/pending"), 0));
    cr_expect(eq(sz, count_files(root, "haproxy/certs/.staging"), 0));
    cr_assert(eq(int, store_read(store, NAME, &pem, &why), ERROR_OK));
    cr_expect(eq(ptr, strstr(pem.data, "\n\n"), NULL)); /* blank lines are commands to HAProxy */
    cr_expect(slice_starts_with(bytes_slice(&pem), SLICE("-----BEGIN PRIVATE KEY-----\n")));
    char *path = store_path(store, NAME);
    cr_expect(slice_ends_with(slice_of(path), SLICE("/haproxy/certs/" NAME)));
    free(path);
    bytes_free(&pem);
    store_close(store);
    end_root(root);
}

Test(store, history_is_kept_short_and_rolls_back)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    for (int64_t i = 0; i < 5; i++)
        cr_assert(eq(int, issue(store, NOW_S + i, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(sz, count_files(root, "state/history"), 2));
    cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S + 3));
    /* What serves is no history, and nothing else has left it. */
    cr_expect(eq(sz, count_files(root, "state/history"), 2));
    cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S + 4));
    cr_assert(eq(int, store_remove(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), 0));
    cr_expect(eq(sz, count_files(root, "state/history"), 2));
    cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S + 4));
    cr_expect(eq(int, store_rollback(store, "other.pem", &why), ERROR_NOT_FOUND));
    store_close(store);
    end_root(root);
}

/* It may be older than one that was put out of service for it. */
Test(store, what_was_in_service_before_is_put_back)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    for (int64_t i = 0; i < 2; i++)
        cr_assert(eq(int, issue(store, NOW_S + i, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, issue(store, NOW_S + 2, &why), ERROR_OK), "%s", why.text);
    for (int64_t i = 0; i < 3; i++) {
        cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
        cr_expect(eq(i64, served_from(store), NOW_S + i % 2 * 2));
        cr_expect(eq(sz, count_files(root, "state/history"), 2));
    }
    store_close(store);
    end_root(root);
}

Test(store, a_pair_is_in_the_history_once)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    struct bytes first = {0};
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, store_read(store, NAME, &first, &why), ERROR_OK));
    for (int64_t i = 1; i < 3; i++)
        cr_assert(eq(int, issue(store, NOW_S + i, &why), ERROR_OK), "%s", why.text);
    write_file(root, "haproxy/certs/" NAME, first.data); /* an admin puts it there again */
    cr_assert(eq(int, issue(store, NOW_S + 3, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S));
    cr_expect(eq(sz, count_files(root, "state/history"), 2));
    bytes_free(&first);
    store_close(store);
    end_root(root);
}

/* A daemon that has used up its descriptors has lost nothing by it. */
Test(store, what_cannot_be_opened_now_stays_where_it_is)
{
    char *root = new_root();
    struct error_text why = {0};
    struct store *store = must_open(root);
    struct crypto_key *before = store_account_key(store, DIRECTORY, &why);
    struct json *account = json_new_object();
    cr_assert(eq(int, store_account_save(store, DIRECTORY, account, &why), ERROR_OK));
    json_free(account);

    struct rlimit usual;
    cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &usual), 0));
    const struct rlimit none = {0, usual.rlim_max};
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &none), 0));
    struct crypto_key *now = store_account_key(store, DIRECTORY, &why);
    account = store_account_load(store, DIRECTORY);
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &usual), 0));
    cr_expect(eq(ptr, now, NULL));
    cr_expect(eq(ptr, account, NULL));
    cr_expect(strstr(why.text, strerror(EMFILE)) != NULL, "%s", why.text);

    now = store_account_key(store, DIRECTORY, &why);
    account = store_account_load(store, DIRECTORY);
    cr_assert(ne(ptr, now, NULL), "%s", why.text);
    cr_expect(crypto_key_equal(before, now));
    cr_expect(ne(ptr, account, NULL));
    json_free(account);
    crypto_key_free(now);
    crypto_key_free(before);
    store_close(store);
    end_root(root);
}

Test(store, one_process_at_a_time)
{
    char *root = new_root();
    struct error_text why = {0};
    struct store *store = must_open(root);
    cr_expect(eq(ptr, open_at(root, &why), NULL));
    cr_expect(strstr(why.text, "in use by another process") != NULL, "%s", why.text);
    store_close(store);
    store_close(must_open(root));
    end_root(root);
}

Test(store, staging_must_be_a_folder_of_its_own)
{
    char *root = new_root();
    struct error_text why = {0};
    char *state = memory_format("%s/state", root), *certs = memory_format("%s/certs", root);
    struct store_settings settings = {
        .state = state, .certs = certs, .staging = certs, .owner = -1, .group = -1};
    cr_expect(eq(ptr, store_open(&settings, &why), NULL));
    cr_expect(strstr(why.text, "half-written") != NULL, "%s", why.text);
    struct stat own, other;
    if (stat("/dev/shm", &other) == 0 && stat(root, &own) == 0 && own.st_dev != other.st_dev) {
        char *far = memory_copy_text(slice_of("/dev/shm/store-XXXXXX"));
        cr_assert(ne(ptr, mkdtemp(far), NULL));
        settings.staging = far;
        cr_expect(eq(ptr, store_open(&settings, &why), NULL));
        cr_expect(strstr(why.text, "different file systems") != NULL, "%s", why.text);
        end_root(far);
    }
    free(state);
    free(certs);
    end_root(root);
}

static void change_account(struct store *store, const char *from, const char *to)
{
    struct error_text why;
    cr_assert(eq(int, store_account_change(store, DIRECTORY, slice_of(from), slice_of(to), &why),
                 ERROR_OK),
              "%s", why.text);
}

Test(store, an_account_that_is_left_for_another_is_found_again)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct crypto_key *first = store_account_key(store, DIRECTORY, NULL);
    struct json *account = json_new_object();
    cr_assert(eq(int, store_account_save(store, DIRECTORY, account, NULL), ERROR_OK));
    json_free(account);

    change_account(store, "", "../kid 2");
    cr_expect(eq(ptr, store_account_load(store, DIRECTORY), NULL));
    struct crypto_key *second = store_account_key(store, DIRECTORY, NULL);
    cr_expect_not(crypto_key_equal(first, second));

    change_account(store, "../kid 2", "");
    account = store_account_load(store, DIRECTORY);
    cr_expect_not_null(account);
    json_free(account);
    struct crypto_key *now = store_account_key(store, DIRECTORY, NULL);
    cr_expect(crypto_key_equal(first, now));
    crypto_key_free(now);

    change_account(store, "", "../kid 2");
    now = store_account_key(store, DIRECTORY, NULL);
    cr_expect(crypto_key_equal(second, now));
    cr_expect(eq(sz, count_files(root, "state/trash"), 0));
    crypto_key_free(now);
    crypto_key_free(second);
    crypto_key_free(first);
    store_close(store);
    end_root(root);
}

Test(store, keys_are_there_before_they_are_used_and_stay)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct crypto_key *first = store_pending_key(store, NAME, CRYPTO_EC_P256, NULL);
    cr_expect(eq(uint, mode_of(root, "state/pending/" NAME ".key"), 0600));
    store_close(store);
    store = must_open(root);
    struct crypto_key *second = store_pending_key(store, NAME, CRYPTO_EC_P256, NULL);
    cr_expect(crypto_key_equal(first, second));
    struct crypto_key *other = store_pending_key(store, NAME, CRYPTO_EC_P384, NULL);
    cr_expect(eq(int, crypto_key_type_of(other), CRYPTO_EC_P384)); /* the wish has changed */
    crypto_key_free(first);
    crypto_key_free(second);
    crypto_key_free(other);

    first = store_account_key(store, DIRECTORY, NULL);
    second = store_account_key(store, DIRECTORY, NULL);
    other = store_account_key(store, DIRECTORY "2", NULL);
    cr_expect(crypto_key_equal(first, second));
    cr_expect_not(crypto_key_equal(first, other));
    crypto_key_free(second);
    struct json *account = json_new_object();
    cr_assert(eq(int, store_account_save(store, DIRECTORY, account, NULL), ERROR_OK));
    json_free(account);
    cr_assert(eq(int, store_account_burn(store, DIRECTORY, NULL), ERROR_OK));
    cr_expect(eq(ptr, store_account_load(store, DIRECTORY), NULL)); /* it was that key's */
    second = store_account_key(store, DIRECTORY, NULL);
    cr_expect_not(crypto_key_equal(first, second));
    cr_expect(eq(sz, count_files(root, "state/trash"), 1));
    cr_assert(eq(int, store_account_set_key(store, DIRECTORY, first, NULL), ERROR_OK));
    crypto_key_free(second);
    second = store_account_key(store, DIRECTORY, NULL);
    cr_expect(crypto_key_equal(first, second));
    crypto_key_free(first);
    crypto_key_free(second);
    crypto_key_free(other);
    store_close(store);
    end_root(root);
}

Test(store, memory_is_written_and_read_back)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct json *value = json_new_object();
    int64_t read = 0;
    json_put_integer(value, "a", 5);
    cr_assert(eq(int, store_schedule_save(store, NAME, value, NULL), ERROR_OK));
    cr_assert(eq(int, store_account_save(store, DIRECTORY, value, NULL), ERROR_OK));
    cr_assert(eq(int, store_budget_save(store, DIRECTORY, value, NULL), ERROR_OK));
    json_free(value);
    value = store_schedule_load(store, NAME);
    cr_expect(json_read_integer(json_get(value, "a"), &read) && read == 5);
    json_free(value);
    value = store_budget_load(store, DIRECTORY);
    cr_expect(json_read_integer(json_get(value, "a"), &read) && read == 5);
    json_free(value);
    store_forget(store, NAME);
    cr_expect(eq(ptr, store_schedule_load(store, NAME), NULL));
    cr_expect(eq(ptr, store_order_load(store, NAME), NULL));
    store_close(store);
    end_root(root);
}

Test(store, what_is_remembered_of_a_certificate_is_of_that_file)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S));
    cr_expect(eq(sz, count_files(root, "state/facts"), 1));
    cr_expect(eq(i64, served_from(store), NOW_S)); /* from memory */
    cr_assert(eq(int, issue(store, NOW_S + 1, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S + 1));

    struct file_stamp second = store_stamp(store, NAME);
    cr_assert(eq(int, issue(store, NOW_S + 2, &why), ERROR_OK), "%s", why.text);
    struct file_stamp third = store_stamp(store, NAME);
    cr_expect(not(file_stamp_equal(&second, &third)));
    struct file_stamp none = store_stamp(store, "nobody.pem");
    cr_expect(file_stamp_is_none(&none));

    struct crypto_certificate read, remembered;
    write_file(root, "state/facts/" NAME ".json", "{\"file\": 7}");
    cr_assert(eq(int, store_certificate(store, NAME, &read, &why), ERROR_OK));
    cr_assert(eq(int, store_certificate(store, NAME, &remembered, &why), ERROR_OK));
    cr_expect(eq(str, read.serial, remembered.serial));
    cr_expect(eq(str, read.issuer, remembered.issuer));
    cr_expect(eq(str, read.ari_id, remembered.ari_id));
    cr_expect(eq(str, read.names[0], remembered.names[0]));
    cr_expect(eq(sz, read.name_count, remembered.name_count));
    cr_expect(eq(i64, read.not_after_s, remembered.not_after_s));
    cr_expect(eq(int, read.key_type, remembered.key_type));
    cr_expect(eq(int, memcmp(read.sha1, remembered.sha1, sizeof(read.sha1)), 0));
    cr_expect(eq(int, memcmp(read.sha256, remembered.sha256, sizeof(read.sha256)), 0));
    crypto_certificate_free(&read);
    crypto_certificate_free(&remembered);

    write_file(root, "haproxy/certs/" NAME, "overwritten in place");
    cr_expect(ne(int, store_certificate(store, NAME, &read, &why), ERROR_OK));
    store_close(store);
    end_root(root);
}

/* However fast they come, none takes the place of another. */
Test(store, all_that_is_set_aside_is_kept)
{
    enum { TIMES = 50 };
    char *root = new_root();
    struct store *store = must_open(root);
    for (int i = 0; i < TIMES; i++) {
        write_file(root, "state/schedule/" NAME ".json", "{\"failures\": ");
        cr_expect(eq(ptr, store_schedule_load(store, NAME), NULL));
    }
    cr_expect(eq(sz, count_files(root, "state/trash"), TIMES));
    /* Until there is so much of it that nobody looks through it any more. */
    for (int i = 0; i < 2 * TIMES; i++) {
        write_file(root, "state/schedule/" NAME ".json", "{\"failures\": ");
        cr_expect(eq(ptr, store_schedule_load(store, NAME), NULL));
    }
    store_close(store);
    store = must_open(root);
    cr_expect(eq(sz, count_files(root, "state/trash"), 2 * TIMES));
    store_close(store);
    end_root(root);
}

/* A key file that somebody has made too large, and what is no file: neither is waited for. */
Test(store, what_is_no_key_file_is_set_aside, .timeout = 30)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    char *name = memory_format("%s/state/pending/" NAME ".key", root);
    char *large = memory_format("%020000d", 0);
    write_file(root, "state/pending/" NAME ".key", large);
    struct crypto_key *key = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    cr_assert(ne(ptr, key, NULL), "%s", why.text);
    crypto_key_free(key);
    cr_assert(unlink(name) == 0 && mkfifo(name, 0600) == 0);
    key = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    cr_assert(ne(ptr, key, NULL), "%s", why.text);
    cr_expect(eq(sz, count_files(root, "state/trash"), 1)); /* of files; and the pipe */
    crypto_key_free(key);
    store_close(store);
    end_root(root);
    free(large);
    free(name);
}

static size_t step_count, sync_count;

static void count_step(const char *step)
{
    step_count++;
    sync_count += strncmp(step, "sync", 4) == 0;
}

/* What cannot be found out again has to be on the disk, and its name in the folder, before anybody
 * goes by it. */
Test(store, what_is_not_to_be_lost_is_synced_with_its_folder)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    file_step = count_step;
    struct crypto_key *key = store_account_key(store, DIRECTORY, &why);
    cr_assert(ne(ptr, key, NULL), "%s", why.text);
    cr_expect(eq(sz, step_count, 5)); /* create, write, sync, rename, sync the folder */
    cr_expect(eq(sz, sync_count, 2));
    file_step = NULL;
    crypto_key_free(key);
    store_close(store);
    end_root(root);
}

/* 11. Corrupt state is set aside and made anew; it never keeps us from starting. */
Test(store, what_cannot_be_read_is_set_aside)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct crypto_certificate facts;
    struct error_text why = {0};
    write_file(root, "state/schedule/" NAME ".json", "{\"failures\": ");
    write_file(root, "state/pending/" NAME ".json", "");
    write_file(root, "state/pending/" NAME ".key", "-----BEGIN PRIVATE KEY-----\nAAAA");
    cr_expect(eq(ptr, store_schedule_load(store, NAME), NULL));
    cr_expect(eq(ptr, store_order_load(store, NAME), NULL));
    struct crypto_key *key = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    cr_expect(ne(ptr, key, NULL), "%s", why.text);
    crypto_key_free(key);
    cr_expect(eq(sz, count_files(root, "state/trash"), 3));

    /* A folder where the file should be. */
    char *path = memory_format("%s/haproxy/certs/%s", root, NAME);
    cr_assert(eq(int, mkdir(path, 0700), 0));
    cr_expect(eq(int, store_certificate(store, NAME, &facts, &why), ERROR_INVALID));
    cr_expect(not(store_set_aside(store, NAME, &why)));
    cr_expect(ne(int, issue(store, NOW_S, &why), ERROR_OK));
    cr_expect(strstr(why.text, NAME) != NULL, "%s", why.text);
    free(path);
    store_close(store);
    end_root(root);
}

/* What came of it once nobody can be writing the file any more. */
static enum error look_at_rest(struct store *store, const char *name, struct error_text *why)
{
    struct crypto_certificate facts;
    enum error error;
    while ((error = store_certificate(store, name, &facts, why)) == ERROR_BUSY)
        ;
    cr_assert(ne(int, error, ERROR_OK));
    return error;
}

/* An admin's `cp`, which is half done. */
Test(store, a_file_that_is_being_written_is_left_alone, .timeout = 60)
{
    char *root = new_root();
    struct error_text why = {0};
    struct crypto_certificate facts;
    struct store *store = must_open(root);
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    write_file(root, "haproxy/certs/" NAME, "-----BEGIN CERT");
    cr_expect(eq(int, store_certificate(store, NAME, &facts, &why), ERROR_BUSY));
    cr_expect(not(store_set_aside(store, NAME, &why)));
    cr_expect(eq(int, issue(store, NOW_S + 1, &why), ERROR_BUSY));
    cr_expect(strstr(why.text, NAME) != NULL, "%s", why.text);
    cr_expect(eq(sz, count_files(root, "haproxy/certs"), 1));
    cr_expect(eq(sz, count_files(root, "state/trash"), 0));
    store_close(store);

    store = open_patient(root, AT_REST_SOON_MS, &why);
    cr_assert(ne(ptr, store, NULL), "%s", why.text);
    cr_expect(eq(int, look_at_rest(store, NAME, &why), ERROR_INVALID));
    cr_expect(eq(sz, count_files(root, "haproxy/certs"), 1)); /* who looks changes nothing */
    cr_expect(store_set_aside(store, NAME, &why));
    cr_expect(strstr(why.text, "state/trash/") != NULL, "%s", why.text);
    cr_expect(eq(sz, count_files(root, "haproxy/certs"), 0));
    cr_expect(eq(sz, count_files(root, "state/trash"), 1));

    /* Another one comes to its place: this is kept, too. */
    write_file(root, "haproxy/certs/" NAME, "-----BEGIN CERT");
    cr_expect(eq(int, look_at_rest(store, NAME, &why), ERROR_INVALID));
    cr_expect(eq(int, issue(store, NOW_S + 2, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(sz, count_files(root, "state/trash"), 2));
    cr_expect(eq(i64, served_from(store), NOW_S + 2));
    store_close(store);
    end_root(root);
}

/* There is no moving between file systems. */
Test(store, what_is_set_aside_from_another_file_system_is_kept, .timeout = 60)
{
    char elsewhere[] = "/dev/shm/store-XXXXXX";
    char *root = new_root(), *link = memory_format("%s/haproxy", root);
    struct error_text why = {0};
    struct stat here, there;
    if (mkdtemp(elsewhere) == NULL || stat(elsewhere, &there) < 0 || stat(root, &here) < 0 ||
        here.st_dev == there.st_dev) {
        end_root(root);
        free(link);
        cr_skip("there is no other file system");
    }
    cr_assert(eq(int, symlink(elsewhere, link), 0));
    struct store *store = open_patient(root, AT_REST_SOON_MS, &why);
    cr_assert(ne(ptr, store, NULL), "%s", why.text);
    write_file(root, "haproxy/certs/" NAME, "-----BEGIN CERT");
    cr_expect(eq(int, look_at_rest(store, NAME, &why), ERROR_INVALID));
    cr_expect(store_set_aside(store, NAME, &why));
    cr_expect(eq(sz, count_files(elsewhere, "certs"), 0));
    cr_expect(eq(sz, count_files(root, "state/trash"), 1));
    /* What cannot be copied stays. */
    char *large = memory_format("%05000000d", 0);
    write_file(root, "haproxy/certs/" NAME, large);
    free(large);
    cr_expect(eq(int, look_at_rest(store, NAME, &why), ERROR_TOO_BIG));
    cr_expect_not(store_set_aside(store, NAME, &why));
    cr_expect(eq(sz, count_files(elsewhere, "certs"), 1));
    store_close(store);
    nftw(elsewhere, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    end_root(root);
    free(link);
}

Test(store, a_key_of_another_certificate_is_of_no_use_and_strangers_files_are_not_judged,
     .timeout = 60)
{
    char *root = new_root();
    struct store *store = open_patient(root, AT_REST_SOON_MS, NULL);
    struct crypto_key *one = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct crypto_key *two = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct bytes chain = {0}, key = {0};
    make_chain(one, NOW_S, &chain);
    cr_assert(eq(int, crypto_key_to_pem(two, &key, NULL), ERROR_OK));
    char *text = memory_format("%s%s", key.data, chain.data);
    write_file(root, "haproxy/certs/" NAME, text);
    write_file(root, "haproxy/certs/stranger.pem", chain.data); /* its key is in another file */
    cr_expect(eq(int, look_at_rest(store, NAME, NULL), ERROR_INVALID));
    cr_expect(eq(int, look_at_rest(store, "stranger.pem", NULL), ERROR_UNSUPPORTED));
    free(text);
    bytes_free(&chain);
    bytes_free(&key);
    crypto_key_free(one);
    crypto_key_free(two);
    store_close(store);
    end_root(root);
}

static void count_name(void *context, const char *name)
{
    cr_expect(eq(int, strcmp(name, NAME), 0), "%s", name);
    ++*(size_t *)context;
}

Test(store, names_are_listed_and_checked)
{
    char *root = new_root();
    struct store *store = must_open(root);
    size_t count = 0;
    cr_assert(eq(int, issue(store, NOW_S, NULL), ERROR_OK));
    write_file(root, "haproxy/certs/.hidden.pem", "x");
    write_file(root, "haproxy/certs/README Upper", "x");
    store_each(store, count_name, &count);
    cr_expect(eq(sz, count, 1));
    const char *bad[] = {"", ".", "..", "../x", "a/b", ".x", "A.pem", "a b", "a\nb"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect_not(store_name_valid(slice_of(bad[i])), "%s", bad[i]);
    cr_expect(store_name_valid(SLICE("_wildcard.example.test.pem.ecdsa")));
    store_close(store);
    end_root(root);
}

Test(store, a_chain_that_haproxy_would_not_take_is_refused)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct crypto_key *other = crypto_key_new(CRYPTO_EC_P256, NULL);
    struct bytes chain = {0};
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK));
    make_chain(other, NOW_S + 1, &chain);
    cr_expect(
        eq(int, store_install(store, NAME, key, bytes_slice(&chain), NULL, &why), ERROR_INVALID));
    cr_expect(eq(i64, served_from(store), NOW_S));
    bytes_free(&chain);
    /* Nor a longer one; the key of the order stays, since the next one is for it, too. */
    struct crypto_key *pending = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    make_chain(pending, NOW_S + 1, &chain);
    char *one = memory_copy_text(bytes_slice(&chain));
    while (chain.size <= STORE_PEM_MAX_BYTES)
        cr_assert(bytes_append(&chain, slice_of(one), 1 << 20));
    cr_expect(eq(int, store_install(store, NAME, pending, bytes_slice(&chain), NULL, &why),
                 ERROR_TOO_BIG),
              "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S));
    struct crypto_key *same = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    cr_expect(crypto_key_equal(pending, same));
    free(one);
    crypto_key_free(same);
    crypto_key_free(pending);
    bytes_free(&chain);
    crypto_key_free(key);
    crypto_key_free(other);
    store_close(store);
    end_root(root);
}

/* 11. A full disk: the limit of the size of files stands for it. */
Test(store, a_full_disk_costs_nothing_that_was_there)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    struct bytes chain = {0};
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK));
    struct crypto_key *key = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    make_chain(key, NOW_S + 1, &chain);

    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {100, RLIM_INFINITY};
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &small), 0));
    enum error error = store_install(store, NAME, key, bytes_slice(&chain), NULL, &why);
    struct crypto_key *unwritten = store_account_key(store, DIRECTORY, &why);
    cr_expect(eq(ptr, unwritten, NULL)); /* it would be another after a restart */
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &none), 0));

    cr_expect(eq(int, error, ERROR_SYSTEM));
    cr_expect(strstr(why.text, root) != NULL, "%s", why.text);
    cr_expect(strstr(why.text, strerror(EFBIG)) != NULL, "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S));
    cr_expect(eq(sz, count_files(root, "haproxy/certs/.staging"), 0));
    struct crypto_key *same = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    cr_expect(crypto_key_equal(key, same)); /* the next try's, too */
    crypto_key_free(same);
    cr_assert(eq(int, store_install(store, NAME, key, bytes_slice(&chain), NULL, &why), ERROR_OK));
    cr_expect(eq(i64, served_from(store), NOW_S + 1));
    bytes_free(&chain);
    crypto_key_free(key);
    store_close(store);
    end_root(root);
}

Test(store, a_folder_that_cannot_be_made_is_named)
{
    struct error_text why = {0};
    const struct store_settings settings = {
        .state = "/proc/owui-spoa/state", .certs = "/proc/x", .owner = -1, .group = -1};
    cr_expect(eq(ptr, store_open(&settings, &why), NULL));
    cr_expect(strstr(why.text, "/proc/owui-spoa") != NULL, "%s", why.text);
}

static void replace_by_hand(const char *root, int64_t from_s)
{
    struct bytes text = {0}, chain = {0};
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, NULL);
    make_chain(key, from_s, &chain);
    cr_assert(eq(int, crypto_key_to_pem(key, &text, NULL), ERROR_OK));
    cr_assert(bytes_append(&text, bytes_slice(&chain), 65536));
    write_file(root, "haproxy/certs/" NAME, text.data);
    crypto_key_free(key);
    bytes_free(&chain);
    bytes_free(&text);
}

/* Whether what is in service is known to be from there; NULL: from nowhere. */
static bool is_issued_by(struct store *store, const char *issuer)
{
    struct crypto_certificate certificate;
    cr_assert(eq(int, store_certificate(store, NAME, &certificate, NULL), ERROR_OK));
    char *known = store_issuer(store, NAME, &certificate);
    bool is_so = issuer == NULL ? known == NULL : known != NULL && strcmp(known, issuer) == 0;
    crypto_certificate_free(&certificate);
    free(known);
    return is_so;
}

/* What may be taken out of service when nobody wants it: by the next process too. */
Test(store, ours_is_told_from_an_admins)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    cr_expect_not(store_is_ours(store, NAME));
    replace_by_hand(root, NOW_S);
    cr_expect_not(store_is_ours(store, NAME));
    cr_assert(eq(int, issue(store, NOW_S + 1, &why), ERROR_OK), "%s", why.text);
    cr_expect(store_is_ours(store, NAME));
    cr_assert(eq(int, issue(store, NOW_S + 2, &why), ERROR_OK), "%s", why.text);
    store_close(store);
    store = must_open(root);
    cr_expect(store_is_ours(store, NAME));
    cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S + 1));
    cr_expect(store_is_ours(store, NAME));
    cr_expect(is_issued_by(store, "https://ca.test/1800000001"));

    replace_by_hand(root, NOW_S + 3);
    cr_expect_not(store_is_ours(store, NAME));
    cr_expect(is_issued_by(store, NULL));
    cr_assert(eq(int, issue(store, NOW_S + 4, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, served_from(store), NOW_S + 3));
    cr_expect_not(store_is_ours(store, NAME));
    store_close(store);
    end_root(root);
}

/* Who puts a certificate that has left there again is an admin; and a file that cannot be read is
 * left where it is. */
Test(store, what_has_left_is_ours_no_more)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    struct bytes pem = {0};
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, store_read(store, NAME, &pem, &why), ERROR_OK), "%s", why.text);
    write_file(root, "haproxy/certs/" NAME, "not a certificate");
    cr_expect_not(store_is_ours(store, NAME));
    cr_expect(eq(sz, count_files(root, "state/trash"), 0));
    write_file(root, "haproxy/certs/" NAME, pem.data);
    cr_expect(store_is_ours(store, NAME));
    cr_assert(eq(int, store_remove(store, NAME, &why), ERROR_OK), "%s", why.text);
    write_file(root, "haproxy/certs/" NAME, pem.data);
    cr_expect_not(store_is_ours(store, NAME));
    bytes_free(&pem);
    store_close(store);
    end_root(root);
}

static size_t count_removed(struct store *store)
{
    size_t count = 0;
    store_each_removed(store, count_name, &count);
    return count;
}

/* By the next process too, until HAProxy has let go of it. */
Test(store, what_has_left_is_remembered_until_it_is_forgotten)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    write_file(root, "state/ours/x", "{}"); /* nobody's certificate */
    cr_expect(zero(sz, count_removed(store)));
    store_forget_removed(store, NAME);
    cr_expect(store_is_ours(store, NAME), "what is in service has not left");
    cr_assert(eq(int, store_remove(store, NAME, &why), ERROR_OK), "%s", why.text);
    store_close(store);
    store = must_open(root);
    cr_expect(eq(sz, count_removed(store), 1));
    cr_assert(eq(int, issue(store, NOW_S + 1, &why), ERROR_OK), "%s", why.text);
    cr_expect(zero(sz, count_removed(store)));
    cr_expect(store_is_ours(store, NAME));
    cr_assert(eq(int, store_remove(store, NAME, &why), ERROR_OK), "%s", why.text);
    store_forget_removed(store, NAME);
    cr_expect(zero(sz, count_removed(store)));
    cr_expect(eq(sz, count_files(root, "state/ours"), 1));
    store_close(store);
    end_root(root);
}

static bool has_left(struct store *store, int64_t from_s)
{
    struct crypto_certificate left;
    struct error_text why = {0};
    enum error error = store_left(store, NAME, &left, &why);
    if (error == ERROR_NOT_FOUND)
        return false;
    cr_assert(eq(int, error, ERROR_OK), "%s", why.text);
    cr_expect(eq(i64, left.not_before_s, from_s));
    crypto_certificate_free(&left);
    return true;
}

/* As often as it leaves, and with what is known of it. */
Test(store, what_has_left_comes_back_as_ours)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, issue(store, NOW_S + 1, &why), ERROR_OK), "%s", why.text);
    cr_expect_not(has_left(store, 0), "it is in service");
    for (int times = 0; times < 2; times++) {
        cr_assert(eq(int, store_remove(store, NAME, &why), ERROR_OK), "%s", why.text);
        store_forget_removed(store, NAME);
        store_close(store);
        store = must_open(root);
        cr_expect(has_left(store, NOW_S + 1));
        cr_assert(eq(int, store_rollback(store, NAME, &why), ERROR_OK), "%s", why.text);
        cr_expect(eq(i64, served_from(store), NOW_S + 1));
        cr_expect(store_is_ours(store, NAME));
        cr_expect_not(has_left(store, 0));
    }
    struct crypto_certificate facts;
    cr_assert(eq(int, store_certificate(store, NAME, &facts, &why), ERROR_OK), "%s", why.text);
    char *issuer = store_issuer(store, NAME, &facts),
         *own = memory_format("https://ca.test/%lld", (long long)NOW_S + 1);
    cr_assert(ne(ptr, issuer, NULL));
    cr_expect(eq(str, issuer, own));
    crypto_certificate_free(&facts);
    free(issuer);
    free(own);
    store_close(store);
    end_root(root);
}

/* Who takes a certificate away by hand does not want it back, nor those before it. */
Test(store, what_an_admin_has_taken_away_has_not_left)
{
    char *root = new_root();
    struct store *store = must_open(root);
    struct error_text why = {0};
    char *path = memory_format("%s/haproxy/certs/%s", root, NAME);
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, store_remove(store, NAME, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, issue(store, NOW_S + 1, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, unlink(path), 0));
    cr_expect_not(has_left(store, 0));
    free(path);
    store_close(store);
    end_root(root);
}

static int steps_left;

static void die_at_step(const char *step)
{
    (void)step;
    if (steps_left-- == 0)
        _exit(137);
}

/* 10. Killed at every step of a renewal: what serves is the old pair or the new one, whole; the key
 * of the order to be resumed is the one that was there. */
Test(store, a_kill_at_any_step_leaves_the_old_or_the_new)
{
    char *root = new_root();
    struct error_text why = {0};
    struct store *store = must_open(root);
    cr_assert(eq(int, issue(store, NOW_S, &why), ERROR_OK));
    store_close(store);
    bool finished = false;
    int64_t next = NOW_S + 1;
    int kills = 0;
    for (int step = 0; !finished && step < 200; step++) {
        store = must_open(root);
        struct crypto_key *before = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
        int64_t old = served_from(store);
        store_close(store);
        pid_t child = fork();
        if (child == 0) {
            store = open_at(root, NULL);
            steps_left = step;
            file_step = die_at_step;
            _exit(store != NULL && issue(store, next, NULL) == ERROR_OK ? 0 : 1);
        }
        int status = -1;
        cr_assert(eq(int, waitpid(child, &status, 0), child));
        bool ended = WIFEXITED(status) && WEXITSTATUS(status) != 1;
        cr_assert(ended, "step %d", step);
        finished = WEXITSTATUS(status) == 0;
        kills += !finished;

        store = must_open(root);
        int64_t now = served_from(store);
        cr_assert(now == old || now == next, "step %d", step);
        cr_assert(eq(sz, count_files(root, "haproxy/certs"), 1), "step %d", step);
        cr_assert(eq(sz, count_files(root, "state/trash"), 0), "step %d", step);
        cr_assert(eq(sz, count_files(root, "haproxy/certs/.staging"), 0), "step %d", step);
        cr_assert(le(sz, count_files(root, "state/pending"), 2), "step %d", step);
        struct crypto_key *after = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
        if (now == old)
            cr_assert(crypto_key_equal(before, after), "step %d", step);
        next += now == next;
        crypto_key_free(before);
        crypto_key_free(after);
        store_close(store);
    }
    cr_expect(finished);
    cr_expect(lt(int, 15, kills));
    end_root(root);
}

Test(store, the_accounts_thumbprint_is_known_while_the_store_is_open)
{
    char *root = new_root(), *state = memory_format("%s/state", root);
    char expected[CRYPTO_THUMBPRINT_LENGTH + 1], found[CRYPTO_THUMBPRINT_LENGTH + 1];
    struct error_text why;

    cr_expect(eq(int, store_account_thumbprint(state, DIRECTORY, found, &why), ERROR_NOT_FOUND));
    cr_expect(ne(int, access(state, F_OK), 0), "made by looking");
    struct store *store = must_open(root);
    cr_expect(eq(int, store_account_thumbprint(state, DIRECTORY, found, &why), ERROR_NOT_FOUND));
    struct crypto_key *key = store_account_key(store, DIRECTORY, &why);
    cr_assert(ne(ptr, key, NULL), "%s", why.text);
    cr_assert(eq(int, crypto_key_thumbprint(key, expected, &why), ERROR_OK));
    cr_assert(eq(int, store_account_thumbprint(state, DIRECTORY, found, &why), ERROR_OK), "%s",
              why.text);
    cr_expect_str_eq(found, expected);
    crypto_key_free(key);
    store_close(store);
    free(state);
    end_root(root);
}

Test(store, an_order_whose_key_is_in_service_is_over)
{
    struct error_text why = {0};
    struct bytes pem = {0};
    char *root = new_root();
    struct store *store = must_open(root);
    cr_assert(eq(int, issue(store, 1000, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, store_read(store, NAME, &pem, &why), ERROR_OK));
    struct crypto_key *served;
    cr_assert(eq(int, crypto_key_from_pem(bytes_slice(&pem), &served, &why), ERROR_OK));
    bytes_free(&pem);

    /* As it is when the process ends before the last step. */
    cr_assert(eq(int, store_pending_key_put(store, NAME, served, &why), ERROR_OK));
    store_pending_settle(store, NAME);
    cr_expect(eq(ptr, store_pending_key_find(store, NAME, CRYPTO_EC_P256), NULL));

    struct crypto_key *next = store_pending_key(store, NAME, CRYPTO_EC_P256, &why);
    store_pending_settle(store, NAME);
    struct crypto_key *found = store_pending_key_find(store, NAME, CRYPTO_EC_P256);
    cr_assert(ne(ptr, found, NULL));
    cr_expect(crypto_key_equal(found, next));
    crypto_key_free(found);
    crypto_key_free(next);
    crypto_key_free(served);
    store_close(store);
    end_root(root);
}
