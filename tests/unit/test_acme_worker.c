/* acme_worker: many certificates, names that change, what others put in service, and a CA that is
 * not there. */
#include "acme/acme_worker.h"
#include "acme/store.h"
#include "core/clock.h"
#include "core/log_memory.h"
#include "core/memory.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Nobody listens there. */
#define CA "https://127.0.0.1:1/directory"

enum { CERTIFICATES = 2000 };

struct test {
    char *root;
    struct main_loop *loop;
    struct store *store;
    struct acme_worker *worker;
    size_t failed;
    size_t saved; /* when all had failed */
};

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
    (void)facts, (void)kind, (void)walk;
    return remove(path);
}

static void nothing(void *context, const char *token)
{
    (void)context, (void)token;
}

static void open_all(struct test *test)
{
    struct error_text why = {0};
    char *state = memory_format("%s/state", test->root);
    char *certs = memory_format("%s/certs", test->root);
    const struct store_settings at = {.state = state, .certs = certs, .owner = -1, .group = -1};
    const struct acme_worker_settings settings = {.cas = {{.directory_url = CA}},
                                                  .hooks = {.withdraw = nothing}};
    test->store = store_open(&at, &why);
    cr_assert(ne(ptr, test->store, NULL), "%s", why.text);
    test->loop = main_loop_new(&why);
    test->worker = acme_worker_new(test->loop, test->store, &settings, &why);
    cr_assert(ne(ptr, test->worker, NULL), "%s", why.text);
    free(state);
    free(certs);
}

static void close_all(struct test *test)
{
    acme_worker_free(test->worker);
    store_close(test->store);
    main_loop_free(test->loop);
}

static void want(struct test *test, size_t number)
{
    struct error_text why = {0};
    char *name = memory_format("t%zu.pem", number);
    char *host = memory_format("t%zu.example.test", number);
    const char *const hosts[] = {host};
    const struct acme_wanted wanted = {name, hosts, 1, CRYPTO_EC_P256};
    cr_assert(eq(int, acme_worker_want(test->worker, &wanted, &why), ERROR_OK), "%s", why.text);
    free(name);
    free(host);
}

static size_t count_saved(struct test *test)
{
    size_t count = 0;
    for (size_t i = 0; i < CERTIFICATES; i++) {
        char *name = memory_format("t%zu.pem", i);
        struct json *saved = store_schedule_load(test->store, name);
        count += saved != NULL;
        json_free(saved);
        free(name);
    }
    return count;
}

static void count_failed(void *context, const struct acme_status *status)
{
    struct test *test = context;
    test->failed += status->problem != NULL && status->failures == 1 && status->doing == NULL;
}

static void on_turn(void *context)
{
    struct test *test = context;
    test->failed = 0;
    acme_worker_each(test->worker, count_failed, test);
    if (test->failed < CERTIFICATES)
        return;
    test->saved = count_saved(test);
    main_loop_stop(test->loop);
}

/* Until each has failed. */
static void run(struct test *test)
{
    struct main_timer *timer = main_timer_new(test->loop, on_turn, test);
    main_timer_every(timer, 10);
    main_loop_run(test->loop);
    main_timer_free(timer);
}

static size_t count_lines(const char *event)
{
    size_t count = 0;
    char *lines = log_memory_lines();
    char *member = memory_format("\"event\":\"%s\"", event);
    for (const char *at = lines; (at = strstr(at, member)) != NULL; at++)
        count++;
    free(member);
    free(lines);
    return count;
}

static void begin(struct test *test)
{
    *test = (struct test){.root = memory_format("/tmp/acme-worker-XXXXXX")};
    cr_assert(ne(ptr, mkdtemp(test->root), NULL));
    open_all(test);
}

static void end(struct test *test)
{
    close_all(test);
    nftw(test->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(test->root);
}

Test(acme_worker, tells_of_a_ca_once_and_writes_down_in_turns)
{
    struct test test;
    begin(&test);
    for (size_t i = 0; i < CERTIFICATES; i++)
        want(&test, i);
    run(&test);
    cr_expect(eq(sz, count_lines("acme_ca_not_ready"), 1));
    cr_expect(zero(sz, count_lines("certificate_failed")));
    cr_expect(lt(sz, test.saved, CERTIFICATES / 10));
    char *lines = log_memory_lines();
    cr_expect(ne(ptr, strstr(lines, "\"certificates\":2000"), NULL), "%s", lines);
    free(lines);

    /* What was not written down is by the end. */
    close_all(&test);
    open_all(&test);
    cr_expect(eq(sz, count_saved(&test), CERTIFICATES));
    end(&test);
}

/* -- Names that change ------------------------------------------------------------------------- */

enum { DAY_S = 86400 };

/* As it is written down: all of the names have failed so, and are to wait for a day. */
static void save_failure(struct test *test, const char *host, const char *class)
{
    struct error_text why = {0};
    char *text = memory_format("{\"seed\":7,\"saved_s\":%lld,\"failures\":5,\"last_class\":\"%s\","
                               "\"retry_in_s\":%d,\"hosts\":[\"%s\"],"
                               "\"problem\":{\"class\":\"%s\",\"detail\":\"no such name\"}}",
                               (long long)clock_wall_s(), class, DAY_S, host, class);
    struct json *saved = json_parse(slice_of(text), strlen(text), NULL, NULL);
    cr_assert(eq(int, store_schedule_save(test->store, "a.pem", saved, &why), ERROR_OK));
    json_free(saved);
    free(text);
}

static void want_host(struct test *test, const char *host, enum crypto_key_type type)
{
    struct error_text why = {0};
    const struct acme_wanted wanted = {"a.pem", &host, 1, type};
    cr_assert(eq(int, acme_worker_want(test->worker, &wanted, &why), ERROR_OK), "%s", why.text);
}

static void copy_status(void *context, const struct acme_status *status)
{
    *(struct acme_status *)context = *status;
}

static struct acme_status status_of(struct test *test)
{
    struct acme_status status = {0};
    cr_assert(acme_worker_status(test->worker, "a.pem", copy_status, &status));
    return status;
}

static void expect_waiting(struct test *test)
{
    struct acme_status status = status_of(test);
    cr_expect(eq(uint, status.failures, 5));
    cr_expect(ne(ptr, (void *)(uintptr_t)status.problem, NULL));
    cr_expect(gt(i64, status.next_in_ms, (DAY_S - 60) * 1000LL));
}

static void expect_due(struct test *test)
{
    struct acme_status status = status_of(test);
    cr_expect(zero(uint, status.failures));
    cr_expect(eq(ptr, (void *)(uintptr_t)status.problem, NULL));
    cr_expect(le(i64, status.next_in_ms, 0));
}

/* Who corrects a name does not wait for what the wrong one had coming. */
Test(acme_worker, other_names_do_not_wait_for_those_that_failed)
{
    static const char *const CLASSES[] = {"validation", "refused", "order-gone", "local"};
    for (size_t i = 0; i < COUNT_OF(CLASSES); i++) {
        struct test test;
        begin(&test);
        save_failure(&test, "wrong.example.test", CLASSES[i]);
        want_host(&test, "wrong.example.test", CRYPTO_EC_P256);
        expect_waiting(&test);
        want_host(&test, "wrong.example.test", CRYPTO_RSA_2048);
        expect_waiting(&test);
        want_host(&test, "right.example.test", CRYPTO_RSA_2048);
        expect_due(&test);
        end(&test);
    }
}

Test(acme_worker, names_that_were_corrected_for_a_restart_do_not_wait_either)
{
    struct test test;
    begin(&test);
    save_failure(&test, "wrong.example.test", "validation");
    want_host(&test, "right.example.test", CRYPTO_EC_P256);
    expect_due(&test);
    end(&test);
}

/* What is nobody's name's fault is the same for others. */
Test(acme_worker, other_names_wait_for_what_is_not_about_names)
{
    static const char *const CLASSES[] = {"rate-limited", "transient", "needs-a-person"};
    for (size_t i = 0; i < COUNT_OF(CLASSES); i++) {
        struct test test;
        begin(&test);
        save_failure(&test, "one.example.test", CLASSES[i]);
        want_host(&test, "one.example.test", CRYPTO_EC_P256);
        want_host(&test, "other.example.test", CRYPTO_EC_P256);
        expect_waiting(&test);
        end(&test);
    }
}

/* -- What others put in service ---------------------------------------------------------------- */

/* A pair for three months, of which these days have passed. */
static void install(struct test *test, int64_t days_ago)
{
    struct bytes chain = {0};
    struct error_text why = {0};
    int64_t from_s = clock_wall_s() - days_ago * DAY_S;
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, &why);
    cr_assert(eq(
        int, crypto_self_signed(key, "a.example.test", from_s, from_s + 90 * DAY_S, &chain, &why),
        ERROR_OK));
    cr_assert(
        eq(int, store_install(test->store, "a.pem", key, bytes_slice(&chain), &why), ERROR_OK),
        "%s", why.text);
    bytes_free(&chain);
    crypto_key_free(key);
}

static void find(struct test *test)
{
    struct error_text why = {0};
    struct crypto_certificate found;
    cr_assert(eq(int, store_certificate(test->store, "a.pem", &found, &why), ERROR_OK));
    acme_worker_found(test->worker, "a.pem", &found);
    crypto_certificate_free(&found);
}

static int64_t days_left(const struct acme_status *status)
{
    cr_assert(ne(ptr, (void *)(uintptr_t)status->certificate, NULL));
    return (status->certificate->not_after_s - clock_wall_s() + DAY_S / 2) / DAY_S;
}

/* What was put back may be the next to end, and is not replaced at once by what it replaced. */
Test(acme_worker, what_was_put_back_is_what_the_worker_goes_by)
{
    struct test test;
    struct error_text why = {0};
    begin(&test);
    install(&test, 65);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    struct acme_status status = status_of(&test);
    cr_expect(eq(i64, days_left(&status), 90));
    cr_assert(eq(int, store_rollback(test.store, "a.pem", &why), ERROR_OK), "%s", why.text);
    acme_worker_put_back(test.worker, "a.pem");
    status = status_of(&test);
    cr_expect(eq(i64, days_left(&status), 25));
    cr_expect(eq(str, (char *)(uintptr_t)status.why, (char[]){"the one before was put back"}));
    cr_expect(gt(i64, status.next_in_ms, (DAY_S - 60) * 1000LL));
    cr_expect(le(i64, status.next_in_ms, DAY_S * 1000LL));
    cr_assert(eq(int, acme_worker_renew(test.worker, "a.pem"), ERROR_OK));
    status = status_of(&test);
    cr_expect(le(i64, status.next_in_ms, 0));
    acme_worker_put_back(test.worker, "not there");
    end(&test);
}

Test(acme_worker, what_somebody_has_put_there_is_what_the_worker_goes_by)
{
    struct test test;
    begin(&test);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    install(&test, 30);
    find(&test);
    struct acme_status status = status_of(&test);
    cr_expect(eq(i64, days_left(&status), 60));
    cr_expect(gt(i64, status.next_in_ms, 0));
    install(&test, 65);
    find(&test);
    status = status_of(&test);
    cr_expect(eq(i64, days_left(&status), 25));
    cr_expect(le(i64, status.next_in_ms, 0));
    end(&test);
}
