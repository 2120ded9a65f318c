/* Bounded readers and writers with a sticky error.
 *
 * All bounds arithmetic of the wire code is here, and all of it compares the wanted length with
 * what is left; `position + wanted` is never formed. After the first failure every further call is
 * a no-op, a failed read yields zeroes, and `failed` is tested once at the end of a chain.
 */
#pragma once

#include "core/slice.h"

struct reader {
    const uint8_t *position;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(struct slice bytes)
{
    const uint8_t *start = (const uint8_t *)bytes.data;
    return (struct reader){.position = start, .end = bytes.size == 0 ? start : start + bytes.size};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->position);
}

static inline uint8_t reader_u8(struct reader *reader)
{
    if (reader->failed || reader_left(reader) < 1) {
        reader->failed = true;
        return 0;
    }
    return *reader->position++;
}

/* Big-endian, as SPOP's frame length and flags are. */
static inline uint32_t reader_u32(struct reader *reader)
{
    if (reader->failed || reader_left(reader) < 4) {
        reader->failed = true;
        return 0;
    }
    const uint8_t *p = reader->position;
    reader->position += 4;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A view of the next `size` bytes; `size` may come from the peer. */
static inline struct slice reader_bytes(struct reader *reader, uint64_t size)
{
    if (reader->failed || size > reader_left(reader)) {
        reader->failed = true;
        return (struct slice){0};
    }
    struct slice bytes = {(const char *)reader->position, (size_t)size};
    reader->position += size;
    return bytes;
}

struct writer {
    uint8_t *start;
    uint8_t *position;
    uint8_t *end;
    bool failed;
};

static inline struct writer writer_of(void *data, size_t size)
{
    uint8_t *start = data;
    return (struct writer){.start = start, .position = start, .end = start + size};
}

static inline size_t writer_left(const struct writer *writer)
{
    return (size_t)(writer->end - writer->position);
}

static inline size_t writer_used(const struct writer *writer)
{
    return (size_t)(writer->position - writer->start);
}

static inline struct slice writer_written(const struct writer *writer)
{
    return slice_from(writer->start, writer_used(writer));
}

static inline void writer_u8(struct writer *writer, uint8_t value)
{
    if (writer->failed || writer_left(writer) < 1) {
        writer->failed = true;
        return;
    }
    *writer->position++ = value;
}

static inline void writer_u32(struct writer *writer, uint32_t value)
{
    if (writer->failed || writer_left(writer) < 4) {
        writer->failed = true;
        return;
    }
    for (int shift = 24; shift >= 0; shift -= 8)
        *writer->position++ = (uint8_t)(value >> shift);
}

static inline void writer_bytes(struct writer *writer, struct slice bytes)
{
    if (writer->failed || bytes.size > writer_left(writer)) {
        writer->failed = true;
        return;
    }
    if (bytes.size > 0)
        memcpy(writer->position, bytes.data, bytes.size);
    writer->position += bytes.size;
}
