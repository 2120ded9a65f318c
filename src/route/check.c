/* What answers to health checks mean: see route/check.h. */
#include "route/check.h"

#include "route/replica.h"

enum {
    IN_DOUBT_FACTOR = 5,                   /* how much sooner the next check is */
    FIRST_SHARE = REPLICA_SHARE_FULL / 16, /* of a server that has just come back */
};

bool check_is_page(struct slice body)
{
    size_t start = 0;
    while (start < body.size && byte_is_one_of(body.data[start], " \t\r\n"))
        start++;
    return slice_starts_with(slice_skip(body, start), SLICE("<"));
}

enum check_verdict check_judge(int status, struct slice body)
{
    bool is_good = status >= 200 && status <= 299;
    if (status == 404 || (is_good && check_is_page(body)))
        return CHECK_UNKNOWN_PATH;
    return is_good ? CHECK_GOOD : CHECK_BAD;
}

bool check_count(struct check_state *state, const struct check_rule *rule, bool is_good,
                 int64_t now_ms)
{
    bool was_down = state->standing == STANDING_DOWN;
    bool agrees = is_good ? state->standing == STANDING_UP : was_down;
    if (agrees) {
        state->streak = 0;
        return false;
    }
    state->streak++;
    if (state->standing != STANDING_UNKNOWN && state->streak < (is_good ? rule->rise : rule->fall))
        return false;
    state->standing = is_good ? STANDING_UP : STANDING_DOWN;
    state->streak = 0;
    state->came_back_ms = is_good && was_down ? now_ms : 0;
    return true;
}

unsigned check_share(const struct check_state *state, unsigned slow_start_ms, int64_t now_ms)
{
    if (state->standing == STANDING_DOWN)
        return 0;
    int64_t since_ms = now_ms - state->came_back_ms;
    if (state->came_back_ms == 0 || since_ms >= (int64_t)slow_start_ms)
        return REPLICA_SHARE_FULL;
    unsigned share = (unsigned)(since_ms * REPLICA_SHARE_FULL / (int64_t)slow_start_ms);
    return share < FIRST_SHARE ? FIRST_SHARE : share;
}

unsigned check_delay_ms(const struct check_state *state, const struct check_rule *rule)
{
    return state->streak > 0 ? rule->every_ms / IN_DOUBT_FACTOR : rule->every_ms;
}
