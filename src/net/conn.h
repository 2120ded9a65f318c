/* The connections of one loop: what loop.c sees of them, and what conn.c and conn_set.c share.
 *
 *     READING ---- answers not read by the peer ----> WRITING
 *        |  <------------- all sent ------------------  |
 *        |                                              |
 *        +-- session closed --> LAST_WORDS <------------+
 *        |                          |  all sent, our side shut down
 *        |                       LINGERING  until the peer closes too, or linger_ms
 *        |                          |
 *        +-- end of file, error --> GONE  freed at the end of the turn
 *
 * LINGERING keeps a close from turning into a reset, which would take our last frames from the
 * peer. A connection under a deadline is looked at by one coarse timer of its loop, which runs only
 * while there is such a connection.
 */
#pragma once

#include "backlog.h"
#include "net/loop.h"
#include "patience.h"

#define EV_COMPAT3 0
#include <ev.h>
#include <stdatomic.h>

enum conn_state { CONN_READING, CONN_WRITING, CONN_LAST_WORDS, CONN_LINGERING, CONN_GONE };

enum {
    RECEIVE_BYTES = 32 * 1024, /* the most that one wake takes in: a pipelined burst and more */
    GATHER_BYTES = 4 * 1024,   /* who has not sent so much waits for others of the turn, */
    GATHER_MAX = 64,           /* so many at most */
    SEND_BYTES = 64 * 1024,    /* the answers of that burst in one send */
    OUTPUT_MAX_BYTES = 256 * 1024,
};
/* An unfinished frame must leave room to receive the rest of it. */
static_assert(RECEIVE_BYTES > 4 + SPOP_MAX_FRAME_BYTES, "the receive buffer holds a whole frame");

struct conn_set;

struct conn {
    struct ev_io io; /* reads or writes, as the state says; stopped when GONE */
    struct conn_set *set;
    uint64_t id;              /* its low bits are its place in conn_set.conns */
    enum conn_state state;    /* written by conn_move() only */
    enum loop_counter end;    /* while leaving: what its end will count as */
    int64_t deadline_mono_ms; /* 0: none; written by conn_set_deadline() only */
    struct spop_session session;
    struct backlog input;     /* an unfinished frame; what is unread while WRITING */
    struct backlog output;    /* unsent; whole frames unless WRITING or LAST_WORDS */
    bool has_unsent;          /* on conn_set.unsent */
    uint32_t notifies_before; /* the session's when the hand of conn_set came by last */
    struct conn *next_unsent;
    struct conn *next_gone;
};

/* The loop's connections and what they share. */
struct conn_set {
    struct ev_loop *events;
    const struct loop_handler *handler;
    const struct loops_settings *settings;
    void *context;
    struct conn **conns; /* NULL where free */
    uint32_t *free_places;
    uint32_t free_count;
    uint32_t capacity;
    uint64_t next_sequence; /* of connection ids */
    uint64_t sequence_step;
    uint32_t timed_count;             /* connections with a deadline */
    uint32_t connections_max;         /* the share of this loop; 0: no bound */
    uint32_t hand;                    /* the place of whom conn_set_make_room() looks at next */
    int64_t full_told_mono_ms;        /* when the log was last told that one gave way; 0: never */
    _Atomic int64_t gave_way_mono_ms; /* when one did so last, for any thread; 0: never */
    uint64_t current_id;              /* whose NOTIFY is being answered */
    bool is_leaving;
    uint8_t *receive_buffer;                 /* room for RECEIVE_BYTES behind what is gathered */
    struct conn *gathered[GATHER_MAX];       /* who has received something in this turn, */
    struct slice gathered_bytes[GATHER_MAX]; /* and what, an unfinished frame before it */
    unsigned gathered_count;
    size_t gathered_size;
    uint8_t *send_buffer;
    struct conn *unsent;
    struct conn *gone;
    struct ev_timer sweep;         /* runs while timed_count > 0 */
    struct patience patience;      /* looked at in each turn */
    struct ev_prepare end_of_turn; /* answers what is gathered, sends, frees who is gone */
    _Atomic uint64_t counters[LOOP_COUNTER__MAX];
};

/* Only the loop's thread writes, so that no locked instruction is needed. CONNECTIONS_OPEN has two
 * writers and is not for this function. */
static inline void conn_set_count(struct conn_set *set, enum loop_counter counter, uint64_t more)
{
    uint64_t value = atomic_load_explicit(&set->counters[counter], memory_order_relaxed);
    atomic_store_explicit(&set->counters[counter], value + more, memory_order_relaxed);
}

/* `index` makes connection ids differ between loops. */
void conn_set_init(struct conn_set *set, struct ev_loop *events, unsigned index,
                   const struct loop_handler *handler, const struct loops_settings *settings);
/* Ends what is still open. */
void conn_set_fini(struct conn_set *set);
/* Answers what is held, takes leave of all, and ends the event loop when none is left. */
void conn_set_leave(struct conn_set *set);
/* Closes every connection as it is. */
void conn_set_close_all(struct conn_set *set);
/* Before so many are opened: has connections give way, until they have places, if that may be. */
void conn_set_make_room(struct conn_set *set, uint32_t newcomers);
/* Whether fewer than a quarter of all have been opened since. */
bool conn_set_is_young(const struct conn_set *set, const struct conn *conn);
struct conn *conn_set_find(const struct conn_set *set, uint64_t id);

/* For conn.c: a place and an id, or false without memory. */
MUST_CHECK bool conn_set_insert(struct conn_set *set, struct conn *conn);
void conn_set_remove(struct conn_set *set, struct conn *conn);
void conn_set_deadline(struct conn *conn, int64_t delay_ms); /* 0: none */
void conn_set_mark_unsent(struct conn *conn);

/* Takes the socket over; closes it when there is no memory. */
void conn_open(struct conn_set *set, int fd);
/* Answers what was gathered. */
void conn_serve_gathered(struct conn_set *set);
void conn_end(struct conn *conn, enum loop_counter reason);
bool conn_answer(struct conn *conn, uint64_t stream_id, uint64_t frame_id, struct slice actions);
/* Sends what conn_answer() has gathered. */
void conn_flush(struct conn *conn);
void conn_leave(struct conn *conn);
/* Whether it has asked nothing since this was asked last, and nothing is on its way either, in
 * either direction. */
bool conn_has_rested(struct conn *conn);
void conn_give_way(struct conn *conn);
void conn_expire(struct conn *conn);
