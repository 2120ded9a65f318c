/* An order, from its names to a chain: see acme/acme_flow.h.
 *
 * Every answer that tells the order's status goes through acme_follow_order(), whatever the
 * question was, so that an order that is ahead of us (resumed after a crash, authorized by an
 * earlier one, finalized by an answer that was lost) is taken where it stands.
 */
#include "acme_state.h"

#include "core/ip.h"
#include "core/time_text.h"
#include "crypto/base64url.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    POLL_FIRST_MS = 100,
    POLL_LAST_MS = 10 * 1000,
    POLL_RETRY_AFTER_MAX_S = 300,
    POLL_PATIENCE_MS = 15 * 60 * 1000, /* some CAs put validations and signatures into a queue */
    UNSEEN_PATIENCE_MS = 10 * 1000,    /* for what a CA has looked at, and may look at again */
    FINALIZES_MAX = 4,
    CLOCK_TOLERANCE_S = 300,
};

static void ask(const struct acme_flow *flow, const char *url, struct acme_request *request)
{
    request->url = url;
    request->key = flow->order.account.key;
    request->kid = flow->order.account.url;
    request->payload = SLICE(""); /* POST-as-GET unless a payload follows */
}

static bool text_is(const struct json *value, const char *wanted)
{
    struct slice text;
    return json_read_text(value, &text) && slice_equal(text, slice_of(wanted));
}

/* NULL when there is none, of which some CAs say `null`. */
static const struct json *error_of(const struct json *object)
{
    const struct json *error = json_get(object, "error");
    return json_type_of(error) == JSON_TYPE_OBJECT ? error : NULL;
}

/* -- Names that fail -- */

static bool is_noted(const struct acme_flow *flow, struct slice name)
{
    for (size_t i = 0; i < flow->failure_count; i++)
        if (slice_equal_nocase(slice_of(flow->failures[i].name), name))
            return true;
    return false;
}

/* Of several reasons against a name the first counts: who leaves names out counts them. */
static void add_failure(void *context, struct slice name, const struct acme_problem *problem)
{
    struct acme_flow *flow = context;
    assert(flow->failure_count <= ACME_AUTHORIZATIONS_MAX && name.size < ACME_NAME_SIZE);
    if (flow->failure_count == ACME_AUTHORIZATIONS_MAX || is_noted(flow, name))
        return;
    struct acme_failure *grown =
        reallocarray(flow->failures, flow->failure_count + 1, sizeof(*grown));
    if (grown == NULL)
        return; /* the order fails all the same, only less is told */
    flow->failures = grown;
    struct acme_failure *failure = &grown[flow->failure_count++];
    *failure = (struct acme_failure){.problem = *problem};
    for (size_t i = 0; i < name.size; i++)
        failure->name[i] = ascii_lower(name.data[i]);
}

static bool is_name_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '-' || c == '.';
}

static bool mentions(const char *text, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = strcasestr(text, name); at != NULL; at = strcasestr(at + 1, name)) {
        char after = at[size] == '.' ? at[size + 1] : at[size]; /* a full stop may follow */
        if ((at == text || !is_name_byte(at[-1])) && !is_name_byte(after))
            return true;
    }
    return false;
}

void acme_order_note_names(struct acme_flow *flow, const struct http_response *answer,
                           const struct acme_problem *problem)
{
    struct json *document = acme_answer_json(answer);
    flow->failure_count = 0;
    acme_problem_each_name(document, add_failure, flow);
    json_free(document);
    if (flow->failure_count > 0 || problem->class != ACME_CLASS_REFUSED)
        return;
    for (size_t i = 0; i < flow->order.name_count; i++)
        if (mentions(problem->detail, flow->order.names[i]))
            add_failure(flow, slice_of(flow->order.names[i]), problem);
}

/* Fails with the first name's problem. */
static void fail_by_names(struct acme_flow *flow)
{
    const struct acme_failure *first = &flow->failures[0];
    struct acme_problem problem = first->problem, named;
    acme_problem_set(&named, problem.class, "%s: %s", first->name, problem.detail);
    memcpy(problem.detail, named.detail, sizeof(problem.detail));
    acme_flow_fail(flow, &problem);
}

/* -- New order -- */

static void put_names(const struct acme_flow *flow, struct json *payload)
{
    struct json *identifiers = json_new_array();
    for (size_t i = 0; i < flow->order.name_count; i++) {
        struct json *identifier = json_new_object();
        struct ip ip;
        bool is_ip = ip_parse(slice_of(flow->order.names[i]), &ip); /* RFC 8738 */
        json_put_text(identifier, "type", is_ip ? SLICE("ip") : SLICE("dns"));
        json_put_text(identifier, "value", slice_of(flow->order.names[i]));
        json_append(identifiers, identifier);
    }
    json_put(payload, "identifiers", identifiers);
}

static void order_new_ask(struct acme_flow *flow, struct acme_request *request)
{
    struct json *payload = json_new_object();
    if (flow->order.profile != NULL &&
        !acme_directory_has_profile(flow->directory, flow->order.profile)) {
        flow->order.profile = NULL;
        flow->profile_dropped = true;
    }
    put_names(flow, payload);
    if (flow->order.replaces != NULL)
        json_put_text(payload, "replaces", slice_of(flow->order.replaces));
    if (flow->order.profile != NULL)
        json_put_text(payload, "profile", slice_of(flow->order.profile));
    ask(flow, flow->directory->new_order, request);
    acme_flow_payload(flow, payload, request);
}

/* A certificate matters more than the account of what it replaces, or than a profile that is gone:
 * once each, the order is tried without. */
static void order_new_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    struct acme_problem told = *problem;
    if (strcmp(problem->type, "invalidProfile") == 0 && flow->order.profile != NULL) {
        flow->order.profile = NULL;
        flow->profile_dropped = true;
    } else if (flow->order.replaces != NULL) {
        flow->order.replaces = NULL;
        flow->replaces_dropped = true;
    } else if (strcmp(problem->type, "malformed") == 0 && flow->failure_count == 0) {
        flow->problem = *problem;
        acme_flow_move(flow, ACME_STATE_ACCOUNT_CHECK);
    } else {
        if (strcmp(problem->type, "unauthorized") == 0)
            told.class = ACME_CLASS_ACCOUNT_GONE; /* deactivated */
        acme_flow_fail(flow, &told);
    }
}

/* Somebody with a copy of the key may have changed it at the CA, to which everything that we sign
 * is malformed from then on. Whom does it take us for? */
static void account_check_ask(struct acme_flow *flow, struct acme_request *request)
{
    struct json *payload = json_new_object();
    json_put_bool(payload, "onlyReturnExisting", true);
    request->url = flow->directory->new_account;
    request->key = flow->order.account.key;
    acme_flow_payload(flow, payload, request);
}

static void account_check_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct acme_problem problem = flow->problem;
    if (!slice_equal(answer->location, slice_of(flow->order.account.url)))
        problem.class = ACME_CLASS_ACCOUNT_GONE;
    acme_flow_fail(flow, &problem);
}

/* The order was malformed by itself, as far as can be known. */
static void account_check_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    const struct acme_problem told = flow->problem;
    (void)problem;
    acme_flow_fail(flow, &told);
}

/* -- The order's status -- */

static void poll_later(struct acme_flow *flow, const struct http_response *answer)
{
    int32_t retry_after_s = acme_retry_after(answer);
    int64_t wait_ms = POLL_LAST_MS;
    if (retry_after_s > 0)
        wait_ms = (int64_t)(retry_after_s < POLL_RETRY_AFTER_MAX_S ? retry_after_s
                                                                   : POLL_RETRY_AFTER_MAX_S) *
                  1000;
    else if (flow->polls < 7)
        wait_ms = (int64_t)POLL_FIRST_MS << flow->polls;
    flow->polls++;
    flow->polled_ms += wait_ms;
    if (flow->polled_ms > POLL_PATIENCE_MS) {
        acme_flow_fail_text(flow, ACME_CLASS_TRANSIENT,
                            "the order has been waiting for the CA for more than %d minutes",
                            POLL_PATIENCE_MS / 60000);
        return;
    }
    acme_flow_move(flow, ACME_STATE_ORDER_POLL);
    flow->wait_ms = wait_ms;
}

/* Takes the list of authorizations; false when it is not one. */
static bool load_authorizations(struct acme_flow *flow, const struct json *urls)
{
    size_t count = json_count(urls);
    if (json_type_of(urls) != JSON_TYPE_ARRAY || count > ACME_AUTHORIZATIONS_MAX)
        return false;
    struct acme_authorization *all = calloc(count + 1, sizeof(*all));
    if (all == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!acme_url_copy(json_at(urls, i), all[i].url)) {
            free(all);
            return false;
        }
    }
    free(flow->authorizations);
    flow->authorizations = all;
    flow->authorization_count = count;
    return true;
}

static void follow_pending(struct acme_flow *flow, const struct http_response *answer,
                           const struct json *order)
{
    if (flow->authorizations == NULL &&
        !load_authorizations(flow, json_get(order, "authorizations"))) {
        acme_flow_doubt(flow, answer, "the order's authorizations are not a list of https URLs");
        return;
    }
    flow->index = 0;
    if (flow->authorization_count > 0 &&
        flow->authorizations[0].state == ACME_AUTHORIZATION_UNREAD) {
        acme_flow_move(flow, ACME_STATE_AUTHORIZATION);
    } else if (flow->challenge_unseen && flow->polled_ms >= UNSEEN_PATIENCE_MS) {
        flow->challenge_unseen = false;
        acme_flow_move(flow, ACME_STATE_AUTOPSY);
    } else {
        poll_later(flow, answer);
    }
}

static void follow_invalid(struct acme_flow *flow, const struct json *order)
{
    const struct json *error = error_of(order);
    struct acme_problem problem;
    flow->order_invalid = true;
    acme_problem_each_name(error, add_failure, flow);
    if (flow->failure_count > 0) {
        fail_by_names(flow);
        return;
    }
    if (flow->authorizations == NULL &&
        !load_authorizations(flow, json_get(order, "authorizations")))
        flow->authorization_count = 0;
    if (flow->authorization_count > 0 && flow->finalizes == 0) {
        flow->index = 0;
        acme_flow_move(flow, ACME_STATE_AUTOPSY);
    } else if (error != NULL) {
        acme_problem_from_json(error, &problem);
        acme_flow_fail(flow, &problem);
    } else {
        acme_flow_fail_text(flow, ACME_CLASS_ORDER_GONE, "the CA has declared the order invalid");
    }
}

/* In place of an order that was to be resumed. */
static void order_anew(struct acme_flow *flow)
{
    flow->order.order_url = NULL;
    flow->order_url[0] = flow->finalize_url[0] = '\0';
    acme_flow_move(flow, ACME_STATE_ORDER_NEW);
}

void acme_follow_order(struct acme_flow *flow, const struct http_response *answer)
{
    struct json *order = acme_answer_json(answer);
    const struct json *status = json_get(order, "status");
    bool can_finalize = acme_url_copy(json_get(order, "finalize"), flow->finalize_url) ||
                        flow->finalize_url[0] != '\0';

    if (text_is(status, "pending"))
        follow_pending(flow, answer, order);
    else if (text_is(status, "ready") && can_finalize && flow->finalizes < FINALIZES_MAX)
        acme_flow_move(flow, ACME_STATE_FINALIZE);
    else if (text_is(status, "processing") || text_is(status, "ready"))
        poll_later(flow, answer);
    else if (text_is(status, "valid") &&
             acme_url_copy(json_get(order, "certificate"), flow->certificate_url))
        acme_flow_move(flow, ACME_STATE_DOWNLOAD);
    else if (text_is(status, "valid"))
        poll_later(flow, answer);
    else if (text_is(status, "invalid") && flow->state == ACME_STATE_ORDER_READ &&
             flow->order.order_url != NULL)
        order_anew(flow); /* it died while nobody was here */
    else if (text_is(status, "invalid"))
        follow_invalid(flow, order);
    else
        acme_flow_doubt(flow, answer, "the answer is not an order");
    json_free(order);
}

static void order_new_hear(struct acme_flow *flow, const struct http_response *answer)
{
    if (!acme_url_is_good(answer->location)) {
        acme_flow_fail_text(flow, ACME_CLASS_BAD_ANSWER, "the new order has no Location");
        return;
    }
    flow->failure_count = 0; /* of refusals that were got round */
    memcpy(flow->order_url, answer->location.data, answer->location.size);
    flow->order_url[answer->location.size] = '\0';
    /* From here a doubtful answer is asked for again by reading, never by ordering twice. */
    acme_flow_move(flow, ACME_STATE_ORDER_READ);
    acme_follow_order(flow, answer);
}

static void order_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->order_url, request);
}

/* An order that was to be resumed and is no more, or belongs to an account that we no longer are.
 */
static void order_read_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    if (flow->order.order_url != NULL)
        order_anew(flow);
    else
        acme_flow_fail(flow, problem);
}

static void order_gone(struct acme_flow *flow, const struct acme_problem *problem)
{
    struct acme_problem told = *problem;
    if (told.class == ACME_CLASS_REFUSED || told.class == ACME_CLASS_BAD_ANSWER)
        told.class = ACME_CLASS_ORDER_GONE;
    acme_flow_fail(flow, &told);
}

/* -- Authorizations -- */

static void authorization_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->authorizations[flow->index].url, request);
}

static const struct json *http_challenge(const struct json *authorization)
{
    const struct json *all = json_get(authorization, "challenges");
    for (size_t i = 0; i < json_count(all); i++)
        if (text_is(json_get(json_at(all, i), "type"), "http-01"))
            return json_at(all, i);
    return NULL;
}

/* The error of whichever challenge was tried. */
static const struct json *challenge_error(const struct json *authorization)
{
    const struct json *all = json_get(authorization, "challenges");
    for (size_t i = 0; i < json_count(all); i++) {
        const struct json *error = error_of(json_at(all, i));
        if (error != NULL)
            return error;
    }
    return NULL;
}

static void note_invalid(struct acme_flow *flow, const struct acme_authorization *own,
                         const struct json *authorization)
{
    const struct json *error = challenge_error(authorization);
    struct acme_problem problem;
    if (error != NULL) {
        acme_problem_from_json(error, &problem);
        /* A challenge's own problems are about the way to us, whatever they are called. */
        if (strcmp(problem.type, "caa") != 0)
            problem.class = ACME_CLASS_VALIDATION;
    } else {
        acme_problem_set(&problem, ACME_CLASS_VALIDATION, "the CA gave no reason");
    }
    add_failure(flow, slice_of(own->name), &problem);
}

static bool is_wildcard(const struct json *authorization)
{
    bool wildcard;
    return json_read_bool(json_get(authorization, "wildcard"), &wildcard) && wildcard;
}

/* The CA could not see what it was told to look at, and leaves it at that (step-ca): it looks again
 * when it is told again (RFC 8555 8.2), which another order does. */
static bool is_unseen(const struct json *challenge)
{
    return text_is(json_get(challenge, "status"), "pending") && error_of(challenge) != NULL;
}

/* A pending authorization: the challenge is owed, unless the CA is at it already. */
static bool take_challenge(struct acme_flow *flow, struct acme_authorization *own,
                           const struct json *authorization)
{
    const struct json *challenge = http_challenge(authorization);
    struct acme_problem problem;
    struct slice token;
    if (challenge == NULL) {
        acme_problem_set(&problem, ACME_CLASS_REFUSED, "the CA offers no http-01 challenge%s",
                         is_wildcard(authorization) ? " for a wildcard" : "");
        add_failure(flow, slice_of(own->name), &problem);
        return true;
    }
    if (!acme_url_copy(json_get(challenge, "url"), own->challenge_url) ||
        !json_read_text(json_get(challenge, "token"), &token) || token.size >= ACME_TOKEN_SIZE ||
        !base64url_is_token(token))
        return false;
    memcpy(own->token, token.data, token.size);
    own->token[token.size] = '\0';
    /* A CA that is validating while we were away needs the answer published, not another POST; but
     * posting twice does no harm and publishing is what the PENDING ones get. */
    own->state = ACME_AUTHORIZATION_PENDING;
    return true;
}

/* The name as it was ordered: an authorization of "*.x" says "x" and that it is a wildcard's (RFC
 * 8555 7.1.3), and that of "x" may be beside it. */
static bool copy_name(const struct json *authorization, struct acme_authorization *own)
{
    struct slice name;
    size_t size = 0;
    if (!json_read_text(json_get(json_get(authorization, "identifier"), "value"), &name) ||
        name.size == 0 || name.size >= ACME_NAME_SIZE - strlen("*."))
        return false;
    if (is_wildcard(authorization) && !slice_starts_with(name, SLICE("*."))) {
        own->name[size++] = '*';
        own->name[size++] = '.';
    }
    for (size_t i = 0; i < name.size; i++)
        own->name[size++] = ascii_lower(name.data[i]);
    own->name[size] = '\0';
    return true;
}

/* Takes one authorization as the CA tells it; false when it makes no sense. */
static bool take_authorization(struct acme_flow *flow, const struct json *authorization)
{
    struct acme_authorization *own = &flow->authorizations[flow->index];
    const struct json *status = json_get(authorization, "status");
    struct acme_problem problem;
    struct slice text;
    if (!copy_name(authorization, own) || !json_read_text(status, &text))
        return false;
    if (text_is(status, "valid")) {
        own->state = ACME_AUTHORIZATION_VALID;
    } else if (text_is(status, "invalid")) {
        note_invalid(flow, own, authorization);
    } else if (text_is(status, "pending")) {
        if (own->state == ACME_AUTHORIZATION_UNREAD)
            return take_challenge(flow, own, authorization);
        if (is_unseen(http_challenge(authorization)))
            note_invalid(flow, own, authorization);
    } else {
        /* deactivated, expired, revoked */
        acme_problem_set(&problem, ACME_CLASS_ORDER_GONE, "the authorization is %.*s",
                         (int)size_min(text.size, 40), text.data);
        add_failure(flow, slice_of(own->name), &problem);
    }
    return true;
}

/* Moves `index` to the next authorization that owes a challenge; false when there is none. */
static bool seek_pending(struct acme_flow *flow)
{
    while (flow->index < flow->authorization_count &&
           flow->authorizations[flow->index].state != ACME_AUTHORIZATION_PENDING)
        flow->index++;
    return flow->index < flow->authorization_count;
}

static void authorization_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct json *authorization = acme_answer_json(answer);
    bool taken = take_authorization(flow, authorization);
    json_free(authorization);
    if (!taken) {
        acme_flow_doubt(flow, answer, "the answer is not an authorization");
        return;
    }
    if (++flow->index < flow->authorization_count) {
        acme_flow_move(flow, ACME_STATE_AUTHORIZATION);
        return;
    }
    flow->index = 0;
    if (flow->failure_count > 0)
        fail_by_names(flow);
    else
        acme_flow_move(flow, seek_pending(flow) ? ACME_STATE_PUBLISH : ACME_STATE_ORDER_POLL);
}

static void challenge_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->authorizations[flow->index].challenge_url, request);
    request->payload = SLICE("{}");
}

static void challenge_posted(struct acme_flow *flow)
{
    flow->authorizations[flow->index].state = ACME_AUTHORIZATION_POSTED;
    if (seek_pending(flow)) {
        acme_flow_move(flow, ACME_STATE_CHALLENGE);
        return;
    }
    flow->index = 0;
    bool doubtful = flow->challenge_refusal.class != ACME_CLASS_NONE;
    acme_flow_move(flow, doubtful ? ACME_STATE_AUTOPSY : ACME_STATE_ORDER_POLL);
}

static void challenge_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct json *challenge = acme_answer_json(answer);
    flow->challenge_unseen |= is_unseen(challenge);
    json_free(challenge);
    challenge_posted(flow); /* the order tells what becomes of it */
}

/* After a lost answer the challenge may be past being posted: the authorizations will tell. */
static void challenge_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    flow->challenge_refusal = *problem;
    challenge_posted(flow);
}

/* -- What failed -- */

static void autopsy_done(struct acme_flow *flow)
{
    bool waiting = false;
    for (size_t i = 0; i < flow->authorization_count; i++)
        if (flow->authorizations[i].state == ACME_AUTHORIZATION_POSTED)
            waiting = true;
    flow->index = 0;
    if (flow->failure_count > 0)
        fail_by_names(flow);
    else if (flow->order_invalid)
        acme_flow_fail_text(flow, ACME_CLASS_ORDER_GONE,
                            "the CA has declared the order invalid and no name of it");
    else if (waiting && flow->challenge_refusal.class != ACME_CLASS_NONE)
        order_gone(flow, &flow->challenge_refusal);
    else
        acme_flow_move(flow, ACME_STATE_ORDER_POLL);
}

static void autopsy_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct json *authorization = acme_answer_json(answer);
    bool taken = take_authorization(flow, authorization);
    json_free(authorization);
    if (!taken)
        acme_flow_doubt(flow, answer, "the answer is not an authorization");
    else if (++flow->index < flow->authorization_count)
        acme_flow_move(flow, ACME_STATE_AUTOPSY);
    else
        autopsy_done(flow);
}

/* -- The certificate -- */

static void finalize_ask(struct acme_flow *flow, struct acme_request *request)
{
    struct bytes der = {0}, encoded = {0};
    struct error_text why = {0};
    struct json *payload = json_new_object();
    if (crypto_csr(flow->order.key, flow->order.names, flow->order.name_count, &der, &why) !=
            ERROR_OK ||
        !base64url_append(&encoded, bytes_slice(&der)))
        acme_flow_fail_text(flow, ACME_CLASS_LOCAL, "%s", why.text);
    json_put_text(payload, "csr", bytes_slice(&encoded));
    bytes_free(&der);
    bytes_free(&encoded);
    ask(flow, flow->finalize_url, request);
    acme_flow_payload(flow, payload, request);
}

static void finalize_hear(struct acme_flow *flow, const struct http_response *answer)
{
    flow->finalizes++;
    flow->failure_count = 0;
    flow->polls = 0;
    /* The answer should be the order; where it is not, the order is read. */
    acme_flow_move(flow, ACME_STATE_ORDER_POLL);
    acme_follow_order(flow, answer);
}

static void finalize_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    /* Words that are not the CA's have been said again and again by now. */
    bool is_the_cas_word = problem->class != ACME_CLASS_BAD_ANSWER;
    bool may_be_finalized =
        (flow->attempts > 0 && is_the_cas_word) || strcmp(problem->type, "orderNotReady") == 0;
    flow->finalizes++;
    if (may_be_finalized && flow->finalizes < FINALIZES_MAX) {
        acme_flow_move(flow, ACME_STATE_ORDER_POLL); /* by a request whose answer was lost */
        return;
    }
    order_gone(flow, problem);
}

static void download_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->certificate_url, request);
}

static bool is_usable(const struct acme_flow *flow, const struct http_response *answer,
                      const struct crypto_certificate *leaf, struct error_text *why)
{
    int64_t now_s;
    if (!time_text_parse_http(answer->date, &now_s))
        now_s = answer->received_s;
    for (size_t i = 0; i < flow->order.name_count; i++) {
        if (!crypto_certificate_covers(leaf, flow->order.names[i])) {
            error_set(why, ERROR_PROTOCOL, "the certificate is not for %s", flow->order.names[i]);
            return false;
        }
    }
    if (leaf->not_before_s > now_s + CLOCK_TOLERANCE_S) {
        error_set(why, ERROR_PROTOCOL, "the certificate is not valid yet");
        return false;
    }
    if (leaf->not_after_s <= now_s) {
        error_set(why, ERROR_PROTOCOL, "the certificate has expired");
        return false;
    }
    return true;
}

/* Takes a chain that is good in every way; the one before stays otherwise. */
static bool take_chain(struct acme_flow *flow, const struct http_response *answer,
                       const char *wanted_root, struct error_text *why)
{
    struct bytes chain = {0};
    struct crypto_certificate leaf = {0};
    bool good = crypto_chain_tidy(answer->body, flow->order.key, &chain, &leaf, why) == ERROR_OK &&
                is_usable(flow, answer, &leaf, why) &&
                (wanted_root == NULL || strcasecmp(leaf.root, wanted_root) == 0);
    if (!good) {
        bytes_free(&chain);
        crypto_certificate_free(&leaf);
        return false;
    }
    bytes_free(&flow->chain);
    crypto_certificate_free(&flow->certificate);
    flow->chain = chain;
    flow->certificate = leaf;
    return true;
}

static void take_alternates(struct acme_flow *flow, const struct http_response *answer)
{
    for (size_t i = 0; i < answer->link_count; i++)
        flow->alternate_count +=
            acme_answer_link(answer, i, "alternate", flow->alternates[flow->alternate_count]);
}

static void download_hear(struct acme_flow *flow, const struct http_response *answer)
{
    const char *wanted = flow->order.preferred_chain;
    struct error_text why = {0};
    if (!take_chain(flow, answer, NULL, &why)) {
        acme_flow_doubt(flow, answer, why.text);
        return;
    }
    if (wanted != NULL && strcasecmp(flow->certificate.root, wanted) != 0)
        take_alternates(flow, answer);
    flow->index = 0;
    acme_flow_move(flow, flow->alternate_count > 0 ? ACME_STATE_ALTERNATE : ACME_STATE_DONE);
}

static void alternate_ask(struct acme_flow *flow, struct acme_request *request)
{
    ask(flow, flow->alternates[flow->index], request);
}

static void next_alternate(struct acme_flow *flow, bool found)
{
    bool more = ++flow->index < flow->alternate_count;
    acme_flow_move(flow, !found && more ? ACME_STATE_ALTERNATE : ACME_STATE_DONE);
}

static void alternate_hear(struct acme_flow *flow, const struct http_response *answer)
{
    next_alternate(flow, take_chain(flow, answer, flow->order.preferred_chain, NULL));
}

/* The chain that the CA prefers is at hand and good. */
static void alternate_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    (void)problem;
    next_alternate(flow, false);
}

const struct acme_state_row ACME_ORDER_ROWS[ACME_STATE__MAX] = {
    [ACME_STATE_ORDER_NEW] = {order_new_ask, order_new_hear, order_new_refused},
    [ACME_STATE_ACCOUNT_CHECK] = {account_check_ask, account_check_hear, account_check_refused},
    [ACME_STATE_ORDER_READ] = {order_ask, acme_follow_order, order_read_refused},
    [ACME_STATE_AUTHORIZATION] = {authorization_ask, authorization_hear, order_gone},
    [ACME_STATE_CHALLENGE] = {challenge_ask, challenge_hear, challenge_refused},
    [ACME_STATE_ORDER_POLL] = {order_ask, acme_follow_order, order_gone},
    [ACME_STATE_AUTOPSY] = {authorization_ask, autopsy_hear, order_gone},
    [ACME_STATE_FINALIZE] = {finalize_ask, finalize_hear, finalize_refused},
    [ACME_STATE_DOWNLOAD] = {download_ask, download_hear, order_gone},
    [ACME_STATE_ALTERNATE] = {alternate_ask, alternate_hear, alternate_refused},
};
