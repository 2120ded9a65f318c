/* The certificates of a process: what is due is ordered, several at a time, and put into the store.
 *
 * Lives on the main loop of one thread (the sidecar's) and blocks only to sync files. The host
 * brings challenges to where a CA can see them, and certificates to HAProxy.
 */
#pragma once

#include "acme/acme_flow.h"
#include "acme/schedule.h"
#include "acme/store.h"
#include "net/main_loop.h"

/* Texts are borrowed for the life of the worker. */
struct acme_ca_settings {
    const char *directory_url; /* NULL: there is no such CA */
    const char *ca_file;       /* roots for its HTTPS; NULL: the system's */
    const char *const *contacts;
    size_t contact_count;
    const char *external_kid; /* NULL without external account binding */
    const char *external_secret;
    const char *profile;         /* NULL: the CA's default */
    const char *preferred_chain; /* NULL: the CA's default */
    int64_t timeout_ms;          /* of a request; 0: see http/http_client.h */
    /* Whether to stay below Let's Encrypt's limits (acme/budget.h). Other CAs have others or none,
     * and are believed when they say "429". */
    enum { ACME_LIMITS_BY_CA, ACME_LIMITS_ON, ACME_LIMITS_OFF } limits;
};

struct acme_challenge {
    const char *host; /* which the CA will ask */
    const char *token;
    const char *key_authorization;
};

/* Names that are about to be ordered, and what has to do with who may certify them. */
struct acme_examination {
    const char *const *names;
    size_t name_count;
    const struct acme_directory *ca;
    const char *account_url;
};

struct acme_worker_hooks {
    /* See whether the CA need be asked at all, then call acme_worker_examined() with the ticket,
     * now or later. Texts end with the call. NULL: the CA is asked at once. */
    void (*examine)(void *context, uint64_t ticket, const struct acme_examination *examination);
    /* Make all of these answer, then call acme_worker_published() with the ticket, now or later.
     * Setting one twice is fine. Texts end with the call. */
    void (*publish)(void *context, uint64_t ticket, const struct acme_challenge *challenges,
                    size_t count);
    void (*withdraw)(void *context, const char *token);
    /* A new pair is in service in the store. */
    void (*ready)(void *context, const char *name, const struct crypto_certificate *certificate);
};

struct acme_worker_settings {
    struct acme_ca_settings cas[3]; /* by enum schedule_ca; the first must be there */
    unsigned second_after;          /* failures until the second CA; 0 means 5 */
    unsigned orders_at_once;        /* 0 means 20 */
    struct acme_worker_hooks hooks;
    void *context;
};

struct acme_worker;

/* `store` must outlive the worker. */
MUST_CHECK struct acme_worker *acme_worker_new(struct main_loop *loop, struct store *store,
                                               const struct acme_worker_settings *settings,
                                               struct error_text *why);
/* Orders on their way are left as they are and resumed by the next worker. Not from a hook. */
void acme_worker_free(struct acme_worker *worker);

/* One certificate that is wanted: a file in the store and the names that it is for. */
struct acme_wanted {
    const char *name; /* of the file, see acme/store.h */
    const char *const *hosts;
    size_t host_count; /* 1 to ACME_HOSTS_MAX */
    enum crypto_key_type key_type;
};

enum { ACME_HOSTS_MAX = 100 };

/* Adds, or changes what is there. Copied. */
MUST_CHECK enum error acme_worker_want(struct acme_worker *worker, const struct acme_wanted *wanted,
                                       struct error_text *why);
/* No more; the files stay. Not there is fine. */
void acme_worker_unwant(struct acme_worker *worker, const char *name);
/* As soon as the CA's limits allow, whatever the schedule says. */
MUST_CHECK enum error acme_worker_renew(struct acme_worker *worker, const char *name);

/* What is in service is this now, whoever put it there; the worker goes by it if it is new to it.
 */
void acme_worker_found(struct acme_worker *worker, const char *name,
                       const struct crypto_certificate *found);
/* Whether the certificate with this serial is the last of `name` that was revoked. */
MUST_CHECK bool acme_worker_has_revoked(const struct acme_worker *worker, const char *name,
                                        const char *serial);
/* The pair before was put back: it stays for a day, or for as long as its end lets it. An order on
 * its way is given up. */
void acme_worker_put_back(struct acme_worker *worker, const char *name);

/* These names need not be ordered now: they are left out, as if the CA had refused them, and are
 * looked at again within minutes. */
void acme_worker_examined(struct acme_worker *worker, uint64_t ticket,
                          const struct acme_failure *refused, size_t count);
void acme_worker_published(struct acme_worker *worker, uint64_t ticket);
/* The challenges do not answer, so that the CA need not be troubled. */
void acme_worker_not_published(struct acme_worker *worker, uint64_t ticket, const char *reason);
/* What challenges go through has started anew, and what was wrong with it may be mended: who has
 * failed for our own side's sake does not wait for long any more. */
void acme_worker_way_is_new(struct acme_worker *worker);

/* The end of a revocation or a key change; `problem` is NULL on success. */
typedef void acme_done_fn(void *context, const struct acme_problem *problem);
/* Revokes the certificate in service, though another may be by the time the CA is ready, and orders
 * another in its place. ERROR_BUSY when the file is another than the worker knows. The worker's
 * end, or that of the certificate in it, drops the revocation: the log tells, `on_done` is not
 * called. */
MUST_CHECK enum error acme_worker_revoke(struct acme_worker *worker, const char *name,
                                         acme_done_fn *on_done, void *context,
                                         struct error_text *why);
/* A new key for the account at the first CA; written before the CA is told. */
MUST_CHECK enum error acme_worker_change_key(struct acme_worker *worker, acme_done_fn *on_done,
                                             void *context, struct error_text *why);

/* What is known, for people and machines. Texts end with the call. */
struct acme_host_status {
    const char *host;
    const struct acme_problem *problem; /* NULL: none; otherwise left out for now */
    int64_t retry_in_ms;
};
struct acme_status {
    const char *name;
    const struct crypto_certificate *certificate; /* in service; NULL when there is none */
    const struct acme_host_status *hosts;
    size_t host_count;
    const struct acme_problem *problem; /* the last one since the last success, or NULL */
    unsigned failures;
    enum schedule_alarm alarm;
    bool is_untrusted; /* by this machine, and from a CA that is configured no longer */
    const char *doing; /* what is being done now; NULL: waiting */
    const char *why;   /* the next action, in words */
    int64_t next_in_ms;
    int64_t why_in_ms; /* until what `why` tells of, be it some other action's turn before */
    int64_t renewal_s; /* wall clock; 0 when there is nothing to renew */
    const char *ca;    /* directory of the CA that issued it, as far as we know; may be "" */
};
typedef void acme_status_fn(void *context, const struct acme_status *status);
/* False when there is no such certificate. */
MUST_CHECK bool acme_worker_status(struct acme_worker *worker, const char *name,
                                   acme_status_fn *found, void *context);
size_t acme_worker_orders_running(const struct acme_worker *worker);
/* What happened since the worker was made. */
enum { ACME_STATUS_MIN = 100, ACME_STATUS_MAX = 599 };
struct acme_counts {
    /* Answers of a CA by HTTP status, from ACME_STATUS_MIN; [0]: none came. */
    uint32_t answers[1 + ACME_STATUS_MAX - ACME_STATUS_MIN + 1];
    const char *directory_url; /* of that CA; NULL: there is no such CA */
};
/* The index for `status` in the array above. */
size_t acme_counts_index(int status);
/* `ca` is one of enum schedule_ca; borrowed. */
const struct acme_counts *acme_worker_counts(const struct acme_worker *worker, unsigned ca);
/* Orders that came to nothing, and names that were left out, by why. */
uint64_t acme_worker_failures(const struct acme_worker *worker, enum acme_class class);
uint64_t acme_worker_issued(const struct acme_worker *worker);
