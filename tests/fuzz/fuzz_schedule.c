/* When to act for a certificate, whatever happens to it.
 *
 * The input is what a schedule was restored from, up to the first line break, and then events: a
 * byte says which, the bytes behind it how much. After each, the decision must be one that can be
 * kept: nothing is put off for longer than a CA may ask for, nobody is asked too early, a restart
 * changes nothing, and a certificate whose renewals succeed is renewed before it ends.
 */
#include "acme/schedule.h"
#include "core/cursor.h"
#include "fuzz/fuzz.h"
#include "support/fuzz_input.h"
#include "json/json.h"

enum {
    EVENTS_MAX = 200,
    LIFE_MAX_S = 2 * 365 * 24 * 3600,                                 /* that is lived through, */
    DECISIONS_MAX = LIFE_MAX_S / 1800,                                /* two an hour */
    WAIT_MAX_S = ACME_RETRY_AFTER_MAX_S + ACME_RETRY_AFTER_MAX_S / 5, /* with its spread */
};

static const int64_t NOW_S = 1800000000;
static const int64_t YEAR_9999_S = 253402300799; /* no certificate and no window is later */

struct world {
    struct schedule_certificate certificate;
    struct schedule_now now;
};

/* ---- Events ---- */

/* As long as a second or as a certificate's life. */
static int64_t read_seconds(struct reader *reader)
{
    int64_t amount = 1 + reader_u8(reader);
    return amount << reader_u8(reader) % 18;
}

/* A moment before or after now. */
static int64_t read_moment_s(struct reader *reader, const struct world *world)
{
    bool is_past = reader_u8(reader) % 2 == 1;
    int64_t distance_s = read_seconds(reader);
    int64_t moment_s = world->now.wall_s + (is_past ? -distance_s : distance_s);
    return moment_s < 1 ? 1 : moment_s < YEAR_9999_S ? moment_s : YEAR_9999_S;
}

static int32_t read_retry_after_s(struct reader *reader)
{
    int64_t wait_s = read_seconds(reader) - 2;
    return wait_s < ACME_RETRY_AFTER_MAX_S ? (int32_t)wait_s : ACME_RETRY_AFTER_MAX_S;
}

static void time_passes(struct world *world, struct reader *reader)
{
    int64_t passed_s = read_seconds(reader);
    world->now.mono_ms += passed_s * 1000;
    world->now.wall_s += passed_s;
}

static void clock_jumps(struct world *world, struct reader *reader)
{
    world->now.wall_s = read_moment_s(reader, world);
}

static void succeeds(struct world *world, struct reader *reader)
{
    int64_t not_before_s = read_moment_s(reader, world);
    int64_t not_after_s = not_before_s + 3600 + read_seconds(reader);
    schedule_succeeded(&world->certificate, not_before_s, not_after_s, reader_u8(reader) % 2 == 1,
                       &world->now);
}

static void fails(struct world *world, struct reader *reader)
{
    struct acme_problem problem = {.retry_after_s = -1};
    uint8_t choice = reader_u8(reader);
    problem.class = (enum acme_class)(1 + choice % (ACME_CLASS__MAX - 1));
    problem.retry_after_s = read_retry_after_s(reader);
    if ((choice & 0x80) == 0)
        schedule_failed(&world->certificate, &problem, &world->now);
    else
        schedule_failed_at(&world->certificate, (enum schedule_ca)((choice >> 4 & 7) % 3), &problem,
                           &world->now);
    FUZZ_REQUIRE(world->certificate.retry_mono_ms >= world->now.mono_ms + 60 * 1000);
    FUZZ_REQUIRE(world->certificate.retry_mono_ms <=
                 world->now.mono_ms + (int64_t)WAIT_MAX_S * 1000);
}

static void staging_succeeds(struct world *world, struct reader *reader)
{
    (void)reader;
    schedule_staging_succeeded(&world->certificate);
}

static void window_comes(struct world *world, struct reader *reader)
{
    int64_t start_s = read_moment_s(reader, world);
    int64_t end_s = start_s + read_seconds(reader);
    schedule_window(&world->certificate, start_s, end_s, read_retry_after_s(reader), &world->now);
    FUZZ_REQUIRE(world->certificate.poll_mono_ms >=
                 world->now.mono_ms + SCHEDULE_POLL_MIN_S * 1000);
}

static void window_fails(struct world *world, struct reader *reader)
{
    schedule_window_failed(&world->certificate, read_retry_after_s(reader), &world->now);
    FUZZ_REQUIRE(world->certificate.poll_mono_ms >=
                 world->now.mono_ms + SCHEDULE_POLL_MIN_S * 1000);
}

static void is_wanted(struct world *world, struct reader *reader)
{
    (void)reader;
    world->certificate.wanted_now = true;
}

typedef void event_fn(struct world *world, struct reader *reader);
static event_fn *const EVENTS[] = {time_passes,      clock_jumps,  succeeds,     fails,
                                   staging_succeeds, window_comes, window_fails, is_wanted};

/* ---- What must hold ---- */

static void check_decision(const struct world *world, const struct schedule_decision *decision)
{
    const struct schedule_certificate *certificate = &world->certificate;
    int64_t wait_ms = decision->due_mono_ms - world->now.mono_ms;
    FUZZ_REQUIRE(decision->why != NULL);
    switch (decision->action) {
    case SCHEDULE_ORDER:
        FUZZ_REQUIRE(decision->due_mono_ms >= certificate->retry_mono_ms);
        FUZZ_REQUIRE(wait_ms <= 2 * (int64_t)WAIT_MAX_S * 1000);
        break;
    case SCHEDULE_POLL:
        FUZZ_REQUIRE(decision->due_mono_ms >= certificate->poll_mono_ms);
        FUZZ_REQUIRE(wait_ms <= SCHEDULE_LOOK_MS);
        break;
    case SCHEDULE_LOOK:
        FUZZ_REQUIRE(wait_ms > 0 && wait_ms <= SCHEDULE_LOOK_MS);
        FUZZ_REQUIRE(decision->happens_mono_ms >= decision->due_mono_ms);
        FUZZ_REQUIRE(decision->renewal_s < certificate->not_after_s);
        break;
    }
}

static void check_choice(const struct world *world)
{
    const struct schedule_certificate *certificate = &world->certificate;
    const struct schedule_settings lonely = {0}, rich = {.has_staging = true, .has_second = true};
    FUZZ_REQUIRE(schedule_ca_of(certificate, &lonely, &world->now) == SCHEDULE_CA_FIRST);
    enum schedule_ca ca = schedule_ca_of(certificate, &rich, &world->now);
    if (certificate->closed_until_mono_ms > world->now.mono_ms)
        FUZZ_REQUIRE(ca != certificate->closed);
    else
        FUZZ_REQUIRE(certificate->failures > 0 || ca == SCHEDULE_CA_FIRST);
}

static void check_alarm(const struct world *world)
{
    const struct schedule_certificate *certificate = &world->certificate;
    bool is_over = certificate->not_after_s != 0 && certificate->not_after_s <= world->now.wall_s;
    enum schedule_alarm alarm = schedule_alarm_of(certificate, world->now.wall_s);
    FUZZ_REQUIRE((alarm == SCHEDULE_EXPIRED) == is_over);
}

/* A daemon that is restarted at once does what it would have done, but for parts of a second. */
static void check_restart(const struct world *world)
{
    struct schedule_certificate restored = world->certificate;
    struct json *saved = schedule_save(&world->certificate, &world->now);
    schedule_load(&restored, saved, &world->now);
    json_free(saved);
    struct schedule_decision before = schedule_decide(&world->certificate, &world->now);
    struct schedule_decision after = schedule_decide(&restored, &world->now);
    FUZZ_REQUIRE(after.due_mono_ms + 1000 >= before.due_mono_ms);
    FUZZ_REQUIRE(after.due_mono_ms <= before.due_mono_ms + 1000);
    FUZZ_REQUIRE(after.renewal_s == before.renewal_s && after.in_window == before.in_window);
    FUZZ_REQUIRE(restored.failures == world->certificate.failures);
    FUZZ_REQUIRE(restored.own_failures == world->certificate.own_failures);
    FUZZ_REQUIRE(restored.own_failures <= restored.failures);
}

/* Whether a decision is to order at once; else, what it waits for has come. */
static bool live_on(struct world *world)
{
    struct schedule_decision decision = schedule_decide(&world->certificate, &world->now);
    int64_t wait_ms = decision.due_mono_ms - world->now.mono_ms;
    int64_t wait_s = wait_ms > 0 ? (wait_ms + 999) / 1000 : 0;
    if (decision.action == SCHEDULE_ORDER && wait_s == 0)
        return true;
    world->now.mono_ms += wait_s * 1000;
    world->now.wall_s += wait_s;
    if (decision.action == SCHEDULE_POLL)
        schedule_window_failed(&world->certificate, -1, &world->now);
    return false;
}

/* Where nothing fails from now on and clocks go as they should, an order is made in time. */
static void check_renewal(struct world world)
{
    int64_t end_s = world.certificate.not_after_s;
    if (world.now.wall_s < world.certificate.not_before_s)
        world.now.wall_s = world.certificate.not_before_s;
    if (end_s <= world.now.wall_s || end_s - world.now.wall_s > LIFE_MAX_S)
        return;
    world.certificate.retry_mono_ms = 0;
    world.certificate.young_until_mono_ms = 0; /* which is for clocks that do not */
    bool is_ordered = false;
    for (size_t i = 0; i < DECISIONS_MAX && !is_ordered; i++)
        is_ordered = live_on(&world);
    FUZZ_REQUIRE(is_ordered && world.now.wall_s < end_s);
}

static void check(const struct world *world)
{
    struct schedule_decision decision = schedule_decide(&world->certificate, &world->now);
    check_decision(world, &decision);
    check_choice(world);
    check_alarm(world);
    check_restart(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_from(data, size);
    struct slice saved_text = input_take(&input, SLICE("\n"));
    struct world world = {.now = {.mono_ms = 1000, .wall_s = NOW_S}};
    struct json *saved = json_parse(saved_text, 65536, NULL, NULL);
    schedule_load(&world.certificate, saved, &world.now);
    json_free(saved);
    check(&world);
    struct reader reader = reader_of(input);
    for (size_t i = 0; i < EVENTS_MAX && reader_left(&reader) > 0; i++) {
        EVENTS[reader_u8(&reader) % COUNT_OF(EVENTS)](&world, &reader);
        check(&world);
    }
    check_renewal(world);
    return 0;
}
