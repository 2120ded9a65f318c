/* The worker's work: orders, renewal information, revocations. See worker.h. */
#include "worker.h"

#include "runner.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/time_text.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REGISTRATIONS_MAX = 2, /* for one order, before it counts as a failure */
    /* What our own look at DNS has refused is looked at again so soon: that costs the CA nothing,
     * and who has mended a record waits for it. */
    EXAMINE_AGAIN_MS = 10 * 60 * 1000,
};

static struct ca *ca_of(const struct certificate *certificate)
{
    return &certificate->worker->cas[certificate->ca];
}

/* -- Beginning and ending -- */

/* The certificate waits for the CA, or has failed as all did that wait for the same. */
static void wait_for_ca(struct certificate *certificate, enum work work)
{
    struct ca *ca = ca_of(certificate);
    const struct acme_problem *refusal = ca_refusal(ca);
    certificate->work = WORK_WAITS;
    certificate->waits_to = work;
    if (refusal != NULL)
        worker_ca_failed(certificate, refusal);
    else
        ca_prepare(ca);
}

/* False when the CA is not ready. */
static bool begin(struct certificate *certificate, enum work work)
{
    struct ca *ca = ca_of(certificate);
    if (!ca_is_ready(ca)) {
        wait_for_ca(certificate, work);
        return false;
    }
    struct acme_worker *worker = certificate->worker;
    struct job *job = memory_new(sizeof(*job));
    job->certificate = certificate;
    job->ticket = ++worker->last_ticket;
    job->started_mono_ms = clock_mono_ms();
    job->account_key = crypto_key_share(ca->key);
    memcpy(job->account_url, ca->account_url, sizeof(job->account_url));
    memcpy(job->thumbprint, ca->thumbprint, sizeof(job->thumbprint));
    certificate->work = work;
    certificate->job = job;
    worker->jobs[worker->running++] = job;
    return true;
}

static struct acme_identity identity_of(const struct job *job)
{
    return (struct acme_identity){
        .key = job->account_key, .url = job->account_url, .thumbprint = job->thumbprint};
}

static void withdraw(const struct job *job)
{
    const struct acme_worker_settings *settings = &job->certificate->worker->settings;
    const struct acme_flow *flow = runner_flow(job->runner);
    for (size_t i = 0; i < flow->authorization_count; i++)
        if (flow->authorizations[i].token[0] != '\0')
            settings->hooks.withdraw(settings->context, flow->authorizations[i].token);
}

/* Nothing has been issued, and there is no order that may be resumed, which would take nothing. */
static bool came_to_nothing(const struct job *job)
{
    if (job->runner == NULL)
        return true;
    const struct acme_flow *flow = runner_flow(job->runner);
    return flow->state == ACME_STATE_FAILED && flow->finalizes == 0 && flow->order_url[0] == '\0';
}

static void give_back_to_budget(const struct job *job)
{
    struct ca *ca = ca_of(job->certificate);
    if (!job->has_taken || !came_to_nothing(job))
        return;
    budget_give_back(ca->budget, job->taken, job->order_names, job->order_count, clock_mono_ms());
    ca_budget_changed(ca);
}

static void take_off_list(struct acme_worker *worker, const struct job *job)
{
    size_t at = 0;
    while (worker->jobs[at] != job)
        at++;
    worker->jobs[at] = worker->jobs[--worker->running];
}

static void let_twin_go_on(const struct certificate *certificate)
{
    struct certificate *twin = worker_twin(certificate);
    if (twin == NULL || twin->work != WORK_WAITS_TURN)
        return;
    twin->work = WORK_NONE;
    worker_plan(twin);
}

void worker_drop_job(struct certificate *certificate)
{
    struct acme_worker *worker = certificate->worker;
    struct job *job = certificate->job;
    certificate->work = WORK_NONE;
    certificate->job = NULL;
    if (job == NULL)
        return;
    take_off_list(worker, job);
    give_back_to_budget(job);
    let_twin_go_on(certificate);
    if (job->runner != NULL)
        withdraw(job);
    runner_free(job->runner);
    key_maker_free(job->maker);
    crypto_key_free(job->account_key);
    crypto_key_free(job->key);
    free(job->order_names);
    free(job);
    worker_work_ended(worker);
}

/* -- Failure -- */

static void note_failure(const struct certificate *certificate, const char *host,
                         const struct acme_problem *problem, int64_t retry_mono_ms)
{
    char type[sizeof(problem->type)];
    certificate->worker->failures[problem->class]++;
    memcpy(type, problem->type, sizeof(type));
    log_event(LOG_WARNING, "certificate_failed", LOG_TEXT("certificate", certificate->name),
              LOG_TEXT("host", host), LOG_TEXT("ca", ca_of(certificate)->settings->directory_url),
              LOG_TEXT("class", acme_class_name(problem->class)),
              LOG_TEXT("type", type[0] != '\0' ? type : NULL), LOG_TEXT("reason", problem->detail),
              LOG_TEXT("see", problem->url[0] != '\0' ? problem->url : NULL),
              LOG_NUMBER("retry_in_s", (retry_mono_ms - clock_mono_ms()) / 1000));
}

/* What CAA records forbid a CA of what is to be ordered. */
struct forbidden {
    size_t count;
    size_t served; /* of those: in the certificate that is in service */
    bool is_all;
};

static bool is_by_caa(const struct acme_failure *failure)
{
    return strcmp(failure->problem.type, "caa") == 0;
}

/* At the CA that was left for that. */
static struct forbidden forbidden_there(const struct certificate *certificate,
                                        const struct schedule_now *now)
{
    struct forbidden forbidden = {.is_all = true};
    for (size_t i = 0; i < certificate->host_count; i++) {
        const struct host *host = &certificate->hosts[i];
        if (worker_host_is_out(host, now))
            continue;
        forbidden.is_all = forbidden.is_all && host->is_forbidden;
        forbidden.count += host->is_forbidden;
        forbidden.served +=
            host->is_forbidden && crypto_certificate_covers(&certificate->in_service, host->name);
    }
    return forbidden;
}

static bool is_led_by_caa(const struct certificate *certificate, const struct schedule_now *now)
{
    const struct schedule_certificate *schedule = &certificate->schedule;
    return schedule->closed != certificate->ca && certificate->ca != SCHEDULE_CA_STAGING &&
           schedule->closed_until_mono_ms > now->mono_ms &&
           schedule->closed_until_mono_ms == certificate->forbidden_until_mono_ms;
}

static void turn_back(struct certificate *certificate, const struct schedule_now *now)
{
    schedule_turn_back(&certificate->schedule, (int64_t)SCHEDULE_CLOSED_MIN_S * 1000, now);
    certificate->forbidden_until_mono_ms = 0;
}

/* The CA that CAA has led to does not issue, and that for long: the names that the one before may
 * certify are not to wait for those that it may not. */
static bool turn_back_from_failure(struct certificate *certificate, const struct schedule_now *now)
{
    const struct forbidden there = forbidden_there(certificate, now);
    if (!is_led_by_caa(certificate, now) || there.served > 0 || there.is_all)
        return false;
    turn_back(certificate, now);
    return true;
}

static void remember_failure(struct certificate *certificate, const struct acme_problem *problem,
                             int64_t longest_wait_ms)
{
    const struct schedule_now now = worker_now();
    bool turns_back = turn_back_from_failure(certificate, &now);
    worker_set_problem(&certificate->problem, problem);
    certificate->registrations = 0;
    if (certificate->worker->has_ca[SCHEDULE_CA_SECOND])
        schedule_failed_at(&certificate->schedule, certificate->ca, certificate->problem, &now);
    else
        schedule_failed(&certificate->schedule, certificate->problem, &now);
    if (certificate->schedule.retry_mono_ms - now.mono_ms > longest_wait_ms)
        certificate->schedule.retry_mono_ms = now.mono_ms + longest_wait_ms;
    if (turns_back)
        certificate->schedule.retry_mono_ms = now.mono_ms;
}

static void fail(struct certificate *certificate, const struct acme_problem *problem,
                 int64_t longest_wait_ms)
{
    remember_failure(certificate, problem, longest_wait_ms);
    note_failure(certificate, NULL, certificate->problem, certificate->schedule.retry_mono_ms);
    worker_drop_job(certificate);
    worker_save(certificate);
    worker_plan(certificate);
}

void worker_failed(struct certificate *certificate, const struct acme_problem *problem)
{
    fail(certificate, problem, INT64_MAX);
}

static struct host *find_host(struct certificate *certificate, const char *name)
{
    for (size_t i = 0; i < certificate->host_count; i++)
        if (strcmp(certificate->hosts[i].name, name) == 0)
            return &certificate->hosts[i];
    return NULL;
}

static void note_failures_in_budget(const struct certificate *certificate,
                                    const struct acme_flow *flow)
{
    struct ca *ca = ca_of(certificate);
    for (size_t i = 0; ca->budget != NULL && i < flow->failure_count; i++)
        budget_note_failure(ca->budget, flow->failures[i].name, clock_mono_ms());
    ca_budget_changed(ca);
}

static bool is_revoked(const struct certificate *certificate)
{
    return strcmp(certificate->in_service.serial, certificate->revoked) == 0;
}

/* It has its life left, is trusted as far as is known, and nobody revokes it. */
static bool is_well(const struct certificate *certificate)
{
    return certificate->in_service.names != NULL && !is_revoked(certificate) &&
           !certificate->is_untrusted &&
           !schedule_is_urged(&certificate->schedule, clock_wall_s()) &&
           schedule_alarm_of(&certificate->schedule, clock_wall_s()) == SCHEDULE_FINE;
}

/* How many of the names are covered by what is in service. */
static size_t count_covered(const struct job *job)
{
    size_t count = 0;
    for (size_t i = 0; i < job->order_count; i++)
        count += crypto_certificate_covers(&job->certificate->in_service, job->order_names[i]);
    return count;
}

/* All that was ordered has a certificate that is well: without the names that failed, the next one
 * would only take theirs away from them. */
static bool is_well_without(const struct certificate *certificate)
{
    return is_well(certificate) && count_covered(certificate->job) == certificate->job->order_count;
}

/* At the CA of the work. */
static struct forbidden forbidden_here(const struct certificate *certificate,
                                       const struct acme_failure *failures, size_t count)
{
    struct forbidden forbidden = {0};
    for (size_t i = 0; i < count; i++) {
        if (!is_by_caa(&failures[i]))
            continue;
        forbidden.count++;
        forbidden.served += crypto_certificate_covers(&certificate->in_service, failures[i].name);
    }
    forbidden.is_all = forbidden.count >= certificate->job->order_count;
    return forbidden;
}

/* Whom CAA records tie to another CA is served from there: the certificate without them would serve
 * new names in their stead. */
static bool would_take_away(const struct certificate *certificate,
                            const struct acme_failure *failures, size_t count)
{
    size_t served = forbidden_here(certificate, failures, count).served;
    bool is_over = is_revoked(certificate) ||
                   schedule_alarm_of(&certificate->schedule, clock_wall_s()) == SCHEDULE_EXPIRED;
    if (served == 0 || is_over)
        return false;
    return is_well(certificate) || served == count_covered(certificate->job);
}

/* Leaves out the names that failed, if that leaves any and serves any: those are ordered at once.
 */
static bool split_off(struct certificate *certificate, const struct acme_failure *failures,
                      size_t count, int64_t longest_wait_ms)
{
    const struct schedule_now now = worker_now();
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        known += find_host(certificate, failures[i].name) != NULL;
    if (known == 0 || known >= certificate->job->order_count || is_well_without(certificate) ||
        would_take_away(certificate, failures, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct host *host = find_host(certificate, failures[i].name);
        if (host == NULL)
            continue;
        if (host->hold.seed == 0)
            crypto_random(&host->hold.seed, sizeof(host->hold.seed));
        worker_set_problem(&host->problem, &failures[i].problem);
        schedule_failed(&host->hold, host->problem, &now);
        if (host->hold.retry_mono_ms - now.mono_ms > longest_wait_ms)
            host->hold.retry_mono_ms = now.mono_ms + longest_wait_ms;
        note_failure(certificate, host->name, host->problem, host->hold.retry_mono_ms);
    }
    return true;
}

static void order_failed(struct certificate *certificate)
{
    struct acme_flow *flow = runner_flow(certificate->job->runner);
    const struct acme_problem problem = flow->problem; /* dies with the runner */
    if (problem.class == ACME_CLASS_ACCOUNT_GONE &&
        certificate->registrations++ < REGISTRATIONS_MAX) {
        /* Others may have noticed before, and the account be another by now. */
        if (strcmp(certificate->job->account_url, ca_of(certificate)->account_url) == 0)
            ca_forget_account(ca_of(certificate));
        worker_drop_job(certificate);
        worker_plan(certificate);
        return;
    }
    note_failures_in_budget(certificate, flow);
    /* Refused, so that there is none. Where the answer did not come, or a gateway's stands for it,
     * there may be one. */
    if (flow->order_url[0] == '\0' && problem.class != ACME_CLASS_TRANSIENT && !flow->order_unheard)
        worker_forget_order(certificate->job);
    if (split_off(certificate, flow->failures, flow->failure_count, INT64_MAX)) {
        worker_drop_job(certificate);
        worker_save(certificate);
        worker_plan(certificate);
    } else {
        worker_failed(certificate, &problem);
    }
}

/* -- Success -- */

static void log_profile_dropped(const struct certificate *certificate)
{
    const struct acme_ca_settings *ca = ca_of(certificate)->settings;
    log_event(LOG_WARNING, "certificate_profile_unknown",
              LOG_TEXT("certificate", certificate->name), LOG_TEXT("ca", ca->directory_url),
              LOG_TEXT("profile", ca->profile),
              LOG_TEXT("consequence", "it is what the CA issues without one"));
}

static void log_success(const struct certificate *certificate)
{
    char until[TIME_TEXT_SIZE];
    const struct crypto_certificate *facts = &certificate->in_service;
    log_event(LOG_INFO, "certificate", LOG_TEXT("certificate", certificate->name),
              LOG_NUMBER("hosts", facts->name_count), LOG_TEXT("issuer", facts->issuer),
              LOG_TEXT("serial", facts->serial),
              LOG_TEXT("not_after", time_text_print(facts->not_after_s, until)),
              LOG_NUMBER("took_ms", clock_mono_ms() - certificate->job->started_mono_ms));
}

/* Takes the facts of the flow as those of what is now in service. */
static void take_success(struct certificate *certificate, struct acme_flow *flow)
{
    const struct ca *ca = ca_of(certificate);
    const struct schedule_now now = worker_now();
    struct crypto_certificate *facts = &flow->certificate;
    schedule_succeeded(&certificate->schedule, facts->not_before_s, facts->not_after_s,
                       facts->ari_id[0] != '\0' && ca->directory.renewal_info[0] != '\0', &now);
    for (size_t i = 0; i < certificate->job->order_count; i++) {
        struct host *host = find_host(certificate, certificate->job->order_names[i]);
        host->hold = (struct schedule_certificate){.seed = host->hold.seed};
        worker_set_problem(&host->problem, NULL);
    }
    crypto_certificate_free(&certificate->in_service);
    certificate->in_service = *facts;
    *facts = (struct crypto_certificate){0};
    worker_is_about(certificate);
    worker_set_problem(&certificate->problem, NULL);
    certificate->registrations = 0;
    free(certificate->issuer_directory);
    certificate->issuer_directory = memory_copy_text(slice_of(ca->settings->directory_url));
    certificate->is_untrusted = false;
}

static void order_done(struct certificate *certificate)
{
    struct acme_worker *worker = certificate->worker;
    struct acme_flow *flow = runner_flow(certificate->job->runner);
    struct error_text why = {0};
    if (certificate->ca == SCHEDULE_CA_STAGING) {
        /* Nobody trusts it; it showed that the way is mended. */
        log_event(LOG_INFO, "certificate_staging_passed",
                  LOG_TEXT("certificate", certificate->name));
        schedule_staging_succeeded(&certificate->schedule);
        store_order_forget(worker->store, certificate->name);
        worker_drop_job(certificate);
        worker_plan(certificate);
        return;
    }
    if (store_install(worker->store, certificate->name, certificate->job->key,
                      bytes_slice(&flow->chain), ca_of(certificate)->settings->directory_url,
                      &why) != ERROR_OK) {
        struct acme_problem problem;
        acme_problem_set(&problem, ACME_CLASS_LOCAL, "%s", why.text);
        worker_failed(certificate, &problem);
        return;
    }
    worker->issued++;
    take_success(certificate, flow);
    log_success(certificate);
    if (flow->profile_dropped)
        log_profile_dropped(certificate);
    worker_drop_job(certificate);
    worker_save(certificate);
    worker_plan(certificate);
    /* Last: the host may want no more of it. */
    worker->settings.hooks.ready(worker->settings.context, certificate->name,
                                 &certificate->in_service);
}

/* -- Orders -- */

static void on_order_progress(void *context)
{
    struct job *job = context;
    const struct acme_flow *flow = runner_flow(job->runner);
    const char *directory_url = ca_of(job->certificate)->settings->directory_url;
    struct error_text why = {0};
    if (strcmp(flow->order_url, job->order_url) == 0)
        return;
    if (flow->state == ACME_STATE_ORDER_NEW) /* in place of one that was no good any more */
        worker_save_order(job, directory_url, NULL, &why);
    else if (flow->order_url[0] == '\0')
        worker_forget_order(job);
    else
        worker_save_order(job, directory_url, flow->order_url, &why);
}

static void on_order_publish(void *context)
{
    struct job *job = context;
    const struct acme_worker_settings *settings = &job->certificate->worker->settings;
    const struct acme_flow *flow = runner_flow(job->runner);
    size_t count = 0;
    struct acme_challenge *challenges = memory_new(flow->authorization_count * sizeof(*challenges));
    char(*texts)[ACME_KEY_AUTHORIZATION_SIZE] =
        memory_new(flow->authorization_count * sizeof(*texts));
    for (size_t i = 0; i < flow->authorization_count; i++) {
        if (flow->authorizations[i].token[0] == '\0')
            continue;
        acme_flow_key_authorization(flow, i, texts[count]);
        challenges[count] = (struct acme_challenge){.host = flow->authorizations[i].name,
                                                    .token = flow->authorizations[i].token,
                                                    .key_authorization = texts[count]};
        count++;
    }
    settings->hooks.publish(settings->context, job->ticket, challenges, count);
    free(challenges);
    free(texts);
}

static void on_order_end(void *context, bool done)
{
    struct job *job = context;
    struct certificate *certificate = job->certificate;
    struct acme_worker *worker = certificate->worker;
    struct ca *ca = ca_of(certificate);
    bool is_back = ca_order_ended(ca, done ? NULL : &runner_flow(job->runner)->problem);
    if (done)
        order_done(certificate);
    else
        order_failed(certificate);
    if (is_back)
        worker_ca_is_back(worker, ca);
}

static void choose_names(struct job *job)
{
    const struct certificate *certificate = job->certificate;
    const struct schedule_now now = worker_now();
    job->order_names = memory_new(certificate->host_count * sizeof(char *));
    for (size_t i = 0; i < certificate->host_count; i++)
        if (!worker_host_is_out(&certificate->hosts[i], &now))
            job->order_names[job->order_count++] = certificate->hosts[i].name;
}

bool worker_has_issued(const struct ca *ca, const struct certificate *certificate)
{
    return certificate->issuer_directory != NULL &&
           strcmp(certificate->issuer_directory, ca->settings->directory_url) == 0;
}

/* The ARI id of the certificate that the order replaces, where this CA has issued it. */
static const char *replaced(const struct job *job)
{
    const struct certificate *certificate = job->certificate;
    const struct ca *ca = ca_of(certificate);
    bool can_replace = certificate->in_service.ari_id[0] != '\0' &&
                       ca->directory.renewal_info[0] != '\0' && worker_has_issued(ca, certificate);
    return can_replace && count_covered(job) > 0 ? certificate->in_service.ari_id : NULL;
}

/* Exactly the names that are in service count as a renewal, at the CA that has issued it. Of what
 * comes from elsewhere nobody knows, and that CA is as good a guess as any. */
static bool renews(const struct job *job)
{
    const struct certificate *certificate = job->certificate;
    bool is_theirs =
        certificate->issuer_directory == NULL || worker_has_issued(ca_of(certificate), certificate);
    return is_theirs && count_covered(job) == job->order_count &&
           certificate->in_service.name_count == job->order_count;
}

static enum budget_order cost_of(const struct job *job)
{
    const struct schedule_now now = worker_now();
    if (replaced(job) != NULL && worker_decide(job->certificate, &now).in_window)
        return BUDGET_IN_WINDOW;
    return renews(job) ? BUDGET_SAME_NAMES : BUDGET_NEW_NAMES;
}

/* NULL when no limits are known, or the order is none of their business. */
static struct budget *budget_of(const struct job *job)
{
    const struct certificate *certificate = job->certificate;
    bool is_free = certificate->ca == SCHEDULE_CA_STAGING || job->resumed_url[0] != '\0';
    return is_free ? NULL : ca_of(certificate)->budget;
}

/* A renewal can wait for the limits of one CA; what serves nobody is another's as soon as may be.
 */
static void wait_for_budget(const struct job *job, int64_t wait_ms)
{
    struct certificate *certificate = job->certificate;
    struct budget *budget = budget_of(job);
    const struct schedule_now now = worker_now();
    wait_ms = budget_turn_ms(budget, wait_ms, now.mono_ms);
    if (wait_ms >= (int64_t)SCHEDULE_CLOSED_MIN_S * 1000)
        (void)turn_back_from_failure(certificate, &now);
    if (certificate->worker->has_ca[SCHEDULE_CA_SECOND] && !is_well_without(certificate))
        wait_ms = schedule_keep_back_ms(&certificate->schedule, certificate->ca, wait_ms, &now);
    certificate->schedule.retry_mono_ms = now.mono_ms + wait_ms;
    certificate->limit = budget_reason(budget);
    /* Once: of thousands each comes once an hour. */
    if (certificate->limit != job->waited_for || wait_ms == 0)
        log_event(LOG_INFO, "certificate_limited", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("ca", ca_of(certificate)->settings->directory_url),
                  LOG_TEXT("reason", certificate->limit), LOG_NUMBER("retry_in_s", wait_ms / 1000),
                  LOG_TEXT("consequence", wait_ms == 0 ? "the other CA is asked" : NULL));
    worker_drop_job(certificate);
    worker_plan(certificate);
}

/* How long the CA's limits want the order to wait; 0: not at all. */
static int64_t look_at_budget(const struct job *job)
{
    struct budget *budget = budget_of(job);
    if (budget == NULL)
        return 0;
    return budget_order_wait_ms(budget, cost_of(job), job->order_names, job->order_count,
                                clock_mono_ms());
}

/* The same; 0 when what it needs has been taken. */
static int64_t take_from_budget(struct job *job)
{
    struct budget *budget = budget_of(job);
    if (budget == NULL)
        return 0;
    job->taken = cost_of(job);
    int64_t wait_ms = budget_take_order_ms(budget, job->taken, job->order_names, job->order_count,
                                           clock_mono_ms());
    job->has_taken = wait_ms == 0;
    ca_budget_changed(ca_of(job->certificate));
    return wait_ms;
}

static void fail_to_start(struct certificate *certificate, const char *reason)
{
    struct acme_problem problem;
    acme_problem_set(&problem, ACME_CLASS_LOCAL, "%s", reason);
    worker_failed(certificate, &problem);
}

static void start_order(struct job *job)
{
    static const struct runner_hooks HOOKS = {
        .on_progress = on_order_progress, .on_publish = on_order_publish, .on_end = on_order_end};
    struct ca *ca = ca_of(job->certificate);
    const struct acme_order_wish wish = {.account = identity_of(job),
                                         .key = job->key,
                                         .names = job->order_names,
                                         .name_count = job->order_count,
                                         .replaces = replaced(job),
                                         .profile = ca->settings->profile,
                                         .preferred_chain = ca->settings->preferred_chain,
                                         .order_url = job->resumed_url,
                                         .may_exist = job->may_exist};
    struct error_text why = {0};
    memcpy(job->order_url, job->resumed_url, sizeof(job->order_url));
    /* On a disk that takes nothing the certificate could not be kept either. */
    if (job->order_url[0] == '\0' &&
        worker_save_order(job, ca->settings->directory_url, NULL, &why) != ERROR_OK) {
        fail_to_start(job->certificate, why.text);
        return;
    }
    job->runner = runner_new(ca, &HOOKS, job);
    acme_flow_order(runner_flow(job->runner), &ca->directory, &wish);
    runner_start(job->runner);
}

static void on_key_made(void *context, struct crypto_key *key, const char *reason)
{
    struct job *job = context;
    struct certificate *certificate = job->certificate;
    struct error_text why = {0};
    job->key = key;
    if (key == NULL)
        fail_to_start(certificate, reason);
    else if (store_pending_key_put(certificate->worker->store, certificate->name, key, &why) !=
             ERROR_OK)
        fail_to_start(certificate, why.text);
    else
        start_order(job);
}

/* Starts the order when its key is on disk: the one of an order that was interrupted, or a new one.
 */
static void start_with_key(struct job *job)
{
    struct certificate *certificate = job->certificate;
    struct acme_worker *worker = certificate->worker;
    enum crypto_key_type type = certificate->key_type;
    struct error_text why = {0};
    if (crypto_key_type_is_ec(type))
        job->key = store_pending_key(worker->store, certificate->name, type, &why);
    else
        job->key = store_pending_key_find(worker->store, certificate->name, type);
    if (job->key != NULL) {
        start_order(job);
        return;
    }
    if (!crypto_key_type_is_ec(type))
        job->maker = key_maker_new(worker->loop, type, on_key_made, job, &why);
    if (job->maker == NULL)
        fail_to_start(certificate, why.text);
}

/* Nothing stands in the way of the names any more. */
static void go_to_ca(struct job *job)
{
    int64_t wait_ms = take_from_budget(job);
    if (wait_ms > 0)
        wait_for_budget(job, wait_ms);
    else
        start_with_key(job);
}

static const struct acme_failure *find_forbidden(const struct acme_failure *refused, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_by_caa(&refused[i]))
            return &refused[i];
    return NULL;
}

/* Where CAA has led here, and forbids something here as well, names are left out at the CA that
 * loses fewer of those that are served, and fewer at all. */
static bool is_better_here(const struct forbidden *here, const struct forbidden *there)
{
    if (here->is_all)
        return false;
    return here->served != there->served ? here->served < there->served
                                         : here->count < there->count;
}

static void note_forbidden(struct certificate *certificate, const struct acme_failure *refused,
                           size_t count)
{
    for (size_t i = 0; i < certificate->host_count; i++)
        certificate->hosts[i].is_forbidden = false;
    for (size_t i = 0; i < count; i++) {
        struct host *host = find_host(certificate, refused[i].name);
        if (host != NULL)
            host->is_forbidden = is_by_caa(&refused[i]);
    }
    certificate->forbidden_until_mono_ms = certificate->schedule.closed_until_mono_ms;
}

/* Whether the other CA is the one to ask; it is from then on. */
static bool is_the_others(struct certificate *certificate, const struct acme_failure *refused,
                          size_t count)
{
    const struct schedule_now now = worker_now();
    if (is_led_by_caa(certificate, &now)) {
        const struct forbidden here = forbidden_here(certificate, refused, count);
        const struct forbidden there = forbidden_there(certificate, &now);
        if (is_better_here(&here, &there))
            return false;
        turn_back(certificate, &now);
        return true;
    }
    if (schedule_keep_back_ms(&certificate->schedule, certificate->ca,
                              (int64_t)SCHEDULE_CLOSED_MIN_S * 1000, &now) > 0)
        return false;
    note_forbidden(certificate, refused, count);
    return true;
}

/* CAA forbids this CA what it may let the other one do, however often this one is tried. */
static bool leave_to_other_ca(struct certificate *certificate, const struct acme_failure *refused,
                              size_t count)
{
    const struct acme_failure *first = find_forbidden(refused, count);
    if (first == NULL || !certificate->worker->has_ca[SCHEDULE_CA_SECOND] ||
        certificate->ca == SCHEDULE_CA_STAGING || !is_the_others(certificate, refused, count))
        return false;
    log_event(LOG_INFO, "certificate_ca_forbidden", LOG_TEXT("certificate", certificate->name),
              LOG_TEXT("host", first->name),
              LOG_TEXT("ca", ca_of(certificate)->settings->directory_url),
              LOG_TEXT("reason", first->problem.detail),
              LOG_TEXT("consequence", "the other CA is asked"));
    worker_drop_job(certificate);
    worker_plan(certificate);
    return true;
}

static void examination_failed(struct certificate *certificate, const struct acme_failure *refused,
                               size_t count)
{
    if (split_off(certificate, refused, count, EXAMINE_AGAIN_MS)) {
        worker_drop_job(certificate);
        worker_save(certificate);
        worker_plan(certificate);
    } else {
        fail(certificate, &refused[0].problem, EXAMINE_AGAIN_MS);
    }
}

void worker_examined(struct job *job, const struct acme_failure *refused, size_t count)
{
    if (!job->examining)
        return;
    job->examining = false;
    if (count == 0)
        go_to_ca(job);
    else if (!leave_to_other_ca(job->certificate, refused, count))
        examination_failed(job->certificate, refused, count);
}

static void examine(struct job *job)
{
    const struct certificate *certificate = job->certificate;
    const struct acme_worker_settings *settings = &certificate->worker->settings;
    const struct acme_examination examination = {
        .names = job->order_names,
        .name_count = job->order_count,
        .ca = &ca_of(certificate)->directory,
        .account_url = job->account_url,
    };
    job->examining = true;
    settings->hooks.examine(settings->context, job->ticket, &examination);
}

void worker_order(struct certificate *certificate)
{
    const struct acme_worker *worker = certificate->worker;
    const struct schedule_settings settings = {.has_staging = worker->has_ca[SCHEDULE_CA_STAGING],
                                               .has_second = worker->has_ca[SCHEDULE_CA_SECOND],
                                               .second_after = worker->settings.second_after};
    const struct schedule_now now = worker_now();
    const struct certificate *twin = worker_twin(certificate);
    const char *waited_for = certificate->limit;
    certificate->limit = NULL; /* what keeps the order from now on is told as what it is */
    if (twin != NULL && twin->work == WORK_ORDER) {
        certificate->work = WORK_WAITS_TURN;
        return;
    }
    certificate->ca = schedule_ca_of(&certificate->schedule, &settings, &now);
    if (!begin(certificate, WORK_ORDER))
        return;
    struct job *job = certificate->job;
    job->waited_for = waited_for;
    choose_names(job);
    worker_load_order(job, ca_of(certificate)->settings->directory_url);
    /* Before DNS, which would be asked as often as what has to wait comes. */
    int64_t wait_ms = look_at_budget(job);
    if (wait_ms > 0) {
        wait_for_budget(job, wait_ms);
        return;
    }
    /* An order that was interrupted has passed already. */
    if (worker->settings.hooks.examine != NULL && job->resumed_url[0] == '\0')
        examine(job);
    else
        go_to_ca(job);
}

/* -- Renewal information -- */

enum schedule_ca worker_issuer(const struct certificate *certificate)
{
    const struct acme_worker *worker = certificate->worker;
    for (size_t i = 0; i < CA_COUNT; i++)
        if (worker->has_ca[i] && worker_has_issued(&worker->cas[i], certificate))
            return (enum schedule_ca)i;
    return SCHEDULE_CA_FIRST; /* as good a guess as any for a certificate from elsewhere */
}

/* Without a window the life of the certificate decides. */
static void poll_failed(struct certificate *certificate, const struct acme_problem *problem)
{
    const struct schedule_now now = worker_now();
    schedule_window_failed(&certificate->schedule, problem->retry_after_s, &now);
    log_event(LOG_INFO, "certificate_window_unknown", LOG_TEXT("certificate", certificate->name),
              LOG_TEXT("reason", problem->detail));
}

static void poll_done(struct certificate *certificate, const struct acme_flow *flow)
{
    const struct schedule_now now = worker_now();
    const struct acme_renewal_info *info = &flow->renewal_info;
    bool moved = info->start_s != certificate->schedule.window_start_s;
    schedule_window(&certificate->schedule, info->start_s, info->end_s, flow->retry_after_s, &now);
    if (moved && info->explanation_url[0] != '\0')
        log_event(LOG_NOTICE, "certificate_window", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("see", info->explanation_url));
}

static void on_poll_end(void *context, bool done)
{
    struct job *job = context;
    struct certificate *certificate = job->certificate;
    const struct acme_flow *flow = runner_flow(job->runner);
    if (done)
        poll_done(certificate, flow);
    else
        poll_failed(certificate, &flow->problem);
    worker_drop_job(certificate);
    worker_save(certificate);
    worker_plan(certificate);
}

void worker_poll(struct certificate *certificate)
{
    static const struct runner_hooks HOOKS = {.on_end = on_poll_end};
    certificate->ca = worker_issuer(certificate);
    if (!begin(certificate, WORK_POLL))
        return;
    struct ca *ca = ca_of(certificate);
    struct slice base = slice_of(ca->directory.renewal_info);
    if (base.size == 0) {
        certificate->schedule.can_poll = false;
        worker_drop_job(certificate);
        worker_plan(certificate);
        return;
    }
    struct job *job = certificate->job;
    snprintf(job->info_url, sizeof(job->info_url), "%s%s%s", base.data,
             slice_ends_with(base, SLICE("/")) ? "" : "/", certificate->in_service.ari_id);
    job->runner = runner_new(ca, &HOOKS, job);
    acme_flow_renewal_info(runner_flow(job->runner), job->info_url);
    runner_start(job->runner);
}

/* -- Revocation -- */

/* `reason` is why not; NULL: it was. */
static void log_revocation(const struct certificate *certificate,
                           const struct revocation *revocation, const char *reason)
{
    log_event(reason == NULL ? LOG_NOTICE : LOG_ERROR,
              reason == NULL ? "certificate_revoked" : "certificate_not_revoked",
              LOG_TEXT("certificate", certificate->name), LOG_TEXT("serial", revocation->serial),
              LOG_TEXT("reason", reason));
}

/* As far as is known: somebody may be writing the file. */
static bool may_be_in_service(const struct certificate *certificate,
                              const struct revocation *revocation)
{
    return certificate->in_service.names == NULL ||
           strcmp(certificate->in_service.serial, revocation->serial) == 0;
}

static void free_revocation(struct revocation *revocation)
{
    if (revocation == NULL)
        return;
    bytes_free(&revocation->der);
    crypto_key_free(revocation->key);
    free(revocation);
}

static void end_revocation(struct certificate *certificate, const struct acme_problem *problem)
{
    struct revocation *ended = certificate->revocation;
    struct acme_problem copy;
    if (problem != NULL)
        copy = *problem;
    certificate->revocation = NULL;
    log_revocation(certificate, ended, problem != NULL ? problem->detail : NULL);
    if (problem == NULL) {
        if (may_be_in_service(certificate, ended))
            worker_want_now(certificate);
        memcpy(certificate->revoked, ended->serial, sizeof(certificate->revoked));
    } else {
        worker_set_problem(&certificate->problem, problem);
    }
    worker_drop_job(certificate);
    worker_save(certificate); /* what was revoked is replaced, whatever ends us before */
    worker_plan(certificate);
    if (ended->on_done != NULL)
        ended->on_done(ended->context, problem != NULL ? &copy : NULL);
    free_revocation(ended);
}

void worker_drop_revocation(struct certificate *certificate)
{
    if (certificate->revocation != NULL)
        log_revocation(certificate, certificate->revocation,
                       "it was given up before the CA could be asked, or had answered");
    free_revocation(certificate->revocation);
    certificate->revocation = NULL;
}

static void on_revoke_end(void *context, bool done)
{
    struct job *job = context;
    end_revocation(job->certificate, done ? NULL : &runner_flow(job->runner)->problem);
}

void worker_revoke(struct certificate *certificate)
{
    static const struct runner_hooks HOOKS = {.on_end = on_revoke_end};
    certificate->ca = certificate->revocation->ca;
    if (!begin(certificate, WORK_REVOKE))
        return;
    struct ca *ca = ca_of(certificate);
    struct job *job = certificate->job;
    struct acme_identity identity = identity_of(job);
    job->runner = runner_new(ca, &HOOKS, job);
    acme_flow_revoke(runner_flow(job->runner), &ca->directory, &identity,
                     bytes_slice(&certificate->revocation->der), certificate->revocation->key);
    runner_start(job->runner);
}

/* -- A CA that is not to be had -- */

void worker_ca_failed(struct certificate *certificate, const struct acme_problem *problem)
{
    const struct schedule_now now = worker_now();
    certificate->work = WORK_NONE;
    switch (certificate->waits_to) {
    case WORK_POLL:
        schedule_window_failed(&certificate->schedule, problem->retry_after_s, &now);
        break;
    case WORK_REVOKE: end_revocation(certificate, problem); return;
    default:
        certificate->worker->failures[problem->class]++;
        remember_failure(certificate, problem, INT64_MAX);
        worker_save_later(certificate);
        break;
    }
    worker_plan(certificate);
}
