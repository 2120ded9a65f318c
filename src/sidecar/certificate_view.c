/* What is told of a certificate: see certificate_view.h. */
#include "certificate_view.h"

#include "core/clock.h"
#include "core/memory.h"

#include <stdlib.h>

/* What is told of one certificate, and where. */
struct description {
    const struct certificate *certificate;
    struct json *object;
};

static void put_lacking(const struct description *description,
                        const struct crypto_certificate *about)
{
    const struct certificate *certificate = description->certificate;
    struct json *lacking = json_new_array();
    for (size_t i = 0; i < certificate->host_count; i++)
        if (!crypto_certificate_covers(about, certificate->hosts[i]))
            json_append_text(lacking, slice_of(certificate->hosts[i]));
    if (json_count(lacking) > 0)
        json_put(description->object, "lacking", lacking);
    else
        json_free(lacking);
}

/* The certificate on disk. */
static void put_file(const struct description *description, const struct crypto_certificate *about)
{
    struct json *object = description->object;
    json_put_text(object, "serial", slice_of(about->serial));
    json_put_text(object, "issuer", slice_of(about->issuer));
    json_put_integer(object, "not_before", about->not_before_s);
    json_put_integer(object, "not_after", about->not_after_s);
    json_put_text(object, "key", slice_of(crypto_key_type_name(about->key_type)));
    json_put(object, "names", json_new_texts(about->names, about->name_count));
    put_lacking(description, about);
}

static void put_problem(struct json *object, const struct acme_problem *problem)
{
    struct json *told = json_new_object();
    json_put_text(told, "class", slice_of(acme_class_name(problem->class)));
    json_put_text(told, "type", slice_of(problem->type));
    json_put_text(told, "detail", slice_of(problem->detail));
    if (problem->url[0] != '\0')
        json_put_text(told, "url", slice_of(problem->url));
    json_put(object, "problem", told);
}

static const char *alarm_name(enum schedule_alarm alarm)
{
    static const char *const NAMES[] = {"fine", "expiring", "expired"};
    return NAMES[alarm];
}

static int64_t at_of(int64_t wait_ms)
{
    return clock_wall_s() + (wait_ms + 999) / 1000;
}

/* What the worker knows of it. */
static void put_status(void *context, const struct acme_status *status)
{
    const struct description *description = context;
    struct json *object = description->object;
    if (status->certificate != NULL)
        put_file(description, status->certificate);
    if (status->problem != NULL)
        put_problem(object, status->problem);
    struct json *left_out = json_new_array();
    for (size_t i = 0; i < status->host_count; i++) {
        if (status->hosts[i].problem == NULL)
            continue;
        struct json *host = json_new_object();
        json_put_text(host, "host", slice_of(status->hosts[i].host));
        put_problem(host, status->hosts[i].problem);
        if (status->hosts[i].retry_in_ms > 0)
            json_put_integer(host, "retry_at", at_of(status->hosts[i].retry_in_ms));
        json_append(left_out, host);
    }
    json_put(object, "left_out", left_out);
    json_put_integer(object, "failures", status->failures);
    json_put_text(object, "alarm", slice_of(alarm_name(status->alarm)));
    if (status->doing != NULL)
        json_put_text(object, "doing", slice_of(status->doing));
    json_put_text(object, "next", slice_of(status->why));
    json_put_integer(object, "next_in_s", status->next_in_ms / 1000);
    if (status->doing == NULL && status->why_in_ms > 0)
        json_put_integer(object, "next_at", at_of(status->why_in_ms));
    if (status->renewal_s != 0)
        json_put_integer(object, "renewal", status->renewal_s);
    json_put_text(object, "ca", slice_of(status->ca));
}

static bool is_served(const struct sidecar *sidecar, const struct certificate *certificate,
                      size_t haproxy)
{
    return certificate->deployments[haproxy].deployed &&
           sidecar->haproxys[haproxy].process.pid != 0;
}

/* Why one does not, or is not known to; NULL: it does, or there is none to serve. */
static const char *why_not_served(const struct sidecar *sidecar,
                                  const struct certificate *certificate, size_t haproxy,
                                  bool is_there)
{
    const struct haproxy_seen *seen = &sidecar->haproxys[haproxy];
    const struct deployment *deployment = &certificate->deployments[haproxy];
    if (deployment->problem != NULL || !is_there)
        return deployment->problem;
    if (seen->process.pid == 0)
        return seen->problem[0] != '\0' ? seen->problem : "it has not been asked yet";
    return deployment->deployed ? NULL : "it has not been told yet";
}

static struct json *deployments(const struct sidecar *sidecar,
                                const struct certificate *certificate, bool is_there)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < sidecar->haproxy_count; i++) {
        const struct deployment *deployment = &certificate->deployments[i];
        struct json *object = json_new_object();
        json_put_text(object, "socket", slice_of(sidecar->haproxys[i].target.path));
        json_put_bool(object, "served", is_served(sidecar, certificate, i));
        json_put_integer(object, "took_us", deployment->took_us);
        const char *why = why_not_served(sidecar, certificate, i, is_there);
        if (why != NULL)
            json_put_text(object, "problem", slice_of(why));
        json_append(array, object);
    }
    return array;
}

/* What happens next to one that the worker knows nothing of. */
static char *next_of(const struct sidecar *sidecar, const struct certificate *certificate,
                     bool is_there)
{
    if (sidecar->worker != NULL && !certificate->is_given)
        return memory_copy_text(
            sidecar->holding ? SLICE("waits for HAProxy, through which challenges are answered")
                             : SLICE("is looked for in \"certbot_live\" first"));
    char *path = store_path(sidecar->store, certificate->name);
    char *text = memory_format(is_there ? "yours to replace before its end: %s"
                                        : "put chain and key in place, as one file: %s",
                               path);
    free(path);
    return text;
}

/* Without a CA the file is all there is to tell. */
static void put_unmanaged(const struct sidecar *sidecar, const struct description *description)
{
    const struct certificate *certificate = description->certificate;
    struct json *object = description->object;
    struct crypto_certificate about;
    bool is_there = store_certificate(sidecar->store, certificate->name, &about, NULL) == ERROR_OK;
    char *next = next_of(sidecar, certificate, is_there);
    json_put_text(object, "next", slice_of(next));
    free(next);
    json_put_text(object, "alarm", SLICE("fine"));
    if (!is_there)
        return;
    put_file(description, &about);
    json_put_text(object, "alarm", slice_of(alarm_name(certificate_alarm(&about, clock_wall_s()))));
    crypto_certificate_free(&about);
}

/* Where the certificate on disk comes from. */
static void put_source(struct json *object)
{
    struct slice ca;
    bool ordered = json_read_text(json_get(object, "ca"), &ca) && ca.size > 0;
    json_put_text(object, "source", ordered ? SLICE("acme") : SLICE("file"));
}

struct json *certificate_describe(struct sidecar *sidecar, struct certificate *certificate)
{
    struct json *object = json_new_object();
    struct description description = {.certificate = certificate, .object = object};
    struct certificate_facts facts;
    certificate_look(sidecar, certificate, &facts);
    json_put_text(object, "name", slice_of(certificate->name));
    json_put_text(object, "state", slice_of(certificate_health_name(facts.health)));
    json_put_text(object, "tenant", slice_of(certificate->tenant));
    json_put(object, "hosts", json_new_texts(certificate->hosts, certificate->host_count));
    if (sidecar->worker == NULL ||
        !acme_worker_status(sidecar->worker, certificate->name, put_status, &description))
        put_unmanaged(sidecar, &description);
    if (json_get(object, "serial") != NULL)
        put_source(object);
    if (certificate->service.alarm != NULL)
        json_put_text(object, "served_wrong", slice_of(certificate->service.alarm));
    bool is_there = json_get(object, "serial") != NULL;
    json_put(object, "haproxys", deployments(sidecar, certificate, is_there));
    return object;
}

/* -- Without words ------------------------------------------------------------------------------
 */

struct look {
    const struct certificate *certificate;
    struct certificate_facts *facts;
};

static void take_status(void *context, const struct acme_status *status)
{
    const struct look *look = context;
    struct certificate_facts *facts = look->facts;
    facts->alarm = status->alarm;
    facts->is_untrusted = status->is_untrusted;
    facts->is_there = status->certificate != NULL;
    if (!facts->is_there)
        return;
    facts->not_after_s = status->certificate->not_after_s;
    facts->is_for_all_hosts = certificate_has_all_hosts(look->certificate, status->certificate);
}

static void take_file(const struct sidecar *sidecar, struct certificate *certificate,
                      struct certificate_facts *facts)
{
    const struct certificate_validity *validity = certificate_validity_look(sidecar, certificate);
    if (!validity->is_there)
        return;
    facts->is_there = true;
    facts->is_for_all_hosts = validity->is_for_all_hosts;
    facts->not_after_s = validity->not_after_s;
    facts->alarm = certificate_validity_alarm(validity, clock_wall_s());
}

static enum certificate_health health_of(const struct sidecar *sidecar,
                                         const struct certificate *certificate,
                                         const struct certificate_facts *facts)
{
    if (!facts->is_there)
        return CERTIFICATE_MISSING;
    if (facts->is_untrusted)
        return CERTIFICATE_UNTRUSTED;
    if (facts->alarm != SCHEDULE_FINE)
        return facts->alarm == SCHEDULE_EXPIRED ? CERTIFICATE_EXPIRED : CERTIFICATE_EXPIRING;
    if (certificate->service.alarm != NULL)
        return CERTIFICATE_SERVED_WRONG;
    for (size_t i = 0; i < sidecar->haproxy_count; i++)
        if (!is_served(sidecar, certificate, i))
            return CERTIFICATE_NOT_SERVED;
    return facts->is_for_all_hosts ? CERTIFICATE_FINE : CERTIFICATE_INCOMPLETE;
}

void certificate_look(struct sidecar *sidecar, struct certificate *certificate,
                      struct certificate_facts *facts)
{
    struct look look = {.certificate = certificate, .facts = facts};
    *facts = (struct certificate_facts){0};
    if (sidecar->worker == NULL ||
        !acme_worker_status(sidecar->worker, certificate->name, take_status, &look))
        take_file(sidecar, certificate, facts);
    facts->health = health_of(sidecar, certificate, facts);
}

const char *certificate_health_name(enum certificate_health health)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT) [CERTIFICATE_##NAME] = (TEXT),
        CERTIFICATE_HEALTH_TABLE(X)
#undef X
    };
    assert(health < CERTIFICATE_HEALTH__MAX);
    return NAMES[health];
}
