/* What the main thread's operations of the admin interface work with, and this layer's tables.
 *
 * To add operations: write a table like these, with `struct live` as its context, in the layer that
 * does what is asked (analysis/questions.h, changes/change_operations.h), and name it in daemon.c's
 * offer_operations(). What belongs to the sidecar goes to its table instead.
 */
#pragma once

#include "admin/admin_server.h"
#include "net/loop.h"
#include "serving/publisher.h"

struct haproxy_files;
struct history;
struct key_keeper;
struct listener;
struct responder;
struct restart_keys;
struct standstill;
struct watch;

struct live {
    struct publisher *publisher;
    struct loops *loops;
    struct listener *const *listeners;   /* where HAProxy connects */
    size_t listener_count;               /* 0 while it drains */
    struct responder *const *responders; /* one for each loop */
    struct history *history;             /* NULL: none is kept */
    const struct key_keeper *keys;       /* NULL: not yet */
    const struct watch *watch;           /* NULL: not yet */
    const struct restart_keys *restart;
    const struct standstill *standstill; /* NULL: not yet */
    struct haproxy_files *haproxy_files;
    int64_t start_wall_s;
    int64_t start_mono_ms;
    bool serving; /* false while the daemon starts and while it drains */
};

/* "alice (uid 1000, pid 4711)" or "token grafana", for free(). */
char *live_who(const struct admin_peer *peer) __attribute__((returns_nonnull));
/* The generation in force and its hash. */
void live_put_generation(struct json *object, const struct live *live);

extern const struct admin_operation STATUS_OPERATIONS[];
extern const struct admin_operation METRICS_OPERATIONS[];
extern const struct admin_operation TOP_OPERATIONS[];
/* Instead of the sidecar's, when no certificates are looked after: a table for free(). */
struct admin_operation *live_certificate_refusals(void) __attribute__((returns_nonnull));
