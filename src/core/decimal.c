/* Decimal numbers: see core/decimal.h. */
#include "core/decimal.h"

bool decimal_take(struct slice *text, size_t most_digits, uint64_t *number)
{
    size_t digits = 0;
    assert(most_digits <= DECIMAL_MAX_DIGITS);
    *number = 0;
    while (digits < most_digits && digits < text->size && ascii_is_digit(text->data[digits]))
        *number = *number * 10 + (uint64_t)(text->data[digits++] - '0');
    *text = slice_skip(*text, digits);
    return digits > 0;
}

bool decimal_parse(struct slice text, size_t most_digits, uint64_t *number)
{
    return decimal_take(&text, most_digits, number) && text.size == 0;
}
