/* One CA as the worker knows it: see ca.h. */
#include "ca.h"

#include "runner.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/time_text.h"
#include "crypto/base64url.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DIRECTORY_FRESH_MS = 24 * 3600 * 1000,
    BUDGET_WRITE_MS = 2000, /* many orders at once change it many times */
    CLOCK_TOLERANCE_S = 300,
    CLOCK_NOTE_EVERY_MS = 6 * 3600 * 1000,
    /* One order may fail for what it asks for, whoever calls that the server's fault. If that were
     * an outage, it would be tried again with each success of the others. */
    ORDERS_UNTIL_DOWN = 3,
};

static void write_budget(void *context)
{
    struct ca *ca = context;
    struct error_text why = {0};
    const struct schedule_now now = {.mono_ms = clock_mono_ms(), .wall_s = clock_wall_s()};
    struct json *saved = budget_save(ca->budget, &now);
    if (store_budget_save(ca->store, ca->settings->directory_url, saved, &why) != ERROR_OK)
        log_event(LOG_WARNING, "acme_limits_not_saved", LOG_TEXT("reason", why.text));
    json_free(saved);
}

static bool has_limits(const struct acme_ca_settings *settings)
{
    const char *host = settings->directory_url + strlen("https://");
    struct slice name = {host, strcspn(host, ":/")};
    if (settings->limits != ACME_LIMITS_BY_CA)
        return settings->limits == ACME_LIMITS_ON;
    return slice_ends_with(name, SLICE(".letsencrypt.org"));
}

static void load_budget(struct ca *ca)
{
    if (!has_limits(ca->settings))
        return;
    const struct schedule_now now = {.mono_ms = clock_mono_ms(), .wall_s = clock_wall_s()};
    struct json *saved = store_budget_load(ca->store, ca->settings->directory_url);
    ca->budget = budget_new();
    budget_load(ca->budget, saved, &now);
    json_free(saved);
}

void ca_budget_changed(struct ca *ca)
{
    if (ca->budget != NULL)
        main_timer_once(ca->budget_timer, BUDGET_WRITE_MS);
}

/* -- The account on disk -- */

static bool same_contacts(const struct ca *ca, const struct json *account)
{
    const struct json *contacts = json_get(account, "contacts");
    struct slice text;
    if (json_count(contacts) != ca->settings->contact_count)
        return false;
    for (size_t i = 0; i < ca->settings->contact_count; i++)
        if (!json_read_text(json_at(contacts, i), &text) ||
            !slice_equal(text, slice_of(ca->settings->contacts[i])))
            return false;
    return true;
}

/* Whether it was bound to another external account than is wished. What was written down by an
 * older version does not tell: it is taken for the same. Who wishes none keeps what there is, since
 * many a CA gives out an external account for one registration alone. */
static bool is_bound_otherwise(const struct ca *ca, const struct json *account)
{
    struct slice kid;
    return ca->settings->external_kid != NULL &&
           json_read_text(json_get(account, "external_kid"), &kid) &&
           !slice_equal(kid, slice_of(ca->settings->external_kid));
}

/* The account's URL if the account is the one that is wished; otherwise it is looked up, and its
 * contacts are changed on the way. False: its key leads to none that could be. */
static bool load_account(struct ca *ca)
{
    struct json *account = store_account_load(ca->store, ca->settings->directory_url);
    struct slice thumbprint;
    bool can_be = !is_bound_otherwise(ca, account);
    if (!can_be || !same_contacts(ca, account) ||
        !json_read_text(json_get(account, "thumbprint"), &thumbprint) ||
        !slice_equal(thumbprint, slice_of(ca->thumbprint)) ||
        !acme_url_copy(json_get(account, "url"), ca->account_url))
        ca->account_url[0] = '\0';
    json_free(account);
    return can_be;
}

/* What the account is bound to stays, be it wished for no more. */
static void put_binding(const struct ca *ca, struct json *account)
{
    struct json *before = store_account_load(ca->store, ca->settings->directory_url);
    struct slice kid = SLICE("");
    if (ca->settings->external_kid != NULL)
        kid = slice_of(ca->settings->external_kid);
    else
        (void)!json_read_text(json_get(before, "external_kid"), &kid);
    json_put_text(account, "external_kid", kid);
    json_free(before);
}

static void save_account(struct ca *ca)
{
    struct error_text why = {0};
    struct json *account = json_new_object(), *contacts = json_new_array();
    json_put_text(account, "directory", slice_of(ca->settings->directory_url));
    json_put_text(account, "url", slice_of(ca->account_url));
    json_put_text(account, "thumbprint", slice_of(ca->thumbprint));
    json_put_text(account, "terms_of_service", slice_of(ca->directory.terms_of_service));
    for (size_t i = 0; i < ca->settings->contact_count; i++)
        json_append_text(contacts, slice_of(ca->settings->contacts[i]));
    json_put(account, "contacts", contacts);
    put_binding(ca, account);
    if (store_account_save(ca->store, ca->settings->directory_url, account, &why) != ERROR_OK)
        log_event(LOG_WARNING, "acme_account_not_saved", LOG_TEXT("reason", why.text));
    json_free(account);
}

/* Terms that have changed since the account was made are for a person to read. */
static void compare_terms(struct ca *ca)
{
    struct json *account = store_account_load(ca->store, ca->settings->directory_url);
    struct slice old = {0};
    if (json_read_text(json_get(account, "terms_of_service"), &old) &&
        !slice_equal(old, slice_of(ca->directory.terms_of_service))) {
        log_event(LOG_NOTICE, "acme_terms_changed", LOG_TEXT("ca", ca->settings->directory_url),
                  LOG_TEXT("terms", ca->directory.terms_of_service), LOG_SLICE("before", old));
        if (ca->account_url[0] != '\0')
            save_account(ca);
    }
    json_free(account);
}

/* Takes the key with its thumbprint, which every answer to a challenge has, or neither. */
static enum error take_key(struct ca *ca, struct crypto_key *key, struct error_text *why)
{
    enum error error = crypto_key_thumbprint(key, ca->thumbprint, why);
    if (error != ERROR_OK) {
        crypto_key_free(key);
        return error;
    }
    crypto_key_free(ca->key);
    ca->key = key;
    return ERROR_OK;
}

static enum error load_key(struct ca *ca, struct error_text *why)
{
    struct crypto_key *key = store_account_key(ca->store, ca->settings->directory_url, why);
    return key != NULL ? take_key(ca, key, why) : ERROR_SYSTEM;
}

void ca_forget_account(struct ca *ca)
{
    log_event(LOG_NOTICE, "acme_account_gone", LOG_TEXT("ca", ca->settings->directory_url),
              LOG_TEXT("account", ca->account_url));
    ca->account_url[0] = '\0';
    ca->account_refused = true;
}

struct acme_identity ca_identity(const struct ca *ca)
{
    return (struct acme_identity){
        .key = ca->key, .url = ca->account_url, .thumbprint = ca->thumbprint};
}

/* -- Getting ready -- */

bool ca_is_ready(const struct ca *ca)
{
    return ca->setup == NULL && ca->new_key == NULL && ca->has_directory &&
           ca->account_url[0] != '\0' &&
           clock_mono_ms() - ca->directory_mono_ms < DIRECTORY_FRESH_MS;
}

static void on_setup_end(void *context, bool done);
static void tell_new_key(struct ca *ca);

static void start_setup(struct ca *ca)
{
    static const struct runner_hooks HOOKS = {.on_end = on_setup_end};
    ca->setup = runner_new(ca, &HOOKS, ca);
}

static void remember_refusal(struct ca *ca, const struct acme_problem *problem)
{
    ca->refused_until_mono_ms = 0;
    if (problem == NULL || problem->retry_after_s <= 0)
        return;
    ca->refusal = *problem;
    ca->refused_until_mono_ms = clock_mono_ms() + (int64_t)problem->retry_after_s * 1000;
}

const struct acme_problem *ca_refusal(struct ca *ca)
{
    int64_t left_ms = ca->refused_until_mono_ms - clock_mono_ms();
    if (left_ms <= 0)
        return NULL;
    ca->refusal.retry_after_s = (int32_t)(left_ms / 1000 + 1);
    return &ca->refusal;
}

static void end_setup(struct ca *ca, const struct acme_problem *problem)
{
    struct acme_problem copy;
    if (problem != NULL)
        copy = *problem;
    bool is_back = ca->is_down && problem == NULL;
    ca->is_down = problem != NULL;
    remember_refusal(ca, problem);
    runner_free(ca->setup);
    ca->setup = NULL;
    ca->on_ready(ca->context, ca, problem != NULL ? &copy : NULL, is_back);
}

static void ask_for_account(struct ca *ca)
{
    const struct acme_account_wish wish = {.key = ca->key,
                                           .contacts = ca->settings->contacts,
                                           .contact_count = ca->settings->contact_count,
                                           .external_kid = ca->settings->external_kid,
                                           .external_secret = ca->settings->external_secret,
                                           .was_refused = ca->account_refused};
    struct acme_problem problem;
    int64_t wait_ms = ca->budget != NULL ? budget_take_account_ms(ca->budget, clock_mono_ms()) : 0;
    if (wait_ms > 0) {
        acme_problem_set(&problem, ACME_CLASS_RATE_LIMITED,
                         "too many accounts have been asked for lately");
        problem.retry_after_s = (int32_t)(wait_ms / 1000 + 1);
        end_setup(ca, &problem);
        return;
    }
    ca_budget_changed(ca);
    start_setup(ca);
    acme_flow_account(runner_flow(ca->setup), &ca->directory, &wish);
    runner_start(ca->setup);
}

static void key_or_account_or_ready(struct ca *ca)
{
    /* An account that is not known is looked for by the key that it may have. By the other it would
     * not be found, and another made. */
    if (ca->new_key != NULL && (ca->account_url[0] != '\0' || ca->may_have_new_key))
        tell_new_key(ca);
    else if (ca->account_url[0] == '\0')
        ask_for_account(ca);
    else
        end_setup(ca, NULL);
}

/* -- A new key for the account -- */

static const char THUMBPRINT_HINT[] =
    "haproxy.cfg may hold the thumbprint of the key before: write it "
    "with `owui-spoa haproxy-config`, reload HAProxy";

/* One file for each CA, among those of orders on their way. */
static void pending_name(const struct ca *ca, char name[static STORE_NAME_SIZE])
{
    snprintf(name, STORE_NAME_SIZE, "account-key-%016llx",
             (unsigned long long)hash_content(slice_of(ca->settings->directory_url), 0));
}

static void end_key_change(struct ca *ca, const struct acme_problem *problem)
{
    acme_done_fn *on_done = ca->on_key_changed;
    ca->on_key_changed = NULL;
    if (on_done != NULL)
        on_done(ca->key_context, problem);
}

static void drop_new_key(struct ca *ca)
{
    char name[STORE_NAME_SIZE];
    pending_name(ca, name);
    store_pending_forget(ca->store, name);
    crypto_key_free(ca->new_key);
    ca->new_key = NULL;
    ca->may_have_new_key = false;
}

/* From now on the CA knows the new key alone. If it cannot be put in place it stays where it is,
 * and the next setup finds that it is the account's. */
static void take_new_key(struct ca *ca)
{
    struct error_text why = {0};
    if (store_account_set_key(ca->store, ca->settings->directory_url, ca->new_key, &why) !=
            ERROR_OK ||
        take_key(ca, crypto_key_share(ca->new_key), &why) != ERROR_OK) {
        struct acme_problem problem;
        acme_problem_set(&problem, ACME_CLASS_LOCAL, "%s", why.text);
        end_key_change(ca, &problem);
        end_setup(ca, &problem);
        return;
    }
    drop_new_key(ca);
    bool is_known = ca->account_url[0] != '\0'; /* or is looked up next, by the key that it has */
    if (is_known)
        save_account(ca);
    log_event(LOG_NOTICE, "acme_account_key_changed",
              LOG_TEXT("account", is_known ? ca->account_url : NULL),
              LOG_TEXT("hint", THUMBPRINT_HINT));
    end_key_change(ca, NULL);
    key_or_account_or_ready(ca);
}

/* Until it is known which key the account has, the next setup tries again. One that has kept the
 * key before goes on with that, whyever the CA did not change it: orders must not wait for a change
 * that may never come. */
static void new_key_refused(struct ca *ca, const struct acme_problem *problem, bool key_stays)
{
    log_event(LOG_WARNING, "acme_account_key_not_changed", LOG_TEXT("account", ca->account_url),
              LOG_TEXT("class", acme_class_name(problem->class)),
              LOG_TEXT("reason", problem->detail));
    end_key_change(ca, problem);
    if (key_stays) {
        drop_new_key(ca);
        key_or_account_or_ready(ca);
    } else {
        end_setup(ca, problem);
    }
}

static void on_key_change_end(void *context, bool done)
{
    struct ca *ca = context;
    const struct acme_problem problem = runner_flow(ca->setup)->problem;
    bool key_stays = runner_flow(ca->setup)->key_stays;
    runner_free(ca->setup);
    ca->setup = NULL;
    if (done) {
        take_new_key(ca);
    } else if (key_stays && ca->account_url[0] == '\0') {
        ca->may_have_new_key = false; /* the account has the key before, and is told of this one */
        key_or_account_or_ready(ca);
    } else {
        new_key_refused(ca, &problem, key_stays);
    }
}

static void tell_new_key(struct ca *ca)
{
    static const struct runner_hooks HOOKS = {.on_end = on_key_change_end};
    const struct acme_identity identity = ca_identity(ca);
    ca->setup = runner_new(ca, &HOOKS, ca);
    acme_flow_key_change(runner_flow(ca->setup), &ca->directory, &identity, ca->new_key);
    runner_start(ca->setup);
}

enum error ca_change_key(struct ca *ca, acme_done_fn *on_done, void *context,
                         struct error_text *why)
{
    char name[STORE_NAME_SIZE];
    if (ca->new_key != NULL)
        return error_set(why, ERROR_BUSY, "the key is being changed already");
    pending_name(ca, name);
    ca->new_key = store_pending_key(ca->store, name, CRYPTO_EC_P256, why);
    if (ca->new_key == NULL)
        return ERROR_SYSTEM;
    ca->on_key_changed = on_done;
    ca->key_context = context;
    ca_prepare(ca); /* a setup that is under way comes to it by itself */
    return ERROR_OK;
}

static void resume_key_change(struct ca *ca)
{
    char name[STORE_NAME_SIZE];
    pending_name(ca, name);
    ca->new_key = store_pending_key_find(ca->store, name, CRYPTO_EC_P256);
    ca->may_have_new_key = ca->new_key != NULL;
}

/* -- Another key, for another account -- */

static enum error burn_key(struct ca *ca, struct error_text *why)
{
    ca->account_refused = false;
    enum error error = store_account_burn(ca->store, ca->settings->directory_url, why);
    return error == ERROR_OK ? load_key(ca, why) : error;
}

/* Before there is an account: the CA may refuse to make it, and who then goes back has to be seen
 * to wish another one. */
static enum error note_binding(const struct ca *ca, struct error_text *why)
{
    struct json *account = store_account_load(ca->store, ca->settings->directory_url);
    enum error error = ERROR_OK;
    if (account == NULL) {
        account = json_new_object();
        json_put_text(account, "external_kid", slice_of(ca->settings->external_kid));
        error = store_account_save(ca->store, ca->settings->directory_url, account, why);
    }
    json_free(account);
    return error;
}

/* An account stays bound to what it was made with, and by its key a CA finds no other (RFC 8555
 * 7.3.1). The one before is found again by who goes back to it: many a CA lets an external account
 * be used for one registration alone, and a name may be mistyped. */
static enum error bind_anew(struct ca *ca, struct error_text *why)
{
    struct json *account = store_account_load(ca->store, ca->settings->directory_url);
    struct slice from = SLICE("");
    (void)!json_read_text(json_get(account, "external_kid"), &from);
    log_event(LOG_NOTICE, "acme_account_bound_anew", LOG_TEXT("ca", ca->settings->directory_url),
              LOG_TEXT("external_account", ca->settings->external_kid),
              LOG_TEXT("hint", THUMBPRINT_HINT));
    drop_new_key(ca); /* which was for the account before */
    enum error error = store_account_change(ca->store, ca->settings->directory_url, from,
                                            slice_of(ca->settings->external_kid), why);
    json_free(account);
    if (error == ERROR_OK)
        error = load_key(ca, why);
    if (error == ERROR_OK)
        (void)load_account(ca); /* one to which this is nothing new, if any */
    return error == ERROR_OK ? note_binding(ca, why) : error;
}

/* -- Getting ready, from step to step -- */

/* The CA will not have this key any more (its account was deactivated): once, another is made. */
static bool replace_burnt_key(struct ca *ca)
{
    struct error_text why = {0};
    if (ca->key_burnt)
        return false;
    ca->key_burnt = true;
    log_event(LOG_WARNING, "acme_account_key_refused", LOG_TEXT("ca", ca->settings->directory_url));
    if (burn_key(ca, &why) != ERROR_OK) {
        log_event(LOG_ERROR, "acme_account_key_not_made", LOG_TEXT("reason", why.text));
        return false;
    }
    return true;
}

static void on_setup_end(void *context, bool done)
{
    struct ca *ca = context;
    struct runner *ended = ca->setup;
    struct acme_flow *flow = runner_flow(ended);
    bool was_directory = flow->directory_result != NULL;
    if (!done) {
        if (flow->problem.class == ACME_CLASS_KEY_REFUSED && replace_burnt_key(ca)) {
            runner_free(ended);
            ca->setup = NULL;
            ask_for_account(ca);
        } else {
            end_setup(ca, &flow->problem);
        }
        return;
    }
    if (was_directory) {
        ca->has_directory = true;
        ca->directory_mono_ms = clock_mono_ms();
        compare_terms(ca);
    } else {
        memcpy(ca->account_url, flow->account_url, sizeof(ca->account_url));
        ca->account_refused = false;
        log_event(LOG_INFO, "acme_account", LOG_TEXT("ca", ca->settings->directory_url),
                  LOG_TEXT("account", ca->account_url),
                  LOG_TEXT("state", flow->account_existed ? "found" : "new"));
        save_account(ca);
    }
    runner_free(ended);
    ca->setup = NULL;
    key_or_account_or_ready(ca);
}

void ca_prepare(struct ca *ca)
{
    if (ca->setup != NULL)
        return;
    bool fresh = ca->has_directory && clock_mono_ms() - ca->directory_mono_ms < DIRECTORY_FRESH_MS;
    if (fresh) {
        key_or_account_or_ready(ca);
        return;
    }
    start_setup(ca);
    acme_flow_directory(runner_flow(ca->setup), ca->settings->directory_url, &ca->directory);
    runner_start(ca->setup);
}

bool ca_order_ended(struct ca *ca, const struct acme_problem *problem)
{
    bool is_back = problem == NULL && ca->orders_failed >= ORDERS_UNTIL_DOWN;
    if (problem == NULL) {
        ca->orders_failed = 0;
        ca->key_burnt = false; /* this CA does not refuse every key */
    } else if (acme_class_is_the_cas(problem->class) && ca->orders_failed < ORDERS_UNTIL_DOWN) {
        ca->orders_failed++;
    }
    return is_back;
}

/* -- What comes with every answer -- */

static void put_nonce(struct ca *ca, struct slice nonce)
{
    if (nonce.size >= CA_NONCE_SIZE || !base64url_is_token(nonce)) /* RFC 8555 6.5.1 */
        return;
    if (ca->nonce_count == CA_NONCES_MAX) { /* the oldest goes */
        memmove(ca->nonces[0], ca->nonces[1], sizeof(ca->nonces) - CA_NONCE_SIZE);
        ca->nonce_count--;
    }
    char *copy = ca->nonces[ca->nonce_count++];
    memcpy(copy, nonce.data, nonce.size);
    copy[nonce.size] = '\0';
}

/* A clock that is wrong renews too late, or much too soon. */
static void compare_clocks(struct ca *ca, const struct http_response *answer)
{
    int64_t theirs_s, now_mono_ms = clock_mono_ms();
    bool noted_lately =
        ca->clock_noted_mono_ms > 0 && now_mono_ms - ca->clock_noted_mono_ms < CLOCK_NOTE_EVERY_MS;
    if (noted_lately || !time_text_parse_http(answer->date, &theirs_s) ||
        llabs(theirs_s - answer->received_s) < CLOCK_TOLERANCE_S)
        return;
    ca->clock_noted_mono_ms = now_mono_ms;
    log_event(LOG_WARNING, "acme_clocks_differ", LOG_TEXT("ca", ca->settings->directory_url),
              LOG_NUMBER("ahead_s", answer->received_s - theirs_s),
              LOG_TEXT("consequence", "certificates are renewed at the wrong time"));
}

size_t acme_counts_index(int status)
{
    bool is_known = status >= ACME_STATUS_MIN && status <= ACME_STATUS_MAX;
    return is_known ? (size_t)(1 + status - ACME_STATUS_MIN) : 0;
}

void ca_note_answer(struct ca *ca, const struct http_response *answer)
{
    ca->counts.answers[acme_counts_index(answer->status)]++;
    put_nonce(ca, answer->nonce);
    compare_clocks(ca, answer);
}

bool ca_take_nonce(struct ca *ca, char nonce[static CA_NONCE_SIZE])
{
    if (ca->nonce_count == 0)
        return false;
    memcpy(nonce, ca->nonces[--ca->nonce_count], CA_NONCE_SIZE);
    return true;
}

/* -- Life -- */

enum error ca_init(struct ca *ca, struct main_loop *loop, struct store *store,
                   const struct acme_ca_settings *settings, ca_ready_fn *on_ready, void *context,
                   struct error_text *why)
{
    const struct http_client_settings http = {.ca_file = settings->ca_file,
                                              .timeout_ms = settings->timeout_ms,
                                              .post_type = "application/jose+json"};
    *ca = (struct ca){.settings = settings,
                      .loop = loop,
                      .store = store,
                      .on_ready = on_ready,
                      .context = context,
                      .counts = {.directory_url = settings->directory_url}};
    if (!acme_url_is_good(slice_of(settings->directory_url)))
        return error_set(why, ERROR_INVALID, "the directory %s is not an https URL",
                         settings->directory_url);
    ca->client = http_client_new(loop, &http, why);
    if (ca->client == NULL)
        return ERROR_NO_MEMORY;
    enum error error = load_key(ca, why);
    if (error == ERROR_OK && !load_account(ca))
        error = bind_anew(ca, why);
    if (error != ERROR_OK)
        return error;
    resume_key_change(ca);
    load_budget(ca);
    ca->budget_timer = main_timer_new(loop, write_budget, ca);
    return ERROR_OK;
}

void ca_fini(struct ca *ca)
{
    runner_free(ca->setup);
    if (ca->budget != NULL)
        write_budget(ca);
    main_timer_free(ca->budget_timer);
    budget_free(ca->budget);
    crypto_key_free(ca->new_key);
    crypto_key_free(ca->key);
    http_client_free(ca->client);
    *ca = (struct ca){0};
}
