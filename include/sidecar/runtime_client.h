/* Commands for HAProxy's Runtime API over its socket, one connection each, without blocking. */
#pragma once

#include "core/error.h"
#include "core/slice.h"
#include "net/main_loop.h"

/* "/run/haproxy/admin.sock" is a worker's socket; "master:/run/haproxy-master.sock" is the
 * master's, through which the first worker is spoken to ("@1 "). */
struct runtime_target {
    char *path;
    struct slice prefix; /* of every command; static */
};

MUST_CHECK enum error runtime_target_parse(struct slice text, struct runtime_target *target,
                                           struct error_text *reason);
void runtime_target_fini(struct runtime_target *target);
/* Two commands that are asked at once, as `target` takes them; the caller frees it. */
char *runtime_target_commands(const struct runtime_target *target, const char *first,
                              const char *second);

struct runtime_exchange;

/* Ends the exchange; the answer's bytes are gone when it returns. On an error `answer` is what had
 * come till then. ERROR_SYSTEM: with errno. */
typedef void runtime_answer_fn(void *context, enum error error, const char *reason,
                               struct slice answer);
/* True when what has come is all that is wanted. May be NULL. */
typedef bool runtime_enough_fn(void *context, struct slice answer);

/* Connects, sends `command` (copied), closes its sending side, reads to the end or `timeout_ms`,
 * and calls `on_answer` once, never before this returns. Before one that is not short, HAProxy is
 * asked how large its buffer is; one that does not fit is not sent: ERROR_TOO_BIG. */
struct runtime_exchange *runtime_exchange_new(struct main_loop *loop,
                                              const struct runtime_target *target,
                                              struct slice command, int64_t timeout_ms,
                                              runtime_enough_fn *has_enough,
                                              runtime_answer_fn *on_answer, void *context);
/* Gives up without a call of `on_answer`. NULL is fine. */
void runtime_exchange_free(struct runtime_exchange *exchange);
