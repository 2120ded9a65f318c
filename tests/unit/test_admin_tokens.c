/* admin: tokens in their file. */
#include "admin/admin_tokens.h"
#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[32];

static char *path_in_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/owui-tokens-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    return memory_format("%s/tokens.json", folder);
}

static void write_file(const char *path, const char *text, unsigned mode)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
    cr_assert(chmod(path, mode) == 0);
}

Test(admin_tokens, what_is_written_is_read)
{
    static struct admin_tokens made, read;
    struct error_text why;
    char alice[ADMIN_TOKEN_SIZE], bob[ADMIN_TOKEN_SIZE];
    char *path = path_in_folder();
    cr_assert(admin_tokens_read(path, &read, &why) == ERROR_NOT_FOUND);
    cr_assert(admin_tokens_add(&made, SLICE("alice"), ADMIN_ROLE_ADMIN, 1000000000, alice, &why) ==
              ERROR_OK);
    cr_assert(admin_tokens_add(&made, SLICE("bob"), ADMIN_ROLE_READ, 1000000000, bob, &why) ==
              ERROR_OK);
    cr_assert(admin_tokens_write(path, &made, &why) == ERROR_OK, "%s", why.text);
    cr_assert(admin_tokens_read(path, &read, &why) == ERROR_OK, "%s", why.text);
    cr_assert(read.count == 2);
    const struct admin_token *found = admin_tokens_find(&read, slice_of(alice));
    cr_assert(found != NULL && found->role == ADMIN_ROLE_ADMIN);
    cr_assert(eq(str, (char *)(uintptr_t)found->name, "alice"));
    cr_assert(found->made_wall_s == 1000000000);
    cr_assert(admin_tokens_find(&read, SLICE("")) == NULL);
    cr_assert(admin_tokens_find(&read, slice_head(slice_of(bob), strlen(bob) - 1)) == NULL);
    cr_assert(admin_tokens_remove(&read, SLICE("alice")));
    cr_assert(admin_tokens_remove(&read, SLICE("alice")) == false);
    cr_assert(admin_tokens_find(&read, slice_of(alice)) == NULL);
    cr_assert(admin_tokens_find(&read, slice_of(bob)) != NULL);
    unlink(path);
    rmdir(folder);
    free(path);
}

/* Root writes into a folder of its own for the service, which has to read it. */
Test(admin_tokens, a_file_stays_whose_it_is)
{
    enum { SERVICE = 12345 };
    static struct admin_tokens none;
    struct error_text why;
    struct stat about;
    char *path = path_in_folder();
    if (geteuid() != 0)
        cr_skip_test("only root gives files away");
    write_file(path, "{}", 0600);
    cr_assert(chown(path, SERVICE, SERVICE + 1) == 0);
    cr_assert(admin_tokens_write(path, &none, &why) == ERROR_OK, "%s", why.text);
    cr_assert(zero(int, stat(path, &about)));
    cr_assert(about.st_uid == SERVICE && about.st_gid == SERVICE + 1);
    cr_assert(eq(u32, about.st_mode & 07777, 0600));
    unlink(path);
    rmdir(folder);
    free(path);
}

Test(admin_tokens, a_list_has_an_end)
{
    static struct admin_tokens tokens;
    char text[ADMIN_TOKEN_SIZE], name[ADMIN_TOKEN_NAME_SIZE];
    struct error_text why;
    for (unsigned i = 0; i < ADMIN_TOKENS_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        cr_assert(admin_tokens_add(&tokens, slice_of(name), ADMIN_ROLE_READ, 0, text, &why) ==
                  ERROR_OK);
    }
    cr_assert(admin_tokens_add(&tokens, SLICE("more"), ADMIN_ROLE_READ, 0, text, &why) ==
              ERROR_TOO_BIG);
}

#define HASH "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

Test(admin_tokens, files_that_let_nobody_in)
{
    static const struct {
        const char *text;
        unsigned mode;
        enum error error;
    } ROWS[] = {
        {"{\"tokens\": {\"a\": {\"role\": \"read\", \"sha256\": \"" HASH "\"}}}", 0600, ERROR_OK},
        {"{\"tokens\": {\"a\": {\"role\": \"read\", \"sha256\": \"" HASH "\"}}}", 0640,
         ERROR_REFUSED},
        {"{\"tokens\": {\"a\": {\"role\": \"read\", \"sha256\": \"" HASH "\"}}}", 0604,
         ERROR_REFUSED},
        {"{\"tokens\": {\"a\": {\"role\": \"root\", \"sha256\": \"" HASH "\"}}}", 0600,
         ERROR_INVALID},
        {"{\"tokens\": {\"a\": {\"role\": \"read\", \"sha256\": \"9f86\"}}}", 0600, ERROR_INVALID},
        {"{\"tokens\": {\"A\": {\"role\": \"read\", \"sha256\": \"" HASH "\"}}}", 0600,
         ERROR_INVALID},
        {"{\"tokens\": []}", 0600, ERROR_INVALID},
        {"{}", 0600, ERROR_INVALID},
        {"", 0600, ERROR_INVALID},
        {"{\"tokens\": {}}", 0600, ERROR_OK},
    };
    static struct admin_tokens tokens;
    struct error_text why;
    char *path = path_in_folder();
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        write_file(path, ROWS[i].text, ROWS[i].mode);
        enum error error = admin_tokens_read(path, &tokens, &why);
        cr_expect(error == ROWS[i].error, "row %zu: %s", i, error_name(error));
        cr_expect(error == ERROR_OK || tokens.count == 0);
        unlink(path);
    }
    rmdir(folder);
    free(path);
}
