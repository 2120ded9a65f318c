/* The admin interface's operations on certificates. They run in the sidecar's thread. */
#include "certificate_view.h"
#include "import.h"
#include "sidecar_state.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* -- The sidecar's part of the status ---------------------------------------------------------- */

static void put_health(struct sidecar *sidecar, struct json *object)
{
    size_t counts[CERTIFICATE_HEALTH__MAX] = {0};
    struct json *health = json_new_object();
    for (size_t i = 0; i < sidecar->list->count; i++) {
        struct certificate_facts facts;
        certificate_look(sidecar, sidecar->list->items[i], &facts);
        counts[facts.health]++;
    }
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        json_put_integer(health, certificate_health_name((enum certificate_health)i),
                         (int64_t)counts[i]);
    json_put(object, "certificates", health);
}

/* Whoever writes haproxy.cfg has it read next, as `setup` does. */
enum { RELOAD_S = 2 };

/* Whoever has read haproxy.cfg before it was last written; half-seconds are nobody's fault. */
static void put_notice(const struct haproxy_seen *seen, struct json *object)
{
    int64_t written_s = 0;
    if (seen->process.pid == 0 || seen->started_s == 0 ||
        !json_read_integer(json_get(object, "haproxy_config_written"), &written_s) ||
        written_s <= seen->started_s + 1 || seen->told_s <= written_s + RELOAD_S)
        return;
    const struct json *before = json_get(object, "notices");
    struct json *notices = before != NULL ? json_clone(before) : json_new_array();
    struct json *one = json_new_object();
    char *message = memory_format("HAProxy at %s was started before haproxy.cfg was last written, "
                                  "and goes by what it said before",
                                  seen->target.path);
    json_put_text(one, "kind", SLICE("haproxy_not_reloaded"));
    json_put_text(one, "message", slice_of(message));
    json_put_text(one, "hint", SLICE("systemctl reload haproxy"));
    json_append(notices, one);
    json_put(object, "notices", notices);
    free(message);
}

static void show_status(void *context, const struct admin_request *request,
                        struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct json *haproxys = json_new_array();
    (void)request;
    for (size_t i = 0; i < sidecar->haproxy_count; i++) {
        const struct haproxy_seen *seen = &sidecar->haproxys[i];
        struct json *one = json_new_object();
        json_put_text(one, "socket", slice_of(seen->target.path));
        json_put_integer(one, "pid", seen->process.pid);
        if (seen->problem[0] != '\0')
            json_put_text(one, "problem", slice_of(seen->problem));
        json_append(haproxys, one);
        put_notice(seen, admin_answer_body(answer));
    }
    json_put(admin_answer_body(answer), "haproxys", haproxys);
    put_health(sidecar, admin_answer_body(answer));
}

/* -- Certificates ------------------------------------------------------------------------------ */

/* Of a list in the order of their ends, those first that have none. */
struct dated {
    int64_t not_after_s;
    struct certificate *certificate;
};

static int by_end(const void *a, const void *b)
{
    const struct dated *first = a, *second = b;
    if (first->not_after_s != second->not_after_s)
        return first->not_after_s < second->not_after_s ? -1 : 1;
    return strcmp(first->certificate->name, second->certificate->name);
}

static int64_t end_of(struct sidecar *sidecar, struct certificate *certificate)
{
    struct certificate_facts facts;
    certificate_look(sidecar, certificate, &facts);
    return facts.is_there ? facts.not_after_s : 0;
}

static bool is_searched(const struct certificate *certificate, const char *search)
{
    if (search[0] == '\0' || strcasestr(certificate->name, search) != NULL)
        return true;
    for (size_t i = 0; i < certificate->host_count; i++)
        if (strcasestr(certificate->hosts[i], search) != NULL)
            return true;
    return false;
}

/* ?search=, ?sort=expiry, and ?offset= with ?limit= for one page. */
static void list_certificates(void *context, const struct admin_request *request,
                              struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    const struct certificate_list *list = sidecar->list;
    struct json *array = json_new_array();
    char *search = admin_query_text(request->query, "search");
    bool sorted = slice_equal(admin_query_value(request->query, "sort"), SLICE("expiry"));
    size_t offset = admin_query_number(request->query, "offset", SIZE_MAX, 0);
    size_t limit = admin_query_number(request->query, "limit", SIZE_MAX, SIZE_MAX);
    struct dated *found = memory_new((list->count + 1) * sizeof(*found));
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (is_searched(list->items[i], search))
            found[count++] =
                (struct dated){sorted ? end_of(sidecar, list->items[i]) : 0, list->items[i]};
    if (sorted)
        qsort(found, count, sizeof(*found), by_end);
    for (size_t i = offset; i < count && i - offset < limit; i++)
        json_append(array, certificate_describe(sidecar, found[i].certificate));
    free(found);
    free(search);
    answer->body = json_new_object();
    json_put_integer(answer->body, "now", clock_wall_s());
    json_put_integer(answer->body, "total", (int64_t)count);
    json_put(answer->body, "certificates", array);
}

/* The certificate that the path names, by file or by tenant; answers 404 when there is none. */
static struct certificate *find_asked(struct sidecar *sidecar, const struct admin_request *request,
                                      struct admin_answer *answer)
{
    char name[ADMIN_ITEM_MAX_BYTES + 8];
    snprintf(name, sizeof(name), "%.*s", SLICE_PRINT(request->item));
    struct certificate *certificate = certificate_list_find(sidecar->list, name);
    if (certificate == NULL) {
        snprintf(name, sizeof(name), "%.*s.pem", SLICE_PRINT(request->item));
        certificate = certificate_list_find(sidecar->list, name);
    }
    if (certificate == NULL)
        admin_refuse(answer, 404, "no certificate \"%.*s\" is wanted; `owui-spoa certs` lists them",
                     SLICE_PRINT(request->item));
    return certificate;
}

static void show_certificate(void *context, const struct admin_request *request,
                             struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct certificate *certificate = find_asked(sidecar, request, answer);
    if (certificate != NULL)
        answer->body = certificate_describe(sidecar, certificate);
}

static bool has_worker(const struct sidecar *sidecar, struct admin_answer *answer)
{
    if (sidecar->worker == NULL)
        admin_refuse(answer, 409, "no CA is configured: set \"acme\": {\"directory\": ...}");
    return sidecar->worker != NULL;
}

/* Whether it is one that the worker gets from a CA. */
static bool is_ordered(const struct sidecar *sidecar, const struct certificate *certificate,
                       struct admin_answer *answer)
{
    if (certificate->is_given)
        admin_refuse(answer, 409,
                     "%s is a tenant's \"certificate_file\", which another client gets and renews",
                     certificate->name);
    return !certificate->is_given && has_worker(sidecar, answer);
}

static void renew_certificate(void *context, const struct admin_request *request,
                              struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    const struct certificate *certificate = find_asked(sidecar, request, answer);
    if (certificate == NULL || !is_ordered(sidecar, certificate, answer))
        return;
    if (acme_worker_renew(sidecar->worker, certificate->name) != ERROR_OK)
        admin_refuse(answer, 409, "%s cannot be renewed now", certificate->name);
    else
        answer->status = 202;
}

static void on_revoked(void *context, const struct acme_problem *problem)
{
    (void)context;
    (void)problem; /* the worker keeps it for the status */
}

static void revoke_certificate(void *context, const struct admin_request *request,
                               struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct error_text why;
    const struct certificate *certificate = find_asked(sidecar, request, answer);
    if (certificate == NULL || !is_ordered(sidecar, certificate, answer))
        return;
    if (acme_worker_revoke(sidecar->worker, certificate->name, on_revoked, sidecar, &why) !=
        ERROR_OK)
        admin_refuse(answer, 409, "%s", why.text);
    else
        answer->status = 202;
}

static void on_rolled_over(void *context, const struct acme_problem *problem)
{
    (void)context;
    if (problem != NULL)
        log_event(LOG_ERROR, "account_key_not_changed", LOG_TEXT("reason", problem->detail),
                  LOG_TEXT("until_then", "orders go on with whichever of the two the CA has"));
}

/* RFC 8555 7.3.5 */
static void roll_account_key_over(void *context, const struct admin_request *request,
                                  struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct error_text why;
    (void)request;
    if (!has_worker(sidecar, answer))
        return;
    if (acme_worker_change_key(sidecar->worker, on_rolled_over, sidecar, &why) != ERROR_OK)
        admin_refuse(answer, 409, "%s", why.text);
    else
        answer->status = 202;
}

static void deploy_certificate(void *context, const struct admin_request *request,
                               struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct certificate *certificate = find_asked(sidecar, request, answer);
    if (certificate == NULL)
        return;
    if (!sidecar_deploy_anew(sidecar, certificate))
        admin_refuse(answer, 409, "there is no certificate on disk for %s, or no HAProxy",
                     certificate->name);
    else
        answer->status = 202;
}

static void roll_back_certificate(void *context, const struct admin_request *request,
                                  struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct error_text why;
    struct certificate *certificate = find_asked(sidecar, request, answer);
    if (certificate == NULL)
        return;
    if (sidecar_roll_back(sidecar, certificate, &why) != ERROR_OK)
        admin_refuse(answer, 409, "%s", why.text);
    else
        answer->status = 202;
}

static void import_certificates(void *context, const struct admin_request *request,
                                struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct error_text why;
    struct slice folder;
    if (request->body == NULL || !json_read_text(json_get(request->body, "folder"), &folder) ||
        !slice_starts_with(folder, SLICE("/"))) {
        admin_refuse(answer, 400, "the body must be {\"folder\": \"/absolute/path\"}");
        return;
    }
    char *path = memory_copy_text(folder);
    answer->body = import_folder(sidecar, path, &why);
    if (answer->body == NULL)
        admin_refuse(answer, 409, "%s", why.text);
    free(path);
}

const struct admin_operation SIDECAR_OPERATIONS[] = {
    {"GET", "/v1/status", show_status, "adds HAProxys and certificates", ""},
    {"GET", "/metrics", sidecar_show_metrics, "adds what it knows of certificates", ""},
    {0},
};

const struct admin_operation CERTIFICATE_OPERATIONS[] = {
    {"GET", "/v1/certificates", list_certificates, "lists all certificates",
     "search sort=expiry offset=N limit=N"},
    {"GET", "/v1/certificates/{}", show_certificate, "tells about one", ""},
    {"POST", "/v1/certificates/{}/renew", renew_certificate, "orders a new one now", ""},
    {"POST", "/v1/certificates/{}/revoke", revoke_certificate, "revokes it, orders a new one", ""},
    {"POST", "/v1/certificates/{}/deploy", deploy_certificate,
     "brings it to every HAProxy, were it there already", ""},
    {"POST", "/v1/certificates/{}/rollback", roll_back_certificate, "puts the one before back", ""},
    {"POST", "/v1/account/rollover", roll_account_key_over, "gives the account a new key", ""},
    {"POST", "/v1/import", import_certificates, "takes over another client's certificates", ""},
    {0},
};
