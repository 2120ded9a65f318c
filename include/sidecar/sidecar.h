/* The sidecar: the thread that owns the certificates.
 *
 * It is told which certificates are wanted, and sees to it that each is obtained, renewed, on disk,
 * and in every HAProxy: it runs the ACME worker, answers challenges, is the only writer of the
 * Runtime APIs, and does what the admin interface is asked about certificates. HAProxys that were
 * restarted or reloaded behind its back are noticed and set right.
 *
 *     main thread                           sidecar thread
 *     sidecar_want(list)   -- mailbox -->   worker: orders, renewals; deployer: swaps
 *     on_challenges(list)  <-- copies ---   what HAProxys are to answer
 *     sidecar_challenges_out()        -->   the CA may look
 *
 * What is handed over are copies; nothing is shared.
 */
#pragma once

#include "acme/acme_worker.h"
#include "admin/admin_server.h"
#include "sidecar/runtime_client.h"

struct sidecar;

/* The admin interface's operations on certificates, whose context is the sidecar. */
extern const struct admin_operation CERTIFICATE_OPERATIONS[];

/* Texts are borrowed until sidecar_start() returns. */
struct sidecar_settings {
    struct acme_ca_settings cas[3]; /* by enum schedule_ca; no first one: nothing is ordered */
    unsigned second_after;   /* failures in a row until the second CA; 0: the worker's default */
    unsigned orders_at_once; /* 0: the worker's default */
    bool rsa;                /* RSA keys instead of ECDSA ones; both: two files per tenant */
    bool ecdsa;              /* neither: ECDSA */
    struct store_settings store;
    const char *const *runtime; /* see runtime_target_parse() */
    size_t runtime_count;
    /* HAProxy's binds, where challenges and certificates are looked at as others see them, and the
     * networks whose connections begin with a PROXY line. */
    const char *const *http;
    size_t http_count;
    const char *const *https;
    size_t https_count;
    const char *const *proxy_protocol_from;
    size_t proxy_protocol_from_count;
    /* Whether DNS is looked at before an order, and who is asked; nobody: the system's. */
    bool look_at_dns;
    const char *const *nameservers;
    size_t nameserver_count;
    const char *challenge_listen; /* "127.0.0.1:8688"; not opened without a CA and a webroot */
    const char *webroot;          /* NULL: none */
    const char *certbot_live;     /* another client's folder that is watched; NULL: none */
    struct admin_server *admin;   /* of the caller's thread; outlives the sidecar; NULL: none */
    unsigned told_max;            /* certificates of which metrics tell each */
    int64_t look_every_ms;        /* at the HAProxys; 0 means 5000 */

    /* The challenges that are to be answered have changed: these are all. Called in the sidecar's
     * thread, where texts end with the call; sidecar_challenges_out() tells when `number`, which
     * grows, is in force. NULL: nobody but the sidecar answers. */
    void (*on_challenges)(void *context, uint64_t number, const struct acme_challenge *challenges,
                          size_t count);
    void *context;
};

/* Opens sockets and folders and starts the thread. NULL with the reason when something is not to be
 * had. */
MUST_CHECK struct sidecar *sidecar_start(const struct sidecar_settings *settings,
                                         struct error_text *text);
/* Ends the thread; orders on their way are resumed by the next start. NULL is fine. */
void sidecar_stop(struct sidecar *sidecar);

/* One tenant's certificate: the hosts that it must cover, "*.example.com" among them where it is
 * somebody else's. That one is nothing but looked after: it is brought to HAProxys when it changes,
 * and its end is told. Several tenants may name the same file. */
struct sidecar_wish {
    const char *tenant;
    const char *const *hosts;
    size_t host_count;
    const char *file; /* somebody else's, in the folder of certificates; NULL: the tenant's own */
};

/* All that is wanted from now on; copied, the latest list wins. Any thread, one at a time. */
void sidecar_want(struct sidecar *sidecar, const struct sidecar_wish *wishes, size_t count);

/* How often its thread has come round: every few seconds at least, while it is not stuck. Any
 * thread. */
uint64_t sidecar_turns(const struct sidecar *sidecar);
/* What is asked of the admin interface does not wait for a sidecar that is stuck. In the thread of
 * that interface. */
void sidecar_pass_over(struct sidecar *sidecar, bool is_stuck);

/* Challenges are answered as told by on_challenges() with this number. Any thread. */
void sidecar_challenges_out(struct sidecar *sidecar, uint64_t number);
