/* GET /metrics, the sidecar's part: HAProxys, certificates, CAs, swaps. What each means is told by
 * docs/METRICS.md. */
#include "admin/metrics_text.h"
#include "certificate_view.h"
#include "core/clock.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* -- Swaps ------------------------------------------------------------------------------------- */

static const double SWAP_BOUNDS_S[SWAP_TIME_BOUNDS] = {0.001, 0.002, 0.005, 0.01, 0.02,
                                                       0.05,  0.1,   0.5,   2.5,  10.5};

void sidecar_count_swap(struct sidecar *sidecar, const struct deploy_result *result)
{
    struct swap_counts *swaps = &sidecar->swaps;
    uint64_t *count = result->error != ERROR_OK ? &swaps->failed
                      : result->removed         ? &swaps->removed
                      : result->unchanged       ? &swaps->unchanged
                                                : &swaps->done;
    size_t bucket = 0;
    (*count)++;
    if (count != &swaps->done)
        return;
    while (bucket < SWAP_TIME_BOUNDS && (double)result->took_us > SWAP_BOUNDS_S[bucket] * 1e6)
        bucket++;
    swaps->times[bucket]++;
    swaps->sum_us += (uint64_t)result->took_us;
}

static void tell_swaps(struct metrics_text *text, const struct swap_counts *swaps)
{
    metrics_family(text, METRICS_COUNTER, "owui_spoa_swaps",
                   "Certificates on their way into running HAProxys, by what came of it.");
    metrics_count(text, swaps->done, METRICS_LABELS({"result", SLICE("done")}));
    metrics_count(text, swaps->unchanged, METRICS_LABELS({"result", SLICE("unchanged")}));
    metrics_count(text, swaps->removed, METRICS_LABELS({"result", SLICE("removed")}));
    metrics_count(text, swaps->failed, METRICS_LABELS({"result", SLICE("failed")}));
    metrics_family(text, METRICS_HISTOGRAM, "owui_spoa_swap_duration_seconds",
                   "How long those took that were done, first command to last answer.");
    metrics_histogram(text, &(struct metrics_histogram){
                                .bounds_s = SWAP_BOUNDS_S,
                                .buckets = swaps->times,
                                .bound_count = SWAP_TIME_BOUNDS,
                                .sum_s = (double)swaps->sum_us / 1e6,
                            });
}

/* -- HAProxys and CAs -------------------------------------------------------------------------- */

static void tell_haproxys(struct metrics_text *text, const struct sidecar *sidecar)
{
    metrics_family(text, METRICS_GAUGE, "owui_spoa_haproxy_up",
                   "1 while a HAProxy answers on its Runtime API.");
    for (size_t i = 0; i < sidecar->haproxy_count; i++)
        metrics_value(text, sidecar->haproxys[i].process.pid > 0,
                      METRICS_LABELS({"socket", slice_of(sidecar->haproxys[i].target.path)}));
}

static void tell_answers(struct metrics_text *text, const struct acme_counts *counts)
{
    if (counts->directory_url == NULL)
        return;
    for (int status = ACME_STATUS_MIN - 1; status <= ACME_STATUS_MAX; status++) {
        char word[16] = "none";
        uint32_t count = counts->answers[acme_counts_index(status)];
        if (count == 0)
            continue;
        if (status >= ACME_STATUS_MIN)
            snprintf(word, sizeof(word), "%d", status);
        metrics_count(
            text, count,
            METRICS_LABELS({"ca", slice_of(counts->directory_url)}, {"status", slice_of(word)}));
    }
}

static void tell_acme(struct metrics_text *text, const struct acme_worker *worker)
{
    metrics_family(text, METRICS_COUNTER, "owui_spoa_acme_answers",
                   "Answers of CAs by HTTP status; none: no answer came.");
    for (unsigned ca = SCHEDULE_CA_FIRST; ca <= SCHEDULE_CA_SECOND; ca++)
        tell_answers(text, acme_worker_counts(worker, ca));
    metrics_family(text, METRICS_COUNTER, "owui_spoa_acme_failures",
                   "Orders that came to nothing and names that were left out, by why.");
    for (unsigned i = ACME_CLASS_NONE + 1; i < ACME_CLASS__MAX; i++)
        metrics_count(text, acme_worker_failures(worker, (enum acme_class)i),
                      METRICS_LABELS({"class", slice_of(acme_class_name((enum acme_class)i))}));
    metrics_family(text, METRICS_COUNTER, "owui_spoa_certificates_issued",
                   "Certificates that were obtained.");
    metrics_count(text, acme_worker_issued(worker), NULL);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_acme_orders", "Orders under way.");
    metrics_value(text, (double)acme_worker_orders_running(worker), NULL);
}

/* -- Certificates ------------------------------------------------------------------------------ */

struct told {
    struct json **each; /* those of which something is told by name, as described */
    size_t each_count;
    size_t by_health[CERTIFICATE_HEALTH__MAX];
    int64_t earliest_s; /* the end of the first of all to end; INT64_MAX: there is none */
};

static void describe(struct sidecar *sidecar, struct told *told, const bool *is_fine, bool fine)
{
    const struct certificate_list *list = sidecar->list;
    for (size_t i = 0; i < list->count && told->each_count < sidecar->told_max; i++)
        if (is_fine[i] == fine)
            told->each[told->each_count++] = certificate_describe(sidecar, list->items[i]);
}

/* Only so many are described as can be told, since that is what takes long. Those that are not fine
 * come first. */
static void look(struct sidecar *sidecar, struct told *told)
{
    size_t count = sidecar->list->count;
    bool *is_fine = memory_new(count + 1);
    *told = (struct told){.earliest_s = INT64_MAX};
    told->each = memory_new((size_min(count, sidecar->told_max) + 1) * sizeof(struct json *));
    for (size_t i = 0; i < count; i++) {
        struct certificate_facts facts;
        certificate_look(sidecar, sidecar->list->items[i], &facts);
        told->by_health[facts.health]++;
        is_fine[i] = facts.health == CERTIFICATE_FINE;
        if (facts.is_there && facts.not_after_s < told->earliest_s)
            told->earliest_s = facts.not_after_s;
    }
    describe(sidecar, told, is_fine, false);
    describe(sidecar, told, is_fine, true);
    free(is_fine);
}

static void told_fini(struct told *told)
{
    for (size_t i = 0; i < told->each_count; i++)
        json_free(told->each[i]);
    free(told->each);
}

static int64_t number_of(const struct json *object, const char *key, int64_t otherwise)
{
    int64_t number;
    return json_read_integer(json_get(object, key), &number) ? number : otherwise;
}

static void tell_of_each(struct metrics_text *text, const struct told *told, const char *key,
                         int64_t from)
{
    for (size_t i = 0; i < told->each_count; i++) {
        const struct json *one = told->each[i];
        int64_t number = number_of(one, key, INT64_MIN);
        if (number != INT64_MIN)
            metrics_value(text, (double)(from + number),
                          METRICS_LABELS({"certificate", json_get_text(one, "name")},
                                         {"tenant", json_get_text(one, "tenant")}));
    }
}

static void tell_problems(struct metrics_text *text, const struct told *told)
{
    metrics_family(text, METRICS_GAUGE, "owui_spoa_certificate_problem",
                   "1 for a certificate whose last order came to nothing, with why.");
    for (size_t i = 0; i < told->each_count; i++) {
        const struct json *one = told->each[i];
        const struct json *problem = json_get(one, "problem");
        if (problem != NULL)
            metrics_value(text, 1,
                          METRICS_LABELS({"certificate", json_get_text(one, "name")},
                                         {"tenant", json_get_text(one, "tenant")},
                                         {"class", json_get_text(problem, "class")}));
    }
}

static void tell_served(struct metrics_text *text, const struct told *told)
{
    metrics_family(text, METRICS_GAUGE, "owui_spoa_certificate_served",
                   "1 while a HAProxy has the certificate that is on disk.");
    for (size_t i = 0; i < told->each_count; i++) {
        const struct json *haproxys = json_get(told->each[i], "haproxys");
        for (size_t h = 0; h < json_count(haproxys); h++) {
            bool served = false;
            if (!json_read_bool(json_get(json_at(haproxys, h), "served"), &served))
                served = false;
            metrics_value(
                text, served,
                METRICS_LABELS({"certificate", json_get_text(told->each[i], "name")},
                               {"socket", json_get_text(json_at(haproxys, h), "socket")}));
        }
    }
}

static void tell_earliest(struct metrics_text *text, const struct told *told)
{
    metrics_family(text, METRICS_GAUGE, "owui_spoa_certificates_earliest_expiry_timestamp_seconds",
                   "When the first certificate of all ends, in seconds since 1970.");
    if (told->earliest_s != INT64_MAX)
        metrics_value(text, (double)told->earliest_s, NULL);
}

static void tell_certificates(struct metrics_text *text, const struct told *told)
{
    metrics_family(text, METRICS_GAUGE, "owui_spoa_certificates",
                   "Certificates that are wanted, by the worst that can be said of each.");
    for (unsigned i = 0; i < CERTIFICATE_HEALTH__MAX; i++)
        metrics_value(text, (double)told->by_health[i],
                      METRICS_LABELS({"state", slice_of(certificate_health_name(
                                                   (enum certificate_health)i))}));
    tell_earliest(text, told);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_certificate_expiry_timestamp_seconds",
                   "When the certificate on disk ends, in seconds since 1970.");
    tell_of_each(text, told, "not_after", 0);
    metrics_family(text, METRICS_GAUGE, "owui_spoa_certificate_next_action_timestamp_seconds",
                   "When something is done about it next, in seconds since 1970.");
    tell_of_each(text, told, "next_in_s", clock_wall_s());
    metrics_family(text, METRICS_GAUGE, "owui_spoa_certificate_failures",
                   "Orders in a row that came to nothing.");
    tell_of_each(text, told, "failures", 0);
    tell_problems(text, told);
    tell_served(text, told);
}

void sidecar_show_metrics(void *context, const struct admin_request *request,
                          struct admin_answer *answer)
{
    struct sidecar *sidecar = context;
    struct metrics_text text;
    struct told told;
    look(sidecar, &told);
    metrics_begin(&text, request, answer);
    tell_haproxys(&text, sidecar);
    tell_certificates(&text, &told);
    tell_swaps(&text, &sidecar->swaps);
    if (sidecar->worker != NULL)
        tell_acme(&text, sidecar->worker);
    metrics_end(&text, answer);
    told_fini(&told);
}
