/* Blocks are taken and given back by several threads, each of which may free what another made. */
#include "core/packed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, PLACES = 64, ROUNDS = 20000, BLOCK_BYTES = 384 };

static _Atomic(uint64_t *) places[PLACES];

static void give_back(uint64_t *block)
{
    if (block == NULL)
        return;
    if (block[0] != block[BLOCK_BYTES / 8 - 1]) {
        fprintf(stderr, "race_packed: a block is in two hands\n");
        exit(1);
    }
    packed_free(block, BLOCK_BYTES);
}

static void *churn(void *argument)
{
    uint64_t number = *(const uint64_t *)argument;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t *block = packed_new(BLOCK_BYTES);
        block[0] = block[BLOCK_BYTES / 8 - 1] = number * ROUNDS + round;
        give_back(atomic_exchange(&places[(number + round * 7) % PLACES], block));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    uint64_t numbers[THREADS];
    for (uint64_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, churn, &numbers[i]) != 0)
            return EXIT_FAILURE;
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < PLACES; i++)
        give_back(atomic_exchange(&places[i], NULL));
    return EXIT_SUCCESS;
}
