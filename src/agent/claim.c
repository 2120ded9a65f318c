/* The user's id in the claims of a token: see agent/claim.h.
 *
 * No parser of JSON proper: one pass over a bounded text that knows strings and nesting, so that an
 * "id" inside another member's value is not taken for the user's. What it lets through that is no
 * JSON hurts nobody but its sender, who ends up at a replica that is not his.
 *
 * Open WebUI begins its claims with {"id":" and a UUID, whose digits therefore always stand at the
 * same place: such a user is told by these digits, without any decoding. */
#include "agent/claim.h"

#include "core/hash.h"

enum {
    ID_MAX_BYTES = 128,
    HEAD_DIGITS = 64, /* Open WebUI writes the id first, 36 bytes: so many show it */
    IS_DIGIT = 64,
    UUID_BYTES = 36,
    UUID_FROM = 8,    /* the digits of {"id": */
    UUID_DIGITS = 50, /* of a quote, the id and half of a quote */
};

static const uint8_t DIGITS[256] = {
    ['A'] = 64,  ['B'] = 65,  ['C'] = 66,  ['D'] = 67,  ['E'] = 68,  ['F'] = 69,  ['G'] = 70,
    ['H'] = 71,  ['I'] = 72,  ['J'] = 73,  ['K'] = 74,  ['L'] = 75,  ['M'] = 76,  ['N'] = 77,
    ['O'] = 78,  ['P'] = 79,  ['Q'] = 80,  ['R'] = 81,  ['S'] = 82,  ['T'] = 83,  ['U'] = 84,
    ['V'] = 85,  ['W'] = 86,  ['X'] = 87,  ['Y'] = 88,  ['Z'] = 89,  ['a'] = 90,  ['b'] = 91,
    ['c'] = 92,  ['d'] = 93,  ['e'] = 94,  ['f'] = 95,  ['g'] = 96,  ['h'] = 97,  ['i'] = 98,
    ['j'] = 99,  ['k'] = 100, ['l'] = 101, ['m'] = 102, ['n'] = 103, ['o'] = 104, ['p'] = 105,
    ['q'] = 106, ['r'] = 107, ['s'] = 108, ['t'] = 109, ['u'] = 110, ['v'] = 111, ['w'] = 112,
    ['x'] = 113, ['y'] = 114, ['z'] = 115, ['0'] = 116, ['1'] = 117, ['2'] = 118, ['3'] = 119,
    ['4'] = 120, ['5'] = 121, ['6'] = 122, ['7'] = 123, ['8'] = 124, ['9'] = 125, ['-'] = 126,
    ['_'] = 127,
};

static unsigned value_of(char digit)
{
    return DIGITS[(uint8_t)digit] & 63;
}

/* The four characters' 24 bits; IS_DIGIT is in `*all` as long as all were digits. */
static uint32_t decode_group(const uint8_t text[static 4], unsigned *all)
{
    uint32_t a = DIGITS[text[0]], b = DIGITS[text[1]], c = DIGITS[text[2]], d = DIGITS[text[3]];
    *all &= a & b & c & d;
    return (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);
}

/* Decodes what fits. False for other characters than the 64. */
static bool decode(struct slice text, char buffer[static CLAIMS_MAX_BYTES], struct slice *decoded)
{
    const uint8_t *in = (const uint8_t *)text.data;
    unsigned all = IS_DIGIT;
    size_t left = size_min(text.size, CLAIMS_MAX_BYTES / 3 * 4);
    char *out = buffer;
    for (; left >= 4; left -= 4, in += 4, out += 3) {
        uint32_t bits = decode_group(in, &all);
        out[0] = (char)(bits >> 16);
        out[1] = (char)(bits >> 8 & 0xff);
        out[2] = (char)(bits & 0xff);
    }
    if (left > 1) {
        uint8_t last[4] = {in[0], in[1], left > 2 ? in[2] : 'A', 'A'};
        uint32_t bits = decode_group(last, &all);
        *out++ = (char)(bits >> 16);
        if (left > 2)
            *out++ = (char)(bits >> 8 & 0xff);
    } else if (left == 1) {
        all &= DIGITS[in[0]];
    }
    *decoded = slice_from(buffer, (size_t)(out - buffer));
    return (all & IS_DIGIT) != 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct slice *text)
{
    while (text->size > 0 && is_space(text->data[0]))
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

/* The quote that ends the string at whose inside `text` begins; NULL when it does not end. */
static const char *find_quote(struct slice text)
{
    const char *from = text.data;
    const char *end = text.data + text.size;
    for (;;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        if (quote == NULL)
            return NULL;
        const char *backslash = memchr(from, '\\', (size_t)(quote - from));
        if (backslash == NULL)
            return quote;
        if (end - backslash < 2)
            return NULL;
        from = backslash + 2;
    }
}

/* Takes a string with its quotes; `inner` views what is between them. */
static bool take_string(struct slice *text, struct slice *inner)
{
    if (!take(text, '"'))
        return false;
    const char *quote = text->size > 0 ? find_quote(*text) : NULL;
    if (quote == NULL)
        return false;
    *inner = slice_head(*text, (size_t)(quote - text->data));
    *text = slice_skip(*text, inner->size + 1);
    return true;
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

static bool find_id(struct slice text, struct slice *id)
{
    struct slice key;
    if (!take(&text, '{'))
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

struct slice claim_part(struct slice token)
{
    (void)slice_cut(&token, '.'); /* the header */
    return slice_before(token, '.');
}

/* What is found in the beginning is what would be found in the whole. */
bool claim_find_id(struct slice claims, char buffer[static CLAIMS_MAX_BYTES], struct slice *id)
{
    struct slice text;
    if (claims.size == 0)
        return false;
    if (claims.size > HEAD_DIGITS && decode(slice_head(claims, HEAD_DIGITS), buffer, &text) &&
        find_id(text, id))
        return true;
    return decode(claims, buffer, &text) && find_id(text, id);
}

/* -- The user --------------------------------------------------------------------------------- */

/* Whether these are digits of "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" with its quotes: of which the
 * quotes are looked at, and the digits that are all a dash's. */
static bool is_uuid(const char digits[static UUID_DIGITS + 1])
{
    return digits[12] == 'L' && digits[19] == 't' && digits[32] == 'L' && /* bytes 9, 14 and 24 */
           digits[0] == 'I' && value_of(digits[1]) >> 4 == 2 &&           /* the first quote */
           (value_of(digits[49]) & 15) == 2 && value_of(digits[50]) >> 2 == 2; /* the last one */
}

/* The digits that Open WebUI's claims have of this id. */
static void encode_uuid(struct slice id, char digits[static UUID_DIGITS + 1])
{
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char text[39] = "\""; /* thirteen groups of three bytes */
    memcpy(text + 1, id.data, UUID_BYTES);
    text[1 + UUID_BYTES] = '"';
    for (size_t i = 0; i <= UUID_DIGITS; i++) {
        size_t from = i * 6 / 8;
        unsigned bits = (unsigned)(uint8_t)text[from] << 8 | (uint8_t)text[from + 1];
        digits[i] = ALPHABET[bits >> (10 - i * 6 % 8) & 63];
    }
}

static uint64_t hash_user(struct slice text)
{
    return hash_content(text, 0) | 1;
}

/* As the digits of a UUID are hashed, where it is one. */
SELDOM static uint64_t find_user(struct slice claims)
{
    char buffer[CLAIMS_MAX_BYTES], digits[UUID_DIGITS + 1];
    struct slice id;
    if (!claim_find_id(claims, buffer, &id))
        return 0;
    if (id.size != UUID_BYTES)
        return hash_user(id);
    encode_uuid(id, digits);
    return hash_user(is_uuid(digits) ? slice_from(digits, UUID_DIGITS) : id);
}

uint64_t claim_user(struct slice claims)
{
    static const char HEAD[] = "eyJpZCI6"; /* {"id": */
    if (claims.size > UUID_FROM + UUID_DIGITS && memcmp(claims.data, HEAD, UUID_FROM) == 0 &&
        is_uuid(claims.data + UUID_FROM))
        return hash_user(slice_from(claims.data + UUID_FROM, UUID_DIGITS));
    return find_user(claims);
}
