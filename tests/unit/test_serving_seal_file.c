/* app: the file with the keys that cookies are sealed with. */
#include "serving/seal_file.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 86400, LIFE_S = 30 * DAY_S, BELIEVED_S = 120 };

static const int64_t NOW_S = 1800000000;

static char root[] = "/tmp/owui-seal-XXXXXX";
static char *path;

static void set_up(void)
{
    cr_assert(mkdtemp(root) != NULL);
    path = memory_format("%s/keys", root);
}

static void tear_down(void)
{
    static const char *const ENDINGS[] = {"", ".lock"};
    for (size_t i = 0; i < COUNT_OF(ENDINGS); i++) {
        char *name = memory_format("%s%s", path, ENDINGS[i]);
        unlink(name);
        free(name);
    }
    cr_expect(rmdir(root) == 0);
    free(path);
}

TestSuite(seal_file, .init = set_up, .fini = tear_down);

static struct seal_keys renew(int64_t now_s, enum error expected)
{
    struct seal_keys keys;
    struct error_text why = {0};
    cr_assert(eq(int, seal_file_renew(path, now_s, &keys, &why), expected), "%s", why.text);
    return keys;
}

static bool is_due(int64_t now_s)
{
    struct seal_keys keys;
    bool due;
    struct error_text why;
    enum error error = seal_file_look(path, now_s, &keys, &due, &why);
    cr_assert(error == ERROR_OK || error == ERROR_NOT_FOUND, "%s", why.text);
    return due;
}

static struct seal_keys look(int64_t now_s)
{
    struct seal_keys keys;
    bool due;
    struct error_text why = {0};
    cr_assert(eq(int, seal_file_look(path, now_s, &keys, &due, &why), ERROR_OK), "%s", why.text);
    return keys;
}

static void write_text(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    cr_assert(chmod(path, mode) == 0);
}

static bool same_key(const struct seal_keys *a, unsigned i, const struct seal_keys *b, unsigned k)
{
    return memcmp(a->keys[i], b->keys[k], CRYPTO_SEAL_KEY_BYTES) == 0;
}

Test(seal_file, is_made_for_its_owner_alone)
{
    struct stat about;
    cr_expect(is_due(NOW_S));
    struct seal_keys made = renew(NOW_S, ERROR_OK);
    cr_expect(eq(uint, made.count, 1));
    cr_assert(stat(path, &about) == 0);
    cr_expect(eq(uint, about.st_mode & 0777, 0600));
    struct seal_keys read;
    cr_assert(eq(int, seal_file_read(path, &read, NULL), ERROR_OK));
    cr_expect(eq(uint, read.count, 1));
    cr_expect(same_key(&made, 0, &read, 0));
}

/* A cookie is good for as long as its key is the newest, and as long again. */
Test(seal_file, a_key_is_followed_by_another_and_kept_as_long_again)
{
    struct seal_keys first = renew(NOW_S, ERROR_OK);
    cr_expect_not(is_due(NOW_S + LIFE_S - 1));
    struct seal_keys same = renew(NOW_S + LIFE_S - 1, ERROR_OK);
    cr_expect(same.count == 1 && same_key(&first, 0, &same, 0));
    cr_expect(is_due(NOW_S + LIFE_S));
    renew(NOW_S + LIFE_S, ERROR_OK);
    struct seal_keys second = renew(NOW_S + LIFE_S + BELIEVED_S, ERROR_OK);
    cr_expect(eq(uint, second.count, 2));
    cr_expect(same_key(&first, 0, &second, 1));
    cr_expect_not(same_key(&first, 0, &second, 0));
    cr_expect_not(is_due(NOW_S + 2 * LIFE_S - 1));
    renew(NOW_S + 2 * LIFE_S, ERROR_OK);
    struct seal_keys third = look(NOW_S + 2 * LIFE_S + BELIEVED_S);
    cr_expect(eq(uint, third.count, SEAL_KEYS));
    cr_expect(same_key(&second, 0, &third, 1));
}

/* What is sealed with the first of the keys is believed by an agent that has read the file since.
 */
Test(seal_file, a_new_key_is_believed_before_it_seals)
{
    struct seal_keys first = renew(NOW_S, ERROR_OK);
    struct seal_keys made = renew(NOW_S + LIFE_S, ERROR_OK);
    cr_expect(eq(uint, made.count, 2));
    cr_expect(same_key(&made, 0, &first, 0));
    struct seal_keys young = look(NOW_S + LIFE_S + BELIEVED_S - 1);
    cr_expect(same_key(&young, 0, &first, 0) && same_key(&young, 1, &made, 1));
    struct seal_keys grown = look(NOW_S + LIFE_S + BELIEVED_S);
    cr_expect(same_key(&grown, 0, &made, 1) && same_key(&grown, 1, &first, 0));
    /* A clock that is set back a little makes it young again. */
    young = look(NOW_S + LIFE_S - 60);
    cr_expect(same_key(&young, 0, &first, 0) && same_key(&young, 1, &made, 1));
    cr_expect_not(is_due(NOW_S + LIFE_S - 60));
}

/* As at a boot without a clock of the machine's own, before the network tells the time. */
Test(seal_file, a_clock_that_is_behind_changes_nothing)
{
    struct seal_keys first = renew(NOW_S, ERROR_OK);
    struct seal_keys made = renew(NOW_S + LIFE_S, ERROR_OK);
    const int64_t BEHIND_S[] = {0, NOW_S - DAY_S, NOW_S + DAY_S, NOW_S + LIFE_S - DAY_S};
    for (size_t i = 0; i < COUNT_OF(BEHIND_S); i++) {
        cr_expect_not(is_due(BEHIND_S[i]), "%zu", i);
        struct seal_keys keys = renew(BEHIND_S[i], ERROR_OK);
        cr_expect(eq(uint, keys.count, 2));
        cr_expect(same_key(&keys, 0, &made, 1) && same_key(&keys, 1, &first, 0), "%zu", i);
    }
    /* Neither does the clock that is right again. */
    const int64_t right_s = NOW_S + 2 * LIFE_S - 1;
    cr_expect_not(is_due(right_s));
    struct seal_keys keys = renew(right_s, ERROR_OK);
    cr_expect(same_key(&keys, 0, &made, 1) && same_key(&keys, 1, &first, 0));
    cr_expect(is_due(right_s + 1));
}

/* It is in use at once, and renewed when the time has come that the clock told. */
Test(seal_file, a_key_of_a_clock_that_was_ahead_is_as_good_as_any)
{
    enum { YEAR_S = 365 * DAY_S };
    struct seal_keys first = renew(NOW_S, ERROR_OK);
    struct seal_keys made = renew(NOW_S + YEAR_S, ERROR_OK);
    const int64_t right_s = NOW_S + DAY_S;
    cr_expect_not(is_due(right_s));
    struct seal_keys keys = renew(right_s, ERROR_OK);
    cr_expect(same_key(&keys, 0, &made, 1) && same_key(&keys, 1, &first, 0));
    cr_expect_not(is_due(NOW_S + YEAR_S + LIFE_S - 1));
    cr_expect(is_due(NOW_S + YEAR_S + LIFE_S));
}

/* What one has just made is young for the other, too. */
Test(seal_file, clocks_of_two_machines_may_differ_a_little)
{
    const int64_t made_s = NOW_S + LIFE_S;
    struct seal_keys first = renew(NOW_S, ERROR_OK);
    struct seal_keys made = renew(made_s, ERROR_OK);
    struct seal_keys young = look(made_s - 5 * 60);
    cr_expect(same_key(&young, 0, &first, 0) && same_key(&young, 1, &made, 1));
    struct seal_keys grown = look(made_s - 5 * 60 - 1);
    cr_expect(same_key(&grown, 0, &made, 1) && same_key(&grown, 1, &first, 0));
}

Test(seal_file, what_others_could_read_is_not_used)
{
    struct seal_keys made = renew(NOW_S, ERROR_OK);
    static const mode_t MODES[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < COUNT_OF(MODES); i++) {
        struct error_text why = {0};
        struct seal_keys keys;
        cr_assert(chmod(path, MODES[i]) == 0);
        cr_expect(eq(int, seal_file_read(path, &keys, &why), ERROR_INVALID));
        cr_expect(eq(uint, keys.count, 0));
        cr_expect(strstr(why.text, "chmod 600") != NULL, "%s", why.text);
        keys = renew(NOW_S + LIFE_S, ERROR_INVALID);
        cr_expect(eq(uint, keys.count, 0));
    }
    cr_assert(chmod(path, 0600) == 0);
    struct seal_keys read = renew(NOW_S, ERROR_OK);
    cr_expect(same_key(&made, 0, &read, 0));
}

Test(seal_file, a_link_is_not_followed)
{
    char *other = memory_format("%s/other", root);
    renew(NOW_S, ERROR_OK);
    cr_assert(rename(path, other) == 0 && symlink(other, path) == 0);
    struct seal_keys keys;
    cr_expect(eq(int, seal_file_read(path, &keys, NULL), ERROR_SYSTEM));
    unlink(other);
    free(other);
}

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

Test(seal_file, what_holds_no_keys_is_left_for_people)
{
    static const char *const TEXTS[] = {
        "",
        "\n",
        "1800000000 " KEY,
        "1800000000 " KEY "0\n",
        "1800000000 0123\n",
        "1800000000" KEY "\n",
        " " KEY "\n",
        "-1 " KEY "\n",
        "1800000000000 " KEY "\n",
        "1800000000 " KEY "\n1800000000 " KEY "\n1800000000 " KEY "\n",
        "1800000000 " KEY "\nrubbish\n",
        "1 " KEY "\n1 " KEY "\n1 00\n",
    };
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        write_text(TEXTS[i], 0600);
        struct seal_keys keys = renew(NOW_S, ERROR_INVALID);
        cr_expect(eq(uint, keys.count, 0), "%zu", i);
    }
    write_text("1800000000 " KEY "\n1797408000 " KEY "\n", 0600);
    struct seal_keys keys = renew(NOW_S, ERROR_OK);
    cr_expect(eq(uint, keys.count, 2));
}

/* The other process makes the key; until then, the one before is as good as ever. */
Test(seal_file, nobody_waits_for_who_has_the_lock)
{
    struct seal_keys first = renew(NOW_S, ERROR_OK);
    char *lock_path = memory_format("%s.lock", path);
    FILE *lock = fopen(lock_path, "r");
    cr_assert(lock != NULL && flock(fileno(lock), LOCK_EX) == 0);
    renew(NOW_S + LIFE_S - 1, ERROR_OK);
    struct seal_keys keys = renew(NOW_S + LIFE_S, ERROR_BUSY);
    cr_expect(keys.count == 1 && same_key(&first, 0, &keys, 0));
    fclose(lock);
    keys = renew(NOW_S + LIFE_S, ERROR_OK);
    cr_expect(eq(uint, keys.count, 2));
    free(lock_path);
}

/* Keys that could not be written down would be others after a restart. */
Test(seal_file, a_key_that_cannot_be_kept_is_not_used)
{
    struct seal_keys first = renew(NOW_S, ERROR_OK);
    char *aside = memory_format("%s/.keys.new", root);
    cr_assert(mkdir(aside, 0700) == 0);
    struct seal_keys keys = renew(NOW_S + LIFE_S, ERROR_SYSTEM);
    cr_expect(keys.count == 1 && same_key(&first, 0, &keys, 0));
    cr_assert(rmdir(aside) == 0);
    free(aside);
}
