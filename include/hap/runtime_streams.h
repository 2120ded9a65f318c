/* What `show sess all` tells of HAProxy's streams: the requests and tunnels that are under way,
 * each with the server that it leads to. Pure. */
#pragma once

#include "core/ip.h"

struct runtime_stream {
    struct slice id;  /* "0x55d1c8a3b2f0", for `shutdown session`; a view */
    struct ip server; /* IP_NONE: it leads to none (yet) */
    uint16_t port;
    bool is_tunnel;          /* a WebSocket, since there is no CONNECT */
    uint64_t received_bytes; /* from the server, so far */
};

/* Whether this is all that HAProxy has to tell: one line at least for the stream that asked, and an
 * empty line behind the last one. A refusal, or an answer that was cut, is not. */
MUST_CHECK bool runtime_streams_are_whole(struct slice answer);

/* Takes one stream off the answer; false when none is left. */
MUST_CHECK bool runtime_stream_next(struct slice *answer, struct runtime_stream *stream);
