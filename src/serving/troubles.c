/* What went wrong, counted: see troubles.h. */
#include "serving/troubles.h"

#include "core/log.h"
#include "core/memory.h"
#include "serving/responder.h"

#include <stdlib.h>

enum { TELL_MS = 60 * 1000, FIELDS_MAX = LOOP_COUNTER__MAX + OUTCOME__MAX + REFUSAL__MAX + 3 };

/* A connection that ends in one of these ways was cut short by us or by a fault. */
static const enum loop_counter BAD_COUNTERS[] = {
    LOOP_CLOSED_TRUNCATED,     LOOP_CLOSED_PROTOCOL,      LOOP_CLOSED_HELLO_TIMEOUT,
    LOOP_CLOSED_FRAME_TIMEOUT, LOOP_CLOSED_WRITE_TIMEOUT, LOOP_CLOSED_OVERFLOW,
    LOOP_CLOSED_GAVE_WAY,      LOOP_CLOSED_NO_MEMORY,     LOOP_CLOSED_IO_ERROR,
};
/* Requests with these are the configuration's or our fault, not the client's. */
static const enum refusal BAD_REFUSALS[] = {REFUSAL_MESSAGE, REFUSAL_ANSWER_TOO_BIG};

struct numbers {
    uint64_t counters[LOOP_COUNTER__MAX];
    struct responder_sums sums;
};

struct troubles {
    struct loops *loops;
    struct responder *const *responders;
    struct main_timer *timer;
    struct numbers told;
};

/* The pairs of one line; those that are zero are left out. */
struct fields {
    struct log_field items[FIELDS_MAX];
    size_t count;
};

static struct numbers count_all(const struct troubles *troubles)
{
    struct numbers numbers = {
        .sums = responder_sums(troubles->responders, loops_count(troubles->loops)),
    };
    for (unsigned i = 0; i < LOOP_COUNTER__MAX; i++)
        numbers.counters[i] = loops_counter(troubles->loops, (enum loop_counter)i);
    return numbers;
}

static void add(struct fields *fields, const char *key, uint64_t value)
{
    assert(fields->count < FIELDS_MAX - 1);
    if (value > 0)
        fields->items[fields->count++] = LOG_NUMBER(key, value);
}

static void on_timer(void *context)
{
    struct troubles *troubles = context;
    struct numbers now = count_all(troubles);
    const struct numbers *told = &troubles->told;
    struct fields fields = {.count = 0};

    for (size_t i = 0; i < COUNT_OF(BAD_COUNTERS); i++)
        add(&fields, loop_counter_name(BAD_COUNTERS[i]),
            now.counters[BAD_COUNTERS[i]] - told->counters[BAD_COUNTERS[i]]);
    for (size_t i = 0; i < COUNT_OF(BAD_REFUSALS); i++)
        add(&fields, refusal_name(BAD_REFUSALS[i]),
            now.sums.refusals[BAD_REFUSALS[i]] - told->sums.refusals[BAD_REFUSALS[i]]);
    add(&fields, outcome_name(OUTCOME_DENY_UNRESOLVED),
        now.sums.outcomes[OUTCOME_DENY_UNRESOLVED] - told->sums.outcomes[OUTCOME_DENY_UNRESOLVED]);
    if (fields.count > 0) {
        fields.items[fields.count] = (struct log_field){0};
        log_event_fields(LOG_WARNING, "trouble", fields.items);
    }
    troubles->told = now;
}

void troubles_tell_all(const struct troubles *troubles)
{
    struct numbers now = count_all(troubles);
    struct fields fields = {.count = 0};
    for (unsigned i = 0; i < LOOP_COUNTER__MAX; i++)
        add(&fields, loop_counter_name((enum loop_counter)i), now.counters[i]);
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        add(&fields, outcome_name((enum outcome)i), now.sums.outcomes[i]);
    for (unsigned i = REFUSAL_NONE + 1; i < REFUSAL__MAX; i++)
        add(&fields, refusal_name((enum refusal)i), now.sums.refusals[i]);
    add(&fields, "requests_held", now.sums.held);
    add(&fields, "requests_held_in_vain", now.sums.held_in_vain);
    fields.items[fields.count] = (struct log_field){0};
    log_event_fields(LOG_INFO, "counters", fields.items);
}

struct troubles *troubles_new(struct main_loop *main_loop, struct loops *loops,
                              struct responder *const *responders)
{
    struct troubles *troubles = memory_new(sizeof(*troubles));
    troubles->loops = loops;
    troubles->responders = responders;
    troubles->timer = main_timer_new(main_loop, on_timer, troubles);
    main_timer_every(troubles->timer, TELL_MS);
    return troubles;
}

void troubles_free(struct troubles *troubles)
{
    if (troubles == NULL)
        return;
    main_timer_free(troubles->timer);
    free(troubles);
}
