/* Metrics as text: Prometheus' exposition format 0.0.4, or OpenMetrics 1.0 for who accepts that.
 *
 *     metrics_begin(&text, request, answer);
 *     metrics_family(&text, METRICS_COUNTER, "owui_spoa_swaps", "Certificates given to HAProxy.");
 *     metrics_count(&text, swaps, METRICS_LABELS({"result", SLICE("done")}));
 *     metrics_end(&text, answer);
 *
 * A request that is answered in parts begins and ends once in each; what a part writes goes behind
 * what was there. A family's samples follow it at once, and no other part has a family of its name.
 */
#pragma once

#include "admin/admin_server.h"
#include "core/text_stream.h"

enum metrics_kind {
    METRICS_COUNTER, /* named without "_total", which is added */
    METRICS_GAUGE,
    METRICS_HISTOGRAM,
    METRICS_INFO, /* named without "_info", which is added */
};

struct metrics_label {
    const char *name;
    struct slice value; /* any text */
};
/* Ends with a row without a name. */
#define METRICS_LABELS(...)        \
    (const struct metrics_label[]) \
    {                              \
        __VA_ARGS__,               \
        {                          \
            0                      \
        }                          \
    }

/* The caller's storage, between begin and end. */
struct metrics_text {
    struct text_stream stream;
    bool is_open_metrics;
    enum metrics_kind kind;
    const char *name; /* of the family; outlives it */
};

void metrics_begin(struct metrics_text *text, const struct admin_request *request,
                   struct admin_answer *answer);
void metrics_end(struct metrics_text *text, struct admin_answer *answer);

void metrics_family(struct metrics_text *text, enum metrics_kind kind, const char *name,
                    const char *help);
/* Samples of the family; `labels` NULL: none. */
void metrics_count(struct metrics_text *text, uint64_t value, const struct metrics_label *labels);
void metrics_value(struct metrics_text *text, double value, const struct metrics_label *labels);
void metrics_info(struct metrics_text *text, const struct metrics_label *labels);

/* Each bucket's own count: that of `bounds_s[i]` and, behind the last bound, of all above. */
struct metrics_histogram {
    const double *bounds_s;
    const uint64_t *buckets;
    size_t bound_count;
    double sum_s;
};
void metrics_histogram(struct metrics_text *text, const struct metrics_histogram *histogram);

/* Whether who accepts this prefers OpenMetrics to plain text (RFC 9110 12.5.1). */
bool metrics_prefers_open(struct slice accept);
