/* When the keys of an issuer are fetched. Values alone: times are monotonic milliseconds. */
#pragma once

#include "core/base.h"

#include <stdint.h>

struct key_schedule {
    int64_t due_ms;
    int64_t asked_ms; /* the last time */
    unsigned failures;
    bool is_missed; /* a token was by no key that is known, and nobody was asked since */
};

/* Remembers it until the next fetch, for which it may be too early: whoever has such a token is not
 * looked at again soon. */
void key_schedule_miss(struct key_schedule *schedule);
MUST_CHECK bool key_schedule_is_due(const struct key_schedule *schedule, int64_t now_ms,
                                    int64_t refresh_ms);
void key_schedule_asked(struct key_schedule *schedule, int64_t now_ms, int64_t refresh_ms);
void key_schedule_answered(struct key_schedule *schedule, bool is_good, int64_t now_ms,
                           int64_t refresh_ms);
