/* SPOP frames: see spop/spop_frame.h. */
#include "spop/spop_frame.h"

/* First byte of a typed value: the type in the low nibble, flags in the high one. */
enum { TYPE_MASK = 0x0f, FLAGS_MASK = 0xf0, FLAG_TRUE = 0x10 };

/* SET-VAR and its three arguments: scope, name, value. */
enum { ACTION_SET_VAR = 1, ACTION_SET_VAR_ARGUMENTS = 3 };
enum { ACTION_UNSET_VAR = 2, ACTION_UNSET_VAR_ARGUMENTS = 2 };

uint64_t spop_read_varint(struct reader *reader)
{
    uint64_t value = reader_u8(reader);
    if (value < 240)
        return value;
    /* The first byte carries 4 bits, then come 7 at a time: the tenth byte has shift 60. Bytes are
     * added, not or-ed, because the encoder subtracts 240 and then 128 at each step. */
    for (unsigned shift = 4; shift <= 60; shift += 7) {
        uint64_t byte = reader_u8(reader);
        uint64_t part = byte << shift;
        if (part >> shift != byte || __builtin_add_overflow(value, part, &value))
            break;
        if (byte < 128)
            return reader->failed ? 0 : value;
    }
    reader->failed = true;
    return 0;
}

void spop_write_varint(struct writer *writer, uint64_t value)
{
    if (value < 240) {
        writer_u8(writer, (uint8_t)value);
        return;
    }
    writer_u8(writer, (uint8_t)(value | 0xf0));
    value = (value - 240) >> 4;
    while (value >= 128) {
        writer_u8(writer, (uint8_t)(value | 0x80));
        value = (value - 128) >> 7;
    }
    writer_u8(writer, (uint8_t)value);
}

/* Nearly every length is one byte. */
static inline uint64_t read_varint(struct reader *reader)
{
    if (!reader->failed && reader_left(reader) > 0 && *reader->position < 240)
        return *reader->position++;
    return spop_read_varint(reader);
}

static inline struct slice read_string(struct reader *reader)
{
    return reader_bytes(reader, read_varint(reader));
}

struct slice spop_read_string(struct reader *reader)
{
    return read_string(reader);
}

void spop_write_string(struct writer *writer, struct slice text)
{
    if (text.size < 240)
        writer_u8(writer, (uint8_t)text.size);
    else
        spop_write_varint(writer, text.size);
    writer_bytes(writer, text);
}

size_t spop_string_size(size_t size)
{
    size_t length_bytes = 1;
    if (size >= 240)
        for (uint64_t left = (size - 240) >> 4;; left = (left - 128) >> 7) {
            length_bytes++;
            if (left < 128)
                break;
        }
    return length_bytes + size;
}

static inline struct spop_value read_value(struct reader *reader)
{
    struct spop_value value = {0};
    uint8_t head = reader_u8(reader);
    value.type = head & TYPE_MASK;
    switch (value.type) {
    case SPOP_NULL: break;
    case SPOP_BOOLEAN: value.boolean = (head & FLAG_TRUE) != 0; break;
    case SPOP_INT32:
    case SPOP_UINT32:
    case SPOP_INT64:
    case SPOP_UINT64: value.integer = (int64_t)read_varint(reader); break;
    case SPOP_IPV4: value.bytes = reader_bytes(reader, 4); break;
    case SPOP_IPV6: value.bytes = reader_bytes(reader, 16); break;
    case SPOP_STRING:
        if ((head & FLAGS_MASK) != 0)
            value.type = SPOP_BINARY;
        value.bytes = read_string(reader);
        break;
    case SPOP_BINARY: value.bytes = read_string(reader); break;
    default: reader->failed = true; break;
    }
    return reader->failed ? (struct spop_value){0} : value;
}

struct spop_value spop_read_value(struct reader *reader)
{
    return read_value(reader);
}

bool spop_frame_parse(struct slice bytes, struct spop_frame *frame)
{
    struct reader reader = reader_of(bytes);
    frame->type = reader_u8(&reader);
    frame->flags = reader_u32(&reader);
    frame->stream_id = spop_read_varint(&reader);
    frame->frame_id = spop_read_varint(&reader);
    frame->payload = reader_bytes(&reader, reader_left(&reader));
    return !reader.failed;
}

void spop_frame_begin(struct writer *writer, enum spop_frame_type type, uint64_t stream_id,
                      uint64_t frame_id)
{
    writer_u32(writer, 0);
    writer_u8(writer, (uint8_t)type);
    writer_u32(writer, SPOP_FLAG_FINAL);
    spop_write_varint(writer, stream_id);
    spop_write_varint(writer, frame_id);
}

void spop_frame_end(struct writer *writer, uint8_t *start)
{
    if (writer->failed)
        return;
    size_t length = (size_t)(writer->position - start) - SPOP_LENGTH_BYTES;
    struct writer patch = writer_of(start, SPOP_LENGTH_BYTES);
    writer_u32(&patch, (uint32_t)length);
}

bool spop_message_next(struct reader *messages, struct spop_message *message)
{
    *message = (struct spop_message){0};
    if (reader_left(messages) == 0)
        return false;
    message->name = spop_read_string(messages);
    message->arguments_left = reader_u8(messages);
    message->arguments = *messages;
    return !messages->failed;
}

/* A string of up to 2287 bytes: the length is one byte or two. */
static inline const uint8_t *take_text(const uint8_t *p, const uint8_t *end, struct slice *text)
{
    if (end - p < 2)
        return NULL;
    size_t size = *p++;
    if (size >= 240) {
        size_t more = *p++;
        if (more >= 128)
            return NULL;
        size += more << 4;
    }
    if (size > (size_t)(end - p))
        return NULL;
    *text = slice_from(p, size);
    return p + size;
}

/* Nearly all arguments: a name, and a value that is short or nothing. Returns what is behind it, or
 * NULL for all others, bad bytes too. As read_string() and read_value() have it, but for the place
 * being in a register: in a reader in memory, each step waits for the one before it. */
static const uint8_t *take_argument(const uint8_t *p, const uint8_t *end, struct slice *name,
                                    struct spop_value *value)
{
    p = take_text(p, end, name);
    if (p == NULL || p == end)
        return NULL;
    uint8_t head = *p++;
    *value = (struct spop_value){.type = head & TYPE_MASK};
    switch (head) {
    case SPOP_NULL: return p;
    case SPOP_BOOLEAN: return p;
    case SPOP_BOOLEAN | FLAG_TRUE: value->boolean = true; return p;
    case SPOP_STRING: return take_text(p, end, &value->bytes);
    case SPOP_INT64:
        if (p == end || *p >= 240)
            return NULL;
        value->integer = *p;
        return p + 1;
    case SPOP_IPV4:
        if (end - p < 4)
            return NULL;
        value->bytes = slice_from(p, 4);
        return p + 4;
    default: return NULL;
    }
}

bool spop_argument_next(struct spop_message *message, struct slice *name, struct spop_value *value)
{
    struct reader *arguments = &message->arguments;
    if (message->arguments_left == 0 || arguments->failed)
        return false;
    message->arguments_left--;
    const uint8_t *behind = take_argument(arguments->position, arguments->end, name, value);
    if (behind != NULL) {
        arguments->position = behind;
        return true;
    }
    *name = read_string(arguments);
    *value = read_value(arguments);
    return !arguments->failed;
}

bool spop_message_skip(struct spop_message *message, struct reader *messages)
{
    struct slice name;
    struct spop_value value;
    while (spop_argument_next(message, &name, &value))
        ;
    *messages = message->arguments;
    return !messages->failed;
}

static_assert((int)SPOP_NAME_MAX_BYTES < 240, "the length of a name is more than one byte");

static void write_variable(struct writer *writer, uint8_t action, uint8_t arguments,
                           enum spop_scope scope, struct slice name)
{
    const uint8_t head[] = {action, arguments, (uint8_t)scope, (uint8_t)name.size};
    if (writer->failed || name.size > SPOP_NAME_MAX_BYTES ||
        sizeof(head) + name.size > writer_left(writer)) {
        writer->failed = true;
        return;
    }
    memcpy(writer->position, head, sizeof(head));
    memcpy(writer->position + sizeof(head), name.data, name.size);
    writer->position += sizeof(head) + name.size;
}

static void write_set_var(struct writer *writer, enum spop_scope scope, struct slice name)
{
    write_variable(writer, ACTION_SET_VAR, ACTION_SET_VAR_ARGUMENTS, scope, name);
}

void spop_write_unset(struct writer *writer, enum spop_scope scope, struct slice name)
{
    write_variable(writer, ACTION_UNSET_VAR, ACTION_UNSET_VAR_ARGUMENTS, scope, name);
}

void spop_write_set_boolean(struct writer *writer, enum spop_scope scope, struct slice name,
                            bool value)
{
    write_set_var(writer, scope, name);
    writer_u8(writer, value ? SPOP_BOOLEAN | FLAG_TRUE : SPOP_BOOLEAN);
}

void spop_write_set_integer(struct writer *writer, enum spop_scope scope, struct slice name,
                            int64_t value)
{
    write_set_var(writer, scope, name);
    writer_u8(writer, SPOP_INT64);
    spop_write_varint(writer, (uint64_t)value);
}

void spop_write_set_string_head(struct writer *writer, enum spop_scope scope, struct slice name,
                                size_t size)
{
    write_set_var(writer, scope, name);
    writer_u8(writer, SPOP_STRING);
    spop_write_varint(writer, size);
}

void spop_write_set_binary_head(struct writer *writer, enum spop_scope scope, struct slice name,
                                size_t size)
{
    write_set_var(writer, scope, name);
    writer_u8(writer, SPOP_BINARY);
    spop_write_varint(writer, size);
}

void spop_write_set_string(struct writer *writer, enum spop_scope scope, struct slice name,
                           struct slice value)
{
    spop_write_set_string_head(writer, scope, name, value.size);
    writer_bytes(writer, value);
}

void spop_write_set_ip(struct writer *writer, enum spop_scope scope, struct slice name,
                       struct slice bytes)
{
    if (bytes.size != 4 && bytes.size != 16)
        writer->failed = true;
    write_set_var(writer, scope, name);
    writer_u8(writer, bytes.size == 4 ? SPOP_IPV4 : SPOP_IPV6);
    writer_bytes(writer, bytes);
}
