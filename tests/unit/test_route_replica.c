/* route/replica: who goes where, and who moves when replicas come and go. */
#include "allocations.h"
#include "core/hash.h"
#include "core/memory.h"
#include "route/replica.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>

enum { KEYS = 20000, COUNT = 5 };

static struct replica_set *set_of(size_t count, enum replica_sticky sticky)
{
    struct replica_set *set = memory_new(sizeof(*set));
    set->sticky = sticky;
    set->fallback = STICKY_COOKIE;
    set->count = count;
    set->items = memory_new(count * sizeof(*set->items));
    for (size_t i = 0; i < count; i++) {
        struct replica *replica = &set->items[i];
        replica->upstream.host = memory_format("10.0.0.%zu", i + 1);
        replica->upstream.port = 8080;
        cr_assert(ip_parse(slice_of(replica->upstream.host), &replica->upstream.address));
        replica->health = replica_health_new();
        replica_name(replica);
    }
    return set;
}

static void set_share(struct replica_set *set, size_t index, unsigned share)
{
    atomic_store(&set->items[index].health->share, share);
}

static uint64_t key_of(size_t number)
{
    return hash_content(slice_from((const char *)&number, sizeof(number)), 7);
}

static struct replica_choice choose(const struct replica_set *set, uint64_t user, uint64_t client,
                                    const char *cookie)
{
    struct replica_choice choice = {0};
    const struct replica_question question = {
        .user = user, .client = client, .cookie = slice_of(cookie)};
    replica_choose(set, &question, &choice);
    return choice;
}

static size_t home_of(const struct replica_set *set, size_t number)
{
    struct replica_choice choice = choose(set, 0, key_of(number), NULL);
    cr_assert_not_null(choice.replica);
    return (size_t)(choice.replica - set->items);
}

static const char *cookie_of(const struct replica_set *set, size_t index)
{
    static char text[REPLICA_COOKIE_BYTES + 1];
    replica_cookie(&set->items[index], text);
    return text;
}

/* Where every key is. */
static size_t *places_of(const struct replica_set *set)
{
    size_t *places = memory_new(KEYS * sizeof(*places));
    for (size_t i = 0; i < KEYS; i++)
        places[i] = home_of(set, i);
    return places;
}

Test(replica, each_gets_its_part)
{
    struct replica_set *set = set_of(COUNT, STICKY_CLIENT);
    size_t *places = places_of(set);
    size_t count[COUNT] = {0};
    for (size_t i = 0; i < KEYS; i++)
        count[places[i]]++;
    for (size_t i = 0; i < COUNT; i++)
        cr_expect(fabs((double)count[i] - (double)KEYS / COUNT) < 0.05 * KEYS / COUNT, "%zu: %zu",
                  i, count[i]);
    free(places);
    replica_set_free(set);
}

Test(replica, a_death_moves_its_own_keys_only_and_to_everybody)
{
    struct replica_set *set = set_of(COUNT, STICKY_CLIENT);
    size_t *before = places_of(set);
    for (size_t dead = 0; dead < COUNT; dead++) {
        size_t taken[COUNT] = {0};
        set_share(set, dead, 0);
        size_t *after = places_of(set);
        for (size_t i = 0; i < KEYS; i++) {
            if (before[i] == dead)
                taken[after[i]]++;
            else
                cr_expect(eq(sz, after[i], before[i]));
        }
        cr_expect(eq(sz, taken[dead], 0));
        for (size_t i = 0; i < COUNT; i++)
            cr_expect(i == dead || taken[i] > KEYS / COUNT / COUNT / 2);
        set_share(set, dead, REPLICA_SHARE_FULL);
        free(after);
    }
    free(before);
    replica_set_free(set);
}

/* One server more or less in the file is the same as one that comes or dies. */
Test(replica, a_longer_list_moves_keys_to_the_new_one_only)
{
    struct replica_set *four = set_of(COUNT - 1, STICKY_CLIENT);
    struct replica_set *five = set_of(COUNT, STICKY_CLIENT);
    size_t *before = places_of(four);
    size_t *after = places_of(five);
    size_t moved = 0;
    for (size_t i = 0; i < KEYS; i++) {
        moved += after[i] != before[i];
        cr_expect(after[i] == before[i] || after[i] == COUNT - 1);
    }
    cr_expect(fabs((double)moved - (double)KEYS / COUNT) < 0.05 * KEYS / COUNT);
    free(before);
    free(after);
    replica_set_free(four);
    replica_set_free(five);
}

Test(replica, the_order_of_the_list_does_not_matter)
{
    struct replica_set *set = set_of(COUNT, STICKY_CLIENT);
    struct replica_set *other = set_of(COUNT, STICKY_CLIENT);
    struct replica first = other->items[0];
    other->items[0] = other->items[3];
    other->items[3] = first;
    for (size_t i = 0; i < KEYS; i++)
        cr_expect(eq(u64, choose(set, 0, key_of(i), NULL).replica->seed,
                     choose(other, 0, key_of(i), NULL).replica->seed));
    replica_set_free(set);
    replica_set_free(other);
}

/* As its share grows, a replica that came back gets its keys back one by one; none goes away again,
 * and nobody else's move. */
Test(replica, a_slow_start_brings_keys_home_once)
{
    struct replica_set *set = set_of(COUNT, STICKY_CLIENT);
    size_t *home = places_of(set);
    size_t homes = 0;
    for (size_t i = 0; i < KEYS; i++)
        homes += home[i] == 2;
    set_share(set, 2, 0);
    size_t *before = places_of(set);
    for (unsigned share = 16; share <= REPLICA_SHARE_FULL; share += 16) {
        size_t returned = 0;
        set_share(set, 2, share);
        size_t *after = places_of(set);
        for (size_t i = 0; i < KEYS; i++) {
            returned += after[i] == 2;
            if (after[i] != before[i])
                cr_expect(after[i] == 2 && home[i] == 2);
        }
        double wanted = (double)homes * share / REPLICA_SHARE_FULL;
        cr_expect(fabs((double)returned - wanted) < 0.03 * (double)homes, "%u: %zu of %zu", share,
                  returned, homes);
        free(before);
        before = after;
    }
    for (size_t i = 0; i < KEYS; i++)
        cr_expect(eq(sz, before[i], home[i]));
    free(before);
    free(home);
    replica_set_free(set);
}

Test(replica, one_that_drains_keeps_whom_its_cookie_names)
{
    struct replica_set *set = set_of(COUNT, STICKY_COOKIE);
    set->items[1].draining = true;
    for (size_t i = 0; i < 1000; i++) {
        struct replica_choice choice = choose(set, 0, key_of(i), cookie_of(set, 1));
        cr_expect(choice.replica == &set->items[1] && choice.reason == REPLICA_COOKIE);
        cr_expect_not(choice.set_cookie);
        choice = choose(set, 0, key_of(i), NULL);
        cr_expect(choice.replica != &set->items[1]);
        cr_expect(choice.set_cookie);
    }
    set_share(set, 1, 0);
    cr_expect(choose(set, 0, key_of(0), cookie_of(set, 1)).replica != &set->items[1]);
    replica_set_free(set);
}

Test(replica, users_go_by_their_id_and_stay_where_one_drains)
{
    struct replica_set *set = set_of(COUNT, STICKY_USER);
    for (size_t i = 0; i < 1000; i++) {
        struct replica_choice home = choose(set, key_of(i), 1, NULL);
        size_t index = (size_t)(home.replica - set->items);
        size_t other = (index + 1) % COUNT;
        /* Wherever they are and whatever their cookie says, which is then set right. */
        struct replica_choice choice = choose(set, key_of(i), i, cookie_of(set, other));
        cr_expect(choice.replica == home.replica && choice.set_cookie);
        choice = choose(set, key_of(i), i, cookie_of(set, index));
        cr_expect(choice.replica == home.replica && !choice.set_cookie);
        cr_expect(eq(int, (int)choice.reason, REPLICA_HOME));

        set->items[index].draining = true;
        choice = choose(set, key_of(i), i, cookie_of(set, index));
        cr_expect(choice.replica == home.replica && choice.reason == REPLICA_COOKIE);
        choice = choose(set, key_of(i), i, NULL);
        cr_expect(choice.replica != home.replica && choice.reason == REPLICA_NEXT);
        set->items[index].draining = false;
    }
    replica_set_free(set);
}

Test(replica, who_is_not_signed_in_falls_back)
{
    struct replica_set *set = set_of(COUNT, STICKY_USER);
    struct replica_choice choice = choose(set, 0, 5, cookie_of(set, 3));
    cr_expect(choice.replica == &set->items[3] && choice.reason == REPLICA_COOKIE);
    set->fallback = STICKY_CLIENT;
    for (size_t i = 0; i < 100; i++) {
        choice = choose(set, 0, key_of(i), cookie_of(set, 3));
        cr_expect(choice.replica == choose(set, key_of(i), 0, NULL).replica);
        cr_expect_not(choice.set_cookie);
    }
    replica_set_free(set);
}

Test(replica, a_cookie_may_say_anything)
{
    static const char *const COOKIES[] = {"", "1", "zzzzzzzz", "0123456", "012345678", "\xff\xff"};
    struct replica_set *set = set_of(COUNT, STICKY_COOKIE);
    for (size_t i = 0; i < COUNT_OF(COOKIES); i++) {
        struct replica_choice choice = choose(set, 0, 5, COOKIES[i]);
        cr_expect(choice.replica == choose(set, 0, 5, NULL).replica);
        cr_expect(choice.set_cookie);
    }
    replica_set_free(set);
}

Test(replica, giving_way_step_by_step)
{
    struct replica_set *set = set_of(2, STICKY_CLIENT);
    size_t home = home_of(set, 1);
    set_share(set, 1 - home, 0);
    set->items[home].draining = true;
    struct replica_choice choice = choose(set, 0, key_of(1), NULL);
    cr_expect(choice.replica == &set->items[home]);
    cr_expect_str_eq(replica_reason_name(choice.reason), "none-else-up");

    /* Checks that all fail are no reason to refuse: they may be what is wrong. */
    set->items[home].draining = false;
    set_share(set, home, 0);
    choice = choose(set, 0, key_of(1), NULL);
    cr_expect(choice.replica == &set->items[home]);
    cr_expect_str_eq(replica_reason_name(choice.reason), "none-is-up");

    set->items[home].upstream.address = (struct ip){0};
    choice = choose(set, 0, key_of(1), NULL);
    cr_expect(choice.replica == &set->items[1 - home]);
    set->items[1 - home].upstream.address = (struct ip){0};
    cr_expect_null(choose(set, 0, key_of(1), NULL).replica);
    cr_expect_not(choose(set, 0, key_of(1), NULL).set_cookie);
    replica_set_free(set);
}

/* A check that all fail is of what all have in common, and passes: who was where stays there, with
 * the cookie, and nobody new comes to one that drains. */
Test(replica, where_none_is_up_sessions_stay_and_nobody_new_comes_to_one_that_drains)
{
    struct replica_set *set = set_of(3, STICKY_COOKIE);
    for (size_t i = 0; i < 3; i++)
        set_share(set, i, 0);
    set->items[2].draining = true;
    for (size_t i = 0; i < 300; i++) {
        struct replica_choice choice = choose(set, 0, key_of(i), cookie_of(set, i % 3));
        cr_expect(choice.replica == &set->items[i % 3] && !choice.set_cookie);
        cr_expect_str_eq(replica_reason_name(choice.reason), "none-is-up");
        cr_expect(choose(set, 0, key_of(i), NULL).replica != &set->items[2]);
    }
    replica_set_free(set);
}

Test(replica, copies_share_their_health)
{
    struct replica_set *set = set_of(3, STICKY_COOKIE);
    struct replica_set *copy = replica_set_clone(set);
    cr_expect(eq(u32, set->items[0].health->references, 2));
    set_share(set, 1, 0);
    replica_set_free(set);
    cr_expect(choose(copy, 0, 1, cookie_of(copy, 1)).replica != &copy->items[1]);
    replica_set_free(copy);
}

Test(replica, choosing_allocates_nothing)
{
    struct replica_set *set = set_of(REPLICAS_MAX, STICKY_USER);
    size_t before = allocations_count();
    for (size_t i = 0; i < 1000; i++)
        (void)choose(set, key_of(i), i, "01234567");
    cr_expect(eq(sz, allocations_count(), before));
    replica_set_free(set);
}

/* What makes choosing quick changes no choice, whatever is up, drains, starts or has no address. */
Test(replica, prepared_or_not_the_choice_is_the_same)
{
    static const unsigned SHARES[] = {0, 1, 100, REPLICA_SHARE_FULL, REPLICA_SHARE_FULL};
    srandom(11);
    for (size_t round = 0; round < 400; round++) {
        struct replica_set *set =
            set_of(1 + (size_t)random() % 20, (enum replica_sticky)(round % 3));
        for (size_t i = 0; i < set->count; i++) {
            set_share(set, i, SHARES[(size_t)random() % COUNT_OF(SHARES)]);
            set->items[i].draining = random() % 6 == 0;
            if (random() % 6 == 0)
                set->items[i].upstream.address = (struct ip){0};
        }
        struct replica_set *twin = replica_set_clone(set);
        replica_set_prepare(twin);
        for (size_t number = 0; number < 40; number++) {
            const char *cookie =
                random() % 3 == 0 ? NULL : cookie_of(set, (size_t)random() % set->count);
            uint64_t user = random() % 2 == 0 ? 0 : key_of(number);
            struct replica_choice one = choose(set, user, key_of(number), cookie);
            struct replica_choice other = choose(twin, user, key_of(number), cookie);
            cr_assert(eq(int, one.replica == NULL, other.replica == NULL));
            cr_assert(eq(int, one.set_cookie, other.set_cookie));
            if (one.replica == NULL)
                continue;
            cr_assert(
                eq(sz, (size_t)(one.replica - set->items), (size_t)(other.replica - twin->items)));
            cr_assert(eq(int, one.reason, other.reason));
        }
        replica_set_free(twin);
        replica_set_free(set);
    }
}

static const struct replica *choose_in(const struct replica_set *set, uint64_t pool, size_t number,
                                       const char *cookie, bool *set_cookie)
{
    struct replica_choice choice = {0};
    const struct replica_question question = {
        .client = key_of(number), .cookie = slice_of(cookie), .pool = pool};
    replica_choose(set, &question, &choice);
    *set_cookie = choice.set_cookie;
    return choice.replica;
}

/* Whoever asks for a pool stays in it, whoever asks for none stays out, whatever is down. */
Test(replica, pools_are_apart)
{
    enum { JOBS = 1 << 3 | 1 << 4, OTHERS = 1 << 0 | 1 << 1 | 1 << 2 };
    struct replica_set *first = set_of(COUNT, STICKY_COOKIE);
    first->pools = memory_new(sizeof(*first->pools));
    first->pools[first->pool_count++] =
        (struct replica_pool){memory_copy_text(SLICE("jobs")), JOBS};
    first->pooled = JOBS;
    struct replica_set *set = replica_set_clone(first); /* a copy is as good */
    replica_set_free(first);
    replica_set_prepare(set);
    cr_expect(eq(u64, replica_set_pool(set, "jobs"), JOBS));
    cr_expect(eq(u64, replica_set_pool(set, "job"), 0));
    char cookie[REPLICA_COOKIE_BYTES + 1] = {0};
    for (unsigned down = 0; down < 1u << COUNT; down++) {
        for (size_t i = 0; i < COUNT; i++)
            set_share(set, i, down >> i & 1 ? 0 : REPLICA_SHARE_FULL);
        for (size_t number = 0; number < 50; number++) {
            bool sets_cookie;
            replica_cookie(&set->items[number % COUNT], cookie);
            ptrdiff_t in = choose_in(set, JOBS, number, cookie, &sets_cookie) - set->items;
            cr_assert(JOBS >> in & 1);
            cr_assert_not(sets_cookie);
            bool is_up = (down >> in & 1) == 0;
            cr_assert(is_up || (down & JOBS) == JOBS);
            ptrdiff_t out = choose_in(set, 0, number, cookie, &sets_cookie) - set->items;
            cr_assert(OTHERS >> out & 1);
            is_up = (down >> out & 1) == 0;
            cr_assert(is_up || (down & OTHERS) == OTHERS);
        }
    }
    replica_set_free(set);
}
