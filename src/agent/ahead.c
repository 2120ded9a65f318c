/* Looking ahead: see agent/ahead.h. */
#include "agent/ahead.h"

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
static struct slice peek_host(struct slice frame)
{
    struct reader reader = reader_of(frame);
    if (reader_u8(&reader) != SPOP_FRAME_NOTIFY)
        return (struct slice){0};
    (void)reader_u32(&reader); /* flags */
    skip_varint(&reader);      /* stream-id */
    skip_varint(&reader);      /* frame-id */
    if (!skip_text(&reader, SLICE("\x05route")))
        return (struct slice){0};
    (void)reader_u8(&reader); /* how many arguments */
    if (!skip_text(&reader, SLICE("\x04host\x08")))
        return (struct slice){0};
    uint8_t size = reader_u8(&reader); /* in one byte, as all but absurd ones are */
    struct slice host = reader_bytes(&reader, size);
    const char *colon = host.size > 0 ? memchr(host.data, ':', host.size) : NULL;
    return colon != NULL ? slice_head(host, (size_t)(colon - host.data)) : host;
}

/* What the frames ask for is added to what is there. */
static void peek_hosts(struct slice frames, struct ahead *ahead)
{
    struct reader reader = reader_of(frames);
    while (ahead->count < AHEAD_MAX) {
        uint32_t length = reader_u32(&reader);
        struct slice frame = reader_bytes(&reader, length);
        if (reader.failed)
            break;
        struct slice host = peek_host(frame);
        if (host.size == 0)
            continue;
        ahead->hosts[ahead->count] = host;
        ahead->hashes[ahead->count++] = route_table_ahead(ahead->table, host);
    }
}

/* What comes long before its time drives others from the nearest cache, and the processor waits for
 * so many lines only: so each step is taken some decisions ahead of the one that needs it. */
enum { GUESSES_AHEAD = 16, WILDCARDS_AHEAD = 12, TENANTS_AHEAD = 8, ANSWERS_AHEAD = 4 };

/* By name up to one request, and up to an earlier one by wildcard, where the name led to none. */
static void guess_up_to(struct ahead *ahead, unsigned by_name_end, unsigned by_wildcard_end)
{
    for (; ahead->guessed < by_name_end && ahead->guessed < ahead->count; ahead->guessed++) {
        unsigned i = ahead->guessed;
        ahead->guesses[i] = route_table_guess(ahead->table, ahead->hashes[i]);
        if (ahead->guesses[i] == NULL)
            ahead->hashes[i] = route_table_ahead_wildcard(ahead->table, ahead->hosts[i]);
    }
    for (; ahead->settled < by_wildcard_end && ahead->settled < ahead->guessed; ahead->settled++) {
        unsigned i = ahead->settled;
        if (ahead->guesses[i] == NULL)
            ahead->guesses[i] = route_table_guess(ahead->table, ahead->hashes[i]);
    }
}

static void prefetch_tenant(const struct ahead *ahead, unsigned at)
{
    if (at < ahead->guessed)
        route_guess_prefetch(ahead->guesses[at]);
}

/* A long answer lies apart from its tenant. */
static void prefetch_answer(const struct ahead *ahead, unsigned at)
{
    const struct route_entry *guess = at < ahead->guessed ? ahead->guesses[at] : NULL;
    const struct tenant *tenant = guess != NULL ? route_guess_tenant(guess) : NULL;
    if (tenant == NULL || tenant->prepared == tenant->near)
        return;
    const char *start = (const char *)tenant->prepared;
    const char *line = start - (uintptr_t)start % CACHE_LINE_BYTES;
    for (; line < start + tenant->prepared_slots_size; line += CACHE_LINE_BYTES)
        __builtin_prefetch(line);
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
    guess_up_to(ahead, GUESSES_AHEAD, WILDCARDS_AHEAD);
    for (unsigned i = 0; i < TENANTS_AHEAD; i++)
        prefetch_tenant(ahead, i);
}

void ahead_forget(struct ahead *ahead)
{
    ahead->count = 0;
    ahead->next = 0;
    ahead->guessed = 0;
    ahead->settled = 0;
}

const struct route_entry *ahead_take(struct ahead *ahead, struct slice host)
{
    for (unsigned i = ahead->next; i < ahead->count; i++) {
        if (ahead->hosts[i].data != host.data)
            continue;
        ahead->next = i + 1;
        guess_up_to(ahead, i + 1 + GUESSES_AHEAD, i + 1 + WILDCARDS_AHEAD);
        prefetch_tenant(ahead, i + TENANTS_AHEAD);
        prefetch_answer(ahead, i + ANSWERS_AHEAD);
        return ahead->guesses[i];
    }
    return NULL;
}
