/* The normal form of a path: see route/path.h.
 *
 * Most paths are in normal form already, so a first pass only looks for bytes and pairs that could
 * make a difference; the second, careful one runs when it found some. The hexadecimal case of what
 * stays encoded is left as it is: no rule can tell, and a long path in lower case would otherwise
 * have to be refused because its change does not fit the ACK.
 */
#include "route/path.h"

#include "core/hex.h"

struct rewrite {
    char *buffer;
    size_t used; /* counts on when the buffer is full, so that a refusal is still found */
    bool changed;
};

static void put(struct rewrite *out, char c)
{
    if (out->used < PATH_CHANGED_MAX_BYTES)
        out->buffer[out->used] = c;
    out->used++;
}

/* The byte that "%xx" at the start of `text` stands for, or -1. */
static int decode(struct slice text)
{
    if (text.size < 3 || text.data[0] != '%')
        return -1;
    int high = hex_digit(text.data[1]);
    int low = hex_digit(text.data[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_unreserved(int c)
{
    return ascii_is_alphanumeric((char)c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* What some parser takes for a separator or an end once it has decoded it: NUL ends a string in C,
 * and "$", with which Starlette's routes end, matches before a newline. No name has such
 * characters, but for a slash: see slash_bytes. */
static bool is_separator(int c)
{
    return c == '/' || c == '\\' || (c >= 0 && c < ' ') || c == 0x7f;
}

/* Takes one character, plain or encoded; -1 at the end. */
static int take_char(struct slice *text)
{
    if (text->size == 0)
        return -1;
    int c = decode(*text);
    size_t size = c >= 0 ? 3 : 1;
    if (c < 0)
        c = (uint8_t)text->data[0];
    *text = slice_skip(*text, size);
    return c;
}

/* `text` follows a "%25": whether a parser that decodes twice, or more often, gets a separator or a
 * dot out of it. The digits may be encoded themselves: %25%32%46. */
static bool is_encoded_twice(struct slice text)
{
    for (;;) {
        int high = hex_digit((char)take_char(&text)); /* the end, -1, is no digit either */
        int low = hex_digit((char)take_char(&text));
        if (high < 0 || low < 0)
            return false;
        int c = high * 16 + low;
        if (c != '%')
            return is_separator(c) || c == '.';
    }
}

/* UTF-8 that spells an ASCII character, or another short one, with too many bytes; a lax decoder
 * makes a slash of %C0%AF. `text` follows the encoded `first`. */
static bool is_overlong(int first, struct slice text)
{
    int second = decode(text);
    return first == 0xc0 || first == 0xc1 || (first == 0xe0 && second >= 0x80 && second < 0xa0) ||
           (first == 0xf0 && second >= 0x80 && second < 0x90);
}

/* Takes one "%xx" from the start of `text`. */
static enum refusal take_encoded(struct slice text, struct rewrite *out)
{
    int c = decode(text);
    struct slice after = slice_skip(text, c >= 0 ? 3 : 0);

    if (c < 0 || is_separator(c) || (c == '%' && is_encoded_twice(after)) || is_overlong(c, after))
        return REFUSAL_PATH_ENCODING;
    if (is_unreserved(c)) {
        put(out, (char)c);
        out->changed = true;
        return REFUSAL_NONE;
    }
    for (size_t i = 0; i < 3; i++)
        put(out, text.data[i]);
    return REFUSAL_NONE;
}

/* How many dots a segment is made of, plain or encoded, when it is "." or ".." to some parser;
 * else 0. Servlet containers cut ";parameters" off before they look for dots. */
static unsigned count_dots(struct slice segment, bool *encoded)
{
    unsigned dots = 0;
    *encoded = false;
    while (segment.size > 0 && segment.data[0] != ';') {
        bool escaped = decode(segment) == '.';
        if (!escaped && segment.data[0] != '.')
            return 0;
        *encoded |= escaped;
        segment = slice_skip(segment, escaped ? 3 : 1);
        dots++;
    }
    return dots <= 2 ? dots : 0;
}

/* Takes a segment without its slashes; a plain "." vanishes. */
static enum refusal take_segment(struct slice segment, struct rewrite *out)
{
    bool encoded;
    unsigned dots = count_dots(segment, &encoded);
    if (dots > 0 && encoded)
        return REFUSAL_PATH_ENCODING;
    if (dots > 0 && segment.size > 1)
        return REFUSAL_PATH_TRAVERSAL;
    if (dots == 1) {
        out->changed = true;
        return REFUSAL_NONE;
    }
    while (segment.size > 0) {
        size_t size = segment.data[0] == '%' ? 3 : 1;
        enum refusal refusal = REFUSAL_NONE;
        if (size == 1)
            put(out, segment.data[0]);
        else
            refusal = take_encoded(segment, out);
        if (refusal != REFUSAL_NONE)
            return refusal;
        segment = slice_skip(segment, size);
    }
    return REFUSAL_NONE;
}

/* The slash that `text` begins with, or 0. Open WebUI's page writes %2F where the name of a model
 * has one, and its server (uvicorn decodes a path before it is routed) reads a slash: so it is one
 * here, and a plain one behind, for whoever would read it in another way. */
static size_t slash_bytes(struct slice text)
{
    if (decode(text) == '/')
        return 3;
    return text.size > 0 && text.data[0] == '/' ? 1 : 0;
}

static size_t segment_size(struct slice text)
{
    size_t size = 0;
    while (size < text.size && slash_bytes(slice_skip(text, size)) == 0)
        size++;
    return size;
}

/* RFC 3986 5.2.4 for a path that has no "..": "/a/./b" and "/a//b" are "/a/b", "/a/." is "/a/". */
static enum refusal rewrite_path(struct slice raw, struct rewrite *out)
{
    bool after_slash = false; /* what is written ends with one, and the next would double it */
    while (raw.size > 0) {
        size_t slash = slash_bytes(raw);
        if (slash > 0) {
            out->changed |= after_slash || slash > 1;
            if (!after_slash)
                put(out, '/');
            after_slash = true;
            raw = slice_skip(raw, slash);
            continue;
        }
        size_t before = out->used;
        size_t size = segment_size(raw);
        enum refusal refusal = take_segment(slice_head(raw, size), out);
        if (refusal != REFUSAL_NONE)
            return refusal;
        after_slash = out->used == before;
        raw = slice_skip(raw, size);
    }
    return REFUSAL_NONE;
}

/* Refuses what has no place in a path, and tells whether the careful pass is needed. */
static enum refusal scan(struct slice raw, bool *plain)
{
    uint8_t previous = '\0';
    *plain = true;
    for (size_t i = 0; i < raw.size; i++) {
        uint8_t c = (uint8_t)raw.data[i];
        if (c <= ' ' || c >= 0x7f || c == '\\' || c == '?' || c == '#')
            return REFUSAL_PATH_SYNTAX;
        if (c == '%' || (previous == '/' && (c == '/' || c == '.')))
            *plain = false;
        previous = c;
    }
    return REFUSAL_NONE;
}

enum refusal path_normalise(struct slice raw, char buffer[static PATH_CHANGED_MAX_BYTES],
                            struct slice *normal)
{
    bool plain;

    *normal = raw;
    if (raw.size == 0) {
        *normal = SLICE("/");
        return REFUSAL_NONE;
    }
    if (slice_equal(raw, SLICE("*")))
        return REFUSAL_NONE;
    if (raw.data[0] != '/')
        return REFUSAL_PATH_SYNTAX;
    enum refusal refusal = scan(raw, &plain);
    if (refusal != REFUSAL_NONE || plain)
        return refusal;

    struct rewrite out = {.buffer = buffer};
    refusal = rewrite_path(raw, &out);
    if (refusal != REFUSAL_NONE || !out.changed)
        return refusal;
    if (out.used > PATH_CHANGED_MAX_BYTES)
        return REFUSAL_PATH_TOO_LONG;
    *normal = slice_from(buffer, out.used);
    return REFUSAL_NONE;
}

bool path_covers(struct slice prefix, struct slice path)
{
    return slice_starts_with(path, prefix) &&
           (path.size == prefix.size || path.data[prefix.size] == '/');
}

unsigned path_segments(struct slice prefix)
{
    unsigned count = 0;
    for (size_t i = 0; i < prefix.size; i++)
        if (prefix.data[i] != '/' && (i == 0 || prefix.data[i - 1] == '/'))
            count++;
    return count;
}

struct slice path_behind(struct slice path, unsigned segments)
{
    for (; segments > 0 && path.size > 0; segments--)
        path = slice_skip(path, 1 + slice_before(slice_skip(path, 1), '/').size);
    return path.size > 0 ? path : SLICE("/");
}
