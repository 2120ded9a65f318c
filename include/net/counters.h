/* What a loop counts. Written by the loop's thread alone, readable from any thread. */
#pragma once

#include "core/base.h"

/* X(NAME, "metric name", "help"). CONNECTIONS_OPEN is the one that can fall. */
#define LOOP_COUNTER_TABLE(X)                                                                    \
    X(CONNECTIONS_OPEN, "connections_open", "connections now")                                   \
    X(CONNECTIONS_TAKEN, "connections_taken", "connections taken from the listener")             \
    X(CLOSED_BY_PEER, "closed_by_peer", "closed by the peer between two frames")                 \
    X(CLOSED_TRUNCATED, "closed_truncated", "closed by the peer within a frame")                 \
    X(CLOSED_HEALTH_CHECK, "closed_health_check", "health checks answered")                      \
    X(CLOSED_DISCONNECT, "closed_disconnect", "closed after the peer's DISCONNECT")              \
    X(CLOSED_PROTOCOL, "closed_protocol", "closed because the peer broke the protocol")          \
    X(PROTOCOL_TOO_BIG, "protocol_too_big", "of these: a frame longer than negotiated")          \
    X(PROTOCOL_INVALID, "protocol_invalid", "of these: bytes that are no frame, or out of turn") \
    X(PROTOCOL_FRAGMENT, "protocol_fragment", "of these: a fragment, which was not negotiated")  \
    X(CLOSED_HELLO_TIMEOUT, "closed_hello_timeout", "closed for lack of a HELLO in time")        \
    X(CLOSED_FRAME_TIMEOUT, "closed_frame_timeout", "closed for lack of a frame's rest in time") \
    X(CLOSED_WRITE_TIMEOUT, "closed_write_timeout", "closed because answers were not read")      \
    X(CLOSED_OVERFLOW, "closed_overflow", "closed because too many answers were not read")       \
    X(CLOSED_GAVE_WAY, "closed_gave_way", "closed while idle, to make room for a new one")       \
    X(CLOSED_NO_MEMORY, "closed_no_memory", "closed for lack of memory")                         \
    X(CLOSED_IO_ERROR, "closed_io_error", "closed by an unexpected socket error")                \
    X(CLOSED_DRAINED, "closed_drained", "closed by a drain, all answered")                       \
    X(CLOSED_STOPPED, "closed_stopped", "closed by a stop or a drain's deadline")                \
    X(NOTIFIES, "notifies", "NOTIFY frames answered or held")                                    \
    X(HELD, "held", "ACKs sent later than their wake")                                           \
    X(RECEIVES, "receives", "recv() calls on connections")                                       \
    X(SENDS, "sends", "send() calls on connections")                                             \
    X(SHORT_SENDS, "short_sends", "send() calls that could not send everything")                 \
    X(BYTES_IN, "bytes_in", "bytes received")                                                    \
    X(BYTES_OUT, "bytes_out", "bytes sent")                                                      \
    X(VALUES, "values", "published values taken over")                                           \
    X(TURNS, "turns", "times that the loop came round, as it does when it is woken")

enum loop_counter {
#define X(NAME, METRIC, HELP) LOOP_##NAME,
    LOOP_COUNTER_TABLE(X)
#undef X
        LOOP_COUNTER__MAX,
};

const char *loop_counter_name(enum loop_counter counter);
const char *loop_counter_help(enum loop_counter counter);
