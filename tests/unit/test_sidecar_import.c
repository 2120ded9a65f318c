/* sidecar/import: another client's folder that is watched, a few of its certificates in each turn.
 */
#include "import.h"

#include "core/clock.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "sidecar_state.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 4, DAY_S = 86400, SLOW_MS = 60 };

static const char *const NAMES[COUNT] = {"a", "b", "c", "d"};

/* A disk that has much to do. */
int fsync(int fd)
{
    const struct timespec pause = {.tv_nsec = SLOW_MS * 1000000L};
    (void)fd;
    return nanosleep(&pause, NULL);
}

/* What the clock on the wall is ahead by. */
static int64_t ahead_s;

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, at);
    if (clock == CLOCK_REALTIME)
        at->tv_sec += ahead_s;
    return failed;
}

struct test {
    char *folder;
    struct sidecar sidecar;
};

static void begin(struct test *test)
{
    struct error_text why = {0};
    struct sidecar *sidecar = &test->sidecar;
    *test = (struct test){.folder = memory_format("/tmp/owui-import-XXXXXX")};
    cr_assert(mkdtemp(test->folder) != NULL);
    char *state = memory_format("%s/state", test->folder);
    sidecar->crt_list = memory_format("%s/certs", test->folder);
    sidecar->certbot_live = memory_format("%s/live", test->folder);
    cr_assert(mkdir(sidecar->crt_list, 0700) == 0 && mkdir(sidecar->certbot_live, 0700) == 0);
    const struct store_settings store = {
        .state = state, .certs = sidecar->crt_list, .owner = -1, .group = -1, .certs_mode = 0600};
    sidecar->store = store_open(&store, &why);
    cr_assert(ne(ptr, sidecar->store, NULL), "%s", why.text);
    free(state);
    const char *hosts[COUNT][1];
    struct sidecar_wish wishes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        hosts[i][0] = NAMES[i];
        wishes[i] = (struct sidecar_wish){NAMES[i], hosts[i], 1, NULL};
    }
    sidecar->list = certificate_list_new(wishes, COUNT, false, true, 0);
}

static void end(struct test *test)
{
    struct sidecar *sidecar = &test->sidecar;
    import_free(sidecar);
    store_close(sidecar->store);
    certificate_list_free(sidecar->list);
    free(sidecar->certbot_live);
    free(sidecar->crt_list);
    char *command = memory_format("rm -r %s", test->folder);
    cr_expect(system(command) == 0);
    free(command);
    free(test->folder);
}

static void write_pem(const struct test *test, const char *name, const char *file,
                      const struct bytes *pem)
{
    char *path = memory_format("%s/%s/%s", test->sidecar.certbot_live, name, file);
    FILE *stream = fopen(path, "w");
    cr_assert(ne(ptr, stream, NULL), "%s", path);
    cr_assert(fwrite(pem->data, pem->size, 1, stream) == 1);
    fclose(stream);
    free(path);
}

/* As certbot leaves it, for the host of this name. */
static void obtain_for(const struct test *test, const char *name, int days)
{
    struct bytes chain = {0}, pem = {0};
    struct error_text why = {0};
    int64_t now_s = clock_wall_s();
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, &why);
    cr_assert(crypto_self_signed(key, name, now_s - DAY_S, now_s + days * DAY_S, &chain, &why) ==
              ERROR_OK);
    cr_assert(crypto_key_to_pem(key, &pem, &why) == ERROR_OK);
    char *path = memory_format("%s/%s", test->sidecar.certbot_live, name);
    cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    write_pem(test, name, "fullchain.pem", &chain);
    write_pem(test, name, "privkey.pem", &pem);
    bytes_free(&chain);
    bytes_free(&pem);
    crypto_key_free(key);
    free(path);
}

static void obtain(const struct test *test, const char *name)
{
    obtain_for(test, name, 90);
}

static size_t imported(const struct test *test)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++) {
        struct file_stamp file =
            store_stamp(test->sidecar.store, test->sidecar.list->items[i]->name);
        count += !file_stamp_is_none(&file);
    }
    return count;
}

Test(sidecar_import, a_pass_is_made_of_turns)
{
    struct test test;
    begin(&test);
    for (size_t i = 0; i < COUNT; i++)
        obtain(&test, NAMES[i]);
    cr_expect(not(import_watch(&test.sidecar))); /* they have to come to rest */
    cr_expect(eq(sz, imported(&test), 0));
    cr_expect(import_watch(&test.sidecar));
    size_t first = imported(&test);
    cr_expect(lt(sz, 0, first));
    cr_expect(lt(sz, first, COUNT));
    cr_expect(eq(uint, test.sidecar.import_passes, 1));
    while (import_watch(&test.sidecar))
        ;
    cr_expect(eq(sz, imported(&test), COUNT));
    cr_expect(eq(uint, test.sidecar.import_passes, 2));
    end(&test);
}

/* While a HAProxy is away, it is looked for more often. */
Test(sidecar_import, passes_are_a_look_apart)
{
    struct test test;
    begin(&test);
    test.sidecar.look_every_ms = 3600 * 1000;
    for (int i = 0; i < 3; i++)
        cr_expect(not(import_watch(&test.sidecar)));
    cr_expect(eq(uint, test.sidecar.import_passes, 1));
    test.sidecar.import_due_ms = 0;
    cr_assert(rmdir(test.sidecar.certbot_live) == 0);
    for (int i = 0; i < 3; i++)
        cr_expect(not(import_watch(&test.sidecar)));
    cr_expect(eq(uint, test.sidecar.import_passes, 2));
    end(&test);
}

/* -- What was in the way for a while ----------------------------------------------------------- */

/* As often as it takes for what is new to come to rest, and to be read. */
static void look_twice(struct test *test)
{
    for (int i = 0; i < 2; i++)
        while (import_watch(&test->sidecar))
            ;
}

static int64_t days_in_service(const struct test *test, const char *name)
{
    struct crypto_certificate present;
    if (store_certificate(test->sidecar.store, name, &present, NULL) != ERROR_OK)
        return 0;
    int64_t left_s = present.not_after_s - clock_wall_s();
    crypto_certificate_free(&present);
    return (left_s + DAY_S / 2) / DAY_S;
}

Test(sidecar_import, a_renewal_that_could_not_be_kept_is_tried_again)
{
    struct test test;
    begin(&test);
    obtain_for(&test, "a", 30);
    look_twice(&test);
    cr_assert(eq(i64, days_in_service(&test, "a.pem"), 30));
    char *in_the_way = memory_format("%s/state/history/a.pem", test.folder);
    int fd = open(in_the_way, O_WRONLY | O_CREAT | O_EXCL, 0600);
    cr_assert(ge(int, fd, 0));
    close(fd);
    obtain_for(&test, "a", 60);
    look_twice(&test);
    cr_expect(eq(i64, days_in_service(&test, "a.pem"), 30));
    cr_assert(unlink(in_the_way) == 0);
    look_twice(&test);
    cr_expect(eq(i64, days_in_service(&test, "a.pem"), 60));
    free(in_the_way);
    end(&test);
}

/* As on a machine whose clock is set only after the start. */
Test(sidecar_import, what_has_expired_by_a_wrong_clock_is_read_again)
{
    struct test test;
    begin(&test);
    obtain_for(&test, "a", 30);
    ahead_s = 31 * DAY_S;
    look_twice(&test);
    cr_expect(zero(sz, imported(&test)));
    ahead_s = 0;
    look_twice(&test);
    cr_expect(eq(sz, imported(&test), 1));
    end(&test);
}
