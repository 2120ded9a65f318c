/* HAProxy's side of SPOP: what tests, fuzz targets and the benchmark send to an agent. */
#pragma once

#include "spop/spop_frame.h"

/* Any frame, with flags and type of the caller's choice. */
void peer_write_frame(struct writer *writer, uint8_t type, uint32_t flags, uint64_t stream_id,
                      uint64_t frame_id, struct slice payload);

/* A HELLO as HAProxy 2.6 writes it; a health check has no engine-id. */
void peer_write_hello(struct writer *writer, uint32_t max_frame_bytes, bool health_check);
void peer_write_disconnect(struct writer *writer, uint32_t status);

/* Makes as many whole frames of the bytes as fit, whatever their length words say. Where one has to
 * be written, `seed` tells what it is. */
void peer_mend_lengths(uint8_t *data, size_t size, size_t seed);

/* The parts of a NOTIFY's payload: a message's head, then one call per argument. */
void peer_write_message(struct writer *writer, struct slice name, uint8_t arguments);
void peer_write_boolean(struct writer *writer, struct slice name, bool value);
void peer_write_string(struct writer *writer, struct slice name, struct slice value);
/* What HAProxy cannot compute: a header that is not there. */
void peer_write_null(struct writer *writer, struct slice name);
/* As HAProxy writes any integer. */
void peer_write_integer(struct writer *writer, struct slice name, uint64_t value);
/* `bytes` holds 4 or 16 raw bytes. */
void peer_write_ip(struct writer *writer, struct slice name, struct slice bytes);

/* What an ACK has HAProxy do to a variable. */
struct peer_action {
    bool is_unset;
    uint8_t scope;
    struct slice name;
    struct spop_value value; /* of one that is set */
};

/* The next action of an ACK's payload; false when it is none that HAProxy would obey. */
MUST_CHECK bool peer_read_action(struct reader *reader, struct peer_action *action);
