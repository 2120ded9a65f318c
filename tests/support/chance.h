/* Numbers that look like chance, for what is changed and made up: the same for the same state,
 * everywhere. */
#pragma once

#include "core/base.h"

/* xorshift64* (Vigna). The state may be anything but 0. */
static inline uint32_t chance_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}
