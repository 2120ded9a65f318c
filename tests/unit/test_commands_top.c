/* app/top: rates from two counts, and what a hundredth of them is slower than. */
#include "top.h"

#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct json *parse(const char *text)
{
    struct error_text why;
    struct json *json = json_parse(slice_of(text), 65536, NULL, &why);
    cr_assert(json != NULL, "%s", why.text);
    return json;
}

Test(top, p99)
{
    struct json *bounds = parse("[100, 200, 1000]");
    static const struct {
        uint64_t buckets[4];
        double us;
    } ROWS[] = {
        {{0, 0, 0, 0}, -1},     {{100, 0, 0, 0}, 0.099}, {{0, 100, 0, 0}, 0.199},
        {{99, 1, 0, 0}, 0.1},   {{98, 0, 2, 0}, 0.6},    {{0, 0, 0, 100}, 1.99},
        {{990, 0, 0, 10}, 0.1},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(epsilon_eq(dbl, top_p99_us(bounds, ROWS[i].buckets, 4), ROWS[i].us, 1e-6),
                  "row %zu", i);
    json_free(bounds);
}

static const struct top_row *row_of(const struct top_rates *rates, const char *name)
{
    for (size_t i = 0; i < rates->row_count; i++)
        if (strcmp(rates->rows[i].name, name) == 0)
            return &rates->rows[i];
    return NULL;
}

Test(top, rates)
{
    /* "a-b" comes before "a0" and after "a"; "b" is new; "c" has begun anew with the daemon. */
    struct json *before = parse(
        "{\"at_us\": 1000000, \"uptime_s\": 1, \"requests\": 10, \"refused\": 0, \"tenants\": ["
        "{\"name\": \"a\", \"requests\": 5, \"refused\": 1},"
        "{\"name\": \"a-b\", \"requests\": 1, \"refused\": 0},"
        "{\"name\": \"a0\", \"requests\": 1, \"refused\": 0},"
        "{\"name\": \"bb\", \"requests\": 4, \"refused\": 0},"
        "{\"name\": \"c\", \"requests\": 100, \"refused\": 0},"
        "{\"name\": \"_other\", \"requests\": 7, \"refused\": 0}]}");
    struct json *now = parse(
        "{\"at_us\": 3000000, \"uptime_s\": 3, \"requests\": 30, \"refused\": 4, \"tenants\": ["
        "{\"name\": \"a\", \"requests\": 15, \"refused\": 5},"
        "{\"name\": \"a0\", \"requests\": 3, \"refused\": 0},"
        "{\"name\": \"b\", \"requests\": 8, \"refused\": 0},"
        "{\"name\": \"bb\", \"requests\": 6, \"refused\": 0},"
        "{\"name\": \"c\", \"requests\": 4, \"refused\": 0},"
        "{\"name\": \"_other\", \"requests\": 9, \"refused\": 0}]}");
    struct json *sockets = parse("{\"a0\": 12}");
    const struct top_haproxy haproxy = {.sockets = sockets};
    struct top_rates rates;
    top_rates_make(before, now, &haproxy, &rates);
    cr_expect(eq(sz, rates.row_count, 6));
    cr_expect(epsilon_eq(dbl, rates.all.requests, 10, 1e-9));
    cr_expect(epsilon_eq(dbl, rates.all.refused, 2, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&rates, "a")->requests, 5, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&rates, "a")->refused, 2, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&rates, "a0")->requests, 1, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&rates, "b")->requests, 4, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&rates, "bb")->requests, 1, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&rates, "c")->requests, 2, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&rates, "_other")->requests, 1, 1e-9));
    cr_expect(eq(i64, row_of(&rates, "a0")->sockets, 12));
    cr_expect(eq(i64, row_of(&rates, "a")->sockets, -1));
    cr_expect(row_of(&rates, "a")->p99_us < 0);

    struct top_rates again; /* what is counted from nothing: two looks within a microsecond */
    top_rates_make(now, now, &haproxy, &again);
    cr_expect(epsilon_eq(dbl, again.all.requests, 0, 1e-9));
    cr_expect(epsilon_eq(dbl, row_of(&again, "a")->requests, 0, 1e-9));
    top_rates_fini(&again);

    top_rates_sort(&rates, TOP_BY_NAME);
    cr_expect(eq(str, rates.rows[0].name, "_other"));
    top_rates_sort(&rates, TOP_BY_SOCKETS);
    cr_expect(eq(str, rates.rows[0].name, "a0"));
    top_rates_sort(&rates, TOP_BY_REQUESTS);
    cr_expect(eq(str, rates.rows[0].name, "a"));
    cr_expect(eq(str, rates.rows[1].name, "b"));
    top_rates_fini(&rates);
    json_free(before);
    json_free(now);
    json_free(sockets);
}
