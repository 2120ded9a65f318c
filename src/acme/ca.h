/* One CA as the worker knows it: connections, nonces, directory, account, limits. */
#pragma once

#include "acme/acme_worker.h"
#include "acme/budget.h"
#include "http/http_client.h"

enum { CA_NONCES_MAX = 64, CA_NONCE_SIZE = 128 };

struct runner;
struct ca;

/* The CA is ready for orders, or (with a problem, which is not told yet) is not. `is_back`: the
 * time before it was not. */
typedef void ca_ready_fn(void *context, struct ca *ca, const struct acme_problem *problem,
                         bool is_back);

struct ca {
    const struct acme_ca_settings *settings;
    struct main_loop *loop;
    struct store *store;
    struct http_client *client;
    ca_ready_fn *on_ready;
    void *context;

    /* The newest at the end: nonces age at the CA. */
    char nonces[CA_NONCES_MAX][CA_NONCE_SIZE];
    size_t nonce_count;

    bool has_directory;
    int64_t directory_mono_ms; /* when it was read */
    struct acme_directory directory;

    struct crypto_key *key;
    char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1];
    char account_url[ACME_URL_SIZE]; /* "" until it is known */
    bool account_refused;            /* by the CA: it was this key's, and may be no more */
    /* Once is enough, until an order goes well: a CA that refuses every key is not to be flooded.
     */
    bool key_burnt;

    struct budget *budget;           /* NULL: no limits are known */
    struct main_timer *budget_timer; /* runs while there is something to write */

    struct runner *setup; /* NULL: not under way */
    /* What became of the last setup, and until when there need be no other; 0: nothing is known. */
    struct acme_problem refusal;
    int64_t refused_until_mono_ms;
    bool is_down;           /* the last setup came to nothing */
    unsigned orders_failed; /* by its fault, since the last that it has fulfilled */

    /* A new account key that the CA has to be told of. It is on disk, so that a change which was
     * interrupted is finished: before any order, because either key may be the account's. */
    struct crypto_key *new_key;
    bool may_have_new_key;        /* the account: the process before may have told the CA */
    acme_done_fn *on_key_changed; /* NULL: nobody waits for it */
    void *key_context;

    struct acme_counts counts;

    int64_t clock_noted_mono_ms; /* when it was last told that our clocks differ */
};

MUST_CHECK enum error ca_init(struct ca *ca, struct main_loop *loop, struct store *store,
                              const struct acme_ca_settings *settings, ca_ready_fn *on_ready,
                              void *context, struct error_text *why);
void ca_fini(struct ca *ca);

/* Whether orders can go out now. If not, ca_prepare() will call on_ready, now or later. */
MUST_CHECK bool ca_is_ready(const struct ca *ca);
void ca_prepare(struct ca *ca);
/* Why it need not be asked now, with the wait that is left: it has said when to come back, or our
 * own limits have. That was told when it began. NULL: it may be asked. */
const struct acme_problem *ca_refusal(struct ca *ca);
/* The CA does not know the account any more. */
void ca_forget_account(struct ca *ca);
struct acme_identity ca_identity(const struct ca *ca);
/* Makes a new account key; the CA is told when it is next prepared. */
MUST_CHECK enum error ca_change_key(struct ca *ca, acme_done_fn *on_done, void *context,
                                    struct error_text *why);
/* An order has ended there: `problem` is NULL when it was fulfilled. True: so the CA is back, after
 * several in a row that it has failed. */
MUST_CHECK bool ca_order_ended(struct ca *ca, const struct acme_problem *problem);
/* Takes note of what comes with every answer: nonce and date. */
void ca_note_answer(struct ca *ca, const struct http_response *answer);
/* To be called after the budget has changed. */
void ca_budget_changed(struct ca *ca);

MUST_CHECK bool ca_take_nonce(struct ca *ca, char nonce[static CA_NONCE_SIZE]);
