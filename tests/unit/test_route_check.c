/* route/check: what answers to health checks mean. */
#include "route/check.h"
#include "route/replica.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const struct check_rule RULE = {.every_ms = 5000, .rise = 2, .fall = 3};

Test(check, answers)
{
    static const struct {
        int status;
        const char *body;
        enum check_verdict verdict;
    } CASES[] = {
        {200, "{\"status\":true}", CHECK_GOOD},
        {204, "", CHECK_GOOD},
        {200, "true", CHECK_GOOD},
        {503, "{\"status\":false}", CHECK_BAD},
        {500, "<html>", CHECK_BAD},
        {301, "", CHECK_BAD},
        {401, "", CHECK_BAD},
        {404, "{}", CHECK_UNKNOWN_PATH},
        {200, "<!doctype html>", CHECK_UNKNOWN_PATH},
        {200, "  \n<html>", CHECK_UNKNOWN_PATH},
        {0, "", CHECK_BAD},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++)
        cr_expect(eq(int, (int)check_judge(CASES[i].status, slice_of(CASES[i].body)),
                     (int)CASES[i].verdict),
                  "%d %s", CASES[i].status, CASES[i].body);
}

/* A NUL is no white space: what begins with one is no page. */
Test(check, bytes_that_are_no_text)
{
    cr_expect(not(check_is_page(slice_from("\0<html>", 7))));
    cr_expect(not(check_is_page(slice_from(" \0\0<", 4))));
    cr_expect(eq(int, (int)check_judge(200, slice_from("\0<html>", 7)), (int)CHECK_GOOD));
}

/* "+" is a good answer, "-" a bad one; the standing after each: "?", "U"p, "D"own. */
static void follow(const char *answers, const char *standings)
{
    struct check_state state = {0};
    int64_t now_ms = 1;
    for (size_t i = 0; answers[i] != '\0'; i++) {
        int before = (int)state.standing;
        bool changed = check_count(&state, &RULE, answers[i] == '+', now_ms++);
        cr_expect(eq(int, changed, before != (int)state.standing));
        cr_expect(eq(chr, "?UD"[state.standing], standings[i]), "%s: after %zu", answers, i + 1);
    }
}

Test(check, rise_and_fall)
{
    follow("+", "U");
    follow("-", "D");
    follow("+--+--+---", "UUUUUUUUUD");
    follow("-+-+-++", "DDDDDDU");
    follow("----++---", "DDDDDUUUD");
}

Test(check, who_comes_back_starts_slowly)
{
    struct check_state state = {0};
    cr_expect(eq(u32, check_share(&state, 1000, 50), REPLICA_SHARE_FULL));
    cr_expect(check_count(&state, &RULE, true, 100));
    cr_expect(eq(u32, check_share(&state, 1000, 100), REPLICA_SHARE_FULL));
    for (int i = 0; i < 3; i++)
        (void)!check_count(&state, &RULE, false, 200);
    cr_expect(eq(u32, check_share(&state, 1000, 5000), 0));
    (void)!check_count(&state, &RULE, true, 300);
    (void)!check_count(&state, &RULE, true, 400);
    cr_expect(eq(u32, check_share(&state, 1000, 400), 16));
    cr_expect(eq(u32, check_share(&state, 1000, 900), 128));
    cr_expect(eq(u32, check_share(&state, 1000, 1399), 255));
    cr_expect(eq(u32, check_share(&state, 1000, 1400), REPLICA_SHARE_FULL));
    cr_expect(eq(u32, check_share(&state, 0, 400), REPLICA_SHARE_FULL));
    unsigned last = 0;
    for (int64_t now_ms = 400; now_ms < 1500; now_ms++) {
        unsigned share = check_share(&state, 1000, now_ms);
        cr_assert(share >= last && share <= REPLICA_SHARE_FULL);
        last = share;
    }
}

Test(check, doubt_is_settled_sooner)
{
    struct check_state state = {0};
    cr_expect(eq(u32, check_delay_ms(&state, &RULE), 5000));
    (void)!check_count(&state, &RULE, true, 1);
    (void)!check_count(&state, &RULE, false, 2);
    cr_expect(eq(u32, check_delay_ms(&state, &RULE), 1000));
    (void)!check_count(&state, &RULE, true, 3);
    cr_expect(eq(u32, check_delay_ms(&state, &RULE), 5000));
}
