/* `owui-spoa top`, in parts: what the daemon and HAProxy count (top.c), rates from two counts
 * (top_rates.c), and how they are shown (top_screen.c). */
#pragma once

#include "json/json.h"

/* -- Rates ------------------------------------------------------------------------------------- */

enum top_order {
    TOP_BY_REQUESTS,
    TOP_BY_REFUSED,
    TOP_BY_P99,
    TOP_BY_SOCKETS,
    TOP_BY_NAME,
    TOP_ORDER__MAX
};

struct top_row {
    char *name;
    double requests; /* a second */
    double refused;
    double p99_us;   /* negative: none was timed */
    int64_t sockets; /* negative: not counted */
    int64_t total;   /* requests since the daemon's start */
};

struct top_rates {
    struct top_row all;
    struct top_row *rows;
    size_t row_count;
    int64_t generation;
    int64_t uptime_s;
    int64_t connections;
};

/* What HAProxy tells, over all that may be asked. */
struct top_haproxy {
    int64_t open;         /* connections of clients; negative: nobody tells */
    double errors_per_s;  /* answers with 5xx; negative: not known yet */
    struct json *sockets; /* open WebSockets by tenant */
};

/* From two answers of GET /v1/top; `before` NULL: since the daemon's start. */
void top_rates_make(const struct json *before, const struct json *now,
                    const struct top_haproxy *haproxy, struct top_rates *rates);
void top_rates_sort(struct top_rates *rates, enum top_order order);
void top_rates_fini(struct top_rates *rates);
/* The bound below which 99 of 100 are, found within its bucket; negative when there are none. */
double top_p99_us(const struct json *bounds_ns, const uint64_t *buckets, size_t count);
struct json *top_rates_json(const struct top_rates *rates, const struct top_haproxy *haproxy,
                            size_t rows_max);

/* -- The screen -------------------------------------------------------------------------------- */

struct top_view {
    enum top_order order;
    unsigned columns;
    unsigned lines; /* 0: as many as there are */
    size_t rows_max;
    bool has_colours;
    const char *problem; /* instead of what is not known; NULL: none */
};

/* Prints one picture; lines end with "\n", each cleared to its end on a screen. */
void top_screen_print(const struct top_rates *rates, const struct top_haproxy *haproxy,
                      const struct top_view *view, bool on_screen);
/* Takes the terminal over: alternate screen, no cursor, keys as they are pressed. It is given back
 * by top_screen_leave(), and by whatever else ends the process but SIGKILL. */
void top_screen_enter(void);
void top_screen_leave(void);
