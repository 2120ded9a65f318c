/* The one hash of the project: see core/hash.h. */
#include "core/hash.h"

#include <stdlib.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t process_seed;

/* Before main(), so that no thread ever sees two seeds. */
__attribute__((constructor)) static void choose_seed(void)
{
    if (getrandom(&process_seed, sizeof(process_seed), GRND_NONBLOCK) != sizeof(process_seed))
        process_seed = (uint64_t)(uintptr_t)&process_seed; /* all that is random so early */
}

uint64_t hash_bytes(struct slice bytes)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, process_seed);
}

uint64_t hash_content(struct slice bytes, uint64_t previous)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, previous);
}
