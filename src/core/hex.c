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
