/* When keys are fetched: see key_schedule.h. */
#include "key_schedule.h"

enum {
    MISSED_PAUSE_MS = 30000, /* between two fetches because of tokens by no known key */
    RETRY_FIRST_MS = 5000,   /* after a failure; doubled by each further one */
    RETRY_SHIFT_MAX = 8,
};

static int64_t at_most(int64_t ms, int64_t limit_ms)
{
    return ms < limit_ms ? ms : limit_ms;
}

void key_schedule_miss(struct key_schedule *schedule)
{
    schedule->is_missed = true;
}

bool key_schedule_is_due(const struct key_schedule *schedule, int64_t now_ms, int64_t refresh_ms)
{
    int64_t pause_ms = at_most(MISSED_PAUSE_MS, refresh_ms);
    return now_ms >= schedule->due_ms ||
           (schedule->is_missed && now_ms >= schedule->asked_ms + pause_ms);
}

void key_schedule_asked(struct key_schedule *schedule, int64_t now_ms, int64_t refresh_ms)
{
    schedule->is_missed = false;
    schedule->asked_ms = now_ms;
    schedule->due_ms = now_ms + refresh_ms;
}

void key_schedule_answered(struct key_schedule *schedule, bool is_good, int64_t now_ms,
                           int64_t refresh_ms)
{
    if (is_good) {
        schedule->failures = 0;
        schedule->due_ms = now_ms + refresh_ms;
        return;
    }
    unsigned shift = schedule->failures < RETRY_SHIFT_MAX ? schedule->failures : RETRY_SHIFT_MAX;
    schedule->failures++;
    schedule->due_ms = now_ms + at_most((int64_t)RETRY_FIRST_MS << shift, refresh_ms);
}
