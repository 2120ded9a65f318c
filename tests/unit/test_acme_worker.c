/* acme_worker: many certificates, names that change, what others put in service, and a CA that is
 * not there. */
#include "acme/acme_worker.h"
#include "acme/store.h"
#include "core/clock.h"
#include "core/log_memory.h"
#include "core/memory.h"
#include "counted.h"
#include "printed.h"
#include "worker.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Nobody listens there. */
#define CA        "https://127.0.0.1:1/directory"
#define SECOND_CA "https://127.0.0.1:2/directory"

enum { CERTIFICATES = 2000 };

struct test {
    char *root;
    struct main_loop *loop;
    struct store *store;
    struct acme_worker *worker;
    size_t wanted, failed;
    size_t saved;     /* when all had failed */
    unsigned rest_ms; /* see acme/store.h */
    bool has_second;  /* CA */
    bool has_limits;
    const char *external_kid;
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
    const struct store_settings at = {
        .state = state, .certs = certs, .owner = -1, .group = -1, .rest_ms = test->rest_ms};
    struct acme_worker_settings settings = {
        .cas = {{.directory_url = CA}}, .second_after = 1, .hooks = {.withdraw = nothing}};
    settings.cas[SCHEDULE_CA_FIRST].external_kid = test->external_kid;
    settings.cas[SCHEDULE_CA_FIRST].limits = test->has_limits ? ACME_LIMITS_ON : ACME_LIMITS_OFF;
    settings.cas[SCHEDULE_CA_SECOND].directory_url = test->has_second ? SECOND_CA : NULL;
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
    test->wanted++;
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
    for (size_t i = 0; i < test->wanted; i++) {
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
    for (size_t i = 0; i < test->wanted; i++) {
        char *name = memory_format("t%zu.pem", i);
        cr_assert(acme_worker_status(test->worker, name, count_failed, test));
        free(name);
    }
    if (test->failed < test->wanted)
        return;
    test->saved = count_saved(test);
    main_loop_stop(test->loop);
}

static void run_with(struct test *test, main_callback_fn *look)
{
    struct main_timer *timer = main_timer_new(test->loop, look, test);
    main_timer_every(timer, 10);
    main_loop_run(test->loop);
    main_timer_free(timer);
}

/* Until each has failed. */
static void run(struct test *test)
{
    run_with(test, on_turn);
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
    cr_expect(eq(sz, counted_events("acme_ca_not_ready"), 1));
    cr_expect(zero(sz, counted_events("certificate_failed")));
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

static void stop_when_saved(void *context)
{
    struct test *test = context;
    if (count_saved(test) == test->wanted)
        main_loop_stop(test->loop);
}

/* A few at a time, and then the others. */
Test(acme_worker, all_is_written_down_while_it_runs)
{
    struct test test;
    begin(&test);
    for (size_t i = 0; i < 50; i++)
        want(&test, i);
    run(&test);
    run_with(&test, stop_when_saved);
    end(&test);
}

/* -- What is wanted ---------------------------------------------------------------------------- */

Test(acme_worker, what_cannot_be_wanted_is_refused)
{
    const char *hosts[ACME_HOSTS_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        hosts[i] = "a.example.test";
    const struct {
        struct acme_wanted wanted;
        enum error error;
    } CASES[] = {
        {{"a.pem", hosts, 0, CRYPTO_EC_P256}, ERROR_INVALID},
        {{"a.pem", hosts, ACME_HOSTS_MAX + 1, CRYPTO_EC_P256}, ERROR_INVALID},
        {{"../a.pem", hosts, 1, CRYPTO_EC_P256}, ERROR_INVALID},
        {{"a.pem", hosts, ACME_HOSTS_MAX, CRYPTO_EC_P256}, ERROR_OK},
    };
    struct test test;
    begin(&test);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct error_text why = {0};
        cr_expect(eq(int, acme_worker_want(test.worker, &CASES[i].wanted, &why), CASES[i].error),
                  "%zu", i);
        cr_expect(eq(int, why.text[0] == '\0', CASES[i].error == ERROR_OK));
    }
    cr_expect(eq(int, acme_worker_renew(test.worker, "b.pem"), ERROR_NOT_FOUND));
    end(&test);
}

/* -- Names that change ------------------------------------------------------------------------- */

enum { DAY_S = 86400 };

static void save_text(struct test *test, char *text)
{
    struct error_text why = {0};
    struct json *saved = json_parse(slice_of(text), strlen(text), NULL, NULL);
    cr_assert(ne(ptr, saved, NULL), "%s", text);
    cr_assert(eq(int, store_schedule_save(test->store, "a.pem", saved, &why), ERROR_OK));
    json_free(saved);
    free(text);
}

/* As it is written down: all of the names ("\"a.test\",\"b.test\"") have failed so, and are to wait
 * for a day. */
static void save_failure(struct test *test, const char *hosts, const char *class)
{
    save_text(test,
              memory_format("{\"seed\":7,\"saved_s\":%lld,\"failures\":5,\"last_class\":\"%s\","
                            "\"retry_in_s\":%d,\"hosts\":[%s],"
                            "\"problem\":{\"class\":\"%s\",\"detail\":\"no such name\"}}",
                            (long long)clock_wall_s(), class, DAY_S, hosts, class));
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

static const char *why_of(struct test *test)
{
    return status_of(test).why;
}

static void expect_waiting(struct test *test)
{
    struct acme_status status = status_of(test);
    cr_expect(eq(uint, status.failures, 5));
    cr_expect(ne(ptr, (void *)(uintptr_t)status.problem, NULL));
    cr_expect(lt(i64, (DAY_S - 60) * 1000LL, status.next_in_ms));
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
    static const char *const CLASSES[] = {"validation", "refused", "order-gone"};
    for (size_t i = 0; i < COUNT_OF(CLASSES); i++) {
        struct test test;
        begin(&test);
        save_failure(&test, "\"wrong.example.test\"", CLASSES[i]);
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
    static const char *const SAVED[] = {
        "\"wrong.example.test\"",
        "\"right.example.test\",\"wrong.example.test\"", /* one has gone */
        "",                                              /* one has come */
    };
    for (size_t i = 0; i < COUNT_OF(SAVED); i++) {
        struct test test;
        begin(&test);
        save_failure(&test, SAVED[i], "validation");
        want_host(&test, "right.example.test", CRYPTO_EC_P256);
        expect_due(&test);
        end(&test);
    }
}

static void start_again(struct test *test)
{
    worker_save(worker_find(test->worker, "a.pem"));
    close_all(test);
    open_all(test);
    want_host(test, "a.example.test", CRYPTO_EC_P256);
}

/* Who takes another CA, or gives the one that wanted it an external account, has mended something.
 */
Test(acme_worker, other_cas_do_not_wait_for_what_those_before_have_refused)
{
    static const struct test CHANGES[] = {{.has_second = true}, {.external_kid = "kid-1"}};
    for (size_t i = 0; i < COUNT_OF(CHANGES); i++) {
        struct test test;
        begin(&test);
        save_failure(&test, "\"a.example.test\"", "needs-a-person");
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        expect_waiting(&test);
        start_again(&test);
        expect_waiting(&test);
        test.has_second = CHANGES[i].has_second;
        test.external_kid = CHANGES[i].external_kid;
        start_again(&test);
        expect_due(&test);
        end(&test);
    }
}

/* -- Two CAs ---------------------------------------------------------------------------------- */

static void stop_when_both_are_told(void *context)
{
    const struct test *test = context;
    if (counted_events("acme_ca_not_ready") == 2)
        main_loop_stop(test->loop);
}

/* Each for those that have waited for it, and for no others. */
Test(acme_worker, two_cas_fail_by_themselves)
{
    struct test test;
    begin(&test);
    close_all(&test);
    test.has_second = true;
    open_all(&test);
    save_text(&test, memory_format("{\"seed\":7,\"failures\":1,\"last_class\":\"transient\"}"));
    want_host(&test, "a.example.test", CRYPTO_EC_P256); /* the second's turn */
    want(&test, 0);
    run_with(&test, stop_when_both_are_told);
    char *lines = log_memory_lines();
    for (const char *at = lines; (at = strstr(at, "\"certificates\":")) != NULL; at++)
        cr_expect(eq(int, strncmp(at, "\"certificates\":1,", 17), 0), "%s", lines);
    free(lines);
    end(&test);
}

/* -- Names that are left out ------------------------------------------------------------------- */

static const char *const TWO_HOSTS[] = {"a.example.test", "b.example.test"};

static void want_two(struct test *test)
{
    struct error_text why = {0};
    const struct acme_wanted wanted = {"a.pem", TWO_HOSTS, 2, CRYPTO_EC_P256};
    cr_assert(eq(int, acme_worker_want(test->worker, &wanted, &why), ERROR_OK), "%s", why.text);
}

/* What is told of a host, and what of the certificate; the texts of the host are copied. */
struct host_told {
    const char *host;
    struct acme_status status;
    struct acme_problem problem;
    bool has_problem;
    int64_t retry_in_ms;
};

static void copy_host(void *context, const struct acme_status *status)
{
    struct host_told *told = context;
    told->status = *status;
    for (size_t i = 0; i < status->host_count; i++) {
        const struct acme_host_status *host = &status->hosts[i];
        if (strcmp(host->host, told->host) != 0)
            continue;
        told->has_problem = host->problem != NULL;
        if (told->has_problem)
            told->problem = *host->problem;
        told->retry_in_ms = host->retry_in_ms;
    }
}

static struct host_told told_of(struct test *test, const char *host)
{
    struct host_told told = {.host = host};
    cr_assert(acme_worker_status(test->worker, "a.pem", copy_host, &told));
    return told;
}

/* "b" has failed, and is tried again so soon; of its problem more is written down than fits. */
static void save_held(struct test *test, int64_t retry_in_s)
{
    char *long_text = memory_new(501);
    memset(long_text, 'x', 500);
    save_text(test,
              memory_format(
                  "{\"seed\":7,\"saved_s\":%lld,\"hosts\":[\"a.example.test\",\"b.example.test\"],"
                  "\"held\":{\"b.example.test\":{\"seed\":3,\"saved_s\":%lld,\"failures\":2,"
                  "\"last_class\":\"validation\",\"retry_in_s\":%lld,\"problem\":{\"class\":"
                  "\"validation\",\"status\":99999,\"type\":\"dns\",\"detail\":\"%s\"}}}}",
                  (long long)clock_wall_s(), (long long)clock_wall_s(), (long long)retry_in_s,
                  long_text));
    free(long_text);
}

static void expect_held(struct test *test, int64_t retry_in_s)
{
    struct host_told told = told_of(test, "b.example.test");
    cr_assert(told.has_problem);
    cr_expect(eq(int, told.problem.class, ACME_CLASS_VALIDATION));
    cr_expect(eq(str, told.problem.type, "dns"));
    cr_expect(eq(sz, strlen(told.problem.detail), sizeof(told.problem.detail) - 1));
    cr_expect(zero(int, told.problem.status));
    cr_expect(lt(i64, (retry_in_s - 60) * 1000, told.retry_in_ms));
    cr_expect(le(i64, told.retry_in_ms, retry_in_s * 1000));
    told = told_of(test, "a.example.test");
    cr_expect_not(told.has_problem);
}

/* What is nobody's name's fault is the same for others. */
Test(acme_worker, other_names_wait_for_what_is_not_about_names)
{
    static const char *const CLASSES[] = {"rate-limited", "transient", "needs-a-person"};
    for (size_t i = 0; i < COUNT_OF(CLASSES); i++) {
        struct test test;
        begin(&test);
        save_failure(&test, "\"one.example.test\"", CLASSES[i]);
        want_host(&test, "one.example.test", CRYPTO_EC_P256);
        want_host(&test, "other.example.test", CRYPTO_EC_P256);
        expect_waiting(&test);
        end(&test);
    }
}

/* -- What others put in service ---------------------------------------------------------------- */

/* A pair for three months, of which these days have passed. */
static void install_from(struct test *test, int64_t days_ago, const char *issuer)
{
    struct bytes chain = {0};
    struct error_text why = {0};
    int64_t from_s = clock_wall_s() - days_ago * DAY_S;
    struct crypto_key *key = crypto_key_new(CRYPTO_EC_P256, &why);
    cr_assert(eq(
        int, crypto_self_signed(key, "a.example.test", from_s, from_s + 90 * DAY_S, &chain, &why),
        ERROR_OK));
    cr_assert(eq(int, store_install(test->store, "a.pem", key, bytes_slice(&chain), issuer, &why),
                 ERROR_OK),
              "%s", why.text);
    bytes_free(&chain);
    crypto_key_free(key);
}

static void install(struct test *test, int64_t days_ago)
{
    install_from(test, days_ago, NULL);
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

/* It is waited for, while the others are in service, over every start. */
Test(acme_worker, a_name_that_was_left_out_still_is_after_a_restart)
{
    enum { WAIT_S = 1800 };
    struct test test;
    begin(&test);
    install(&test, 0); /* for "a" */
    save_held(&test, WAIT_S);
    for (size_t i = 0; i < 2; i++) {
        want_two(&test);
        expect_held(&test, WAIT_S);
        struct acme_status status = status_of(&test);
        cr_expect(
            eq(str, (char *)(uintptr_t)status.why, (char[]){"a host failed and is tried again"}));
        cr_expect(lt(i64, (WAIT_S - 60) * 1000, status.next_in_ms));
        cr_expect(le(i64, status.next_in_ms, WAIT_S * 1000));
        if (i == 0) { /* writes it down anew */
            acme_worker_put_back(test.worker, "a.pem");
            close_all(&test);
            open_all(&test);
        }
    }
    /* It belongs to whoever has it; and it is for an admin to hurry. */
    want_host(&test, "b.example.test", CRYPTO_EC_P256);
    cr_expect(lt(i64, 0, told_of(&test, "b.example.test").retry_in_ms));
    cr_expect(lt(i64, 0, status_of(&test).next_in_ms));
    cr_assert(eq(int, acme_worker_renew(test.worker, "a.pem"), ERROR_OK));
    cr_expect(zero(i64, told_of(&test, "b.example.test").retry_in_ms));
    cr_expect(le(i64, status_of(&test).next_in_ms, 0));
    end(&test);
}

/* Its wait is over: what is in service lacks it. */
Test(acme_worker, a_name_that_was_left_out_is_ordered_when_its_time_has_come)
{
    struct test test;
    begin(&test);
    install(&test, 0);
    save_held(&test, 0);
    want_two(&test);
    struct acme_status status = status_of(&test);
    cr_expect(eq(str, (char *)(uintptr_t)status.why, (char[]){"a host is not covered yet"}));
    cr_expect(le(i64, status.next_in_ms, 0));
    end(&test);
}

/* Who comes back is somebody else. */
Test(acme_worker, what_is_not_wanted_any_more_is_not_remembered)
{
    struct test test;
    begin(&test);
    save_failure(&test, "\"a.example.test\"", "validation");
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    expect_waiting(&test);
    acme_worker_unwant(test.worker, "a.pem");
    acme_worker_unwant(test.worker, "a.pem");
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    expect_due(&test);
    end(&test);
}

/* What stays in service is still that CA's, which is asked about it. */
Test(acme_worker, who_has_issued_what_is_in_service_is_known_when_it_is_wanted_again)
{
    struct test test;
    begin(&test);
    close_all(&test);
    test.has_second = true;
    open_all(&test);
    install_from(&test, 0, SECOND_CA);
    for (size_t i = 0; i < 2; i++) {
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        cr_expect(eq(str, (char *)(uintptr_t)status_of(&test).ca, (char[]){SECOND_CA}), "%zu", i);
        cr_expect(eq(int, worker_issuer(worker_find(test.worker, "a.pem")), SCHEDULE_CA_SECOND));
        acme_worker_unwant(test.worker, "a.pem");
    }
    end(&test);
}

/* As after a trial. Of what others have put in service nobody knows the CA. */
Test(acme_worker, what_is_not_trusted_and_from_a_ca_that_was_left_is_due)
{
    struct test test;
    begin(&test);
    install_from(&test, 0, SECOND_CA);
    for (size_t i = 0; i < 2; i++) {
        acme_worker_unwant(test.worker, "a.pem");
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        expect_due(&test);
        cr_expect(status_of(&test).is_untrusted);
        cr_expect(ne(ptr, strstr(why_of(&test), "configured no longer"), NULL));
        cr_expect(eq(sz, counted_events("acme_ca_left"), 1), "one is looked at, once");
    }
    install(&test, 0);
    find(&test);
    cr_expect_not(status_of(&test).is_untrusted);
    cr_expect(lt(i64, 0, status_of(&test).next_in_ms));
    end(&test);
}

/* The CA that is asked now has failed: that is waited for, as it is by any other. */
Test(acme_worker, what_is_not_trusted_is_tried_again_as_others_are)
{
    struct test test;
    begin(&test);
    install_from(&test, 0, SECOND_CA);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    struct certificate *certificate = worker_find(test.worker, "a.pem");
    struct acme_problem problem;
    acme_problem_set(&problem, ACME_CLASS_TRANSIENT, "the CA is away");
    worker_failed(certificate, &problem);
    start_again(&test);
    struct acme_status status = status_of(&test);
    cr_expect(status.is_untrusted);
    cr_expect(eq(uint, status.failures, 1));
    cr_expect(lt(i64, 30 * 1000, status.next_in_ms));
    end(&test);
}

/* Nobody wants it any more, and it leaves; who returns wants it for `host`. */
static struct certificate *leave_and_return(struct test *test, const char *host)
{
    struct error_text why = {0};
    acme_worker_unwant(test->worker, "a.pem");
    cr_assert(eq(int, store_remove(test->store, "a.pem", &why), ERROR_OK), "%s", why.text);
    want_host(test, host, CRYPTO_EC_P256);
    return worker_find(test->worker, "a.pem");
}

/* Without an order. */
Test(acme_worker, what_has_left_is_brought_back)
{
    struct test test;
    begin(&test);
    install(&test, 30);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    cr_expect_not(worker_bring_back(worker_find(test.worker, "a.pem")), "it is in service");
    cr_expect(worker_bring_back(leave_and_return(&test, "a.example.test")));
    cr_expect(store_is_ours(test.store, "a.pem"));
    find(&test);
    struct acme_status status = status_of(&test);
    cr_expect(eq(i64, days_left(&status), 60));
    cr_expect(lt(i64, 0, status.next_in_ms));
    end(&test);
}

Test(acme_worker, what_is_of_no_use_any_more_is_not_brought_back)
{
    static const struct {
        const char *host;
        int64_t days_ago;
        bool is_revoked;
    } CASES[] = {{"b.example.test", 0, false}, /* it is for "a" */
                 {"a.example.test", 91, false},
                 {"a.example.test", 0, true}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct test test;
        begin(&test);
        install(&test, CASES[i].days_ago);
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        struct certificate *certificate = worker_find(test.worker, "a.pem");
        if (CASES[i].is_revoked)
            memcpy(certificate->revoked, certificate->in_service.serial, CRYPTO_SERIAL_SIZE);
        certificate = leave_and_return(&test, CASES[i].host);
        cr_expect_not(worker_bring_back(certificate), "%zu", i);
        end(&test);
    }
}

static bool is_kept(struct test *test, const char *path)
{
    char *whole = memory_format("%s/state/%s", test->root, path);
    bool is_there = access(whole, F_OK) == 0;
    free(whole);
    return is_there;
}

/* A private key among it. */
Test(acme_worker, nothing_stays_of_what_is_not_wanted_any_more)
{
    static const char *const FILES[] = {"schedule/a.pem.json", "facts/a.pem.json",
                                        "pending/a.pem.json", "pending/a.pem.key"};
    struct test test;
    struct error_text why = {0};
    begin(&test);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    worker_save(worker_find(test.worker, "a.pem"));
    struct json *order = json_new_object();
    cr_assert(eq(int, store_order_save(test.store, "a.pem", order, &why), ERROR_OK));
    json_free(order);
    crypto_key_free(store_pending_key(test.store, "a.pem", CRYPTO_EC_P256, &why));
    for (size_t i = 0; i < COUNT_OF(FILES); i++)
        cr_assert(is_kept(&test, FILES[i]), "%s", FILES[i]);
    acme_worker_unwant(test.worker, "a.pem");
    for (size_t i = 0; i < COUNT_OF(FILES); i++)
        cr_expect_not(is_kept(&test, FILES[i]), "%s", FILES[i]);
    end(&test);
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
    for (int restarts = 0; restarts < 2; restarts++) {
        status = status_of(&test);
        cr_expect(eq(i64, days_left(&status), 25));
        cr_expect(eq(str, (char *)(uintptr_t)status.why, (char[]){"the one before was put back"}));
        cr_expect(lt(i64, (DAY_S - 60) * 1000LL, status.next_in_ms));
        cr_expect(le(i64, status.next_in_ms, DAY_S * 1000LL));
        start_again(&test);
    }
    cr_assert(eq(int, acme_worker_renew(test.worker, "a.pem"), ERROR_OK));
    status = status_of(&test);
    cr_expect(le(i64, status.next_in_ms, 0));
    acme_worker_put_back(test.worker, "not there");
    end(&test);
}

Test(acme_worker, what_was_revoked_is_remembered)
{
    struct test test;
    begin(&test);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    struct certificate *certificate = worker_find(test.worker, "a.pem");
    char serial[CRYPTO_SERIAL_SIZE];
    memcpy(serial, certificate->in_service.serial, sizeof(serial));
    cr_expect_not(acme_worker_has_revoked(test.worker, "a.pem", serial));
    memcpy(certificate->revoked, serial, sizeof(serial));
    worker_save(certificate);
    start_again(&test);
    cr_expect(acme_worker_has_revoked(test.worker, "a.pem", serial));
    cr_expect_not(acme_worker_has_revoked(test.worker, "a.pem", "00"));
    cr_expect_not(acme_worker_has_revoked(test.worker, "b.pem", serial));
    end(&test);
}

/* Nor is it as good as any when its tenant is back before it has left, or an admin puts it there.
 */
Test(acme_worker, what_was_revoked_is_replaced_whenever_it_is_found)
{
    struct test test;
    begin(&test);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    struct certificate *certificate = worker_find(test.worker, "a.pem");
    memcpy(certificate->revoked, certificate->in_service.serial, CRYPTO_SERIAL_SIZE);
    acme_worker_unwant(test.worker, "a.pem");
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    struct acme_status status = status_of(&test);
    cr_expect(eq(str, (char *)(uintptr_t)status.why, (char[]){"a renewal was asked for"}));
    cr_expect(le(i64, status.next_in_ms, 0));
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
    cr_expect(lt(i64, 0, status.next_in_ms));
    install(&test, 65);
    find(&test);
    status = status_of(&test);
    cr_expect(eq(i64, days_left(&status), 25));
    cr_expect(le(i64, status.next_in_ms, 0));
    end(&test);
}

/* The CA's window is about the certificate that it was told for. */
Test(acme_worker, a_window_is_of_the_certificate_in_service)
{
    static char by_window[] = "renewal is planned by the CA's window";
    static char by_life[] = "renewal is planned by its life";
    struct test test;
    begin(&test);
    install(&test, 0);
    int64_t now_s = clock_wall_s();
    save_text(&test, memory_format("{\"seed\":7,\"saved_s\":%lld,\"window_start_s\":%lld,"
                                   "\"window_end_s\":%lld}",
                                   (long long)now_s, (long long)now_s + 50LL * DAY_S,
                                   (long long)now_s + 51LL * DAY_S));
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    find(&test); /* the same one */
    cr_expect(eq(str, (char *)(uintptr_t)status_of(&test).why, by_window));
    install(&test, 1);
    find(&test);
    cr_expect(eq(str, (char *)(uintptr_t)status_of(&test).why, by_life));
    end(&test);
}

/* Puts another pair there, of a day ago: before the worker is started again, or as it runs. */
static void replace(struct test *test, bool while_stopped)
{
    if (while_stopped) {
        worker_save(worker_find(test->worker, "a.pem"));
        close_all(test);
        open_all(test);
    }
    install(test, 1);
    if (while_stopped)
        want_host(test, "a.example.test", CRYPTO_EC_P256);
    else
        find(test);
}

/* All that there is to remember: a window that has passed, failures, and whose it is. */
static void save_much(struct test *test)
{
    long long now_s = clock_wall_s();
    save_text(test,
              memory_format("{\"seed\":7,\"saved_s\":%lld,\"window_start_s\":%lld,"
                            "\"window_end_s\":%lld,\"failures\":5,\"retry_in_s\":%d,"
                            "\"last_class\":\"validation\",\"issuer_directory\":\"" CA "\","
                            "\"hosts\":[\"a.example.test\"],\"problem\":{\"class\":"
                            "\"validation\",\"detail\":\"no way\"},\"held\":{"
                            "\"a.example.test\":{\"seed\":3,\"saved_s\":%lld,\"failures\":2,"
                            "\"last_class\":\"validation\",\"retry_in_s\":%d,\"problem\":"
                            "{\"class\":\"validation\",\"detail\":\"no way\"}}}}",
                            now_s, now_s - 2LL * DAY_S, now_s - 1LL * DAY_S, DAY_S, now_s, DAY_S));
}

static void expect_much(struct test *test)
{
    struct acme_status status = status_of(test);
    cr_expect(eq(uint, status.failures, 5));
    cr_expect(ne(ptr, (void *)(uintptr_t)status.problem, NULL));
    cr_expect(eq(str, (char *)(uintptr_t)status.ca, (char[]){CA}));
    cr_expect(lt(i64, status.renewal_s, clock_wall_s()));
    cr_expect(told_of(test, "a.example.test").has_problem);
}

static void expect_nothing(struct test *test)
{
    static char by_life[] = "renewal is planned by its life";
    struct acme_status status = status_of(test);
    cr_expect(zero(uint, status.failures));
    cr_expect(eq(ptr, (void *)(uintptr_t)status.problem, NULL));
    cr_expect(eq(str, (char *)(uintptr_t)status.ca, (char[]){""}));
    cr_expect(eq(str, (char *)(uintptr_t)status.why, by_life));
    cr_expect_not(told_of(test, "a.example.test").has_problem);
}

/* Whoever has put another one there has ended what was wrong with the one before. */
Test(acme_worker, what_is_remembered_is_of_the_certificate_in_service)
{
    for (int while_stopped = 0; while_stopped < 2; while_stopped++) {
        struct test test;
        begin(&test);
        install(&test, 2);
        save_much(&test);
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        expect_much(&test);
        start_again(&test);
        expect_much(&test); /* the same one */
        replace(&test, while_stopped);
        expect_nothing(&test);
        start_again(&test);
        expect_nothing(&test);
        end(&test);
    }
}

/* The first one, too. */
Test(acme_worker, failures_end_where_somebody_has_a_certificate_of_their_own)
{
    for (int while_stopped = 0; while_stopped < 2; while_stopped++) {
        struct test test;
        begin(&test);
        save_failure(&test, "\"a.example.test\"", "validation");
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        worker_find(test.worker, "a.pem")->schedule.wanted_now = true;
        worker_save(worker_find(test.worker, "a.pem"));
        start_again(&test);
        expect_waiting(&test);
        replace(&test, while_stopped);
        expect_nothing(&test);
        end(&test);
    }
}

static void write_file(struct test *test, const char *text)
{
    char *path = memory_format("%s/certs/a.pem", test->root);
    FILE *file = fopen(path, "w");
    cr_assert(ne(ptr, file, NULL), "%s", path);
    fputs(text, file);
    fclose(file);
    free(path);
}

static void stop_when_set_aside(void *context)
{
    struct test *test = context;
    char *path = memory_format("%s/certs/a.pem", test->root);
    if (access(path, F_OK) != 0)
        main_loop_stop(test->loop);
    free(path);
}

/* HAProxy would not start with it. Who may be writing it still is left alone for a while. */
Test(acme_worker, what_is_no_certificate_is_set_aside)
{
    struct test test;
    begin(&test);
    write_file(&test, "half of a certif");
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    struct acme_status status = status_of(&test);
    cr_expect(eq(str, (char *)(uintptr_t)status.why, (char[]){"somebody is writing its file"}));
    cr_expect(lt(i64, 0, status.next_in_ms));
    cr_expect(le(i64, status.next_in_ms, 1000));
    close_all(&test);
    test.rest_ms = 50;
    open_all(&test);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    run_with(&test, stop_when_set_aside);
    end(&test);
}

static void stop_when_looked_at(void *context)
{
    struct test *test = context;
    if (worker_find(test->worker, "a.pem")->look_mono_ms != 1)
        main_loop_stop(test->loop);
}

static void look_now(struct test *test)
{
    struct certificate *certificate = worker_find(test->worker, "a.pem");
    cr_assert(ne(i64, certificate->look_mono_ms, 0));
    certificate->look_mono_ms = 1;
    worker_plan(certificate);
    run_with(test, stop_when_looked_at);
}

static void ready(void *context, const char *name, const struct crypto_certificate *certificate)
{
    (void)context, (void)name, (void)certificate;
}

/* Nobody knows whether a good one is there: no order, which 10,000 would make after one `chown`. */
Test(acme_worker, what_cannot_be_read_is_not_replaced)
{
    static char unreadable[] =
        "its file cannot be read, for a reason that the log tells: mend that";
    static char by_life[] = "renewal is planned by its life";
    struct test test;
    begin(&test);
    char *path = memory_format("%s/certs/a.pem", test.root);
    cr_assert(eq(int, symlink("a.pem", path), 0)); /* to itself: not even root can read it */
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    test.worker->settings.hooks.ready = ready;
    for (size_t i = 0; i < 3; i++) {
        struct acme_status status = status_of(&test);
        cr_expect(eq(str, (char *)(uintptr_t)status.why, unreadable));
        cr_expect(lt(i64, 50 * 1000, status.next_in_ms));
        cr_expect(le(i64, status.next_in_ms, 60 * 1000));
        cr_assert(eq(int, acme_worker_renew(test.worker, "a.pem"), ERROR_OK)); /* into what? */
        look_now(&test);
    }
    cr_expect(eq(sz, counted_events("certificate_unusable"), 1));
    cr_expect(zero(uint, status_of(&test).failures));
    cr_assert(eq(int, unlink(path), 0));
    install(&test, 0);
    look_now(&test);
    cr_expect(eq(str, (char *)(uintptr_t)status_of(&test).why, by_life));
    free(path);
    end(&test);
}

Test(acme_worker, what_has_gone_is_not_in_service)
{
    struct test test;
    begin(&test);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    cr_expect(lt(i64, 0, status_of(&test).next_in_ms));
    char *path = memory_format("%s/certs/a.pem", test.root);
    cr_assert(eq(int, unlink(path), 0));
    acme_worker_found(test.worker, "a.pem", &(struct crypto_certificate){0});
    cr_expect(eq(ptr, (void *)(uintptr_t)status_of(&test).certificate, NULL));
    expect_due(&test);
    free(path);
    end(&test);
}

/* -- The CA's limits --------------------------------------------------------------------------- */

/* As when an order has to wait until the CA lets as many more be made. */
static void limit(struct test *test, int64_t wait_s)
{
    struct certificate *certificate = worker_find(test->worker, "a.pem");
    certificate->limit = "the CA's limit";
    certificate->schedule.retry_mono_ms = clock_mono_ms() + wait_s * 1000;
    worker_plan(certificate);
}

Test(acme_worker, a_limit_is_told_while_it_is_waited_for)
{
    struct test test;
    begin(&test);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    limit(&test, 3600);
    cr_expect(zero(int, strcmp(why_of(&test), "the CA's limit")), "%s", why_of(&test));
    /* Somebody has put there what need not be renewed. */
    install(&test, 0);
    find(&test);
    cr_expect(zero(int, strcmp(why_of(&test), "renewal is planned by its life")), "%s",
              why_of(&test));
    end(&test);
}

static void stop_when_failed(void *context)
{
    struct test *test = context;
    if (status_of(test).failures > 0)
        main_loop_stop(test->loop);
}

Test(acme_worker, a_failure_behind_a_limit_is_told_as_one)
{
    struct test test;
    begin(&test);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    limit(&test, 0);
    run_with(&test, stop_when_failed);
    cr_expect(zero(int, strcmp(why_of(&test), "the last try failed")), "%s", why_of(&test));
    end(&test);
}

/* With limits, of which all is left, at a CA that is ready for orders. */
static void begin_limited(struct test *test)
{
    begin(test);
    close_all(test);
    test->has_limits = true;
    open_all(test);
    struct ca *ca = &test->worker->cas[SCHEDULE_CA_FIRST];
    ca->has_directory = true;
    ca->directory_mono_ms = clock_mono_ms();
    strcpy(ca->account_url, CA "/account");
}

/* A renewal is one for the CA that has issued what is in service. */
Test(acme_worker, what_another_ca_has_issued_is_new_to_the_limits)
{
    static const struct {
        const char *issuer;
        enum budget_order taken;
    } CASES[] = {{CA, BUDGET_SAME_NAMES}, {NULL, BUDGET_SAME_NAMES}, {SECOND_CA, BUDGET_NEW_NAMES}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct test test;
        begin_limited(&test);
        install_from(&test, 70, CASES[i].issuer);
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        struct certificate *certificate = worker_find(test.worker, "a.pem");
        worker_order(certificate);
        cr_assert(ne(ptr, certificate->job, NULL));
        cr_expect(certificate->job->has_taken);
        cr_expect(eq(int, certificate->job->taken, CASES[i].taken), "%zu", i);
        end(&test);
    }
}

static size_t examined;

static void count_examined(void *context, uint64_t ticket, const struct acme_examination *about)
{
    (void)context, (void)ticket, (void)about;
    examined++;
}

static void use_up_orders(struct budget *budget)
{
    int64_t wait_ms = 0;
    for (size_t i = 0; wait_ms == 0; i++) {
        char *name = memory_format("n%zu.test", i);
        const char *const names[] = {name};
        wait_ms = budget_take_order_ms(budget, BUDGET_NEW_NAMES, names, 1, clock_mono_ms());
        free(name);
    }
}

/* Of thousands each comes once an hour. */
Test(acme_worker, what_waits_for_a_limit_asks_no_dns_and_is_told_once)
{
    struct test test;
    begin_limited(&test);
    test.worker->settings.hooks.examine = count_examined;
    struct ca *ca = &test.worker->cas[SCHEDULE_CA_FIRST];
    use_up_orders(ca->budget);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    struct certificate *certificate = worker_find(test.worker, "a.pem");
    struct printed log = printed_on(STDERR_FILENO);
    for (size_t i = 0; i < 3; i++) {
        worker_order(certificate);
        cr_assert(eq(ptr, certificate->job, NULL));
        cr_expect(strstr(why_of(&test), "new orders") != NULL, "%s", why_of(&test));
    }
    char *lines = printed_till_here(&log);
    cr_expect(eq(sz, counted(lines, "certificate_limited"), 1), "%s", lines);
    cr_expect(zero(sz, examined));
    free(lines);
    budget_free(ca->budget);
    ca->budget = budget_new();
    worker_order(certificate);
    cr_expect(eq(sz, examined, 1));
    end(&test);
}

/* -- HAProxy that has started anew, or ourselves ------------------------------------------------
 */

Test(acme_worker, what_has_failed_at_haproxy_is_tried_soon_when_one_of_us_has_started_anew)
{
    static const char *const CLASSES[] = {"local", "transient"};
    for (size_t i = 0; i < COUNT_OF(CLASSES); i++) {
        struct test test;
        begin(&test);
        save_failure(&test, "\"a.example.test\"", CLASSES[i]);
        want_host(&test, "a.example.test", CRYPTO_EC_P256);
        cr_expect(eq(int, status_of(&test).next_in_ms <= 660 * 1000, i == 0));
        worker_find(test.worker, "a.pem")->schedule.retry_mono_ms = clock_mono_ms() + DAY_S * 1000;
        expect_waiting(&test);
        acme_worker_way_is_new(test.worker);
        cr_expect(eq(int, status_of(&test).next_in_ms <= 660 * 1000, i == 0));
        end(&test);
    }
}

/* -- Revocation -------------------------------------------------------------------------------- */

static void on_revoked(void *context, const struct acme_problem *problem)
{
    struct test *test = context;
    cr_expect(eq(int, problem != NULL ? problem->class : ACME_CLASS_NONE, ACME_CLASS_TRANSIENT));
    main_loop_stop(test->loop);
}

/* Who asked for it may not have waited: what came of it is kept. */
Test(acme_worker, a_revocation_that_comes_to_nothing_is_told)
{
    struct test test;
    struct error_text why = {0};
    begin(&test);
    cr_expect(eq(int, acme_worker_revoke(test.worker, "a.pem", on_revoked, &test, &why),
                 ERROR_NOT_FOUND));
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    cr_expect(eq(int, acme_worker_revoke(test.worker, "a.pem", on_revoked, &test, &why),
                 ERROR_NOT_FOUND));
    install(&test, 0);
    find(&test);
    for (size_t i = 0; i < 2; i++)
        cr_expect(eq(int, acme_worker_revoke(test.worker, "a.pem", on_revoked, &test, &why),
                     i == 0 ? ERROR_OK : ERROR_BUSY));
    main_loop_run(test.loop);
    struct acme_status status = status_of(&test);
    cr_assert(ne(ptr, (void *)(uintptr_t)status.problem, NULL));
    cr_expect(eq(int, status.problem->class, ACME_CLASS_TRANSIENT));
    cr_expect(zero(uint, status.failures));
    cr_expect(lt(i64, 0, status.next_in_ms)); /* what is in service is as good as it was */
    end(&test);
}

/* Nor is it another that is revoked because somebody was faster. */
Test(acme_worker, a_revocation_is_of_what_the_worker_knows)
{
    struct test test;
    struct error_text why = {0};
    begin(&test);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    char before[CRYPTO_SERIAL_SIZE];
    memcpy(before, status_of(&test).certificate->serial, sizeof(before));
    install(&test, 0); /* the worker has not been told of it yet */
    cr_expect(
        eq(int, acme_worker_revoke(test.worker, "a.pem", on_revoked, &test, &why), ERROR_BUSY));
    cr_expect(ne(ptr, strstr(why.text, before), NULL), "%s", why.text);
    const char *now = status_of(&test).certificate->serial;
    cr_expect(ne(str, (char *)(uintptr_t)now, before));
    cr_expect(ne(ptr, strstr(why.text, now), NULL), "%s", why.text);
    cr_expect(eq(int, acme_worker_revoke(test.worker, "a.pem", on_revoked, &test, &why), ERROR_OK));
    end(&test);
}

/* There is nobody left who could do it. */
Test(acme_worker, a_revocation_that_is_dropped_is_told)
{
    struct test test;
    struct error_text why = {0};
    begin(&test);
    install(&test, 0);
    want_host(&test, "a.example.test", CRYPTO_EC_P256);
    cr_expect(eq(int, acme_worker_revoke(test.worker, "a.pem", on_revoked, &test, &why), ERROR_OK));
    acme_worker_unwant(test.worker, "a.pem");
    char *lines = log_memory_lines();
    cr_expect(ne(ptr, strstr(lines, "certificate_not_revoked"), NULL), "%s", lines);
    free(lines);
    end(&test);
}
