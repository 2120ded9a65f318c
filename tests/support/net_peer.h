/* For the tests of net: a HAProxy at the other end of a socket, and an application above the loops
 * that does what the messages say. Whatever fails in here ends the program with SIGABRT and a line
 * that says what, which every test runner counts as a failure. */
#pragma once

#include "net/loop.h"
#include "support/spop_peer.h"

#include <stdatomic.h>

/* ---- The peer ---- */

enum { PEER_TIMEOUT_S = 20 };

struct net_peer {
    int fd; /* blocking, but for PEER_TIMEOUT_S at most */
    uint8_t bytes[64 * 1024];
    size_t start;
    size_t end;
};

/* Takes `fd` over. */
struct net_peer *net_peer_new(int fd);
/* A socket pair whose other end goes to the loops, with `first` already in it. Its send buffer has
 * `send_buffer_bytes`; 0 leaves it as it comes. */
struct net_peer *net_peer_join(struct loops *loops, struct slice first, int send_buffer_bytes);
/* Joins and greets. */
struct net_peer *net_peer_greeted(struct loops *loops);
/* Closes the socket. */
void net_peer_free(struct net_peer *peer);

void net_peer_send(struct net_peer *peer, struct slice bytes);
/* The next frame, whose payload lives until the next call. False at the end of the stream,
 * even within a frame. */
bool net_peer_frame(struct net_peer *peer, struct spop_frame *frame);
void net_write_hello(struct writer *writer);
/* A NOTIFY with one message without arguments, whose name tells the application what to do. */
void net_write_notify(struct writer *writer, struct slice message, uint64_t stream_id);
/* A HELLO and `count` NOTIFYs, from the id `first` on, all of which `writer` has room for. */
struct slice net_write_burst(struct writer *writer, struct slice message, uint64_t first,
                             uint64_t count);
void net_peer_notify(struct net_peer *peer, struct slice message, uint64_t stream_id);

void net_peer_expect_hello(struct net_peer *peer);
/* An ACK that answers `stream_id` with the actions that are due. */
void net_peer_expect_ack(struct net_peer *peer, uint64_t stream_id);
void net_peer_expect_disconnect(struct net_peer *peer, uint32_t status);
/* The end of the stream, with nothing before it, not even a part of a frame. */
void net_peer_expect_end(struct net_peer *peer);

/* ---- The application ----
 *
 * A message "echo" is answered at once, "hold" when a value says so; at "wait" the loop stands
 * still until `waiting` is 0 again. The actions of an answer are
 * 0 to 255 bytes, which follow from the stream-id, and for "big" as many as there may be. */

enum { TEST_HELD_MAX = 64 };

/* The context, one per loop. */
struct test_app {
    struct loop *loop;
    struct {
        uint64_t connection_id;
        uint64_t stream_id;
    } held[TEST_HELD_MAX];
    size_t held_count;
    uint64_t value_number;     /* of the last value */
    _Atomic uint64_t answered; /* held NOTIFYs that loop_answer() took */
    _Atomic uint64_t too_late; /* and those whose connection was gone */
    _Atomic uint64_t timers;
    _Atomic uint64_t waiting; /* 1 while the loop stands still */
    _Atomic uint64_t stale;   /* NOTIFYs that came before the first value */
};

/* What is published. Counted, so that a test sees that each one is released, and once. */
struct test_value {
    uint64_t number;
    enum { HOLD, ANSWER_LAST_FIRST, ANSWER_FIRST_FIRST } held; /* what to do with what is held */
    int64_t timer_ms;                                          /* set a timer; 0: none */
};

extern _Atomic uint64_t test_values_made;
extern _Atomic uint64_t test_values_freed;

struct test_value *test_value_new(uint64_t number);

struct test_net {
    struct loops *loops;
    struct test_app apps[LOOPS_MAX];
};

/* Loops that do not run yet. */
struct test_net *test_net_new(const struct loops_settings *settings);
void test_net_run(struct test_net *net);
/* Both at once. */
struct test_net *test_net_start(const struct loops_settings *settings);
/* Stops, joins, frees. */
void test_net_free(struct test_net *net);
/* Wait until a counter over all loops is at least, or is exactly, `wanted`; false when it takes
 * longer than PEER_TIMEOUT_S. */
bool test_net_reaches(struct test_net *net, enum loop_counter counter, uint64_t wanted);
bool test_net_becomes(struct test_net *net, enum loop_counter counter, uint64_t wanted);
/* The same for a number of a test's own. */
bool test_reaches(const _Atomic uint64_t *number, uint64_t wanted);
