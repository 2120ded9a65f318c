/* One connection: bytes between its socket and its SPOP session. See conn.h for its states.
 *
 * A wake is one recv() into the loop's buffer, the session's answers into the loop's other buffer,
 * and one send(). More than a buffer holds waits for the next wake, so that no peer can keep the
 * loop to itself. The watcher is touched only when the state changes, never per frame.
 *
 * Connections that are ready in the same turn are all received from before the first is answered,
 * unless they bring much: so the application can look ahead over all of them, and each step's code
 * stays in the processor's caches from one to the next.
 */
#include "conn.h"

#include "core/clock.h"
#include "core/ip.h"
#include "core/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEER_TEXT_SIZE = IP_PORT_TEXT_SIZE, FULL_TOLD_EVERY_MS = 60 * 1000 };

static void conn_move(struct conn *conn, enum conn_state state)
{
    static const bool MAY_FOLLOW[CONN_GONE + 1][CONN_GONE + 1] = {
        [CONN_READING] = {[CONN_WRITING] = true,
                          [CONN_LAST_WORDS] = true,
                          [CONN_LINGERING] = true,
                          [CONN_GONE] = true},
        [CONN_WRITING] = {[CONN_READING] = true,
                          [CONN_LAST_WORDS] = true,
                          [CONN_LINGERING] = true,
                          [CONN_GONE] = true},
        [CONN_LAST_WORDS] = {[CONN_LINGERING] = true, [CONN_GONE] = true},
        [CONN_LINGERING] = {[CONN_GONE] = true},
    };
    assert(MAY_FOLLOW[conn->state][state]);
    bool was_reading = conn->state == CONN_READING || conn->state == CONN_LINGERING;
    bool is_reading = state == CONN_READING || state == CONN_LINGERING;
    conn->state = state;
    if (state != CONN_GONE && was_reading == is_reading)
        return;
    ev_io_stop(conn->set->events, &conn->io);
    if (state == CONN_GONE)
        return;
    ev_io_set(&conn->io, conn->io.fd, is_reading ? EV_READ : EV_WRITE);
    ev_io_start(conn->set->events, &conn->io);
}

/* Who is at the other end, for a log line. */
static const char *peer_text(int fd, char text[static PEER_TEXT_SIZE])
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof(peer);
    struct ucred credentials = {0};
    struct ip ip;
    uint16_t port;

    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return NULL;
    if (ip_from_socket((struct sockaddr *)&peer, &ip, &port))
        return ip_print_with_port(&ip, port, text);
    size = sizeof(credentials);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return NULL;
    snprintf(text, PEER_TEXT_SIZE, "pid:%ld", (long)credentials.pid);
    return text;
}

/* What an admin should know: a peer that is no HAProxy, or one in trouble. */
static void log_end(const struct conn *conn, enum loop_counter reason)
{
    char peer[PEER_TEXT_SIZE];
    switch (reason) {
    case LOOP_CLOSED_HELLO_TIMEOUT:
    case LOOP_CLOSED_FRAME_TIMEOUT:
    case LOOP_CLOSED_WRITE_TIMEOUT:
    case LOOP_CLOSED_OVERFLOW:
    case LOOP_CLOSED_NO_MEMORY:
    case LOOP_CLOSED_IO_ERROR:
        log_event(LOG_WARNING, "connection_lost", LOG_TEXT("reason", loop_counter_help(reason)),
                  LOG_TEXT("peer", peer_text(conn->io.fd, peer)));
        break;
    default: break;
    }
}

void conn_end(struct conn *conn, enum loop_counter reason)
{
    log_end(conn, reason);
    conn_set_count(conn->set, reason, 1);
    conn_move(conn, CONN_GONE);
    close(conn->io.fd);
    backlog_clear(&conn->input);
    backlog_clear(&conn->output);
    conn_set_remove(conn->set, conn);
}

/* A peer that goes away is not an error: HAProxy 3.2 ends idle connections with a reset. */
static enum loop_counter reason_of_errno(const struct conn *conn)
{
    switch (errno) {
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return backlog_size(&conn->input) > 0 ? LOOP_CLOSED_TRUNCATED : LOOP_CLOSED_BY_PEER;
    default: return LOOP_CLOSED_IO_ERROR;
    }
}

static bool is_transient(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* Sends as much of `bytes` as the kernel takes now. False when that ended the connection. */
MUST_CHECK static bool conn_push(struct conn *conn, struct slice bytes, size_t *sent)
{
    conn_set_count(conn->set, LOOP_SENDS, 1);
    ssize_t count = send(conn->io.fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    if (count < 0 && !is_transient(errno)) {
        conn_end(conn, conn->state == CONN_LAST_WORDS ? conn->end : reason_of_errno(conn));
        return false;
    }
    *sent = count < 0 ? 0 : (size_t)count;
    conn_set_count(conn->set, LOOP_BYTES_OUT, *sent);
    if (*sent < bytes.size)
        conn_set_count(conn->set, LOOP_SHORT_SENDS, 1);
    return true;
}

/* Sends `bytes`, which lie in the loop's buffer, and keeps what the peer has no room for. */
MUST_CHECK static bool conn_send(struct conn *conn, struct slice bytes)
{
    size_t sent = 0;
    if (bytes.size == 0)
        return true;
    if (!conn_push(conn, bytes, &sent))
        return false;
    if (!backlog_append(&conn->output, slice_skip(bytes, sent))) {
        conn_end(conn, LOOP_CLOSED_NO_MEMORY);
        return false;
    }
    return true;
}

MUST_CHECK static bool conn_send_output(struct conn *conn)
{
    size_t sent = 0;
    if (backlog_size(&conn->output) == 0)
        return true;
    if (!conn_push(conn, backlog_bytes(&conn->output), &sent))
        return false;
    backlog_drop(&conn->output, sent);
    return true;
}

static void conn_linger(struct conn *conn)
{
    shutdown(conn->io.fd, SHUT_WR);
    conn_set_deadline(conn, conn->set->settings->linger_ms);
    conn_move(conn, CONN_LINGERING);
}

/* The session is closed: sends what is left, then waits for the peer to close. */
static void conn_finish(struct conn *conn)
{
    backlog_clear(&conn->input);
    if (backlog_size(&conn->output) == 0) {
        conn_linger(conn);
    } else if (conn->state != CONN_LAST_WORDS) {
        conn_set_deadline(conn, conn->set->settings->write_timeout_ms);
        conn_move(conn, CONN_LAST_WORDS);
    }
}

static enum loop_counter kind_of_error(enum spop_status status)
{
    switch (status) {
    case SPOP_STATUS_TOO_BIG: return LOOP_PROTOCOL_TOO_BIG;
    case SPOP_STATUS_FRAGMENTATION: return LOOP_PROTOCOL_FRAGMENT;
    default: return LOOP_PROTOCOL_INVALID;
    }
}

static void conn_session_closed(struct conn *conn, const char *reason)
{
    char peer[PEER_TEXT_SIZE];
    if (reason != NULL) {
        conn->end = LOOP_CLOSED_PROTOCOL;
        conn_set_count(conn->set, kind_of_error(conn->session.close_status), 1);
        log_event(LOG_WARNING, "protocol_error", LOG_TEXT("reason", reason),
                  LOG_TEXT("peer", peer_text(conn->io.fd, peer)));
    } else if (conn->session.health_check) {
        conn->end = LOOP_CLOSED_HEALTH_CHECK;
    } else {
        conn->end = conn->set->is_leaving ? LOOP_CLOSED_DRAINED : LOOP_CLOSED_DISCONNECT;
    }
    conn_finish(conn);
}

/* The peer does not read: nothing is read from it either until it does. */
static void conn_stall(struct conn *conn)
{
    conn_set_deadline(conn, conn->set->settings->write_timeout_ms);
    if (conn->state != CONN_WRITING)
        conn_move(conn, CONN_WRITING);
}

/* Keeps what is unread and sets the state and the deadline that follow. `has_advanced` tells that a
 * frame was completed, which gives the next one its full time. So does the end of a stall: the rest
 * of the frame could not be received meanwhile. */
static void conn_settle(struct conn *conn, struct slice unread, bool has_advanced)
{
    if ((unread.size > 0 || conn->input.data != NULL) && !backlog_set(&conn->input, unread)) {
        conn_end(conn, LOOP_CLOSED_NO_MEMORY);
        return;
    }
    if (backlog_size(&conn->output) > 0) {
        conn_stall(conn);
        return;
    }
    if (conn->state != CONN_READING) {
        conn_move(conn, CONN_READING);
        has_advanced = true;
    }
    if (conn->session.state == SPOP_WAIT_HELLO)
        return; /* conn_open() set its deadline */
    if (unread.size == 0)
        conn_set_deadline(conn, 0);
    else if (has_advanced || conn->deadline_mono_ms == 0)
        conn_set_deadline(conn, conn->set->settings->frame_timeout_ms);
}

/* Whether more has arrived than one recv() took. */
static bool has_more_input(const struct conn *conn)
{
    int size = 0;
    return ioctl(conn->io.fd, FIONREAD, &size) == 0 && size > 0;
}

/* Has the session answer `input`, which lies in the loop's receive buffer. One round, unless the
 * answers outgrow the send buffer. */
static void conn_serve(struct conn *conn, struct slice input)
{
    struct conn_set *set = conn->set;
    size_t size_before = input.size;
    const char *reason = NULL;
    bool is_full;

    do {
        struct writer out = writer_of(set->send_buffer, SEND_BYTES);
        uint32_t notifies = conn->session.notifies;
        set->current_id = conn->id;
        size_t used = spop_session_feed(&conn->session, input, &out, set->handler->on_notify,
                                        set->context, &reason);
        set->current_id = 0;
        conn_set_count(set, LOOP_NOTIFIES, conn->session.notifies - notifies);
        input = slice_skip(input, used);
        is_full = writer_left(&out) < SPOP_ACK_MAX_BYTES;
        /* Whoever is in the middle of a frame is heard out: its answer would be missing. */
        if (set->is_leaving && !is_full && input.size == 0 && !has_more_input(conn))
            spop_session_drain(&conn->session, &out);
        if (!conn_send(conn, writer_written(&out)))
            return;
    } while (is_full && backlog_size(&conn->output) == 0 && conn->session.state != SPOP_CLOSED);

    if (conn->session.state == SPOP_CLOSED)
        conn_session_closed(conn, reason);
    else
        conn_settle(conn, input, input.size < size_before);
}

static void conn_serve_received(struct conn *conn, struct slice received)
{
    /* Held answers of this turn go first: behind a send that falls short they would land in the
     * middle of a frame. */
    if (conn->has_unsent)
        conn_flush(conn);
    if (conn->state == CONN_READING)
        conn_serve(conn, received);
    else if (conn->state == CONN_WRITING && !backlog_set(&conn->input, received))
        conn_end(conn, LOOP_CLOSED_NO_MEMORY);
}

static void tell_input(struct conn_set *set, const struct slice *received, size_t count)
{
    if (set->handler->on_input != NULL)
        set->handler->on_input(set->context, received, count);
}

void conn_serve_gathered(struct conn_set *set)
{
    if (set->gathered_count == 0)
        return;
    tell_input(set, set->gathered_bytes, set->gathered_count);
    for (unsigned i = 0; i < set->gathered_count; i++)
        conn_serve_received(set->gathered[i], set->gathered_bytes[i]);
    set->gathered_count = 0;
    set->gathered_size = 0;
}

static void conn_gather(struct conn *conn, struct slice received)
{
    struct conn_set *set = conn->set;
    set->gathered[set->gathered_count] = conn;
    set->gathered_bytes[set->gathered_count++] = received;
    set->gathered_size += received.size;
    if (set->gathered_count == GATHER_MAX || set->gathered_size >= GATHER_BYTES)
        conn_serve_gathered(set);
}

/* To where the connection's next bytes go. */
static struct slice copy_kept_input(struct conn *conn)
{
    uint8_t *buffer = conn->set->receive_buffer + conn->set->gathered_size;
    struct slice kept = backlog_bytes(&conn->input);
    if (kept.size > 0)
        memcpy(buffer, kept.data, kept.size);
    return slice_from(buffer, kept.size);
}

static void conn_receive(struct conn *conn)
{
    struct conn_set *set = conn->set;
    struct slice kept = copy_kept_input(conn);
    uint8_t *buffer = set->receive_buffer + set->gathered_size;
    ssize_t count = recv(conn->io.fd, buffer + kept.size, RECEIVE_BYTES - kept.size, 0);
    conn_set_count(set, LOOP_RECEIVES, 1);
    if (count == 0) {
        conn_end(conn, kept.size > 0 ? LOOP_CLOSED_TRUNCATED : LOOP_CLOSED_BY_PEER);
        return;
    }
    if (count < 0) {
        if (!is_transient(errno)) {
            conn_end(conn, reason_of_errno(conn));
            return;
        }
        if (!set->is_leaving)
            return;
        count = 0;
    }
    conn_set_count(set, LOOP_BYTES_IN, (uint64_t)count);
    conn_gather(conn, slice_from(buffer, kept.size + (size_t)count));
}

/* The peer reads again. */
static void conn_resume(struct conn *conn)
{
    if (!conn_send_output(conn))
        return;
    if (backlog_size(&conn->output) > 0) {
        conn_stall(conn);
        return;
    }
    struct slice kept = copy_kept_input(conn);
    tell_input(conn->set, &kept, 1);
    conn_serve(conn, kept);
}

static void conn_send_last_words(struct conn *conn)
{
    if (conn_send_output(conn))
        conn_finish(conn);
}

/* What the peer still sends is of no interest; that it closes is. */
static void conn_discard(struct conn *conn)
{
    struct conn_set *set = conn->set;
    uint8_t *buffer = set->receive_buffer + set->gathered_size;
    ssize_t count = recv(conn->io.fd, buffer, RECEIVE_BYTES, 0);
    if (count == 0 || (count < 0 && !is_transient(errno)))
        conn_end(conn, conn->end);
}

static void on_io(struct ev_loop *events, struct ev_io *io, int revents)
{
    struct conn *conn = CONTAINER_OF(io, struct conn, io);
    (void)events;
    (void)revents;
    switch (conn->state) {
    case CONN_READING: conn_receive(conn); break;
    case CONN_WRITING: conn_resume(conn); break;
    case CONN_LAST_WORDS: conn_send_last_words(conn); break;
    case CONN_LINGERING: conn_discard(conn); break;
    case CONN_GONE: assert(!"a connection that is gone has no watcher");
    }
}

void conn_open(struct conn_set *set, int fd)
{
    conn_set_make_room(set, 1);
    struct conn *conn = calloc(1, sizeof(*conn));
    conn_set_count(set, LOOP_CONNECTIONS_TAKEN, 1);
    if (conn == NULL || !conn_set_insert(set, conn)) {
        free(conn);
        close(fd);
        conn_set_count(set, LOOP_CLOSED_NO_MEMORY, 1);
        atomic_fetch_sub_explicit(&set->counters[LOOP_CONNECTIONS_OPEN], 1, memory_order_relaxed);
        return;
    }
    spop_session_init(&conn->session);
    conn_set_deadline(conn, set->settings->hello_timeout_ms);
    ev_io_init(&conn->io, on_io, fd, EV_READ);
    ev_io_start(set->events, &conn->io);
}

bool conn_answer(struct conn *conn, uint64_t stream_id, uint64_t frame_id, struct slice actions)
{
    bool is_open = conn->session.state == SPOP_RUNNING || conn->session.state == SPOP_DRAINING;
    if (conn->state == CONN_GONE || !is_open || conn->session.held == 0)
        return false;
    if (backlog_size(&conn->output) > OUTPUT_MAX_BYTES) {
        conn_end(conn, LOOP_CLOSED_OVERFLOW);
        return false;
    }
    /* Room for a DISCONNECT too, which follows the last answer of a drain. */
    uint8_t *space = backlog_reserve(&conn->output, 2 * SPOP_ACK_MAX_BYTES);
    if (space == NULL) {
        conn_end(conn, LOOP_CLOSED_NO_MEMORY);
        return false;
    }
    struct writer out = writer_of(space, 2 * SPOP_ACK_MAX_BYTES);
    spop_session_ack(&conn->session, stream_id, frame_id, actions, &out);
    backlog_grow(&conn->output, writer_used(&out));
    conn_set_count(conn->set, LOOP_HELD, 1);
    conn_set_mark_unsent(conn);
    return true;
}

void conn_flush(struct conn *conn)
{
    if (conn->state != CONN_READING && conn->state != CONN_WRITING)
        return;
    if (conn->state == CONN_READING && !conn_send_output(conn))
        return;
    if (conn->session.state == SPOP_CLOSED)
        conn_session_closed(conn, NULL);
    else if (conn->state == CONN_READING && backlog_size(&conn->output) > 0)
        conn_stall(conn);
}

void conn_leave(struct conn *conn)
{
    if (conn->state == CONN_READING)
        conn_receive(conn);
}

/* Part of a question has come, or of an answer gone: to end the connection now would lose the
 * request. The timeouts of frames and writes see to it that this does not last. Who has not greeted
 * yet has asked nothing that could be lost. */
static bool is_amid_request(const struct conn *conn)
{
    return conn->session.state == SPOP_RUNNING &&
           (backlog_size(&conn->input) > 0 || backlog_size(&conn->output) > 0);
}

bool conn_has_rested(struct conn *conn)
{
    uint32_t notifies = conn->session.notifies;
    bool has_asked = notifies != conn->notifies_before;
    conn->notifies_before = notifies;
    if (has_asked || conn->session.held > 0 || conn->has_unsent || is_amid_request(conn))
        return false;
    return !conn_set_is_young(conn->set, conn) &&
           (conn->state != CONN_READING || !has_more_input(conn));
}

/* One line a minute: whoever opens connections all the time is not to fill the disk, too. */
static void log_full(struct conn *conn)
{
    struct conn_set *set = conn->set;
    char peer[PEER_TEXT_SIZE];
    int64_t now_ms = clock_mono_ms();
    atomic_store_explicit(&set->gave_way_mono_ms, now_ms, memory_order_relaxed);
    if (set->full_told_mono_ms != 0 && now_ms - set->full_told_mono_ms < FULL_TOLD_EVERY_MS)
        return;
    set->full_told_mono_ms = now_ms;
    log_event(LOG_WARNING, "connections_full",
              LOG_NUMBER("connections", set->settings->connections_max),
              LOG_TEXT("gave_way", peer_text(conn->io.fd, peer)),
              LOG_TEXT("reason", "descriptors are kept for everything else"),
              LOG_TEXT("hint", "see who has so many; if it is HAProxy, raise LimitNOFILE= of the "
                               "service"));
}

/* HAProxy is told, and comes back when it needs one. Nobody is waited for: the descriptor is what
 * is wanted. */
void conn_give_way(struct conn *conn)
{
    struct writer out = writer_of(conn->set->send_buffer, SEND_BYTES);
    size_t sent;
    if (conn->state == CONN_LAST_WORDS || conn->state == CONN_LINGERING) {
        conn_end(conn, conn->end);
        return;
    }
    log_full(conn);
    if (conn->state == CONN_READING)
        spop_session_drain(&conn->session, &out);
    if (writer_used(&out) == 0 || conn_push(conn, writer_written(&out), &sent))
        conn_end(conn, LOOP_CLOSED_GAVE_WAY);
}

void conn_expire(struct conn *conn)
{
    switch (conn->state) {
    case CONN_READING:
        conn_end(conn, conn->session.state == SPOP_WAIT_HELLO ? LOOP_CLOSED_HELLO_TIMEOUT
                                                              : LOOP_CLOSED_FRAME_TIMEOUT);
        break;
    case CONN_WRITING:
    case CONN_LAST_WORDS: conn_end(conn, LOOP_CLOSED_WRITE_TIMEOUT); break;
    case CONN_LINGERING: conn_end(conn, conn->end); break;
    case CONN_GONE: break;
    }
}
