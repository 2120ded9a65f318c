/* What the sidecar's files share. All of it belongs to the sidecar's thread, but for what is
 * atomic.
 */
#pragma once

#include "admin/admin_server.h"
#include "ca_settings.h"
#include "certificate_list.h"
#include "examination.h"
#include "handshake.h"
#include "http/http_client.h"
#include "leaving.h"
#include "net/listen_socket.h"
#include "overlap.h"
#include "publication.h"
#include "sidecar/challenges.h"
#include "sidecar/deploy.h"
#include "sidecar/sidecar.h"
#include "withdrawal.h"

#include <pthread.h>
#include <stdatomic.h>

/* One HAProxy, as it was last seen. */
struct haproxy_seen {
    struct runtime_target target;
    struct runtime_exchange *exchange; /* a look that is under way */
    struct sidecar *sidecar;
    struct runtime_process process; /* number 0: not seen, or gone */
    int64_t started_s;              /* when that process began, as it tells; 0: it does not */
    int64_t told_s;                 /* when it told that */
    unsigned silences;              /* looks in a row that had no answer in time */
    bool is_told_twice;             /* that another socket leads to it, too */
    char problem[256];
};

/* What became of certificates on their way into HAProxys, since the start. */
enum { SWAP_TIME_BOUNDS = 10 };
struct swap_counts {
    uint64_t done;
    uint64_t unchanged; /* HAProxy had it */
    uint64_t removed;
    uint64_t failed;
    uint64_t times[SWAP_TIME_BOUNDS + 1]; /* of those done */
    uint64_t sum_us;
};

struct sidecar {
    pthread_t thread;
    struct main_loop *loop;
    struct main_waker *waker;
    struct main_timer *look_timer;
    struct main_timer *turn_timer; /* for the rest of what was too much for one turn */
    int64_t look_every_ms;
    _Atomic(struct certificate_list *) mailbox;
    _Atomic uint64_t challenges_out; /* the number of what is in force */
    atomic_bool stopping;
    _Atomic uint64_t turns; /* looks, and wakes */

    struct store *store;
    struct acme_ca_settings cas[3];
    struct acme_worker *worker; /* NULL: no CA is configured */
    struct deployer *deployer;
    struct swap_counts swaps;
    unsigned told_max; /* certificates of which metrics tell each */
    struct challenges *challenges;
    struct publications *publications;
    struct examinations *examinations; /* NULL: the CA looks by itself */
    struct handshakes *handshakes;
    struct http_client *probes;            /* to our own HAProxys */
    struct challenge_door *challenge_door; /* NULL: others answer there, if anybody */
    struct admin_desk *desk;               /* NULL: nobody can ask */
    struct haproxy_seen *haproxys;
    size_t haproxy_count;
    char *crt_list; /* what HAProxy calls the folder of the certificates */

    char *certbot_live;      /* another client's folder, watched; NULL: none */
    struct watched *watched; /* its lineages, sorted by name: see import.c */
    size_t watched_count;
    size_t import_at;       /* which a pass that is under way has come to */
    int64_t import_due_ms;  /* monotonic: the next pass */
    unsigned import_passes; /* that have ended */
    bool importing;         /* a pass is under way */
    bool certbot_closed;    /* at the last look it was not there, or not to be read */

    bool rsa, ecdsa;
    struct certificate_list *list;
    struct leaving *leaving;
    size_t leaving_count;
    struct withdrawal *withdrawals;
    size_t withdrawal_count;
    bool left_behind_found; /* what a process before this one left, see leaving_find() */
    /* Until a HAProxy was seen, no order could be proved: the worker is told nothing. */
    bool holding;
    int64_t hold_until_ms; /* monotonic */
    char *expiry_seen;     /* the name whose end was looked at last; NULL: begin with the first */
    struct file_stamp arrivals_seen; /* the folder, when all of its files were looked at */
    size_t arrivals_at;              /* which a look at all of them has come to, more or less */
    int64_t audit_due_ms;            /* monotonic: not before, in HAProxys that are there */
    char *audited; /* the name that was last looked after; NULL: begin with the first */
    /* A sweep brings certificates that are due to every HAProxy, one after the other. */
    bool sweeping;
    char *swept; /* the name in hand, or the last one; NULL: there was none */
};

/* What writes to the disk thousands of times makes a pause now and then, so that challenges and
 * questions are answered meanwhile. */
bool sidecar_turn_is_over(int64_t began_ms);
/* Brings what is on disk to every HAProxy. False when there is nothing on disk. */
bool sidecar_deploy(struct sidecar *sidecar, struct certificate *certificate);
/* Even to those that have it: the same certificate may have another chain in its file now. */
bool sidecar_deploy_anew(struct sidecar *sidecar, struct certificate *certificate);
/* Brings what is due to every HAProxy, if that is not under way. */
void sidecar_sweep(struct sidecar *sidecar);
/* Whether it is on its way to some HAProxy. */
bool sidecar_is_pending(const struct sidecar *sidecar, const struct certificate *certificate);
/* Somebody else has put another certificate in service: the worker looks at it anew, and it goes to
 * every HAProxy. */
void sidecar_certificate_changed(struct sidecar *sidecar, struct certificate *certificate);
/* The pair before is put back in service, and stays for a while. */
MUST_CHECK enum error sidecar_roll_back(struct sidecar *sidecar, struct certificate *certificate,
                                        struct error_text *why);
/* Begins a withdrawal's try: see withdrawal.h. */
void sidecar_withdraw(struct sidecar *sidecar, const char *name);
/* What it adds to others' operations of the admin interface. */
extern const struct admin_operation SIDECAR_OPERATIONS[];
/* Its part of GET /metrics, and the counting of swaps for it. */
admin_handler_fn sidecar_show_metrics;
void sidecar_count_swap(struct sidecar *sidecar, const struct deploy_result *result);
