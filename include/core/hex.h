/* Bytes as hexadecimal digits. */
#pragma once

#include "core/slice.h"

/* Two lower-case digits for each byte, and a NUL behind them: `text` has room for 2 * size + 1. */
void hex_print(const uint8_t *bytes, size_t size, char *text);

/* The value of one digit, in upper or lower case (unlike hex_read()); -1 when it is none. */
int hex_digit(char c);
/* As hex_print() writes them: exactly two lower-case digits for each byte. False when the text is
 * something else; `bytes` are then of no use. */
MUST_CHECK bool hex_read(struct slice text, uint8_t *bytes, size_t size);
