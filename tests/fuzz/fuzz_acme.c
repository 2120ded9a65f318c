/* What a CA, or somebody in between, may answer.
 *
 * The input is a conversation: records parted by lines of "%%", each a line "STATUS|LOCATION|
 * RETRY-AFTER|LINK" and a body. "@CERT" as a body is a certificate that fits. An order is driven
 * through them. Whatever they say, only https URLs are asked, tokens are base64url, waits are
 * bounded, and what comes out as done is a chain that belongs to the key. The same bytes are also
 * a directory, a window, a problem, and a time; for chains and keys there is fuzz_certificate.c.
 */
#include "acme/acme_directory.h"
#include "acme/acme_flow.h"
#include "acme/schedule.h"
#include "core/time_text.h"
#include "crypto/base64url.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"
#include "json/json.h"

#include <stdlib.h>

enum { STEPS_MAX = 600, WAIT_MAX_MS = 300 * 1000 };

static const char *const NAMES[] = {"a.example.test", "b.example.test"};
static const int64_t NOW_S = 1800000000;

static struct crypto_key *account_key, *certificate_key;
static struct bytes certificate;
static struct acme_directory directory;

static void prepare(void)
{
    static const char DIRECTORY[] =
        "{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\","
        "\"newOrder\":\"https://ca/o\",\"meta\":{\"profiles\":{\"p\":\"x\"}}}";
    if (account_key != NULL)
        return;
    account_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    certificate_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    FUZZ_REQUIRE(crypto_self_signed(certificate_key, NAMES[0], NOW_S - 100, NOW_S + 86400,
                                    &certificate, NULL) == ERROR_OK);
    FUZZ_REQUIRE(acme_directory_parse(slice_of(DIRECTORY), &directory, NULL) == ERROR_OK);
}

static struct acme_answer next_answer(struct slice *rest)
{
    struct slice record = input_take(rest, SLICE("\n%%\n"));
    struct slice line = input_take(&record, SLICE("\n"));
    struct slice status = input_take(&line, SLICE("|"));
    struct acme_answer answer = {.received_s = NOW_S, .link_count = 1};
    for (size_t i = 0; i < size_min(status.size, 3); i++)
        if (status.data[i] >= '0' && status.data[i] <= '9')
            answer.status = answer.status * 10 + (status.data[i] - '0');
    answer.location = input_take(&line, SLICE("|"));
    answer.retry_after = input_take(&line, SLICE("|"));
    answer.links[0] = line;
    answer.body = slice_equal(record, SLICE("@CERT")) ? bytes_slice(&certificate) : record;
    return answer;
}

static void check_tokens(const struct acme_flow *flow)
{
    for (size_t i = 0; i < flow->authorization_count; i++) {
        const char *token = flow->authorizations[i].token;
        FUZZ_REQUIRE(token[0] == '\0' || base64url_is_token(slice_of(token)));
    }
}

static void check_end(const struct acme_flow *flow, enum acme_action action)
{
    struct schedule_certificate schedule = {.seed = 1};
    const struct schedule_now now = {.mono_ms = 1000, .wall_s = NOW_S};
    FUZZ_REQUIRE(flow->order_url[0] == '\0' || acme_url_is_good(slice_of(flow->order_url)));
    if (action == ACME_DONE) {
        struct bytes again = {0};
        FUZZ_REQUIRE(crypto_chain_tidy(bytes_slice(&flow->chain), certificate_key, &again, NULL,
                                       NULL) == ERROR_OK);
        FUZZ_REQUIRE(strcmp(again.data, flow->chain.data) == 0);
        bytes_free(&again);
    } else if (action == ACME_FAILED) {
        FUZZ_REQUIRE(flow->problem.class != ACME_CLASS_NONE);
        FUZZ_REQUIRE(flow->problem.url[0] == '\0' || acme_url_is_good(slice_of(flow->problem.url)));
        schedule_failed(&schedule, &flow->problem, &now);
        FUZZ_REQUIRE(schedule.retry_mono_ms >= now.mono_ms + 60000);
    }
}

static void check_order(struct slice input)
{
    bool wants_more = input.size % 2 == 1;
    const struct acme_order_wish wish = {
        .account = {.key = account_key, .url = "https://ca/a/1", .thumbprint = "thumb"},
        .key = certificate_key,
        .names = NAMES,
        .name_count = 1,
        .replaces = wants_more ? "aki.serial" : NULL,
        .profile = wants_more ? "p" : NULL,
        .preferred_chain = wants_more ? "Other Root" : NULL};
    struct acme_flow flow;
    struct acme_request request;
    enum acme_action action = ACME_SEND;
    acme_flow_order(&flow, &directory, &wish);
    for (size_t i = 0; i < STEPS_MAX && input.size > 0; i++) {
        action = acme_flow_next(&flow, &request);
        check_tokens(&flow);
        if (action == ACME_DONE || action == ACME_FAILED)
            break;
        if (action == ACME_SEND) {
            FUZZ_REQUIRE(acme_url_is_good(slice_of(request.url)));
            FUZZ_REQUIRE(request.key != NULL && request.payload.data != NULL);
            const struct acme_answer answer = next_answer(&input);
            acme_flow_hear(&flow, &answer);
        } else {
            FUZZ_REQUIRE(flow.wait_ms <= WAIT_MAX_MS);
            acme_flow_resume(&flow);
        }
    }
    check_end(&flow, action);
    acme_flow_fini(&flow);
}

static void check_texts(struct slice text)
{
    struct acme_directory parsed;
    struct acme_renewal_info info;
    struct acme_problem problem;
    const struct acme_answer answer = {.status = 400, .body = text, .retry_after = text};
    int64_t seconds;
    if (acme_directory_parse(text, &parsed, NULL) == ERROR_OK)
        FUZZ_REQUIRE(acme_url_is_good(slice_of(parsed.new_order)));
    if (acme_renewal_info_parse(text, &info, NULL) == ERROR_OK)
        FUZZ_REQUIRE(info.end_s > info.start_s);
    acme_problem_read(&answer, &problem);
    FUZZ_REQUIRE(problem.class != ACME_CLASS_NONE);
    FUZZ_REQUIRE(problem.retry_after_s >= -1 && problem.retry_after_s <= ACME_RETRY_AFTER_MAX_S);
    for (const char *c = problem.detail; *c != '\0'; c++)
        FUZZ_REQUIRE((uint8_t)*c >= ' ' && *c != 0x7f);
    if (time_text_parse_rfc3339(text, &seconds) || time_text_parse_http(text, &seconds))
        FUZZ_REQUIRE(seconds > -2 * 86400);
}

/* A state file that something else has written. */
static void check_schedule(struct slice text)
{
    struct schedule_certificate schedule = {0};
    const struct schedule_now now = {.mono_ms = 1000, .wall_s = NOW_S};
    struct json *saved = json_parse(text, 65536, NULL, NULL);
    schedule_load(&schedule, saved, &now);
    struct schedule_decision decision = schedule_decide(&schedule, &now);
    FUZZ_REQUIRE(decision.due_mono_ms <= now.mono_ms + 2 * (int64_t)ACME_RETRY_AFTER_MAX_S * 1000);
    json_free(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_from(data, size);
    prepare();
    check_order(input);
    check_texts(input);
    check_schedule(input);
    return 0;
}
