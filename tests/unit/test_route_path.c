/* route/path: one path, one meaning. */
#include "route/path.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <stdlib.h>

struct row {
    struct slice raw;
    enum refusal refusal;
    const char *normal; /* NULL: the path itself */
};

#define SAME(RAW)                      \
    {                                  \
        SLICE(RAW), REFUSAL_NONE, NULL \
    }
#define BECOMES(RAW, NORMAL)             \
    {                                    \
        SLICE(RAW), REFUSAL_NONE, NORMAL \
    }
#define REFUSED(RAW, REASON)                    \
    {                                           \
        SLICE(RAW), REFUSAL_PATH_##REASON, NULL \
    }

static const struct row ROWS[] = {
    /* nothing to do */
    SAME("/"),
    SAME("*"),
    BECOMES("", "/"),
    SAME("/api/config"),
    SAME("/ws/socket.io/"),
    SAME("/_app/immutable/entry/start.D3f.js"),
    SAME("/.well-known/acme-challenge/x"),
    SAME("/a/...b/.c./..d"),
    SAME("/a/..."),
    SAME("/~user/(a)/!$&'*+,=:@"),
    SAME("/[a]|^`{b}\"<>"),
    /* legal and distinct: no rule for /owui matches these */
    SAME("/owui;x"),
    SAME("/owui/;x"),
    SAME("/OWUI"),
    SAME("/owuix"),
    SAME("/owui/x;v=1.2/y"),
    /* what must stay encoded does, in the case it came in */
    SAME("/a%20b%3bc%3B"),
    SAME("/%E4%BE%8B/%e4%be%8b"),
    SAME("/100%25"),
    SAME("/100%25/x"),
    SAME("/100%25ab"),
    SAME("/%3F%23"),
    SAME("/%2525ab"),
    SAME("/%f0%9f%98%80"),
    /* folded */
    BECOMES("//owui", "/owui"),
    BECOMES("///", "/"),
    BECOMES("/owui//api///config//", "/owui/api/config/"),
    BECOMES("/./owui", "/owui"),
    BECOMES("/owui/.", "/owui/"),
    BECOMES("/owui/./", "/owui/"),
    BECOMES("/.", "/"),
    BECOMES("/.//./owui/././x", "/owui/x"),
    /* decoded */
    BECOMES("/%6fwui", "/owui"),
    BECOMES("/%6Fwui", "/owui"),
    BECOMES("/%4F%57%55%49", "/OWUI"),
    BECOMES("/a%2eb", "/a.b"),
    BECOMES("/a%2e", "/a."),
    BECOMES("/%2e%2e%2e", "/..."),
    BECOMES("/%7euser/%2D%5f", "/~user/-_"),
    BECOMES("/%61%20%62", "/a%20b"),
    BECOMES("//%e4%be%8b", "/%e4%be%8b"),
    /* a slash, however it is spelled */
    BECOMES("/owui%2Fapi", "/owui/api"),
    BECOMES("/owui%2fapi/", "/owui/api/"),
    BECOMES("/%2F", "/"),
    BECOMES("/a%2F%2f/b", "/a/b"),
    BECOMES("/a%2F.%2Fb", "/a/b"),
    BECOMES("/a%20b%2Fc%3B", "/a%20b/c%3B"),
    BECOMES("/100%25%2Fx", "/100%25/x"),
    /* not a path */
    REFUSED("owui", SYNTAX),
    REFUSED("%2Fowui", SYNTAX),
    REFUSED("**", SYNTAX),
    REFUSED("*/", SYNTAX),
    REFUSED("http://a.tld/x", SYNTAX),
    REFUSED("a.tld:443", SYNTAX),
    REFUSED("\\owui", SYNTAX),
    REFUSED("/owui\\api", SYNTAX),
    REFUSED("/..\\api", SYNTAX),
    REFUSED("/a b", SYNTAX),
    REFUSED("/a\tb", SYNTAX),
    REFUSED("/a\r\nX: y", SYNTAX),
    REFUSED("/a\0b", SYNTAX),
    REFUSED("/a\x7f", SYNTAX),
    REFUSED("/a\x01", SYNTAX),
    REFUSED("/m\xc3\xbcnchen", SYNTAX),
    REFUSED("/\xff", SYNTAX),
    REFUSED("/a?b", SYNTAX),
    REFUSED("/a#b", SYNTAX),
    /* up */
    REFUSED("/..", TRAVERSAL),
    REFUSED("/../", TRAVERSAL),
    REFUSED("/owui/../api", TRAVERSAL),
    REFUSED("/owui/..", TRAVERSAL),
    REFUSED("//../x", TRAVERSAL),
    REFUSED("/a/./../x", TRAVERSAL),
    REFUSED("/..;/x", TRAVERSAL),
    REFUSED("/a/..;v=1/x", TRAVERSAL),
    REFUSED("/.;/x", TRAVERSAL),
    REFUSED("/..%2fx", TRAVERSAL),
    REFUSED("/a%2F..%2Fx", TRAVERSAL),
    REFUSED("/a%2F..", TRAVERSAL),
    REFUSED("/a/..;%2Fx", TRAVERSAL),
    /* encoded separators, ends and dot segments */
    REFUSED("/a%5Cb", ENCODING),
    REFUSED("/a%5cb", ENCODING),
    REFUSED("/a%00", ENCODING),
    REFUSED("/a%00.js", ENCODING),
    REFUSED("/a%0a", ENCODING), /* "$" of a regular expression matches before it */
    REFUSED("/a%0D%0Ab", ENCODING),
    REFUSED("/a%1f", ENCODING),
    REFUSED("/a%7F", ENCODING),
    REFUSED("/a%250a", ENCODING),
    REFUSED("/%2e%2e/x", ENCODING),
    REFUSED("/%2E%2E", ENCODING),
    REFUSED("/a/.%2e/x", ENCODING),
    REFUSED("/a/%2e./x", ENCODING),
    REFUSED("/a/%2e/x", ENCODING),
    REFUSED("/%2e", ENCODING),
    REFUSED("/%2e%2e;x/y", ENCODING),
    REFUSED("/a%2F%2e%2e%2Fx", ENCODING),
    /* twice encoded, and more often, in every spelling */
    REFUSED("/owui%252Fapi", ENCODING),
    REFUSED("/owui%252fapi", ENCODING),
    REFUSED("/a%255cb", ENCODING),
    REFUSED("/a%2500", ENCODING),
    REFUSED("/%252e%252e/x", ENCODING),
    REFUSED("/%252E./x", ENCODING),
    REFUSED("/a%25252Fb", ENCODING),
    REFUSED("/a%2525252525252Fb", ENCODING),
    REFUSED("/a%25%32%46b", ENCODING),
    REFUSED("/a%252%66b", ENCODING),
    REFUSED("/a%25%32fb", ENCODING),
    REFUSED("/a%25%32%35%32%46b", ENCODING),
    /* not an encoding */
    REFUSED("/%", ENCODING),
    REFUSED("/%2", ENCODING),
    REFUSED("/%/", ENCODING),
    REFUSED("/%2/f", ENCODING),
    REFUSED("/%zz", ENCODING),
    REFUSED("/%u002f", ENCODING),
    REFUSED("/a%%32F", ENCODING),
    REFUSED("/a%-1", ENCODING),
    /* overlong UTF-8: a slash to lax decoders */
    REFUSED("/a%c0%afb", ENCODING),
    REFUSED("/a%C0%AEb", ENCODING),
    REFUSED("/a%c1%9cb", ENCODING),
    REFUSED("/a%e0%80%afb", ENCODING),
    REFUSED("/a%f0%80%80%afb", ENCODING),
};

/* Input on the heap and exactly as long as it is, for AddressSanitizer. */
static enum refusal normalise(struct slice raw, char *buffer, struct slice *normal, bool *is_raw)
{
    char *copy = malloc(raw.size > 0 ? raw.size : 1);
    memcpy(copy, raw.data, raw.size);
    enum refusal refusal = path_normalise(slice_from(copy, raw.size), buffer, normal);
    *is_raw = normal->data == copy;
    if (*is_raw)
        normal->data = raw.data;
    free(copy);
    return refusal;
}

Test(path, every_case)
{
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        const struct row *row = &ROWS[i];
        char buffer[PATH_CHANGED_MAX_BYTES];
        struct slice normal;
        bool is_raw;
        cr_expect(eq(int, normalise(row->raw, buffer, &normal, &is_raw), row->refusal),
                  "row %zu: %.*s", i, SLICE_PRINT(row->raw));
        if (row->refusal != REFUSAL_NONE)
            continue;
        struct slice expected = row->normal != NULL ? slice_of(row->normal) : row->raw;
        cr_expect(slice_equal(normal, expected), "row %zu: %.*s became %.*s", i,
                  SLICE_PRINT(row->raw), SLICE_PRINT(normal));
        cr_expect(eq(int, is_raw, row->normal == NULL), "row %zu: %.*s", i, SLICE_PRINT(row->raw));
    }
}

Test(path, length_matters_only_when_changed)
{
    char raw[5000], buffer[PATH_CHANGED_MAX_BYTES];
    struct slice normal;
    bool is_raw;

    memset(raw, 'a', sizeof(raw));
    memcpy(raw, "/%20/", 5);
    cr_assert_eq(normalise(slice_from(raw, sizeof(raw)), buffer, &normal, &is_raw), REFUSAL_NONE);
    cr_assert(is_raw);
    memcpy(raw, "//", 2);
    memset(raw + 2, 'a', 3);
    struct slice fits = slice_from(raw, PATH_CHANGED_MAX_BYTES + 1);
    cr_assert_eq(normalise(fits, buffer, &normal, &is_raw), REFUSAL_NONE);
    cr_assert_eq(normal.size, PATH_CHANGED_MAX_BYTES);
    struct slice too_long = slice_from(raw, PATH_CHANGED_MAX_BYTES + 2);
    cr_assert_eq(normalise(too_long, buffer, &normal, &is_raw), REFUSAL_PATH_TOO_LONG);
    memcpy(raw + sizeof(raw) - 3, "/..", 3);
    cr_assert_eq(normalise(slice_from(raw, sizeof(raw)), buffer, &normal, &is_raw),
                 REFUSAL_PATH_TRAVERSAL);
}

/* What a lax parser makes of a path: every %xx decoded, one after the other. */
static size_t decode_laxly(const char *text, size_t size, char *decoded)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        bool encoded = text[i] == '%' && i + 2 < size && isxdigit((uint8_t)text[i + 1]) &&
                       isxdigit((uint8_t)text[i + 2]);
        if (encoded) {
            const char digits[3] = {text[i + 1], text[i + 2]};
            decoded[used++] = (char)strtol(digits, NULL, 16);
            i += 2;
            continue;
        }
        decoded[used++] = text[i];
    }
    return used;
}

static size_t count_byte(const char *text, size_t size, char byte)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += text[i] == byte;
    return count;
}

static bool has_dot_segment(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '/')
            continue;
        size_t dots = 0;
        while (i + 1 + dots < size && text[i + 1 + dots] == '.')
            dots++;
        bool ends = i + 1 + dots == size || text[i + 1 + dots] == '/';
        if (ends && (dots == 1 || dots == 2))
            return true;
    }
    return false;
}

/* Random paths of the most dangerous pieces: what is accepted is a fixed point, has no segments
 * that vanish, and means the same to parsers that decode it once or twice. */
Test(path, accepted_paths_have_one_meaning)
{
    static const char *const PIECES[] = {"/",  ".",   "%2e", "%2",  "5", "%25", "2f", "2F", "e",
                                         "%5", "%32", "%46", "%35", "a", ";",   "%",  "00", "c"};
    uint32_t seed = 4711;
    unsigned accepted = 0;
    for (unsigned round = 0; round < 300000; round++) {
        char raw[64] = "/";
        char buffer[PATH_CHANGED_MAX_BYTES], again_buffer[PATH_CHANGED_MAX_BYTES];
        char once[PATH_CHANGED_MAX_BYTES], twice[PATH_CHANGED_MAX_BYTES];
        struct slice normal, again;
        seed = seed * 1664525u + 1013904223u;
        for (unsigned pieces = 1 + (seed >> 28); pieces > 0; pieces--) {
            seed = seed * 1664525u + 1013904223u;
            strcat(raw, PIECES[(seed >> 16) % COUNT_OF(PIECES)]);
        }
        if (path_normalise(slice_of(raw), buffer, &normal) != REFUSAL_NONE)
            continue;
        accepted++;
        cr_assert_eq(path_normalise(normal, again_buffer, &again), REFUSAL_NONE, "%s", raw);
        cr_assert(slice_equal(normal, again), "%s", raw);
        cr_assert_not(has_dot_segment(normal.data, normal.size), "%s", raw);
        size_t slashes = count_byte(normal.data, normal.size, '/');
        size_t once_size = decode_laxly(normal.data, normal.size, once);
        size_t twice_size = decode_laxly(once, once_size, twice);
        cr_assert_eq(count_byte(once, once_size, '/'), slashes, "%s", raw);
        cr_assert_eq(count_byte(twice, twice_size, '/'), slashes, "%s", raw);
        cr_assert_not(has_dot_segment(once, once_size), "%s", raw);
        cr_assert_not(has_dot_segment(twice, twice_size), "%s", raw);
        cr_assert_eq(count_byte(twice, twice_size, '\0'), 0, "%s", raw);
        cr_assert_eq(count_byte(twice, twice_size, '\\'), 0, "%s", raw);
    }
    cr_assert_gt(accepted, 10000u);
}

Test(path, segments_are_counted)
{
    cr_assert_eq(path_segments(SLICE("")), 0);
    cr_assert_eq(path_segments(SLICE("/")), 0);
    cr_assert_eq(path_segments(SLICE("/a")), 1);
    cr_assert_eq(path_segments(SLICE("/a/")), 1);
    cr_assert_eq(path_segments(SLICE("/a/b")), 2);
    cr_assert_eq(path_segments(SLICE("/a/b/")), 2);
}
