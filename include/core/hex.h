/* Bytes as hexadecimal digits. */
#pragma once

#include "core/base.h"

/* Two lower-case digits for each byte, and a NUL behind them: `text` has room for 2 * size + 1. */
void hex_print(const uint8_t *bytes, size_t size, char *text);
