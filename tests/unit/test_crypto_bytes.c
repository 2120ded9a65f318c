/* crypto: owned bytes and base64url. */
#include "crypto/base64url.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(bytes, grow_up_to_their_limit)
{
    struct bytes bytes = {0};
    for (size_t i = 0; i < 1000; i++)
        cr_assert(bytes_append(&bytes, SLICE("0123456789"), 10000));
    cr_assert_not(bytes_append(&bytes, SLICE("x"), 10000));
    cr_assert_not(bytes_append(&bytes, SLICE("x"), 5));
    cr_assert(bytes_append(&bytes, SLICE(""), 10000));
    cr_assert(eq(sz, bytes.size, 10000));
    cr_assert(eq(sz, strlen(bytes.data), 10000));
    cr_assert(bytes_set(&bytes, SLICE("short")));
    cr_assert(slice_equal(bytes_slice(&bytes), SLICE("short")));
    bytes_free(&bytes);
    cr_assert(eq(ptr, bytes.data, NULL));
    bytes_free(&bytes);
}

Test(base64url, both_directions)
{
    /* RFC 4648 section 10, without the padding, and the two characters that differ from base64. */
    const struct {
        struct slice raw;
        const char *text;
    } cases[] = {
        {SLICE(""), ""},
        {SLICE("f"), "Zg"},
        {SLICE("fo"), "Zm8"},
        {SLICE("foo"), "Zm9v"},
        {SLICE("foob"), "Zm9vYg"},
        {SLICE("fooba"), "Zm9vYmE"},
        {SLICE("foobar"), "Zm9vYmFy"},
        {SLICE("\xfb\xff\0"), "-_8A"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes text = {0}, raw = {0};
        cr_assert(base64url_append(&text, cases[i].raw));
        cr_expect(slice_equal(bytes_slice(&text), slice_of(cases[i].text)), "%s", cases[i].text);
        cr_expect(eq(sz, text.size, BASE64URL_LENGTH(cases[i].raw.size)));
        cr_assert(base64url_decode(slice_of(cases[i].text), &raw));
        cr_expect(slice_equal(bytes_slice(&raw), cases[i].raw), "%s", cases[i].text);
        bytes_free(&text);
        bytes_free(&raw);
    }
}

Test(base64url, what_is_not_base64url_is_refused)
{
    const struct slice bad[] = {SLICE("Z"),    SLICE("Zg=="),   SLICE("Zm+v"),
                                SLICE("Zm/v"), SLICE("Zh"),     SLICE("Zm9"),
                                SLICE("Zm v"), SLICE("Zm9v\n"), SLICE("Zg\0A")};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct bytes raw = {0};
        cr_expect_not(base64url_decode(bad[i], &raw), "%.*s", SLICE_PRINT(bad[i]));
        bytes_free(&raw);
    }
}

Test(base64url, tokens_hold_nothing_that_a_path_could_mean)
{
    cr_expect(base64url_is_token(SLICE("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0")));
    const struct slice bad[] = {SLICE(""),     SLICE("a/b"), SLICE(".."),  SLICE("a.b"),
                                SLICE("a\0b"), SLICE("a b"), SLICE("a%2f")};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect_not(base64url_is_token(bad[i]), "%zu", i);
}
