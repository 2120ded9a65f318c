/* The placeholder is replaced before it ends, and nobody else's certificate is. */
#include "acme/placeholder.h"
#include "core/memory.h"
#include "crypto/crypto.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t NOW_S = 1800000000;
static const int64_t YEAR_S = INT64_C(365) * 86400;
static const unsigned SERVICE = 4321, OTHER = 1234;
static const struct file_mode MODE = {.mode = 0600, .owner = -1, .group = -1};

static char *read_file(const char *folder)
{
    struct folder opened;
    struct bytes content = {0};
    struct error_text why = {0};
    cr_assert(eq(int, folder_open(&opened, folder, 0700, &why), ERROR_OK), "%s", why.text);
    cr_assert(eq(int, file_read(&opened, "p.pem", 64 * 1024, &content, &why), ERROR_OK), "%s",
              why.text);
    char *text = memory_copy_text(bytes_slice(&content));
    bytes_free(&content);
    folder_close(&opened);
    return text;
}

static void ensure(const char *path, int64_t now_s)
{
    struct error_text why = {0};
    cr_assert(eq(int, placeholder_ensure(path, &MODE, now_s, &why), ERROR_OK), "%s", why.text);
}

Test(placeholder, lasts_and_is_renewed_in_time)
{
    char root[] = "/tmp/placeholder-XXXXXX";
    cr_assert(ne(ptr, mkdtemp(root), NULL));
    char *folder = memory_format("%s/below", root), *path = memory_format("%s/p.pem", folder);
    ensure(path, NOW_S);
    char *first = read_file(folder);
    struct crypto_certificate facts;
    cr_assert(eq(int, crypto_certificate_read(slice_of(first), &facts, NULL), ERROR_OK));
    cr_expect(eq(str, facts.names[0], "placeholder.invalid"));
    crypto_certificate_free(&facts);
    ensure(path, NOW_S + 8 * YEAR_S);
    char *same = read_file(folder);
    cr_expect(eq(str, same, first));
    ensure(path, NOW_S + 9 * YEAR_S + 10);
    char *next = read_file(folder);
    cr_expect(ne(str, next, first));
    struct stat about;
    cr_expect(eq(int, stat(path, &about), 0));
    cr_expect(eq(uint, about.st_mode & 0777, 0600));
    unlink(path);
    rmdir(folder);
    rmdir(root);
    free(first), free(same), free(next), free(folder), free(path);
}

/* Whoever has put it there sees to its end, too. */
Test(placeholder, an_admins_own_is_left_as_it_is)
{
    char root[] = "/tmp/placeholder-XXXXXX";
    cr_assert(ne(ptr, mkdtemp(root), NULL));
    char *path = memory_format("%s/p.pem", root);
    struct bytes pem = {0}, certificate = {0};
    struct error_text why = {0};
    struct folder folder;
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, &why);
    cr_assert(eq(
        int,
        crypto_self_signed(key, "own.example.test", NOW_S, NOW_S + YEAR_S / 2, &certificate, &why),
        ERROR_OK));
    cr_assert(eq(int, crypto_key_to_pem(key, &pem, &why), ERROR_OK));
    cr_assert(bytes_append(&pem, bytes_slice(&certificate), 64 * 1024));
    cr_assert(eq(int, folder_open(&folder, root, 0700, &why), ERROR_OK));
    cr_assert(
        eq(int, file_replace(&folder, &folder, "p.pem", bytes_slice(&pem), &MODE, &why), ERROR_OK));
    folder_close(&folder);
    ensure(path, NOW_S);
    char *same = read_file(root);
    cr_expect(slice_equal(slice_of(same), bytes_slice(&pem)));
    unlink(path);
    rmdir(root);
    bytes_free(&pem);
    bytes_free(&certificate);
    crypto_key_free(key);
    free(same);
    free(path);
}

/* The folder around is the service's, and who makes it may be root. */
Test(placeholder, a_link_leads_nobody_to_another_folder)
{
    char root[] = "/tmp/placeholder-XXXXXX";
    struct error_text why = {0};
    struct stat about;
    cr_assert(ne(ptr, mkdtemp(root), NULL));
    char *folder = memory_format("%s/below", root), *path = memory_format("%s/p.pem", folder);
    char *elsewhere = memory_format("%s/elsewhere", root);
    cr_assert(eq(int, mkdir(elsewhere, 0700), 0));
    (void)!chown(elsewhere, OTHER, OTHER); /* takes root */
    cr_assert(eq(int, symlink("elsewhere", folder), 0));
    cr_expect(ne(int, placeholder_ensure(path, &MODE, NOW_S, &why), ERROR_OK));
    cr_expect(strstr(why.text, "which is to be a folder") != NULL, "%s", why.text);
    cr_expect(eq(int, stat(elsewhere, &about), 0));
    cr_expect(eq(uint, about.st_uid, geteuid() == 0 ? OTHER : geteuid()));
    cr_expect(eq(int, rmdir(elsewhere), 0), "something was made there");
    unlink(folder);
    rmdir(root);
    free(folder), free(path), free(elsewhere);
}

static void expect_owner(const char *path, unsigned owner)
{
    struct stat about;
    cr_assert(eq(int, stat(path, &about), 0));
    cr_expect(eq(uint, about.st_uid, owner), "%s", path);
}

Test(placeholder, what_root_makes_is_the_services_and_what_was_there_stays_whose_it_is)
{
    char root[] = "/tmp/placeholder-XXXXXX";
    if (geteuid() != 0)
        cr_skip_test("takes root");
    cr_assert(ne(ptr, mkdtemp(root), NULL));
    char *folder = memory_format("%s/below", root), *path = memory_format("%s/p.pem", folder);
    cr_assert(eq(int, chown(root, SERVICE, SERVICE), 0));
    ensure(path, NOW_S);
    expect_owner(folder, SERVICE);
    expect_owner(path, SERVICE);
    unlink(path);
    cr_assert(eq(int, chown(folder, OTHER, OTHER), 0));
    ensure(path, NOW_S);
    expect_owner(folder, OTHER);
    expect_owner(path, SERVICE);
    unlink(path);
    rmdir(folder);
    rmdir(root);
    free(folder), free(path);
}

Test(placeholder, the_reason_names_the_place)
{
    struct error_text why = {0};
    cr_expect(ne(int, placeholder_ensure("/proc/none/p.pem", &MODE, NOW_S, &why), ERROR_OK));
    cr_expect(strstr(why.text, "/proc/none") != NULL, "%s", why.text);
}
