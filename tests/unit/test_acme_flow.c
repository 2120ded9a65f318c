/* acme: the flow, with canned answers. Each case is one thing that a real CA or the way to it has
 * done to a real client. */
#include "acme/acme_flow.h"

#include "core/memory.h"
#include "crypto/base64url.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#define URN           "urn:ietf:params:acme:error:"
#define PROBLEM(TYPE) "{\"type\":\"" URN TYPE "\",\"detail\":\"the CA's words\"}"
#define ORDER(STATUS, MORE)                                                   \
    "{\"status\":\"" STATUS "\",\"authorizations\":[\"https://ca/authz/1\"]," \
    "\"finalize\":\"https://ca/fin/1\"" MORE "}"
#define ORDER_TWO(STATUS)                                                    \
    "{\"status\":\"" STATUS                                                  \
    "\",\"authorizations\":[\"https://ca/authz/1\",\"https://ca/authz/2\"]," \
    "\"finalize\":\"https://ca/fin/1\"}"
#define CERTIFICATE ",\"certificate\":\"https://ca/cert/1\""
#define AUTHZ(NAME, STATUS, CHALLENGE_STATUS, MORE)                                        \
    "{\"status\":\"" STATUS "\",\"identifier\":{\"type\":\"dns\",\"value\":\"" NAME "\"}," \
    "\"challenges\":[{\"type\":\"dns-01\",\"url\":\"https://ca/d\",\"token\":\"dd\"},"     \
    "{\"type\":\"http-01\",\"status\":\"" CHALLENGE_STATUS                                 \
    "\",\"url\":\"https://ca/chall/1\",\"token\":\"token-1\"" MORE "}]}"
#define NAME "chat.example.test"

/* One exchange. `expect` is what the flow must do: a URL it sends to, or "wait", "publish". An
 * answer with status -1 is the certificate, made for the key of the flow. */
struct step {
    const char *expect;
    int status;
    const char *body;
    const char *location, *retry_after, *link;
    const char *sent; /* a part of the payload; NULL: whatever */
    int64_t wait_ms;  /* with "wait": exactly this, 0: whatever */
};

struct play {
    struct acme_flow flow;
    struct acme_directory directory;
    struct crypto_key *account_key, *key;
    struct acme_order_wish wish;
    struct bytes certificate;
};

static const char *const ONE_NAME[] = {NAME};
static const char *const TWO_NAMES[] = {NAME, "www.example.test"};
static const int64_t NOW_S = 1800000000;

static struct play *new_play(void)
{
    struct play *play = memory_new(sizeof(*play));
    struct error_text why;
    cr_assert(eq(int,
                 acme_directory_parse(
                     SLICE("{\"newNonce\":\"https://ca/nonce\",\"newAccount\":\"https://ca/acct\","
                           "\"newOrder\":\"https://ca/order\",\"revokeCert\":\"https://ca/revoke\","
                           "\"keyChange\":\"https://ca/key\",\"renewalInfo\":\"https://ca/ari\","
                           "\"meta\":{\"profiles\":{\"shortlived\":\"x\"}}}"),
                     &play->directory, &why),
                 ERROR_OK));
    play->account_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    play->key = crypto_key_new(CRYPTO_EC_P256, NULL);
    play->wish = (struct acme_order_wish){
        .account = {.key = play->account_key, .url = "https://ca/acct/1", .thumbprint = "thumb"},
        .key = play->key,
        .names = ONE_NAME,
        .name_count = 1};
    cr_assert(eq(
        int,
        crypto_self_signed(play->key, NAME, NOW_S - 100, NOW_S + 86400, &play->certificate, NULL),
        ERROR_OK));
    return play;
}

static void end_play(struct play *play)
{
    acme_flow_fini(&play->flow);
    crypto_key_free(play->account_key);
    crypto_key_free(play->key);
    bytes_free(&play->certificate);
    free(play);
}

static void answer_step(struct play *play, const struct step *step)
{
    const char *body = step->status == -1 ? play->certificate.data : step->body;
    const struct http_response answer = {.status = step->status == -1 ? 200 : step->status,
                                         .body = slice_of(body),
                                         .location = slice_of(step->location),
                                         .retry_after = slice_of(step->retry_after),
                                         .links = {slice_of(step->link)},
                                         .link_count = step->link != NULL,
                                         .received_s = NOW_S};
    acme_flow_hear(&play->flow, &answer);
}

/* Plays all steps; the flow must ask for exactly these. */
static void run_steps(struct play *play, const struct step *steps, size_t count)
{
    static const char *const ACTIONS[] = {"send", "wait", "publish", "done", "failed"};
    for (size_t i = 0; i < count; i++) {
        struct acme_request request;
        enum acme_action action = acme_flow_next(&play->flow, &request);
        const char *did = action == ACME_SEND ? request.url : ACTIONS[action];
        cr_assert(eq(int, strcmp(did, steps[i].expect), 0), "step %zu: %s, not %s (%s: %s)", i, did,
                  steps[i].expect, acme_state_name(play->flow.state), play->flow.problem.detail);
        if (action == ACME_SEND) {
            cr_assert(steps[i].sent == NULL || strstr(request.payload.data, steps[i].sent) != NULL,
                      "step %zu: %.*s lacks %s", i, SLICE_PRINT(request.payload), steps[i].sent);
            answer_step(play, &steps[i]);
        } else {
            if (steps[i].wait_ms > 0)
                cr_assert(eq(i64, play->flow.wait_ms, steps[i].wait_ms), "step %zu", i);
            acme_flow_resume(&play->flow);
        }
    }
}

static void expect_end(struct play *play, enum acme_action end)
{
    struct acme_request request;
    enum acme_action action = acme_flow_next(&play->flow, &request);
    cr_assert(eq(int, action, end), "%s %s: %s: %s", acme_state_name(play->flow.state),
              request.url != NULL ? request.url : "", acme_class_name(play->flow.problem.class),
              play->flow.problem.detail);
}

static void expect_failure(struct play *play, enum acme_class class, const char *detail)
{
    expect_end(play, ACME_FAILED);
    cr_expect(eq(int, play->flow.problem.class, class), "%s: %s",
              acme_class_name(play->flow.problem.class), play->flow.problem.detail);
    cr_expect(strstr(play->flow.problem.detail, detail) != NULL, "%s", play->flow.problem.detail);
}

#define RUN(PLAY, ...)                             \
    do {                                           \
        const struct step steps[] = {__VA_ARGS__}; \
        run_steps((PLAY), steps, COUNT_OF(steps)); \
    } while (0)

static struct play *new_order_play(void)
{
    struct play *play = new_play();
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    return play;
}

static struct play *new_two_names_play(void)
{
    struct play *play = new_play();
    play->wish.names = TWO_NAMES;
    play->wish.name_count = 2;
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    return play;
}

/* The parts of an order that most cases share. */
#define ORDERED                                                                         \
    {                                                                                   \
        "https://ca/order", 201, ORDER("pending", ""), .location = "https://ca/order/1" \
    }
#define ORDERED_TWO                                                                    \
    {"https://ca/order", 201, ORDER_TWO("pending"), .location = "https://ca/order/1"}, \
        {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")},            \
    {                                                                                  \
        "https://ca/authz/2", 200, AUTHZ("www.example.test", "pending", "pending", "") \
    }
#define AUTHORIZED                                                                   \
    {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")}, {"publish"}, \
    {                                                                                \
        "https://ca/chall/1", 200, "{}", .sent = "{}"                                \
    }
#define READY                                         \
    {                                                 \
        "https://ca/order/1", 200, ORDER("ready", "") \
    }
#define FINALIZED                                                                  \
    {                                                                              \
        "https://ca/fin/1", 200, ORDER("valid", CERTIFICATE), .sent = "\"csr\":\"" \
    }
#define DOWNLOADED              \
    {                           \
        "https://ca/cert/1", -1 \
    }

/* -- Orders -- */

Test(flow, an_order_from_names_to_chain)
{
    struct play *play = new_order_play();
    char text[ACME_KEY_AUTHORIZATION_SIZE];
    RUN(play,
        {"https://ca/order", 201, ORDER("pending", ""), .location = "https://ca/order/1",
         .sent = "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"" NAME "\"}]}"},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")});
    cr_expect(eq(str, play->flow.order_url, "https://ca/order/1"));
    expect_end(play, ACME_PUBLISH);
    cr_assert(eq(sz, play->flow.authorization_count, 1));
    acme_flow_key_authorization(&play->flow, 0, text);
    cr_expect(eq(str, text, "token-1.thumb"));
    RUN(play, {"publish"}, {"https://ca/chall/1", 200, "{}", .sent = "{}"},
        {"https://ca/order/1", 200, ORDER("pending", "")}, {"wait", .wait_ms = 100},
        {"https://ca/order/1", 200, ORDER("pending", "")}, {"wait", .wait_ms = 200}, READY,
        {"https://ca/fin/1", 200, ORDER("processing", ""), .sent = "\"csr\":\""},
        {"wait", .wait_ms = 100}, {"https://ca/order/1", 200, ORDER("valid", CERTIFICATE)},
        DOWNLOADED);
    expect_end(play, ACME_DONE);
    cr_expect(eq(str, play->flow.chain.data, play->certificate.data));
    cr_expect(eq(i64, play->flow.certificate.not_after_s, NOW_S + 86400));
    end_play(play);
}

/* RFC 8738 */
Test(flow, an_address_is_ordered_as_one)
{
    static const struct {
        const char *name, *sent;
    } CASES[] = {
        {"192.0.2.1", "{\"type\":\"ip\",\"value\":\"192.0.2.1\"}"},
        {"2001:db8::1", "{\"type\":\"ip\",\"value\":\"2001:db8::1\"}"},
        {"192.0.2.1.example.test", "{\"type\":\"dns\",\"value\":\"192.0.2.1.example.test\"}"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct play *play = new_play();
        play->wish.names = &CASES[i].name;
        acme_flow_order(&play->flow, &play->directory, &play->wish);
        RUN(play, {"https://ca/order", 201, ORDER("pending", ""), .location = "https://ca/order/1",
                   .sent = CASES[i].sent});
        end_play(play);
    }
}

Test(flow, every_request_of_an_order_is_signed_by_the_account)
{
    struct play *play = new_order_play();
    struct acme_request request;
    cr_assert(eq(int, acme_flow_next(&play->flow, &request), ACME_SEND));
    cr_expect(request.key == play->account_key);
    cr_expect(eq(int, strcmp(request.kid, "https://ca/acct/1"), 0));
    RUN(play, ORDERED);
    cr_assert(eq(int, acme_flow_next(&play->flow, &request), ACME_SEND));
    cr_expect(eq(sz, request.payload.size, 0)); /* POST-as-GET */
    cr_expect(request.key != NULL);
    end_play(play);
}

/* 1. badNonce twice and ten times in a row, at every request. */
Test(flow, bad_nonces_are_survived_at_once)
{
    struct play *play = new_order_play();
    for (int i = 0; i < 10; i++)
        RUN(play, {"https://ca/order", 400, PROBLEM("badNonce")});
    RUN(play, ORDERED, {"https://ca/authz/1", 400, PROBLEM("badNonce")},
        {"https://ca/authz/1", 400, PROBLEM("badNonce")}, AUTHORIZED,
        {"https://ca/order/1", 400, PROBLEM("badNonce")}, READY,
        {"https://ca/fin/1", 400, PROBLEM("badNonce")}, FINALIZED,
        {"https://ca/cert/1", 400, PROBLEM("badNonce")}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, endless_bad_nonces_end)
{
    struct play *play = new_order_play();
    struct acme_request request;
    size_t sent = 0;
    for (enum acme_action action;
         (action = acme_flow_next(&play->flow, &request)) != ACME_FAILED;) {
        cr_assert(lt(sz, sent, 100));
        if (action == ACME_WAIT) {
            acme_flow_resume(&play->flow);
            continue;
        }
        sent++;
        answer_step(play, &(struct step){.status = 400, .body = PROBLEM("badNonce")});
    }
    expect_failure(play, ACME_CLASS_TRANSIENT, "the CA's words");
    end_play(play);
}

/* 2. Rate limits and 503 with HTML. */
Test(flow, a_short_retry_after_is_waited_out)
{
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 429, PROBLEM("rateLimited"), .retry_after = "2"},
        {"wait", .wait_ms = 2000},
        {"https://ca/order", 503, "<html>overloaded</html>", .retry_after = "1"},
        {"wait", .wait_ms = 1000}, {"https://ca/order", 503, "<html>"}, {"wait"},
        {"https://ca/order", 0, ""}, {"wait"}, ORDERED,
        {"https://ca/authz/1", 503, "", .retry_after = "Fri, 15 Jan 2027 08:00:03 GMT"},
        {"wait", .wait_ms = 3000}, AUTHORIZED, READY, FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, a_long_retry_after_is_the_schedulers)
{
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 429, PROBLEM("rateLimited"), .retry_after = "3600"});
    expect_failure(play, ACME_CLASS_RATE_LIMITED, "the CA's words");
    cr_expect(eq(i32, play->flow.problem.retry_after_s, 3600));
    end_play(play);

    play = new_order_play();
    RUN(play, {"https://ca/order", 429, PROBLEM("rateLimited")});
    expect_failure(play, ACME_CLASS_RATE_LIMITED, "the CA's words");
    cr_expect(eq(i32, play->flow.problem.retry_after_s, -1));
    end_play(play);
}

/* Others may get the order that this one waits for; one that has been made is waited for. */
Test(flow, an_order_that_is_put_off_again_and_again_gives_its_place_to_others)
{
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 429, PROBLEM("rateLimited"), .retry_after = "40"},
        {"wait", .wait_ms = 40000},
        {"https://ca/order", 429, PROBLEM("rateLimited"), .retry_after = "40"});
    expect_failure(play, ACME_CLASS_RATE_LIMITED, "the CA's words");
    cr_expect(eq(i32, play->flow.problem.retry_after_s, 40));
    end_play(play);

    play = new_order_play();
    for (size_t i = 0; i < 8; i++)
        RUN(play, {"https://ca/order", 429, PROBLEM("rateLimited"), .retry_after = "2"},
            {"wait", .wait_ms = 2000});
    RUN(play, ORDERED);
    for (size_t i = 0; i < 3; i++)
        RUN(play, {"https://ca/authz/1", 429, PROBLEM("rateLimited"), .retry_after = "40"},
            {"wait", .wait_ms = 40000});
    RUN(play, AUTHORIZED, READY, FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

/* A proxy before the CA, which is being started, or takes us for somebody else for a moment. */
Test(flow, a_refusal_that_is_not_the_cas_word_costs_no_order)
{
    static const char html[] = "<html>404</html>";
    struct play *play = new_play();
    play->wish.replaces = "id.before";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/order", 403, html}, {"wait"},
        {"https://ca/order", 201, ORDER("pending", ""), .location = "https://ca/order/1",
         .sent = "\"replaces\":\"id.before\""},
        {"https://ca/authz/1", 404, html}, {"wait"},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")}, {"publish"},
        {"https://ca/chall/1", 403, html}, {"wait"}, {"https://ca/chall/1", 200, "{}"},
        {"https://ca/order/1", 404, html}, {"wait"}, READY, {"https://ca/fin/1", 403, html},
        {"wait"}, FINALIZED, {"https://ca/cert/1", 404, html}, {"wait"}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);

    play = new_play();
    play->wish.order_url = "https://ca/order/1";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/order/1", 404, html}, {"wait"}, READY, FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

/* How many requests are sent until all is over, each of which is answered so. */
static size_t count_sent(struct play *play, const struct step *step)
{
    struct acme_request request;
    enum acme_action action;
    size_t sent = 0;
    while ((action = acme_flow_next(&play->flow, &request)) != ACME_FAILED) {
        cr_assert(lt(sz, sent, 100));
        cr_assert(ne(int, action, ACME_DONE));
        if (action == ACME_SEND) {
            answer_step(play, step);
            sent++;
        } else {
            acme_flow_resume(&play->flow);
        }
    }
    return sent;
}

Test(flow, a_refusal_that_is_not_the_cas_word_and_stays_ends_the_order)
{
    static const struct step REFUSED = {.status = 403, .body = "<html>403</html>"};
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY);
    cr_expect(eq(sz, count_sent(play, &REFUSED), 9));
    expect_failure(play, ACME_CLASS_ORDER_GONE, "403");
    cr_expect(eq(str, play->flow.order_url, ""));
    end_play(play);

    play = new_order_play();
    cr_expect(eq(sz, count_sent(play, &REFUSED), 9));
    expect_failure(play, ACME_CLASS_BAD_ANSWER, "403");
    end_play(play);
}

Test(flow, a_paused_name_needs_a_person)
{
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 429,
               "{\"type\":\"" URN "rateLimited\",\"detail\":\"paused: visit "
               "https://ca/unpause?jwt=1.\"}",
               .retry_after = "10"});
    expect_failure(play, ACME_CLASS_PERSON, "paused");
    cr_expect(eq(str, play->flow.problem.url, "https://ca/unpause?jwt=1"));
    end_play(play);
}

Test(flow, a_ca_that_is_down_ends_the_attempt_and_keeps_the_order)
{
    struct play *play = new_order_play();
    struct acme_request request;
    int64_t waited_ms = 0;
    RUN(play, ORDERED);
    for (enum acme_action action;
         (action = acme_flow_next(&play->flow, &request)) != ACME_FAILED;) {
        if (action == ACME_WAIT) {
            waited_ms += play->flow.wait_ms;
            acme_flow_resume(&play->flow);
        } else {
            answer_step(play, &(struct step){.status = 0});
        }
        cr_assert(lt(i64, waited_ms, 600000));
    }
    cr_expect(ge(i64, waited_ms, 30000));
    expect_failure(play, ACME_CLASS_TRANSIENT, "no answer");
    cr_expect(eq(str, play->flow.order_url, "https://ca/order/1"));
    end_play(play);
}

/* 3. The account. */
Test(flow, an_account_that_is_gone_is_told)
{
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 400, PROBLEM("accountDoesNotExist")});
    expect_failure(play, ACME_CLASS_ACCOUNT_GONE, "");
    end_play(play);
    play = new_order_play();
    RUN(play, {"https://ca/order", 403, PROBLEM("unauthorized")}); /* deactivated */
    expect_failure(play, ACME_CLASS_ACCOUNT_GONE, "");
    end_play(play);
    play = new_order_play();
    RUN(play, {"https://ca/order", 403,
               "{\"type\":\"" URN "userActionRequired\",\"instance\":\"https://ca/tos\"}"});
    expect_failure(play, ACME_CLASS_PERSON, "");
    cr_expect(eq(str, play->flow.problem.url, "https://ca/tos"));
    end_play(play);
}

/* Its key was changed elsewhere, so that what we sign is nonsense to the CA. */
Test(flow, a_key_that_is_not_the_accounts_any_more)
{
    static const struct {
        struct step check;
        enum acme_class class;
    } CASES[] = {
        {{"https://ca/acct", 400, PROBLEM("accountDoesNotExist"),
          .sent = "{\"onlyReturnExisting\":true}"},
         ACME_CLASS_ACCOUNT_GONE},
        {{"https://ca/acct", 200, "{}", .location = "https://ca/acct/2"}, ACME_CLASS_ACCOUNT_GONE},
        /* The account is as it was: it is the order. */
        {{"https://ca/acct", 200, "{}", .location = "https://ca/acct/1"}, ACME_CLASS_REFUSED},
        {{"https://ca/acct", 400, PROBLEM("malformed")}, ACME_CLASS_REFUSED},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct play *play = new_order_play();
        RUN(play, {"https://ca/order", 400, PROBLEM("malformed")});
        run_steps(play, &CASES[i].check, 1);
        expect_failure(play, CASES[i].class, "the CA's words");
        end_play(play);
    }
    /* What names a name of the order is about that. */
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 400,
               "{\"type\":\"" URN "malformed\",\"detail\":\"" NAME " is no name\"}"});
    expect_failure(play, ACME_CLASS_REFUSED, "is no name");
    end_play(play);
}

/* 4. Orders that are ahead. */
Test(flow, an_order_that_is_ready_or_valid_at_once)
{
    struct play *play = new_order_play();
    RUN(play,
        {"https://ca/order", 201,
         "{\"status\":\"ready\",\"authorizations\":[],\"finalize\":\"https://ca/fin/1\"}",
         .location = "https://ca/order/1"},
        FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);

    play = new_order_play();
    RUN(play,
        {"https://ca/order", 200, "{\"status\":\"valid\"" CERTIFICATE "}",
         .location = "https://ca/order/1"},
        DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, a_pending_order_without_authorizations_is_polled)
{
    struct play *play = new_order_play();
    RUN(play,
        {"https://ca/order", 201,
         "{\"status\":\"pending\",\"authorizations\":[],\"finalize\":\"https://ca/fin/1\"}",
         .location = "https://ca/order/1"},
        {"wait"}, READY, FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, authorizations_that_are_valid_already_cost_no_challenge)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, {"https://ca/authz/1", 200, AUTHZ(NAME, "valid", "valid", "")}, READY,
        FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    cr_expect(eq(str, play->flow.authorizations[0].token, ""));
    end_play(play);
}

Test(flow, the_same_name_twice_is_done_twice)
{
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 201, ORDER_TWO("pending"), .location = "https://ca/order/1"},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")},
        {"https://ca/authz/2", 200, AUTHZ("CHAT.example.test", "pending", "pending", "")},
        {"publish"}, {"https://ca/chall/1", 200, "{}"}, {"https://ca/chall/1", 200, "{}"}, READY,
        FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    cr_expect(eq(str, play->flow.authorizations[1].name, NAME));
    end_play(play);
}

Test(flow, a_wildcard_has_no_http_challenge)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED,
        {"https://ca/authz/1", 200,
         "{\"status\":\"pending\",\"wildcard\":true,\"identifier\":{\"value\":\"example.test\"},"
         "\"challenges\":[{\"type\":\"dns-01\",\"url\":\"https://ca/d\",\"token\":\"dd\"}]}"});
    expect_failure(play, ACME_CLASS_REFUSED, "no http-01 challenge for a wildcard");
    /* Not to be taken for the name beneath it (RFC 8555 7.1.3), which may be in the same order. */
    cr_expect(eq(str, play->flow.failures[0].name, "*.example.test"));
    end_play(play);
}

/* 5. Challenges. */
Test(flow, a_challenge_in_processing_is_published_again)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "processing", "")},
        {"publish"}, {"https://ca/chall/1", 400, PROBLEM("malformed")},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "valid", "valid", "")}, READY, FINALIZED,
        DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, a_challenge_that_is_refused_for_good_does_not_hang)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")},
        {"publish"}, {"https://ca/chall/1", 403, PROBLEM("unauthorized")},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")});
    expect_failure(play, ACME_CLASS_ORDER_GONE, "the CA's words");
    end_play(play);
}

Test(flow, a_name_that_fails_is_told_with_the_cas_words)
{
    struct play *play = new_two_names_play();
    RUN(play, ORDERED_TWO, {"publish"}, {"https://ca/chall/1", 200, "{}"},
        {"https://ca/chall/1", 200, "{}"}, {"https://ca/order/1", 200, ORDER_TWO("invalid")},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "valid", "valid", "")},
        {"https://ca/authz/2", 200,
         AUTHZ("www.example.test", "invalid", "invalid",
               ",\"error\":{\"type\":\"" URN "dns\",\"detail\":\"NXDOMAIN\"}")});
    expect_failure(play, ACME_CLASS_VALIDATION, "www.example.test: NXDOMAIN");
    cr_assert(eq(sz, play->flow.failure_count, 1));
    cr_expect(eq(str, play->flow.failures[0].name, "www.example.test"));
    cr_expect(eq(str, play->flow.failures[0].problem.type, "dns"));
    cr_expect(eq(str, play->flow.order_url, "")); /* of no more use */
    end_play(play);
}

/* Some CAs write out what others leave out. */
Test(flow, an_error_that_is_null_is_none)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")},
        {"publish"}, {"https://ca/chall/1", 200, "{\"status\":\"pending\",\"error\":null}"});
    cr_expect_not(play->flow.challenge_unseen);
    RUN(play, {"https://ca/order/1", 200, ORDER("invalid", ",\"error\":null")},
        {"https://ca/authz/1", 200,
         "{\"status\":\"invalid\",\"identifier\":{\"type\":\"dns\",\"value\":\"" NAME "\"},"
         "\"challenges\":[{\"type\":\"dns-01\",\"error\":null},"
         "{\"type\":\"http-01\",\"error\":{\"detail\":\"got 404\"}}]}"});
    expect_failure(play, ACME_CLASS_VALIDATION, NAME ": got 404");
    end_play(play);

    play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY,
        {"https://ca/fin/1", 200, ORDER("invalid", ",\"error\":null")});
    expect_failure(play, ACME_CLASS_ORDER_GONE, "invalid");
    end_play(play);
}

Test(flow, an_unauthorized_challenge_is_about_the_way_not_the_account)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, {"https://ca/order/1", 200, ORDER("invalid", "")},
        {"https://ca/authz/1", 200,
         AUTHZ(NAME, "invalid", "invalid",
               ",\"error\":{\"type\":\"" URN "unauthorized\",\"detail\":\"got 404\"}")});
    expect_failure(play, ACME_CLASS_VALIDATION, "got 404");
    end_play(play);
}

/* step-ca looks once, while it answers, and leaves what it could not see pending, with an error.
 * Only another POST makes it look again (RFC 8555 8.2), which is the next order's. */
#define CHALLENGE_UNSEEN                                                      \
    "{\"type\":\"http-01\",\"status\":\"pending\",\"error\":{\"type\":\"" URN \
    "connection\",\"detail\":\"no route\"}}"

static void poll_for_ten_seconds(struct play *play)
{
    static const struct step POLL[] = {{"https://ca/order/1", 200, ORDER_TWO("pending")}, {"wait"}};
    for (int64_t waited_ms = 0; waited_ms < 10000;) {
        run_steps(play, &POLL[0], 1);
        waited_ms += play->flow.wait_ms;
        run_steps(play, &POLL[1], 1);
    }
}

static struct play *new_unseen_play(void)
{
    struct play *play = new_two_names_play();
    RUN(play, ORDERED_TWO, {"publish"}, {"https://ca/chall/1", 200, "{\"status\":\"valid\"}"},
        {"https://ca/chall/1", 200, CHALLENGE_UNSEEN});
    return play;
}

Test(flow, a_challenge_that_is_left_pending_with_an_error_has_failed)
{
    struct play *play = new_unseen_play();
    poll_for_ten_seconds(play);
    RUN(play, {"https://ca/order/1", 200, ORDER_TWO("pending")},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "valid", "valid", "")},
        {"https://ca/authz/2", 200,
         AUTHZ("www.example.test", "pending", "pending",
               ",\"error\":{\"type\":\"" URN "connection\",\"detail\":\"no route\"}")});
    expect_failure(play, ACME_CLASS_VALIDATION, "www.example.test: no route");
    cr_expect(eq(sz, play->flow.failure_count, 1));
    end_play(play);

    play = new_unseen_play(); /* it does look again by itself, and takes its time */
    poll_for_ten_seconds(play);
    RUN(play, {"https://ca/order/1", 200, ORDER_TWO("pending")},
        {"https://ca/authz/1", 200, AUTHZ(NAME, "valid", "valid", "")},
        {"https://ca/authz/2", 200, AUTHZ("www.example.test", "pending", "processing", "")},
        {"https://ca/order/1", 200, ORDER_TWO("pending")}, {"wait"},
        {"https://ca/order/1", 200, ORDER_TWO("pending")}, {"wait"}, READY, FINALIZED);
    end_play(play);
}

/* It is the name's, which is left out of the next order, and no reason to ask the CA later. */
Test(flow, whatever_a_challenge_has_failed_of_is_about_the_way)
{
#define FAILED_OF(TYPE) \
    AUTHZ(NAME, "invalid", "invalid", ",\"error\":{\"type\":\"" URN TYPE "\",\"status\":500}")
    static const char *const BODIES[] = {
        FAILED_OF("rateLimited"), FAILED_OF("serverInternal"),
        FAILED_OF("rejectedIdentifier"), /* step-ca, of another answer than it expects */
        FAILED_OF("malformed")};
    for (size_t i = 0; i < COUNT_OF(BODIES); i++) {
        struct play *play = new_order_play();
        RUN(play, ORDERED, AUTHORIZED, {"https://ca/order/1", 200, ORDER("invalid", "")},
            {"https://ca/authz/1", 200, BODIES[i]});
        expect_failure(play, ACME_CLASS_VALIDATION, NAME);
        cr_expect(eq(sz, play->flow.failure_count, 1));
        end_play(play);
    }
}

Test(flow, a_caa_record_is_for_good)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, {"https://ca/order/1", 200, ORDER("invalid", "")},
        {"https://ca/authz/1", 200,
         AUTHZ(NAME, "invalid", "invalid",
               ",\"error\":{\"type\":\"" URN "caa\",\"detail\":\"CAA forbids\"}")});
    expect_failure(play, ACME_CLASS_REFUSED, "CAA forbids");
    end_play(play);
}

Test(flow, authorizations_that_are_over_want_a_new_order)
{
    static const char *const OVER[] = {AUTHZ(NAME, "deactivated", "pending", ""),
                                       AUTHZ(NAME, "expired", "pending", ""),
                                       AUTHZ(NAME, "revoked", "valid", "")};
    for (size_t i = 0; i < COUNT_OF(OVER); i++) {
        struct play *play = new_order_play();
        RUN(play, ORDERED, {"https://ca/authz/1", 200, OVER[i]});
        expect_failure(play, ACME_CLASS_ORDER_GONE, "the authorization is");
        end_play(play);
    }
}

Test(flow, an_order_that_expired_while_we_slept_is_begun_anew)
{
    static const struct step GONE[] = {
        {"https://ca/order/9", 404, PROBLEM("malformed")},
        {"https://ca/order/9", 403, PROBLEM("unauthorized")},
        {"https://ca/order/9", 200, ORDER("invalid", "")},
    };
    for (size_t i = 0; i < COUNT_OF(GONE); i++) {
        struct play *play = new_play();
        play->wish.order_url = "https://ca/order/9";
        acme_flow_order(&play->flow, &play->directory, &play->wish);
        run_steps(play, &GONE[i], 1);
        cr_expect(eq(str, play->flow.order_url, "")); /* not to be resumed again */
        RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED, DOWNLOADED);
        expect_end(play, ACME_DONE);
        end_play(play);
    }
}

Test(flow, a_crash_resumes_where_the_order_stands)
{
    struct play *play = new_play();
    play->wish.order_url = "https://ca/order/1";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/order/1", 200, ORDER("pending", "")}, AUTHORIZED, READY, FINALIZED,
        DOWNLOADED);
    expect_end(play, ACME_DONE);
    acme_flow_fini(&play->flow);
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/order/1", 200, ORDER("valid", CERTIFICATE)}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    acme_flow_fini(&play->flow);
    play->wish.order_url = "http://not.https/1";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, ORDERED);
    end_play(play);
}

#define IDENTIFIED(STATUS, HOST)                                                              \
    "{\"status\":\"" STATUS "\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"" HOST "\"}]," \
    "\"authorizations\":[\"https://ca/authz/1\"],\"finalize\":\"https://ca/fin/1\"}"

/* The process died between the order and its URL: the account's list has it. */
Test(flow, an_order_whose_url_was_lost_is_found_again)
{
    struct play *play = new_play();
    play->wish.may_exist = true;
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/acct/1", 200, "{\"orders\":\"https://ca/orders/1\"}", .sent = ""},
        {"https://ca/orders/1", 200, "{\"orders\":[\"https://ca/order/8\",\"https://ca/order/7\"]}",
         .link = "<https://ca/orders/1?page=2>;rel=\"next\""},
        {"https://ca/orders/1?page=2", 200,
         "{\"orders\":[\"https://ca/order/1\",\"http://x/\",\"https://ca/order/2\","
         "\"https://ca/order/3\",\"https://ca/order/4\",\"https://ca/order/5\"]}"});
    cr_expect(eq(str, play->flow.order_url, "")); /* nothing to be written down yet */
    /* The newest first: of one name more, gone, somebody else's, done long ago, and then ours. */
    RUN(play,
        {"https://ca/order/5", 200,
         IDENTIFIED("pending", NAME "\"},{\"type\":\"dns\",\"value\":\"more.example.test")},
        {"https://ca/order/4", 404, PROBLEM("malformed")},
        {"https://ca/order/3", 200, IDENTIFIED("pending", "other.example.com")},
        {"https://ca/order/2", 200, IDENTIFIED("valid", NAME)},
        {"https://ca/order/1", 200, IDENTIFIED("pending", NAME)});
    cr_expect(eq(str, play->flow.order_url, "https://ca/order/1"));
    RUN(play, AUTHORIZED, READY, FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, a_search_that_finds_nothing_is_no_hindrance)
{
#define ACCOUNT                                                          \
    {                                                                    \
        "https://ca/acct/1", 200, "{\"orders\":\"https://ca/orders/1\"}" \
    }
    static const struct step SEARCHES[][3] = {
        {{"https://ca/acct/1", 200, "{\"status\":\"valid\"}"}}, /* as Let's Encrypt has it */
        {{"https://ca/acct/1", 404, PROBLEM("malformed")}},
        {{"https://ca/acct/1", 200, "{\"orders\":\"http://not.https/\"}"}},
        {ACCOUNT, {"https://ca/orders/1", 404, PROBLEM("malformed")}},
        {ACCOUNT, {"https://ca/orders/1", 200, "<html>"}},
        {ACCOUNT,
         {"https://ca/orders/1", 200, "{\"orders\":[]}", .link = "<https://ca/x>;rel=\"up\""}},
        {ACCOUNT,
         {"https://ca/orders/1", 200, "{\"orders\":[\"https://ca/order/5\"]}"},
         {"https://ca/order/5", 200, IDENTIFIED("pending", "other.example.com")}},
        {ACCOUNT,
         {"https://ca/orders/1", 200, "{\"orders\":[\"https://ca/order/5\"]}"},
         {"https://ca/order/5", 200, IDENTIFIED("invalid", NAME)}},
    };
    for (size_t i = 0; i < COUNT_OF(SEARCHES); i++) {
        struct play *play = new_play();
        size_t count = 0;
        while (count < COUNT_OF(SEARCHES[i]) && SEARCHES[i][count].expect != NULL)
            count++;
        play->wish.may_exist = true;
        acme_flow_order(&play->flow, &play->directory, &play->wish);
        run_steps(play, SEARCHES[i], count);
        RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED, DOWNLOADED);
        expect_end(play, ACME_DONE);
        end_play(play);
    }
#undef ACCOUNT
}

/* A list without an end, or of orders that are all alike but for one name, is left alone. */
Test(flow, a_search_ends)
{
    struct play *play = new_play();
    play->wish.may_exist = true;
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/acct/1", 200, "{\"orders\":\"https://ca/orders/1\"}"});
    for (int i = 0; i < 200; i++)
        RUN(play, {"https://ca/orders/1", 200, "{\"orders\":[\"https://ca/order/5\"]}",
                   .link = "<https://ca/orders/1>;rel=\"next\""});
    for (int i = 0; i < 20; i++)
        RUN(play, {"https://ca/order/5", 200, IDENTIFIED("pending", "other.example.com")});
    RUN(play, ORDERED);
    end_play(play);
}

Test(flow, a_new_order_that_is_invalid_at_once_is_not_ordered_again)
{
    static const struct step GONE = {"https://ca/order/9", 200, ORDER("invalid", "")};
    for (size_t i = 0; i < 2; i++) {
        struct play *play = new_play();
        play->wish.order_url =
            i == 0 ? "" : "https://ca/order/9"; /* nothing to resume; one that died */
        acme_flow_order(&play->flow, &play->directory, &play->wish);
        run_steps(play, &GONE, i);
        RUN(play,
            {"https://ca/order", 201, ORDER("invalid", ",\"error\":" PROBLEM("caa")),
             .location = "https://ca/order/1"},
            {"https://ca/authz/1", 200, AUTHZ(NAME, "pending", "pending", "")});
        expect_failure(play, ACME_CLASS_ORDER_GONE, "");
        end_play(play);
    }
}

/* What is finalized is that order, never the one that was to be resumed. */
Test(flow, nothing_of_an_order_that_died_is_used_for_the_next)
{
    struct play *play = new_play();
    play->wish.order_url = "https://ca/order/9";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/order/9", 200, ORDER("invalid", "")},
        {"https://ca/order", 201, "{\"status\":\"ready\",\"authorizations\":[]}",
         .location = "https://ca/order/1"},
        {"wait"}, READY, FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

/* 6. Finalizing. */
Test(flow, a_finalize_whose_answer_was_lost)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 0, ""}, {"wait"},
        {"https://ca/fin/1", 403, PROBLEM("orderNotReady")},
        {"https://ca/order/1", 200, ORDER("valid", CERTIFICATE)}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

/* Not every CA says it by that name: what became of the request that was lost is read. */
Test(flow, a_finalize_whose_answer_was_lost_and_which_is_refused_then)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 504, "<html>"}, {"wait"},
        {"https://ca/fin/1", 400, PROBLEM("malformed")},
        {"https://ca/order/1", 200, ORDER("processing", "")}, {"wait"},
        {"https://ca/order/1", 200, ORDER("valid", CERTIFICATE)}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);

    play = new_order_play(); /* it was not taken, and is wrong indeed */
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 504, "<html>"}, {"wait"},
        {"https://ca/fin/1", 400, PROBLEM("badCSR")}, READY,
        {"https://ca/fin/1", 400, PROBLEM("badCSR")});
    expect_failure(play, ACME_CLASS_ORDER_GONE, "the CA's words");
    end_play(play);
}

/* Whatever part of it the CA knows no more: another order may do, and soon. */
Test(flow, an_order_of_which_a_part_has_gone)
{
    static const struct step BEFORE[] = {ORDERED, AUTHORIZED, READY, FINALIZED};
    static const struct {
        size_t before;
        struct step gone;
    } CASES[] = {{1, {"https://ca/authz/1", 404, PROBLEM("malformed")}},
                 {4, {"https://ca/order/1", 404, PROBLEM("malformed")}},
                 {5, {"https://ca/fin/1", 404, PROBLEM("malformed")}},
                 {6, {"https://ca/cert/1", 404, PROBLEM("malformed")}}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct play *play = new_order_play();
        run_steps(play, BEFORE, CASES[i].before);
        run_steps(play, &CASES[i].gone, 1);
        expect_failure(play, ACME_CLASS_ORDER_GONE, "the CA's words");
        cr_expect(eq(str, play->flow.order_url, ""));
        end_play(play);
    }
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, {"https://ca/order/1", 200, ORDER("invalid", "")},
        {"https://ca/authz/1", 404, PROBLEM("malformed")});
    expect_failure(play, ACME_CLASS_ORDER_GONE, "the CA's words");
    end_play(play);
}

/* It has the request: what became of it is read, and not finalized twice. */
Test(flow, a_finalize_whose_answer_is_no_order)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 200, ""}, {"wait"},
        {"https://ca/order/1", 200, ORDER("valid", CERTIFICATE)}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

/* A CA that goes on saying so is not asked as fast as it answers. */
Test(flow, finalizing_in_vain_ends)
{
    static const struct step VAIN[] = {
        {"https://ca/fin/1", 200, ORDER("ready", "")},
        {"https://ca/fin/1", 403, PROBLEM("orderNotReady")},
    };
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY);
    for (int i = 0; i < 4; i++)
        run_steps(play, &VAIN[0], 1);
    expect_end(play, ACME_WAIT);
    end_play(play);

    play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY);
    for (int i = 0; i < 3; i++) {
        run_steps(play, &VAIN[1], 1);
        RUN(play, READY);
    }
    run_steps(play, &VAIN[1], 1);
    expect_failure(play, ACME_CLASS_ORDER_GONE, "the CA's words");
    end_play(play);
}

/* Each request has its own tries: a CA that stumbles at all of them is not given up. */
Test(flow, every_request_may_fail_some_times)
{
    static const struct step DOWN = {NULL, 503, "later"};
    static const struct step STEPS[] = {ORDERED, AUTHORIZED, READY, FINALIZED, DOWNLOADED};
    struct play *play = new_order_play();
    for (size_t i = 0; i < COUNT_OF(STEPS); i++) {
        for (int k = 0; k < 3 && STEPS[i].status != 0; k++) {
            struct step down = DOWN;
            down.expect = STEPS[i].expect;
            run_steps(play, &down, 1);
            RUN(play, {"wait"});
        }
        run_steps(play, &STEPS[i], 1);
    }
    expect_end(play, ACME_DONE);
    end_play(play);
}

/* From outside: what was waited for is over, too. Our own trouble costs no order. */
Test(flow, an_end_from_outside_is_one)
{
    struct play *play = new_order_play();
    struct acme_problem problem;
    acme_problem_set(&problem, ACME_CLASS_LOCAL, "no port");
    RUN(play, ORDERED, {"https://ca/authz/1", 503, "later"});
    expect_end(play, ACME_WAIT);
    acme_flow_end(&play->flow, &problem);
    expect_failure(play, ACME_CLASS_LOCAL, "no port");
    cr_expect(eq(str, play->flow.order_url, "https://ca/order/1"));
    end_play(play);
}

Test(flow, an_order_in_processing_for_minutes)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 200, ORDER("processing", "")});
    for (int i = 0; i < 30; i++)
        RUN(play, {"wait", .wait_ms = i < 7 ? 100 << i : 10000},
            {"https://ca/order/1", 200, ORDER("processing", "")});
    RUN(play, {"wait", .wait_ms = 10000},
        {"https://ca/order/1", 200, ORDER("processing", ""), .retry_after = "0"},
        {"wait", .wait_ms = 10000},
        {"https://ca/order/1", 200, ORDER("processing", ""), .retry_after = "3"},
        {"wait", .wait_ms = 3000},
        {"https://ca/order/1", 200, ORDER("processing", ""), .retry_after = "86400"},
        {"wait", .wait_ms = 300000}, {"https://ca/order/1", 200, ORDER("valid", CERTIFICATE)},
        DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, an_order_stuck_in_processing_is_left_for_later)
{
    struct play *play = new_order_play();
    struct acme_request request;
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 200, ORDER("processing", "")});
    for (size_t i = 0; i < 1000; i++) {
        enum acme_action action = acme_flow_next(&play->flow, &request);
        if (action == ACME_FAILED)
            break;
        if (action == ACME_WAIT)
            acme_flow_resume(&play->flow);
        else
            answer_step(play, &(struct step){.status = 200, .body = ORDER("processing", "")});
    }
    expect_failure(play, ACME_CLASS_TRANSIENT, "waiting for the CA");
    cr_expect(eq(str, play->flow.order_url, "https://ca/order/1"));
    end_play(play);
}

Test(flow, a_valid_order_without_its_certificate_is_polled)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 200, ORDER("valid", "")}, {"wait"},
        {"https://ca/order/1", 200, ORDER("valid", ",\"certificate\":\"http://ca/c\"")}, {"wait"},
        {"https://ca/order/1", 200, ORDER("valid", CERTIFICATE)}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, a_csr_that_is_refused)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 400, PROBLEM("badCSR")});
    expect_failure(play, ACME_CLASS_ORDER_GONE, "the CA's words");
    end_play(play);
}

Test(flow, an_order_that_dies_in_finalization_tells_why)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 200, ORDER("processing", "")},
        {"wait"}, {"https://ca/order/1", 200, ORDER("invalid", ",\"error\":" PROBLEM("caa"))});
    expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
    end_play(play);
}

/* Of several names the order tells which it was. */
Test(flow, an_order_that_dies_names_those_that_it_died_of)
{
    struct play *play = new_two_names_play();
    RUN(play, ORDERED, AUTHORIZED, READY, {"https://ca/fin/1", 200, ORDER("processing", "")},
        {"wait"},
        {"https://ca/order/1", 200,
         ORDER("invalid",
               ",\"error\":{\"type\":\"" URN "compound\",\"subproblems\":[{\"type\":\"" URN
               "caa\",\"detail\":\"no\",\"identifier\":{\"value\":\"www.example.test\"}}]}")});
    expect_failure(play, ACME_CLASS_REFUSED, "www.example.test: no");
    cr_assert(eq(sz, play->flow.failure_count, 1));
    cr_expect(eq(str, play->flow.failures[0].name, "www.example.test"));
    end_play(play);
}

/* 7. Downloads. Each is asked for again, and in the end refused. */
static void expect_bad_download(struct play *play, const char *body, const char *reason)
{
    struct acme_request request;
    RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED, {"https://ca/cert/1", 200, body}, {"wait"});
    for (size_t i = 0; i < 50; i++) {
        enum acme_action action = acme_flow_next(&play->flow, &request);
        if (action == ACME_FAILED)
            break;
        if (action == ACME_WAIT)
            acme_flow_resume(&play->flow);
        else
            answer_step(play, &(struct step){.status = 200, .body = body});
    }
    expect_failure(play, ACME_CLASS_BAD_ANSWER, reason);
    cr_expect(eq(ptr, play->flow.chain.data, NULL));
    end_play(play);
}

Test(flow, downloads_that_are_no_certificate)
{
    struct play *play = new_order_play();
    char *half = strndup(play->certificate.data, play->certificate.size / 2);
    expect_bad_download(play, half, "cannot read a certificate");
    expect_bad_download(new_order_play(), "<html>login</html>", "there is no certificate");
    expect_bad_download(new_order_play(), "", "there is no certificate");
    free(half);
}

static void make_chain(struct play *play, const char *name, int64_t from_s, int64_t to_s)
{
    bytes_free(&play->certificate);
    cr_assert(eq(int, crypto_self_signed(play->key, name, from_s, to_s, &play->certificate, NULL),
                 ERROR_OK));
}

Test(flow, downloads_of_a_wrong_certificate)
{
    struct play *play = new_order_play();
    make_chain(play, "other.example.test", NOW_S - 100, NOW_S + 100);
    char *body = strdup(play->certificate.data);
    expect_bad_download(play, body, "the certificate is not for " NAME);
    free(body);

    play = new_order_play();
    make_chain(play, NAME, NOW_S + 7200, NOW_S + 86400);
    body = strdup(play->certificate.data);
    expect_bad_download(play, body, "not valid yet");
    free(body);

    play = new_order_play(); /* our clock is a little behind */
    make_chain(play, NAME, NOW_S + 120, NOW_S + 86400);
    RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);

    play = new_order_play();
    make_chain(play, NAME, NOW_S - 7200, NOW_S);
    body = strdup(play->certificate.data);
    expect_bad_download(play, body, "has expired");
    free(body);

    play = new_two_names_play();
    body = strdup(play->certificate.data);
    expect_bad_download(play, body, "the certificate is not for www.example.test");
    free(body);

    struct play *other = new_order_play();
    expect_bad_download(new_order_play(), other->certificate.data, "belongs to the private key");
    end_play(other);
}

Test(flow, a_download_that_was_cut_is_fetched_again)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED, {"https://ca/cert/1", 200, "-----BEGIN CERT"},
        {"wait"}, DOWNLOADED);
    expect_end(play, ACME_DONE);
    end_play(play);
}

static char *load(const char *name)
{
    char path[512], text[8192];
    snprintf(path, sizeof(path), "%s/vectors/acme/%s", TEST_DATA_DIR, name);
    FILE *file = fopen(path, "r");
    cr_assert(ne(ptr, file, NULL), "%s", path);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return strdup(text);
}

static struct play *new_vector_play(char **leaf, char **longer)
{
    struct play *play = new_play();
    char *key = load("leaf.key"), *intermediate = load("intermediate.pem");
    crypto_key_free(play->key);
    cr_assert(eq(int, crypto_key_from_pem(slice_of(key), &play->key, NULL), ERROR_OK));
    *leaf = load("leaf.pem");
    *longer = memory_format("%s\n\n%s", *leaf, intermediate);
    free(key);
    free(intermediate);
    play->wish.key = play->key;
    play->wish.preferred_chain = "Vector Root";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    return play;
}

Test(flow, the_preferred_chain_is_found_among_the_alternates)
{
    char *leaf, *longer;
    struct play *play = new_vector_play(&leaf, &longer);
    play->flow.order.preferred_chain = "vector root"; /* names differ in case, and are the same */
    RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED,
        {"https://ca/cert/1", 200, leaf, .link = "<https://ca/cert/1/1>;rel=\"alternate\""},
        {"https://ca/cert/1/1", 200, longer});
    expect_end(play, ACME_DONE);
    cr_expect(eq(sz, play->flow.certificate.chain_count, 2));
    cr_expect(eq(str, play->flow.certificate.root, "Vector Root"));
    end_play(play);
    free(leaf);
    free(longer);
}

Test(flow, a_preferred_chain_that_is_the_cas_own_has_no_alternate)
{
    char *leaf, *longer;
    struct play *play = new_vector_play(&leaf, &longer);
    RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED,
        {"https://ca/cert/1", 200, longer, .link = "<https://ca/cert/1/1>;rel=\"alternate\""});
    expect_end(play, ACME_DONE);
    end_play(play);
    free(leaf);
    free(longer);
}

Test(flow, another_alternate_is_not_taken_for_the_preferred_chain)
{
    char *leaf, *longer;
    struct play *play = new_vector_play(&leaf, &longer);
    play->flow.order.preferred_chain = "Some Other Root";
    RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED,
        {"https://ca/cert/1", 200, leaf, .link = "<https://ca/cert/1/1>;rel=\"alternate\""},
        {"https://ca/cert/1/1", 200, longer});
    expect_end(play, ACME_DONE);
    cr_expect(eq(sz, play->flow.certificate.chain_count, 1));
    end_play(play);
    free(leaf);
    free(longer);
}

Test(flow, an_alternate_that_fails_leaves_the_default_chain)
{
    static const struct step BROKEN[] = {{"https://ca/cert/1/1", 404, "gone"},
                                         {"https://ca/cert/1/1", 200, "<html>"}};
    char *leaf, *longer;
    for (size_t i = 0; i < COUNT_OF(BROKEN); i++) {
        struct play *play = new_vector_play(&leaf, &longer);
        RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED,
            {"https://ca/cert/1", 200, leaf, .link = "<https://ca/cert/1/1>;rel=\"alternate\""});
        run_steps(play, &BROKEN[i], 1);
        expect_end(play, ACME_DONE);
        cr_expect(eq(sz, play->flow.certificate.chain_count, 1));
        end_play(play);
        free(leaf);
        free(longer);
    }
}

Test(flow, a_link_that_is_no_alternate_is_not_followed)
{
    static const char *const LINKS[] = {"<https://ca/dir>;rel=\"index\"",
                                        "<http://ca/1>;rel=\"alternate\"", "https://x", "<", ""};
    char *leaf, *longer;
    for (size_t i = 0; i < COUNT_OF(LINKS); i++) {
        struct play *play = new_vector_play(&leaf, &longer);
        RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED,
            {"https://ca/cert/1", 200, leaf, .link = LINKS[i]});
        expect_end(play, ACME_DONE);
        end_play(play);
        free(leaf);
        free(longer);
    }
}

/* 8. Renewal information and `replaces`. */
Test(flow, replaces_is_dropped_once_when_the_ca_minds)
{
    static const struct step MINDS[] = {
        {"https://ca/order", 409, PROBLEM("alreadyReplaced"),
         .sent = "\"replaces\":\"aki.serial\""},
        {"https://ca/order", 403, PROBLEM("unauthorized"), .sent = "\"replaces\":\"aki.serial\""},
        {"https://ca/order", 400, PROBLEM("malformed"), .sent = "\"replaces\":\"aki.serial\""},
    };
    for (size_t i = 0; i < COUNT_OF(MINDS); i++) {
        struct play *play = new_play();
        play->wish.replaces = "aki.serial";
        acme_flow_order(&play->flow, &play->directory, &play->wish);
        run_steps(play, &MINDS[i], 1);
        RUN(play,
            {"https://ca/order", 201, ORDER("ready", ""), .location = "https://ca/order/1",
             .sent = "}]}"},
            FINALIZED, DOWNLOADED);
        expect_end(play, ACME_DONE);
        cr_expect(play->flow.replaces_dropped);
        end_play(play);

        play = new_play();
        play->wish.replaces = "aki.serial";
        acme_flow_order(&play->flow, &play->directory, &play->wish);
        run_steps(play, &MINDS[i], 1);
        RUN(play, {"https://ca/order", 400, PROBLEM("badPublicKey")});
        expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
        end_play(play);
    }
}

Test(flow, renewal_information)
{
    struct play *play = new_play();
    acme_flow_renewal_info(&play->flow, "https://ca/ari/aki.serial");
    struct acme_request request;
    cr_assert(eq(int, acme_flow_next(&play->flow, &request), ACME_SEND));
    cr_expect(request.key == NULL); /* a plain GET */
    RUN(play, {"https://ca/ari/aki.serial", 200,
               "{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\",\"end\":"
               "\"2025-01-03T04:00:00Z\"}}",
               .retry_after = "21600"});
    expect_end(play, ACME_DONE);
    cr_expect(eq(i32, play->flow.retry_after_s, 21600));
    cr_expect(eq(i64, play->flow.renewal_info.start_s, 1735790400));
    end_play(play);

    static const struct step BAD[] = {
        {"https://ca/ari/x", 404, "not found"},
        {"https://ca/ari/x", 400, PROBLEM("malformed")},
        {"https://ca/ari/x", 200, "{\"suggestedWindow\":{}}"},
        {"https://ca/ari/x", 200, "<html>"},
    };
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        play = new_play();
        acme_flow_renewal_info(&play->flow, "https://ca/ari/x");
        run_steps(play, &BAD[i], 1);
        expect_end(play, ACME_FAILED);
        end_play(play);
    }
}

/* Thousands are asked for, each in a place that an order may need, and all again in six hours. */
Test(flow, a_ca_whose_renewal_information_is_down_is_not_asked_for_long)
{
    static const struct step DOWN[] = {{"https://ca/ari/x", 503, "<html>"}, {"wait"}};
    struct play *play = new_play();
    struct acme_request request;
    int64_t waited_ms = 0;
    acme_flow_renewal_info(&play->flow, "https://ca/ari/x");
    while (acme_flow_next(&play->flow, &request) != ACME_FAILED) {
        run_steps(play, &DOWN[play->flow.wait_ms > 0], 1);
        waited_ms += play->flow.wait_ms;
    }
    expect_failure(play, ACME_CLASS_TRANSIENT, "503");
    cr_expect(ge(i64, waited_ms, 500));
    cr_expect(le(i64, waited_ms, 1000), "%lld", (long long)waited_ms);
    end_play(play);
}

/* 9. Profiles. */
Test(flow, a_profile_that_has_vanished_is_done_without)
{
    struct play *play = new_play();
    play->wish.profile = "shortlived";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play,
        {"https://ca/order", 400, PROBLEM("invalidProfile"), .sent = "\"profile\":\"shortlived\""},
        {"https://ca/order", 201, ORDER("ready", ""), .location = "https://ca/order/1",
         .sent = "}]}"});
    cr_expect(play->flow.profile_dropped);
    acme_flow_fini(&play->flow);

    play->wish.profile = "unheard-of";
    acme_flow_order(&play->flow, &play->directory, &play->wish);
    RUN(play, {"https://ca/order", 201, ORDER("ready", ""), .location = "https://ca/order/1",
               .sent = "}]}"});
    cr_expect(play->flow.profile_dropped);
    end_play(play);
}

/* 17. Nonsense and traps in answers. */
Test(flow, urls_that_are_not_https_are_never_asked)
{
    struct acme_request request;
    static const char *const TRAPS[] = {
        "{\"status\":\"pending\",\"authorizations\":[\"http://ca/authz/1\"]}",
        "{\"status\":\"pending\",\"authorizations\":[\"file:///etc/passwd\"]}",
        "{\"status\":\"pending\",\"authorizations\":[\"https://ca/a\\r\\nX: y\"]}",
        "{\"status\":\"pending\",\"authorizations\":[7]}",
        "{\"status\":\"pending\",\"authorizations\":{}}",
        "{\"status\":\"pending\"}",
        "{\"status\":\"strange\"}",
        "{\"status\":7}",
        "{}",
        "[]",
        "",
        "<html>",
    };
    for (size_t i = 0; i < COUNT_OF(TRAPS); i++) {
        struct play *play = new_order_play();
        RUN(play, {"https://ca/order", 201, TRAPS[i], .location = "https://ca/order/1"}, {"wait"});
        for (size_t k = 0; k < 50; k++) {
            enum acme_action action = acme_flow_next(&play->flow, &request);
            if (action == ACME_FAILED)
                break;
            if (action == ACME_WAIT) {
                acme_flow_resume(&play->flow);
                continue;
            }
            cr_assert(eq(int, strcmp(request.url, "https://ca/order/1"), 0), "%s", request.url);
            answer_step(play, &(struct step){.status = 200, .body = TRAPS[i]});
        }
        expect_failure(play, ACME_CLASS_BAD_ANSWER, "");
        end_play(play);
    }
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 201, ORDER("pending", ""), .location = "http://ca/order/1"});
    expect_failure(play, ACME_CLASS_BAD_ANSWER, "Location");
    end_play(play);
}

/* A document with a list: `head`, then so many of `before`, a number, `after`, then `tail`. */
static char *list_of(size_t count, const char *head, const char *before, const char *after,
                     const char *tail)
{
    struct bytes body = {0};
    cr_assert(bytes_append(&body, slice_of(head), 1 << 20));
    for (size_t i = 0; i < count; i++) {
        char *one = memory_format("%s%s%zu%s", i > 0 ? "," : "", before, i, after);
        cr_assert(bytes_append(&body, slice_of(one), 1 << 20));
        free(one);
    }
    cr_assert(bytes_append(&body, slice_of(tail), 1 << 20));
    return body.data;
}

Test(flow, too_many_authorizations_are_refused)
{
    for (size_t i = 0; i < 2; i++) {
        char *body =
            list_of(ACME_AUTHORIZATIONS_MAX + i, "{\"status\":\"pending\",\"authorizations\":[",
                    "\"https://ca/authz/", "\"", "]}");
        struct play *play = new_order_play();
        RUN(play, {"https://ca/order", 201, body, .location = "https://ca/order/1"},
            {i == 0 ? "https://ca/authz/0" : "wait", 503, ""});
        cr_expect(eq(sz, play->flow.authorization_count, i == 0 ? ACME_AUTHORIZATIONS_MAX : 0));
        end_play(play);
        free(body);
    }
}

Test(flow, of_too_many_names_that_are_refused_some_are_told)
{
    char *body =
        list_of(ACME_AUTHORIZATIONS_MAX + 1, "{\"type\":\"" URN "compound\",\"subproblems\":[",
                "{\"type\":\"" URN "dns\",\"identifier\":{\"value\":\"n", ".test\"}}", "]}");
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 403, body});
    cr_expect(eq(sz, play->flow.failure_count, ACME_AUTHORIZATIONS_MAX));
    end_play(play);
    free(body);
}

/* RFC 8555 7.1.3 has it without "*."; a CA that says it with is understood. */
Test(flow, the_name_of_an_authorization)
{
    char longest[ACME_NAME_SIZE - 2] = "", longer[ACME_NAME_SIZE - 1] = "";
    memset(longest, 'n', sizeof(longest) - 1);
    memset(longer, 'n', sizeof(longer) - 1);
    const struct {
        const char *wildcard, *told, *name; /* NULL: it makes no sense */
    } CASES[] = {
        {"false", "A.test", "a.test"},
        {"true", "a.test", "*.a.test"},
        {"true", "*.a.test", "*.a.test"},
        {"false", longest, longest},
        {"false", longer, NULL},
        {"true", longer, NULL},
        {"false", "", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char *body = memory_format("{\"status\":\"valid\",\"wildcard\":%s,"
                                   "\"identifier\":{\"value\":\"%s\"}}",
                                   CASES[i].wildcard, CASES[i].told);
        struct play *play = new_order_play();
        RUN(play, ORDERED, {"https://ca/authz/1", 200, body},
            {CASES[i].name != NULL ? "https://ca/order/1" : "wait", 503, ""});
        if (CASES[i].name != NULL)
            cr_expect(eq(str, play->flow.authorizations[0].name, (char *)(uintptr_t)CASES[i].name));
        end_play(play);
        free(body);
    }
}

Test(flow, challenges_with_tokens_that_could_be_paths_or_other_urls_are_refused)
{
    static const struct {
        const char *url, *token;
    } CASES[] = {{"https://ca/c", "../../etc/passwd"},
                 {"https://ca/c", "a b"},
                 {"https://ca/c", ""},
                 {"https://ca/c", "a\\u0022b"},
                 {"https://ca/c", "x%2f"},
                 {"http://ca/c", "token"},
                 {"", "token"}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char *body = memory_format("{\"status\":\"pending\",\"identifier\":{\"value\":\"a.test\"},"
                                   "\"challenges\":[{\"type\":\"http-01\",\"url\":\"%s\","
                                   "\"token\":\"%s\"}]}",
                                   CASES[i].url, CASES[i].token);
        struct play *play = new_order_play();
        RUN(play, ORDERED, {"https://ca/authz/1", 200, body}, {"wait"});
        cr_expect(eq(str, play->flow.authorizations[0].token, ""));
        end_play(play);
        free(body);
    }
}

Test(flow, a_token_that_is_too_long_is_refused)
{
    char token[ACME_TOKEN_SIZE + 1] = "";
    memset(token, 'a', ACME_TOKEN_SIZE);
    for (size_t i = 0; i < 2; i++) {
        token[ACME_TOKEN_SIZE - i] = '\0';
        char *body = memory_format("{\"status\":\"pending\",\"identifier\":{\"value\":\"a.test\"},"
                                   "\"challenges\":[{\"type\":\"http-01\",\"url\":\"https://ca/c\","
                                   "\"token\":\"%s\"}]}",
                                   token);
        struct play *play = new_order_play();
        RUN(play, ORDERED, {"https://ca/authz/1", 200, body});
        expect_end(play, i == 0 ? ACME_WAIT : ACME_PUBLISH);
        end_play(play);
        free(body);
    }
}

/* Names of a bundle. */
Test(flow, names_that_are_refused_at_once_are_told)
{
    static const char *const BODIES[] = {
        "{\"type\":\"" URN "compound\",\"detail\":\"several\",\"subproblems\":[{\"type\":\"" URN
        "rejectedIdentifier\",\"detail\":\"no\",\"identifier\":{\"type\":\"dns\",\"value\":"
        "\"WWW.example.test\"}}]}",
        "{\"type\":\"" URN "compound\",\"detail\":\"two reasons\",\"subproblems\":[{\"type\":"
        "\"" URN "caa\",\"detail\":\"no\",\"identifier\":{\"type\":\"dns\",\"value\":"
        "\"www.example.test\"}},{\"type\":\"" URN "dns\",\"detail\":\"no\",\"identifier\":{"
        "\"type\":\"dns\",\"value\":\"www.Example.test\"}}]}",
        "{\"type\":\"" URN "rejectedIdentifier\",\"detail\":\"Policy forbids issuing for "
        "www.example.test.\"}",
        "{\"type\":\"" URN "rejectedIdentifier\",\"detail\":\"\\\"www.example.test\\\"\"}",
        "{\"type\":\"" URN "rejectedIdentifier\",\"detail\":\"not awww.example.test but "
        "www.example.test\"}",
    };
    for (size_t i = 0; i < COUNT_OF(BODIES); i++) {
        struct play *play = new_two_names_play();
        RUN(play, {"https://ca/order", 403, BODIES[i]});
        expect_failure(play, ACME_CLASS_REFUSED, "");
        cr_assert(eq(sz, play->flow.failure_count, 1), "%s", BODIES[i]);
        cr_expect(eq(str, play->flow.failures[0].name, "www.example.test"));
        end_play(play);
    }
    struct play *play = new_order_play();
    RUN(play, {"https://ca/order", 403,
               "{\"type\":\"" URN "rejectedIdentifier\",\"detail\":\"x" NAME " " NAME ".org\"}"});
    expect_failure(play, ACME_CLASS_REFUSED, "");
    cr_expect(eq(sz, play->flow.failure_count, 0)); /* longer names are other names */
    end_play(play);
    play = new_order_play();
    RUN(play, {"https://ca/order", 429,
               "{\"type\":\"" URN "rateLimited\",\"detail\":\"too many for " NAME "\"}"});
    expect_failure(play, ACME_CLASS_RATE_LIMITED, "");
    cr_expect(eq(sz, play->flow.failure_count, 0)); /* nothing is wrong with it */
    end_play(play);
    play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY,
        {"https://ca/fin/1", 403, "{\"type\":\"" URN "caa\",\"detail\":\"CAA forbids " NAME "\"}"});
    expect_failure(play, ACME_CLASS_ORDER_GONE, "CAA");
    cr_assert(eq(sz, play->flow.failure_count, 1));
    end_play(play);
}

/* What was said to an order with `replaces` is not about the one without. */
Test(flow, names_of_a_refusal_that_was_got_round_are_forgotten)
{
    static const struct step REFUSAL = {
        "https://ca/order", 403,
        "{\"type\":\"" URN "compound\",\"detail\":\"several\",\"subproblems\":[{\"type\":\"" URN
        "rejectedIdentifier\",\"detail\":\"no\",\"identifier\":{\"value\":\"" NAME "\"}}]}"};
    for (size_t i = 0; i < 2; i++) {
        struct play *play = new_play();
        play->wish.replaces = "aki.serial";
        acme_flow_order(&play->flow, &play->directory, &play->wish);
        run_steps(play, &REFUSAL, 1);
        if (i == 0) {
            RUN(play, ORDERED, AUTHORIZED, READY, FINALIZED, DOWNLOADED);
            expect_end(play, ACME_DONE);
        } else {
            RUN(play, {"https://ca/order", 403, PROBLEM("badPublicKey")});
            expect_failure(play, ACME_CLASS_REFUSED, "");
            cr_expect(eq(sz, play->flow.failure_count, 0));
        }
        end_play(play);
    }
}

Test(flow, names_of_a_finalize_that_was_got_round_are_forgotten)
{
    struct play *play = new_order_play();
    RUN(play, ORDERED, AUTHORIZED, READY,
        {"https://ca/fin/1", 503,
         "{\"type\":\"" URN "serverInternal\",\"subproblems\":[{\"type\":\"" URN
         "dns\",\"detail\":\"no\",\"identifier\":{\"value\":\"" NAME "\"}}]}"},
        {"wait"}, {"https://ca/fin/1", 200, ORDER("processing", "")}, {"wait"},
        {"https://ca/order/1", 200, ORDER("invalid", ",\"error\":" PROBLEM("badCSR"))});
    expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
    cr_expect(eq(sz, play->flow.failure_count, 0));
    end_play(play);
}

/* -- Accounts -- */

static struct play *new_account_play(const char *const *contacts, size_t count)
{
    struct play *play = new_play();
    const struct acme_account_wish wish = {
        .key = play->account_key, .contacts = contacts, .contact_count = count};
    acme_flow_account(&play->flow, &play->directory, &wish);
    return play;
}

static const char *const CONTACTS[] = {"mailto:a@example.test"};

Test(flow, an_account_is_made)
{
    struct play *play = new_account_play(CONTACTS, 1);
    struct acme_request request;
    cr_assert(eq(int, acme_flow_next(&play->flow, &request), ACME_SEND));
    cr_expect(request.kid == NULL); /* shows its key */
    RUN(play, {"https://ca/acct", 201, "{\"status\":\"valid\"}", .location = "https://ca/acct/1",
               .sent = "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@example.test\"]}"});
    expect_end(play, ACME_DONE);
    cr_expect(eq(str, play->flow.account_url, "https://ca/acct/1"));
    cr_expect_not(play->flow.account_existed);
    end_play(play);
}

Test(flow, an_account_that_exists_gets_its_contacts_updated)
{
    struct play *play = new_account_play(CONTACTS, 1);
    RUN(play,
        {"https://ca/acct", 200, "{\"status\":\"valid\",\"contact\":[\"mailto:old@x.test\"]}",
         .location = "https://ca/acct/1"},
        {"https://ca/acct/1", 200, "{}", .sent = "{\"contact\":[\"mailto:a@example.test\"]}"});
    expect_end(play, ACME_DONE);
    cr_expect(play->flow.account_existed);
    end_play(play);

    play = new_account_play(NULL, 0); /* there are none any more */
    RUN(play,
        {"https://ca/acct", 200, "{\"status\":\"valid\",\"contact\":[\"mailto:old@x.test\"]}",
         .location = "https://ca/acct/1"},
        {"https://ca/acct/1", 200, "{}", .sent = "{\"contact\":[]}"});
    expect_end(play, ACME_DONE);
    end_play(play);

    static const char *const SAME[] = {
        "{\"status\":\"valid\",\"contact\":[\"mailto:a@example.test\"]}",
        "{\"status\":\"valid\"}" /* Let's Encrypt does not tell them */, "not json"};
    for (size_t i = 0; i < COUNT_OF(SAME); i++) {
        play = new_account_play(CONTACTS, 1);
        RUN(play, {"https://ca/acct", 200, SAME[i], .location = "https://ca/acct/1"});
        expect_end(play, ACME_DONE);
        end_play(play);
    }
}

Test(flow, accounts_that_cannot_be_had)
{
    struct play *play = new_account_play(NULL, 0);
    RUN(play, {"https://ca/acct", 403, PROBLEM("unauthorized")});
    expect_failure(play, ACME_CLASS_KEY_REFUSED, "the CA's words"); /* deactivated */
    end_play(play);
    play = new_account_play(NULL, 0);
    RUN(play,
        {"https://ca/acct", 200, "{\"status\":\"deactivated\"}", .location = "https://ca/acct/1"});
    expect_failure(play, ACME_CLASS_KEY_REFUSED, "deactivated");
    end_play(play);
    play = new_account_play(NULL, 0);
    RUN(play, {"https://ca/acct", 403, PROBLEM("externalAccountRequired")});
    expect_failure(play, ACME_CLASS_PERSON, "the CA's words");
    end_play(play);
    play = new_account_play(CONTACTS, 1);
    RUN(play, {"https://ca/acct", 400, PROBLEM("invalidContact")});
    expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
    end_play(play);
    play = new_account_play(CONTACTS, 1);
    RUN(play, {"https://ca/acct", 201, "{\"status\":\"valid\"}"}, {"wait"},
        {"https://ca/acct", 200, "{\"status\":\"valid\"}", .location = "https://ca/acct/1"});
    expect_end(play, ACME_DONE);
    end_play(play);
}

Test(flow, an_external_account_is_bound)
{
    struct play *play = new_play();
    struct acme_account_wish wish = {
        .key = play->account_key, .external_kid = "kid-1", .external_secret = "c2VjcmV0"};
    acme_flow_account(&play->flow, &play->directory, &wish);
    RUN(play, {"https://ca/acct", 201, "{\"status\":\"valid\"}", .location = "https://ca/acct/1",
               .sent = "\"externalAccountBinding\":{\"protected\":\""});
    expect_end(play, ACME_DONE);
    acme_flow_fini(&play->flow);
    /* What is wrong is the binding, and no other key would help. */
    acme_flow_account(&play->flow, &play->directory, &wish);
    RUN(play, {"https://ca/acct", 403, PROBLEM("unauthorized")});
    expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
    acme_flow_fini(&play->flow);
    wish.was_refused = true; /* deactivated */
    acme_flow_account(&play->flow, &play->directory, &wish);
    RUN(play, {"https://ca/acct", 403, PROBLEM("unauthorized")});
    expect_failure(play, ACME_CLASS_KEY_REFUSED, "the CA's words");
    acme_flow_fini(&play->flow);
    wish.external_secret = "not base64url!";
    acme_flow_account(&play->flow, &play->directory, &wish);
    expect_failure(play, ACME_CLASS_LOCAL, "HMAC key");
    end_play(play);
}

/* -- The others -- */

Test(flow, a_directory_is_read_and_asked_for_again)
{
    struct play *play = new_play();
    struct acme_directory directory;
    acme_flow_directory(&play->flow, "https://ca/dir", &directory);
    RUN(play, {"https://ca/dir", 200, "<html>portal</html>"}, {"wait"}, {"https://ca/dir", 0, ""},
        {"wait"},
        {"https://ca/dir", 200,
         "{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\","
         "\"newOrder\":\"https://ca/o\"}"});
    expect_end(play, ACME_DONE);
    cr_expect(eq(str, directory.new_nonce, "https://ca/n"));
    end_play(play);
}

static void begin_revocation(struct play *play)
{
    acme_flow_fini(&play->flow);
    acme_flow_revoke(&play->flow, &play->directory, &play->wish.account, SLICE("DER"), play->key);
}

Test(flow, revocation)
{
    struct play *play = new_play();
    begin_revocation(play);
    RUN(play, {"https://ca/revoke", 200, "", .sent = "{\"certificate\":\"REVS\"}"});
    expect_end(play, ACME_DONE);
    begin_revocation(play);
    RUN(play, {"https://ca/revoke", 400, PROBLEM("alreadyRevoked")});
    expect_end(play, ACME_DONE);
    begin_revocation(play);
    RUN(play, {"https://ca/revoke", 400, PROBLEM("badRevocationReason")});
    expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
    play->directory.revoke_cert[0] = '\0';
    begin_revocation(play);
    expect_failure(play, ACME_CLASS_REFUSED, "offers no revocation");
    end_play(play);
}

/* RFC 8555 7.6: who has the key may, whichever account has ordered it. */
Test(flow, what_another_account_has_ordered_is_revoked_by_its_own_key)
{
    struct play *play = new_play();
    struct acme_request request;
    begin_revocation(play);
    RUN(play, {"https://ca/revoke", 403, PROBLEM("unauthorized")});
    cr_expect(eq(int, acme_flow_next(&play->flow, &request), ACME_SEND));
    cr_expect(eq(ptr, (void *)(uintptr_t)request.key, (void *)play->key));
    cr_expect(eq(ptr, (void *)(uintptr_t)request.kid, NULL));
    RUN(play, {"https://ca/revoke", 200, "", .sent = "{\"certificate\":\"REVS\"}"});
    expect_end(play, ACME_DONE);
    begin_revocation(play);
    RUN(play, {"https://ca/revoke", 403, PROBLEM("unauthorized")},
        {"https://ca/revoke", 403, PROBLEM("unauthorized")});
    expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
    end_play(play);
}

Test(flow, a_key_change_whose_answer_was_lost)
{
    struct play *play = new_play();
    struct crypto_key *new_key = crypto_key_new(CRYPTO_EC_P256, NULL);
    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    RUN(play, {"https://ca/key", 200, "{}", .sent = "{\"protected\":\""});
    expect_end(play, ACME_DONE);
    acme_flow_fini(&play->flow);

    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    RUN(play, {"https://ca/key", 0, ""}, {"wait"}, {"https://ca/key", 403, PROBLEM("unauthorized")},
        {"https://ca/acct", 200, "{}", .location = "https://ca/acct/1",
         .sent = "\"onlyReturnExisting\":true"});
    expect_end(play, ACME_DONE);
    acme_flow_fini(&play->flow);

    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    RUN(play, {"https://ca/key", 409, PROBLEM("malformed")},
        {"https://ca/acct", 200, "{}", .location = "https://ca/acct/2"});
    expect_failure(play, ACME_CLASS_REFUSED, "the CA's words");
    acme_flow_fini(&play->flow);

    /* RFC 8555 7.3.1: a key that no account has */
    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    RUN(play,
        {"https://ca/key", 403, "{\"type\":\"" URN "unauthorized\",\"detail\":\"not today\"}"},
        {"https://ca/acct", 400, PROBLEM("accountDoesNotExist")});
    expect_failure(play, ACME_CLASS_REFUSED, "not today");
    cr_expect(play->flow.key_stays);
    acme_flow_fini(&play->flow);

    /* What fails for a while may have come through all the same. */
    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    RUN(play, {"https://ca/key", 429, PROBLEM("rateLimited")},
        {"https://ca/acct", 400, PROBLEM("accountDoesNotExist")});
    expect_failure(play, ACME_CLASS_RATE_LIMITED, "the CA's words");
    cr_expect(play->flow.key_stays);
    acme_flow_fini(&play->flow);

    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    RUN(play, {"https://ca/key", 429, PROBLEM("rateLimited")},
        {"https://ca/acct", 429, PROBLEM("rateLimited")});
    expect_failure(play, ACME_CLASS_RATE_LIMITED, "the CA's words");
    cr_expect(not(play->flow.key_stays));
    acme_flow_fini(&play->flow);

    /* What is not the CA's word may be over in a moment, */
    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    RUN(play, {"https://ca/key", 403, PROBLEM("unauthorized")}, {"https://ca/acct", 404, "<html>"},
        {"wait"}, {"https://ca/acct", 200, "{}"}, {"wait"},
        {"https://ca/acct", 200, "{}", .location = "https://ca/acct/1"});
    expect_end(play, ACME_DONE);
    acme_flow_fini(&play->flow);

    /* and does not tell whose the key is. */
    for (size_t i = 0; i < 2; i++) {
        acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
        RUN(play, {"https://ca/key", 403, PROBLEM("unauthorized")});
        for (size_t k = 0; k < 9; k++) {
            if (k > 0)
                RUN(play, {"wait"});
            RUN(play, {"https://ca/acct", i == 0 ? 404 : 200, i == 0 ? "<html>" : "{}"});
        }
        expect_failure(play, ACME_CLASS_BAD_ANSWER, i == 0 ? "<html>" : "location");
        cr_expect(not(play->flow.key_stays));
        acme_flow_fini(&play->flow);
    }

    /* Where the account is not known, whoever has the new key is it. */
    const struct acme_identity unknown = {.key = play->account_key, .url = ""};
    acme_flow_key_change(&play->flow, &play->directory, &unknown, new_key);
    RUN(play, {"https://ca/acct", 200, "{}", .location = "https://ca/acct/3",
               .sent = "\"onlyReturnExisting\":true"});
    expect_end(play, ACME_DONE);
    acme_flow_fini(&play->flow);
    acme_flow_key_change(&play->flow, &play->directory, &unknown, new_key);
    RUN(play, {"https://ca/acct", 400, PROBLEM("accountDoesNotExist")});
    expect_failure(play, ACME_CLASS_ACCOUNT_GONE, "no account has the new key");
    cr_expect(play->flow.key_stays);
    acme_flow_fini(&play->flow);

    /* Nobody was told of it. */
    play->directory.key_change[0] = '\0';
    acme_flow_key_change(&play->flow, &play->directory, &play->wish.account, new_key);
    expect_failure(play, ACME_CLASS_REFUSED, "offers no key change");
    cr_expect(play->flow.key_stays);
    end_play(play);
    crypto_key_free(new_key);
}
