/* The flow's engine, and the conversations of one or two requests: see acme/acme_flow.h. */
#include "acme_state.h"

#include "acme/jws.h"
#include "crypto/base64url.h"
#include "json/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ATTEMPTS_MAX = 9,
    DIRECTORY_ATTEMPTS_MAX = 6,    /* every order waits for it, and so for another CA */
    RENEWAL_INFO_ATTEMPTS_MAX = 3, /* it can be done without, and orders need the place */
    BAD_NONCES_MAX = 30,
    BAD_NONCES_AT_ONCE = 10, /* then with a pause: some CAs count nonces per second */
    RETRY_FIRST_MS = 250,
    RETRY_LAST_MS = 20 * 1000,
    RETRY_AFTER_PATIENCE_S = 60, /* a longer wait is the scheduler's */
};

static const char *const STATE_NAMES[] = {
#define X(NAME, TEXT) [ACME_STATE_##NAME] = TEXT,
    ACME_STATE_TABLE(X)
#undef X
};
static_assert(COUNT_OF(STATE_NAMES) == ACME_STATE__MAX, "a state has no name");

const char *acme_state_name(enum acme_state state)
{
    assert(state < ACME_STATE__MAX);
    return STATE_NAMES[state];
}

/* -- Moving -- */

void acme_flow_move(struct acme_flow *flow, enum acme_state state)
{
    flow->state = state;
    flow->attempts = 0;
    flow->bad_nonces = 0;
}

/* Whether the same order may still come to something. */
static bool order_lives(enum acme_class class)
{
    return class == ACME_CLASS_TRANSIENT || class == ACME_CLASS_RATE_LIMITED ||
           class == ACME_CLASS_LOCAL;
}

void acme_flow_fail(struct acme_flow *flow, const struct acme_problem *problem)
{
    if (flow->state == ACME_STATE_ALTERNATE) {
        acme_flow_move(flow, ACME_STATE_DONE); /* the CA's own choice is at hand and good */
        return;
    }
    flow->problem = *problem;
    if (!order_lives(problem->class))
        flow->order_url[0] = '\0';
    acme_flow_move(flow, ACME_STATE_FAILED);
}

void acme_flow_fail_text(struct acme_flow *flow, enum acme_class class, const char *format, ...)
{
    struct acme_problem problem;
    char detail[sizeof(problem.detail)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    acme_problem_set(&problem, class, "%s", detail);
    acme_flow_fail(flow, &problem);
}

static int64_t retry_ms(const struct acme_flow *flow, int32_t retry_after_s)
{
    if (retry_after_s > 0)
        return (int64_t)retry_after_s * 1000;
    int64_t wait_ms = (int64_t)RETRY_FIRST_MS << (flow->attempts - 1);
    return wait_ms < RETRY_LAST_MS ? wait_ms : RETRY_LAST_MS;
}

/* Whether a key change came through is asked, whatever was heard of it: the answer to an earlier
 * attempt may have been lost on its way, and then the new key is in place. */
static void give_up(struct acme_flow *flow, const struct acme_problem *problem)
{
    if (flow->state != ACME_STATE_KEY_CHANGE) {
        acme_flow_fail(flow, problem);
        return;
    }
    flow->problem = *problem;
    acme_flow_move(flow, ACME_STATE_KEY_CHECK);
}

static unsigned attempts_max(enum acme_state state)
{
    switch (state) {
    case ACME_STATE_DIRECTORY: return DIRECTORY_ATTEMPTS_MAX;
    case ACME_STATE_RENEWAL_INFO: return RENEWAL_INFO_ATTEMPTS_MAX;
    default: return ATTEMPTS_MAX;
    }
}

/* Waits before the same request is sent again; false after too many, and for a wait that is longer.
 */
static bool wait_again(struct acme_flow *flow, const struct acme_problem *problem)
{
    /* Who is told to come back later holds the place of others who are not, and has no order yet
     * that would be lost: all of its waits together are no longer than one may be. */
    bool has_none =
        flow->state == ACME_STATE_ORDER_NEW && problem->class == ACME_CLASS_RATE_LIMITED;
    int64_t waits = ++flow->attempts;
    if (flow->attempts >= attempts_max(flow->state) ||
        problem->retry_after_s * (has_none ? waits : 1) > RETRY_AFTER_PATIENCE_S)
        return false;
    flow->wait_ms = retry_ms(flow, problem->retry_after_s);
    return true;
}

/* The same request again after a pause, or failure with `problem` after too many. */
static void try_again(struct acme_flow *flow, const struct acme_problem *problem)
{
    if (!wait_again(flow, problem))
        give_up(flow, problem);
}

static void try_with_another_nonce(struct acme_flow *flow, const struct acme_problem *problem)
{
    if (++flow->bad_nonces > BAD_NONCES_MAX) {
        struct acme_problem tired = *problem;
        tired.class = ACME_CLASS_TRANSIENT;
        acme_flow_fail(flow, &tired);
    } else if (flow->bad_nonces > BAD_NONCES_AT_ONCE) {
        flow->wait_ms = RETRY_FIRST_MS;
    }
}

void acme_flow_doubt(struct acme_flow *flow, const struct http_response *answer, const char *what)
{
    struct acme_problem problem;
    acme_problem_set(&problem, ACME_CLASS_BAD_ANSWER, "%s: %s", acme_state_name(flow->state), what);
    problem.status = answer->status;
    try_again(flow, &problem);
}

struct json *acme_answer_json(const struct http_response *answer)
{
    return json_parse(answer->body, ACME_ANSWER_MAX_BYTES, NULL, NULL);
}

bool acme_answer_link(const struct http_response *answer, size_t index, const char *relation,
                      char url[static ACME_URL_SIZE])
{
    char quoted[32];
    char plain[32];
    struct slice link = slice_trim(answer->links[index]);
    const char *end = link.size > 0 ? memchr(link.data, '>', link.size) : NULL;
    if (end == NULL || link.data[0] != '<')
        return false;
    struct slice target = {link.data + 1, (size_t)(end - link.data) - 1};
    struct slice rest = slice_skip(link, target.size + 2);
    snprintf(quoted, sizeof(quoted), "rel=\"%s\"", relation);
    snprintf(plain, sizeof(plain), "rel=%s", relation);
    if (!acme_url_is_good(target) ||
        (!slice_contains(rest, slice_of(quoted)) && !slice_contains(rest, slice_of(plain))))
        return false;
    memcpy(url, target.data, target.size);
    url[target.size] = '\0';
    return true;
}

void acme_flow_payload(struct acme_flow *flow, struct json *object, struct acme_request *request)
{
    char *text = json_print(object, JSON_STYLE_COMPACT);
    if (bytes_set(&flow->payload, slice_of(text)))
        request->payload = bytes_slice(&flow->payload);
    else
        acme_flow_fail_text(flow, ACME_CLASS_LOCAL, "out of memory");
    free(text);
    json_free(object);
}

/* -- Directory -- */

static void directory_ask(struct acme_flow *flow, struct acme_request *request)
{
    request->url = flow->url;
}

static void directory_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct error_text why = {0};
    if (acme_directory_parse(answer->body, flow->directory_result, &why) != ERROR_OK)
        acme_flow_doubt(flow, answer, why.text);
    else
        acme_flow_move(flow, ACME_STATE_DONE);
}

/* -- Account -- */

static void put_contacts(const struct acme_flow *flow, struct json *payload)
{
    struct json *contacts = json_new_array();
    for (size_t i = 0; i < flow->account.contact_count; i++)
        json_append_text(contacts, slice_of(flow->account.contacts[i]));
    json_put(payload, "contact", contacts);
}

static void account_new_ask(struct acme_flow *flow, struct acme_request *request)
{
    const struct acme_account_wish *wish = &flow->account;
    struct json *payload = json_new_object();
    json_put_bool(payload, "termsOfServiceAgreed", true);
    if (wish->contact_count > 0)
        put_contacts(flow, payload);
    if (wish->external_kid != NULL) {
        struct error_text why = {0};
        struct json *binding =
            jws_external_account(wish->key, wish->external_kid, slice_of(wish->external_secret),
                                 flow->directory->new_account, &why);
        if (binding == NULL) {
            acme_flow_fail_text(flow, ACME_CLASS_LOCAL, "%s", why.text);
            json_free(payload);
            return;
        }
        json_put(payload, "externalAccountBinding", binding);
    }
    request->url = flow->directory->new_account;
    request->key = wish->key;
    acme_flow_payload(flow, payload, request);
}

static bool has_contact(const struct json *contacts, const char *wanted)
{
    struct slice text;
    for (size_t i = 0; i < json_count(contacts); i++)
        if (json_read_text(json_at(contacts, i), &text) && slice_equal(text, slice_of(wanted)))
            return true;
    return false;
}

/* A CA that does not tell the contacts (Let's Encrypt stopped) has nothing to be updated. */
static bool contacts_differ(const struct acme_flow *flow, const struct json *account)
{
    const struct json *contacts = json_get(account, "contact");
    if (json_type_of(contacts) != JSON_TYPE_ARRAY)
        return false;
    if (json_count(contacts) != flow->account.contact_count)
        return true;
    for (size_t i = 0; i < flow->account.contact_count; i++)
        if (!has_contact(contacts, flow->account.contacts[i]))
            return true;
    return false;
}

static void account_new_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct slice status = {0};
    struct json *account = acme_answer_json(answer);
    if (!acme_url_is_good(answer->location)) {
        acme_flow_doubt(flow, answer, "the Location of the account is missing");
        json_free(account);
        return;
    }
    memcpy(flow->account_url, answer->location.data, answer->location.size);
    flow->account_url[answer->location.size] = '\0';
    flow->account_existed = answer->status == 200;
    if (json_read_text(json_get(account, "status"), &status) &&
        !slice_equal(status, SLICE("valid")))
        acme_flow_fail_text(flow, ACME_CLASS_KEY_REFUSED, "the account is %.*s",
                            (int)size_min(status.size, 40), status.data);
    else if (flow->account_existed && contacts_differ(flow, account))
        acme_flow_move(flow, ACME_STATE_ACCOUNT_UPDATE);
    else
        acme_flow_move(flow, ACME_STATE_DONE);
    json_free(account);
}

/* For a deactivated account every CA says `unauthorized` here, and the key is of no more use. So do
 * some of an external account that they do not take, where no other key would help. */
static void account_new_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    struct acme_problem told = *problem;
    if (strcmp(told.type, "unauthorized") == 0 &&
        (flow->account.external_kid == NULL || flow->account.was_refused))
        told.class = ACME_CLASS_KEY_REFUSED;
    acme_flow_fail(flow, &told);
}

static void account_update_ask(struct acme_flow *flow, struct acme_request *request)
{
    struct json *payload = json_new_object();
    put_contacts(flow, payload);
    request->url = flow->account_url;
    request->key = flow->account.key;
    request->kid = flow->account_url;
    acme_flow_payload(flow, payload, request);
}

static void finish_hear(struct acme_flow *flow, const struct http_response *answer)
{
    (void)answer;
    acme_flow_move(flow, ACME_STATE_DONE);
}

/* -- Key change -- */

static void key_change_ask(struct acme_flow *flow, struct acme_request *request)
{
    struct error_text why = {0};
    flow->key_stays = flow->directory->key_change[0] == '\0'; /* nobody is told of the new one */
    if (flow->key_stays)
        acme_flow_fail_text(flow, ACME_CLASS_REFUSED, "the CA offers no key change");
    else if (jws_key_change(flow->identity.key, flow->new_key, flow->identity.url,
                            flow->directory->key_change, &flow->payload, &why) != ERROR_OK)
        acme_flow_fail_text(flow, ACME_CLASS_LOCAL, "%s", why.text);
    request->url = flow->directory->key_change;
    request->key = flow->identity.key;
    request->kid = flow->identity.url;
    request->payload = bytes_slice(&flow->payload);
}

static void key_check_ask(struct acme_flow *flow, struct acme_request *request)
{
    struct json *payload = json_new_object();
    json_put_bool(payload, "onlyReturnExisting", true);
    request->url = flow->directory->new_account;
    request->key = flow->new_key;
    acme_flow_payload(flow, payload, request);
}

static void key_check_hear(struct acme_flow *flow, const struct http_response *answer)
{
    bool is_any = flow->identity.url[0] == '\0';
    if (!acme_url_is_good(answer->location)) {
        acme_flow_doubt(flow, answer, "no location");
    } else if (is_any || slice_equal(answer->location, slice_of(flow->identity.url))) {
        acme_flow_move(flow, ACME_STATE_DONE);
    } else {
        flow->key_stays = true;
        acme_flow_fail(flow, &flow->problem);
    }
}

/* What is not the CA's word does not tell whose the key is. */
static void key_check_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    flow->key_stays = problem->class != ACME_CLASS_BAD_ANSWER;
    acme_flow_fail(flow, flow->key_stays ? &flow->problem : problem);
}

/* -- Revocation -- */

static void revoke_ask(struct acme_flow *flow, struct acme_request *request)
{
    struct bytes encoded = {0};
    struct json *payload = json_new_object();
    if (flow->directory->revoke_cert[0] == '\0')
        acme_flow_fail_text(flow, ACME_CLASS_REFUSED, "the CA offers no revocation");
    if (!base64url_append(&encoded, flow->certificate_der))
        acme_flow_fail_text(flow, ACME_CLASS_LOCAL, "out of memory");
    json_put_text(payload, "certificate", bytes_slice(&encoded));
    bytes_free(&encoded);
    request->url = flow->directory->revoke_cert;
    request->key = flow->identity.key;
    request->kid = flow->identity.url;
    acme_flow_payload(flow, payload, request);
}

static void revoke_refused(struct acme_flow *flow, const struct acme_problem *problem)
{
    if (strcmp(problem->type, "alreadyRevoked") == 0) {
        acme_flow_move(flow, ACME_STATE_DONE);
    } else if (strcmp(problem->type, "unauthorized") == 0 && flow->certificate_key != NULL) {
        flow->identity = (struct acme_identity){.key = flow->certificate_key};
        flow->certificate_key = NULL;
        acme_flow_move(flow, ACME_STATE_REVOKE);
    } else {
        acme_flow_fail(flow, problem);
    }
}

/* -- Renewal information -- */

static void renewal_info_ask(struct acme_flow *flow, struct acme_request *request)
{
    request->url = flow->url;
}

static void renewal_info_hear(struct acme_flow *flow, const struct http_response *answer)
{
    struct error_text why = {0};
    flow->retry_after_s = acme_retry_after(answer);
    if (acme_renewal_info_parse(answer->body, &flow->renewal_info, &why) != ERROR_OK)
        acme_flow_fail_text(flow, ACME_CLASS_BAD_ANSWER, "%s", why.text);
    else
        acme_flow_move(flow, ACME_STATE_DONE);
}

static const struct acme_state_row OWN_ROWS[ACME_STATE__MAX] = {
    [ACME_STATE_DIRECTORY] = {directory_ask, directory_hear, NULL},
    [ACME_STATE_ACCOUNT_NEW] = {account_new_ask, account_new_hear, account_new_refused},
    [ACME_STATE_ACCOUNT_UPDATE] = {account_update_ask, finish_hear, NULL},
    [ACME_STATE_KEY_CHANGE] = {key_change_ask, finish_hear, give_up},
    [ACME_STATE_KEY_CHECK] = {key_check_ask, key_check_hear, key_check_refused},
    [ACME_STATE_REVOKE] = {revoke_ask, finish_hear, revoke_refused},
    [ACME_STATE_RENEWAL_INFO] = {renewal_info_ask, renewal_info_hear, NULL},
};

/* -- Engine -- */

static const struct acme_state_row *row_of(enum acme_state state)
{
    if (ACME_SEARCH_ROWS[state].ask != NULL)
        return &ACME_SEARCH_ROWS[state];
    return OWN_ROWS[state].ask != NULL ? &OWN_ROWS[state] : &ACME_ORDER_ROWS[state];
}

static void begin(struct acme_flow *flow, enum acme_state state)
{
    *flow = (struct acme_flow){.state = state, .retry_after_s = -1};
}

void acme_flow_directory(struct acme_flow *flow, const char *url, struct acme_directory *result)
{
    begin(flow, ACME_STATE_DIRECTORY);
    flow->url = url;
    flow->directory_result = result;
}

void acme_flow_account(struct acme_flow *flow, const struct acme_directory *directory,
                       const struct acme_account_wish *wish)
{
    begin(flow, ACME_STATE_ACCOUNT_NEW);
    flow->directory = directory;
    flow->account = *wish;
}

void acme_flow_order(struct acme_flow *flow, const struct acme_directory *directory,
                     const struct acme_order_wish *wish)
{
    bool resumes = wish->order_url != NULL && acme_url_is_good(slice_of(wish->order_url));
    begin(flow, resumes           ? ACME_STATE_ORDER_READ
                : wish->may_exist ? ACME_STATE_ACCOUNT_READ
                                  : ACME_STATE_ORDER_NEW);
    flow->directory = directory;
    flow->order = *wish;
    if (resumes)
        strcpy(flow->order_url, wish->order_url);
    else
        flow->order.order_url = NULL;
}

void acme_flow_revoke(struct acme_flow *flow, const struct acme_directory *directory,
                      const struct acme_identity *account, struct slice der,
                      const struct crypto_key *key)
{
    begin(flow, ACME_STATE_REVOKE);
    flow->directory = directory;
    flow->identity = *account;
    flow->certificate_der = der;
    flow->certificate_key = key;
}

void acme_flow_key_change(struct acme_flow *flow, const struct acme_directory *directory,
                          const struct acme_identity *account, const struct crypto_key *new_key)
{
    begin(flow, account->url[0] != '\0' ? ACME_STATE_KEY_CHANGE : ACME_STATE_KEY_CHECK);
    acme_problem_set(&flow->problem, ACME_CLASS_ACCOUNT_GONE, "no account has the new key");
    flow->directory = directory;
    flow->identity = *account;
    flow->new_key = new_key;
}

void acme_flow_renewal_info(struct acme_flow *flow, const char *url)
{
    begin(flow, ACME_STATE_RENEWAL_INFO);
    flow->url = url;
}

void acme_flow_fini(struct acme_flow *flow)
{
    bytes_free(&flow->payload);
    bytes_free(&flow->chain);
    crypto_certificate_free(&flow->certificate);
    free(flow->authorizations);
    free(flow->failures);
    free(flow->found);
    *flow = (struct acme_flow){.state = ACME_STATE_FAILED};
}

enum acme_action acme_flow_next(struct acme_flow *flow, struct acme_request *request)
{
    *request = (struct acme_request){0};
    if (flow->wait_ms > 0)
        return ACME_WAIT;
    if (row_of(flow->state)->ask != NULL)
        row_of(flow->state)->ask(flow, request);
    /* Asking may have failed the flow. */
    switch (flow->state) {
    case ACME_STATE_PUBLISH: return ACME_PUBLISH;
    case ACME_STATE_DONE: return ACME_DONE;
    case ACME_STATE_FAILED: return ACME_FAILED;
    default: return ACME_SEND;
    }
}

/* Whether an order, or what it says of the one before, is lost to a refusal there, or is not found;
 * or the account, when its new key is taken for nobody's. */
static bool is_at_stake(enum acme_state state)
{
    switch (state) {
    case ACME_STATE_KEY_CHECK:
    case ACME_STATE_ACCOUNT_READ:
    case ACME_STATE_ORDER_LIST:
    case ACME_STATE_ORDER_FIND:
    case ACME_STATE_ORDER_NEW:
    case ACME_STATE_ORDER_READ:
    case ACME_STATE_AUTHORIZATION:
    case ACME_STATE_CHALLENGE:
    case ACME_STATE_ORDER_POLL:
    case ACME_STATE_AUTOPSY:
    case ACME_STATE_FINALIZE:
    case ACME_STATE_DOWNLOAD: return true;
    default: return false;
    }
}

static void refuse(struct acme_flow *flow, const struct acme_problem *problem)
{
    const struct acme_state_row *row = row_of(flow->state);
    if (row->refused != NULL)
        row->refused(flow, problem);
    else
        acme_flow_fail(flow, problem);
}

static void hear_problem(struct acme_flow *flow, const struct acme_problem *problem)
{
    switch (problem->class) {
    case ACME_CLASS_BAD_NONCE: try_with_another_nonce(flow, problem); break;
    case ACME_CLASS_TRANSIENT:
        flow->order_unheard |= flow->state == ACME_STATE_ORDER_NEW;
        try_again(flow, problem);
        break;
    case ACME_CLASS_RATE_LIMITED:
        if (problem->retry_after_s >= 0)
            try_again(flow, problem);
        else
            give_up(flow, problem);
        break;
    case ACME_CLASS_ACCOUNT_GONE:
    case ACME_CLASS_PERSON:
        /* To a key change "gone" may mean that the old key is no more, as it should be; and to the
         * check behind it, that the new one is nobody's, so that the change was refused. */
        if (flow->state == ACME_STATE_KEY_CHANGE || flow->state == ACME_STATE_KEY_CHECK)
            refuse(flow, problem);
        else
            acme_flow_fail(flow, problem);
        break;
    case ACME_CLASS_BAD_ANSWER:
        /* A refusal that is not the CA's word, but that of what stands before it, may be over in a
         * moment. */
        if (!is_at_stake(flow->state) || !wait_again(flow, problem))
            refuse(flow, problem);
        break;
    default: refuse(flow, problem); break;
    }
}

void acme_flow_hear(struct acme_flow *flow, const struct http_response *answer)
{
    const struct acme_state_row *row = row_of(flow->state);
    assert(row->hear != NULL && flow->wait_ms == 0);
    if (answer->status >= 200 && answer->status < 300) {
        row->hear(flow, answer);
        return;
    }
    struct acme_problem problem;
    acme_problem_read(answer, &problem);
    if (flow->state == ACME_STATE_ORDER_NEW || flow->state == ACME_STATE_FINALIZE)
        acme_order_note_names(flow, answer, &problem);
    hear_problem(flow, &problem);
}

void acme_flow_resume(struct acme_flow *flow)
{
    if (flow->wait_ms > 0)
        flow->wait_ms = 0;
    else if (flow->state == ACME_STATE_PUBLISH)
        acme_flow_move(flow, ACME_STATE_CHALLENGE);
}

void acme_flow_key_authorization(const struct acme_flow *flow, size_t index,
                                 char text[static ACME_KEY_AUTHORIZATION_SIZE])
{
    assert(index < flow->authorization_count);
    snprintf(text, ACME_KEY_AUTHORIZATION_SIZE, "%s.%s", flow->authorizations[index].token,
             flow->order.account.thumbprint);
}

void acme_flow_end(struct acme_flow *flow, const struct acme_problem *problem)
{
    flow->wait_ms = 0;
    acme_flow_fail(flow, problem);
}
