/* Decimal numbers without a sign, as protocols and files write them: digits of ASCII and nothing
 * else. Unlike strtoul(), no blanks, no locale, no NUL, and no overflow: who asks says how many
 * digits there may be. */
#pragma once

#include "core/slice.h"

/* Not every number of 20 fits. */
enum { DECIMAL_MAX_DIGITS = 19 };

/* Takes the digits off the front of the text, `most_digits` of them at most. False when there are
 * none; the number is then 0. */
bool decimal_take(struct slice *text, size_t most_digits, uint64_t *number);
/* The same for a text that is a number as a whole. */
MUST_CHECK bool decimal_parse(struct slice text, size_t most_digits, uint64_t *number);
