/* acme_worker: many certificates, and a CA that is not there. */
#include "acme/acme_worker.h"
#include "acme/store.h"
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

Test(acme_worker, tells_of_a_ca_once_and_writes_down_in_turns)
{
    struct test test = {.root = memory_format("/tmp/acme-worker-XXXXXX")};
    cr_assert(ne(ptr, mkdtemp(test.root), NULL));
    open_all(&test);
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
    close_all(&test);
    nftw(test.root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(test.root);
}
