/* What the worker writes down about a certificate: see worker.h. */
#include "worker.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/utf8.h"
#include "json/json.h"

#include <stdlib.h>

enum {
    LOOK_AGAIN_MS = 1000,
    READ_AGAIN_MS = 60 * 1000, /* what an admin has to mend */
    SAVES_AT_ONCE = 20,        /* milliseconds, on a disk that is slow */
    SAVE_PAUSE_MS = 5,
};

static struct json *problem_to_json(const struct acme_problem *problem)
{
    struct json *saved = json_new_object();
    json_put_text(saved, "class", slice_of(acme_class_name(problem->class)));
    json_put_integer(saved, "status", problem->status);
    json_put_text(saved, "type", slice_of(problem->type));
    json_put_text(saved, "detail", slice_of(problem->detail));
    json_put_text(saved, "url", slice_of(problem->url));
    return saved;
}

/* What was saved fitted, unless it ended within a character, which is longer as U+FFFD. */
static void copy_text(const struct json *value, char *copy, size_t size)
{
    struct slice text = SLICE("");
    (void)!json_read_text(value, &text);
    text = utf8_head(text, size - 1);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
}

static void problem_from_json(const struct json *saved, struct acme_problem **own)
{
    struct slice class;
    int64_t status = 0;
    struct acme_problem problem = {.retry_after_s = -1};
    if (!json_read_text(json_get(saved, "class"), &class) ||
        !acme_class_parse(class, &problem.class) || problem.class == ACME_CLASS_NONE)
        return;
    if (json_read_integer(json_get(saved, "status"), &status) && status > 0 && status < 1000)
        problem.status = (int)status;
    copy_text(json_get(saved, "type"), problem.type, sizeof(problem.type));
    copy_text(json_get(saved, "detail"), problem.detail, sizeof(problem.detail));
    copy_text(json_get(saved, "url"), problem.url, sizeof(problem.url));
    worker_set_problem(own, &problem);
}

static struct json *hosts_to_json(const struct certificate *certificate,
                                  const struct schedule_now *now)
{
    struct json *held = json_new_object();
    for (size_t i = 0; i < certificate->host_count; i++) {
        const struct host *host = &certificate->hosts[i];
        if (host->hold.failures == 0)
            continue;
        struct json *saved = schedule_save(&host->hold, now);
        if (host->problem != NULL)
            json_put(saved, "problem", problem_to_json(host->problem));
        json_put(held, host->name, saved);
    }
    return held;
}

/* For the names that `schedule` tells of, who may have been corrected by the next start. */
static void put_names(const struct certificate *certificate, struct json *saved)
{
    struct json *names = json_new_array();
    for (size_t i = 0; i < certificate->host_count; i++)
        json_append_text(names, slice_of(certificate->hosts[i].name));
    json_put(saved, "hosts", names);
}

/* What was written down by an older version tells no names: they are taken for the same. */
static bool has_other_names(const struct certificate *certificate, const struct json *saved)
{
    const struct json *names = json_get(saved, "hosts");
    struct slice text;
    if (names != NULL && json_count(names) != certificate->host_count)
        return true;
    for (size_t i = 0; i < json_count(names); i++)
        if (!json_read_text(json_at(names, i), &text) ||
            !slice_equal(text, slice_of(certificate->hosts[i].name)))
            return true;
    return false;
}

/* "" when there is none. */
static struct slice serial_in_service(const struct certificate *certificate)
{
    const struct crypto_certificate *facts = &certificate->in_service;
    return facts->names != NULL ? slice_of(facts->serial) : SLICE("");
}

/* What was written down by an older version does not tell: they are taken for the same. */
static bool has_other_cas(const struct certificate *certificate, const struct json *saved)
{
    struct slice whom;
    return json_read_text(json_get(saved, "whom"), &whom) &&
           !slice_equal(whom, slice_of(certificate->worker->whom));
}

void worker_is_about(struct certificate *certificate)
{
    struct slice serial = serial_in_service(certificate);
    memcpy(certificate->about, serial.data, serial.size);
    certificate->about[serial.size] = '\0';
}

void worker_save(struct certificate *certificate)
{
    certificate->is_unsaved = false;
    struct error_text why = {0};
    const struct schedule_now now = worker_now();
    struct schedule_certificate schedule = certificate->schedule;
    if (certificate->limit != NULL)
        schedule.retry_mono_ms = 0; /* a CA's limits are remembered by themselves */
    struct json *saved = schedule_save(&schedule, &now);
    if (certificate->issuer_directory != NULL)
        json_put_text(saved, "issuer_directory", slice_of(certificate->issuer_directory));
    if (certificate->problem != NULL)
        json_put(saved, "problem", problem_to_json(certificate->problem));
    json_put_text(saved, "serial", slice_of(certificate->about));
    if (certificate->revoked[0] != '\0')
        json_put_text(saved, "revoked", slice_of(certificate->revoked));
    put_names(certificate, saved);
    json_put_text(saved, "whom", slice_of(certificate->worker->whom));
    json_put(saved, "held", hosts_to_json(certificate, &now));
    if (store_schedule_save(certificate->worker->store, certificate->name, saved, &why) != ERROR_OK)
        log_event(LOG_WARNING, "certificate_memory_not_saved",
                  LOG_TEXT("certificate", certificate->name), LOG_TEXT("reason", why.text));
    json_free(saved);
}

void worker_save_later(struct certificate *certificate)
{
    certificate->is_unsaved = true;
    main_timer_once(certificate->worker->save_timer, SAVE_PAUSE_MS);
}

void worker_save_some(void *context)
{
    struct acme_worker *worker = context;
    size_t saved = 0;
    for (struct certificate *c = worker->first; c != NULL && saved < SAVES_AT_ONCE; c = c->next) {
        if (!c->is_unsaved)
            continue;
        worker_save(c);
        saved++;
    }
    if (saved == SAVES_AT_ONCE)
        main_timer_once(worker->save_timer, SAVE_PAUSE_MS);
}

/* When what cannot be told now may be; 0: it has been. A file that is not to be opened, for want of
 * a right or of descriptors, may be as good as ever. */
static int64_t look_again_mono_ms(enum error look)
{
    switch (look) {
    case ERROR_BUSY:
    case ERROR_NO_MEMORY: return clock_mono_ms() + LOOK_AGAIN_MS;
    case ERROR_SYSTEM: return clock_mono_ms() + READ_AGAIN_MS;
    default: return 0;
    }
}

/* Once for what stays as it is, however often it is looked at. */
static void log_look(struct certificate *certificate, enum error look, const struct error_text *why)
{
    bool was_unreadable = certificate->is_unreadable;
    certificate->is_unreadable = look == ERROR_SYSTEM;
    if (look == ERROR_OK || look == ERROR_NOT_FOUND || look == ERROR_BUSY ||
        (was_unreadable && look == ERROR_SYSTEM))
        return;
    log_event(LOG_WARNING, "certificate_unusable", LOG_TEXT("certificate", certificate->name),
              LOG_TEXT("reason", why->text));
}

void worker_look(struct certificate *certificate)
{
    struct store *store = certificate->worker->store;
    struct error_text why = {0};
    struct crypto_certificate facts;
    crypto_certificate_free(&certificate->in_service);
    certificate->schedule.not_before_s = certificate->schedule.not_after_s = 0;
    certificate->schedule.can_poll = false;
    enum error error = store_certificate(store, certificate->name, &facts, &why);
    certificate->look_mono_ms = look_again_mono_ms(error);
    if (error == ERROR_INVALID)
        store_set_aside(store, certificate->name, &why);
    log_look(certificate, error, &why);
    if (error != ERROR_OK)
        return;
    certificate->in_service = facts;
    certificate->schedule.not_before_s = facts.not_before_s;
    certificate->schedule.not_after_s = facts.not_after_s;
    certificate->schedule.can_poll = facts.ari_id[0] != '\0';
}

static void forget_failed_hosts(struct certificate *certificate)
{
    for (size_t i = 0; i < certificate->host_count; i++) {
        struct host *host = &certificate->hosts[i];
        if (!crypto_certificate_covers(&certificate->in_service, host->name))
            continue;
        host->hold = (struct schedule_certificate){.seed = host->hold.seed};
        worker_set_problem(&host->problem, NULL);
    }
}

void worker_compare(struct certificate *certificate)
{
    struct slice serial = serial_in_service(certificate);
    certificate->is_untrusted = false;
    if (certificate->look_mono_ms != 0)
        return; /* nobody knows yet which one it is */
    if (serial.size > 0 && !slice_equal(serial, slice_of(certificate->about))) {
        schedule_found(&certificate->schedule);
        worker_set_problem(&certificate->problem, NULL);
        forget_failed_hosts(certificate);
        free(certificate->issuer_directory);
        certificate->issuer_directory =
            store_issuer(certificate->worker->store, certificate->name, &certificate->in_service);
        certificate->limit = NULL;
        if (slice_equal(serial, slice_of(certificate->revoked)))
            worker_want_now(certificate);
    }
    worker_is_about(certificate);
    worker_look_at_issuer(certificate);
}

static void load_held(struct certificate *certificate, const struct json *all,
                      const struct schedule_now *now)
{
    for (size_t i = 0; i < certificate->host_count; i++) {
        struct host *host = &certificate->hosts[i];
        const struct json *held = json_get(all, host->name);
        if (held == NULL)
            continue;
        schedule_load(&host->hold, held, now);
        problem_from_json(json_get(held, "problem"), &host->problem);
    }
}

/* But for what was revoked, which must not come back with the name. */
void worker_forget(const struct certificate *certificate)
{
    struct store *store = certificate->worker->store;
    store_forget(store, certificate->name);
    if (certificate->revoked[0] == '\0')
        return;
    struct json *saved = json_new_object();
    json_put_text(saved, "serial", SLICE(""));
    json_put_text(saved, "revoked", slice_of(certificate->revoked));
    (void)!store_schedule_save(store, certificate->name, saved, NULL);
    json_free(saved);
}

void worker_load(struct certificate *certificate)
{
    const struct schedule_now now = worker_now();
    struct json *saved = store_schedule_load(certificate->worker->store, certificate->name);
    schedule_load(&certificate->schedule, saved, &now);
    if (certificate->schedule.seed == 0)
        crypto_random(&certificate->schedule.seed, sizeof(certificate->schedule.seed));
    schedule_way_is_new(&certificate->schedule,
                        &now); /* whoever has mended it may have started us */
    struct slice issuer;
    free(certificate->issuer_directory);
    certificate->issuer_directory =
        json_read_text(json_get(saved, "issuer_directory"), &issuer) && issuer.size > 0
            ? memory_copy_text(issuer)
            : NULL;
    problem_from_json(json_get(saved, "problem"), &certificate->problem);
    if (has_other_names(certificate, saved))
        worker_names_changed(certificate);
    if (has_other_cas(certificate, saved)) {
        schedule_cas_changed(&certificate->schedule);
        worker_set_problem(&certificate->problem, NULL);
    } else {
        load_held(certificate, json_get(saved, "held"), &now);
    }
    store_pending_settle(certificate->worker->store, certificate->name);
    worker_look(certificate);
    copy_text(json_get(saved, "serial"), certificate->about, sizeof(certificate->about));
    /* An older version does not tell: it is taken for the same. Where nothing was written down, or
     * it was forgotten, what is in service is as new as any, and the store knows who has issued it.
     */
    if (saved != NULL && json_get(saved, "serial") == NULL)
        worker_is_about(certificate);
    copy_text(json_get(saved, "revoked"), certificate->revoked, sizeof(certificate->revoked));
    worker_compare(certificate);
    json_free(saved);
}

/* -- What comes back -- */

static bool is_for_a_host(const struct certificate *certificate,
                          const struct crypto_certificate *facts)
{
    for (size_t i = 0; i < certificate->host_count; i++)
        if (crypto_certificate_covers(facts, certificate->hosts[i].name))
            return true;
    return false;
}

/* Who removed a tenant by mistake has it served at once, whatever the CA's limits are. What an
 * admin has taken away stays away. */
bool worker_bring_back(const struct certificate *certificate)
{
    struct store *store = certificate->worker->store;
    struct crypto_certificate left;
    struct error_text why = {0};
    if (certificate->in_service.names != NULL ||
        store_left(store, certificate->name, &left, &why) != ERROR_OK)
        return false;
    bool is_good = left.not_after_s > clock_wall_s() && is_for_a_host(certificate, &left) &&
                   strcmp(left.serial, certificate->revoked) != 0;
    bool is_back = is_good && store_rollback(store, certificate->name, &why) == ERROR_OK;
    if (is_back)
        log_event(LOG_INFO, "certificate_back", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("serial", left.serial));
    else if (is_good)
        log_event(LOG_WARNING, "certificate_not_back", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("reason", why.text));
    crypto_certificate_free(&left);
    return is_back;
}

/* -- The order on its way -- */

static bool same_names(const struct job *job, const struct json *names)
{
    struct slice text;
    if (json_count(names) != job->order_count)
        return false;
    for (size_t i = 0; i < job->order_count; i++)
        if (!json_read_text(json_at(names, i), &text) ||
            !slice_equal(text, slice_of(job->order_names[i])))
            return false;
    return true;
}

void worker_load_order(struct job *job, const char *directory_url)
{
    const struct certificate *certificate = job->certificate;
    struct json *saved = store_order_load(certificate->worker->store, certificate->name);
    struct slice directory;
    job->resumed_url[0] = '\0';
    bool about_to = json_read_text(json_get(saved, "directory"), &directory) &&
                    slice_equal(directory, slice_of(directory_url)) &&
                    same_names(job, json_get(saved, "names"));
    if (about_to && !acme_url_copy(json_get(saved, "url"), job->resumed_url))
        job->may_exist = true;
    json_free(saved);
}

static enum error write_order(const struct certificate *certificate, const struct json *order,
                              struct error_text *why)
{
    enum error error = store_order_save(certificate->worker->store, certificate->name, order, why);
    if (error != ERROR_OK)
        log_event(LOG_WARNING, "order_not_saved", LOG_TEXT("certificate", certificate->name),
                  LOG_TEXT("reason", why->text));
    return error;
}

/* An order that is the twin's by what is on disk, and that has been come by all the same: it is
 * this one's from now on, and the twin looks for another before it makes one. */
static void take_from_twin(const struct certificate *certificate, const char *order_url)
{
    const struct certificate *twin = worker_twin(certificate);
    struct slice url;
    struct error_text why = {0};
    if (twin == NULL || order_url[0] == '\0')
        return;
    struct json *saved = store_order_load(twin->worker->store, twin->name);
    if (json_read_text(json_get(saved, "url"), &url) && slice_equal(url, slice_of(order_url))) {
        json_put_text(saved, "url", SLICE(""));
        (void)!write_order(twin, saved, &why);
    }
    json_free(saved);
}

enum error worker_save_order(struct job *job, const char *directory_url, const char *order_url,
                             struct error_text *why)
{
    const struct certificate *certificate = job->certificate;
    struct json *saved = json_new_object(), *names = json_new_array();
    order_url = order_url != NULL ? order_url : "";
    json_put_text(saved, "directory", slice_of(directory_url));
    json_put_text(saved, "url", slice_of(order_url));
    memcpy(job->order_url, order_url, strlen(order_url) + 1);
    for (size_t i = 0; i < job->order_count; i++)
        json_append_text(names, slice_of(job->order_names[i]));
    json_put(saved, "names", names);
    enum error error = write_order(certificate, saved, why);
    json_free(saved);
    take_from_twin(certificate, order_url);
    return error;
}

void worker_forget_order(struct job *job)
{
    job->order_url[0] = '\0';
    store_order_forget(job->certificate->worker->store, job->certificate->name);
}
