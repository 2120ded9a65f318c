/* The user's id in the claims of a token: see agent/claim.h.
 *
 * No parser of JSON proper: one pass over a bounded text that knows strings and nesting, so that an
 * "id" inside another member's value is not taken for the user's. What it lets through that is no
 * JSON hurts nobody but its sender, who ends up at a replica that is not his. */
#include "agent/claim.h"

enum { ID_MAX_BYTES = 128 };

/* -1: none of the 64 characters. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

/* Decodes what fits; the id stands near the front. False for other characters. */
static bool decode(struct slice text, char buffer[static CLAIMS_MAX_BYTES], struct slice *decoded)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t used = 0;
    for (size_t i = 0; i < text.size && used < CLAIMS_MAX_BYTES; i++) {
        int value = digit(text.data[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count < 8)
            continue;
        bit_count -= 8;
        buffer[used++] = (char)(bits >> bit_count & 0xff);
    }
    *decoded = slice_from(buffer, used);
    return true;
}

static void skip_space(struct slice *text)
{
    while (text->size > 0 && strchr(" \t\r\n", text->data[0]) != NULL && text->data[0] != '\0')
        *text = slice_skip(*text, 1);
}

static bool take(struct slice *text, char c)
{
    skip_space(text);
    if (text->size == 0 || text->data[0] != c)
        return false;
    *text = slice_skip(*text, 1);
    return true;
}

/* Takes a string with its quotes; `inner` views what is between them. */
static bool take_string(struct slice *text, struct slice *inner)
{
    if (!take(text, '"'))
        return false;
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] == '\\') {
            i++;
        } else if (text->data[i] == '"') {
            *inner = slice_head(*text, i);
            *text = slice_skip(*text, i + 1);
            return true;
        }
    }
    return false;
}

/* Takes a value that is not looked at, up to the comma or bracket behind it. */
static bool skip_value(struct slice *text)
{
    size_t depth = 0;
    struct slice unused;
    for (;;) {
        skip_space(text);
        if (text->size == 0)
            return false;
        char c = text->data[0];
        if (c == '"') {
            if (!take_string(text, &unused))
                return false;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}'))
            return true;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        *text = slice_skip(*text, 1);
    }
}

bool claim_find_id(struct slice claims, char buffer[static CLAIMS_MAX_BYTES], struct slice *id)
{
    struct slice text, key;
    if (claims.size == 0 || !decode(claims, buffer, &text) || !take(&text, '{'))
        return false;
    do {
        if (!take_string(&text, &key) || !take(&text, ':'))
            return false;
        if (slice_equal(key, SLICE("id")))
            return take_string(&text, id) && id->size > 0 && id->size <= ID_MAX_BYTES;
        if (!skip_value(&text))
            return false;
    } while (take(&text, ','));
    return false;
}
