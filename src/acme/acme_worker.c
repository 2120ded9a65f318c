/* The certificates of a process: see acme/acme_worker.h and worker.h. */
#include "acme/acme_worker.h"

#include "runner.h"
#include "worker.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"

#include <stdlib.h>

enum {
    ORDERS_AT_ONCE = 20,
    TURN_MS = 100, /* then challenges and questions are answered */
};

struct schedule_now worker_now(void)
{
    return (struct schedule_now){.mono_ms = clock_mono_ms(), .wall_s = clock_wall_s()};
}

void worker_set_problem(struct acme_problem **own, const struct acme_problem *problem)
{
    struct acme_problem *copy = NULL;
    if (problem != NULL) {
        copy = memory_new(sizeof(*copy));
        *copy = *problem;
    }
    free(*own); /* last: `problem` may be it */
    *own = copy;
}

/* -- What is due -- */

bool worker_host_is_out(const struct host *host, const struct schedule_now *now)
{
    return host->hold.failures > 0 && host->hold.retry_mono_ms > now->mono_ms;
}

/* A host that should be covered by what is in service, and is not. */
static bool lacks_host(const struct certificate *certificate, const struct schedule_now *now)
{
    for (size_t i = 0; i < certificate->host_count; i++) {
        const struct host *host = &certificate->hosts[i];
        if (!worker_host_is_out(host, now) &&
            !crypto_certificate_covers(&certificate->in_service, host->name))
            return true;
    }
    return false;
}

/* When the first host that was left out is back; INT64_MAX when none is out. */
static int64_t next_host_back(const struct certificate *certificate, const struct schedule_now *now,
                              bool *all_out)
{
    int64_t first = INT64_MAX;
    *all_out = true;
    for (size_t i = 0; i < certificate->host_count; i++) {
        const struct host *host = &certificate->hosts[i];
        if (!worker_host_is_out(host, now))
            *all_out = false;
        else if (host->hold.retry_mono_ms < first)
            first = host->hold.retry_mono_ms;
    }
    return first;
}

struct schedule_decision worker_decide(const struct certificate *certificate,
                                       const struct schedule_now *now)
{
    bool all_out;
    struct schedule_certificate schedule = certificate->schedule;
    int64_t back_mono_ms = next_host_back(certificate, now, &all_out);
    bool lacks = lacks_host(certificate, now);
    if (lacks || certificate->is_untrusted)
        schedule.wanted_now = true;
    struct schedule_decision decision = schedule_decide(&schedule, now);
    if (schedule.wanted_now && !certificate->schedule.wanted_now &&
        certificate->in_service.names != NULL && certificate->schedule.failures == 0 &&
        decision.action == SCHEDULE_ORDER)
        decision.why = lacks ? "a host is not covered yet"
                             : "its CA is configured no longer, and not trusted here";
    if (certificate->limit != NULL && decision.action == SCHEDULE_ORDER &&
        decision.due_mono_ms > now->mono_ms)
        decision.why = certificate->limit;
    if (all_out || back_mono_ms < decision.due_mono_ms) {
        decision.action = SCHEDULE_LOOK;
        decision.due_mono_ms = decision.happens_mono_ms = back_mono_ms;
        decision.why = "a host failed and is tried again";
    }
    if (certificate->look_mono_ms != 0) {
        decision.action = SCHEDULE_LOOK;
        decision.due_mono_ms = decision.happens_mono_ms = certificate->look_mono_ms;
        decision.why = certificate->is_unreadable
                           ? "its file cannot be read, for a reason that the log tells: mend that"
                           : "somebody is writing its file";
    }
    return decision;
}

static struct certificate *certificate_of(struct queue_entry *entry)
{
    return CONTAINER_OF(entry, struct certificate, entry);
}

static size_t most_at_once(const struct acme_worker *worker)
{
    return worker->settings.orders_at_once > 0 ? worker->settings.orders_at_once : ORDERS_AT_ONCE;
}

/* Sets the timer for the first in the queue; while all hands are busy nothing need wake us. */
static void arm(struct acme_worker *worker)
{
    const struct queue_entry *first = queue_first(&worker->queue);
    if (first == NULL || worker->running >= most_at_once(worker)) {
        main_timer_stop(worker->timer);
        return;
    }
    int64_t delay_ms = first->due_ms - clock_mono_ms();
    main_timer_once(worker->timer, delay_ms > 0 ? delay_ms : 0);
}

void worker_work_ended(struct acme_worker *worker)
{
    arm(worker);
}

void worker_plan(struct certificate *certificate)
{
    const struct schedule_now now = worker_now();
    if (certificate->work != WORK_NONE)
        return;
    int64_t due_mono_ms = worker_decide(certificate, &now).due_mono_ms;
    if (certificate->revocation != NULL)
        due_mono_ms = now.mono_ms;
    queue_put(&certificate->worker->queue, &certificate->entry, due_mono_ms);
    arm(certificate->worker);
}

/* Somebody was writing the file, or it could not be read, or it is there again. */
static void look_again(struct certificate *certificate)
{
    const struct acme_worker_settings *settings = &certificate->worker->settings;
    worker_look(certificate);
    worker_compare(certificate);
    worker_plan(certificate);
    /* Last: the host may want no more of it. */
    if (certificate->in_service.names != NULL)
        settings->hooks.ready(settings->context, certificate->name, &certificate->in_service);
}

static void act(struct certificate *certificate)
{
    const struct schedule_now now = worker_now();
    struct schedule_decision decision = worker_decide(certificate, &now);
    if (certificate->look_mono_ms != 0 && certificate->look_mono_ms <= now.mono_ms)
        look_again(certificate);
    else if (certificate->revocation != NULL)
        worker_revoke(certificate);
    else if (decision.due_mono_ms > now.mono_ms || decision.action == SCHEDULE_LOOK)
        worker_plan(certificate);
    else if (decision.action == SCHEDULE_POLL)
        worker_poll(certificate);
    else if (worker_bring_back(certificate))
        look_again(certificate);
    else
        worker_order(certificate);
}

static void on_due(void *context)
{
    struct acme_worker *worker = context;
    int64_t now_mono_ms = clock_mono_ms();
    struct queue_entry *first;
    while (worker->running < most_at_once(worker) && clock_mono_ms() - now_mono_ms < TURN_MS &&
           (first = queue_first(&worker->queue)) != NULL && first->due_ms <= now_mono_ms) {
        queue_remove(&worker->queue, first);
        act(certificate_of(first));
    }
    arm(worker);
}

/* Once for all that have waited, of which there may be thousands. */
static void tell_not_ready(const struct ca *ca, const struct acme_problem *problem, size_t waited)
{
    log_event(LOG_WARNING, "acme_ca_not_ready", LOG_TEXT("ca", ca->settings->directory_url),
              LOG_NUMBER("certificates", waited),
              LOG_TEXT("class", acme_class_name(problem->class)),
              LOG_TEXT("reason", problem->detail),
              LOG_TEXT("see", problem->url[0] != '\0' ? problem->url : NULL));
}

/* Those who wait for a CA go on, or have failed. */
static void go_on(struct certificate *certificate, const struct acme_problem *problem)
{
    if (problem != NULL) {
        worker_ca_failed(certificate, problem);
    } else {
        certificate->work = WORK_NONE;
        worker_plan(certificate);
    }
}

void worker_ca_is_back(struct acme_worker *worker, const struct ca *ca)
{
    const struct schedule_now now = worker_now();
    for (struct certificate *one = worker->first; one != NULL; one = one->next) {
        if (&worker->cas[one->ca] != ca || one->work != WORK_NONE)
            continue;
        schedule_ca_is_back(&one->schedule, &now);
        worker_plan(one);
    }
}

static void on_ca_ready(void *context, struct ca *ca, const struct acme_problem *problem,
                        bool is_back)
{
    struct acme_worker *worker = context;
    size_t waited = 0;
    for (struct certificate *certificate = worker->first; certificate != NULL;) {
        struct certificate *next = certificate->next;
        if (&worker->cas[certificate->ca] == ca && certificate->work == WORK_WAITS) {
            waited++;
            go_on(certificate, problem);
        }
        certificate = next;
    }
    if (is_back)
        worker_ca_is_back(worker, ca);
    if (problem != NULL)
        tell_not_ready(ca, problem, waited);
}

/* -- What is wanted -- */

static void free_hosts(struct certificate *certificate)
{
    for (size_t i = 0; i < certificate->host_count; i++) {
        free(certificate->hosts[i].name);
        free(certificate->hosts[i].problem);
    }
    free(certificate->hosts);
}

static void free_certificate(struct certificate *certificate)
{
    queue_remove(&certificate->worker->queue, &certificate->entry);
    worker_drop_job(certificate);
    worker_drop_revocation(certificate);
    free_hosts(certificate);
    crypto_certificate_free(&certificate->in_service);
    free(certificate->issuer_directory);
    free(certificate->problem);
    free(certificate->name);
    free(certificate);
}

/* Takes the wanted hosts; those that were there keep what is remembered of them. */
static void set_hosts(struct certificate *certificate, const struct acme_wanted *wanted)
{
    struct host *hosts = memory_new(wanted->host_count * sizeof(*hosts));
    for (size_t i = 0; i < wanted->host_count; i++) {
        for (size_t k = 0; k < certificate->host_count; k++)
            if (strcmp(certificate->hosts[k].name, wanted->hosts[i]) == 0) {
                hosts[i].hold = certificate->hosts[k].hold;
                hosts[i].is_forbidden = certificate->hosts[k].is_forbidden;
                worker_set_problem(&hosts[i].problem, certificate->hosts[k].problem);
            }
        hosts[i].name = memory_copy_text(slice_of(wanted->hosts[i]));
    }
    free_hosts(certificate);
    certificate->hosts = hosts;
    certificate->host_count = wanted->host_count;
}

static bool same_hosts(const struct certificate *certificate, const struct acme_wanted *wanted)
{
    if (certificate->host_count != wanted->host_count)
        return false;
    for (size_t i = 0; i < wanted->host_count; i++)
        if (strcmp(certificate->hosts[i].name, wanted->hosts[i]) != 0)
            return false;
    return true;
}

void worker_names_changed(struct certificate *certificate)
{
    schedule_names_changed(&certificate->schedule);
    if (certificate->schedule.failures == 0)
        worker_set_problem(&certificate->problem, NULL);
    /* The CA's limits for other names are others, and are asked when it is about to be ordered. */
    if (certificate->limit != NULL)
        certificate->schedule.retry_mono_ms = 0;
    certificate->limit = NULL;
}

/* Those of a certificate that is known become others, and what was remembered of all of them
 * together goes. An order for the names before is of no use. */
static void change(struct certificate *certificate, const struct acme_wanted *wanted)
{
    bool is_renamed = !same_hosts(certificate, wanted);
    worker_drop_job(certificate);
    certificate->key_type = wanted->key_type;
    set_hosts(certificate, wanted);
    if (is_renamed)
        worker_names_changed(certificate);
}

static struct certificate *add_new(struct acme_worker *worker, const struct acme_wanted *wanted)
{
    struct certificate *certificate = memory_new(sizeof(*certificate));
    certificate->worker = worker;
    certificate->name = memory_copy_text(slice_of(wanted->name));
    certificate->key_type = wanted->key_type;
    worker_add(worker, certificate);
    set_hosts(certificate, wanted);
    worker_load(certificate);
    return certificate;
}

enum error acme_worker_want(struct acme_worker *worker, const struct acme_wanted *wanted,
                            struct error_text *why)
{
    if (!store_name_valid(slice_of(wanted->name)))
        return error_set(why, ERROR_INVALID, "%s cannot be the name of a certificate's file",
                         wanted->name);
    if (wanted->host_count == 0 || wanted->host_count > ACME_HOSTS_MAX)
        return error_set(why, ERROR_INVALID, "%s: a certificate is for 1 to %d hosts", wanted->name,
                         ACME_HOSTS_MAX);
    struct certificate *certificate = worker_find(worker, wanted->name);
    if (certificate != NULL && certificate->key_type == wanted->key_type &&
        same_hosts(certificate, wanted))
        return ERROR_OK;
    if (certificate != NULL)
        change(certificate, wanted);
    else
        certificate = add_new(worker, wanted);
    worker_plan(certificate);
    return ERROR_OK;
}

void acme_worker_unwant(struct acme_worker *worker, const char *name)
{
    struct certificate *certificate = worker_find(worker, name);
    if (certificate == NULL)
        return;
    worker_take_out(worker, certificate);
    worker_forget(certificate);
    free_certificate(certificate);
}

/* An order that is under way goes on; what is found then is found again later. So does a
 * revocation, which is of what was in service before. A window that is being asked for is that of
 * the one before, too. */
static bool look_anew(struct certificate *certificate)
{
    if (certificate->work == WORK_ORDER)
        return false;
    if (certificate->work != WORK_REVOKE)
        worker_drop_job(certificate);
    worker_look(certificate);
    schedule_replaced(&certificate->schedule);
    worker_compare(certificate);
    return true;
}

void acme_worker_found(struct acme_worker *worker, const char *name,
                       const struct crypto_certificate *found)
{
    struct certificate *certificate = worker_find(worker, name);
    if (certificate == NULL ||
        memcmp(certificate->in_service.sha256, found->sha256, sizeof(found->sha256)) == 0)
        return;
    if (look_anew(certificate))
        worker_plan(certificate);
}

bool acme_worker_has_revoked(const struct acme_worker *worker, const char *name, const char *serial)
{
    const struct certificate *certificate = worker_find(worker, name);
    return certificate != NULL && strcmp(certificate->revoked, serial) == 0;
}

void acme_worker_put_back(struct acme_worker *worker, const char *name)
{
    struct certificate *certificate = worker_find(worker, name);
    const struct schedule_now now = worker_now();
    if (certificate == NULL)
        return;
    if (certificate->work == WORK_ORDER)
        worker_drop_job(certificate); /* it would end in the place of what was put back */
    if (!look_anew(certificate))
        return;
    schedule_put_back(&certificate->schedule, &now);
    certificate->limit = NULL;
    worker_set_problem(&certificate->problem, NULL);
    worker_save(certificate);
    worker_plan(certificate);
}

void worker_want_now(struct certificate *certificate)
{
    certificate->schedule.wanted_now = true;
    certificate->schedule.retry_mono_ms = 0;
    for (size_t i = 0; i < certificate->host_count; i++)
        certificate->hosts[i].hold.retry_mono_ms = 0;
}

enum error acme_worker_renew(struct acme_worker *worker, const char *name)
{
    struct certificate *certificate = worker_find(worker, name);
    if (certificate == NULL)
        return ERROR_NOT_FOUND;
    worker_want_now(certificate);
    worker_save_later(certificate);
    worker_plan(certificate);
    return ERROR_OK;
}

static enum error read_pair(const struct certificate *certificate, struct bytes *der,
                            struct crypto_key **key, struct error_text *why)
{
    struct bytes pem = {0};
    enum error error = store_read(certificate->worker->store, certificate->name, &pem, why);
    if (error == ERROR_OK)
        error = crypto_certificate_der(bytes_slice(&pem), der, why);
    if (error == ERROR_OK)
        error = crypto_key_from_pem(bytes_slice(&pem), key, why);
    bytes_free(&pem);
    return error;
}

static bool is_another(const struct certificate *certificate, const struct bytes *der)
{
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    return crypto_sha256(bytes_slice(der), sha256) != ERROR_OK ||
           memcmp(certificate->in_service.sha256, sha256, sizeof(sha256)) != 0;
}

/* Who asked may have meant the one before, which the worker goes by until it hears of another. */
static enum error tell_another(struct certificate *certificate, struct error_text *why)
{
    char before[CRYPTO_SERIAL_SIZE];
    memcpy(before, certificate->in_service.serial, sizeof(before));
    (void)!look_anew(certificate);
    worker_plan(certificate);
    return error_set(why, ERROR_BUSY,
                     "another certificate, serial %s, has just taken the place of the one with "
                     "serial %s: ask again if it is the new one that is to be revoked",
                     certificate->in_service.serial, before);
}

enum error acme_worker_revoke(struct acme_worker *worker, const char *name, acme_done_fn *on_done,
                              void *context, struct error_text *why)
{
    struct certificate *certificate = worker_find(worker, name);
    if (certificate == NULL || certificate->in_service.names == NULL)
        return error_set(why, ERROR_NOT_FOUND, "there is no certificate %s", name);
    if (certificate->revocation != NULL || certificate->work != WORK_NONE)
        return error_set(why, ERROR_BUSY, "%s is being worked on", name);
    struct bytes der = {0};
    struct crypto_key *key = NULL;
    enum error error = read_pair(certificate, &der, &key, why);
    if (error == ERROR_OK && is_another(certificate, &der))
        error = tell_another(certificate, why);
    if (error != ERROR_OK) {
        bytes_free(&der);
        crypto_key_free(key);
        return error;
    }
    certificate->revocation = memory_new(sizeof(*certificate->revocation));
    *certificate->revocation = (struct revocation){.der = der,
                                                   .key = key,
                                                   .ca = worker_issuer(certificate),
                                                   .on_done = on_done,
                                                   .context = context};
    memcpy(certificate->revocation->serial, certificate->in_service.serial, CRYPTO_SERIAL_SIZE);
    worker_plan(certificate);
    return ERROR_OK;
}

/* -- Challenges -- */

/* The order with this ticket, if it is still under way. */
static struct job *find_job(const struct acme_worker *worker, uint64_t ticket)
{
    for (size_t i = 0; i < worker->running; i++)
        if (worker->jobs[i]->ticket == ticket)
            return worker->jobs[i];
    return NULL;
}

static struct runner *by_ticket(const struct acme_worker *worker, uint64_t ticket)
{
    const struct job *job = find_job(worker, ticket);
    return job != NULL ? job->runner : NULL;
}

void acme_worker_examined(struct acme_worker *worker, uint64_t ticket,
                          const struct acme_failure *refused, size_t count)
{
    struct job *job = find_job(worker, ticket);
    if (job != NULL)
        worker_examined(job, refused, count);
}

void acme_worker_published(struct acme_worker *worker, uint64_t ticket)
{
    struct runner *runner = by_ticket(worker, ticket);
    if (runner != NULL)
        runner_resume(runner);
}

void acme_worker_not_published(struct acme_worker *worker, uint64_t ticket, const char *reason)
{
    struct runner *runner = by_ticket(worker, ticket);
    struct acme_problem problem;
    if (runner == NULL)
        return;
    acme_problem_set(&problem, ACME_CLASS_LOCAL, "%s", reason);
    runner_fail(runner, &problem);
}

void acme_worker_way_is_new(struct acme_worker *worker)
{
    const struct schedule_now now = worker_now();
    for (struct certificate *one = worker->first; one != NULL; one = one->next) {
        if (one->work != WORK_NONE || one->schedule.failures == 0)
            continue;
        schedule_way_is_new(&one->schedule, &now);
        worker_plan(one);
    }
}

/* -- The account's key -- */

enum error acme_worker_change_key(struct acme_worker *worker, acme_done_fn *on_done, void *context,
                                  struct error_text *why)
{
    for (size_t i = 0; i < worker->running; i++)
        if (worker->jobs[i]->certificate->work != WORK_POLL)
            return error_set(why, ERROR_BUSY, "orders are under way");
    return ca_change_key(&worker->cas[SCHEDULE_CA_FIRST], on_done, context, why);
}

/* -- Status -- */

static const char *doing(const struct certificate *certificate)
{
    switch (certificate->work) {
    case WORK_NONE: return NULL;
    case WORK_WAITS: return "waiting for the CA's directory or account";
    case WORK_WAITS_TURN: return "waiting for the order with the other kind of key";
    case WORK_ORDER:
    case WORK_POLL:
    case WORK_REVOKE:
        if (certificate->job->examining)
            return "looking at DNS";
        if (certificate->job->runner == NULL)
            return "making a key";
        return acme_state_name(runner_flow(certificate->job->runner)->state);
    }
    return NULL;
}

static void tell(const struct certificate *certificate, acme_status_fn *found, void *context)
{
    const struct schedule_now now = worker_now();
    const struct schedule_decision decision = worker_decide(certificate, &now);
    struct acme_host_status *hosts = memory_new(certificate->host_count * sizeof(*hosts));
    for (size_t i = 0; i < certificate->host_count; i++) {
        const struct host *host = &certificate->hosts[i];
        bool out = worker_host_is_out(host, &now);
        hosts[i] = (struct acme_host_status){
            .host = host->name,
            .problem = host->hold.failures > 0 ? host->problem : NULL,
            .retry_in_ms = out ? host->hold.retry_mono_ms - now.mono_ms : 0};
    }
    const struct acme_status status = {
        .name = certificate->name,
        .certificate = certificate->in_service.names != NULL ? &certificate->in_service : NULL,
        .hosts = hosts,
        .host_count = certificate->host_count,
        .problem = certificate->problem,
        .failures = certificate->schedule.failures,
        .alarm = schedule_alarm_of(&certificate->schedule, now.wall_s),
        .is_untrusted = certificate->is_untrusted,
        .doing = doing(certificate),
        .why = decision.why,
        .next_in_ms = decision.due_mono_ms - now.mono_ms,
        .why_in_ms = decision.happens_mono_ms - now.mono_ms,
        .renewal_s = decision.renewal_s,
        .ca = certificate->issuer_directory != NULL ? certificate->issuer_directory : ""};
    found(context, &status);
    free(hosts);
}

bool acme_worker_status(struct acme_worker *worker, const char *name, acme_status_fn *found,
                        void *context)
{
    const struct certificate *certificate = worker_find(worker, name);
    if (certificate != NULL)
        tell(certificate, found, context);
    return certificate != NULL;
}

size_t acme_worker_orders_running(const struct acme_worker *worker)
{
    return worker->running;
}

const struct acme_counts *acme_worker_counts(const struct acme_worker *worker, unsigned ca)
{
    return &worker->cas[ca].counts;
}

uint64_t acme_worker_failures(const struct acme_worker *worker, enum acme_class class)
{
    return worker->failures[class];
}

uint64_t acme_worker_issued(const struct acme_worker *worker)
{
    return worker->issued;
}

/* -- Life -- */

/* Each CA's directory, and the account that it knows otherwise. */
static char *tell_whom(const struct acme_worker_settings *settings)
{
    char *whom = memory_copy_text(SLICE(""));
    for (size_t i = 0; i < CA_COUNT; i++) {
        const char *url = settings->cas[i].directory_url, *kid = settings->cas[i].external_kid;
        char *longer =
            memory_format("%s%s %s\n", whom, url != NULL ? url : "-", kid != NULL ? kid : "-");
        free(whom);
        whom = longer;
    }
    return whom;
}

struct acme_worker *acme_worker_new(struct main_loop *loop, struct store *store,
                                    const struct acme_worker_settings *settings,
                                    struct error_text *why)
{
    struct acme_worker *worker = memory_new(sizeof(*worker));
    worker->loop = loop;
    worker->store = store;
    worker->settings = *settings;
    worker->timer = main_timer_new(loop, on_due, worker);
    worker->save_timer = main_timer_new(loop, worker_save_some, worker);
    worker->jobs = memory_new(most_at_once(worker) * sizeof(struct job *));
    worker->whom = tell_whom(settings);
    for (size_t i = 0; i < CA_COUNT; i++) {
        const struct acme_ca_settings *own = &worker->settings.cas[i];
        worker->has_ca[i] = own->directory_url != NULL;
        if (worker->has_ca[i] &&
            ca_init(&worker->cas[i], loop, store, own, on_ca_ready, worker, why) != ERROR_OK) {
            acme_worker_free(worker);
            return NULL;
        }
    }
    assert(worker->has_ca[SCHEDULE_CA_FIRST]);
    return worker;
}

void acme_worker_free(struct acme_worker *worker)
{
    if (worker == NULL)
        return;
    while (worker->first != NULL) {
        struct certificate *certificate = worker->first;
        if (certificate->is_unsaved)
            worker_save(certificate);
        worker_take_out(worker, certificate);
        free_certificate(certificate);
    }
    for (size_t i = 0; i < CA_COUNT; i++)
        if (worker->has_ca[i])
            ca_fini(&worker->cas[i]);
    queue_fini(&worker->queue);
    worker_free_left_cas(worker);
    main_timer_free(worker->timer);
    main_timer_free(worker->save_timer);
    free(worker->jobs);
    free(worker->whom);
    free(worker->index);
    free(worker);
}
