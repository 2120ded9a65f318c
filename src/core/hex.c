/* Bytes as hexadecimal digits: see core/hex.h. */
#include "core/hex.h"

void hex_print(const uint8_t *bytes, size_t size, char *text)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *text++ = DIGITS[bytes[i] >> 4];
        *text++ = DIGITS[bytes[i] & 15];
    }
    *text = '\0';
}

int hex_digit(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(struct slice text, uint8_t *bytes, size_t size)
{
    if (text.size != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        char first = text.data[2 * i], second = text.data[2 * i + 1];
        int high = hex_digit(first), low = hex_digit(second);
        if (high < 0 || low < 0 || ascii_lower(first) != first || ascii_lower(second) != second)
            return false;
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}
