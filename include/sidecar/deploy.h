/* Certificates into running HAProxys: the one writer of their Runtime APIs.
 *
 * Jobs run one after the other in each HAProxy (it has one certificate transaction), be it by two
 * of its sockets, and side by side in several. A job that HAProxy could not take for now (its lock
 * is held, its socket is gone, no answer in time) is tried again a few times; what it refuses is
 * not.
 */
#pragma once

#include "hap/runtime.h"
#include "sidecar/runtime_client.h"

struct deployer;

/* What became of a job in one HAProxy. */
struct deploy_result {
    size_t target; /* which HAProxy: its place in the list given to deployer_new() */
    const char *socket_path;
    const char *file; /* the job's */
    bool removed;     /* the job was to remove it */
    enum error error;
    const char *reason; /* NULL on success */
    bool existed;
    bool unchanged; /* it was served already */
    bool cleared_leftover;
    int64_t took_us; /* of the last try, first command to last answer */
};

/* Called once for each HAProxy that a job is for, from the loop; `left` are yet to come. */
typedef void deploy_done_fn(void *context, const struct deploy_result *result, size_t left);

struct deploy_job {
    struct slice file; /* all are copied, the PEM into memory that is wiped */
    struct slice list;
    struct slice pem;
    struct slice fingerprint; /* SHA-1, as hap/runtime.h has it */
    bool anew;                /* even where HAProxy has it */
    bool remove;
    const bool *targets; /* which HAProxys it is for; NULL: each */
    deploy_done_fn *on_done;
    void *context;
};

/* Takes over the targets. */
struct deployer *deployer_new(struct main_loop *loop, struct runtime_target *targets, size_t count);
/* Jobs that have not ended are dropped without a call. NULL is fine. */
void deployer_free(struct deployer *deployer);
/* `target` leads to the same HAProxy as `first`, the first that does: itself, where no other does.
 */
void deployer_same(struct deployer *deployer, size_t target, size_t first);
/* At least one HAProxy must be there for it. */
void deployer_run(struct deployer *deployer, const struct deploy_job *job);
