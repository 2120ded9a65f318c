/* HAProxy's side of SPOP: see support/spop_peer.h. */
#include "support/spop_peer.h"

void peer_write_frame(struct writer *writer, uint8_t type, uint32_t flags, uint64_t stream_id,
                      uint64_t frame_id, struct slice payload)
{
    uint8_t *start = writer->position;
    writer_u32(writer, 0);
    writer_u8(writer, type);
    writer_u32(writer, flags);
    spop_write_varint(writer, stream_id);
    spop_write_varint(writer, frame_id);
    writer_bytes(writer, payload);
    spop_frame_end(writer, start);
}

static void write_number(struct writer *writer, struct slice name, uint64_t value)
{
    spop_write_string(writer, name);
    writer_u8(writer, SPOP_UINT32);
    spop_write_varint(writer, value);
}

void peer_write_message(struct writer *writer, struct slice name, uint8_t arguments)
{
    spop_write_string(writer, name);
    writer_u8(writer, arguments);
}

void peer_write_boolean(struct writer *writer, struct slice name, bool value)
{
    spop_write_string(writer, name);
    writer_u8(writer, value ? 0x11 : 0x01);
}

void peer_write_string(struct writer *writer, struct slice name, struct slice value)
{
    spop_write_string(writer, name);
    writer_u8(writer, SPOP_STRING);
    spop_write_string(writer, value);
}

void peer_write_null(struct writer *writer, struct slice name)
{
    spop_write_string(writer, name);
    writer_u8(writer, SPOP_NULL);
}

void peer_write_integer(struct writer *writer, struct slice name, uint64_t value)
{
    spop_write_string(writer, name);
    writer_u8(writer, SPOP_INT64);
    spop_write_varint(writer, value);
}

void peer_write_ip(struct writer *writer, struct slice name, struct slice bytes)
{
    spop_write_string(writer, name);
    writer_u8(writer, bytes.size == 4 ? SPOP_IPV4 : SPOP_IPV6);
    writer_bytes(writer, bytes);
}

void peer_write_hello(struct writer *writer, uint32_t max_frame_bytes, bool health_check)
{
    uint8_t *start = writer->position;
    spop_frame_begin(writer, SPOP_FRAME_HAPROXY_HELLO, 0, 0);
    peer_write_string(writer, SLICE("supported-versions"), SLICE("2.0"));
    write_number(writer, SLICE("max-frame-size"), max_frame_bytes);
    if (health_check) {
        peer_write_string(writer, SLICE("capabilities"), SLICE(""));
        peer_write_boolean(writer, SLICE("healthcheck"), true);
    } else {
        peer_write_string(writer, SLICE("capabilities"), SLICE("pipelining,async"));
        peer_write_string(writer, SLICE("engine-id"),
                          SLICE("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"));
    }
    spop_frame_end(writer, start);
}

void peer_write_disconnect(struct writer *writer, uint32_t status)
{
    uint8_t *start = writer->position;
    spop_frame_begin(writer, SPOP_FRAME_HAPROXY_DISCONNECT, 0, 0);
    write_number(writer, SLICE("status-code"), status);
    peer_write_string(writer, SLICE("message"), SLICE("a timeout occurred"));
    spop_frame_end(writer, start);
}

void peer_mend_lengths(uint8_t *data, size_t size, size_t seed)
{
    for (size_t at = 0; at + SPOP_LENGTH_BYTES < size;) {
        size_t left = size - at - SPOP_LENGTH_BYTES;
        struct reader reader = reader_of(slice_from(data + at, size - at));
        uint32_t length = reader_u32(&reader);
        if (length < SPOP_SMALLEST_FRAME_BYTES || length > left) {
            length = (uint32_t)size_min(left, 16 + seed % 113);
            struct writer writer = writer_of(data + at, SPOP_LENGTH_BYTES);
            writer_u32(&writer, length);
        }
        at += SPOP_LENGTH_BYTES + length;
    }
}

bool peer_read_action(struct reader *reader, struct peer_action *action)
{
    enum { SET_VAR = 1, UNSET_VAR = 2, SET_ARGUMENTS = 3, UNSET_ARGUMENTS = 2 };
    uint8_t type = reader_u8(reader);
    uint8_t arguments = reader_u8(reader);
    *action = (struct peer_action){.is_unset = type == UNSET_VAR, .scope = reader_u8(reader)};
    action->name = spop_read_string(reader);
    if (!action->is_unset)
        action->value = spop_read_value(reader);
    return !reader->failed && (type == SET_VAR || type == UNSET_VAR) &&
           arguments == (action->is_unset ? UNSET_ARGUMENTS : SET_ARGUMENTS) &&
           action->name.size > 0 && action->name.size <= SPOP_NAME_MAX_BYTES;
}
