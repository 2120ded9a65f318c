/* agent/claim: the id in the claims of a token, whatever that is. */
#include "agent/claim.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Base64url without padding. */
static struct slice encode(const char *text, size_t size, char *room)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t used = 0;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | (uint8_t)text[i];
        for (count += 8; count >= 6; count -= 6)
            room[used++] = DIGITS[bits >> (count - 6) & 63];
    }
    if (count > 0)
        room[used++] = DIGITS[bits << (6 - count) & 63];
    return slice_from(room, used);
}

static bool find(const char *claims, struct slice *id)
{
    static char room[8192], buffer[CLAIMS_MAX_BYTES];
    return claim_find_id(encode(claims, strlen(claims), room), buffer, id);
}

#define UUID "5b1c2f86-6c0e-4b5a-9d0c-3a9d1f0e7c11"

Test(claim, an_open_webui_token)
{
    struct slice id;
    cr_assert(find("{\"id\": \"" UUID "\", \"exp\": 1800000000, \"jti\": \"x\"}", &id));
    cr_assert(slice_equal(id, SLICE(UUID)));
    cr_assert(find("{\"jti\":\"x\",\"iat\":1.5e3,\"mfa_verified\":true,\"id\":\"u\"}", &id));
    cr_assert(slice_equal(id, SLICE("u")));
}

Test(claim, an_id_that_is_somebody_elses)
{
    struct slice id;
    cr_expect_not(find("{\"user\": {\"id\": \"nested\"}}", &id));
    cr_expect_not(find("{\"list\": [{\"id\": \"nested\"}, \"id\"]}", &id));
    cr_expect_not(find("{\"note\": \"\\\"id\\\": \\\"quoted\\\"\"}", &id));
    cr_assert(find("{\"user\": {\"id\": \"nested\"}, \"id\": \"own\", \"id\": \"late\"}", &id));
    cr_assert(slice_equal(id, SLICE("own")));
    cr_assert(find("{\"a\": [[{\"b\": \"]}\"}], 1], \"id\": \"own\"}", &id));
    cr_assert(slice_equal(id, SLICE("own")));
}

Test(claim, what_is_no_claim)
{
    static const char *const TEXTS[] = {
        "",
        "{",
        "{}",
        "[]",
        "null",
        "{\"id\"",
        "{\"id\":",
        "{\"id\": \"",
        "{\"id\": \"open",
        "{\"id\": \"open\\",
        "{\"id\": 5}",
        "{\"id\": null}",
        "{\"id\": \"\"}",
        "{\"id\": {\"id\": \"x\"}}",
        "{id: \"x\"}",
        "{\"a\" \"id\": \"x\"}",
        "{\"a\": }}}}}}",
        "{\"a\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "{\"a\": ]]]]]]]",
        "{\"a\": \"\\u0000\\",
        "\"id\": \"x\"",
    };
    struct slice id;
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++)
        cr_expect_not(find(TEXTS[i], &id), "%s", TEXTS[i]);
    char long_id[400];
    memset(long_id, 'x', sizeof(long_id));
    memcpy(long_id, "{\"id\": \"", 8);
    memcpy(long_id + sizeof(long_id) - 3, "\"}", 3);
    cr_expect_not(find(long_id, &id));
}

Test(claim, no_base64url)
{
    static const char *const TEXTS[] = {
        "eyJpZCI6ICJ1In0=", "eyJpZCI6+CJ1In0", "eyJ pZCI6ICJ1In0", "a", "\xff\xfe", "..."};
    char buffer[CLAIMS_MAX_BYTES];
    struct slice id;
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++)
        cr_expect_not(claim_find_id(slice_of(TEXTS[i]), buffer, &id), "%s", TEXTS[i]);
    cr_expect(claim_find_id(SLICE("eyJpZCI6ICJ1In0"), buffer, &id));
    cr_expect_not(claim_find_id((struct slice){0}, buffer, &id));
}

static uint64_t user_of(const char *claims)
{
    static char room[8192];
    return claim_user(encode(claims, strlen(claims), room));
}

/* Most of them by what is encoded, the others after having been decoded: to the same end. */
Test(claim, a_user_is_one_in_whatever_form)
{
    static const char *const FORMS[] = {
        "{\"id\":\"" UUID "\",\"exp\":1800000000,\"jti\":\"x\"}",
        "{\"id\":\"" UUID "\",\"jti\":\"another\"}",
        "{\"id\":\"" UUID "\"}",
        "{\"id\":\"" UUID "\" , \"jti\":\"x\"}",
        "{\"id\":\"" UUID "\"\n}",
        "{\"id\": \"" UUID "\"}",
        " {\"id\":\"" UUID "\"}",
        "{\"jti\":\"x\",\"id\":\"" UUID "\"}",
        "{\"user\":{\"id\":\"nested\"},\"id\":\"" UUID "\"}",
    };
    const uint64_t user = user_of(FORMS[0]);
    cr_assert(ne(u64, user, 0));
    for (size_t i = 1; i < COUNT_OF(FORMS); i++)
        cr_expect(eq(u64, user_of(FORMS[i]), user), "%s", FORMS[i]);
}

/* Every character of the id counts, and so does none behind it. */
Test(claim, another_id_is_another_user)
{
    char text[] = "{\"id\":\"" UUID "\",\"exp\":1}";
    const uint64_t user = user_of(text);
    for (size_t i = 7; i < 7 + sizeof(UUID) - 1; i++) {
        char before = text[i];
        if (before == '-')
            continue;
        text[i] = before == 'f' ? '0' : 'f';
        cr_expect(ne(u64, user_of(text), user), "byte %zu", i);
        cr_expect(ne(u64, user_of(text), 0), "byte %zu", i);
        text[i] = before;
    }
    cr_expect(ne(u64, user_of("{\"id\":\"u\"}"), user_of("{\"id\":\"v\"}")));
    cr_expect(eq(u64, user_of("{\"id\":\"u\"}"), user_of("{\"exp\":1,\"id\":\"u\"}")));
}

/* What is no UUID is decoded: 36 bytes with their dashes elsewhere, and what ends too soon. */
Test(claim, what_looks_like_a_user_is_looked_at)
{
    static const char *const IDS[] = {"5b1c2f866c0e-4b5a-9d0c-3a9d1f0e-7c11",
                                      "5b1c2f86-6c0e-4b5a-9d0c-3a9d1f0e7c1",
                                      "5b1c2f86-6c0e-4b5a-9d0c-3a9d1f0e7c111"};
    char text[128];
    for (size_t i = 0; i < COUNT_OF(IDS); i++) {
        snprintf(text, sizeof(text), "{\"id\":\"%s\",\"x\":1}", IDS[i]);
        const uint64_t first = user_of(text);
        snprintf(text, sizeof(text), "{\"x\":1,\"id\":\"%s\"}", IDS[i]);
        cr_expect(eq(u64, user_of(text), first), "%s", IDS[i]);
        cr_expect(ne(u64, first, 0), "%s", IDS[i]);
    }
    cr_expect(eq(u64, user_of("{\"id\":\"" UUID), 0));
    cr_expect(eq(u64, user_of("{\"id\":\"" UUID "\\\""), 0));
    cr_expect(eq(u64, claim_user((struct slice){0}), 0));
}

Test(claim, the_middle_part_of_a_token)
{
    cr_expect(slice_equal(claim_part(SLICE("Bearer a.bc.d")), SLICE("bc")));
    cr_expect(slice_equal(claim_part(SLICE("a.bc")), SLICE("bc")));
    cr_expect(eq(sz, claim_part(SLICE("abc")).size, 0));
    cr_expect(eq(sz, claim_part(SLICE("a..c")).size, 0));
    cr_expect(eq(sz, claim_part(SLICE(".")).size, 0));
    cr_expect(eq(sz, claim_part((struct slice){0}).size, 0));
}

/* Only so much is decoded: an id behind that is not found, one before it is. */
Test(claim, a_huge_token)
{
    char *text = malloc(5000), buffer[CLAIMS_MAX_BYTES], *room = malloc(8000);
    struct slice id;
    memset(text, ' ', 5000);
    memcpy(text, "{\"id\":\"u\",", 10);
    cr_expect(claim_find_id(encode(text, 5000, room), buffer, &id));
    memset(text, ' ', 5000);
    text[0] = '{';
    memcpy(text + 2000, "\"id\":\"u\"}", 9);
    cr_expect_not(claim_find_id(encode(text, 5000, room), buffer, &id));
    free(text);
    free(room);
}

/* Never a byte before or behind: every cut of a token, and every byte of it changed. */
Test(claim, cuts_and_changes)
{
    static const char TEXT[] = "{\"a\": [{\"b\": \"\\\"\"}], \"id\": \"" UUID "\", \"exp\": 1}";
    char room[256], buffer[CLAIMS_MAX_BYTES];
    struct slice id, whole = encode(TEXT, sizeof(TEXT) - 1, room);
    for (size_t size = 0; size <= whole.size; size++) {
        char *exact = malloc(size + 1);
        memcpy(exact, whole.data, size);
        (void)!claim_find_id(slice_from(exact, size), buffer, &id);
        (void)claim_user(slice_from(exact, size));
        free(exact);
    }
    for (size_t i = 0; i < sizeof(TEXT) - 1; i++) {
        for (int c = 0; c < 256; c++) {
            char changed[sizeof(TEXT)];
            memcpy(changed, TEXT, sizeof(TEXT));
            changed[i] = (char)c;
            if (claim_find_id(encode(changed, sizeof(TEXT) - 1, room), buffer, &id))
                cr_assert(id.data >= buffer && id.data + id.size <= buffer + CLAIMS_MAX_BYTES);
        }
    }
}

/* Of a token that is told by its digits too. */
Test(claim, a_user_cut_short)
{
    static const char TEXT[] = "{\"id\":\"" UUID "\",\"exp\":1800000000}";
    char room[256];
    struct slice whole = encode(TEXT, sizeof(TEXT) - 1, room);
    const uint64_t user = claim_user(whole);
    for (size_t size = 0; size <= whole.size; size++) {
        char *exact = malloc(size + 1);
        memcpy(exact, whole.data, size);
        uint64_t found = claim_user(slice_from(exact, size));
        cr_expect(found == 0 || found == user, "%zu", size);
        free(exact);
    }
}
