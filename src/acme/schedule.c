/* When to act next: see acme/schedule.h. */
#include "acme/schedule.h"

#include "json/json.h"

/* Let's Encrypt's advice for failures: a minute, ten, a hundred, then daily. Between the last two
 * one more step, for the admin who mends DNS and goes to bed. */
static const int32_t BACKOFF_S[] = {60, 600, 6000, 6 * 3600, SCHEDULE_DAY_S};

enum { YOUNG_S = 6 * 3600, BACK_MS = 10 * 60 * 1000 };

/* A number in 0..999 that is always the same for the same question. */
static uint32_t spread(uint32_t seed, uint64_t question)
{
    uint64_t x = (seed + 0x9e3779b97f4a7c15u) ^ question * 0xbf58476d1ce4e5b9u;
    x ^= x >> 30;
    x *= 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (uint32_t)(x % 1000);
}

static int64_t life_s(const struct schedule_certificate *certificate)
{
    return certificate->not_after_s - certificate->not_before_s;
}

static bool is_short(const struct schedule_certificate *certificate)
{
    return life_s(certificate) < SCHEDULE_SHORT_LIFE_S;
}

/* By life alone: at two thirds, or half of a short one, up to 2 % earlier, which spreads what was
 * issued together. */
/* How old it is when it is to be renewed. */
static int64_t renewal_age_s(const struct schedule_certificate *certificate)
{
    int64_t life = life_s(certificate);
    return is_short(certificate) ? life / 2 : life * 2 / 3;
}

static int64_t renewal_by_life_s(const struct schedule_certificate *certificate)
{
    return certificate->not_before_s + renewal_age_s(certificate) -
           life_s(certificate) / 50 * spread(certificate->seed, 0) / 1000;
}

/* How long what has just been issued is not replaced for being old, whoever says that it is. */
static int64_t youth_s(const struct schedule_certificate *certificate)
{
    int64_t hundredth = life_s(certificate) / 100;
    return hundredth < YOUNG_S ? hundredth : YOUNG_S;
}

/* The CA's window is believed up to a point: Let's Encrypt's own lie around the ages above, so a
 * later one than 5 % of life behind them is a mistake or an attack. And one that is always past
 * would have each new certificate replaced at once. */
static int64_t renewal_by_window_s(const struct schedule_certificate *certificate)
{
    int64_t start = certificate->window_start_s;
    int64_t limit =
        certificate->not_before_s + renewal_age_s(certificate) + life_s(certificate) / 20;
    int64_t width = certificate->window_end_s - start;
    int64_t at =
        start + (int64_t)((double)width * spread(certificate->seed, (uint64_t)start) / 1000);
    int64_t least = certificate->not_before_s + youth_s(certificate);
    return at < least ? least : at < limit ? at : limit;
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool in_window(const struct schedule_certificate *certificate, int64_t wall_s)
{
    return certificate->window_end_s > 0 && wall_s >= certificate->window_start_s &&
           wall_s < certificate->window_end_s;
}

static const char *why_waits(const struct schedule_certificate *certificate)
{
    return certificate->failures > 0 ? "the last try failed" : "the one before was put back";
}

/* To a clock that is far ahead each new certificate is past its renewal. Nobody is to order as fast
 * as the CA can for that. */
static void wait_while_young(const struct schedule_certificate *certificate,
                             struct schedule_decision *decision)
{
    if (certificate->wanted_now || certificate->young_until_mono_ms <= decision->due_mono_ms)
        return;
    decision->due_mono_ms = decision->happens_mono_ms = certificate->young_until_mono_ms;
    decision->why = "it is new, but old by this machine's clock, which may be wrong";
}

struct schedule_decision schedule_decide(const struct schedule_certificate *certificate,
                                         const struct schedule_now *now)
{
    struct schedule_decision decision = {.action = SCHEDULE_ORDER,
                                         .due_mono_ms =
                                             max_of(now->mono_ms, certificate->retry_mono_ms),
                                         .in_window = in_window(certificate, now->wall_s)};
    decision.happens_mono_ms = decision.due_mono_ms;
    bool waits = certificate->retry_mono_ms > now->mono_ms;
    if (certificate->not_after_s == 0) {
        decision.why = waits ? why_waits(certificate) : "there is no certificate yet";
        return decision;
    }
    bool has_window = certificate->window_end_s > 0;
    decision.renewal_s =
        has_window ? renewal_by_window_s(certificate) : renewal_by_life_s(certificate);
    if (certificate->wanted_now || decision.renewal_s <= now->wall_s) {
        decision.why = waits                     ? why_waits(certificate)
                       : certificate->wanted_now ? "a renewal was asked for"
                       : has_window              ? "the CA's renewal window is open"
                                                 : "most of its life has passed";
        wait_while_young(certificate, &decision);
        return decision;
    }
    int64_t left_ms = (decision.renewal_s - now->wall_s) * 1000;
    bool must_look = left_ms > SCHEDULE_LOOK_MS;
    decision.happens_mono_ms = now->mono_ms + left_ms;
    decision.due_mono_ms = now->mono_ms + (must_look ? SCHEDULE_LOOK_MS : left_ms);
    decision.action = SCHEDULE_LOOK;
    decision.why =
        has_window ? "renewal is planned by the CA's window" : "renewal is planned by its life";
    if (certificate->can_poll && certificate->poll_mono_ms <= decision.due_mono_ms) {
        decision.action = SCHEDULE_POLL;
        decision.due_mono_ms = max_of(now->mono_ms, certificate->poll_mono_ms);
    }
    return decision;
}

static bool is_about_names(enum acme_class class)
{
    return class == ACME_CLASS_VALIDATION || class == ACME_CLASS_REFUSED ||
           class == ACME_CLASS_ORDER_GONE;
}

static enum schedule_ca other_ca(enum schedule_ca ca)
{
    return ca == SCHEDULE_CA_FIRST ? SCHEDULE_CA_SECOND : SCHEDULE_CA_FIRST;
}

enum schedule_ca schedule_ca_of(const struct schedule_certificate *certificate,
                                const struct schedule_settings *settings,
                                const struct schedule_now *now)
{
    unsigned after = settings->second_after > 0 ? settings->second_after : 5;
    if (settings->has_staging && certificate->failures > 0 &&
        is_about_names(certificate->last_class) && !certificate->staging_passed)
        return SCHEDULE_CA_STAGING;
    if (!settings->has_second)
        return SCHEDULE_CA_FIRST;
    if (certificate->closed_until_mono_ms > now->mono_ms)
        return other_ca(certificate->closed);
    /* In turns, because the second may fail as well. */
    unsigned theirs = certificate->failures - certificate->own_failures;
    return theirs / after % 2 == 1 ? SCHEDULE_CA_SECOND : SCHEDULE_CA_FIRST;
}

static void forget_failures(struct schedule_certificate *certificate)
{
    certificate->failures = certificate->own_failures = 0;
    certificate->last_class = ACME_CLASS_NONE;
    certificate->retry_mono_ms = 0;
    certificate->staging_passed = false;
}

void schedule_succeeded(struct schedule_certificate *certificate, int64_t not_before_s,
                        int64_t not_after_s, bool can_poll, const struct schedule_now *now)
{
    forget_failures(certificate);
    certificate->wanted_now = false;
    certificate->not_before_s = not_before_s;
    certificate->not_after_s = not_after_s;
    certificate->can_poll = can_poll;
    schedule_replaced(certificate);
    certificate->young_until_mono_ms = now->mono_ms + youth_s(certificate) * 1000;
}

bool schedule_is_urged(const struct schedule_certificate *certificate, int64_t wall_s)
{
    int64_t early_s = certificate->not_before_s + renewal_age_s(certificate) * 3 / 4;
    return certificate->window_end_s > 0 && certificate->window_start_s <= wall_s &&
           certificate->window_end_s < early_s;
}

void schedule_replaced(struct schedule_certificate *certificate)
{
    certificate->window_start_s = 0;
    certificate->window_end_s = 0;
    certificate->poll_mono_ms = 0;
    certificate->young_until_mono_ms = 0;
}

void schedule_found(struct schedule_certificate *certificate)
{
    forget_failures(certificate);
    certificate->wanted_now = false;
    schedule_replaced(certificate);
}

/* A certificate of a few days cannot wait for a daily try: an eighth of what is left of its life is
 * the longest wait then, and never less than ten minutes. One that has expired waits as it did when
 * its renewal was due, or an outage of the CA would be over a day before it is. */
static int64_t longest_wait_s(const struct schedule_certificate *certificate, int64_t wall_s)
{
    int64_t left = certificate->not_after_s - wall_s;
    if (certificate->not_after_s == 0)
        return SCHEDULE_DAY_S;
    if (left <= 0)
        left = life_s(certificate) / 2;
    return left / 8 >= SCHEDULE_DAY_S ? SCHEDULE_DAY_S : max_of(left / 8, 600);
}

static int64_t backoff_s(const struct schedule_certificate *certificate, int64_t wall_s)
{
    enum acme_class class = certificate->last_class;
    int64_t longest = longest_wait_s(certificate, wall_s);
    size_t step = size_min(certificate->failures - 1, COUNT_OF(BACKOFF_S) - 1);
    /* What a CA will never do is asked once a day, in case the answer was a mistake. */
    if (class == ACME_CLASS_REFUSED || class == ACME_CLASS_PERSON)
        return longest;
    return BACKOFF_S[step] < longest ? BACKOFF_S[step] : longest;
}

/* Who mends DNS after many looks of ours has failed at no CA: the first that does fail is not
 * waited for as if it were one more. */
static void count_failure(struct schedule_certificate *certificate, enum acme_class class)
{
    if (class == ACME_CLASS_LOCAL) {
        certificate->own_failures++;
    } else {
        certificate->failures -= certificate->own_failures;
        certificate->own_failures = 0;
    }
    certificate->failures++;
    certificate->last_class = class;
}

static void fail(struct schedule_certificate *certificate, enum acme_class class,
                 int64_t least_wait_s, const struct schedule_now *now)
{
    count_failure(certificate, class);
    certificate->staging_passed = false;
    int64_t wait_ms = max_of(backoff_s(certificate, now->wall_s), least_wait_s) * 1000;
    /* Up to a fifth more, so that certificates which failed together do not return together. */
    wait_ms += wait_ms / 5 * spread(certificate->seed, certificate->failures) / 1000;
    certificate->retry_mono_ms = now->mono_ms + wait_ms;
}

void schedule_failed(struct schedule_certificate *certificate, const struct acme_problem *problem,
                     const struct schedule_now *now)
{
    fail(certificate, problem->class, problem->retry_after_s, now);
}

void schedule_failed_at(struct schedule_certificate *certificate, enum schedule_ca ca,
                        const struct acme_problem *problem, const struct schedule_now *now)
{
    int64_t until_mono_ms = now->mono_ms + (int64_t)problem->retry_after_s * 1000;
    int64_t closed_until_mono_ms = certificate->closed_until_mono_ms;
    bool is_other_open = closed_until_mono_ms <= now->mono_ms || certificate->closed == ca;
    if (ca == SCHEDULE_CA_STAGING || problem->retry_after_s < SCHEDULE_CLOSED_MIN_S) {
        schedule_failed(certificate, problem, now);
        return;
    }
    /* Of two that are closed, the one that opens first is the one to wait for. */
    int64_t first_mono_ms =
        until_mono_ms < closed_until_mono_ms ? until_mono_ms : closed_until_mono_ms;
    if (is_other_open || until_mono_ms > closed_until_mono_ms) {
        certificate->closed = ca;
        certificate->closed_until_mono_ms = until_mono_ms;
    }
    fail(certificate, problem->class, is_other_open ? 0 : (first_mono_ms - now->mono_ms) / 1000 + 1,
         now);
}

int64_t schedule_keep_back_ms(struct schedule_certificate *certificate, enum schedule_ca ca,
                              int64_t wait_ms, const struct schedule_now *now)
{
    int64_t other_ms = certificate->closed_until_mono_ms - now->mono_ms;
    if (wait_ms < (int64_t)SCHEDULE_CLOSED_MIN_S * 1000)
        return wait_ms;
    if (certificate->closed != ca && other_ms > 0)
        return other_ms < wait_ms ? other_ms : wait_ms;
    certificate->closed = ca;
    certificate->closed_until_mono_ms = now->mono_ms + wait_ms;
    return 0;
}

void schedule_turn_back(struct schedule_certificate *certificate, int64_t wait_ms,
                        const struct schedule_now *now)
{
    certificate->closed = other_ca(certificate->closed);
    certificate->closed_until_mono_ms = now->mono_ms + wait_ms;
}

/* Not all at once, though: an outage of weeks has left nobody out. */
static void retry_soon(struct schedule_certificate *certificate, int64_t least_wait_s,
                       const struct schedule_now *now)
{
    int64_t soon_mono_ms =
        now->mono_ms + least_wait_s * 1000 + BACK_MS / 1000 * spread(certificate->seed, BACK_MS);
    if (certificate->retry_mono_ms > soon_mono_ms)
        certificate->retry_mono_ms = soon_mono_ms;
}

void schedule_ca_is_back(struct schedule_certificate *certificate, const struct schedule_now *now)
{
    if (acme_class_is_the_cas(certificate->last_class))
        retry_soon(certificate, 0, now);
}

/* Nor as often as a HAProxy starts that dies again and again. */
void schedule_way_is_new(struct schedule_certificate *certificate, const struct schedule_now *now)
{
    if (certificate->last_class == ACME_CLASS_LOCAL)
        retry_soon(certificate, BACKOFF_S[0], now);
}

void schedule_staging_succeeded(struct schedule_certificate *certificate)
{
    certificate->staging_passed = true;
    certificate->retry_mono_ms = 0;
}

void schedule_put_back(struct schedule_certificate *certificate, const struct schedule_now *now)
{
    forget_failures(certificate);
    certificate->wanted_now = false;
    certificate->retry_mono_ms = now->mono_ms + longest_wait_s(certificate, now->wall_s) * 1000;
}

/* What our own side has refused, DNS and the challenge's way among it, costs no CA anything. */
void schedule_names_changed(struct schedule_certificate *certificate)
{
    if (is_about_names(certificate->last_class) || certificate->last_class == ACME_CLASS_LOCAL)
        forget_failures(certificate);
}

void schedule_cas_changed(struct schedule_certificate *certificate)
{
    certificate->closed_until_mono_ms = 0;
    if (certificate->failures > 0)
        forget_failures(certificate);
}

static void poll_after(struct schedule_certificate *certificate, int64_t wait_s,
                       const struct schedule_now *now)
{
    if (wait_s < SCHEDULE_POLL_MIN_S)
        wait_s = SCHEDULE_POLL_MIN_S;
    if (wait_s > SCHEDULE_POLL_MAX_S)
        wait_s = SCHEDULE_POLL_MAX_S;
    wait_s += wait_s / 10 * spread(certificate->seed, (uint64_t)now->wall_s) / 1000;
    certificate->poll_mono_ms = now->mono_ms + wait_s * 1000;
}

/* How often to ask when the CA does not say: often enough for the 2 % of life that windows are
 * wide. */
static int64_t default_poll_s(const struct schedule_certificate *certificate)
{
    int64_t hundredth = life_s(certificate) / 100;
    return hundredth > 0 && hundredth < SCHEDULE_POLL_DEFAULT_S ? hundredth
                                                                : SCHEDULE_POLL_DEFAULT_S;
}

void schedule_window(struct schedule_certificate *certificate, int64_t start_s, int64_t end_s,
                     int32_t retry_after_s, const struct schedule_now *now)
{
    certificate->window_start_s = start_s;
    certificate->window_end_s = end_s;
    poll_after(certificate, retry_after_s > 0 ? retry_after_s : default_poll_s(certificate), now);
}

void schedule_window_failed(struct schedule_certificate *certificate, int32_t retry_after_s,
                            const struct schedule_now *now)
{
    poll_after(certificate, retry_after_s > 0 ? retry_after_s : default_poll_s(certificate), now);
}

enum schedule_alarm schedule_alarm_of(const struct schedule_certificate *certificate,
                                      int64_t wall_s)
{
    int64_t left = certificate->not_after_s - wall_s;
    if (certificate->not_after_s == 0)
        return SCHEDULE_FINE; /* there is nothing to expire */
    if (left <= 0)
        return SCHEDULE_EXPIRED;
    int64_t part = is_short(certificate) ? 3 : 4;
    return left < life_s(certificate) / part ? SCHEDULE_EXPIRING : SCHEDULE_FINE;
}

/* -- Across restarts -- */

static void put_wait(struct json *saved, const char *member, int64_t until_mono_ms,
                     const struct schedule_now *now)
{
    if (until_mono_ms > now->mono_ms)
        json_put_integer(saved, member, (until_mono_ms - now->mono_ms + 999) / 1000);
}

struct json *schedule_save(const struct schedule_certificate *certificate,
                           const struct schedule_now *now)
{
    struct json *saved = json_new_object();
    json_put_integer(saved, "seed", certificate->seed);
    json_put_integer(saved, "saved_s", now->wall_s);
    if (certificate->failures > 0) {
        json_put_integer(saved, "failures", certificate->failures);
        if (certificate->own_failures > 0)
            json_put_integer(saved, "own_failures", certificate->own_failures);
        json_put_text(saved, "last_class", slice_of(acme_class_name(certificate->last_class)));
        json_put_bool(saved, "staging_passed", certificate->staging_passed);
    }
    put_wait(saved, "retry_in_s", certificate->retry_mono_ms, now);
    if (certificate->window_end_s > 0) {
        json_put_integer(saved, "window_start_s", certificate->window_start_s);
        json_put_integer(saved, "window_end_s", certificate->window_end_s);
    }
    put_wait(saved, "poll_in_s", certificate->poll_mono_ms, now);
    put_wait(saved, "closed_for_s", certificate->closed_until_mono_ms, now);
    json_put_bool(saved, "second_is_closed", certificate->closed == SCHEDULE_CA_SECOND);
    if (certificate->wanted_now)
        json_put_bool(saved, "wanted_now", true);
    return saved;
}

static int64_t number(const struct json *saved, const char *member, int64_t least, int64_t most)
{
    int64_t value = 0;
    if (!json_read_integer(json_get(saved, member), &value) || value < least || value > most)
        return 0;
    return value;
}

/* What is left of a wait. A clock that went back since leaves the whole wait and no more. */
static int64_t until_mono_ms(const struct json *saved, const char *member, int64_t passed_s,
                             const struct schedule_now *now)
{
    int64_t wait_s = number(saved, member, 1, 2 * ACME_RETRY_AFTER_MAX_S) - passed_s;
    return wait_s > 0 ? now->mono_ms + wait_s * 1000 : 0;
}

void schedule_load(struct schedule_certificate *certificate, const struct json *saved,
                   const struct schedule_now *now)
{
    int64_t passed_s = max_of(now->wall_s - number(saved, "saved_s", 1, INT64_MAX), 0);
    struct slice class;
    certificate->seed = (uint32_t)number(saved, "seed", 0, UINT32_MAX);
    certificate->failures = (unsigned)number(saved, "failures", 0, 1000000);
    certificate->own_failures =
        (unsigned)number(saved, "own_failures", 0, (int64_t)certificate->failures);
    if (!json_read_text(json_get(saved, "last_class"), &class) ||
        !acme_class_parse(class, &certificate->last_class))
        certificate->last_class = ACME_CLASS_NONE;
    if (!json_read_bool(json_get(saved, "staging_passed"), &certificate->staging_passed))
        certificate->staging_passed = false;
    if (!json_read_bool(json_get(saved, "wanted_now"), &certificate->wanted_now))
        certificate->wanted_now = false;
    if (certificate->failures == 0)
        forget_failures(certificate);
    certificate->retry_mono_ms = until_mono_ms(saved, "retry_in_s", passed_s, now);
    certificate->poll_mono_ms = until_mono_ms(saved, "poll_in_s", passed_s, now);
    certificate->closed_until_mono_ms = until_mono_ms(saved, "closed_for_s", passed_s, now);
    bool is_second = false;
    certificate->closed =
        json_read_bool(json_get(saved, "second_is_closed"), &is_second) && is_second
            ? SCHEDULE_CA_SECOND
            : SCHEDULE_CA_FIRST;
    certificate->window_start_s = number(saved, "window_start_s", 1, INT64_MAX / 2);
    certificate->window_end_s = number(saved, "window_end_s", 1, INT64_MAX / 2);
    if (certificate->window_end_s <= certificate->window_start_s)
        certificate->window_start_s = certificate->window_end_s = 0;
}
