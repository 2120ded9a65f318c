/* acme: when to act, how much a CA allows, what is due first. */
#include "acme/budget.h"
#include "acme/queue.h"
#include "acme/schedule.h"
#include "core/memory.h"
#include "json/json.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY = 86400, HOUR = 3600 };

static const struct schedule_now START = {.mono_ms = 5000000, .wall_s = 1800000000};

static struct schedule_now later(int64_t seconds)
{
    return (struct schedule_now){.mono_ms = START.mono_ms + seconds * 1000,
                                 .wall_s = START.wall_s + seconds};
}

static struct schedule_certificate issued(int64_t life_s)
{
    struct schedule_certificate certificate = {.seed = 42};
    schedule_succeeded(&certificate, START.wall_s, START.wall_s + life_s, true, &START);
    return certificate;
}

static struct acme_problem problem_of(enum acme_class class)
{
    struct acme_problem problem;
    acme_problem_set(&problem, class, "x");
    return problem;
}

Test(schedule, without_a_certificate_it_is_due_at_once)
{
    struct schedule_certificate certificate = {.seed = 1};
    struct schedule_decision decision = schedule_decide(&certificate, &START);
    cr_expect(eq(int, decision.action, SCHEDULE_ORDER));
    cr_expect(eq(i64, decision.due_mono_ms, START.mono_ms));
}

/* Plays a certificate's life without a CA's window; returns when it is renewed. */
static int64_t renewed_after_s(struct schedule_certificate *certificate, bool polls)
{
    certificate->can_poll = polls;
    for (int64_t at_s = 0; at_s < 400 * (int64_t)DAY;) {
        struct schedule_now now = later(at_s);
        struct schedule_decision decision = schedule_decide(certificate, &now);
        if (decision.action == SCHEDULE_ORDER)
            return at_s;
        cr_assert(le(i64, decision.due_mono_ms, now.mono_ms + SCHEDULE_LOOK_MS));
        int64_t step_s = (decision.due_mono_ms - now.mono_ms + 999) / 1000;
        at_s += step_s;
        if (decision.action == SCHEDULE_POLL) {
            now = later(at_s);
            schedule_window_failed(certificate, -1, &now);
        }
    }
    return -1;
}

Test(schedule, by_life_a_certificate_is_renewed_at_two_thirds_or_half)
{
    const struct {
        int64_t life_s, least_s, most_s;
    } cases[] = {
        {90 * DAY, 58 * DAY, 60 * DAY},
        {45 * DAY, 29 * DAY, 30 * DAY},
        {160 * HOUR, 76 * HOUR, 80 * HOUR},
        {300, 144, 150}, /* pebble, for tests */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (uint32_t seed = 0; seed < 50; seed++) {
            struct schedule_certificate certificate = issued(cases[i].life_s);
            certificate.seed = seed;
            int64_t at_s = renewed_after_s(&certificate, seed % 2 == 0);
            cr_expect(ge(i64, at_s, cases[i].least_s), "%zu", i);
            cr_expect(le(i64, at_s, cases[i].most_s + 1), "%zu", i);
        }
    }
}

Test(schedule, the_cas_window_is_met_inside_and_spread_over)
{
    int64_t first = INT64_MAX, last = 0;
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct schedule_certificate certificate = issued(160 * HOUR);
        certificate.seed = seed;
        struct schedule_now now = later(60);
        /* Let's Encrypt's window for 160 h: 3.2 h around the middle. */
        int64_t start_s = START.wall_s + 80 * HOUR - 96 * 60;
        schedule_window(&certificate, start_s, start_s + 192 * 60, 21600, &now);
        struct schedule_decision decision = schedule_decide(&certificate, &now);
        cr_assert(ge(i64, decision.renewal_s, start_s));
        cr_assert(lt(i64, decision.renewal_s, start_s + 192 * 60));
        first = decision.renewal_s < first ? decision.renewal_s : first;
        last = decision.renewal_s > last ? decision.renewal_s : last;

        now = later(decision.renewal_s - START.wall_s);
        decision = schedule_decide(&certificate, &now);
        cr_assert(eq(int, decision.action, SCHEDULE_ORDER));
        cr_assert(decision.in_window);
        now = later(start_s + 192 * 60 - START.wall_s);
        cr_assert_not(schedule_decide(&certificate, &now).in_window); /* its end is outside */
    }
    cr_expect(lt(i64, 2 * HOUR, last - first));
}

Test(schedule, a_window_in_the_past_means_now)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    struct schedule_now now = later(DAY);
    schedule_window(&certificate, START.wall_s - 2 * DAY, START.wall_s - DAY, -1, &now);
    struct schedule_decision decision = schedule_decide(&certificate, &now);
    cr_expect(eq(int, decision.action, SCHEDULE_ORDER));
    cr_expect(eq(i64, decision.due_mono_ms, now.mono_ms));
    cr_expect_not(decision.in_window);
}

Test(schedule, a_window_that_is_always_past_does_not_replace_what_is_new)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    schedule_window(&certificate, START.wall_s - 2 * DAY, START.wall_s - DAY, -1, &START);
    struct schedule_decision decision = schedule_decide(&certificate, &START);
    cr_expect(ne(int, decision.action, SCHEDULE_ORDER));
    cr_expect(eq(i64, decision.renewal_s, START.wall_s + 6 * HOUR));
    certificate = issued(160 * HOUR);
    schedule_window(&certificate, START.wall_s - 2 * DAY, START.wall_s - DAY, -1, &START);
    decision = schedule_decide(&certificate, &START);
    cr_expect(eq(i64, decision.renewal_s, START.wall_s + 5760));
}

Test(schedule, a_window_too_late_is_not_believed)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    struct schedule_now now = later(DAY);
    schedule_window(&certificate, START.wall_s + 400 * DAY, START.wall_s + 401 * DAY, -1, &now);
    struct schedule_decision decision = schedule_decide(&certificate, &now);
    cr_expect(lt(i64, decision.renewal_s, START.wall_s + 66 * DAY));
}

/* Nothing of the one before: neither that it was wanted, nor its window, nor its failures. */
Test(schedule, a_new_certificate_begins_anew)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    const struct acme_problem problem = problem_of(ACME_CLASS_TRANSIENT);
    certificate.wanted_now = true;
    schedule_window(&certificate, START.wall_s - 2 * DAY, START.wall_s - DAY, 21600, &START);
    schedule_failed(&certificate, &problem, &START);
    schedule_succeeded(&certificate, START.wall_s, START.wall_s + 90 * DAY, false, &START);
    struct schedule_decision decision = schedule_decide(&certificate, &START);
    cr_expect(eq(int, decision.action, SCHEDULE_LOOK));
    cr_expect(ge(i64, decision.renewal_s, START.wall_s + 58 * DAY));
    cr_expect(zero(uint, certificate.failures));
    cr_expect(zero(i64, certificate.retry_mono_ms));
    cr_expect(zero(i64, certificate.poll_mono_ms));
    certificate.wanted_now = true;
    cr_expect(eq(i64, schedule_decide(&certificate, &START).due_mono_ms, START.mono_ms));
}

/* The one before was put back: it is due, and not replaced at once by what it replaced. */
Test(schedule, what_was_put_back_stays_for_a_while)
{
    static const struct {
        int64_t life_s, left_s, least_s, most_s;
    } CASES[] = {{90 * DAY, 25 * DAY, DAY, DAY},
                 {90 * DAY, 2 * DAY, 6 * HOUR, 6 * HOUR},
                 {90 * DAY, HOUR, 600, 600},
                 {90 * DAY, -HOUR, DAY, DAY},
                 {DAY, -HOUR, 5400, 5400}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct schedule_certificate certificate = issued(CASES[i].life_s);
        const struct acme_problem problem = problem_of(ACME_CLASS_REFUSED);
        struct schedule_now now = later(CASES[i].life_s - CASES[i].left_s);
        certificate.wanted_now = true;
        schedule_failed(&certificate, &problem, &START);
        schedule_put_back(&certificate, &now);
        struct schedule_decision decision = schedule_decide(&certificate, &now);
        cr_expect(eq(int, decision.action, SCHEDULE_ORDER));
        cr_expect(ge(i64, decision.due_mono_ms - now.mono_ms, CASES[i].least_s * 1000), "%zu", i);
        cr_expect(le(i64, decision.due_mono_ms - now.mono_ms, CASES[i].most_s * 1000), "%zu", i);
        cr_expect_not(certificate.wanted_now);
        cr_expect(strstr(decision.why, "put back") != NULL, "%s", decision.why);
    }
}

Test(schedule, the_window_is_asked_for_at_once_and_then_as_the_ca_says)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    struct schedule_decision decision = schedule_decide(&certificate, &START);
    cr_expect(eq(int, decision.action, SCHEDULE_POLL));
    cr_expect(eq(i64, decision.due_mono_ms, START.mono_ms));

    const struct {
        int32_t retry_after_s;
        int64_t least_s, most_s;
    } cases[] = {{21600, 21600, 23760},
                 {0, 6 * HOUR, 7 * HOUR},
                 {-1, 6 * HOUR, 7 * HOUR},
                 {1, 60, 66},
                 {ACME_RETRY_AFTER_MAX_S, DAY, 27 * HOUR}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        schedule_window(&certificate, START.wall_s + 59 * DAY, START.wall_s + 61 * DAY,
                        cases[i].retry_after_s, &START);
        int64_t wait_s = (certificate.poll_mono_ms - START.mono_ms) / 1000;
        cr_expect(ge(i64, wait_s, cases[i].least_s), "%zu", i);
        cr_expect(le(i64, wait_s, cases[i].most_s), "%zu", i);
    }
    certificate = issued(160 * HOUR);
    schedule_window_failed(&certificate, -1, &START);
    cr_expect(le(i64, certificate.poll_mono_ms - START.mono_ms, 2 * HOUR * 1000));
}

Test(schedule, back_off_grows_to_a_day)
{
    struct schedule_certificate certificate = {.seed = 7};
    struct schedule_now now = START;
    const struct acme_problem problem = problem_of(ACME_CLASS_VALIDATION);
    const int64_t waits_s[] = {60, 600, 6000, 21600, 86400, 86400, 86400};
    for (size_t i = 0; i < COUNT_OF(waits_s); i++) {
        schedule_failed(&certificate, &problem, &now);
        struct schedule_decision decision = schedule_decide(&certificate, &now);
        int64_t wait_s = (decision.due_mono_ms - now.mono_ms) / 1000;
        cr_expect(ge(i64, wait_s, waits_s[i]), "%zu", i);
        cr_expect(le(i64, wait_s, waits_s[i] * 6 / 5), "%zu", i);
        cr_expect(eq(int, decision.action, SCHEDULE_ORDER));
        now = later((decision.due_mono_ms - START.mono_ms) / 1000);
    }
}

/* And more often where a day is more than the certificate in service can wait. */
Test(schedule, what_a_ca_refuses_is_asked_once_a_day)
{
    const enum acme_class classes[] = {ACME_CLASS_REFUSED, ACME_CLASS_PERSON};
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        const struct acme_problem problem = problem_of(classes[i]);
        struct schedule_certificate certificate = issued(45 * DAY);
        struct schedule_now now = later(30 * DAY);
        schedule_failed(&certificate, &problem, &now);
        cr_expect(ge(i64, certificate.retry_mono_ms, now.mono_ms + DAY * 1000LL));
        certificate = issued(DAY);
        now = later(DAY / 2);
        schedule_failed(&certificate, &problem, &now);
        cr_expect(ge(i64, certificate.retry_mono_ms, now.mono_ms + HOUR * 1000LL));
        cr_expect(le(i64, certificate.retry_mono_ms, now.mono_ms + 2 * HOUR * 1000LL));
    }
}

Test(schedule, a_rate_limit_is_kept_to)
{
    struct schedule_certificate certificate = {.seed = 7};
    struct acme_problem problem = problem_of(ACME_CLASS_RATE_LIMITED);
    problem.retry_after_s = 5 * DAY;
    schedule_failed(&certificate, &problem, &START);
    cr_expect(ge(i64, certificate.retry_mono_ms, START.mono_ms + 5 * DAY * 1000LL));
}

Test(schedule, a_short_certificate_is_not_retried_daily_only)
{
    struct schedule_certificate certificate = issued(160 * HOUR);
    struct schedule_now now = later(100 * HOUR);
    const struct acme_problem problem = problem_of(ACME_CLASS_TRANSIENT);
    for (int i = 0; i < 8; i++)
        schedule_failed(&certificate, &problem, &now);
    cr_expect(le(i64, certificate.retry_mono_ms - now.mono_ms, 10 * HOUR * 1000LL));
    now = later(160 * HOUR - 60); /* and not ever faster, either */
    schedule_failed(&certificate, &problem, &now);
    cr_expect(ge(i64, certificate.retry_mono_ms - now.mono_ms, 600 * 1000));
}

/* An outage has outlasted it: to wait a day from now on would be the longest of all waits. */
Test(schedule, a_short_certificate_that_has_expired_is_not_retried_daily_only)
{
    static const struct {
        int64_t life_s, most_s;
    } CASES[] = {{90 * DAY, DAY}, {160 * HOUR, 10 * HOUR}, {DAY, 2 * HOUR}, {HOUR, 600}};
    const struct acme_problem problem = problem_of(ACME_CLASS_TRANSIENT);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct schedule_certificate certificate = issued(CASES[i].life_s);
        const struct schedule_now now = later(CASES[i].life_s + 60);
        for (int k = 0; k < 8; k++)
            schedule_failed(&certificate, &problem, &now);
        int64_t wait_s = (certificate.retry_mono_ms - now.mono_ms) / 1000;
        cr_expect(ge(i64, wait_s, 600), "%zu", i);
        cr_expect(le(i64, wait_s, CASES[i].most_s * 6 / 5), "%zu: %lld", i, (long long)wait_s);
    }
}

/* Nor does it need a day after an outage of a month, for which each has waited longer and longer.
 */
Test(schedule, a_ca_that_is_back_is_asked_soon_by_whom_it_has_failed)
{
    static const struct {
        enum acme_class class;
        int64_t most_s;
    } CASES[] = {{ACME_CLASS_TRANSIENT, 600},
                 {ACME_CLASS_BAD_ANSWER, 600},
                 {ACME_CLASS_RATE_LIMITED, 0},
                 {ACME_CLASS_VALIDATION, 0}};
    bool early = false, late = false;
    for (size_t i = 0; i < 50 * COUNT_OF(CASES); i++) {
        struct schedule_certificate certificate = {.seed = (uint32_t)i};
        const struct acme_problem problem = problem_of(CASES[i % COUNT_OF(CASES)].class);
        for (int k = 0; k < 5; k++)
            schedule_failed(&certificate, &problem, &START);
        int64_t retry_mono_ms = certificate.retry_mono_ms;
        schedule_ca_is_back(&certificate, &START);
        int64_t wait_s = (certificate.retry_mono_ms - START.mono_ms) / 1000;
        int64_t most_s = CASES[i % COUNT_OF(CASES)].most_s;
        cr_expect(ge(i64, wait_s, 0));
        cr_expect(most_s == 0 ? certificate.retry_mono_ms == retry_mono_ms : wait_s <= most_s);
        early |= wait_s < 150;
        late |= most_s > 0 && wait_s > 450;
    }
    cr_expect(early && late);

    struct schedule_certificate certificate = {.seed = 1}; /* one that has not failed is due */
    schedule_ca_is_back(&certificate, &START);
    cr_expect(zero(i64, certificate.retry_mono_ms));
}

/* Who has mended HAProxy and starts it anew does not wait for a day. */
Test(schedule, a_way_that_is_new_is_tried_soon)
{
    for (uint32_t seed = 0; seed < 50; seed++) {
        struct schedule_certificate certificate = {.seed = seed};
        const bool is_ours = seed % 2 == 0;
        const struct acme_problem problem =
            problem_of(is_ours ? ACME_CLASS_LOCAL : ACME_CLASS_TRANSIENT);
        for (int k = 0; k < 5; k++)
            schedule_failed(&certificate, &problem, &START);
        schedule_way_is_new(&certificate, &START);
        int64_t wait_s = (certificate.retry_mono_ms - START.mono_ms) / 1000;
        cr_expect(eq(int, wait_s <= 660, is_ours), "%u: %lld", seed, (long long)wait_s);
        cr_expect(le(i64, 60, wait_s)); /* HAProxy may die and start without end */
    }
}

/* The clock is a year ahead, so that whatever is issued is past its renewal: that is not ordered
 * again and again as fast as the CA can. */
Test(schedule, what_is_new_is_not_replaced_because_the_clock_is_wrong)
{
    static const struct {
        int64_t life_s, least_s;
    } CASES[] = {{90 * DAY, 6 * HOUR}, {160 * HOUR, HOUR}, {DAY, 800}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct schedule_certificate certificate = issued(CASES[i].life_s);
        struct schedule_now now = START;
        now.wall_s += 365 * DAY;
        struct schedule_decision decision = schedule_decide(&certificate, &now);
        cr_expect(eq(int, decision.action, SCHEDULE_ORDER));
        cr_expect(ge(i64, decision.due_mono_ms - now.mono_ms, CASES[i].least_s * 1000), "%zu", i);
        cr_expect(le(i64, decision.due_mono_ms - now.mono_ms, CASES[i].life_s * 1000), "%zu", i);
        cr_expect(strstr(decision.why, "clock") != NULL, "%s", decision.why);

        certificate.wanted_now = true; /* whoever asks is not kept waiting */
        cr_expect(eq(i64, schedule_decide(&certificate, &now).due_mono_ms, now.mono_ms));
        certificate.wanted_now = false;
        now.wall_s = START.wall_s; /* and a clock that is set right is believed */
        certificate.can_poll = false;
        decision = schedule_decide(&certificate, &now);
        cr_expect(eq(int, decision.action, SCHEDULE_LOOK));
    }
}

Test(schedule, failures_go_to_staging_first_and_to_the_second_ca_in_turns)
{
    const struct schedule_settings both = {.has_staging = true, .has_second = true};
    const struct schedule_settings second = {.has_second = true, .second_after = 3};
    struct schedule_certificate certificate = {.seed = 7};
    const struct acme_problem validation = problem_of(ACME_CLASS_VALIDATION);
    const struct acme_problem down = problem_of(ACME_CLASS_TRANSIENT);
    cr_expect(eq(int, schedule_ca_of(&certificate, &both, &START), SCHEDULE_CA_FIRST));
    schedule_failed(&certificate, &validation, &START);
    cr_expect(eq(int, schedule_ca_of(&certificate, &both, &START), SCHEDULE_CA_STAGING));
    schedule_staging_succeeded(&certificate);
    cr_expect(eq(int, schedule_ca_of(&certificate, &both, &START), SCHEDULE_CA_FIRST));
    cr_expect(eq(i64, schedule_decide(&certificate, &START).due_mono_ms, START.mono_ms));
    schedule_failed(&certificate, &validation, &START); /* the way is not mended after all */
    cr_expect(eq(int, schedule_ca_of(&certificate, &both, &START), SCHEDULE_CA_STAGING));
    schedule_failed(&certificate, &down, &START); /* which staging could not tell */
    cr_expect(eq(int, schedule_ca_of(&certificate, &both, &START), SCHEDULE_CA_FIRST));

    certificate = (struct schedule_certificate){.seed = 7};
    const enum schedule_ca turns[] = {SCHEDULE_CA_FIRST,  SCHEDULE_CA_FIRST,  SCHEDULE_CA_SECOND,
                                      SCHEDULE_CA_SECOND, SCHEDULE_CA_SECOND, SCHEDULE_CA_FIRST};
    for (size_t i = 0; i < COUNT_OF(turns); i++) {
        schedule_failed(&certificate, &down, &START);
        cr_expect(eq(int, schedule_ca_of(&certificate, &second, &START), turns[i]), "%zu", i);
    }
    schedule_succeeded(&certificate, START.wall_s, START.wall_s + DAY, true, &START);
    cr_expect(eq(int, schedule_ca_of(&certificate, &second, &START), SCHEDULE_CA_FIRST));
}

/* Before a CA revokes, the window that it tells is over. That of a renewal that is late is, too. */
Test(schedule, a_window_long_before_its_time_is_urgent)
{
    struct schedule_certificate certificate = {
        .seed = 7, .not_before_s = START.wall_s - 20 * DAY, .not_after_s = START.wall_s + 70 * DAY};
    cr_expect_not(schedule_is_urged(&certificate, START.wall_s));
    certificate.window_start_s = START.wall_s - 3600;
    certificate.window_end_s = START.wall_s - 1800;
    cr_expect(schedule_is_urged(&certificate, START.wall_s));
    cr_expect_not(schedule_is_urged(&certificate, START.wall_s - DAY));
    certificate.window_start_s = START.wall_s + 39 * DAY;
    certificate.window_end_s = START.wall_s + 41 * DAY;
    cr_expect_not(schedule_is_urged(&certificate, START.wall_s + 60 * DAY));
}

/* A rate limit ends after hours or days, in which the other CA is there to help. */
Test(schedule, a_ca_that_is_closed_for_long_leaves_it_to_the_other)
{
    const struct schedule_settings two = {.has_second = true}, one = {0};
    struct acme_problem limit = problem_of(ACME_CLASS_RATE_LIMITED);
    struct schedule_certificate certificate = {.seed = 7};
    limit.retry_after_s = SCHEDULE_CLOSED_MIN_S - 1; /* waited for */
    schedule_failed_at(&certificate, SCHEDULE_CA_FIRST, &limit, &START);
    cr_expect(ge(i64, certificate.retry_mono_ms, START.mono_ms + 3599 * 1000));
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &START), SCHEDULE_CA_FIRST));

    certificate = (struct schedule_certificate){.seed = 7};
    limit.retry_after_s = 2 * DAY;
    schedule_failed_at(&certificate, SCHEDULE_CA_FIRST, &limit, &START);
    cr_expect(le(i64, certificate.retry_mono_ms, START.mono_ms + 72 * 1000));
    const struct schedule_now soon = later(72);
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &soon), SCHEDULE_CA_SECOND));
    cr_expect(eq(int, schedule_ca_of(&certificate, &one, &soon), SCHEDULE_CA_FIRST));

    /* What comes from there changes nothing about the first, nor does a restart. */
    schedule_succeeded(&certificate, soon.wall_s, soon.wall_s + 90 * DAY, true, &soon);
    struct json *saved = schedule_save(&certificate, &soon);
    struct schedule_certificate restored = {0};
    schedule_load(&restored, saved, &soon);
    json_free(saved);
    const struct schedule_now next_day = later(DAY), third_day = later(2 * DAY + 2);
    cr_expect(eq(int, schedule_ca_of(&restored, &two, &next_day), SCHEDULE_CA_SECOND));
    cr_expect(eq(int, schedule_ca_of(&restored, &two, &third_day), SCHEDULE_CA_FIRST));

    /* When the second is closed as well, the one that opens first is waited for. */
    limit.retry_after_s = 3 * DAY;
    schedule_failed_at(&restored, SCHEDULE_CA_SECOND, &limit, &next_day);
    cr_expect(ge(i64, restored.retry_mono_ms, START.mono_ms + 2 * DAY * 1000));
    cr_expect(lt(i64, restored.retry_mono_ms, START.mono_ms + 3 * DAY * 1000));
    cr_expect(eq(int, schedule_ca_of(&restored, &two, &third_day), SCHEDULE_CA_FIRST));
    schedule_cas_changed(&restored);
    cr_expect(eq(int, schedule_ca_of(&restored, &two, &soon), SCHEDULE_CA_FIRST));
}

/* What we keep from one CA for long the other one is asked for, unless it is closed as well. */
Test(schedule, what_is_kept_back_from_a_ca_is_left_to_the_other)
{
    enum { LONG_MS = 3 * 3600 * 1000, SHORT_MS = SCHEDULE_CLOSED_MIN_S * 1000 - 1 };
    const struct schedule_settings two = {.has_second = true};
    const enum schedule_ca first = SCHEDULE_CA_FIRST, second = SCHEDULE_CA_SECOND;
    struct schedule_certificate certificate = {.seed = 7};
    cr_expect(eq(i64, schedule_keep_back_ms(&certificate, first, SHORT_MS, &START), SHORT_MS));
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &START), SCHEDULE_CA_FIRST));
    cr_expect(zero(i64, schedule_keep_back_ms(&certificate, first, LONG_MS, &START)));
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &START), SCHEDULE_CA_SECOND));
    /* The first one is to be had again before that. */
    cr_expect(eq(i64, schedule_keep_back_ms(&certificate, second, 2 * LONG_MS, &START), LONG_MS));
    cr_expect(
        eq(i64, schedule_keep_back_ms(&certificate, second, LONG_MS / 2, &START), LONG_MS / 2));
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &START), SCHEDULE_CA_SECOND));
    const struct schedule_now then = later(LONG_MS / 1000);
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &then), SCHEDULE_CA_FIRST));
    cr_expect(zero(i64, schedule_keep_back_ms(&certificate, second, LONG_MS, &then)));
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &then), SCHEDULE_CA_FIRST));
    /* It is of less use than the one that was closed. */
    schedule_turn_back(&certificate, LONG_MS, &then);
    cr_expect(eq(int, schedule_ca_of(&certificate, &two, &then), SCHEDULE_CA_SECOND));
    cr_expect(eq(i64, schedule_keep_back_ms(&certificate, second, LONG_MS, &then), LONG_MS));
}

/* Our own look at DNS has found no address, as often as it takes until there is one. No CA has been
 * asked: whoever is asked first has failed at nothing, and nobody waits for what was before. */
Test(schedule, what_our_own_side_has_refused_does_not_count_as_the_cas)
{
    const struct schedule_settings second = {.has_second = true};
    const struct acme_problem local = problem_of(ACME_CLASS_LOCAL);
    const struct acme_problem validation = problem_of(ACME_CLASS_VALIDATION);
    struct schedule_certificate certificate = {.seed = 7};
    for (unsigned looks = 1; looks <= 12; looks++) {
        schedule_failed(&certificate, &local, &START);
        cr_expect(eq(uint, certificate.failures, looks));
        cr_expect(eq(int, schedule_ca_of(&certificate, &second, &START), SCHEDULE_CA_FIRST), "%u",
                  looks);
    }
    schedule_failed(&certificate, &validation, &START);
    cr_expect(eq(uint, certificate.failures, 1));
    cr_expect(le(i64, certificate.retry_mono_ms, START.mono_ms + 72 * 1000));
    /* What the CA has failed counts on, whatever is in between, and over a restart. */
    for (int i = 0; i < 9; i++)
        schedule_failed(&certificate, &local, &START);
    cr_expect(eq(uint, certificate.failures, 10));
    struct json *saved = schedule_save(&certificate, &START);
    struct schedule_certificate restored = {0};
    schedule_load(&restored, saved, &START);
    json_free(saved);
    cr_expect(eq(int, schedule_ca_of(&restored, &second, &START), SCHEDULE_CA_FIRST));
    for (unsigned failures = 2; failures <= 5; failures++) {
        schedule_failed(&restored, &validation, &START);
        cr_expect(eq(uint, restored.failures, failures));
    }
    schedule_failed(&restored, &local, &START);
    cr_expect(eq(int, schedule_ca_of(&restored, &second, &START), SCHEDULE_CA_SECOND));
}

Test(schedule, alarms)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    cr_expect(eq(int, schedule_alarm_of(&certificate, START.wall_s + 60 * DAY), SCHEDULE_FINE));
    cr_expect(eq(int, schedule_alarm_of(&certificate, START.wall_s + 70 * DAY), SCHEDULE_EXPIRING));
    cr_expect(eq(int, schedule_alarm_of(&certificate, START.wall_s + 90 * DAY), SCHEDULE_EXPIRED));
    certificate = issued(160 * HOUR);
    cr_expect(eq(int, schedule_alarm_of(&certificate, START.wall_s + 100 * HOUR), SCHEDULE_FINE));
    cr_expect(
        eq(int, schedule_alarm_of(&certificate, START.wall_s + 110 * HOUR), SCHEDULE_EXPIRING));
    certificate = (struct schedule_certificate){0};
    cr_expect(eq(int, schedule_alarm_of(&certificate, START.wall_s), SCHEDULE_FINE));
}

/* 12. The clock: forward a year, back, and a restart in between. */
Test(schedule, a_clock_that_jumps_does_not_stretch_a_wait)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    const struct acme_problem problem = problem_of(ACME_CLASS_VALIDATION);
    certificate.wanted_now = true;
    schedule_failed(&certificate, &problem, &START);
    int64_t retry_mono_ms = certificate.retry_mono_ms;

    struct schedule_now jumped = {.mono_ms = START.mono_ms + 1000,
                                  .wall_s = START.wall_s - 365 * DAY};
    cr_expect(eq(i64, schedule_decide(&certificate, &jumped).due_mono_ms, retry_mono_ms));

    struct json *saved = schedule_save(&certificate, &START);
    struct schedule_certificate again = {0};
    schedule_load(&again, saved, &jumped);
    cr_expect(le(i64, again.retry_mono_ms - jumped.mono_ms, 74 * 1000));
    cr_expect(ge(i64, again.retry_mono_ms - jumped.mono_ms, 60 * 1000));
    jumped.wall_s = START.wall_s + 365 * DAY;
    again = (struct schedule_certificate){0};
    schedule_load(&again, saved, &jumped);
    cr_expect(eq(i64, again.retry_mono_ms, 0));
    json_free(saved);
}

Test(schedule, memory_survives_a_restart)
{
    struct schedule_certificate certificate = issued(90 * DAY);
    const struct acme_problem problem = problem_of(ACME_CLASS_VALIDATION);
    schedule_window(&certificate, START.wall_s + 59 * DAY, START.wall_s + 61 * DAY, 21600, &START);
    schedule_failed(&certificate, &problem, &START);
    schedule_failed(&certificate, &problem, &START);
    struct json *saved = schedule_save(&certificate, &START);
    char *text = json_print(saved, JSON_STYLE_COMPACT);
    struct json *parsed = json_parse(slice_of(text), 10000, NULL, NULL);

    struct schedule_now now = {.mono_ms = 77, .wall_s = START.wall_s + 100};
    struct schedule_certificate again = {0};
    schedule_load(&again, parsed, &now);
    cr_expect(eq(u32, again.seed, 42));
    cr_expect(eq(uint, again.failures, 2));
    cr_expect(eq(int, again.last_class, ACME_CLASS_VALIDATION));
    cr_expect(eq(i64, again.window_start_s, certificate.window_start_s));
    int64_t left_ms = certificate.retry_mono_ms - START.mono_ms - 100000;
    cr_expect(le(i64, llabs(again.retry_mono_ms - now.mono_ms - left_ms), 1000));
    left_ms = certificate.poll_mono_ms - START.mono_ms - 100000;
    cr_expect(le(i64, llabs(again.poll_mono_ms - now.mono_ms - left_ms), 1000));
    cr_expect_not(again.staging_passed);
    free(text);
    json_free(saved);
    json_free(parsed);

    schedule_staging_succeeded(&certificate);
    certificate.wanted_now = true;
    saved = schedule_save(&certificate, &START);
    schedule_load(&again, saved, &now);
    cr_expect(again.staging_passed);
    cr_expect(again.wanted_now);
    json_free(saved);
}

Test(schedule, nonsense_in_a_state_file_is_passed_over)
{
    static const char *const TEXTS[] = {
        "{}",
        "[]",
        "{\"seed\":-1,\"failures\":-5,\"last_class\":\"x\",\"retry_in_s\":99999999999,"
        "\"window_start_s\":9,\"window_end_s\":3,\"saved_s\":\"x\",\"poll_in_s\":1e99}",
        "{\"saved_s\":1800000000,\"failures\":0,\"last_class\":\"refused\"}",
    };
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        struct json *saved = json_parse(slice_of(TEXTS[i]), 10000, NULL, NULL);
        struct schedule_certificate certificate = {0};
        schedule_load(&certificate, saved, &START);
        cr_expect(eq(uint, certificate.failures, 0));
        cr_expect(eq(int, certificate.last_class, ACME_CLASS_NONE));
        cr_expect(eq(i64, certificate.retry_mono_ms, 0));
        cr_expect(eq(i64, certificate.window_end_s, 0));
        json_free(saved);
    }
    struct schedule_certificate certificate = {0};
    schedule_load(&certificate, NULL, &START);
    cr_expect(eq(int, schedule_decide(&certificate, &START).action, SCHEDULE_ORDER));
}

/* -- Budgets -- */

static int64_t take(struct budget *budget, enum budget_order order, const char *name,
                    int64_t mono_ms)
{
    const char *names[] = {name};
    return budget_take_order_ms(budget, order, names, 1, mono_ms);
}

Test(budget, orders_of_an_account)
{
    struct budget *budget = budget_new();
    size_t taken = 0;
    char name[64];
    for (; taken < 1000; taken++) {
        snprintf(name, sizeof(name), "tenant-%zu.com", taken);
        if (take(budget, BUDGET_NEW_NAMES, name, 0) > 0)
            break;
    }
    cr_expect(eq(sz, taken, 280));
    int64_t wait_ms = take(budget, BUDGET_NEW_NAMES, name, 0);
    cr_expect(eq(i64, wait_ms, 38000));
    cr_expect(eq(i64, take(budget, BUDGET_NEW_NAMES, name, wait_ms), 0));
    cr_expect(lt(i64, 0, take(budget, BUDGET_NEW_NAMES, "another.com", wait_ms)));
    budget_free(budget);
}

/* A first fill. No token is left over for that, either. */
Test(budget, thousands_that_wait_do_not_all_come_for_each_order)
{
    enum { ORDERS = 2000, AT_ONCE = 280, REFILL_MS = 38000 };
    struct budget *budget = budget_new();
    int64_t *due_ms = memory_new(ORDERS * sizeof(*due_ms)), last_ms = 0;
    size_t asked = 0;
    for (size_t left = ORDERS; left > 0 && asked < 10 * ORDERS; asked++) {
        size_t next = 0;
        char name[64];
        for (size_t i = 1; i < ORDERS; i++)
            if (due_ms[i] < due_ms[next])
                next = i;
        snprintf(name, sizeof(name), "tenant-%zu.com", next);
        int64_t wait_ms = take(budget, BUDGET_NEW_NAMES, name, due_ms[next]);
        last_ms = due_ms[next];
        left -= wait_ms == 0;
        due_ms[next] =
            wait_ms == 0 ? INT64_MAX : last_ms + budget_turn_ms(budget, wait_ms, last_ms);
    }
    cr_expect(lt(sz, asked, 10 * ORDERS), "%zu", asked);
    cr_expect(eq(i64, last_ms, (ORDERS - AT_ONCE) * (int64_t)REFILL_MS));
    free(due_ms);

    /* What is nobody else's has no turns. */
    for (int i = 0; i < 4; i++)
        cr_expect(zero(i64, take(budget, BUDGET_SAME_NAMES, "own.com", last_ms)));
    int64_t own_ms = take(budget, BUDGET_SAME_NAMES, "own.com", last_ms);
    for (int i = 0; i < 3; i++)
        cr_expect(eq(i64, budget_turn_ms(budget, own_ms, last_ms), own_ms));
    budget_free(budget);
}

Test(budget, never_more_than_the_limit_in_any_window)
{
    struct budget *budget = budget_new();
    static int64_t times[2000];
    size_t count = 0;
    for (int64_t at = 0; at < 12 * HOUR * 1000LL; at += 1000) {
        char name[64];
        snprintf(name, sizeof(name), "t%zu.com", count);
        if (count < COUNT_OF(times) && take(budget, BUDGET_NEW_NAMES, name, at) == 0)
            times[count++] = at;
    }
    for (size_t i = 560; i < count; i++) /* 280 at once, then one each 38 s */
        cr_assert(ge(i64, times[i] - times[i - 560], (int64_t)3 * HOUR * 1000 - 200000));
    budget_free(budget);
}

Test(budget, registered_domains_and_sets)
{
    struct budget *budget = budget_new();
    char name[64];
    size_t taken = 0;
    for (; taken < 100; taken++) {
        snprintf(name, sizeof(name), "t%zu.example.co.uk", taken);
        if (take(budget, BUDGET_NEW_NAMES, name, 0) > 0)
            break;
    }
    cr_expect(eq(sz, taken, 45));
    cr_expect(eq(i64, take(budget, BUDGET_NEW_NAMES, "t1.other.co.uk", 0), 0));

    const char *names[] = {"a.org", "b.org"}, *turned[] = {"b.org", "a.org"};
    for (int i = 0; i < 4; i++)
        cr_expect(eq(i64, budget_take_order_ms(budget, BUDGET_SAME_NAMES, names, 2, 0), 0));
    cr_expect(lt(i64, DAY * 1000, budget_take_order_ms(budget, BUDGET_SAME_NAMES, turned, 2, 0)));
    cr_expect(strstr(budget_reason(budget), "for exactly these names") != NULL);
    cr_expect(eq(i64, budget_take_order_ms(budget, BUDGET_IN_WINDOW, names, 2, 0), 0));
    cr_expect(eq(i64, take(budget, BUDGET_NEW_NAMES, "a.org", 0), 0));
    budget_free(budget);
}

/* Two hosts of one registered domain are one of its certificates. */
Test(budget, a_domain_counts_once_in_an_order)
{
    struct budget *budget = budget_new();
    size_t taken = 0;
    for (; taken < 100; taken++) {
        char first[64], second[64];
        const char *names[] = {first, second};
        snprintf(first, sizeof(first), "a%zu.example.org", taken);
        snprintf(second, sizeof(second), "b%zu.example.org", taken);
        if (budget_take_order_ms(budget, BUDGET_NEW_NAMES, names, 2, 0) > 0)
            break;
    }
    cr_expect(eq(sz, taken, 45));
    budget_free(budget);
}

Test(budget, what_is_refused_takes_nothing)
{
    struct budget *budget = budget_new();
    for (int i = 0; i < 4; i++)
        cr_assert(eq(i64, take(budget, BUDGET_SAME_NAMES, "a.org", 0), 0));
    size_t size = budget_size(budget);
    for (int i = 0; i < 100; i++)
        cr_assert(lt(i64, 0, take(budget, BUDGET_NEW_NAMES, "a.org", 0)));
    cr_expect(eq(sz, budget_size(budget), size));
    budget_free(budget);
}

/* An order that nothing was issued for: a CA counts it as an order, and as nothing else. */
Test(budget, what_is_not_issued_is_given_back)
{
    struct budget *budget = budget_new();
    const char *const names[] = {"a.example.org", "b.example.org"};
    for (int i = 0; i < 100; i++) {
        cr_assert(eq(i64, budget_take_order_ms(budget, BUDGET_NEW_NAMES, names, 2, i), 0), "%d", i);
        budget_give_back(budget, BUDGET_NEW_NAMES, names, 2, i);
    }
    int issued = 0;
    while (issued < 100 && budget_take_order_ms(budget, BUDGET_SAME_NAMES, names, 2, 100) == 0)
        issued++;
    cr_expect(eq(int, issued, 4));
    int ordered = 100;
    char name[40];
    for (; ordered < 1000; ordered++) {
        snprintf(name, sizeof(name), "d%d.com", ordered);
        if (take(budget, BUDGET_NEW_NAMES, name, 100) > 0)
            break;
    }
    cr_expect(eq(int, ordered, 280));
    /* There are never more than there were. */
    budget_give_back(budget, BUDGET_NEW_NAMES, names, 2, DAY * 1000000LL);
    budget_give_back(budget, BUDGET_IN_WINDOW, names, 2, 100);
    for (int i = 0; i < 4; i++)
        budget_give_back(budget, BUDGET_SAME_NAMES, (const char *const[]){"new.org"}, 1, 100);
    for (int i = 0; i < 4; i++)
        cr_expect(eq(i64, take(budget, BUDGET_SAME_NAMES, "new.org", 100), 0));
    cr_expect(lt(i64, 0, take(budget, BUDGET_SAME_NAMES, "new.org", 100)));
    budget_free(budget);
}

Test(budget, accounts_of_an_address)
{
    struct budget *budget = budget_new();
    size_t taken = 0;
    while (taken < 1000 && budget_take_account_ms(budget, 0) == 0)
        taken++;
    cr_expect(ge(sz, taken, 1));
    cr_expect(le(sz, taken, 10)); /* Let's Encrypt: 10 per address in three hours */
    int64_t wait_ms = budget_take_account_ms(budget, 0);
    cr_expect(lt(i64, 0, wait_ms));
    cr_expect(eq(i64, budget_take_account_ms(budget, wait_ms), 0));
    budget_free(budget);
}

Test(budget, a_failing_name_holds_its_orders_back)
{
    struct budget *budget = budget_new();
    for (int i = 0; i < 4; i++) {
        cr_expect(eq(i64, take(budget, BUDGET_IN_WINDOW, "a.org", 0), 0));
        budget_note_failure(budget, "a.org", 0);
    }
    cr_expect(eq(i64, take(budget, BUDGET_IN_WINDOW, "a.org", 0), 750 * 1000));
    cr_expect(eq(i64, take(budget, BUDGET_IN_WINDOW, "b.org", 0), 0));
    budget_free(budget);
}

Test(budget, survives_a_restart_and_forgets_what_is_full)
{
    struct budget *budget = budget_new();
    for (int i = 0; i < 4; i++)
        cr_assert(eq(i64, take(budget, BUDGET_NEW_NAMES, "a.org", START.mono_ms), 0));
    int64_t wait_ms = take(budget, BUDGET_NEW_NAMES, "a.org", START.mono_ms);
    struct json *saved = budget_save(budget, &START);

    struct budget *again = budget_new();
    struct schedule_now now = {.mono_ms = 9, .wall_s = START.wall_s + HOUR};
    budget_load(again, saved, &now);
    int64_t left_ms = take(again, BUDGET_NEW_NAMES, "a.org", now.mono_ms);
    cr_expect(le(i64, llabs(wait_ms - HOUR * 1000 - left_ms), 1000));
    budget_free(again);

    again = budget_new(); /* a clock that went back does not stretch it */
    now.wall_s = START.wall_s - 365 * DAY;
    budget_load(again, saved, &now);
    left_ms = take(again, BUDGET_NEW_NAMES, "a.org", now.mono_ms);
    cr_expect(le(i64, llabs(wait_ms - left_ms), 1000));
    budget_free(again);

    again = budget_new();
    now.wall_s = START.wall_s + 60 * DAY;
    budget_load(again, saved, &now);
    cr_expect(eq(sz, budget_size(again), 0));
    budget_free(again);

    again = budget_new();
    struct json *bad = json_parse(SLICE("{\"saved_s\":\"x\",\"full_in_s\":{\"9-1\":5,\"1-zz\":5,"
                                        "\"1-0\":5,\"1-1x\":5,\"1-1\":\"5\",\"1-2\":-5,"
                                        "\"1-3\":999999999999}}"),
                                  1000, NULL, NULL);
    budget_load(again, bad, &now);
    cr_expect(eq(sz, budget_size(again), 0));
    budget_free(again);
    budget_free(budget);
    json_free(saved);
    json_free(bad);
}

Test(budget, many_tenants_fit)
{
    struct budget *budget = budget_new();
    for (size_t i = 0; i < 20000; i++) {
        char name[64];
        snprintf(name, sizeof(name), "t%zu.com", i);
        cr_assert(eq(i64, take(budget, BUDGET_SAME_NAMES, name, 0), 0));
    }
    cr_expect(eq(sz, budget_size(budget), 20000));
    struct json *saved = budget_save(budget, &(struct schedule_now){.mono_ms = 1000 * DAY * 9LL});
    cr_expect(eq(sz, budget_size(budget), 0));
    json_free(saved);
    budget_free(budget);
}

Test(budget, names_are_counted_by_what_was_registered)
{
    const char *cases[][2] = {
        {"chat.example.com", "example.com"},
        {"a.b.example.co.uk", "example.co.uk"},
        {"*.example.com", "example.com"},
        {"*.co.uk", "co.uk"},
        {"example.com", "example.com"},
        {"me.github.io", "me.github.io"},
        {"com", "com"},
        {"192.0.2.1", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"chat.internal.test", "internal.test"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char domain[ACME_NAME_SIZE];
        registered_domain(cases[i][0], domain);
        cr_expect(eq(int, strcmp(domain, cases[i][1]), 0), "%s: %s", cases[i][0], domain);
    }
}

/* -- The queue -- */

Test(queue, gives_what_is_due_first)
{
    enum { COUNT = 2000 };
    static struct queue_entry entries[COUNT];
    struct queue queue = {0};
    uint64_t random = 1;
    for (size_t i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        queue_put(&queue, &entries[i], (int64_t)(random >> 40));
    }
    for (size_t i = 0; i < COUNT; i += 3) { /* move some, remove some */
        queue_put(&queue, &entries[i], entries[i].due_ms / 2);
        if (i % 2 == 0)
            queue_remove(&queue, &entries[i]);
    }
    int64_t last = -1;
    size_t count = 0;
    for (struct queue_entry *entry; (entry = queue_first(&queue)) != NULL; count++) {
        cr_assert(ge(i64, entry->due_ms, last));
        last = entry->due_ms;
        queue_remove(&queue, entry);
        queue_remove(&queue, entry);
    }
    cr_expect(eq(sz, count, COUNT - 334));
    queue_put(&queue, &entries[0], 1);
    queue_fini(&queue);
    cr_expect(eq(sz, entries[0].place, 0));
}

/* What takes the place of one that goes may be due before what is above that place. */
Test(queue, stays_in_order_wherever_one_goes)
{
    static const int64_t DUES[] = {1, 100, 2, 101, 102, 50, 4};
    static struct queue_entry entries[COUNT_OF(DUES)];
    struct queue queue = {0};
    for (size_t i = 0; i < COUNT_OF(DUES); i++)
        queue_put(&queue, &entries[i], DUES[i]);
    queue_remove(&queue, &entries[3]);
    static const int64_t LEFT[] = {1, 2, 4, 50, 100, 102};
    for (size_t i = 0; i < COUNT_OF(LEFT); i++) {
        struct queue_entry *first = queue_first(&queue);
        cr_assert(ne(ptr, first, NULL));
        cr_expect(eq(i64, first->due_ms, LEFT[i]), "%zu", i);
        queue_remove(&queue, first);
    }
    queue_fini(&queue);
}
