/* spop: the codec. Every row is read at the end of a readable page, and cut short at every byte. */
#include "spop/spop_frame.h"
#include "support/guard.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

/* A literal's bytes at the end of a readable page. */
#define GUARDED(LITERAL) guard_copy(SLICE(LITERAL))

struct varint_row {
    uint64_t value;
    struct slice bytes;
};

/* Both sides of every length's threshold. */
static const struct varint_row VARINTS[] = {
    {0, {"\x00", 1}},
    {1, {"\x01", 1}},
    {239, {"\xef", 1}},
    {240, {"\xf0\x00", 2}},
    {255, {"\xff\x00", 2}},
    {256, {"\xf0\x01", 2}},
    {2287, {"\xff\x7f", 2}},
    {2288, {"\xf0\x80\x00", 3}},
    {16380, {"\xfc\xf0\x06", 3}},
    {264431, {"\xff\xff\x7f", 3}},
    {264432, {"\xf0\x80\x80\x00", 4}},
    {33818863, {"\xff\xff\xff\x7f", 4}},
    {33818864, {"\xf0\x80\x80\x80\x00", 5}},
    {4328786159, {"\xff\xff\xff\xff\x7f", 5}},
    {4328786160, {"\xf0\x80\x80\x80\x80\x00", 6}},
    {(uint64_t)INT64_MAX, {"\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x06", 10}},
    {(uint64_t)-5, {"\xfb\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 10}},
    {UINT64_MAX, {"\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 10}},
};

Test(spop_varint, both_ways_and_cut_short)
{
    for (size_t i = 0; i < COUNT_OF(VARINTS); i++) {
        const struct varint_row *row = &VARINTS[i];
        uint8_t *buffer = guard_new(row->bytes.size);
        struct writer writer = writer_of(buffer, row->bytes.size);
        spop_write_varint(&writer, row->value);
        cr_expect(not(writer.failed), "%lu", row->value);
        cr_expect(slice_equal(writer_written(&writer), row->bytes), "%lu", row->value);

        for (size_t size = 0; size <= row->bytes.size; size++) {
            struct reader reader = reader_of(guard_copy(slice_head(row->bytes, size)));
            uint64_t value = spop_read_varint(&reader);
            bool whole = size == row->bytes.size;
            cr_expect(eq(u64, value, whole ? row->value : 0), "%lu cut at %zu", row->value, size);
            cr_expect(eq(int, reader.failed, !whole), "%lu cut at %zu", row->value, size);
        }
        if (row->bytes.size > 1) {
            struct writer small = writer_of(buffer, row->bytes.size - 1);
            spop_write_varint(&small, row->value);
            cr_expect(small.failed, "%lu", row->value);
        }
    }
}

Test(spop_varint, overflow_and_endless_ones_fail)
{
    const struct slice bad[] = {
        GUARDED("\xf0\xf1\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"),     /* 2^64 */
        GUARDED("\xff\xff\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"),     /* carries over */
        GUARDED("\xf0\x80\x80\x80\x80\x80\x80\x80\x80\x10"),     /* bit 64 in the tenth byte */
        GUARDED("\xf0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* eleven bytes */
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct reader reader = reader_of(bad[i]);
        cr_expect(eq(u64, spop_read_varint(&reader), 0), "row %zu", i);
        cr_expect(reader.failed, "row %zu", i);
    }
}

Test(spop_varint, all_short_values_survive_the_way)
{
    for (uint64_t value = 0; value < 300000; value++) {
        uint8_t buffer[4];
        struct writer writer = writer_of(buffer, sizeof(buffer));
        spop_write_varint(&writer, value);
        struct reader reader = reader_of(writer_written(&writer));
        cr_assert(eq(u64, spop_read_varint(&reader), value));
        cr_assert(not(reader.failed));
        cr_assert(eq(sz, reader_left(&reader), 0));
    }
}

struct value_row {
    struct slice bytes;
    struct spop_value value;
};

#define TEXT(SIZE, LITERAL) .bytes = {(LITERAL), (SIZE)}

static const struct value_row VALUES[] = {
    {{"\x00", 1}, {.type = SPOP_NULL}},
    {{"\x01", 1}, {.type = SPOP_BOOLEAN, .boolean = false}},
    {{"\x11", 1}, {.type = SPOP_BOOLEAN, .boolean = true}},
    {{"\x02\x07", 2}, {.type = SPOP_INT32, .integer = 7}},
    {{"\x03\xf0\x01", 3}, {.type = SPOP_UINT32, .integer = 256}},
    {{"\x04\xfb\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e", 11}, {.type = SPOP_INT64, .integer = -5}},
    {{"\x05\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x06", 11},
     {.type = SPOP_UINT64, .integer = INT64_MAX}},
    {{"\x06\x7f\x00\x00\x01", 5}, {.type = SPOP_IPV4, TEXT(4, "\x7f\x00\x00\x01")}},
    {{"\x07"
      "0123456789abcdef",
      17},
     {.type = SPOP_IPV6, TEXT(16, "0123456789abcdef")}},
    {{"\x08\x00", 2}, {.type = SPOP_STRING}},
    {{"\x08\x03"
      "abc",
      5},
     {.type = SPOP_STRING, TEXT(3, "abc")}},
    {{"\x18\x02\x00\xff", 4}, {.type = SPOP_BINARY, TEXT(2, "\x00\xff")}},
    {{"\x88\x01x", 3}, {.type = SPOP_BINARY, TEXT(1, "x")}},
    {{"\x09\x02\x00\xff", 4}, {.type = SPOP_BINARY, TEXT(2, "\x00\xff")}},
};

static bool same_value(const struct spop_value *a, const struct spop_value *b)
{
    return a->type == b->type && a->boolean == b->boolean && a->integer == b->integer &&
           slice_equal(a->bytes, b->bytes);
}

Test(spop_value, every_type_whole_and_cut_short)
{
    const struct spop_value nothing = {0};
    for (size_t i = 0; i < COUNT_OF(VALUES); i++) {
        const struct value_row *row = &VALUES[i];
        for (size_t size = 0; size <= row->bytes.size; size++) {
            struct reader reader = reader_of(guard_copy(slice_head(row->bytes, size)));
            struct spop_value value = spop_read_value(&reader);
            bool whole = size == row->bytes.size;
            cr_expect(same_value(&value, whole ? &row->value : &nothing), "row %zu at %zu", i,
                      size);
            cr_expect(eq(int, reader.failed, !whole), "row %zu at %zu", i, size);
        }
    }
}

Test(spop_value, reserved_types_fail)
{
    for (unsigned type = SPOP_BINARY + 1; type < 16; type++) {
        uint8_t bytes[] = {(uint8_t)type, 0, 0, 0};
        struct reader reader = reader_of(guard_copy(slice_from(bytes, sizeof(bytes))));
        struct spop_value value = spop_read_value(&reader);
        cr_expect(reader.failed, "type %u", type);
        cr_expect(eq(int, value.type, SPOP_NULL), "type %u", type);
    }
}

static void write_each_action(struct writer *writer)
{
    const enum spop_scope txn = SPOP_SCOPE_TRANSACTION;
    spop_write_set_boolean(writer, txn, SLICE("ok"), true);
    spop_write_set_boolean(writer, SPOP_SCOPE_SESSION, SLICE("no"), false);
    spop_write_set_integer(writer, SPOP_SCOPE_REQUEST, SLICE("n"), -5);
    spop_write_set_string(writer, SPOP_SCOPE_RESPONSE, SLICE("s"), SLICE("abc"));
    spop_write_set_binary_head(writer, txn, SLICE("b"), 2);
    writer_bytes(writer, SLICE("\0\xff"));
    spop_write_set_ip(writer, txn, SLICE("v4"), SLICE("\x7f\0\0\1"));
    spop_write_set_ip(writer, txn, SLICE("v6"), SLICE("0123456789abcdef"));
}

/* Written from doc/SPOE.txt 3.4: action, number of arguments, scope, name, typed value. */
static const char EACH_ACTION[] = "\x01\x03\x02\x02"
                                  "ok\x11"
                                  "\x01\x03\x01\x02"
                                  "no\x01"
                                  "\x01\x03\x03\x01n\x04\xfb\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"
                                  "\x01\x03\x04\x01s\x08\x03"
                                  "abc"
                                  "\x01\x03\x02\x01"
                                  "b\x09\x02\x00\xff"
                                  "\x01\x03\x02\x02v4\x06\x7f\x00\x00\x01"
                                  "\x01\x03\x02\x02v6\x07"
                                  "0123456789abcdef";

Test(spop_action, every_type_and_every_lack_of_room)
{
    const struct slice expected = {EACH_ACTION, sizeof(EACH_ACTION) - 1};
    for (size_t size = 0; size <= expected.size; size++) {
        struct writer writer = writer_of(guard_new(size), size);
        write_each_action(&writer);
        cr_expect(eq(int, writer.failed, size < expected.size), "room for %zu", size);
        struct slice written = writer_written(&writer);
        cr_expect(slice_starts_with(expected, written), "room for %zu", size);
    }
}

Test(spop_action, names_that_haproxy_cannot_hold_fail)
{
    char name[SPOP_NAME_MAX_BYTES + 1];
    uint8_t buffer[128];
    memset(name, 'n', sizeof(name));
    struct writer writer = writer_of(buffer, sizeof(buffer));
    spop_write_set_boolean(&writer, SPOP_SCOPE_TRANSACTION, slice_from(name, sizeof(name) - 1),
                           true);
    cr_expect(not(writer.failed));
    spop_write_set_boolean(&writer, SPOP_SCOPE_TRANSACTION, slice_from(name, sizeof(name)), true);
    cr_expect(writer.failed);
}

Test(spop_action, an_address_has_4_or_16_bytes)
{
    for (size_t size = 0; size <= 17; size++) {
        uint8_t buffer[128];
        struct writer writer = writer_of(buffer, sizeof(buffer));
        struct slice bytes = {"0123456789abcdefg", size};
        spop_write_set_ip(&writer, SPOP_SCOPE_TRANSACTION, SLICE("ip"), bytes);
        cr_expect(eq(int, writer.failed, size != 4 && size != 16), "%zu", size);
    }
}

Test(spop_frame, a_header_cut_short_at_every_byte)
{
    const struct slice whole = SLICE("\x03\x00\x00\x00\x01\xf0\x01\xf1\x01payload");
    for (size_t size = 0; size <= whole.size; size++) {
        struct spop_frame frame;
        bool parsed = spop_frame_parse(guard_copy(slice_head(whole, size)), &frame);
        cr_expect(eq(int, parsed, size >= 9), "%zu", size);
        if (!parsed)
            continue;
        cr_expect(eq(u8, frame.type, SPOP_FRAME_NOTIFY));
        cr_expect(eq(u32, frame.flags, SPOP_FLAG_FINAL));
        cr_expect(eq(u64, frame.stream_id, 256));
        cr_expect(eq(u64, frame.frame_id, 257));
        cr_expect(eq(sz, frame.payload.size, size - 9));
    }
}

Test(spop_frame, begin_and_end_write_the_length)
{
    uint8_t buffer[32];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    writer_bytes(&writer, SLICE("before"));
    uint8_t *start = writer.position;
    spop_frame_begin(&writer, SPOP_FRAME_ACK, 1, 240);
    writer_bytes(&writer, SLICE("xy"));
    spop_frame_end(&writer, start);
    cr_expect(slice_equal(writer_written(&writer),
                          SLICE("before\x00\x00\x00\x0a\x67\x00\x00\x00\x01\x01\xf0\x00xy")));
}

Test(spop_frame, no_header_is_larger_than_announced)
{
    uint8_t buffer[64];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    spop_frame_begin(&writer, SPOP_FRAME_ACK, UINT64_MAX, UINT64_MAX);
    cr_expect(eq(sz, writer_used(&writer), SPOP_ACK_HEADER_MAX_BYTES));
    writer = writer_of(buffer, sizeof(buffer));
    spop_frame_begin(&writer, SPOP_FRAME_ACK, UINT32_MAX, UINT32_MAX);
    cr_expect(eq(sz, writer_used(&writer), SPOP_ACK_MAX_BYTES - SPOP_ACTIONS_MAX_BYTES));
}

static const char TWO_MESSAGES[] = "\x05route\x02"
                                   "\x04host\x08\x01h"
                                   "\x00\x01"
                                   "\x04next\x01"
                                   "\x01n\x05\x2a";

/* Walks all, and tells how many messages and arguments there were. */
static bool walk(struct slice bytes, unsigned *messages_seen, unsigned *arguments_seen)
{
    struct reader messages = reader_of(bytes);
    struct spop_message message;
    *messages_seen = *arguments_seen = 0;
    while (spop_message_next(&messages, &message)) {
        struct slice name;
        struct spop_value value;
        ++*messages_seen;
        while (spop_argument_next(&message, &name, &value))
            ++*arguments_seen;
        if (!spop_message_skip(&message, &messages))
            break;
    }
    return !messages.failed;
}

Test(spop_message, walked_whole_and_cut_short)
{
    const size_t first_size = 17;
    const struct slice whole = {TWO_MESSAGES, sizeof(TWO_MESSAGES) - 1};
    for (size_t size = 0; size <= whole.size; size++) {
        unsigned messages, arguments;
        bool valid = walk(guard_copy(slice_head(whole, size)), &messages, &arguments);
        bool on_boundary = size == 0 || size == first_size || size == whole.size;
        cr_expect(eq(int, valid, on_boundary), "cut at %zu", size);
        if (size == first_size)
            cr_expect(messages == 1 && arguments == 2);
        if (size == whole.size)
            cr_expect(messages == 2 && arguments == 3);
    }
}

Test(spop_message, skipped_without_being_walked)
{
    struct reader messages =
        reader_of(GUARDED("\x05route\x02\x04host\x08\x01h\x00\x01\x04next\x00"));
    struct spop_message message;
    struct slice name;
    struct spop_value value;
    cr_assert(spop_message_next(&messages, &message));
    cr_expect(slice_equal(message.name, SLICE("route")));
    cr_assert(spop_argument_next(&message, &name, &value));
    cr_expect(slice_equal(name, SLICE("host")));
    cr_assert(spop_message_skip(&message, &messages));
    cr_assert(spop_message_next(&messages, &message));
    cr_expect(slice_equal(message.name, SLICE("next")));
    cr_expect(not(spop_argument_next(&message, &name, &value)));
    cr_expect(not(message.arguments.failed));
    cr_assert(spop_message_skip(&message, &messages));
    cr_expect(not(spop_message_next(&messages, &message)));
    cr_expect(not(messages.failed));
}

/* spop_argument_next() has a short way for most values: to the same end, on the same bytes. */
Test(spop_message, arguments_are_names_and_values)
{
    uint8_t bytes[8] = {1, 'n'};
    for (unsigned head = 0; head < 256; head++) {
        for (unsigned next = 0; next < 256; next++) {
            bytes[2] = (uint8_t)head;
            bytes[3] = (uint8_t)next;
            for (size_t size = 0; size <= sizeof(bytes); size++) {
                struct slice argument = slice_from(bytes, size), name;
                struct spop_message message = {.arguments = reader_of(argument),
                                               .arguments_left = 1};
                struct spop_value value;
                struct reader reader = reader_of(argument);
                struct slice wanted_name = spop_read_string(&reader);
                struct spop_value wanted = spop_read_value(&reader);
                bool taken = spop_argument_next(&message, &name, &value);
                cr_assert(taken == !reader.failed, "head %u, then %u, of %zu", head, next, size);
                if (!taken)
                    continue;
                cr_assert(slice_equal(name, wanted_name));
                cr_assert(value.type == wanted.type && value.boolean == wanted.boolean &&
                              value.integer == wanted.integer &&
                              slice_equal(value.bytes, wanted.bytes),
                          "head %u, then %u, of %zu", head, next, size);
                cr_assert(message.arguments.position == reader.position);
            }
        }
    }
}

Test(spop_message, long_strings_and_their_lengths)
{
    static const size_t SIZES[] = {0, 1, 239, 240, 241, 255, 256, 2287, 2288, 2289, 9000, 300000};
    static uint8_t text[300000], bytes[300100];
    for (size_t i = 0; i < COUNT_OF(SIZES); i++) {
        struct writer writer = writer_of(bytes, sizeof(bytes));
        spop_write_string(&writer, SLICE("n"));
        writer_u8(&writer, SPOP_STRING);
        size_t before = writer_used(&writer);
        spop_write_string(&writer, slice_from(text, SIZES[i]));
        cr_assert(eq(sz, writer_used(&writer) - before, spop_string_size(SIZES[i])));
        for (size_t cut = 0; cut < 2; cut++) {
            struct slice argument = slice_from(bytes, writer_used(&writer) - cut);
            struct spop_message message = {.arguments = reader_of(guard_copy(argument)),
                                           .arguments_left = 1};
            struct slice name;
            struct spop_value value;
            cr_assert(spop_argument_next(&message, &name, &value) == (cut == 0));
            cr_assert(cut == 1 || value.bytes.size == SIZES[i]);
        }
    }
}
