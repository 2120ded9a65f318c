/* The one writer of the Runtime APIs: see sidecar/deploy.h. */
#include "sidecar/deploy.h"

#include "core/clock.h"
#include "core/memory.h"

#include <stdlib.h>

enum {
    COMMAND_TIMEOUT_MS = 10000,
    TRIES = 11,
    RETRY_FIRST_MS = 2, /* doubled at each try: two seconds in all */
    /* HAProxy keeps its certificates locked while it prints their list; of a long one we have read
     * but the beginning, and it takes a moment until it notices that we have gone. */
    LONG_ANSWER_BYTES = 8 * 1024,
    PAUSE_MS = 1,
};

/* A job's bytes, shared by its entries in the lanes. */
struct shared_job {
    char *file;
    char *list;
    char *pem;
    char *fingerprint;
    size_t pem_size;
    bool anew;
    bool remove;
    deploy_done_fn *on_done;
    void *context;
    size_t left;       /* lanes that have not told their result */
    size_t references; /* lanes that still name it */
};

struct entry {
    struct shared_job *job;
    struct entry *next;
};

/* One HAProxy: its jobs in order, and the one that runs. */
struct lane {
    struct deployer *deployer;
    struct runtime_target target;
    size_t process;  /* several ways to one HAProxy have the same number, and take turns */
    bool is_at_work; /* a try has begun */
    bool waits_turn;
    struct entry *first;
    struct entry *last;
    struct runtime_swap swap;
    struct runtime_exchange *exchange;
    struct main_timer *start; /* of the next try: from the loop, so that results never nest */
    struct main_timer *pause; /* before the next command */
    size_t command_size;
    unsigned tries;
    enum error broken; /* what cut an answer of this try short */
    int64_t started_us;
    uint8_t command[RUNTIME_COMMAND_MAX_BYTES];
};

struct deployer {
    struct main_loop *loop;
    struct lane *lanes;
    size_t count;
};

static void begin(struct lane *lane);

static void job_unref(struct shared_job *job)
{
    if (--job->references > 0)
        return;
    memory_wipe(job->pem, job->pem_size);
    free(job->file);
    free(job->list);
    free(job->pem);
    free(job->fingerprint);
    free(job);
}

static void pop(struct lane *lane)
{
    struct entry *entry = lane->first;
    lane->first = entry->next;
    if (lane->first == NULL)
        lane->last = NULL;
    job_unref(entry->job);
    free(entry);
}

static bool worth_another_try(enum error error)
{
    return error == ERROR_BUSY || error == ERROR_CLOSED || error == ERROR_TIMEOUT ||
           error == ERROR_SYSTEM;
}

static void on_start(void *context)
{
    begin(context);
}

/* Whether somebody else is in the middle of a change in the same HAProxy. */
static bool is_taken(const struct lane *lane)
{
    const struct deployer *deployer = lane->deployer;
    for (size_t i = 0; i < deployer->count; i++)
        if (&deployer->lanes[i] != lane && deployer->lanes[i].process == lane->process &&
            deployer->lanes[i].is_at_work)
            return true;
    return false;
}

static void let_others_go_on(struct deployer *deployer)
{
    for (size_t i = 0; i < deployer->count; i++) {
        struct lane *lane = &deployer->lanes[i];
        if (!lane->waits_turn)
            continue;
        lane->waits_turn = false;
        main_timer_once(lane->start, 0);
    }
}

/* Tells the result of the lane's job, or tries again later. */
static void conclude(struct lane *lane, enum error error, const char *reason)
{
    struct shared_job *job = lane->first->job;
    lane->is_at_work = false;
    let_others_go_on(lane->deployer);
    if (worth_another_try(error) && lane->tries < TRIES) {
        main_timer_once(lane->start, (int64_t)RETRY_FIRST_MS << (lane->tries - 1));
        return;
    }
    const struct deploy_result result = {
        .target = (size_t)(lane - lane->deployer->lanes),
        .socket_path = lane->target.path,
        .file = job->file,
        .removed = job->remove,
        .error = error,
        .reason = error != ERROR_OK ? reason : NULL,
        .existed = lane->swap.existed,
        .unchanged = lane->swap.unchanged,
        .cleared_leftover = lane->swap.cleared_leftover,
        .took_us = clock_mono_us() - lane->started_us,
    };
    job->left--;
    job->on_done(job->context, &result, job->left);
    memory_wipe(lane->command, sizeof(lane->command));
    pop(lane);
    lane->tries = 0;
    if (lane->first != NULL)
        main_timer_once(lane->start, 0);
}

static void on_answer(void *context, enum error error, const char *reason, struct slice answer);

static bool has_enough(void *context, struct slice answer)
{
    const struct lane *lane = context;
    return runtime_swap_has_enough(&lane->swap, answer);
}

static void send_command(void *context)
{
    struct lane *lane = context;
    lane->exchange =
        runtime_exchange_new(lane->deployer->loop, &lane->target,
                             slice_from((const char *)lane->command, lane->command_size),
                             COMMAND_TIMEOUT_MS, has_enough, on_answer, lane);
}

/* Does what the machine wants next. */
static void advance(struct lane *lane, enum runtime_step step, const struct writer *command,
                    bool pause)
{
    switch (step) {
    case RUNTIME_SEND:
        lane->command_size = writer_written(command).size;
        if (pause)
            main_timer_once(lane->pause, PAUSE_MS);
        else
            send_command(lane);
        return;
    case RUNTIME_DONE: conclude(lane, ERROR_OK, NULL); return;
    case RUNTIME_FAILED:
        conclude(lane, lane->broken != ERROR_OK ? lane->broken : lane->swap.error,
                 lane->swap.reason.text);
        return;
    }
}

static void on_answer(void *context, enum error error, const char *reason, struct slice answer)
{
    struct lane *lane = context;
    lane->exchange = NULL; /* ends with this call */
    /* A connection that broke within the answer may have done its work: the machine sees what came
     * and, if that is not success, takes its own transaction back. Half an answer is no refusal. */
    if (error != ERROR_OK && answer.size == 0) {
        conclude(lane, error, reason);
        return;
    }
    if (error != ERROR_OK)
        lane->broken = error;
    bool cut_short = answer.size >= LONG_ANSWER_BYTES && has_enough(lane, answer);
    struct writer command = writer_of(lane->command, sizeof(lane->command));
    advance(lane, runtime_swap_answer(&lane->swap, answer, &command), &command, cut_short);
}

static void begin(struct lane *lane)
{
    const struct shared_job *job = lane->first->job;
    struct writer command = writer_of(lane->command, sizeof(lane->command));
    lane->waits_turn = is_taken(lane);
    if (lane->waits_turn)
        return;
    lane->is_at_work = true;
    lane->tries++;
    lane->broken = ERROR_OK;
    lane->started_us = clock_mono_us();
    lane->swap = (struct runtime_swap){
        .prefix = lane->target.prefix,
        .file = slice_of(job->file),
        .list = slice_of(job->list),
        .pem = slice_from(job->pem, job->pem_size),
        .fingerprint = slice_of(job->fingerprint),
        .anew = job->anew,
    };
    enum runtime_step step = job->remove ? runtime_remove_start(&lane->swap, &command)
                                         : runtime_swap_start(&lane->swap, &command);
    advance(lane, step, &command, false);
}

struct deployer *deployer_new(struct main_loop *loop, struct runtime_target *targets, size_t count)
{
    struct deployer *deployer = memory_new(sizeof(*deployer));
    deployer->loop = loop;
    deployer->lanes = memory_new(count * sizeof(deployer->lanes[0]));
    deployer->count = count;
    for (size_t i = 0; i < count; i++) {
        struct lane *lane = &deployer->lanes[i];
        lane->deployer = deployer;
        lane->target = targets[i];
        lane->process = i;
        lane->start = main_timer_new(loop, on_start, lane);
        lane->pause = main_timer_new(loop, send_command, lane);
    }
    return deployer;
}

void deployer_free(struct deployer *deployer)
{
    if (deployer == NULL)
        return;
    for (size_t i = 0; i < deployer->count; i++) {
        struct lane *lane = &deployer->lanes[i];
        runtime_exchange_free(lane->exchange);
        main_timer_free(lane->start);
        main_timer_free(lane->pause);
        while (lane->first != NULL)
            pop(lane);
        runtime_target_fini(&lane->target);
        memory_wipe(lane->command, sizeof(lane->command));
    }
    free(deployer->lanes);
    free(deployer);
}

void deployer_same(struct deployer *deployer, size_t target, size_t first)
{
    if (deployer->lanes[target].process == first)
        return;
    deployer->lanes[target].process = first;
    let_others_go_on(deployer);
}

static void push(struct lane *lane, struct shared_job *job)
{
    struct entry *entry = memory_new(sizeof(*entry));
    entry->job = job;
    job->references++;
    job->left++;
    if (lane->last != NULL)
        lane->last->next = entry;
    else
        lane->first = entry;
    lane->last = entry;
    if (lane->first == entry)
        main_timer_once(lane->start, 0);
}

void deployer_run(struct deployer *deployer, const struct deploy_job *job)
{
    struct shared_job *shared = memory_new(sizeof(*shared));
    *shared = (struct shared_job){
        .file = memory_copy_text(job->file),
        .list = memory_copy_text(job->list),
        .pem = memory_copy_text(job->pem),
        .pem_size = job->pem.size,
        .fingerprint = memory_copy_text(job->fingerprint),
        .anew = job->anew,
        .remove = job->remove,
        .on_done = job->on_done,
        .context = job->context,
        .references = 1, /* ours, until every lane has its entry */
    };
    for (size_t i = 0; i < deployer->count; i++)
        if (job->targets == NULL || job->targets[i])
            push(&deployer->lanes[i], shared);
    assert(shared->left > 0);
    job_unref(shared);
}
