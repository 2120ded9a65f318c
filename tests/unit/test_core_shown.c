/* Text for terminals. */
#include "core/shown.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const struct row {
    struct slice text, shown;
} ROWS[] = {
    {SLICE(""), SLICE("")},
    {SLICE("a\tb\n ~"), SLICE("a\tb\n ~")},
    {SLICE("\r\b\x07\x7f"), SLICE("\\x0d\\x08\\x07\\x7f")},
    {SLICE("a\0b"), SLICE("a\\x00b")},
    /* colours, and what only begins like one */
    {SLICE("\x1b[31mred\x1b[0m"), SLICE("\x1b[31mred\x1b[0m")},
    {SLICE("\x1b[1;4m\x1b[m"), SLICE("\x1b[1;4m\x1b[m")},
    {SLICE("\x1b[2J"), SLICE("\\x1b[2J")},
    {SLICE("\x1b[?25h"), SLICE("\\x1b[?25h")},
    {SLICE("\x1b]0;title\x07"), SLICE("\\x1b]0;title\\x07")},
    {SLICE("\x1b\x1b[1m"), SLICE("\\x1b\x1b[1m")},
    {SLICE("\x1b[1\x1b[1m"), SLICE("\\x1b[1\x1b[1m")},
    {SLICE("\x1b[1;2;3;4;5m"), SLICE("\x1b[1;2;3;4;5m")},
    {SLICE("\x1b[1;2;3;4;5;6m"), SLICE("\\x1b[1;2;3;4;5;6m")},
    {SLICE("\x1b"), SLICE("\\x1b")},
    {SLICE("\x1b[1"), SLICE("\\x1b[1")},
    /* UTF-8: what can be seen, C1 controls, what is none */
    {SLICE("\xc2\xa0\xc3\xbc\xe2\x82\xac\xf0\x9f\x99\x82"),
     SLICE("\xc2\xa0\xc3\xbc\xe2\x82\xac\xf0\x9f\x99\x82")},
    {SLICE("\xc2\x9b"), SLICE("\\xc2\\x9b")},
    {SLICE("\x9b"
           "2J"),
     SLICE("\\x9b2J")},
    {SLICE("\xc0\x9b\xe0\x82\x9b\xf0\x80\x82\x9b"),
     SLICE("\\xc0\\x9b\\xe0\\x82\\x9b\\xf0\\x80\\x82\\x9b")},
    {SLICE("\xed\xa0\x80\xf4\x90\x80\x80\xff"), SLICE("\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xff")},
    {SLICE("\xe2\x82x"), SLICE("\\xe2\\x82x")},
    {SLICE("\xe2\x82"), SLICE("\\xe2\\x82")},
};

/* In pieces of so many bytes. */
static void expect_in_pieces(const struct row *row, size_t piece)
{
    uint8_t buffer[512];
    struct writer out = writer_of(buffer, sizeof(buffer));
    struct shown shown = {0};
    for (struct slice left = row->text; left.size > 0;) {
        size_t size = left.size < piece ? left.size : piece;
        shown_write(&shown, slice_head(left, size), &out);
        left = slice_skip(left, size);
    }
    shown_write(&shown, SLICE("\n"), &out);
    struct slice told = writer_written(&out);
    cr_assert(slice_ends_with(told, SLICE("\n")));
    told.size--;
    cr_expect(slice_equal(told, row->shown), "in pieces of %zu: %.*s", piece, SLICE_PRINT(told));
}

Test(shown, colours_pass_and_nothing_else_that_a_terminal_obeys)
{
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        for (size_t piece = 1; piece <= 8; piece++)
            expect_in_pieces(&ROWS[i], piece);
}

Test(shown, what_is_not_finished_waits_for_the_rest)
{
    uint8_t buffer[256];
    struct writer out = writer_of(buffer, sizeof(buffer));
    struct shown shown = {0};
    shown_write(&shown, SLICE("a\x1b[3"), &out);
    cr_assert(eq(sz, writer_used(&out), 1));
    shown_write(&shown, SLICE("2m"), &out);
    cr_assert(slice_equal(writer_written(&out), SLICE("a\x1b[32m")));
}
