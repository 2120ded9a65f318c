/* sidecar/leaving and withdrawal: what leaves the folder and HAProxys, when, and what does not. */
#include "leaving.h"

#include "core/clock.h"
#include "counted.h"
#include "crypto/crypto.h"
#include "fake_runtime.h"
#include "sidecar_state.h"

#include <criterion/new/assert.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HAPROXYS = 2, DAY_S = 86400, TRIES = 11, PATIENCE_MS = 20 * 1000 };

static const uint8_t ANY[CRYPTO_SHA256_BYTES];

/* A disk that may have much to do. */
static int slow_ms;

int fsync(int fd)
{
    const struct timespec pause = {.tv_nsec = slow_ms * 1000000L};
    (void)fd;
    return nanosleep(&pause, NULL);
}

struct test {
    char *folder;
    struct fake_runtime fakes[HAPROXYS];
    struct sidecar sidecar;
    struct main_timer *timer;
    size_t removed; /* marks of what is not out of every HAProxy */
};

enum { WILLING, UNWILLING };

static const char *answer(struct fake_runtime *fake, const char *command, bool *is_cut)
{
    static _Thread_local char said[256];
    char file[128];
    (void)is_cut;
    if (strcmp(command, "show ssl cert\n") == 0)
        return "# filename\n";
    if (strncmp(command, "show ssl cert ", 14) == 0)
        return "Filename: it\nStatus: Used\n";
    if (strncmp(command, "del ssl crt-list ", 17) == 0)
        return "Entry deleted in crtlist\n";
    if (fake->state == UNWILLING || sscanf(command, "del ssl cert %127s", file) != 1)
        return "it is in use\n";
    snprintf(said, sizeof(said), "Certificate '%s' deleted!\n", file);
    return said;
}

/* These two are wanted from now on, "other" for a host that no certificate is for. */
static void want(struct test *test, const char *first, const char *second)
{
    const char *const hosts[] = {"a.test"}, *const others[] = {"other.test"};
    const struct sidecar_wish wishes[] = {
        {first, first != NULL && strcmp(first, "other") == 0 ? others : hosts, 1, NULL},
        {second, hosts, 1, NULL}};
    size_t count = second != NULL ? 2 : first != NULL ? 1 : 0;
    certificate_list_free(test->sidecar.list);
    test->sidecar.list = certificate_list_new(wishes, count, test->sidecar.rsa, test->sidecar.ecdsa,
                                              test->sidecar.haproxy_count);
}

static void begin(struct test *test)
{
    struct runtime_target targets[HAPROXYS];
    struct error_text why = {0};
    struct sidecar *sidecar = &test->sidecar;
    *test = (struct test){.folder = memory_format("/tmp/owui-leaving-XXXXXX")};
    cr_assert(mkdtemp(test->folder) != NULL);
    char *state = memory_format("%s/state", test->folder);
    sidecar->crt_list = memory_format("%s/certs", test->folder);
    cr_assert(mkdir(sidecar->crt_list, 0700) == 0);
    const struct store_settings store = {
        .state = state, .certs = sidecar->crt_list, .owner = -1, .group = -1, .certs_mode = 0600};
    sidecar->store = store_open(&store, &why);
    cr_assert(ne(ptr, sidecar->store, NULL), "%s", why.text);
    free(state);
    sidecar->loop = main_loop_new(&why);
    sidecar->certbot_live = (char[]){"/"}; /* what is there may be ours */
    sidecar->haproxy_count = HAPROXYS;
    sidecar->haproxys = memory_new(HAPROXYS * sizeof(*sidecar->haproxys));
    for (size_t i = 0; i < HAPROXYS; i++) {
        fake_runtime_start(&test->fakes[i], answer);
        cr_assert(runtime_target_parse(slice_of(test->fakes[i].path), &targets[i], NULL) ==
                  ERROR_OK);
    }
    sidecar->deployer = deployer_new(sidecar->loop, targets, HAPROXYS);
    want(test, "other", NULL);
}

static void end(struct test *test)
{
    struct sidecar *sidecar = &test->sidecar;
    deployer_free(sidecar->deployer);
    main_loop_free(sidecar->loop);
    store_close(sidecar->store);
    leaving_free(sidecar);
    withdrawals_free(sidecar);
    certificate_list_free(sidecar->list);
    free(sidecar->haproxys);
    free(sidecar->crt_list);
    for (size_t i = 0; i < HAPROXYS; i++)
        fake_runtime_stop(&test->fakes[i]);
    char *command = memory_format("rm -r %s", test->folder);
    cr_expect(system(command) == 0);
    free(command);
    free(test->folder);
}

/* -- What is there ----------------------------------------------------------------------------- */

/* Put in service as an order does it. */
static void install_for(struct test *test, const char *name, enum crypto_key_type key_type,
                        const char *host, int64_t days_left)
{
    struct bytes chain = {0};
    struct error_text why = {0};
    int64_t until_s = clock_wall_s() + days_left * DAY_S;
    struct crypto_key *key = crypto_key_new(key_type, &why);
    cr_assert(crypto_self_signed(key, host, until_s - 90 * DAY_S, until_s, &chain, &why) ==
              ERROR_OK);
    cr_assert(eq(int,
                 store_install(test->sidecar.store, name, key, bytes_slice(&chain), NULL, &why),
                 ERROR_OK),
              "%s", why.text);
    bytes_free(&chain);
    crypto_key_free(key);
}

static void install_with(struct test *test, const char *name, enum crypto_key_type key_type)
{
    install_for(test, name, key_type, "a.test", 89);
}

static void install(struct test *test, const char *name)
{
    install_with(test, name, CRYPTO_EC_P256);
}

static bool is_there(const struct test *test, const char *name)
{
    struct file_stamp file = store_stamp(test->sidecar.store, name);
    return !file_stamp_is_none(&file);
}

static void count_removed(void *context, const char *name)
{
    struct test *test = context;
    (void)name;
    test->removed++;
}

/* How many are not out of every HAProxy yet, for all that is on disk. */
static size_t removed(struct test *test)
{
    test->removed = 0;
    store_each_removed(test->sidecar.store, count_removed, test);
    return test->removed;
}

static bool is_under_way(const struct test *test)
{
    for (size_t i = 0; i < test->sidecar.withdrawal_count; i++)
        if (test->sidecar.withdrawals[i].again_ms == INT64_MAX)
            return true;
    return false;
}

static void stop_when_settled(void *context)
{
    const struct test *test = context;
    if (!is_under_way(test))
        main_loop_stop(test->sidecar.loop);
}

/* Until each HAProxy has said what it has to say. */
static void settle(struct test *test)
{
    struct main_timer *timer = main_timer_new(test->sidecar.loop, stop_when_settled, test);
    main_timer_every(timer, 1);
    main_loop_run(test->sidecar.loop);
    main_timer_free(timer);
}

/* All that has waited long enough. */
static void drop(struct test *test)
{
    while (leaving_drop(&test->sidecar))
        ;
    settle(test);
}

static void leave(struct test *test, const char *name)
{
    leaving_add(&test->sidecar, name, ANY);
    test->sidecar.leaving[test->sidecar.leaving_count - 1].until_ms = 0;
    drop(test);
}

static size_t asked(struct test *test, size_t haproxy)
{
    char *commands = fake_runtime_take(&test->fakes[haproxy]);
    size_t count = counted(commands, "del ssl cert ");
    free(commands);
    return count;
}

/* -- From the folder --------------------------------------------------------------------------- */

Test(leaving, what_nobody_wants_leaves_the_folder_and_every_haproxy)
{
    struct test test;
    begin(&test);
    install(&test, "old.pem");
    install(&test, "other.pem");
    leave(&test, "old.pem");
    cr_expect(not(is_there(&test, "old.pem")));
    cr_expect(is_there(&test, "other.pem"));
    cr_expect(eq(sz, asked(&test, 0), 1));
    cr_expect(eq(sz, asked(&test, 1), 1));
    cr_expect(zero(sz, test.sidecar.leaving_count));
    cr_expect(zero(sz, test.sidecar.withdrawal_count));
    cr_expect(zero(sz, removed(&test)));
    end(&test);
}

Test(leaving, what_is_waited_for_wanted_or_an_admins_stays)
{
    struct test test;
    begin(&test);
    install(&test, "other.pem");
    install(&test, "old.pem");
    leaving_add(&test.sidecar, "old.pem", ANY);
    drop(&test);
    cr_expect(is_there(&test, "old.pem"));
    cr_expect(eq(sz, test.sidecar.leaving_count, 1));
    leave(&test, "other.pem"); /* is wanted */
    cr_expect(is_there(&test, "other.pem"));
    test.sidecar.certbot_live = NULL; /* and there is no CA: all is an admin's */
    leave(&test, "old.pem");
    cr_expect(is_there(&test, "old.pem"));
    cr_expect(eq(sz, test.sidecar.leaving_count, 1)); /* the first one waits */
    cr_expect(zero(sz, asked(&test, 0)));
    end(&test);
}

/* With another kind of key it has other names. */
Test(leaving, what_stands_in_for_another_kind_of_key_stays_until_that_is_there)
{
    static const struct {
        const char *before, *after;
        bool rsa, ecdsa;
        enum crypto_key_type key_type;
    } CASES[] = {
        {"old.pem", "old.pem.rsa", true, true, CRYPTO_RSA_2048},
        {"old.pem", "old.pem.ecdsa", true, true, CRYPTO_EC_P256},
        {"old.pem.rsa", "old.pem", false, true, CRYPTO_RSA_2048},
        {"old.pem.ecdsa", "old.pem", true, false, CRYPTO_EC_P256},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct test test;
        begin(&test);
        test.sidecar.rsa = CASES[i].rsa;
        test.sidecar.ecdsa = CASES[i].ecdsa;
        install_with(&test, CASES[i].before, CASES[i].key_type);
        want(&test, "old", NULL);
        leave(&test, CASES[i].before);
        cr_expect(is_there(&test, CASES[i].before), "%zu", i);
        for (size_t k = 0; k < test.sidecar.list->count; k++)
            if (strcmp(test.sidecar.list->items[k]->name, CASES[i].after) != 0)
                install(&test, test.sidecar.list->items[k]->name);
        drop(&test);
        cr_expect(is_there(&test, CASES[i].before), "%zu", i);
        install(&test, CASES[i].after);
        drop(&test);
        cr_expect(not(is_there(&test, CASES[i].before)), "%zu", i);
        end(&test);
    }
}

/* The CA may be away, or its limits be used up. */
Test(leaving, what_a_host_of_another_tenants_is_served_with_stays_until_that_one_has_its_own)
{
    struct test test;
    begin(&test);
    install(&test, "old.pem");
    want(&test, "renamed", NULL);
    leave(&test, "old.pem");
    cr_expect(is_there(&test, "old.pem"));
    install_for(&test, "renamed.pem", CRYPTO_EC_P256, "b.test", 89); /* it had no such host yet */
    drop(&test);
    cr_expect(is_there(&test, "old.pem"));
    install_for(&test, "renamed.pem", CRYPTO_EC_P256, "a.test", -1);
    drop(&test);
    cr_expect(is_there(&test, "old.pem"));
    install(&test, "renamed.pem");
    drop(&test);
    cr_expect(not(is_there(&test, "old.pem")));
    cr_expect(zero(sz, test.sidecar.leaving_count));
    end(&test);
}

Test(leaving, what_no_browser_takes_stands_in_for_nothing)
{
    struct test test;
    begin(&test);
    install_for(&test, "old.pem", CRYPTO_EC_P256, "a.test", -1);
    want(&test, "renamed", NULL);
    leave(&test, "old.pem");
    cr_expect(not(is_there(&test, "old.pem")));
    end(&test);
}

/* Challenges and questions are answered meanwhile. */
Test(leaving, what_takes_long_is_done_in_turns)
{
    static const char *const NAMES[] = {"1.pem", "2.pem", "3.pem", "4.pem", "5.pem"};
    struct test test;
    size_t turns = 0;
    begin(&test);
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        install(&test, NAMES[i]);
        leaving_add(&test.sidecar, NAMES[i], ANY);
        test.sidecar.leaving[i].until_ms = 0;
    }
    slow_ms = 60;
    while (leaving_drop(&test.sidecar))
        turns++;
    slow_ms = 0;
    settle(&test);
    cr_expect(ge(sz, turns, 2));
    cr_expect(zero(sz, test.sidecar.leaving_count));
    for (size_t i = 0; i < COUNT_OF(NAMES); i++)
        cr_expect(not(is_there(&test, NAMES[i])), "%s", NAMES[i]);
    end(&test);
}

/* Else it would be served beside the new one, and in its place, until long after its end. */
Test(leaving, what_has_the_same_kind_of_key_takes_over_though_the_ca_refuses_the_other)
{
    struct test test;
    begin(&test);
    test.sidecar.rsa = test.sidecar.ecdsa = true;
    install(&test, "old.pem");
    want(&test, "old", NULL);
    install(&test, "old.pem.ecdsa");
    leave(&test, "old.pem");
    cr_expect(not(is_there(&test, "old.pem")));
    cr_expect(is_there(&test, "old.pem.ecdsa"));
    end(&test);
}

/* As on a disk that is full. */
Test(leaving, what_cannot_be_removed_is_tried_again)
{
    struct test test;
    begin(&test);
    install(&test, "old.pem");
    char *history = memory_format("%s/state/history/old.pem", test.folder);
    char *away = memory_format("%s/away", test.folder);
    (void)rename(history, away); /* there may be none */
    cr_assert(mknod(history, S_IFREG | 0600, 0) == 0);
    leave(&test, "old.pem");
    cr_expect(is_there(&test, "old.pem"));
    cr_assert(eq(sz, test.sidecar.leaving_count, 1));
    cr_expect(lt(i64, clock_mono_ms(), test.sidecar.leaving[0].until_ms));
    cr_assert(unlink(history) == 0);
    test.sidecar.leaving[0].until_ms = 0;
    drop(&test);
    cr_expect(not(is_there(&test, "old.pem")));
    cr_expect(zero(sz, test.sidecar.leaving_count));
    free(history);
    free(away);
    end(&test);
}

Test(leaving, what_was_left_behind_is_found_once_somebody_is_wanted)
{
    struct test test;
    begin(&test);
    install(&test, "old.pem");
    install(&test, "other.pem");
    want(&test, NULL, NULL);
    leaving_find(&test.sidecar);
    cr_expect(zero(sz, test.sidecar.leaving_count));
    want(&test, "other", NULL);
    leaving_find(&test.sidecar);
    cr_assert(eq(sz, test.sidecar.leaving_count, 1));
    cr_expect(zero(int, strcmp(test.sidecar.leaving[0].name, "old.pem")));
    cr_expect(lt(i64, clock_mono_ms(), test.sidecar.leaving[0].until_ms));
    leaving_find(&test.sidecar);
    cr_expect(eq(sz, test.sidecar.leaving_count, 1));
    end(&test);
}

/* -- From HAProxys ----------------------------------------------------------------------------- */

/* Of the only one. */
static void be_due(struct test *test)
{
    cr_assert(eq(sz, test->sidecar.withdrawal_count, 1));
    test->sidecar.withdrawals[0].again_ms = 0;
    withdrawals_look(&test->sidecar);
    settle(test);
}

/* Whichever of them it is. */
Test(withdrawal, a_haproxy_that_does_not_let_go_is_asked_again)
{
    for (size_t i = 0; i < HAPROXYS; i++) {
        struct test test;
        begin(&test);
        install(&test, "old.pem");
        fake_runtime_set(&test.fakes[i], UNWILLING);
        leave(&test, "old.pem");
        cr_assert(eq(sz, test.sidecar.withdrawal_count, 1));
        int64_t wait_ms = test.sidecar.withdrawals[0].again_ms - clock_mono_ms();
        cr_expect(lt(i64, 0, wait_ms));
        cr_expect(le(i64, wait_ms, 10 * 1000));
        cr_expect(eq(sz, removed(&test), 1));
        withdrawals_look(&test.sidecar); /* not yet */
        cr_expect(not(is_under_way(&test)));
        fake_runtime_set(&test.fakes[i], WILLING);
        be_due(&test);
        cr_expect(zero(sz, test.sidecar.withdrawal_count));
        cr_expect(zero(sz, removed(&test)));
        cr_expect(eq(sz, asked(&test, i), 2));
        end(&test);
    }
}

/* Not for ever: the next start finds what is left. */
Test(withdrawal, a_haproxy_that_never_lets_go_is_left_alone_in_the_end)
{
    struct test test;
    int64_t wait_ms = 0;
    begin(&test);
    install(&test, "old.pem");
    fake_runtime_set(&test.fakes[0], UNWILLING);
    leave(&test, "old.pem");
    for (size_t i = 1; i < TRIES; i++) {
        int64_t next_ms = test.sidecar.withdrawals[0].again_ms - clock_mono_ms();
        cr_expect(lt(i64, wait_ms + wait_ms / 2, next_ms), "%zu", i);
        wait_ms = next_ms;
        be_due(&test);
    }
    cr_expect(zero(sz, test.sidecar.withdrawal_count));
    cr_expect(eq(sz, asked(&test, 0), TRIES));
    cr_expect(eq(sz, removed(&test), 1));
    test.sidecar.left_behind_found = false;
    fake_runtime_set(&test.fakes[0], WILLING);
    leaving_find(&test.sidecar);
    settle(&test);
    cr_expect(eq(sz, asked(&test, 0), 1));
    cr_expect(zero(sz, removed(&test)));
    end(&test);
}

Test(withdrawal, what_is_somebodys_again_is_not_taken_out)
{
    struct test test;
    for (int by_hand = 0; by_hand < 2; by_hand++) {
        begin(&test);
        install(&test, "old.pem");
        fake_runtime_set(&test.fakes[0], UNWILLING);
        leave(&test, "old.pem");
        if (by_hand == 1)
            install(&test, "old.pem");
        else
            want(&test, "other", "old");
        be_due(&test);
        cr_expect(zero(sz, test.sidecar.withdrawal_count));
        cr_expect(eq(sz, asked(&test, 0), 1));
        end(&test);
    }
}

Test(withdrawal, without_a_haproxy_there_is_nothing_to_wait_for)
{
    struct test test;
    begin(&test);
    install(&test, "old.pem");
    test.sidecar.haproxy_count = 0;
    want(&test, "other", NULL);
    leave(&test, "old.pem");
    cr_expect(zero(sz, test.sidecar.withdrawal_count));
    cr_expect(zero(sz, removed(&test)));
    cr_expect(zero(sz, asked(&test, 0)));
    end(&test);
}

/* It begins anew, and the others go on. */
Test(withdrawal, who_leaves_again_meanwhile_is_asked_for_as_often)
{
    struct test test;
    begin(&test);
    fake_runtime_set(&test.fakes[0], UNWILLING);
    install(&test, "one.pem");
    install(&test, "two.pem");
    leave(&test, "one.pem");
    be_due(&test);
    leave(&test, "two.pem");
    cr_assert(eq(sz, test.sidecar.withdrawal_count, 2));
    cr_expect(eq(uint, test.sidecar.withdrawals[0].tries, 2));
    install(&test, "one.pem");
    leave(&test, "one.pem");
    cr_assert(eq(sz, test.sidecar.withdrawal_count, 2));
    cr_expect(eq(uint, test.sidecar.withdrawals[0].tries, 1));
    fake_runtime_set(&test.fakes[0], WILLING);
    test.sidecar.withdrawals[0].again_ms = 0;
    withdrawals_look(&test.sidecar);
    settle(&test);
    be_due(&test); /* the one that is left */
    cr_expect(zero(sz, test.sidecar.withdrawal_count));
    cr_expect(zero(sz, removed(&test)));
    end(&test);
}

/* What is wanted is about to come, and without a CA what was ours once is an admin's. */
Test(withdrawal, a_start_takes_nothing_from_others)
{
    struct test test;
    for (int is_wanted = 0; is_wanted < 2; is_wanted++) {
        begin(&test);
        install(&test, "old.pem");
        fake_runtime_set(&test.fakes[0], UNWILLING);
        leave(&test, "old.pem");
        withdrawals_free(&test.sidecar); /* as a new process begins */
        test.sidecar.withdrawals = NULL;
        test.sidecar.withdrawal_count = 0;
        if (is_wanted == 1)
            want(&test, "other", "old");
        else
            test.sidecar.certbot_live = NULL;
        leaving_find(&test.sidecar);
        settle(&test);
        cr_expect(eq(sz, asked(&test, 0), 1), "%d", is_wanted);
        end(&test);
    }
}
