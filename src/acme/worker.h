/* What the parts of the worker share: acme_worker.c (what is wanted, what is due), worker_job.c
 * (the work), worker_memory.c (what is written down).
 *
 * A certificate is in the queue until it is due, waits for a CA to be ready, or is at work. Every
 * event ends in worker_plan(), which puts it where it belongs.
 */
#pragma once

#include "acme/queue.h"
#include "ca.h"
#include "key_maker.h"

enum { CA_COUNT = 3 };

/* A name of a certificate. One that a CA will not certify is left out of orders until its own
 * back-off has passed, so that it does not keep the others waiting. */
struct host {
    char *name;
    struct schedule_certificate hold; /* its failures; out until `retry_mono_ms` */
    struct acme_problem *problem;     /* NULL: none */
    bool is_forbidden;                /* by CAA records, to the CA that is closed for that */
};

enum work {
    WORK_NONE,
    WORK_WAITS,      /* for the CA to be ready */
    WORK_WAITS_TURN, /* for its twin's order to be over */
    WORK_ORDER,
    WORK_POLL,
    WORK_REVOKE,
};

/* Work under way. Of 100,000 certificates few are at work, so this is kept apart. */
struct job {
    struct certificate *certificate;
    uint64_t ticket;
    int64_t started_mono_ms;
    struct runner *runner; /* NULL until it starts */
    /* The account as it was when the work began: the CA's may change meanwhile. */
    struct crypto_key *account_key;
    char account_url[ACME_URL_SIZE];
    char thumbprint[CRYPTO_THUMBPRINT_LENGTH + 1];
    bool examining;           /* the names are being looked at, before the CA is asked */
    struct key_maker *maker;  /* makes the next one; NULL when there is no need */
    struct crypto_key *key;   /* of the certificate to come */
    const char **order_names; /* of the certificate's hosts */
    size_t order_count;
    const char *waited_for;        /* a limit of the CA's, until now; NULL: none */
    char order_url[ACME_URL_SIZE]; /* as written down */
    char resumed_url[ACME_URL_SIZE];
    bool has_taken;          /* from the CA's limits, */
    enum budget_order taken; /* so much */
    bool may_exist;          /* an order was about to be made, or its URL has become the twin's */
    char info_url[ACME_URL_SIZE + 128];
};

/* Asked for while this one was in service. Another may be, by the time the CA is ready. */
struct revocation {
    struct bytes der;
    struct crypto_key *key; /* its own */
    char serial[CRYPTO_SERIAL_SIZE];
    enum schedule_ca ca; /* that has issued it */
    acme_done_fn *on_done;
    void *context;
};

struct certificate {
    struct queue_entry entry;
    struct certificate *next, *previous; /* of all */
    struct certificate *next_alike;      /* of those in the same slot of the index */
    struct acme_worker *worker;
    char *name;
    struct host *hosts;
    size_t host_count;
    enum crypto_key_type key_type;

    struct schedule_certificate schedule;
    struct crypto_certificate in_service; /* `names` is NULL when there is none */
    char *issuer_directory;               /* NULL when it is not known */
    /* The schedule has a CA closed until then because of CAA records; while it has another time,
     * for something else. */
    int64_t forbidden_until_mono_ms;
    struct acme_problem *problem;   /* NULL: none since the last success */
    char about[CRYPTO_SERIAL_SIZE]; /* what all this is of; "": none */
    int64_t look_mono_ms;           /* its file may be good later: looked at again then; 0: not */
    bool is_unreadable;             /* that file: whether it is good cannot be seen */
    bool is_untrusted; /* by this machine, and from a CA that is configured no longer */
    const char *limit; /* it waits for one of the CA's, not for a failure to pass; NULL: none */

    enum work work;
    enum work waits_to;     /* do, in WORK_WAITS */
    enum schedule_ca ca;    /* of the work */
    struct job *job;        /* NULL in WORK_NONE and while it waits */
    unsigned registrations; /* for this order */

    bool is_unsaved;                  /* what has become of it is not written down yet */
    struct revocation *revocation;    /* NULL: none is wanted */
    char revoked[CRYPTO_SERIAL_SIZE]; /* "": none was */
};

struct acme_worker {
    struct main_loop *loop;
    struct store *store;
    struct acme_worker_settings settings;
    struct ca cas[CA_COUNT];
    bool has_ca[CA_COUNT];
    char *whom; /* is asked, and as whom: another text where that is another CA or account */
    struct certificate *first;
    struct certificate **index; /* by name: `index_size` chains, a power of two */
    size_t index_size;
    size_t count;
    struct queue queue;
    struct main_timer *timer;
    struct main_timer *save_timer; /* runs while something is not written down */
    uint64_t last_ticket;
    struct job **jobs; /* room for as many as may run at once */
    size_t running;
    struct left_ca *left_cas; /* that certificates in service are from */
    uint64_t failures[ACME_CLASS__MAX];
    uint64_t issued;
};

/* acme_worker.c */
struct schedule_now worker_now(void);
void worker_plan(struct certificate *certificate);
/* What is to be done now; takes hosts into account that are missing from what is in service. */
struct schedule_decision worker_decide(const struct certificate *certificate,
                                       const struct schedule_now *now);
bool worker_host_is_out(const struct host *host, const struct schedule_now *now);
/* Another one is wanted whatever the schedule says: neither it nor a name of it waits any more. */
void worker_want_now(struct certificate *certificate);
/* Whom the CA has failed need not wait for the next try as if it would fail again. */
void worker_ca_is_back(struct acme_worker *worker, const struct ca *ca);
/* A certificate has stopped working: others may begin. */
void worker_work_ended(struct acme_worker *worker);
/* What is remembered of other names that failed together is of no concern any more. */
void worker_names_changed(struct certificate *certificate);
/* Takes over what was remembered of a problem; NULL for none. */
void worker_set_problem(struct acme_problem **own, const struct acme_problem *problem);

/* worker_index.c */
struct certificate *worker_find(const struct acme_worker *worker, const char *name);
void worker_add(struct acme_worker *worker, struct certificate *certificate);
void worker_take_out(struct acme_worker *worker, struct certificate *certificate);
/* The certificate for the same names with the other kind of key, "x.pem.ecdsa" for "x.pem.rsa" and
 * the other way round. NULL: there is none. Their orders look the same, to us and to a CA that
 * answers newOrder with the one that is pending already. So there is one at a time, and until it is
 * finalized it may become the other's. */
struct certificate *worker_twin(const struct certificate *certificate);

/* worker_left.c: CAs that are configured no longer */
/* Looks whether the certificate in service is from one of them, and whether that was a trial's. */
void worker_look_at_issuer(struct certificate *certificate);
void worker_free_left_cas(struct acme_worker *worker);

/* worker_job.c */
void worker_order(struct certificate *certificate);
/* The names have been looked at; none need be refused. */
void worker_examined(struct job *job, const struct acme_failure *refused, size_t count);
void worker_poll(struct certificate *certificate);
void worker_revoke(struct certificate *certificate);
/* It will not be done any more. */
void worker_drop_revocation(struct certificate *certificate);
void worker_drop_job(struct certificate *certificate);
/* The order came to nothing. */
void worker_failed(struct certificate *certificate, const struct acme_problem *problem);
/* The CA for which the certificate waited is not to be had; telling that is the caller's. */
void worker_ca_failed(struct certificate *certificate, const struct acme_problem *problem);
/* Whether the certificate in service is from that one. */
bool worker_has_issued(const struct ca *ca, const struct certificate *certificate);
/* The CA that a certificate in service belongs to. */
enum schedule_ca worker_issuer(const struct certificate *certificate);

/* worker_memory.c */
void worker_save(struct certificate *certificate);
/* The same in one of the next turns of the loop, a few at a time; by the end of the worker at the
 * latest. For what many come to at once. */
void worker_save_later(struct certificate *certificate);
void worker_save_some(void *worker);
/* Reads what is in service and what is remembered. */
void worker_load(struct certificate *certificate);
/* Where nothing is in service: puts back what had left when nobody wanted it, if it is good for a
 * host. */
MUST_CHECK bool worker_bring_back(const struct certificate *certificate);
/* Forgets what is remembered, as nobody wants it any more. */
void worker_forget(const struct certificate *certificate);
/* Takes what is in service from the store. */
void worker_look(struct certificate *certificate);
/* What is remembered from now on is of the one in service. */
void worker_is_about(struct certificate *certificate);
/* Forgets what is remembered of another certificate than the one that was found in service. One
 * that was revoked is replaced at once, and so is a trial's, whose CA is configured no longer. */
void worker_compare(struct certificate *certificate);
/* Finds the order on its way at the CA with this directory, if it is for the same names: its URL,
 * or only that it was about to be made. */
void worker_load_order(struct job *job, const char *directory_url);
/* `order_url` NULL: it is about to be made. What fails is logged. */
enum error worker_save_order(struct job *job, const char *directory_url, const char *order_url,
                             struct error_text *why);
void worker_forget_order(struct job *job);
