/* What a cache line costs that lies somewhere in much memory: the least that many tenants can cost,
 * however they are looked up.
 *
 *     bench_memory [MEGABYTES...]      default: 1 16 64 256 1024
 *
 * In huge pages where the kernel has them, as core/packed.h asks for them: bursts of 20 places
 * chosen at random, of one line or two adjacent ones each. All of a burst are asked for before the
 * first is read, so that the processor waits for as many at a time as it can. Told are the fastest
 * of several rounds, without what choosing the places takes: ns per place; and, alone, for a place
 * that is chosen by what the one before it holds.
 */
#include "core/clock.h"
#include "core/packed.h"

#include <stdio.h>
#include <stdlib.h>

enum { BURST = 20, BURSTS = 20000, ROUNDS = 7, MEGABYTE = 1024 * 1024, ADJACENT_MAX = 2 };

struct memory {
    uint8_t *bytes;
    size_t lines;
};

static uint64_t random_state = 88172645463325252ULL;
static uint64_t sum; /* of what was read, so that it is */

static size_t next_place(const struct memory *memory)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(((random_state >> 32) * (memory->lines - ADJACENT_MAX)) >> 32);
}

static void choose(const struct memory *memory)
{
    for (unsigned i = 0; i < BURSTS * BURST; i++)
        sum += next_place(memory);
}

static void read_bursts(const struct memory *memory, unsigned adjacent)
{
    for (unsigned burst = 0; burst < BURSTS; burst++) {
        const uint8_t *places[BURST];
        for (unsigned i = 0; i < BURST; i++) {
            places[i] = memory->bytes + next_place(memory) * CACHE_LINE_BYTES;
            prefetch(places[i], adjacent * CACHE_LINE_BYTES);
        }
        for (unsigned i = 0; i < BURST; i++)
            for (unsigned line = 0; line < adjacent; line++)
                sum += places[i][line * CACHE_LINE_BYTES];
    }
}

static void read_one(const struct memory *memory)
{
    read_bursts(memory, 1);
}

static void read_two(const struct memory *memory)
{
    read_bursts(memory, ADJACENT_MAX);
}

/* What is held is 0, which the compiler does not know. */
static void read_in_a_chain(const struct memory *memory)
{
    size_t held = 0;
    for (unsigned i = 0; i < BURSTS * BURST; i++)
        held = memory->bytes[(next_place(memory) + held) * CACHE_LINE_BYTES];
    sum += held;
}

static double fastest_ns(void (*work)(const struct memory *memory), const struct memory *memory)
{
    int64_t least = INT64_MAX;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t start_ns = clock_mono_ns();
        work(memory);
        int64_t taken_ns = clock_mono_ns() - start_ns;
        least = taken_ns < least ? taken_ns : least;
    }
    return (double)least / (BURSTS * BURST);
}

static void measure(unsigned megabytes)
{
    size_t lines = (size_t)megabytes * MEGABYTE / CACHE_LINE_BYTES;
    struct memory memory = {packed_array_new(lines, CACHE_LINE_BYTES), lines};
    for (size_t i = 0; i < lines; i++) /* a page that nobody has written to is not there */
        *(volatile uint8_t *)&memory.bytes[i * CACHE_LINE_BYTES] = 0;
    double choosing_ns = fastest_ns(choose, &memory);
    printf("%8u MB: %5.1f ns per place, %5.1f of two lines, %6.1f in a chain\n", megabytes,
           fastest_ns(read_one, &memory) - choosing_ns, fastest_ns(read_two, &memory) - choosing_ns,
           fastest_ns(read_in_a_chain, &memory) - choosing_ns);
    packed_array_free(memory.bytes, lines, CACHE_LINE_BYTES);
}

int main(int count, char **arguments)
{
    static const unsigned DEFAULTS[] = {1, 16, 64, 256, 1024};
    for (int i = 1; i < count; i++)
        measure((unsigned)atoi(arguments[i]));
    for (size_t i = 0; count == 1 && i < COUNT_OF(DEFAULTS); i++)
        measure(DEFAULTS[i]);
    return sum == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
