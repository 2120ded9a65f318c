/* Which of several replicas a request goes to: see route/replica.h. */
#include "route/replica.h"

#include "core/hash.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

const char *replica_reason_name(enum replica_reason reason)
{
    static const char *const NAMES[] = {
#define X(NAME, TEXT) [REPLICA_##NAME] = TEXT,
        REPLICA_REASON_TABLE(X)
#undef X
    };
    static_assert(COUNT_OF(NAMES) == REPLICA_REASON__MAX, "a reason has no name");
    assert(reason < REPLICA_REASON__MAX);
    return NAMES[reason];
}

const char *replica_sticky_name(enum replica_sticky sticky)
{
    static const char *const NAMES[] = {
        [STICKY_USER] = "by user", [STICKY_COOKIE] = "by cookie", [STICKY_CLIENT] = "by client"};
    assert(sticky < COUNT_OF(NAMES));
    return NAMES[sticky];
}

/* -- Health ----------------------------------------------------------------------------------- */

struct replica_health *replica_health_new(void)
{
    struct replica_health *health = memory_new(sizeof(*health));
    atomic_init(&health->share, REPLICA_SHARE_FULL);
    health->references = 1;
    return health;
}

struct replica_health *replica_health_ref(struct replica_health *health)
{
    if (health != NULL)
        health->references++;
    return health;
}

void replica_health_unref(struct replica_health *health)
{
    if (health != NULL && --health->references == 0)
        free(health);
}

/* -- Life ------------------------------------------------------------------------------------- */

/* Half of the seed, which says nothing about the address that could not be guessed anyway. */
static void write_cookie(struct replica *replica)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (unsigned i = 0; i < REPLICA_COOKIE_BYTES; i++)
        replica->cookie[i] = DIGITS[replica->seed >> (4 * i) & 15];
}

/* The name that was written, not the address that it has today: a server that moves keeps its
 * users, and every agent gives them the same home. */
void replica_name(struct replica *replica)
{
    const struct upstream *upstream = &replica->upstream;
    char *url = memory_format("%s://%s:%u", upstream->scheme == UPSTREAM_HTTP ? "http" : "https",
                              upstream->host, upstream->port);
    replica->seed = hash_content(slice_of(url), 0);
    write_cookie(replica);
    free(url);
}

bool replica_set_uses_cookie(const struct replica_set *set)
{
    return set->sticky == STICKY_COOKIE ||
           (set->sticky == STICKY_USER && set->fallback == STICKY_COOKIE);
}

bool replica_set_uses_user(const struct replica_set *set)
{
    return set->sticky == STICKY_USER;
}

uint64_t replica_set_pool(const struct replica_set *set, const char *name)
{
    for (size_t i = 0; i < set->pool_count; i++)
        if (strcmp(set->pools[i].name, name) == 0)
            return set->pools[i].mask;
    return 0;
}

struct replica_set *replica_set_clone(const struct replica_set *set)
{
    struct replica_set *copy = memory_new(sizeof(*copy));
    *copy = *set;
    copy->seeds = NULL;
    copy->pools = memory_new(set->pool_count * sizeof(*copy->pools));
    for (size_t i = 0; i < set->pool_count; i++)
        copy->pools[i] = (struct replica_pool){memory_copy_text(slice_of(set->pools[i].name)),
                                               set->pools[i].mask};
    copy->items = memory_new(set->count * sizeof(*copy->items));
    for (size_t i = 0; i < set->count; i++) {
        const struct replica *replica = &set->items[i];
        struct replica *twin = &copy->items[i];
        twin->seed = replica->seed;
        memcpy(twin->cookie, replica->cookie, sizeof(twin->cookie));
        twin->health = replica_health_ref(replica->health);
        twin->draining = replica->draining;
        upstream_copy(&replica->upstream, &twin->upstream);
    }
    return copy;
}

void replica_set_free(struct replica_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++) {
        replica_health_unref(set->items[i].health);
        upstream_fini(&set->items[i].upstream);
        free(set->items[i].prepared);
    }
    for (size_t i = 0; i < set->pool_count; i++)
        free(set->pools[i].name);
    free(set->pools);
    free(set->seeds);
    free(set->items);
    free(set);
}

/* -- Choosing --------------------------------------------------------------------------------- */

/* What is hashed, hashed once more. The high bits of a product depend on every bit of what is
 * multiplied, and `x` is made of hashes, so that these are as even as any: by 1 to 3 standard
 * deviations over 200,000 keys, as with a hash of five steps. */
static uint64_t mix(uint64_t x)
{
    return x * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio */
}

static bool has_address(const struct replica *replica)
{
    return replica->upstream.address.family != IP_NONE;
}

unsigned replica_share(const struct replica *replica)
{
    if (replica->health == NULL)
        return REPLICA_SHARE_FULL;
    return atomic_load_explicit(&replica->health->share, memory_order_relaxed);
}

/* Whether a replica that has just come back takes the key that has this score: always the same keys
 * first, so that each of them moves but once. */
static bool share_covers(unsigned share, uint64_t score)
{
    return share >= REPLICA_SHARE_FULL || mix(score) >> 56 < share;
}

/* The best of those that may be chosen at each step of giving way. */
struct ranking {
    const struct replica *home;    /* of all that are up, those that drain too */
    const struct replica *willing; /* up, takes new ones, and takes this key */
    const struct replica *any;
    const struct replica *staying; /* of any, those that do not drain */
    uint64_t home_score, willing_score, any_score, staying_score;
};

static void better(const struct replica **best, uint64_t *best_score, const struct replica *replica,
                   uint64_t score)
{
    if (*best != NULL && score <= *best_score)
        return;
    *best = replica;
    *best_score = score;
}

/* Of those that have an address, what is looked for, side by side: to find the best score of 64 is
 * to read eight cache lines instead of as many as they are. */
struct replica_seeds {
    size_t count;
    uint64_t *seeds;
    uint64_t *cookies; /* their eight characters */
    uint8_t *indices;  /* in the set */
};
static_assert(REPLICA_COOKIE_BYTES == sizeof(uint64_t), "a cookie is no word");

static uint64_t cookie_word(const char cookie[static REPLICA_COOKIE_BYTES])
{
    uint64_t word;
    memcpy(&word, cookie, sizeof(word));
    return word;
}

/* With the arrays behind it. */
static size_t seeds_size(size_t count)
{
    return sizeof(struct replica_seeds) + count * (2 * sizeof(uint64_t) + sizeof(uint8_t));
}

void replica_set_prepare(struct replica_set *set)
{
    struct replica_seeds *seeds = memory_new(seeds_size(set->count));
    free(set->seeds);
    set->seeds = seeds;
    seeds->seeds = (uint64_t *)(seeds + 1);
    seeds->cookies = seeds->seeds + set->count;
    seeds->indices = (uint8_t *)(seeds->cookies + set->count);
    for (size_t i = 0; i < set->count; i++) {
        if (!has_address(&set->items[i]))
            continue;
        seeds->seeds[seeds->count] = set->items[i].seed;
        seeds->cookies[seeds->count] = cookie_word(set->items[i].cookie);
        seeds->indices[seeds->count++] = (uint8_t)i;
    }
}

enum { INDEX_MASK = REPLICAS_MAX - 1 };
static_assert((REPLICAS_MAX & INDEX_MASK) == 0, "an index is no number of low bits");

void replica_set_prefetch(const struct replica_set *set)
{
    if (set->seeds != NULL)
        prefetch(set->seeds, seeds_size(set->count));
}

/* Where the key belongs when all is well, which is what rank() would find then; else NULL. The low
 * bits of each score make room for whose it is, so that the best of them is all there is to keep.
 */
static const struct replica *find_home(const struct replica_set *set, uint64_t key)
{
    const struct replica_seeds *seeds = set->seeds;
    uint64_t best = 0;
    if (seeds == NULL || seeds->count == 0)
        return NULL;
    for (size_t i = 0; i < seeds->count; i++) {
        uint64_t score = (mix(key ^ seeds->seeds[i]) & ~(uint64_t)INDEX_MASK) | i;
        best = score > best ? score : best;
    }
    const struct replica *home = &set->items[seeds->indices[best & INDEX_MASK]];
    return !home->draining && replica_share(home) >= REPLICA_SHARE_FULL ? home : NULL;
}

static bool is_in(uint64_t mask, size_t index)
{
    return mask >> index & 1;
}

SELDOM static void rank(const struct replica_set *set, uint64_t mask, uint64_t key,
                        struct ranking *ranking)
{
    *ranking = (struct ranking){0};
    for (size_t i = 0; i < set->count; i++) {
        const struct replica *replica = &set->items[i];
        uint64_t score = mix(key ^ replica->seed);
        unsigned share = replica_share(replica);
        if (!is_in(mask, i) || !has_address(replica))
            continue;
        better(&ranking->any, &ranking->any_score, replica, score);
        if (!replica->draining)
            better(&ranking->staying, &ranking->staying_score, replica, score);
        if (share == 0)
            continue;
        better(&ranking->home, &ranking->home_score, replica, score);
        if (!replica->draining && share_covers(share, score))
            better(&ranking->willing, &ranking->willing_score, replica, score);
    }
}

static bool is_named(const struct replica *replica, struct slice cookie)
{
    return cookie.size == REPLICA_COOKIE_BYTES &&
           cookie_word(replica->cookie) == cookie_word(cookie.data);
}

/* The replica that the cookie names, among those of the mask: whatever its health is, or up. */
static const struct replica *find_cookie(const struct replica_set *set, uint64_t mask,
                                         struct slice cookie,
                                         bool (*may_be)(const struct replica *))
{
    for (size_t i = 0; i < set->count; i++)
        if (is_in(mask, i) && is_named(&set->items[i], cookie) && may_be(&set->items[i]))
            return &set->items[i];
    return NULL;
}

static bool may_be_named(const struct replica *replica)
{
    return has_address(replica) && replica_share(replica) > 0;
}

/* The replica that the cookie names, while that is up. */
static const struct replica *find_named(const struct replica_set *set, uint64_t mask,
                                        struct slice cookie)
{
    if (cookie.size != REPLICA_COOKIE_BYTES)
        return NULL;
    if (set->seeds != NULL && mask == UINT64_MAX) {
        const struct replica_seeds *seeds = set->seeds;
        uint64_t word = cookie_word(cookie.data);
        size_t found = seeds->count;
        for (size_t i = seeds->count; i > 0; i--) /* without a branch: any of them is as likely */
            found = seeds->cookies[i - 1] == word ? i - 1 : found;
        if (found == seeds->count)
            return NULL;
        const struct replica *named = &set->items[seeds->indices[found]];
        if (may_be_named(named))
            return named;
    }
    return find_cookie(set, mask, cookie, may_be_named);
}

static void choose(struct replica_choice *choice, const struct replica *replica,
                   enum replica_reason reason)
{
    choice->replica = replica;
    choice->reason = reason;
}

/* What marks all as down is as a rule what all have in common, and passes: sessions are to be found
 * where they were. */
static const struct replica *among_none_up(const struct replica_set *set, uint64_t mask,
                                           struct slice cookie, const struct ranking *ranking)
{
    const struct replica *named = find_cookie(set, mask, cookie, has_address);
    if (named != NULL)
        return named;
    return ranking->staying != NULL ? ranking->staying : ranking->any;
}

static void choose_by_key(const struct replica_set *set, uint64_t mask, uint64_t key,
                          struct slice cookie, struct replica_choice *choice)
{
    struct ranking ranking;
    const struct replica *home = mask == UINT64_MAX ? find_home(set, key) : NULL;
    if (home != NULL) {
        choose(choice, home, REPLICA_HOME);
        return;
    }
    rank(set, mask, key, &ranking);
    /* A session that began before the draining did. */
    if (ranking.home != NULL && ranking.home->draining && is_named(ranking.home, cookie))
        choose(choice, ranking.home, REPLICA_COOKIE);
    else if (ranking.willing != NULL)
        choose(choice, ranking.willing,
               ranking.willing == ranking.any ? REPLICA_HOME : REPLICA_NEXT);
    else if (ranking.home != NULL)
        choose(choice, ranking.home, REPLICA_LAST);
    else
        choose(choice, among_none_up(set, mask, cookie, &ranking), REPLICA_NONE_UP);
}

void replica_choose(const struct replica_set *set, const struct replica_question *question,
                    struct replica_choice *choice)
{
    bool uses_cookie = replica_set_uses_cookie(set);
    const struct slice cookie = uses_cookie ? question->cookie : (struct slice){0};
    uint64_t mask = question->pool != 0 ? question->pool : ~set->pooled;
    bool by_user = set->sticky == STICKY_USER && question->user != 0;
    const struct replica *named = by_user ? NULL : find_named(set, mask, cookie);
    if (named != NULL)
        choose(choice, named, REPLICA_COOKIE);
    else
        choose_by_key(set, mask, by_user ? question->user : question->client, cookie, choice);
    if (question->is_new && !by_user && choice->reason == REPLICA_HOME)
        choice->reason = REPLICA_NEW;
    choice->set_cookie = uses_cookie && question->pool == 0 && choice->replica != NULL &&
                         !is_named(choice->replica, cookie);
}

void replica_cookie(const struct replica *replica, char text[static REPLICA_COOKIE_BYTES])
{
    memcpy(text, replica->cookie, sizeof(replica->cookie));
}
