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

/* Without the port. A name hardly ever ends with a digit, so that most need not be searched. */
static struct slice without_port(struct slice host)
{
    char last = host.size > 0 ? host.data[host.size - 1] : '\0';
    return ascii_is_digit(last) ? slice_before(host, ':') : host;
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
    return without_port(reader_bytes(frame, size));
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
        request->behind = slice_from(frame.position, reader_left(&frame));
        route_guess_begin(&request->guess, ahead->table, host);
    }
}

/* Each of these is a step: it reads what the one before has asked for, asks for what the next one
 * reads, and returns which that is. */

static enum ahead_step read_host(const struct ahead *ahead, struct ahead_request *request)
{
    route_guess_host(&request->guess, ahead->table);
    return request->guess.is_nobodys ? AHEAD_WILDCARD : AHEAD_ENTRY;
}

static enum ahead_step read_wildcard(const struct ahead *ahead, struct ahead_request *request)
{
    route_guess_wildcard(&request->guess, ahead->table);
    return request->guess.host != NULL ? AHEAD_ENTRY : AHEAD_DONE;
}

static enum ahead_step read_rule(struct ahead_request *request)
{
    route_guess_prefetch_brief(&request->guess);
    return AHEAD_BRIEF;
}

static enum ahead_step read_entry(const struct ahead *ahead, struct ahead_request *request)
{
    if (route_guess_has_paths(&request->guess)) {
        route_guess_prefix(&request->guess, ahead->table, peek_path(request->behind));
        return AHEAD_PATH;
    }
    return read_rule(request);
}

static enum ahead_step read_path(const struct ahead *ahead, struct ahead_request *request)
{
    route_guess_path(&request->guess, ahead->table);
    return AHEAD_RULE;
}

/* A long answer lies apart, and so do rules, limits and replicas. */
static enum ahead_step read_brief(const struct ahead_request *request)
{
    const struct tenant_brief *brief = route_guess_brief(&request->guess);
    if (brief == NULL)
        return AHEAD_DONE;
    if (brief->is_far)
        prefetch(brief->far, brief->slots_size);
    if (!brief->has_policy && brief->is_reachable)
        return AHEAD_DONE;
    __builtin_prefetch(brief->tenant);
    return AHEAD_TENANT;
}

static enum ahead_step read_tenant(const struct ahead_request *request)
{
    const struct tenant *tenant = route_guess_brief(&request->guess)->tenant;
    if (tenant->policy != NULL) {
        prefetch(tenant->policy, sizeof(*tenant->policy));
        __builtin_prefetch(tenant->prepared_limits);
    }
    if (tenant->replicas != NULL)
        __builtin_prefetch(tenant->replicas);
    return AHEAD_FEATURES;
}

static enum ahead_step read_features(const struct ahead_request *request)
{
    const struct tenant *tenant = route_guess_brief(&request->guess)->tenant;
    if (tenant->policy != NULL)
        policy_prefetch(tenant->policy);
    if (tenant->prepared_limits != NULL)
        __builtin_prefetch(tenant->prepared_limits[0].bytes);
    if (tenant->replicas != NULL)
        replica_set_prefetch(tenant->replicas);
    return AHEAD_DONE;
}

static enum ahead_step take_step(const struct ahead *ahead, enum ahead_step step,
                                 struct ahead_request *request)
{
    switch (step) {
    case AHEAD_HOST: return read_host(ahead, request);
    case AHEAD_WILDCARD: return read_wildcard(ahead, request);
    case AHEAD_ENTRY: return read_entry(ahead, request);
    case AHEAD_PATH: return read_path(ahead, request);
    case AHEAD_RULE: return read_rule(request);
    case AHEAD_BRIEF: return read_brief(request);
    case AHEAD_TENANT: return read_tenant(request);
    case AHEAD_FEATURES: return read_features(request);
    case AHEAD_DONE:
    case AHEAD_STEPS: break;
    }
    return AHEAD_DONE;
}

static uint64_t bits_below(unsigned end)
{
    return end < AHEAD_MAX ? (UINT64_C(1) << end) - 1 : UINT64_MAX;
}

/* Takes a step for all requests up to one that are to take it. */
static inline void step_up_to(struct ahead *ahead, enum ahead_step step, unsigned end)
{
    uint64_t due = ahead->due[step] & bits_below(end);
    ahead->due[step] -= due;
    for (; due != 0; due &= due - 1) {
        enum ahead_step next = take_step(ahead, step, &ahead->requests[__builtin_ctzll(due)]);
        ahead->due[next] |= due & -due;
    }
}

/* How many decisions ahead of the one that needs it a step is taken. What comes long before its
 * time drives others from the nearest cache; what comes late is waited for. */
static const unsigned LEADS[AHEAD_DONE] = {
    [AHEAD_HOST] = 28, [AHEAD_WILDCARD] = 25, [AHEAD_ENTRY] = 22, [AHEAD_PATH] = 18,
    [AHEAD_RULE] = 14, [AHEAD_BRIEF] = 11,    [AHEAD_TENANT] = 8, [AHEAD_FEATURES] = 5,
};

/* What is due before the request with this number is decided. Before each decision it is every
 * fourth step's turn, which it then takes for four requests: to look costs something whatever there
 * is to do, and the processor waits for so many lines and pages only. */
enum { TURNS = 4 };
static void run_ahead_of(struct ahead *ahead, unsigned number)
{
#pragma GCC unroll 8 /* each step's code by itself, without a choice among all */
    for (unsigned step = 0; step < AHEAD_DONE; step++)
        if (step % TURNS == number % TURNS)
            step_up_to(ahead, (enum ahead_step)step, number + LEADS[step]);
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
    ahead->due[AHEAD_HOST] = bits_below(ahead->count);
    for (unsigned step = 0; step < AHEAD_DONE; step++)
        step_up_to(ahead, (enum ahead_step)step, LEADS[step]);
}

void ahead_forget(struct ahead *ahead)
{
    ahead->count = 0;
    ahead->next = 0;
    memset(ahead->due, 0, sizeof(ahead->due));
}

const struct route_guess *ahead_take(struct ahead *ahead, struct slice host)
{
    for (unsigned i = ahead->next; i < ahead->count; i++) {
        if (ahead->requests[i].guess.name.data != host.data)
            continue;
        while (ahead->next <= i) /* the turns of those that are passed over, too */
            run_ahead_of(ahead, ++ahead->next);
        return &ahead->requests[i].guess;
    }
    return NULL;
}
