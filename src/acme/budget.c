/* Token buckets: see acme/budget.h.
 *
 * A bucket is one number: when it will be full again. It is full when that time has passed, and
 * lacks one token for every refill time that it lies ahead (the "virtual scheduling" form of a
 * leaky bucket). Full ones are dropped, so the table holds what was used lately.
 */
#include "acme/budget.h"

#include "core/hash.h"
#include "core/memory.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLOTS_MIN = 64, TAKEN_MAX = 128, TURN_MAX_MS = 3600 * 1000 };

static const struct {
    int64_t tokens;
    int64_t refill_ms;
    const char *text;
} KINDS[] = {
#define X(NAME, TOKENS, REFILL_S, TEXT) \
    [BUDGET_##NAME] = {(TOKENS), (REFILL_S)*1000LL, "the CA's limit of " TEXT " is used up"},
    BUDGET_TABLE(X)
#undef X
};
static_assert(COUNT_OF(KINDS) == BUDGET__MAX, "a kind has no row");

struct bucket {
    uint64_t key; /* 0: the slot is free */
    enum budget_kind kind;
    int64_t full_mono_ms;
};

/* Open addressing; at most half of the slots are used. */
struct budget {
    struct bucket *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    enum budget_kind held_by; /* what the last order that had to wait waits for longest */
    int64_t next_turn_mono_ms;
};

struct budget *budget_new(void)
{
    struct budget *budget = memory_new(sizeof(*budget));
    budget->slot_count = SLOTS_MIN;
    budget->slots = memory_new(SLOTS_MIN * sizeof(*budget->slots));
    return budget;
}

void budget_free(struct budget *budget)
{
    if (budget == NULL)
        return;
    free(budget->slots);
    free(budget);
}

size_t budget_size(const struct budget *budget)
{
    return budget->used;
}

/* The same in every process, because keys are saved. */
static uint64_t key_of(enum budget_kind kind, struct slice text)
{
    uint64_t key = hash_content(text, (uint64_t)kind + 1);
    return key != 0 ? key : 1;
}

static struct bucket *slot_of(const struct budget *budget, uint64_t key)
{
    size_t mask = budget->slot_count - 1;
    size_t at = key & mask;
    while (budget->slots[at].key != 0 && budget->slots[at].key != key)
        at = (at + 1) & mask;
    return &budget->slots[at];
}

/* Builds the table anew without what has filled up. */
static void rebuild(struct budget *budget, int64_t mono_ms)
{
    struct bucket *old = budget->slots;
    size_t old_count = budget->slot_count, kept = 0;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].key != 0 && old[i].full_mono_ms > mono_ms)
            kept++;
    budget->slot_count = SLOTS_MIN;
    while (budget->slot_count < 4 * (kept + 1))
        budget->slot_count *= 2;
    budget->slots = memory_new(budget->slot_count * sizeof(*budget->slots));
    budget->used = kept;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].key != 0 && old[i].full_mono_ms > mono_ms)
            *slot_of(budget, old[i].key) = old[i];
    free(old);
}

static void set_bucket(struct budget *budget, enum budget_kind kind, uint64_t key,
                       int64_t full_mono_ms, int64_t mono_ms)
{
    if (2 * (budget->used + 1) > budget->slot_count)
        rebuild(budget, mono_ms);
    struct bucket *bucket = slot_of(budget, key);
    if (bucket->key == 0)
        budget->used++;
    *bucket = (struct bucket){.key = key, .kind = kind, .full_mono_ms = full_mono_ms};
}

static int64_t full_at(const struct budget *budget, uint64_t key, int64_t mono_ms)
{
    const struct bucket *bucket = slot_of(budget, key);
    return bucket->key != 0 && bucket->full_mono_ms > mono_ms ? bucket->full_mono_ms : mono_ms;
}

/* How long until one token is there. */
static int64_t wait_ms(const struct budget *budget, enum budget_kind kind, uint64_t key,
                       int64_t mono_ms)
{
    int64_t lacking_ms = full_at(budget, key, mono_ms) - mono_ms;
    int64_t excess_ms = lacking_ms - (KINDS[kind].tokens - 1) * KINDS[kind].refill_ms;
    return excess_ms > 0 ? excess_ms : 0;
}

static void take(struct budget *budget, enum budget_kind kind, uint64_t key, int64_t mono_ms)
{
    int64_t full_mono_ms = full_at(budget, key, mono_ms) + KINDS[kind].refill_ms;
    set_bucket(budget, kind, key, full_mono_ms, mono_ms);
}

/* What one order takes tokens from. */
struct taken {
    enum budget_kind kind;
    uint64_t key;
};

struct takings {
    struct taken list[TAKEN_MAX];
    size_t count;
    int64_t wait_ms;          /* the longest of all, */
    enum budget_kind held_by; /* and whose it is */
};

static void wait_for(struct takings *takings, enum budget_kind kind, int64_t own_ms)
{
    if (own_ms <= takings->wait_ms)
        return;
    takings->wait_ms = own_ms;
    takings->held_by = kind;
}

static void want(const struct budget *budget, struct takings *takings, enum budget_kind kind,
                 struct slice text, int64_t mono_ms)
{
    uint64_t key = key_of(kind, text);
    for (size_t i = 0; i < takings->count; i++)
        if (takings->list[i].key == key)
            return; /* names of one registered domain count once */
    if (takings->count == TAKEN_MAX)
        return;
    takings->list[takings->count++] = (struct taken){kind, key};
    wait_for(takings, kind, wait_ms(budget, kind, key, mono_ms));
}

/* The set is the same in whatever order its names come. */
static uint64_t hash_set(const char *const *names, size_t count)
{
    const char **sorted = memory_new(count * sizeof(*sorted) + 1);
    uint64_t hash = 0;
    if (count > 0)
        memcpy(sorted, names, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), memory_compare_texts);
    for (size_t i = 0; i < count; i++)
        hash = hash_content(slice_of(sorted[i]), hash);
    free(sorted);
    return hash;
}

/* What is counted when a certificate is issued. */
static void want_certificate(const struct budget *budget, struct takings *takings,
                             enum budget_order order, const char *const *names, size_t name_count,
                             int64_t mono_ms)
{
    uint64_t set = hash_set(names, name_count);
    if (order != BUDGET_IN_WINDOW)
        want(budget, takings, BUDGET_SET, slice_from(&set, sizeof(set)), mono_ms);
    for (size_t i = 0; order == BUDGET_NEW_NAMES && i < name_count; i++) {
        char domain[ACME_NAME_SIZE];
        registered_domain(names[i], domain);
        want(budget, takings, BUDGET_DOMAIN, slice_of(domain), mono_ms);
    }
}

static void want_order(const struct budget *budget, struct takings *takings,
                       enum budget_order order, const char *const *names, size_t name_count,
                       int64_t mono_ms)
{
    /* Failing names are never exempt: they only hold back, a failure takes the token. */
    for (size_t i = 0; i < name_count; i++) {
        uint64_t key = key_of(BUDGET_FAILURES, slice_of(names[i]));
        wait_for(takings, BUDGET_FAILURES, wait_ms(budget, BUDGET_FAILURES, key, mono_ms));
    }
    if (order == BUDGET_NEW_NAMES)
        want(budget, takings, BUDGET_ORDERS, SLICE(""), mono_ms);
    want_certificate(budget, takings, order, names, name_count, mono_ms);
}

static int64_t wait_of(struct budget *budget, const struct takings *takings)
{
    if (takings->wait_ms > 0)
        budget->held_by = takings->held_by;
    return takings->wait_ms;
}

int64_t budget_order_wait_ms(struct budget *budget, enum budget_order order,
                             const char *const *names, size_t name_count, int64_t mono_ms)
{
    struct takings takings = {.wait_ms = 0};
    want_order(budget, &takings, order, names, name_count, mono_ms);
    return wait_of(budget, &takings);
}

int64_t budget_take_order_ms(struct budget *budget, enum budget_order order,
                             const char *const *names, size_t name_count, int64_t mono_ms)
{
    struct takings takings = {.wait_ms = 0};
    want_order(budget, &takings, order, names, name_count, mono_ms);
    if (takings.wait_ms > 0)
        return wait_of(budget, &takings);
    for (size_t i = 0; i < takings.count; i++)
        take(budget, takings.list[i].kind, takings.list[i].key, mono_ms);
    return 0;
}

void budget_give_back(struct budget *budget, enum budget_order order, const char *const *names,
                      size_t name_count, int64_t mono_ms)
{
    struct takings takings = {.wait_ms = 0};
    want_certificate(budget, &takings, order, names, name_count, mono_ms);
    for (size_t i = 0; i < takings.count; i++) {
        const struct taken *one = &takings.list[i];
        int64_t full_mono_ms = full_at(budget, one->key, mono_ms) - KINDS[one->kind].refill_ms;
        if (full_mono_ms < mono_ms) /* full, however long ago */
            full_mono_ms = mono_ms;
        set_bucket(budget, one->kind, one->key, full_mono_ms, mono_ms);
    }
}

/* Those of the next hour alone: who has a turn may be wanted no more by then, or ask before. */
int64_t budget_turn_ms(struct budget *budget, int64_t wait_ms, int64_t mono_ms)
{
    int64_t turn_mono_ms = mono_ms + wait_ms;
    if (budget->held_by != BUDGET_ORDERS)
        return wait_ms;
    if (turn_mono_ms < budget->next_turn_mono_ms)
        turn_mono_ms = budget->next_turn_mono_ms;
    if (turn_mono_ms - mono_ms > TURN_MAX_MS)
        return TURN_MAX_MS;
    budget->next_turn_mono_ms = turn_mono_ms + KINDS[BUDGET_ORDERS].refill_ms;
    return turn_mono_ms - mono_ms;
}

const char *budget_reason(const struct budget *budget)
{
    return KINDS[budget->held_by].text;
}

void budget_note_failure(struct budget *budget, const char *name, int64_t mono_ms)
{
    take(budget, BUDGET_FAILURES, key_of(BUDGET_FAILURES, slice_of(name)), mono_ms);
}

int64_t budget_take_account_ms(struct budget *budget, int64_t mono_ms)
{
    uint64_t key = key_of(BUDGET_ACCOUNTS, SLICE(""));
    int64_t wait = wait_ms(budget, BUDGET_ACCOUNTS, key, mono_ms);
    if (wait == 0)
        take(budget, BUDGET_ACCOUNTS, key, mono_ms);
    return wait;
}

struct json *budget_save(struct budget *budget, const struct schedule_now *now)
{
    struct json *saved = json_new_object(), *buckets = json_new_object();
    rebuild(budget, now->mono_ms);
    json_put_integer(saved, "saved_s", now->wall_s);
    for (size_t i = 0; i < budget->slot_count; i++) {
        const struct bucket *bucket = &budget->slots[i];
        char name[40];
        if (bucket->key == 0)
            continue;
        snprintf(name, sizeof(name), "%d-%016llx", (int)bucket->kind,
                 (unsigned long long)bucket->key);
        json_put_integer(buckets, name, (bucket->full_mono_ms - now->mono_ms + 999) / 1000);
    }
    json_put(saved, "full_in_s", buckets);
    return saved;
}

static void load_bucket(struct budget *budget, const struct json_member *member, int64_t passed_s,
                        const struct schedule_now *now)
{
    int kind, end = 0;
    unsigned long long key;
    int64_t full_in_s;
    char name[40] = "";
    if (member->key.size >= sizeof(name) || !json_read_integer(member->value, &full_in_s))
        return;
    memcpy(name, member->key.data, member->key.size);
    if (sscanf(name, "%2d-%16llx%n", &kind, &key, &end) != 2 || name[end] != '\0' || kind < 0 ||
        kind >= BUDGET__MAX || key == 0)
        return;
    int64_t most_ms = KINDS[kind].tokens * KINDS[kind].refill_ms;
    if (full_in_s <= passed_s || full_in_s > 2 * (most_ms / 1000))
        return;
    set_bucket(budget, (enum budget_kind)kind, key, now->mono_ms + (full_in_s - passed_s) * 1000,
               now->mono_ms);
}

void budget_load(struct budget *budget, const struct json *saved, const struct schedule_now *now)
{
    int64_t saved_s = now->wall_s;
    if (!json_read_integer(json_get(saved, "saved_s"), &saved_s) || saved_s > now->wall_s ||
        saved_s < 0)
        saved_s = now->wall_s; /* the clock went back: nothing has passed */
    for (struct json_member m = {0}; json_next(json_get(saved, "full_in_s"), &m);)
        load_bucket(budget, &m, now->wall_s - saved_s, now);
}
