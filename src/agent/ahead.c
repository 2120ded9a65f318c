/* Looking ahead: see agent/ahead.h. */
#include "agent/ahead.h"

#include "route/replica.h"
#include "spop/spop_frame.h"

/* Without its value: the first byte is 240 or more when others follow, and of these the last one is
 * below 128. */
static void skip_varint(struct reader *reader)
{
    if (reader_u8(reader) < 240)
        return;
    while (reader_u8(reader) >= 128 && !reader->failed)
        ;
}

static bool skip_text(struct reader *reader, struct slice text)
{
    return slice_equal(reader_bytes(reader, text.size), text);
}

/* The Host that a NOTIFY tells first, as haproxy/owui.spoe.cfg has it, in the words of its sender
 * and without a port. Any other frame, and a host that is not in normal form, has no head start and
 * loses nothing else. */
static struct slice peek_host(struct reader *frame)
{
    if (reader_u8(frame) != SPOP_FRAME_NOTIFY)
        return (struct slice){0};
    (void)reader_u32(frame); /* flags */
    skip_varint(frame);      /* stream-id */
    skip_varint(frame);      /* frame-id */
    if (!skip_text(frame, SLICE("\x05route")))
        return (struct slice){0};
    (void)reader_u8(frame); /* how many arguments */
    if (!skip_text(frame, SLICE("\x04host\x08")))
        return (struct slice){0};
    uint8_t size = reader_u8(frame); /* in one byte, as all but absurd ones are */
    struct slice host = reader_bytes(frame, size);
    const char *colon = host.size > 0 ? memchr(host.data, ':', host.size) : NULL;
    return colon != NULL ? slice_head(host, (size_t)(colon - host.data)) : host;
}

/* The path, which comes next. */
static struct slice peek_path(struct slice behind)
{
    struct reader reader = reader_of(behind);
    if (!skip_text(&reader, SLICE("\x04path\x08")))
        return (struct slice){0};
    return spop_read_string(&reader);
}

/* What the frames ask for is added to what is there. */
static void peek_hosts(struct slice frames, struct ahead *ahead)
{
    struct reader reader = reader_of(frames);
    while (ahead->count < AHEAD_MAX) {
        uint32_t length = reader_u32(&reader);
        struct reader frame = reader_of(reader_bytes(&reader, length));
        if (reader.failed)
            break;
        struct slice host = peek_host(&frame);
        if (host.size == 0)
            continue;
        struct ahead_request *request = &ahead->requests[ahead->count++];
        request->host = host;
        request->behind = slice_from(frame.position, reader_left(&frame));
        route_guess_begin(&request->guess, ahead->table, host);
    }
}

/* The guess's tenant, if it may have rules, limits or replicas, as its brief tells. */
static const struct tenant *featured(const struct route_guess *guess)
{
    const struct tenant_brief *brief = route_guess_brief(guess);
    return brief != NULL && (brief->has_policy || !brief->is_reachable) ? brief->tenant : NULL;
}

/* These are two steps, because where the rules and the replicas are has to be read first. */
static void prefetch_features(const struct route_guess *guess)
{
    const struct tenant *tenant = featured(guess);
    if (tenant == NULL)
        return;
    if (tenant->policy != NULL) {
        prefetch(tenant->policy, sizeof(*tenant->policy));
        __builtin_prefetch(tenant->prepared_limits);
    }
    if (tenant->replicas != NULL)
        __builtin_prefetch(tenant->replicas);
}

static void prefetch_rules(const struct route_guess *guess)
{
    const struct tenant *tenant = featured(guess);
    if (tenant == NULL)
        return;
    if (tenant->policy != NULL)
        policy_prefetch(tenant->policy);
    if (tenant->prepared_limits != NULL)
        __builtin_prefetch(tenant->prepared_limits[0].bytes);
    if (tenant->replicas != NULL)
        replica_set_prefetch(tenant->replicas);
}

/* A long answer lies apart from its brief. */
static void prefetch_answer(const struct route_guess *guess)
{
    const struct tenant_brief *brief = route_guess_brief(guess);
    const struct tenant *tenant = featured(guess);
    if (tenant != NULL)
        __builtin_prefetch(tenant);
    if (brief != NULL && brief->is_far)
        prefetch(brief->far, brief->slots_size);
}

static void take_step(const struct ahead *ahead, enum ahead_step step,
                      struct ahead_request *request)
{
    struct route_guess *guess = &request->guess;
    switch (step) {
    case AHEAD_HOST: route_guess_host(guess, ahead->table, request->host); break;
    case AHEAD_WILDCARD: route_guess_wildcard(guess, ahead->table); break;
    case AHEAD_PREFIX:
        if (route_guess_has_paths(guess))
            route_guess_prefix(guess, ahead->table, peek_path(request->behind));
        break;
    case AHEAD_PATH:
        if (route_guess_has_paths(guess))
            route_guess_path(guess, ahead->table);
        break;
    case AHEAD_BRIEF: route_guess_prefetch_brief(guess); break;
    case AHEAD_ANSWER: prefetch_answer(guess); break;
    case AHEAD_FEATURES: prefetch_features(guess); break;
    case AHEAD_RULES: prefetch_rules(guess); break;
    case AHEAD_STEPS: break;
    }
}

/* Takes a step for all requests up to one. */
static inline void step_up_to(struct ahead *ahead, enum ahead_step step, unsigned end)
{
    if (end > ahead->count)
        end = ahead->count;
    for (unsigned *done = &ahead->done[step]; *done < end; ++*done)
        take_step(ahead, step, &ahead->requests[*done]);
}

/* What is due before the request with this number is decided. What comes long before its time
 * drives others from the nearest cache, and the processor waits for so many lines only: so each
 * step is taken some decisions ahead of the one that needs it. */
static void run_ahead_of(struct ahead *ahead, unsigned number)
{
    step_up_to(ahead, AHEAD_HOST, number + 24);
    step_up_to(ahead, AHEAD_WILDCARD, number + 20);
    step_up_to(ahead, AHEAD_PREFIX, number + 16);
    step_up_to(ahead, AHEAD_PATH, number + 12);
    step_up_to(ahead, AHEAD_BRIEF, number + 8);
    step_up_to(ahead, AHEAD_ANSWER, number + 5);
    step_up_to(ahead, AHEAD_FEATURES, number + 3);
    step_up_to(ahead, AHEAD_RULES, number + 2);
}

void answer_ahead(const struct snapshot *snapshot, const struct slice *received, size_t count,
                  struct ahead *ahead)
{
    ahead_forget(ahead);
    if (!route_table_is_large(snapshot->table))
        return;
    ahead->table = snapshot->table;
    for (size_t i = 0; i < count; i++)
        peek_hosts(received[i], ahead);
    if (ahead->count < 2)
        ahead->count = 0; /* nothing could overlap */
    run_ahead_of(ahead, 0);
}

void ahead_forget(struct ahead *ahead)
{
    ahead->count = 0;
    ahead->next = 0;
    memset(ahead->done, 0, sizeof(ahead->done));
}

const struct route_guess *ahead_take(struct ahead *ahead, struct slice host)
{
    for (unsigned i = ahead->next; i < ahead->count; i++) {
        if (ahead->requests[i].host.data != host.data)
            continue;
        ahead->next = i + 1;
        run_ahead_of(ahead, i + 1);
        return &ahead->requests[i].guess;
    }
    return NULL;
}
