/* What a CA, or somebody in between, may answer.
 *
 * The input is a conversation: records parted by lines of "%%", each a line "STATUS|LOCATION|
 * RETRY-AFTER|LINK" and a body. "@CERT" as a body is a certificate that fits. A first line such as
 * "@account" says what is wished of the CA (see CONVERSATIONS); without one it is a new order.
 * Whatever the answers say, only https URLs are asked, tokens are base64url, waits are bounded, and
 * what comes out as done holds what was wished: of an order, a chain that belongs to the key. The
 * same bytes are also a directory, a window, a problem, and a time; for chains and keys there is
 * fuzz_certificate.c, for what follows from failures fuzz_schedule.c.
 */
#include "acme/acme_directory.h"
#include "acme/acme_flow.h"
#include "core/time_text.h"
#include "crypto/base64url.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"

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
        "\"newOrder\":\"https://ca/o\",\"revokeCert\":\"https://ca/r\","
        "\"keyChange\":\"https://ca/k\",\"renewalInfo\":\"https://ca/i\","
        "\"meta\":{\"profiles\":{\"p\":\"x\"}}}";
    if (account_key != NULL)
        return;
    account_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    certificate_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    FUZZ_REQUIRE(crypto_self_signed(certificate_key, NAMES[0], NOW_S - 100, NOW_S + 86400,
                                    &certificate, NULL) == ERROR_OK);
    FUZZ_REQUIRE(acme_directory_parse(slice_of(DIRECTORY), &directory, NULL) == ERROR_OK);
}

static struct http_response next_answer(struct slice *rest)
{
    struct slice record = input_take(rest, SLICE("\n%%\n"));
    struct slice line = input_take(&record, SLICE("\n"));
    struct slice status = input_take(&line, SLICE("|"));
    struct http_response answer = {.received_s = NOW_S, .link_count = 1};
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

/* ---- What is wished ---- */

static struct acme_identity account(void)
{
    return (struct acme_identity){account_key, "https://ca/a/1", "thumb"};
}

static struct acme_order_wish usual_order(bool wants_more)
{
    return (struct acme_order_wish){.account = account(),
                                    .key = certificate_key,
                                    .names = NAMES,
                                    .name_count = 1,
                                    .replaces = wants_more ? "aki.serial" : NULL,
                                    .profile = wants_more ? "p" : NULL,
                                    .preferred_chain = wants_more ? "Other Root" : NULL};
}

static void begin_order(struct acme_flow *flow, bool wants_more)
{
    const struct acme_order_wish wish = usual_order(wants_more);
    acme_flow_order(flow, &directory, &wish);
}

static void begin_order_again(struct acme_flow *flow, bool wants_more)
{
    struct acme_order_wish wish = usual_order(wants_more);
    wish.order_url = "https://ca/o/1";
    acme_flow_order(flow, &directory, &wish);
}

/* One whose URL was lost, for two names. */
static void begin_order_lost(struct acme_flow *flow, bool wants_more)
{
    struct acme_order_wish wish = usual_order(wants_more);
    wish.name_count = COUNT_OF(NAMES);
    wish.may_exist = true;
    acme_flow_order(flow, &directory, &wish);
}

static void begin_account(struct acme_flow *flow, bool wants_more)
{
    static const char *const CONTACTS[] = {"mailto:a@b.test", "mailto:c@d.test"};
    const struct acme_account_wish wish = {.key = account_key,
                                           .contacts = CONTACTS,
                                           .contact_count = COUNT_OF(CONTACTS),
                                           .external_kid = wants_more ? "kid" : NULL,
                                           .external_secret = wants_more ? "c2VjcmV0" : NULL};
    acme_flow_account(flow, &directory, &wish);
}

static void begin_directory(struct acme_flow *flow, bool wants_more)
{
    static struct acme_directory read;
    (void)wants_more;
    acme_flow_directory(flow, "https://ca/d", &read);
}

static void begin_revoke(struct acme_flow *flow, bool wants_more)
{
    const struct acme_identity own = account();
    acme_flow_revoke(flow, &directory, &own, wants_more ? SLICE("DER") : SLICE(""),
                     certificate_key);
}

static void begin_key_change(struct acme_flow *flow, bool wants_more)
{
    const struct acme_identity own = account();
    (void)wants_more;
    acme_flow_key_change(flow, &directory, &own, certificate_key);
}

static void begin_renewal_info(struct acme_flow *flow, bool wants_more)
{
    (void)wants_more;
    acme_flow_renewal_info(flow, "https://ca/i/aki.serial");
}

/* ---- What must come of it ---- */

static void check_order(const struct acme_flow *flow)
{
    struct bytes again = {0};
    FUZZ_REQUIRE(crypto_chain_tidy(bytes_slice(&flow->chain), certificate_key, &again, NULL,
                                   NULL) == ERROR_OK);
    FUZZ_REQUIRE(strcmp(again.data, flow->chain.data) == 0);
    bytes_free(&again);
}

static void check_account(const struct acme_flow *flow)
{
    FUZZ_REQUIRE(acme_url_is_good(slice_of(flow->account_url)));
}

static void check_directory(const struct acme_flow *flow)
{
    FUZZ_REQUIRE(acme_url_is_good(slice_of(flow->directory_result->new_order)));
}

static void check_renewal_info(const struct acme_flow *flow)
{
    FUZZ_REQUIRE(flow->renewal_info.end_s > flow->renewal_info.start_s);
    FUZZ_REQUIRE(flow->retry_after_s >= -1 && flow->retry_after_s <= ACME_RETRY_AFTER_MAX_S);
}

struct conversation {
    const char *line; /* the first one of an input */
    void (*begin)(struct acme_flow *flow, bool wants_more);
    void (*check)(const struct acme_flow *flow); /* what is done; NULL: it has no result */
};

static const struct conversation NEW_ORDER = {"", begin_order, check_order};
static const struct conversation CONVERSATIONS[] = {
    {"@again\n", begin_order_again, check_order},
    {"@lost\n", begin_order_lost, check_order},
    {"@account\n", begin_account, check_account},
    {"@directory\n", begin_directory, check_directory},
    {"@revoke\n", begin_revoke, NULL},
    {"@key\n", begin_key_change, NULL},
    {"@window\n", begin_renewal_info, check_renewal_info},
};

static const struct conversation *find_conversation(struct slice input)
{
    for (size_t i = 0; i < COUNT_OF(CONVERSATIONS); i++)
        if (slice_starts_with(input, slice_of(CONVERSATIONS[i].line)))
            return &CONVERSATIONS[i];
    return &NEW_ORDER;
}

static void check_end(const struct acme_flow *flow, const struct conversation *conversation)
{
    FUZZ_REQUIRE(flow->order_url[0] == '\0' || acme_url_is_good(slice_of(flow->order_url)));
    if (flow->state == ACME_STATE_DONE && conversation->check != NULL)
        conversation->check(flow);
    if (flow->state != ACME_STATE_FAILED)
        return;
    FUZZ_REQUIRE(flow->problem.class != ACME_CLASS_NONE);
    FUZZ_REQUIRE(flow->problem.url[0] == '\0' || acme_url_is_good(slice_of(flow->problem.url)));
}

static void check_request(const struct acme_request *request)
{
    FUZZ_REQUIRE(acme_url_is_good(slice_of(request->url)));
    FUZZ_REQUIRE(request->key == NULL || request->payload.data != NULL);
}

/* What is answered on port 80 has the token and the account's thumbprint, and nothing else. */
static void check_published(const struct acme_flow *flow)
{
    for (size_t i = 0; i < flow->authorization_count; i++) {
        char text[ACME_KEY_AUTHORIZATION_SIZE];
        struct slice token = slice_of(flow->authorizations[i].token);
        if (token.size == 0)
            continue;
        acme_flow_key_authorization(flow, i, text);
        FUZZ_REQUIRE(slice_starts_with(slice_of(text), token));
        FUZZ_REQUIRE(slice_equal(slice_skip(slice_of(text), token.size), SLICE(".thumb")));
    }
}

/* Returns whether it goes on. */
static bool take_step(struct acme_flow *flow, struct slice *input)
{
    struct acme_request request;
    enum acme_action action = acme_flow_next(flow, &request);
    check_tokens(flow);
    if (action == ACME_DONE || action == ACME_FAILED)
        return false;
    if (action == ACME_SEND) {
        check_request(&request);
        const struct http_response answer = next_answer(input);
        acme_flow_hear(flow, &answer);
        return true;
    }
    if (action == ACME_PUBLISH)
        check_published(flow);
    FUZZ_REQUIRE(flow->wait_ms <= WAIT_MAX_MS);
    acme_flow_resume(flow);
    return true;
}

static void converse(struct slice input)
{
    const struct conversation *conversation = find_conversation(input);
    bool wants_more = input.size % 2 == 1;
    struct acme_flow flow;
    input = slice_skip(input, strlen(conversation->line));
    conversation->begin(&flow, wants_more);
    bool goes_on = true;
    for (size_t i = 0; i < STEPS_MAX && input.size > 0 && goes_on; i++)
        goes_on = take_step(&flow, &input);
    check_end(&flow, conversation);
    acme_flow_fini(&flow);
}

static void check_texts(struct slice text)
{
    struct acme_directory parsed;
    struct acme_renewal_info info;
    struct acme_problem problem;
    const struct http_response answer = {.status = 400, .body = text, .retry_after = text};
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_from(data, size);
    prepare();
    converse(input);
    check_texts(input);
    return 0;
}
