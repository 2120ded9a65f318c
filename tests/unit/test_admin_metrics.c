/* admin/metrics_text: both formats byte by byte, parts, escapes, and which of the two is wanted. */
#include "admin/metrics_text.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static void write_all(struct metrics_text *text)
{
    static const double BOUNDS_S[] = {1e-7, 0.5, 2};
    static const uint64_t BUCKETS[] = {1, 0, 2, 4};
    metrics_family(text, METRICS_INFO, "x_build", "Which.");
    metrics_info(text, METRICS_LABELS({"version", SLICE("1")}));
    metrics_family(text, METRICS_COUNTER, "x_things", "Back\\slash, \"quote\",\nline.");
    metrics_count(text, UINT64_MAX, NULL);
    metrics_count(text, 2, METRICS_LABELS({"a", SLICE("q\"b\\n\n")}, {"b", SLICE("")}));
    metrics_family(text, METRICS_GAUGE, "x_level", "How.");
    metrics_value(text, 0.25, NULL);
    metrics_value(text, 1795652255, NULL);
    metrics_value(text, -1, NULL);
    metrics_family(text, METRICS_HISTOGRAM, "x_seconds", "Long.");
    metrics_histogram(text, &(struct metrics_histogram){BOUNDS_S, BUCKETS, 3, 8.5});
}

#define SAMPLES_1                                     \
    "x_things_total 18446744073709551615\n"           \
    "x_things_total{a=\"q\\\"b\\\\n\\n\",b=\"\"} 2\n" \
    "# HELP x_level How.\n"                           \
    "# TYPE x_level gauge\n"                          \
    "x_level 0.25\n"                                  \
    "x_level 1795652255\n"                            \
    "x_level -1\n"                                    \
    "# HELP x_seconds Long.\n"                        \
    "# TYPE x_seconds histogram\n"                    \
    "x_seconds_bucket{le=\"1e-07\"} 1\n"              \
    "x_seconds_bucket{le=\"0.5\"} 1\n"                \
    "x_seconds_bucket{le=\"2.0\"} 3\n"                \
    "x_seconds_bucket{le=\"+Inf\"} 7\n"               \
    "x_seconds_sum 8.5\n"                             \
    "x_seconds_count 7\n"

static char *written(const char *accept, char **content_type)
{
    const struct admin_request request = {.accept = slice_of(accept)};
    struct admin_answer answer = {0};
    struct metrics_text text;
    metrics_begin(&text, &request, &answer);
    write_all(&text);
    metrics_end(&text, &answer);
    *content_type = (char *)(uintptr_t)answer.content_type;
    return answer.text;
}

Test(metrics_text, prometheus)
{
    char *type;
    char *text = written("", &type);
    cr_expect(eq(str, type, "text/plain; version=0.0.4; charset=utf-8"));
    cr_expect(eq(str, text,
                 "# HELP x_build_info Which.\n"
                 "# TYPE x_build_info gauge\n"
                 "x_build_info{version=\"1\"} 1\n"
                 "# HELP x_things_total Back\\\\slash, \"quote\",\\nline.\n"
                 "# TYPE x_things_total counter\n" SAMPLES_1));
    free(text);
}

Test(metrics_text, open_metrics)
{
    char *type;
    char *text = written("application/openmetrics-text", &type);
    cr_expect(eq(str, type, "application/openmetrics-text; version=1.0.0; charset=utf-8"));
    cr_expect(eq(str, text,
                 "# HELP x_build Which.\n"
                 "# TYPE x_build info\n"
                 "x_build_info{version=\"1\"} 1\n"
                 "# HELP x_things Back\\\\slash, \\\"quote\\\",\\nline.\n"
                 "# TYPE x_things counter\n" SAMPLES_1 "# EOF\n"));
    free(text);
}

Test(metrics_text, parts_have_one_end)
{
    const struct admin_request request = {.accept = SLICE("application/openmetrics-text")};
    struct admin_answer answer = {0};
    for (unsigned part = 0; part < 2; part++) {
        struct metrics_text text;
        metrics_begin(&text, &request, &answer);
        metrics_family(&text, METRICS_GAUGE, part == 0 ? "a" : "b", "h");
        metrics_end(&text, &answer);
    }
    cr_expect(
        eq(str, answer.text, "# HELP a h\n# TYPE a gauge\n# HELP b h\n# TYPE b gauge\n# EOF\n"));
    free(answer.text);
}

Test(metrics_text, which_of_the_two)
{
    static const struct {
        const char *accept;
        bool open;
    } ROWS[] = {
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"text/html, */*;q=0.1", false},
        {"application/openmetrics-text", true},
        {"Application/OpenMetrics-Text; version=1.0.0", true},
        /* as Prometheus has sent it, in two of its versions */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"text/plain;version=0.0.4;q=1,*/*;q=0.1", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.6", false},
        {"application/openmetrics-text;q=0.60, text/plain;q=0.599", true},
        {"application/openmetrics-text ; version=1.0.0 ; q=0.2", true},
        {",,;q=,application/openmetrics-text;q=", true},
        {";;;,q=0.5", false},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(int, metrics_prefers_open(slice_of(ROWS[i].accept)), ROWS[i].open), "%s",
                  ROWS[i].accept);
}
