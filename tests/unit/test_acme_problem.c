/* acme: times, Retry-After, problem documents, directories, renewal windows. */
#include "acme/acme_directory.h"
#include "acme/acme_problem.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

Test(time_text, http_dates)
{
    int64_t seconds = 0;
    cr_expect(time_text_parse_http(SLICE("Sun, 06 Nov 1994 08:49:37 GMT"), &seconds));
    cr_expect(eq(i64, seconds, 784111777));
    const char *bad[] = {"",
                         "Sun, 06 Nov 1994 08:49:37",
                         "Sun, 06 Nov 1994 08:49:37 CET",
                         "Sunday, 06-Nov-94 08:49:37 GMT",
                         "Sun, 6 Nov 1994 08:49:37 GMT",
                         "Sun, 06 Foo 1994 08:49:37 GMT",
                         "Sun, 06 Nov 1994 24:49:37 GMT",
                         "120"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect_not(time_text_parse_http(slice_of(bad[i]), &seconds), "%s", bad[i]);
}

Test(time_text, rfc3339)
{
    const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"1985-04-12T23:20:50.52Z", 482196050},
                {"1996-12-19T16:39:57-08:00", 851042397},
                {"2025-01-02T04:00:00+05:30", 1735770600},
                {"2025-01-02t04:00:00z", 1735790400}};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int64_t seconds = 0;
        cr_expect(time_text_parse_rfc3339(slice_of(good[i].text), &seconds), "%s", good[i].text);
        cr_expect(eq(i64, seconds, good[i].seconds), "%s", good[i].text);
    }
    const char *bad[] = {"",
                         "2025-01-02",
                         "2025-01-02T04:00:00",
                         "2025-13-02T04:00:00Z",
                         "2025-01-02T04:00:00.Z",
                         "2025-01-02 04:00:00Z",
                         "2025-01-02T04:00:00Zx"};
    int64_t seconds;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect_not(time_text_parse_rfc3339(slice_of(bad[i]), &seconds), "%s", bad[i]);

    char text[TIME_TEXT_SIZE];
    cr_expect(eq(int, strcmp(time_text_print(1735790400, text), "2025-01-02T04:00:00Z"), 0));
    cr_expect(eq(int, strcmp(time_text_print(INT64_MAX, text), "9999-12-31T23:59:59Z"), 0));
    cr_expect(eq(int, strcmp(time_text_print(-1, text), "1970-01-01T00:00:00Z"), 0));
}

Test(acme_problem, retry_after_in_both_forms)
{
    const struct {
        const char *text, *date;
        int32_t seconds;
    } cases[] = {
        {"", "", -1},
        {"0", "", 0},
        {"120", "", 120},
        {" 7 ", "", 7},
        {"99999999999999999999", "", ACME_RETRY_AFTER_MAX_S},
        {"-5", "", -1},
        {"soon", "", -1},
        {"1.5", "", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:48:37 GMT", 60},
        {"Sun, 06 Nov 1994 08:49:37 GMT", "", 7},    /* by our clock */
        {"Sun, 06 Nov 1994 08:49:37 GMT", "bad", 7}, /* the same */
        {"Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 09:49:37 GMT", 0},
        {"Sun, 06 Nov 2094 08:49:37 GMT", "", ACME_RETRY_AFTER_MAX_S},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct http_response answer = {.status = 503,
                                             .retry_after = slice_of(cases[i].text),
                                             .date = slice_of(cases[i].date),
                                             .received_s = 784111770};
        cr_expect(eq(i32, acme_retry_after(&answer), cases[i].seconds), "%s", cases[i].text);
    }
}

struct sorted {
    int status;
    const char *body;
    enum acme_class class;
    const char *detail; /* a part of it */
};

#define URN "urn:ietf:params:acme:error:"

Test(acme_problem, answers_are_sorted_by_what_to_do)
{
    const struct sorted cases[] = {
        {0, "", ACME_CLASS_TRANSIENT, "no answer"},
        {503, "<html>overloaded</html>", ACME_CLASS_TRANSIENT, "503: <html>overloaded"},
        {502, "", ACME_CLASS_TRANSIENT, "502"},
        {408, "", ACME_CLASS_TRANSIENT, "408"},
        {429, "slow down", ACME_CLASS_RATE_LIMITED, "slow down"},
        /* Not the CA's word: a proxy whose CA is being started says so, or one that is in doubt. */
        {404, "<html>", ACME_CLASS_BAD_ANSWER, "404"},
        {403, "<html>are you human</html>", ACME_CLASS_BAD_ANSWER, "human"},
        {301, "", ACME_CLASS_BAD_ANSWER, "301"}, /* redirects are not followed */
        {400, "{\"status\":400,\"detail\":\"no such name\"}", ACME_CLASS_REFUSED, "no such name"},
        {400, "{\"type\":\"" URN "badNonce\",\"detail\":\"d\"}", ACME_CLASS_BAD_NONCE, "d"},
        {400, "{\"type\":\"" URN "accountDoesNotExist\"}", ACME_CLASS_ACCOUNT_GONE, ""},
        {403, "{\"type\":\"" URN "rejectedIdentifier\",\"detail\":\"no\\nway\"}",
         ACME_CLASS_REFUSED, "no way"},
        {403, "{\"type\":\"" URN "userActionRequired\",\"instance\":\"https://ca/tos\"}",
         ACME_CLASS_PERSON, ""},
        {500, "{\"type\":\"" URN "serverInternal\"}", ACME_CLASS_TRANSIENT, ""},
        {400, "{\"type\":\"" URN "somethingNew\",\"status\":200}", ACME_CLASS_REFUSED, ""},
        {503, "{\"type\":\"about:blank\",\"status\":400}", ACME_CLASS_TRANSIENT, ""},
        {429, "{\"type\":\"" URN "rateLimited\",\"detail\":\"too many\"}", ACME_CLASS_RATE_LIMITED,
         "too many"},
        {429,
         "{\"type\":\"" URN "rateLimited\",\"detail\":\"paused, see "
         "https://le.example/sfe/v1/unpause?jwt=x. Or not\"}",
         ACME_CLASS_PERSON, "paused"},
        {400, "{\"type\":7}", ACME_CLASS_BAD_ANSWER, "400"},
        {400, "[\"type\"]", ACME_CLASS_BAD_ANSWER, "400"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct acme_problem problem;
        const struct http_response answer = {.status = cases[i].status,
                                             .body = slice_of(cases[i].body)};
        acme_problem_read(&answer, &problem);
        cr_expect(eq(int, problem.class, cases[i].class), "%d %s", cases[i].status, cases[i].body);
        cr_expect(strstr(problem.detail, cases[i].detail) != NULL, "%s", problem.detail);
        cr_expect(eq(int, problem.status, cases[i].status));
    }
}

/* What it is now is for a person to write down: nobody signs for a URL that a stranger tells. */
Test(acme_problem, where_a_ca_has_moved_is_told)
{
    const struct http_response answer = {.status = 308,
                                         .body = SLICE("<html>moved</html>"),
                                         .location = SLICE("https://ca.example.test/v2/directory")};
    struct acme_problem problem;
    acme_problem_read(&answer, &problem);
    cr_expect(eq(str, problem.detail,
                 "HTTP status 308: redirected to https://ca.example.test/v2/directory, and "
                 "redirects are not followed"));
}

Test(acme_problem, words_are_cut_between_characters)
{
    enum { FITS = sizeof(((struct acme_problem *)0)->detail) - 1 };
    for (size_t before = FITS - 3; before <= FITS; before++) {
        struct acme_problem problem;
        char *words = memory_new(FITS + 16);
        memset(words, 'a', before);
        strcpy(words + before, "\xe2\x82\xac.");
        char *text = memory_format("{\"type\":\"x\",\"detail\":\"%s\"}", words);
        acme_problem_read(&(struct http_response){.status = 400, .body = slice_of(text)}, &problem);
        cr_expect(eq(sz, strlen(problem.detail), before == FITS - 3 ? FITS : before));
        free(words);
        free(text);
    }
}

Test(acme_problem, the_way_out_is_found)
{
    struct acme_problem problem;
    struct http_response answer = {.status = 429,
                                   .body =
                                       SLICE("{\"type\":\"" URN "rateLimited\",\"detail\":\"visit "
                                             "https://le.example/unpause?jwt=x.\"}")};
    acme_problem_read(&answer, &problem);
    cr_expect(eq(str, problem.url, "https://le.example/unpause?jwt=x"));
    answer.body = SLICE("{\"type\":\"" URN "userActionRequired\",\"instance\":\"https://ca/tos\"}");
    acme_problem_read(&answer, &problem);
    cr_expect(eq(str, problem.url, "https://ca/tos"));
    answer.body =
        SLICE("{\"type\":\"" URN "userActionRequired\",\"detail\":\"at https://\xc3\xa9\"}");
    acme_problem_read(&answer, &problem);
    cr_expect(eq(str, problem.url, ""));
    answer.body = SLICE("{\"type\":\"" URN "userActionRequired\",\"instance\":\"file:///x\"}");
    acme_problem_read(&answer, &problem);
    cr_expect(eq(str, problem.url, ""));
}

Test(acme_problem, urls_are_https_and_clean)
{
    cr_expect(acme_url_is_good(SLICE("https://ca.example/a?b=c")));
    char longest[ACME_URL_SIZE + 1];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "https://", 8);
    cr_expect(acme_url_is_good(slice_from(longest, ACME_URL_SIZE - 1)));
    cr_expect_not(acme_url_is_good(slice_from(longest, ACME_URL_SIZE)));
    const struct slice bad[] = {SLICE(""),
                                SLICE("http://ca/"),
                                SLICE("file:///etc/passwd"),
                                SLICE("https://"),
                                SLICE("https://a b"),
                                SLICE("https://a\r\nX: y"),
                                SLICE("https://\xc3\xa9"),
                                SLICE("HTTPS://a"),
                                SLICE("https://a\0b")};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect_not(acme_url_is_good(bad[i]), "%zu", i);
}

static void count_names(void *context, struct slice name, const struct acme_problem *problem)
{
    cr_expect(problem->class == ACME_CLASS_REFUSED);
    cr_expect(slice_equal(name, SLICE("bad.example.test")));
    ++*(size_t *)context;
}

Test(acme_problem, subproblems_tell_the_names)
{
    struct json *document = json_parse(
        SLICE("{\"type\":\"" URN "compound\",\"subproblems\":[{\"type\":\"" URN
              "rejectedIdentifier\",\"detail\":\"no\",\"identifier\":{\"type\":\"dns\",\"value\":"
              "\"bad.example.test\"}},{\"type\":\"x\"},7,{\"identifier\":{\"value\":\"\"}}]}"),
        10000, NULL, NULL);
    size_t count = 0;
    acme_problem_each_name(document, count_names, &count);
    cr_expect(eq(sz, count, 1));
    acme_problem_each_name(NULL, count_names, &count);
    cr_expect(eq(sz, count, 1));
    json_free(document);
    char *text = memory_format("{\"subproblems\":[{\"identifier\":{\"value\":\"%0*d\"}}]}",
                               ACME_NAME_SIZE, 0);
    document = json_parse(slice_of(text), 10000, NULL, NULL);
    acme_problem_each_name(document, count_names, &count);
    cr_expect(eq(sz, count, 1)); /* no name is so long */
    json_free(document);
    free(text);
}

Test(acme_directory, known_members_are_taken_and_others_passed_over)
{
    struct acme_directory directory;
    struct error_text why = {0};
    cr_assert(eq(int,
                 acme_directory_parse(
                     SLICE("{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\","
                           "\"newOrder\":\"https://ca/o\",\"x8Qz\":\"https://community\","
                           "\"renewalInfo\":\"https://ca/r\",\"revokeCert\":\"http://ca/v\","
                           "\"meta\":{\"termsOfService\":\"https://ca/tos\",\"profiles\":"
                           "{\"classic\":\"x\",\"shortlived\":\"y\"}}}"),
                     &directory, &why),
                 ERROR_OK),
              "%s", why.text);
    cr_expect(eq(str, directory.new_order, "https://ca/o"));
    cr_expect(eq(str, directory.renewal_info, "https://ca/r"));
    cr_expect(eq(str, directory.revoke_cert, "")); /* not https */
    cr_expect(acme_directory_has_profile(&directory, "shortlived"));
    cr_expect_not(acme_directory_has_profile(&directory, "short"));

    const char *bad[] = {"",
                         "<html>",
                         "[]",
                         "{}",
                         "{\"newNonce\":\"https://ca/n\",\"newAccount\":\"http://ca/a\","
                         "\"newOrder\":\"https://ca/o\"}",
                         "{\"newNonce\":\"file:///n\",\"newAccount\":\"https://ca/a\","
                         "\"newOrder\":\"https://ca/o\"}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        cr_expect(eq(int, acme_directory_parse(slice_of(bad[i]), &directory, &why) == ERROR_OK, 0),
                  "%s", bad[i]);
        cr_expect(eq(str, directory.new_order, "https://ca/o"), "it is in use: %s", bad[i]);
        cr_expect(eq(str, directory.renewal_info, "https://ca/r"));
    }
}

Test(acme_directory, renewal_windows)
{
    struct acme_renewal_info info;
    struct error_text why = {0};
    cr_assert(eq(int,
                 acme_renewal_info_parse(
                     SLICE("{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\",\"end\":"
                           "\"2025-01-03T04:00:00Z\"},\"explanationURL\":\"https://ca/why\"}"),
                     &info, &why),
                 ERROR_OK));
    cr_expect(eq(i64, info.end_s - info.start_s, 86400));
    cr_expect(eq(str, info.explanation_url, "https://ca/why"));
    const char *bad[] = {"{}",
                         "not json",
                         "{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\"}}",
                         "{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\",\"end\":"
                         "\"2025-01-02T04:00:00Z\"}}",
                         "{\"suggestedWindow\":{\"start\":\"2025-01-03T04:00:00Z\",\"end\":"
                         "\"2025-01-02T04:00:00Z\"}}",
                         "{\"suggestedWindow\":{\"start\":1,\"end\":2}}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect(acme_renewal_info_parse(slice_of(bad[i]), &info, &why) != ERROR_OK, "%s", bad[i]);
}

/* A CA may tell more than there is room for, and longer names. */
Test(acme_directory, what_there_is_no_room_for_is_passed_over)
{
    struct acme_directory directory;
    struct error_text why = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fputs("{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://"
          "ca/o\","
          "\"meta\":{\"profiles\":{",
          out);
    fprintf(out, "\"%0*d\":\"x\"", ACME_PROFILE_SIZE, 0);
    for (int i = 0; i <= ACME_PROFILES_MAX; i++)
        fprintf(out, ",\"p%d\":\"x\"", i);
    fprintf(out, "},\"caaIdentities\":[\"\",7,\"%0*d\"", ACME_NAME_SIZE, 0);
    for (int i = 0; i <= ACME_CAA_IDENTITIES_MAX; i++)
        fprintf(out, ",\"ca%d.test\"", i);
    fputs("]}}", out);
    cr_assert(fclose(out) == 0);
    cr_assert(eq(int, acme_directory_parse(slice_of(text), &directory, &why), ERROR_OK), "%s",
              why.text);
    cr_expect(eq(sz, directory.profile_count, ACME_PROFILES_MAX));
    cr_expect(eq(str, directory.profiles[0], "p0"));
    cr_expect(eq(sz, directory.caa_identity_count, ACME_CAA_IDENTITIES_MAX));
    cr_expect(eq(str, directory.caa_identities[0], "ca0.test"));
    free(text);
}
