/* Base64url: see crypto/base64url.h. */
#include "crypto/base64url.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool base64url_append(struct bytes *text, struct slice raw)
{
    const uint8_t *in = (const uint8_t *)raw.data;
    for (size_t i = 0; i < raw.size; i += 3) {
        size_t have = size_min(raw.size - i, 3);
        uint32_t group = (uint32_t)in[i] << 16;
        if (have > 1)
            group |= (uint32_t)in[i + 1] << 8;
        if (have > 2)
            group |= in[i + 2];
        char four[4];
        for (size_t k = 0; k < 4; k++)
            four[k] = ALPHABET[group >> (18 - 6 * k) & 63];
        if (!bytes_append(text, slice_from(four, have + 1), SIZE_MAX - 1))
            return false;
    }
    return true;
}

static int value_of(char c)
{
    const char *found = c != '\0' ? strchr(ALPHABET, c) : NULL;
    return found != NULL ? (int)(found - ALPHABET) : -1;
}

bool base64url_decode(struct slice text, struct bytes *raw)
{
    if (text.size % 4 == 1)
        return false;
    for (size_t i = 0; i < text.size; i += 4) {
        size_t have = size_min(text.size - i, 4);
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int value = k < have ? value_of(text.data[i + k]) : 0;
            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        if ((have == 2 && (group & 0xffff) != 0) || (have == 3 && (group & 0xff) != 0))
            return false;
        uint8_t three[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        if (!bytes_append(raw, slice_from(three, have - 1), SIZE_MAX - 1))
            return false;
    }
    return true;
}

bool base64url_is_token(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (value_of(text.data[i]) < 0)
            return false;
    return text.size > 0;
}
