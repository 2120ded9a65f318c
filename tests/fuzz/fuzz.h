/* What libFuzzer calls in a target, and what it offers to a mutator. */
#pragma once

#include "core/slice.h"

/* Runs the code under test on one input. Ends the program on a finding. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Optional: changes `data` in place and returns its new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* The mutator of libFuzzer; of support/replay_main.c where that is not there. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Ends the program, in every build, when `CONDITION` is false. */
#define FUZZ_REQUIRE(CONDITION) \
    ((CONDITION) ? (void)0 : fuzz_finding(#CONDITION, __FILE__, __LINE__))

_Noreturn void fuzz_finding(const char *condition, const char *file, int line);
