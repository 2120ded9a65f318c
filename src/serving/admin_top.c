/* The admin interface: what `owui-spoa top` counts with. */
#include "serving/live.h"

#include "core/clock.h"
#include "serving/count_places.h"
#include "serving/responder.h"

/* Not let in, or not to be sent anywhere; maintenance and redirects are as they are meant to be. */
static bool is_refusal(enum outcome outcome)
{
    struct slice name = slice_of(outcome_name(outcome));
    return slice_starts_with(name, SLICE("deny-")) || slice_equal(name, SLICE("bad-request"));
}

static void put_tally(struct json *object, const struct decision_tally *tally)
{
    int64_t requests = 0;
    int64_t refused = 0;
    struct json *times = json_new_array();
    for (unsigned i = 0; i < OUTCOME__MAX; i++) {
        requests += (int64_t)tally->outcomes[i];
        refused += is_refusal((enum outcome)i) ? (int64_t)tally->outcomes[i] : 0;
    }
    for (unsigned i = 0; i < DECISION_TIME_BUCKETS; i++)
        json_append_integer(times, (int64_t)tally->times[i]);
    json_put_integer(object, "requests", requests);
    json_put_integer(object, "refused", refused);
    json_put(object, "times", times);
}

static bool is_empty(const struct decision_tally *tally)
{
    for (unsigned i = 0; i < OUTCOME__MAX; i++)
        if (tally->outcomes[i] > 0)
            return false;
    return true;
}

struct rows {
    struct json *list;
    const struct count_places *places;
};

/* Tenants that nobody has asked for are left out. */
static void put_place(void *context, const char *name, unsigned place)
{
    const struct rows *rows = context;
    struct decision_tally tally;
    count_places_tell(rows->places, place, &tally);
    if (is_empty(&tally))
        return;
    struct json *object = json_new_object();
    json_put_text(object, "name", slice_of(name));
    put_tally(object, &tally);
    json_append(rows->list, object);
}

static void put_all(struct json *body, const struct live *live)
{
    const struct responder_sums sums = responder_sums(live->responders, loops_count(live->loops));
    struct decision_tally all;
    memcpy(all.outcomes, sums.outcomes, sizeof(all.outcomes));
    for (unsigned i = 0; i < DECISION_TIME_BUCKETS; i++)
        all.times[i] = (uint32_t)sums.times.buckets[i];
    put_tally(body, &all);
}

static void show_top(void *context, const struct admin_request *request,
                     struct admin_answer *answer)
{
    const struct live *live = context;
    struct json *body = admin_answer_body(answer);
    struct json *bounds = json_new_array();
    struct rows rows = {json_new_array(), publisher_places(live->publisher)};
    (void)request;
    json_put_integer(body, "at_us", clock_mono_us());
    json_put_integer(body, "uptime_s", (clock_mono_ms() - live->start_mono_ms) / 1000);
    live_put_generation(body, live);
    json_put_integer(body, "connections",
                     (int64_t)loops_counter(live->loops, LOOP_CONNECTIONS_OPEN));
    for (unsigned i = 0; i + 1 < DECISION_TIME_BUCKETS; i++)
        json_append_integer(bounds, decision_time_bound_ns(i));
    json_put(body, "bounds_ns", bounds);
    put_all(body, live);
    count_places_each(rows.places, put_place, &rows);
    put_place(&rows, "_other", COUNT_PLACE_OTHER);
    json_put(body, "tenants", rows.list);
}

const struct admin_operation TOP_OPERATIONS[] = {
    {"GET", "/v1/top", show_top, "tells counters of decisions by tenant", ""},
    {0},
};
