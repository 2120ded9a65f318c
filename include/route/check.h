/* What answers to health checks mean: pure, without sockets and clocks of its own. */
#pragma once

#include "route/tenant.h"

enum check_verdict {
    CHECK_GOOD,
    CHECK_BAD,
    CHECK_UNKNOWN_PATH, /* the server does not know the path: ask for the fallback */
};

/* Whether the body begins like HTML. As the answer to a health check that is none: for any path
 * that it does not know, Open WebUI sends the start page of its web interface, with 200. */
bool check_is_page(struct slice body);
/* `status` and the beginning of the body that a path was answered with. */
enum check_verdict check_judge(int status, struct slice body);

/* Where a server stands. Zeroed, nothing is known of it and it gets what is its own. */
struct check_state {
    enum { STANDING_UNKNOWN, STANDING_UP, STANDING_DOWN } standing;
    unsigned streak;      /* answers in a row that speak against the standing */
    int64_t came_back_ms; /* 0: was never down */
};

/* Counts an answer. The first one counts alone, later ones when there are `rise` or `fall` in a
 * row. True when the standing has become another. */
MUST_CHECK bool check_count(struct check_state *state, const struct check_rule *rule, bool is_good,
                            int64_t now_ms);
/* How many of its own keys the server should take now (see route/replica.h): none while it is down,
 * more and more in the time of its slow start, and else all. */
unsigned check_share(const struct check_state *state, unsigned slow_start_ms, int64_t now_ms);
/* How long until the next check: sooner while the standing is in doubt. */
unsigned check_delay_ms(const struct check_state *state, const struct check_rule *rule);
