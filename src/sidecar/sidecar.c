/* The sidecar's thread: see sidecar/sidecar.h. */
#include "arrivals.h"
#include "challenge_door.h"
#include "expiry.h"
#include "import.h"
#include "sidecar_state.h"

#include "core/clock.h"
#include "core/file_path.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/thread.h"
#include "core/time_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static_assert((int)STORE_PEM_MAX_BYTES <= (int)RUNTIME_PEM_MAX_BYTES,
              "a certificate could be put in place that HAProxy cannot be given");

enum {
    LOOK_EVERY_MS = 5000,
    LOOK_SOON_MS = 500, /* while a HAProxy is not to be seen */
    LOOK_TIMEOUT_MS = 3000,
    LOOKS = 2, /* without an answer in time, until a HAProxy that was there is not to be seen */
    PROBE_TIMEOUT_MS = 3000,
    PROBES_AT_ONCE = 16,
    HOLD_MS = 30000,
    TURN_MS = 100,
    TURN_PAUSE_MS = 100,
    AUDIT_LOOKS = 60, /* in so many looks every certificate is looked after once, */
    AUDIT_MAX = 32,   /* unless there are too many */
};

/* -- Certificates into HAProxys ---------------------------------------------------------------- */

static void sweep_next(struct sidecar *sidecar);

static void note_result(struct deployment *deployment, const struct deploy_result *result)
{
    deployment->pending = false;
    deployment->deployed = result->error == ERROR_OK;
    deployment->changed_s = clock_wall_s();
    deployment->took_us = result->took_us;
    free(deployment->problem);
    deployment->problem = memory_copy_optional(result->reason);
}

static void log_failure(const struct deploy_result *result)
{
    const char *name = file_path_name(result->file);
    if (result->removed)
        log_event(LOG_ERROR, "withdraw_failed", LOG_TEXT("certificate", name),
                  LOG_TEXT("haproxy", result->socket_path), LOG_TEXT("reason", result->reason),
                  LOG_TEXT("consequence", "HAProxy is asked again for three hours, and has it "
                                          "until its next reload"));
    else
        log_event(LOG_ERROR, "deploy_failed", LOG_TEXT("certificate", name),
                  LOG_TEXT("haproxy", result->socket_path), LOG_TEXT("reason", result->reason));
}

static void log_result(const struct deploy_result *result)
{
    const char *name = file_path_name(result->file);
    if (result->error != ERROR_OK)
        log_failure(result);
    else if (!result->unchanged)
        log_event(LOG_INFO, "deployed", LOG_TEXT("certificate", name),
                  LOG_TEXT("haproxy", result->socket_path),
                  LOG_TEXT("as", result->removed   ? "removed"
                                 : result->existed ? "renewed"
                                                   : "new"),
                  LOG_NUMBER("took_us", result->took_us));
    if (result->cleared_leftover)
        log_event(LOG_WARNING, "leftover_transaction", LOG_TEXT("haproxy", result->socket_path),
                  LOG_TEXT("consequence", "somebody's open certificate transaction was aborted"));
}

static void note_deployment(struct sidecar *sidecar, struct certificate *certificate,
                            const struct deploy_result *result, size_t left)
{
    note_result(&certificate->deployments[result->target], result);
    if (result->error != ERROR_OK)
        overlap_not_changed(sidecar, certificate->name);
    else if (!result->unchanged)
        certificate->service.swapped = true;
    if (left > 0)
        return;
    bool is_another = certificate->service.swapped;
    handshakes_check_due(sidecar->handshakes, certificate);
    if (is_another)
        overlap_changed(sidecar, certificate->name);
}

static void on_deployed(void *context, const struct deploy_result *result, size_t left)
{
    struct sidecar *sidecar = context;
    const char *name = file_path_name(result->file);
    struct certificate *certificate = certificate_list_find(sidecar->list, name);

    if (!result->removed || withdrawal_took(sidecar, name, result, left))
        log_result(result);
    sidecar_count_swap(sidecar, result);
    if (certificate != NULL && !result->removed)
        note_deployment(sidecar, certificate, result, left);
    if (left == 0 && sidecar->sweeping && strcmp(sidecar->swept, name) == 0)
        sweep_next(sidecar);
}

/* HAProxy prints fingerprints as upper-case hexadecimal digits. */
static void print_fingerprint(const struct crypto_certificate *about,
                              char text[static RUNTIME_FINGERPRINT_BYTES + 1])
{
    for (size_t i = 0; i < CRYPTO_SHA1_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02X", about->sha1[i]);
}

static void run_job(struct sidecar *sidecar, const char *name, struct deploy_job job)
{
    char *path = store_path(sidecar->store, name);
    job.file = slice_of(path);
    job.list = slice_of(sidecar->crt_list);
    job.on_done = on_deployed;
    job.context = sidecar;
    deployer_run(sidecar->deployer, &job);
    free(path);
}

static void on_wanted(void *context, const struct certificate *certificate);

/* The worker looks at its file anew. */
static void want_anew(struct sidecar *sidecar, const struct certificate *certificate)
{
    if (sidecar->worker != NULL)
        acme_worker_unwant(sidecar->worker, certificate->name);
    on_wanted(sidecar, certificate);
}

static void forget_unreadable(struct certificate *certificate)
{
    free(certificate->unreadable);
    certificate->unreadable = NULL;
}

static void log_over(struct certificate *certificate, const char *now)
{
    if (certificate->unreadable != NULL)
        log_event(LOG_INFO, "certificate_unreadable_over",
                  LOG_TEXT("certificate", certificate->name), LOG_TEXT("now", now));
    forget_unreadable(certificate);
}

/* Once for what stays as it is, however often it is looked at. */
static void log_unreadable(struct certificate *certificate, const char *reason)
{
    if (certificate->unreadable != NULL && strcmp(certificate->unreadable, reason) == 0)
        return;
    free(certificate->unreadable);
    certificate->unreadable = memory_copy_text(slice_of(reason));
    log_event(LOG_ERROR, "certificate_unreadable", LOG_TEXT("certificate", certificate->name),
              LOG_TEXT("reason", reason));
}

/* What is not there is not wondered at, and what somebody is writing is looked at again. */
static void note_look(struct sidecar *sidecar, struct certificate *certificate, enum error error,
                      struct error_text *why)
{
    if (error == ERROR_BUSY)
        return;
    if (error == ERROR_OK || error == ERROR_NOT_FOUND) {
        log_over(certificate, error == ERROR_OK ? "a certificate" : "nothing");
        return;
    }
    bool is_gone =
        error == ERROR_INVALID && store_set_aside(sidecar->store, certificate->name, why);
    log_unreadable(certificate, why->text);
    if (!is_gone)
        return;
    forget_unreadable(certificate);
    import_wanted(sidecar, certificate);
    want_anew(sidecar, certificate);
}

/* What is on disk, and its fingerprint. Whatever is wrong with the file is dealt with. */
static enum error look_at_file(struct sidecar *sidecar, struct certificate *certificate,
                               struct bytes *pem,
                               char fingerprint[static RUNTIME_FINGERPRINT_BYTES + 1])
{
    struct error_text why;
    struct crypto_certificate about;
    certificate->looked_at = store_stamp(sidecar->store, certificate->name);
    enum error error = store_certificate(sidecar->store, certificate->name, &about, &why);
    if (error == ERROR_BUSY)
        certificate->looked_at = (struct file_stamp){0}; /* whoever writes it may end unseen */
    if (error == ERROR_OK) {
        print_fingerprint(&about, fingerprint);
        memcpy(certificate->sha256, about.sha256, sizeof(certificate->sha256));
        overlap_look(sidecar, certificate, &about);
        if (sidecar->worker != NULL)
            acme_worker_found(sidecar->worker, certificate->name, &about);
        crypto_certificate_free(&about);
        error = store_read(sidecar->store, certificate->name, pem, &why);
    }
    certificate->is_unread = error == ERROR_SYSTEM || error == ERROR_NO_MEMORY;
    note_look(sidecar, certificate, error, &why);
    return error;
}

/* To those of `targets`; NULL: to each. */
static bool deploy_to(struct sidecar *sidecar, struct certificate *certificate, const bool *targets,
                      bool anew)
{
    struct bytes pem = {0};
    char fingerprint[RUNTIME_FINGERPRINT_BYTES + 1];

    enum error error = look_at_file(sidecar, certificate, &pem, fingerprint);
    if (error == ERROR_OK) {
        for (size_t i = 0; i < sidecar->haproxy_count; i++)
            certificate->deployments[i].pending |= targets == NULL || targets[i];
        run_job(sidecar, certificate->name,
                (struct deploy_job){.pem = bytes_slice(&pem),
                                    .fingerprint = slice_of(fingerprint),
                                    .targets = targets,
                                    .anew = anew});
    }
    bytes_free(&pem);
    return error == ERROR_OK;
}

bool sidecar_deploy(struct sidecar *sidecar, struct certificate *certificate)
{
    return sidecar->haproxy_count > 0 && deploy_to(sidecar, certificate, NULL, false);
}

bool sidecar_deploy_anew(struct sidecar *sidecar, struct certificate *certificate)
{
    return sidecar->haproxy_count > 0 && deploy_to(sidecar, certificate, NULL, true);
}

bool sidecar_is_pending(const struct sidecar *sidecar, const struct certificate *certificate)
{
    for (size_t i = 0; i < sidecar->haproxy_count; i++)
        if (certificate->deployments[i].pending)
            return true;
    return false;
}

/* Which HAProxys are there, for free(); NULL: none is. One that is away would be tried in vain for
 * seconds, for each certificate, and gets them all when it is seen. */
static bool *find_seen(const struct sidecar *sidecar)
{
    bool *seen = memory_new((sidecar->haproxy_count + 1) * sizeof(*seen));
    bool any = false;
    for (size_t i = 0; i < sidecar->haproxy_count; i++)
        any |= seen[i] = sidecar->haproxys[i].process.pid != 0;
    if (any)
        return seen;
    free(seen);
    return NULL;
}

void sidecar_withdraw(struct sidecar *sidecar, const char *name)
{
    run_job(sidecar, name, (struct deploy_job){.remove = true});
}

static void sweep_next(struct sidecar *sidecar)
{
    bool *seen = find_seen(sidecar);
    struct certificate *next;
    sidecar->sweeping = false;
    while (seen != NULL && !sidecar->sweeping &&
           (next = certificate_list_due(sidecar->list, sidecar->swept)) != NULL) {
        next->is_due = false;
        free(sidecar->swept);
        sidecar->swept = memory_copy_text(slice_of(next->name));
        sidecar->sweeping = deploy_to(sidecar, next, seen, false); /* on_deployed() goes on */
    }
    free(seen);
}

void sidecar_sweep(struct sidecar *sidecar)
{
    if (!sidecar->sweeping)
        sweep_next(sidecar);
}

static void sweep_all(struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->list->count; i++) {
        struct certificate *certificate = sidecar->list->items[i];
        certificate->is_due = true;
        /* A new process may show other files than the one before: what was in its way may have
         * gone, or have come, and what that had put behind it is in front again. */
        certificate->service.doubted |= certificate->service.alarm != NULL;
        certificate->service.looked_ms = 0;
        certificate->service.put_first = false;
    }
    sidecar_sweep(sidecar);
}

/* -- HAProxys that come, go, and start again -------------------------------------------------- */

/* What was held back for a HAProxy is ordered now. */
static void let_go(struct sidecar *sidecar)
{
    if (!sidecar->holding)
        return;
    sidecar->holding = false;
    for (size_t i = 0; i < sidecar->list->count; i++)
        on_wanted(sidecar, sidecar->list->items[i]);
}

static void set_problem(struct haproxy_seen *haproxy, const char *problem)
{
    if (haproxy->problem[0] == '\0')
        log_event(LOG_WARNING, "haproxy_unreachable", LOG_TEXT("haproxy", haproxy->target.path),
                  LOG_TEXT("reason", problem));
    snprintf(haproxy->problem, sizeof(haproxy->problem), "%s", problem);
    haproxy->process = (struct runtime_process){0};
}

/* Told anew at each look, because the wall clock may be set meanwhile. */
static int64_t start_of(const struct runtime_process *process)
{
    return process->uptime_s >= 0 ? clock_wall_s() - process->uptime_s : 0;
}

/* The first whose socket leads to the same process. */
static size_t first_same(const struct sidecar *sidecar, size_t haproxy)
{
    size_t first = 0;
    while (first < haproxy && !runtime_process_is(&sidecar->haproxys[first].process,
                                                  &sidecar->haproxys[haproxy].process))
        first++;
    return first;
}

/* Two sockets of one HAProxy are of no use, and each would abort the other's transactions. */
static void find_same(struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->haproxy_count; i++) {
        struct haproxy_seen *haproxy = &sidecar->haproxys[i];
        size_t first = first_same(sidecar, i);
        deployer_same(sidecar->deployer, i, first);
        if (first == i || haproxy->is_told_twice)
            continue;
        haproxy->is_told_twice = true;
        log_event(LOG_WARNING, "haproxy_twice", LOG_TEXT("haproxy", haproxy->target.path),
                  LOG_TEXT("same_as", sidecar->haproxys[first].target.path),
                  LOG_NUMBER("haproxy_pid", haproxy->process.pid),
                  LOG_TEXT("hint",
                           "take this socket out of haproxy.runtime if the other one leads to "
                           "the same process, as it seems to"));
    }
}

/* A new process has what is on disk, or what was there when it began to read: whatever differs is
 * set right. */
static void on_seen(void *context, enum error error, const char *reason, struct slice answer)
{
    struct haproxy_seen *haproxy = context;
    struct runtime_process process, before = haproxy->process;
    haproxy->exchange = NULL;
    haproxy->silences = error == ERROR_TIMEOUT ? haproxy->silences + 1 : 0;
    if (haproxy->silences > 0 && haproxy->silences < LOOKS && before.pid != 0)
        return; /* busy, as we may be ourselves */
    if (error != ERROR_OK || !runtime_process_read(answer, &process)) {
        set_problem(haproxy, error != ERROR_OK ? reason : "\"show info\" names no process");
        return;
    }
    haproxy->process = process;
    haproxy->started_s = start_of(&process);
    haproxy->told_s = clock_wall_s();
    find_same(haproxy->sidecar);
    if (!runtime_process_differs(&process, &before))
        return;
    log_event(LOG_INFO, "haproxy_seen", LOG_TEXT("haproxy", haproxy->target.path),
              LOG_NUMBER("haproxy_pid", process.pid), LOG_NUMBER("before", before.pid));
    haproxy->problem[0] = '\0';
    let_go(haproxy->sidecar);
    if (haproxy->sidecar->worker != NULL)
        acme_worker_way_is_new(haproxy->sidecar->worker);
    sweep_all(haproxy->sidecar);
}

static bool all_seen(const struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->haproxy_count; i++)
        if (sidecar->haproxys[i].process.pid == 0)
            return false;
    return true;
}

/* A HAProxy that is away may be kept from starting by just that file, and one whose Runtime API is
 * not known would be at its next reload. */
static void audit_file(struct sidecar *sidecar, struct certificate *certificate)
{
    struct bytes pem = {0};
    char fingerprint[RUNTIME_FINGERPRINT_BYTES + 1];
    (void)look_at_file(sidecar, certificate, &pem, fingerprint);
    bytes_free(&pem);
}

/* What is on its way is looked at again when it has arrived, however long that takes. */
static void look_after(struct sidecar *sidecar, struct certificate *certificate, const bool *seen)
{
    if (seen == NULL)
        audit_file(sidecar, certificate);
    else if (!sidecar_is_pending(sidecar, certificate))
        deploy_to(sidecar, certificate, seen, false);
}

/* What could not be read, for want of memory or descriptors, does not wait until it is its turn. */
static void audit_unread(struct sidecar *sidecar, const bool *seen)
{
    size_t left = AUDIT_MAX;
    for (size_t i = 0; i < sidecar->list->count && left > 0; i++) {
        struct certificate *certificate = sidecar->list->items[i];
        if (!certificate->is_unread)
            continue;
        left--;
        look_after(sidecar, certificate, seen);
    }
}

static void audit_some(struct sidecar *sidecar, const bool *seen)
{
    size_t left = size_min(sidecar->list->count / AUDIT_LOOKS + 1, AUDIT_MAX);
    for (; left > 0; left--) {
        struct certificate *next = certificate_list_behind(sidecar->list, sidecar->audited);
        free(sidecar->audited);
        sidecar->audited = next != NULL ? memory_copy_text(slice_of(next->name)) : NULL;
        if (next == NULL)
            return;
        look_after(sidecar, next, seen);
    }
}

/* Somebody else may have put another certificate into the process that we know, or another file
 * into the folder: a few at each look are compared with what is on disk. While a HAProxy is waited
 * for, looks are many, and those that are there are not asked the more for it. */
static void audit(struct sidecar *sidecar)
{
    int64_t now_ms = clock_mono_ms();
    if (sidecar->sweeping)
        return;
    bool *seen = find_seen(sidecar);
    if (seen == NULL || all_seen(sidecar) || now_ms >= sidecar->audit_due_ms) {
        sidecar->audit_due_ms = now_ms + sidecar->look_every_ms;
        handshakes_make_room(sidecar->handshakes);
        audit_unread(sidecar, seen);
        audit_some(sidecar, seen);
    }
    free(seen);
}

static void look(struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->haproxy_count; i++) {
        struct haproxy_seen *haproxy = &sidecar->haproxys[i];
        char command[32];
        if (haproxy->exchange != NULL)
            continue;
        int size = snprintf(command, sizeof(command), "%.*sshow info\n",
                            SLICE_PRINT(haproxy->target.prefix));
        haproxy->exchange =
            runtime_exchange_new(sidecar->loop, &haproxy->target, slice_from(command, (size_t)size),
                                 LOOK_TIMEOUT_MS, NULL, on_seen, haproxy);
    }
}

bool sidecar_turn_is_over(int64_t began_ms)
{
    return clock_mono_ms() - began_ms >= TURN_MS;
}

/* What another client has for it would have been imported by now. */
static void let_go_of_imports(struct sidecar *sidecar)
{
    for (size_t i = 0; i < sidecar->list->count; i++)
        if (sidecar->list->items[i]->wanted_at == sidecar->import_passes)
            on_wanted(sidecar, sidecar->list->items[i]);
}

static void on_turn_timer(void *context)
{
    struct sidecar *sidecar = context;
    unsigned passes = sidecar->import_passes;
    bool is_behind = leaving_drop(sidecar);
    is_behind |= arrivals_go_on(sidecar);
    is_behind |= import_watch(sidecar);
    if (sidecar->import_passes != passes)
        let_go_of_imports(sidecar);
    if (is_behind)
        main_timer_once(sidecar->turn_timer, TURN_PAUSE_MS);
}

static void on_look_timer(void *context)
{
    struct sidecar *sidecar = context;
    atomic_fetch_add_explicit(&sidecar->turns, 1, memory_order_relaxed);
    arrivals_look(sidecar);
    on_turn_timer(sidecar);
    withdrawals_look(sidecar);
    if (sidecar->hold_until_ms <= clock_mono_ms())
        let_go(sidecar);
    expiry_look(sidecar);
    audit(sidecar);
    look(sidecar);
    main_timer_once(sidecar->look_timer, all_seen(sidecar) || sidecar->look_every_ms < LOOK_SOON_MS
                                             ? sidecar->look_every_ms
                                             : LOOK_SOON_MS);
}

/* -- The worker's hooks ------------------------------------------------------------------------ */

static void on_ready(void *context, const char *name, const struct crypto_certificate *about)
{
    (void)about;
    struct sidecar *sidecar = context;
    struct certificate *certificate = certificate_list_find(sidecar->list, name);
    if (certificate != NULL)
        sidecar_deploy(sidecar, certificate);
}

/* -- What is wanted ---------------------------------------------------------------------------- */

/* Nothing holds it back any more. */
static bool is_the_workers(const struct sidecar *sidecar, const struct certificate *certificate)
{
    return !certificate->is_given && !sidecar->holding &&
           certificate->wanted_at <= sidecar->import_passes;
}

static void on_wanted(void *context, const struct certificate *certificate)
{
    struct sidecar *sidecar = context;
    struct error_text why;
    const struct acme_wanted wanted = {
        .name = certificate->name,
        .hosts = (const char *const *)certificate->hosts,
        .host_count = certificate->host_count,
        .key_type = certificate->key_type,
    };
    if (sidecar->worker != NULL && certificate->is_given)
        acme_worker_unwant(sidecar->worker, certificate->name); /* it may have been its own */
    if (sidecar->worker != NULL && is_the_workers(sidecar, certificate) &&
        acme_worker_want(sidecar->worker, &wanted, &why) != ERROR_OK)
        log_event(LOG_ERROR, "certificate_not_wanted", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("reason", why.text));
}

void sidecar_certificate_changed(struct sidecar *sidecar, struct certificate *certificate)
{
    want_anew(sidecar, certificate);
    sidecar_deploy(sidecar, certificate);
}

/* No browser would take one that was revoked or has expired, or is for the hosts of former days
 * alone. */
static enum error check_before(struct sidecar *sidecar, const struct certificate *certificate,
                               struct error_text *why)
{
    struct crypto_certificate before;
    char until[TIME_TEXT_SIZE];
    enum error error = store_before(sidecar->store, certificate->name, &before, why);
    if (error != ERROR_OK)
        return error;
    if (sidecar->worker != NULL && !is_the_workers(sidecar, certificate))
        error = error_set(why, ERROR_BUSY,
                          "whether the one before was revoked is not known yet: try again in some "
                          "seconds");
    else if (sidecar->worker != NULL &&
             acme_worker_has_revoked(sidecar->worker, certificate->name, before.serial))
        error =
            error_set(why, ERROR_INVALID, "the one before, serial %s, was revoked", before.serial);
    else if (before.not_after_s <= clock_wall_s())
        error = error_set(why, ERROR_INVALID, "the one before, serial %s, has expired (%s)",
                          before.serial, time_text_print(before.not_after_s, until));
    else if (certificate_covered_hosts(certificate, &before) == 0)
        error = error_set(why, ERROR_INVALID,
                          "the one before, serial %s, is for none of the hosts of %s: it is for %s",
                          before.serial, certificate->name,
                          before.name_count > 0 ? before.names[0] : "no name");
    crypto_certificate_free(&before);
    return error;
}

enum error sidecar_roll_back(struct sidecar *sidecar, struct certificate *certificate,
                             struct error_text *why)
{
    enum error error = check_before(sidecar, certificate, why);
    if (error == ERROR_OK)
        error = store_rollback(sidecar->store, certificate->name, why);
    if (error != ERROR_OK)
        return error;
    if (sidecar->worker != NULL)
        acme_worker_put_back(sidecar->worker, certificate->name);
    sidecar_deploy(sidecar, certificate);
    return ERROR_OK;
}

static void on_wished(void *context, struct certificate *certificate)
{
    import_wanted(context, certificate);
    on_wanted(context, certificate);
}

static void on_unwanted(void *context, const struct certificate *certificate)
{
    struct sidecar *sidecar = context;
    if (sidecar->worker != NULL)
        acme_worker_unwant(sidecar->worker, certificate->name);
    leaving_add(sidecar, certificate->name, certificate->sha256);
}

static void on_wake(void *context)
{
    struct sidecar *sidecar = context;
    atomic_fetch_add_explicit(&sidecar->turns, 1, memory_order_relaxed);
    if (atomic_load(&sidecar->stopping)) {
        main_loop_stop(sidecar->loop);
        return;
    }
    publications_out(sidecar->publications, atomic_load(&sidecar->challenges_out));
    struct certificate_list *wished = atomic_exchange(&sidecar->mailbox, NULL);
    if (wished == NULL)
        return;
    const struct certificate_changes changes = {on_wished, on_unwanted, sidecar};
    certificate_list_become(sidecar->list, wished, &changes);
    leaving_find(sidecar);
    sidecar_sweep(sidecar);
}

void sidecar_want(struct sidecar *sidecar, const struct sidecar_wish *wishes, size_t count)
{
    struct certificate_list *list =
        certificate_list_new(wishes, count, sidecar->rsa, sidecar->ecdsa, sidecar->haproxy_count);
    certificate_list_free(atomic_exchange(&sidecar->mailbox, list));
    main_waker_wake(sidecar->waker);
}

uint64_t sidecar_turns(const struct sidecar *sidecar)
{
    return atomic_load_explicit(&sidecar->turns, memory_order_relaxed);
}

void sidecar_pass_over(struct sidecar *sidecar, bool is_stuck)
{
    admin_desk_pass_over(sidecar->desk, is_stuck);
}

void sidecar_challenges_out(struct sidecar *sidecar, uint64_t number)
{
    atomic_store(&sidecar->challenges_out, number);
    main_waker_wake(sidecar->waker);
}

/* -- Starting and stopping --------------------------------------------------------------------- */

static void *run_thread(void *context)
{
    struct sidecar *sidecar = context;
    thread_step_behind(); /* a certificate can wait and a request cannot */
    on_look_timer(sidecar);
    main_loop_run(sidecar->loop);
    return NULL;
}

static bool open_runtime(struct sidecar *sidecar, const struct sidecar_settings *settings,
                         struct error_text *text)
{
    size_t count = settings->runtime_count;
    struct runtime_target *targets = memory_new(count * sizeof(*targets));
    bool good = true;
    sidecar->haproxys = memory_new(count * sizeof(sidecar->haproxys[0]));
    for (size_t i = 0; good && i < count; i++) {
        struct haproxy_seen *haproxy = &sidecar->haproxys[sidecar->haproxy_count++];
        struct slice name = slice_of(settings->runtime[i]);
        haproxy->sidecar = sidecar;
        good = runtime_target_parse(name, &haproxy->target, text) == ERROR_OK &&
               runtime_target_parse(name, &targets[i], text) == ERROR_OK;
    }
    if (good)
        sidecar->deployer = deployer_new(sidecar->loop, targets, count);
    else
        for (size_t i = 0; i < count; i++)
            runtime_target_fini(&targets[i]);
    free(targets);
    return good;
}

/* Where nothing is ordered and no folder of another client's is served, the port is left to whoever
 * else answers challenges: `certbot --standalone`, say. */
static bool open_challenges(struct sidecar *sidecar, const struct sidecar_settings *settings,
                            struct error_text *text)
{
    sidecar->challenges = challenges_new();
    if (settings->cas[0].directory_url == NULL && settings->webroot == NULL)
        return true;
    sidecar->challenge_door =
        challenge_door_new(sidecar->loop, settings, sidecar->challenges, text);
    return sidecar->challenge_door != NULL;
}

static bool open_worker(struct sidecar *sidecar, const struct sidecar_settings *settings,
                        struct error_text *text)
{
    struct acme_worker_settings worker = {
        .second_after = settings->second_after,
        .orders_at_once = settings->orders_at_once,
        .hooks = {.examine = settings->look_at_dns ? examinations_begin : NULL,
                  .publish = publications_publish,
                  .withdraw = publications_withdraw,
                  .ready = on_ready},
        .context = sidecar,
    };
    if (settings->cas[0].directory_url == NULL)
        return true;
    if (settings->look_at_dns &&
        (sidecar->examinations = examinations_new(sidecar, settings, text)) == NULL)
        return false;
    for (size_t i = 0; i < COUNT_OF(worker.cas); i++)
        ca_settings_copy(&sidecar->cas[i], &settings->cas[i]);
    memcpy(worker.cas, sidecar->cas, sizeof(worker.cas));
    sidecar->worker = acme_worker_new(sidecar->loop, sidecar->store, &worker, text);
    return sidecar->worker != NULL;
}

static bool open_all(struct sidecar *sidecar, const struct sidecar_settings *settings,
                     struct error_text *text)
{
    if ((sidecar->loop = main_loop_new(text)) == NULL)
        return false;
    if ((sidecar->store = store_open(&settings->store, text)) == NULL)
        return false;
    const struct http_client_settings probes = {.timeout_ms = PROBE_TIMEOUT_MS,
                                                .at_once = PROBES_AT_ONCE};
    if ((sidecar->probes = http_client_new(sidecar->loop, &probes, text)) == NULL)
        return false;
    sidecar->publications = publications_new(sidecar, settings);
    sidecar->handshakes = handshakes_new(sidecar, settings);
    if (!open_runtime(sidecar, settings, text) || !open_challenges(sidecar, settings, text) ||
        !open_worker(sidecar, settings, text))
        return false;
    sidecar->desk = admin_desk_new(settings->admin, sidecar->loop, SIDECAR_OPERATIONS, sidecar);
    admin_desk_add(sidecar->desk, ADMIN_ACCESS_METHOD, CERTIFICATE_OPERATIONS, sidecar);
    sidecar->look_every_ms = settings->look_every_ms > 0 ? settings->look_every_ms : LOOK_EVERY_MS;
    sidecar->holding = sidecar->haproxy_count > 0;
    sidecar->hold_until_ms = clock_mono_ms() + HOLD_MS;
    sidecar->waker = main_waker_new(sidecar->loop, on_wake, sidecar);
    sidecar->look_timer = main_timer_new(sidecar->loop, on_look_timer, sidecar);
    sidecar->turn_timer = main_timer_new(sidecar->loop, on_turn_timer, sidecar);
    return true;
}

/* Everything in reverse; what was never opened is NULL. */
static void close_all(struct sidecar *sidecar)
{
    main_timer_free(sidecar->look_timer);
    main_timer_free(sidecar->turn_timer);
    main_waker_free(sidecar->waker);
    admin_desk_free(sidecar->desk);
    acme_worker_free(sidecar->worker);
    examinations_free(sidecar->examinations);
    for (size_t i = 0; i < COUNT_OF(sidecar->cas); i++)
        ca_settings_fini(&sidecar->cas[i]);
    challenge_door_free(sidecar->challenge_door);
    publications_free(sidecar->publications);
    handshakes_free(sidecar->handshakes);
    http_client_free(sidecar->probes);
    challenges_free(sidecar->challenges);
    for (size_t i = 0; i < sidecar->haproxy_count; i++) {
        runtime_exchange_free(sidecar->haproxys[i].exchange);
        runtime_target_fini(&sidecar->haproxys[i].target);
    }
    free(sidecar->haproxys);
    deployer_free(sidecar->deployer);
    store_close(sidecar->store);
    main_loop_free(sidecar->loop);
    certificate_list_free(sidecar->list);
    certificate_list_free(atomic_exchange(&sidecar->mailbox, NULL));
    leaving_free(sidecar);
    withdrawals_free(sidecar);
    import_free(sidecar);
    free(sidecar->swept);
    free(sidecar->audited);
    free(sidecar->expiry_seen);
    free(sidecar->crt_list);
    free(sidecar->certbot_live);
    free(sidecar);
}

/* "/etc/haproxy/certs/" is "/etc/haproxy/certs" in HAProxy's commands. */
static char *without_trailing_slashes(const char *folder)
{
    struct slice name = slice_of(folder);
    while (name.size > 1 && name.data[name.size - 1] == '/')
        name.size--;
    return memory_copy_text(name);
}

struct sidecar *sidecar_start(const struct sidecar_settings *settings, struct error_text *text)
{
    struct sidecar *sidecar = memory_new(sizeof(*sidecar));
    sidecar->rsa = settings->rsa;
    sidecar->ecdsa = settings->ecdsa;
    sidecar->told_max = settings->told_max;
    sidecar->crt_list = without_trailing_slashes(settings->store.certs);
    if (settings->certbot_live != NULL)
        sidecar->certbot_live = memory_copy_text(slice_of(settings->certbot_live));
    if (!open_all(sidecar, settings, text)) {
        close_all(sidecar);
        return NULL;
    }
    sidecar->list =
        certificate_list_new(NULL, 0, sidecar->rsa, sidecar->ecdsa, sidecar->haproxy_count);
    if (thread_start(&sidecar->thread, "sidecar", run_thread, sidecar, text) != ERROR_OK) {
        close_all(sidecar);
        return NULL;
    }
    return sidecar;
}

void sidecar_stop(struct sidecar *sidecar)
{
    if (sidecar == NULL)
        return;
    atomic_store(&sidecar->stopping, true);
    main_waker_wake(sidecar->waker);
    pthread_join(sidecar->thread, NULL);
    close_all(sidecar);
}
