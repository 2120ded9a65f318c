/* app/certbot_copies: keys of certbot's, for a moment where the daemon can read them. */
#include "certbot_copies.h"

#include "core/fd.h"
#include "core/memory.h"
#include "core/whole_file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/owui-certbot.XXXXXX";

static char *in(const char *name)
{
    return memory_format("%s/%s", folder, name);
}

static void make(const char *name)
{
    char *path = in(name);
    cr_assert(zero(int, mkdir(path, 0700)), "%s", path);
    free(path);
}

static void write_file(const char *name, const char *text)
{
    char *path = in(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert(fd_write_all(fd, slice_of(text)), "%s", path);
    close(fd);
    free(path);
}

static void expect_file(const char *name, const char *text)
{
    char *path = in(name);
    char *found = NULL;
    struct error_text why;
    cr_expect(eq(int, whole_file_read(path, 4096, &found, NULL, &why), ERROR_OK), "%s", why.text);
    cr_expect(zero(int, strcmp(found != NULL ? found : "", text)), "%s", name);
    free(found);
    free(path);
}

static bool is_there(const char *name)
{
    char *path = in(name);
    struct stat status;
    bool there = lstat(path, &status) == 0;
    free(path);
    return there;
}

static void set_up(void)
{
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    make("live");
    make("live/chat.test");
    make("archive");
    make("state");
    write_file("archive/fullchain1.pem", "the chain\n");
    write_file("live/chat.test/privkey.pem", "the key\n");
    char *link = in("live/chat.test/fullchain.pem");
    cr_assert(zero(int, symlink("../../archive/fullchain1.pem", link)));
    free(link);
}

static void tear_down(void)
{
    char *command = memory_format("rm -r %s", folder);
    cr_assert(zero(int, system(command)));
    free(command);
}

TestSuite(certbot_copies, .init = set_up, .fini = tear_down);

static struct certbot_copies *open_copies(void)
{
    struct error_text why = {""};
    char *state = in("state");
    struct certbot_copies *copies = certbot_copies_new(state, &why);
    cr_assert(ne(ptr, copies, NULL), "%s", why.text);
    free(state);
    return copies;
}

static enum error add(struct certbot_copies *copies, const char *name)
{
    struct error_text why = {""};
    return certbot_copies_add(copies, folder, name, &why);
}

Test(certbot_copies, are_there_and_go)
{
    struct certbot_copies *copies = open_copies();
    struct stat status;
    cr_expect(eq(int, add(copies, "chat.test"), ERROR_OK));
    expect_file("state/from-certbot/chat.test/fullchain.pem", "the chain\n");
    expect_file("state/from-certbot/chat.test/privkey.pem", "the key\n");
    char *path = in("state/from-certbot/chat.test/privkey.pem");
    cr_assert(zero(int, stat(path, &status)));
    cr_expect(eq(int, (int)(status.st_mode & 0777), 0600));
    free(path);
    cr_expect(eq(int, add(copies, "gone.test"), ERROR_NOT_FOUND));
    certbot_copies_free(copies);
    cr_expect(not(is_there("state/from-certbot")));
    expect_file("live/chat.test/privkey.pem", "the key\n");
}

Test(certbot_copies, go_over_what_a_killed_run_has_left)
{
    make("state/from-certbot");
    make("state/from-certbot/chat.test");
    write_file("state/from-certbot/chat.test/fullchain.pem", "half of a cha");
    write_file("state/from-certbot/chat.test/privkey.pem", "");
    struct certbot_copies *copies = open_copies();
    cr_expect(eq(int, add(copies, "chat.test"), ERROR_OK));
    expect_file("state/from-certbot/chat.test/fullchain.pem", "the chain\n");
    expect_file("state/from-certbot/chat.test/privkey.pem", "the key\n");
    certbot_copies_free(copies);
    cr_expect(not(is_there("state/from-certbot")));
}

/* Root would write, and remove, where the daemon's user says. */
Test(certbot_copies, follow_no_link_of_the_daemons)
{
    struct error_text why = {""};
    char *link = in("state/from-certbot"), *state = in("state");
    cr_assert(zero(int, symlink("../live", link)));
    struct certbot_copies *none = certbot_copies_new(state, &why);
    cr_expect(eq(ptr, none, NULL));
    cr_expect(ne(ptr, strstr(why.text, "from-certbot"), NULL), "%s", why.text);
    cr_assert(zero(int, unlink(link)));

    make("state/from-certbot");
    char *inner = in("state/from-certbot/chat.test");
    cr_assert(zero(int, symlink("../../live/chat.test", inner)));
    struct certbot_copies *copies = open_copies();
    cr_expect(ne(int, add(copies, "chat.test"), ERROR_OK));
    certbot_copies_free(copies);
    expect_file("live/chat.test/privkey.pem", "the key\n");
    expect_file("live/chat.test/fullchain.pem", "the chain\n");
    free(inner);
    free(state);
    free(link);
}
