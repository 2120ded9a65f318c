/* Rates from two counts: see top.h. */
#include "top.h"

#include "cli/ask.h"
#include "core/memory.h"

#include <stdlib.h>

enum { BUCKETS_MAX = 64 };

double top_p99_us(const struct json *bounds_ns, const uint64_t *buckets, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all += buckets[i];
    if (all == 0)
        return -1;
    double wanted = (double)all * 0.99;
    double seen = 0;
    int64_t lower_ns = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t upper_ns = lower_ns * 2; /* of the last one, which has no bound */
        if (!json_read_integer(json_at(bounds_ns, i), &upper_ns))
            upper_ns = lower_ns * 2;
        double here = (double)buckets[i];
        if (here > 0 && seen + here >= wanted)
            return ((double)lower_ns + (double)(upper_ns - lower_ns) * (wanted - seen) / here) /
                   1e3;
        seen += here;
        lower_ns = upper_ns;
    }
    return (double)lower_ns / 1e3;
}

/* A counter that is less than before began anew, with the daemon. */
static uint64_t growth(int64_t before, int64_t now)
{
    return (uint64_t)(now >= before ? now - before : now);
}

static double p99_of(const struct json *bounds, const struct json *before, const struct json *now)
{
    const struct json *times = json_get(now, "times");
    const struct json *earlier = json_get(before, "times");
    uint64_t buckets[BUCKETS_MAX];
    size_t count = json_count(times) < BUCKETS_MAX ? json_count(times) : BUCKETS_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t from = 0, to = 0;
        if (!json_read_integer(json_at(times, i), &to))
            to = 0;
        if (!json_read_integer(json_at(earlier, i), &from))
            from = 0;
        buckets[i] = growth(from, to);
    }
    return top_p99_us(bounds, buckets, count);
}

static void fill(struct top_row *row, const struct json *bounds, const struct json *before,
                 const struct json *now, double seconds)
{
    row->total = ask_number(now, "requests");
    row->requests = (double)growth(ask_number(before, "requests"), row->total) / seconds;
    row->refused =
        (double)growth(ask_number(before, "refused"), ask_number(now, "refused")) / seconds;
    row->p99_us = p99_of(bounds, before, now);
    row->sockets = -1;
}

/* Both lists are in the order of names, so each is gone through once. */
static const struct json *find_before(const struct json *list, size_t *at, struct slice name)
{
    for (; *at < json_count(list); (*at)++) {
        struct slice other = json_get_text(json_at(list, *at), "name");
        if (slice_equal(other, name))
            return json_at(list, *at);
        size_t size = other.size < name.size ? other.size : name.size;
        int order = memcmp(other.data, name.data, size);
        if (order > 0 || (order == 0 && other.size > name.size))
            return NULL;
    }
    return NULL;
}

/* The row of those without a place stands last, whatever its name. */
static const struct json *find_any(const struct json *list, struct slice name)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (slice_equal(json_get_text(json_at(list, i), "name"), name))
            return json_at(list, i);
    return NULL;
}

void top_rates_make(const struct json *before, const struct json *now,
                    const struct top_haproxy *haproxy, struct top_rates *rates)
{
    const struct json *list = json_get(now, "tenants");
    const struct json *earlier = json_get(before, "tenants");
    const struct json *bounds = json_get(now, "bounds_ns");
    double seconds = before != NULL
                         ? (double)(ask_number(now, "at_us") - ask_number(before, "at_us")) / 1e6
                         : (double)ask_number(now, "uptime_s");
    size_t at = 0;
    if (seconds <= 0)
        seconds = 1;
    *rates = (struct top_rates){
        .generation = ask_number(now, "generation"),
        .uptime_s = ask_number(now, "uptime_s"),
        .connections = ask_number(now, "connections"),
    };
    fill(&rates->all, bounds, before, now, seconds);
    rates->rows = memory_new((json_count(list) + 1) * sizeof(*rates->rows));
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *one = json_at(list, i);
        struct slice name = json_get_text(one, "name");
        struct top_row *row = &rates->rows[rates->row_count++];
        const struct json *was = slice_starts_with(name, SLICE("_"))
                                     ? find_any(earlier, name)
                                     : find_before(earlier, &at, name);
        row->name = memory_copy_text(name);
        fill(row, bounds, was, one, seconds);
        if (haproxy->sockets == NULL ||
            !json_read_integer(json_get(haproxy->sockets, row->name), &row->sockets))
            row->sockets = -1;
    }
}

static int compare_doubles(double a, double b)
{
    return (a < b) - (a > b); /* the most first */
}

static _Thread_local enum top_order sorted_by;

static int compare_rows(const void *a, const void *b)
{
    const struct top_row *x = a;
    const struct top_row *y = b;
    int order = 0;
    switch (sorted_by) {
    case TOP_BY_REQUESTS: order = compare_doubles(x->requests, y->requests); break;
    case TOP_BY_REFUSED: order = compare_doubles(x->refused, y->refused); break;
    case TOP_BY_P99: order = compare_doubles(x->p99_us, y->p99_us); break;
    case TOP_BY_SOCKETS: order = compare_doubles((double)x->sockets, (double)y->sockets); break;
    case TOP_BY_NAME:
    case TOP_ORDER__MAX: break;
    }
    if (order == 0 && sorted_by != TOP_BY_NAME)
        order = compare_doubles((double)x->total, (double)y->total);
    return order != 0 ? order : strcmp(x->name, y->name);
}

void top_rates_sort(struct top_rates *rates, enum top_order order)
{
    sorted_by = order;
    if (rates->row_count > 0)
        qsort(rates->rows, rates->row_count, sizeof(*rates->rows), compare_rows);
}

void top_rates_fini(struct top_rates *rates)
{
    for (size_t i = 0; i < rates->row_count; i++)
        free(rates->rows[i].name);
    free(rates->rows);
    *rates = (struct top_rates){0};
}

/* Numbers of JSON are whole ones here: thousandths. */
static void put_row(struct json *object, const struct top_row *row)
{
    json_put_integer(object, "requests", row->total);
    json_put_integer(object, "requests_per_1000_s", (int64_t)(row->requests * 1000 + 0.5));
    json_put_integer(object, "refused_per_1000_s", (int64_t)(row->refused * 1000 + 0.5));
    if (row->p99_us >= 0)
        json_put_integer(object, "p99_ns", (int64_t)(row->p99_us * 1000 + 0.5));
    if (row->sockets >= 0)
        json_put_integer(object, "sockets", row->sockets);
}

struct json *top_rates_json(const struct top_rates *rates, const struct top_haproxy *haproxy,
                            size_t rows_max)
{
    struct json *root = json_new_object();
    struct json *list = json_new_array();
    put_row(root, &rates->all);
    json_put_integer(root, "generation", rates->generation);
    json_put_integer(root, "uptime_s", rates->uptime_s);
    json_put_integer(root, "connections", rates->connections);
    if (haproxy->open >= 0)
        json_put_integer(root, "open", haproxy->open);
    if (haproxy->errors_per_s >= 0)
        json_put_integer(root, "errors_per_1000_s", (int64_t)(haproxy->errors_per_s * 1000 + 0.5));
    for (size_t i = 0; i < rates->row_count && i < rows_max; i++) {
        struct json *one = json_new_object();
        json_put_text(one, "name", slice_of(rates->rows[i].name));
        put_row(one, &rates->rows[i]);
        json_append(list, one);
    }
    json_put_integer(root, "tenants_active", (int64_t)rates->row_count);
    json_put(root, "tenants", list);
    return root;
}
