/* ca: what is known of a CA between two requests: nonces, limits, the account, whose clock is
 * wrong. */
#include "ca.h"

#include "acme/store.h"
#include "core/clock.h"
#include "core/memory.h"
#include "counted.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#define DIRECTORY "https://ca.example/directory"

struct test {
    char *root;
    struct main_loop *loop;
    struct store *store;
    struct ca ca;
};

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
    (void)facts, (void)kind, (void)walk;
    return remove(path);
}

static void on_ready(void *context, struct ca *ca, const struct acme_problem *problem, bool is_back)
{
    (void)context, (void)ca, (void)problem, (void)is_back;
}

static void begin(struct test *test)
{
    struct error_text why = {0};
    *test = (struct test){.root = memory_format("/tmp/acme-ca-XXXXXX")};
    cr_assert(ne(ptr, mkdtemp(test->root), NULL));
    char *state = memory_format("%s/state", test->root);
    char *certs = memory_format("%s/certs", test->root);
    const struct store_settings at = {.state = state, .certs = certs, .owner = -1, .group = -1};
    test->loop = main_loop_new(&why);
    test->store = store_open(&at, &why);
    cr_assert(ne(ptr, test->store, NULL), "%s", why.text);
    free(state);
    free(certs);
}

static void open_ca(struct test *test, const struct acme_ca_settings *settings)
{
    struct error_text why = {0};
    cr_assert(eq(int, ca_init(&test->ca, test->loop, test->store, settings, on_ready, NULL, &why),
                 ERROR_OK),
              "%s", why.text);
}

static void end(struct test *test)
{
    store_close(test->store);
    main_loop_free(test->loop);
    nftw(test->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(test->root);
}

/* -- What comes with an answer -- */

static void hear_nonce(struct ca *ca, const char *nonce)
{
    ca_note_answer(ca, &(struct http_response){.status = 200, .nonce = slice_of(nonce)});
}

static void expect_nonce(struct ca *ca, const char *wanted)
{
    char nonce[CA_NONCE_SIZE];
    cr_assert(ca_take_nonce(ca, nonce));
    cr_expect(eq(str, nonce, (char *)(uintptr_t)wanted));
}

Test(acme_ca, a_nonce_is_used_once_and_the_newest_first)
{
    struct ca ca = {0};
    char nonce[CA_NONCE_SIZE];
    hear_nonce(&ca, "one");
    hear_nonce(&ca, "two");
    hear_nonce(&ca, "");
    expect_nonce(&ca, "two");
    hear_nonce(&ca, "three");
    expect_nonce(&ca, "three");
    expect_nonce(&ca, "one");
    cr_expect_not(ca_take_nonce(&ca, nonce));
}

Test(acme_ca, of_too_many_nonces_the_oldest_go)
{
    struct ca ca = {0};
    char nonce[CA_NONCE_SIZE];
    for (int i = 0; i < CA_NONCES_MAX + 3; i++) {
        snprintf(nonce, sizeof(nonce), "nonce-%d", i);
        hear_nonce(&ca, nonce);
    }
    for (int i = CA_NONCES_MAX + 2; i >= 3; i--) {
        snprintf(nonce, sizeof(nonce), "nonce-%d", i);
        expect_nonce(&ca, nonce);
    }
    cr_expect_not(ca_take_nonce(&ca, nonce));
}

Test(acme_ca, a_nonce_that_there_is_no_room_for_is_none)
{
    struct ca ca = {0};
    char longest[CA_NONCE_SIZE + 1] = "";
    memset(longest, 'n', CA_NONCE_SIZE);
    hear_nonce(&ca, longest);
    cr_expect(zero(sz, ca.nonce_count));
    longest[CA_NONCE_SIZE - 1] = '\0';
    hear_nonce(&ca, longest);
    expect_nonce(&ca, longest);
}

/* RFC 8555 6.5.1 */
Test(acme_ca, a_nonce_that_is_not_base64url_is_none)
{
    struct ca ca = {0};
    static const char *const BAD[] = {"", "a/b", "a+b", "ab==", "a b", "a\"b"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++)
        hear_nonce(&ca, BAD[i]);
    cr_expect(zero(sz, ca.nonce_count));
}

Test(acme_ca, answers_are_counted_by_status)
{
    static const struct {
        int status;
        size_t index;
    } CASES[] = {{0, 0}, {99, 0}, {100, 1}, {200, 101}, {599, 500}, {600, 0}, {999, 0}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ca ca = {0};
        ca_note_answer(&ca, &(struct http_response){.status = CASES[i].status});
        cr_expect(eq(u32, ca.counts.answers[CASES[i].index], 1), "%d", CASES[i].status);
    }
}

/* Each answer has a date: the difference is told now and then. */
Test(acme_ca, a_clock_that_is_wrong_is_told_once)
{
    struct ca ca = {.settings = &(struct acme_ca_settings){.directory_url = DIRECTORY}};
    struct http_response answer = {
        .status = 200, .date = SLICE("Fri, 15 Jan 2027 08:00:00 GMT"), .received_s = 1800000299};
    ca_note_answer(&ca, &answer);
    answer.received_s = 1800000000 - 299;
    ca_note_answer(&ca, &answer);
    cr_expect(zero(sz, counted_in_log("acme_clocks_differ")));
    answer.received_s = 1800000000 - 4000;
    ca_note_answer(&ca, &answer);
    ca_note_answer(&ca, &answer);
    cr_expect(eq(sz, counted_in_log("acme_clocks_differ"), 1));
    cr_expect(eq(sz, counted_in_log("\"ahead_s\":-4000"), 1));
}

/* -- Whether it may be asked -- */

Test(acme_ca, a_refusal_lasts_for_what_is_left_of_it)
{
    struct ca ca = {.refusal = {.class = ACME_CLASS_RATE_LIMITED, .retry_after_s = 3600},
                    .refused_until_mono_ms = clock_mono_ms() + 1500 * 1000};
    const struct acme_problem *refusal = ca_refusal(&ca);
    cr_assert(ne(ptr, (void *)(uintptr_t)refusal, NULL));
    cr_expect(ge(i32, refusal->retry_after_s, 1490));
    cr_expect(le(i32, refusal->retry_after_s, 1501));
    ca.refused_until_mono_ms = clock_mono_ms();
    cr_expect(eq(ptr, (void *)(uintptr_t)ca_refusal(&ca), NULL));
}

/* A directory is read again once a day; a new key goes before any order. */
/* What one order asks for may make the CA stumble each time, while it serves all others. */
Test(acme_ca, is_back_when_it_fulfils_an_order_after_several_that_it_has_failed)
{
    static const struct {
        const char *ends; /* 'f'ulfilled, 't'ransient, 'b'ad answer, 'v'alidation, by order */
        bool is_back;     /* with the last */
    } CASES[] = {{"f", false},       {"ttf", false},   {"tttf", true},   {"tbtbtf", true},
                 {"vvvf", false},    {"tvtvtf", true}, {"ttttv", false}, {"tttff", false},
                 {"tttfttf", false}, {"ttfttf", false}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct ca ca = {0};
        bool is_back = false;
        for (const char *at = CASES[i].ends; *at != '\0'; at++) {
            struct acme_problem problem;
            acme_problem_set(&problem,
                             *at == 't'   ? ACME_CLASS_TRANSIENT
                             : *at == 'b' ? ACME_CLASS_BAD_ANSWER
                                          : ACME_CLASS_VALIDATION,
                             "no");
            is_back = ca_order_ended(&ca, *at == 'f' ? NULL : &problem);
        }
        cr_expect(eq(int, is_back, CASES[i].is_back), "%s", CASES[i].ends);
    }
}

Test(acme_ca, is_ready_by_what_it_knows)
{
    enum { DAY_MS = 24 * 3600 * 1000, MINUTE_MS = 60 * 1000 };
    struct ca ca = {.has_directory = true,
                    .account_url = "https://ca.example/account/1",
                    .directory_mono_ms = clock_mono_ms() - DAY_MS + MINUTE_MS};
    cr_expect(ca_is_ready(&ca));
    ca.directory_mono_ms = clock_mono_ms() - DAY_MS;
    cr_expect_not(ca_is_ready(&ca));
    ca.directory_mono_ms = clock_mono_ms();
    ca.has_directory = false;
    cr_expect_not(ca_is_ready(&ca));
    ca.has_directory = true;
    ca.new_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    cr_expect_not(ca_is_ready(&ca));
    crypto_key_free(ca.new_key);
    ca.new_key = NULL;
    ca.account_url[0] = '\0';
    cr_expect_not(ca_is_ready(&ca));
}

Test(acme_ca, lets_encrypts_limits_are_kept_to_there)
{
    static const struct {
        struct acme_ca_settings settings;
        bool limited;
    } CASES[] = {
        {{.directory_url = "https://acme-v02.api.letsencrypt.org/directory"}, true},
        {{.directory_url = "https://acme-v02.api.letsencrypt.org:443/directory"}, true},
        {{.directory_url = "https://acme-v02.api.letsencrypt.org/directory",
          .limits = ACME_LIMITS_OFF},
         false},
        {{.directory_url = DIRECTORY, .limits = ACME_LIMITS_ON}, true},
        {{.directory_url = DIRECTORY}, false},
        {{.directory_url = "https://ca.example/api.letsencrypt.org"}, false},
        {{.directory_url = "https://api.notletsencrypt.org/directory"}, false},
        {{.directory_url = "https://api.letsencrypt.org.example/directory"}, false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct test test;
        begin(&test);
        open_ca(&test, &CASES[i].settings);
        cr_expect(eq(int, test.ca.budget != NULL, CASES[i].limited), "%zu", i);
        ca_fini(&test.ca);
        struct json *saved = store_budget_load(test.store, CASES[i].settings.directory_url);
        cr_expect(eq(int, saved != NULL, CASES[i].limited), "%zu", i); /* what they stand at */
        json_free(saved);
        end(&test);
    }
}

Test(acme_ca, a_directory_is_an_https_url)
{
    struct test test;
    struct error_text why = {0};
    const struct acme_ca_settings plain = {.directory_url = "http://ca.example/directory"};
    begin(&test);
    cr_expect(eq(int, ca_init(&test.ca, test.loop, test.store, &plain, on_ready, NULL, &why),
                 ERROR_INVALID));
    ca_fini(&test.ca);
    end(&test);
}

/* -- The account on disk -- */

static void save_account(struct test *test, const char *const *contacts, size_t count,
                         const char *thumbprint, const char *url)
{
    struct error_text why = {0};
    struct json *account = json_new_object(), *list = json_new_array();
    for (size_t i = 0; i < count; i++)
        json_append_text(list, slice_of(contacts[i]));
    json_put(account, "contacts", list);
    json_put_text(account, "thumbprint", slice_of(thumbprint));
    json_put_text(account, "url", slice_of(url));
    cr_assert(eq(int, store_account_save(test->store, DIRECTORY, account, &why), ERROR_OK), "%s",
              why.text);
    json_free(account);
}

static void put_kid(struct test *test, const char *kid)
{
    struct error_text why = {0};
    struct json *account = store_account_load(test->store, DIRECTORY);
    if (kid != NULL)
        json_put_text(account, "external_kid", slice_of(kid));
    cr_assert(eq(int, store_account_save(test->store, DIRECTORY, account, &why), ERROR_OK));
    json_free(account);
}

/* Otherwise it is looked up at the CA, which is told what has changed. */
Test(acme_ca, the_account_on_disk_is_taken_if_it_is_the_one_that_is_wished)
{
    static const char *const CONTACTS[] = {"mailto:a@example.test", "mailto:b@example.test",
                                           "mailto:c@example.test"};
    static const struct {
        const char *thumbprint; /* NULL: the key's */
        const char *url;
        size_t from, count; /* of the contacts; wished are the first two */
        bool taken;
    } CASES[] = {
        {NULL, "https://ca.example/account/1", 0, 2, true},
        {NULL, "https://ca.example/account/1", 0, 1, false},
        {NULL, "https://ca.example/account/1", 0, 3, false},
        {NULL, "https://ca.example/account/1", 1, 2, false},
        {"of another key", "https://ca.example/account/1", 0, 2, false},
        {NULL, "http://ca.example/account/1", 0, 2, false},
    };
    const struct acme_ca_settings settings = {
        .directory_url = DIRECTORY, .contacts = CONTACTS, .contact_count = 2};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct test test;
        char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1];
        begin(&test);
        open_ca(&test, &settings); /* makes the key */
        cr_expect(eq(str, test.ca.account_url, ""));
        memcpy(thumbprint, test.ca.thumbprint, sizeof(thumbprint));
        ca_fini(&test.ca);
        save_account(&test, CONTACTS + CASES[i].from, CASES[i].count,
                     CASES[i].thumbprint != NULL ? CASES[i].thumbprint : thumbprint, CASES[i].url);
        open_ca(&test, &settings);
        cr_expect(eq(int, test.ca.account_url[0] != '\0', CASES[i].taken), "%zu", i);
        ca_fini(&test.ca);
        end(&test);
    }
}

/* An account is bound once, and its key finds it again: another one takes another key. */
Test(acme_ca, another_external_account_takes_another_key)
{
    static const struct {
        const char *kept; /* with the account; NULL: by an older version, which does not tell */
        const char *wished;
        bool stays;
    } CASES[] = {{"kid-1", "kid-1", true},
                 {"kid-1", "kid-2", false},
                 {"", "kid-1", false},
                 {"kid-1", NULL, true},
                 {NULL, "kid-1", true}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct test test;
        char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1];
        const struct acme_ca_settings settings = {.directory_url = DIRECTORY,
                                                  .external_kid = CASES[i].wished};
        begin(&test);
        open_ca(&test, &settings); /* makes the key */
        memcpy(thumbprint, test.ca.thumbprint, sizeof(thumbprint));
        ca_fini(&test.ca);
        save_account(&test, NULL, 0, thumbprint, "https://ca.example/account/1");
        put_kid(&test, CASES[i].kept);
        open_ca(&test, &settings);
        cr_expect(eq(int, test.ca.account_url[0] != '\0', CASES[i].stays), "%zu", i);
        cr_expect(eq(int, strcmp(test.ca.thumbprint, thumbprint) == 0, CASES[i].stays), "%zu", i);
        ca_fini(&test.ca);
        if (CASES[i].kept != NULL && CASES[i].kept[0] != '\0') {
            /* Who goes back finds it, though the other one was never made. */
            const struct acme_ca_settings before = {.directory_url = DIRECTORY,
                                                    .external_kid = CASES[i].kept};
            open_ca(&test, &before);
            cr_expect_neq(test.ca.account_url[0], '\0', "%zu", i);
            cr_expect_str_eq(test.ca.thumbprint, thumbprint, "%zu", i);
            ca_fini(&test.ca);
        }
        end(&test);
    }
}
