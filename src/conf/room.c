/* Room in memory: see room.h. */
#include "room.h"

#include "core/memory.h"
#include "json/json.h"

#include <errno.h>
#include <inttypes.h>

/* Bytes are a bad measure: at the peak, files of 1,000 to 200,000 tenants took from 4 (long
 * comments) to 37 (many short paths) times their size. Of what is taken beside the texts, each mark
 * of the JSON's (a comma, colon, "[" or "{") had 107 to 273 bytes: tenants that are wrong and long
 * lists of networks the least, headers and routes 120 to 180, names and paths more, replicas and
 * fifty hosts each the most. A quarter below the least is counted, so that nothing is refused that
 * fits: others give memory back meanwhile, too. Of what does not fit, a file is let through that
 * needs up to four times what is left.
 *
 * A line of a list of labels has 56 to 160 bytes, one that is wrong more, beside the texts.
 *
 * Of less than a few MB nobody can tell: the allocator may have as much in hand, and others take
 * and give that much at any time. */
enum {
    BYTES_PER_MARK = 80,
    BYTES_PER_LABEL = 42,
    NEEDED_LEAST = 8 * 1000 * 1000,
    MB = 1000 * 1000,
};

static uint64_t unless_little(uint64_t needed)
{
    return needed >= NEEDED_LEAST ? needed : 0;
}

uint64_t room_needed(struct slice text)
{
    return unless_little(text.size + (uint64_t)json_count_marks(text) * BYTES_PER_MARK);
}

uint64_t room_needed_by_labels(size_t count)
{
    return unless_little((uint64_t)count * BYTES_PER_LABEL);
}

bool room_is_there(uint64_t needed, const struct memory_room *room, const char *file,
                   struct diagnostics *diagnostics)
{
    const struct place place = {.file = file};
    if (needed <= room->bytes)
        return true;
    diagnostics_add_code(
        diagnostics, CODE_NO_ROOM, &place, "give it more memory, or take out what was added last",
        "reading this takes %" PRIu64 " MB of memory at least, and %" PRIu64 " MB are left (%s)",
        (needed + MB - 1) / MB, room->bytes / MB, room->limit);
    diagnostics->trouble = ENOMEM; /* so that it is tried again */
    return false;
}

bool room_check(uint64_t needed, const char *file, struct diagnostics *diagnostics)
{
    struct memory_room room;
    if (needed == 0)
        return true;
    memory_room_read("", &room);
    if (needed > room.bytes) {
        memory_trim(); /* what is only kept in hand is not taken */
        memory_room_read("", &room);
    }
    return room_is_there(needed, &room, file, diagnostics);
}
