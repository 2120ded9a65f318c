/* Metrics as text: see admin/metrics_text.h. */
#include "admin/metrics_text.h"

#include <stdlib.h>

#define OPEN_METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define PROMETHEUS_TYPE   "text/plain; version=0.0.4; charset=utf-8"

#define END "# EOF\n"

/* -- Which of the two -------------------------------------------------------------------------- */

/* What stands in front of `separator`; `rest` becomes what is behind it. */
static struct slice cut(struct slice *rest, char separator)
{
    return slice_trim(slice_cut(rest, separator));
}

/* The weight in thousandths; 1 unless told. */
static unsigned weight_of(struct slice parameters)
{
    while (parameters.size > 0) {
        struct slice parameter = cut(&parameters, ';');
        if (parameter.size < 3 || !slice_equal_nocase(slice_head(parameter, 2), SLICE("q=")))
            continue;
        unsigned weight = parameter.data[2] == '1' ? 1000 : 0;
        unsigned step = 100;
        for (size_t i = 4; i < parameter.size && step > 0; i++, step /= 10)
            if (ascii_is_digit(parameter.data[i]))
                weight += (unsigned)(parameter.data[i] - '0') * step;
        return weight > 1000 ? 1000 : weight;
    }
    return 1000;
}

bool metrics_prefers_open(struct slice accept)
{
    unsigned open = 0;
    unsigned plain = 0;
    while (accept.size > 0) {
        struct slice parameters = cut(&accept, ',');
        struct slice type = cut(&parameters, ';');
        unsigned weight = weight_of(parameters);
        unsigned *best = slice_equal_nocase(type, SLICE("application/openmetrics-text")) ? &open
                         : slice_equal_nocase(type, SLICE("text/plain"))                 ? &plain
                                                                                         : NULL;
        if (best != NULL && weight > *best)
            *best = weight;
    }
    return open > 0 && open >= plain;
}

/* -- Parts ------------------------------------------------------------------------------------- */

void metrics_begin(struct metrics_text *text, const struct admin_request *request,
                   struct admin_answer *answer)
{
    *text = (struct metrics_text){.is_open_metrics = metrics_prefers_open(request->accept)};
    text_stream_open(&text->stream);
    struct slice before = slice_of(answer->text);
    if (slice_ends_with(before, SLICE(END)))
        before.size -= SLICE(END).size;
    if (before.size > 0)
        fwrite(before.data, 1, before.size, text->stream.out);
    free(answer->text);
    answer->text = NULL;
}

void metrics_end(struct metrics_text *text, struct admin_answer *answer)
{
    if (text->is_open_metrics)
        fputs(END, text->stream.out);
    answer->text = text_stream_close(&text->stream);
    answer->content_type = text->is_open_metrics ? OPEN_METRICS_TYPE : PROMETHEUS_TYPE;
}

/* -- Families and samples ---------------------------------------------------------------------- */

static void put_escaped(FILE *out, struct slice value, bool quotes)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c == '\n')
            fputs("\\n", out);
        else if (c == '\\' || (c == '"' && quotes))
            fprintf(out, "\\%c", c);
        else
            fputc(c, out);
    }
}

/* OpenMetrics names a family without the suffix of its samples; Prometheus with it, and it knows no
 * information but gauges. */
void metrics_family(struct metrics_text *text, enum metrics_kind kind, const char *name,
                    const char *help)
{
    static const char *const OPEN[] = {"counter", "gauge", "histogram", "info"};
    static const char *const PROMETHEUS[] = {"counter", "gauge", "histogram", "gauge"};
    static const char *const SUFFIX[] = {"_total", "", "", "_info"};
    const char *type = text->is_open_metrics ? OPEN[kind] : PROMETHEUS[kind];
    const char *suffix = text->is_open_metrics ? "" : SUFFIX[kind];
    text->kind = kind;
    text->name = name;
    fprintf(text->stream.out, "# HELP %s%s ", name, suffix);
    put_escaped(text->stream.out, slice_of(help), text->is_open_metrics);
    fprintf(text->stream.out, "\n# TYPE %s%s %s\n", name, suffix, type);
}

static void put_name(struct metrics_text *text, const char *suffix,
                     const struct metrics_label *labels)
{
    fprintf(text->stream.out, "%s%s", text->name, suffix);
    if (labels == NULL || labels[0].name == NULL) {
        fputc(' ', text->stream.out);
        return;
    }
    for (size_t i = 0; labels[i].name != NULL; i++) {
        fprintf(text->stream.out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
        put_escaped(text->stream.out, labels[i].value, true);
        fputc('"', text->stream.out);
    }
    fputs("} ", text->stream.out);
}

void metrics_count(struct metrics_text *text, uint64_t value, const struct metrics_label *labels)
{
    assert(text->kind == METRICS_COUNTER);
    put_name(text, "_total", labels);
    fprintf(text->stream.out, "%llu\n", (unsigned long long)value);
}

/* The shortest text that is read back as the same number, as far as 15 digits tell. */
static void put_number(FILE *out, double value)
{
    enum { WHOLE_MAX = 1000000000 };
    if (value > -WHOLE_MAX * 1e6 && value < WHOLE_MAX * 1e6 && value == (double)(int64_t)value)
        fprintf(out, "%lld\n", (long long)value);
    else
        fprintf(out, "%.15g\n", value);
}

void metrics_value(struct metrics_text *text, double value, const struct metrics_label *labels)
{
    assert(text->kind != METRICS_INFO);
    put_name(text, text->kind == METRICS_COUNTER ? "_total" : "", labels);
    put_number(text->stream.out, value);
}

void metrics_info(struct metrics_text *text, const struct metrics_label *labels)
{
    assert(text->kind == METRICS_INFO);
    put_name(text, "_info", labels);
    fputs("1\n", text->stream.out);
}

void metrics_histogram(struct metrics_text *text, const struct metrics_histogram *histogram)
{
    uint64_t sum = 0;
    assert(text->kind == METRICS_HISTOGRAM);
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        char bound[32] = "+Inf";
        if (i < histogram->bound_count)
            snprintf(bound, sizeof(bound), "%.9g", histogram->bounds_s[i]);
        if (strspn(bound, "0123456789") == strlen(bound))
            strcat(bound, ".0"); /* OpenMetrics wants it so */
        sum += histogram->buckets[i];
        put_name(text, "_bucket", METRICS_LABELS({"le", slice_of(bound)}));
        fprintf(text->stream.out, "%llu\n", (unsigned long long)sum);
    }
    put_name(text, "_sum", NULL);
    put_number(text->stream.out, histogram->sum_s);
    put_name(text, "_count", NULL);
    fprintf(text->stream.out, "%llu\n", (unsigned long long)sum);
}
