/* conf: whether what is to be read fits into memory. */
#include "core/memory.h"
#include "room.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

/* So many lists without anything in them: three marks and four bytes each. */
static uint64_t needed_by(size_t count)
{
    char *text = memory_new(count * 4 + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * 4, "[,,]", 4);
    uint64_t needed = room_needed(slice_of(text));
    free(text);
    return needed;
}

Test(room, is_needed_by_marks_and_bytes_and_not_asked_for_a_little)
{
    cr_expect(eq(u64, needed_by(100000), 100000 * (3 * 80 + 4)));
    cr_expect(eq(u64, needed_by(32787), 32787 * (3 * 80 + 4)));
    cr_expect(zero(u64, needed_by(32786)));
    cr_expect(zero(u64, room_needed((struct slice){0})));
}

Test(room, is_needed_by_labels)
{
    cr_expect(zero(u64, room_needed_by_labels(0)));
    cr_expect(zero(u64, room_needed_by_labels(190476)));
    cr_expect(eq(u64, room_needed_by_labels(190477), 190477 * 42));
}

Test(room, that_is_missing_is_told)
{
    struct diagnostics diagnostics = {0};
    struct memory_room room = {10 * 1000 * 1000, "memory.max of /a"};
    cr_expect(room_is_there(10 * 1000 * 1000, &room, "a.json", &diagnostics));
    cr_expect(room_is_there(0, &room, "a.json", &diagnostics));
    cr_expect(zero(sz, diagnostics.count));
    cr_expect_not(room_is_there(10 * 1000 * 1000 + 1, &room, "a.json", &diagnostics));
    cr_assert(eq(sz, diagnostics.errors, 1));
    cr_expect(eq(int, diagnostics.trouble, ENOMEM), "so that it is tried again");
    char *said = diagnostic_print(&diagnostics.items[0]);
    cr_expect(eq(str, said,
                 "a.json: error[E119]: reading this takes 11 MB of memory at least, and 10 MB are "
                 "left (memory.max of /a)\n"
                 "      = give it more memory, or take out what was added last\n"));
    free(said);
    diagnostics_fini(&diagnostics);
}

Test(room, is_there_where_nobody_tells)
{
    struct diagnostics diagnostics = {0};
    const struct memory_room room = {.bytes = UINT64_MAX};
    cr_expect(room_is_there(UINT64_MAX, &room, "a.json", &diagnostics));
    cr_expect(zero(sz, diagnostics.count));
}
