/* The floor: what receiving and sending the frames costs, and nothing else.
 *
 *     bench_null --address ADDRESS... --ack-bytes N
 *
 * A bare epoll loop with one recv() and one send() per wake. It reads length words alone, answers
 * the first frame of a connection with a canned AGENT-HELLO and every other one with a canned ACK
 * of N bytes (length word included), and allocates a connection's buffer when it is accepted.
 */
#include "bench/bench_socket.h"
#include "spop/spop_frame.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_BYTES = 32768, OUT_BYTES = 262144, EVENTS_MAX = 256 };

struct connection {
    int fd;
    bool listening;
    bool greeted;
    size_t in_used;
    uint8_t *in; /* IN_BYTES; NULL for a listener */
};

static uint8_t hello[256];
static size_t hello_bytes;
static uint8_t ack[4096];
static size_t ack_bytes;
static uint8_t out[OUT_BYTES];

static void prepare_answers(void)
{
    static const char FILLER[sizeof(ack)];
    struct writer writer = writer_of(hello, sizeof(hello));
    spop_frame_begin(&writer, SPOP_FRAME_AGENT_HELLO, 0, 0);
    spop_write_string(&writer, SLICE("version"));
    writer_u8(&writer, SPOP_STRING);
    spop_write_string(&writer, SLICE("2.0"));
    spop_write_string(&writer, SLICE("max-frame-size"));
    writer_u8(&writer, SPOP_UINT32);
    spop_write_varint(&writer, 16380);
    spop_write_string(&writer, SLICE("capabilities"));
    writer_u8(&writer, SPOP_STRING);
    spop_write_string(&writer, SLICE("pipelining"));
    spop_frame_end(&writer, hello);
    hello_bytes = writer_used(&writer);

    writer = writer_of(ack, ack_bytes);
    spop_frame_begin(&writer, SPOP_FRAME_ACK, 1, 1);
    writer_bytes(&writer, slice_from(FILLER, writer_left(&writer)));
    spop_frame_end(&writer, ack);
    if (writer.failed)
        bench_give_up("--ack-bytes: too few for an ACK");
}

static void watch(int epoll, int fd, bool listening)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    connection->fd = fd;
    connection->listening = listening;
    if (!listening)
        connection->in = malloc(IN_BYTES);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        bench_give_up("epoll_ctl: %s", strerror(errno));
}

static void accept_all(int epoll, const struct connection *listener)
{
    int fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(epoll, fd, false);
    }
}

static void end(struct connection *connection)
{
    close(connection->fd);
    free(connection->in);
    free(connection);
}

/* How much is to be sent for the whole frames of the input, which are dropped from it. */
static size_t answer_frames(struct connection *connection)
{
    size_t taken = 0;
    size_t used = 0;
    struct reader reader = reader_of(slice_from(connection->in, connection->in_used));
    for (;;) {
        uint32_t length = reader_u32(&reader);
        (void)reader_bytes(&reader, length);
        if (reader.failed || used + sizeof(ack) > OUT_BYTES)
            break;
        taken = (size_t)(reader.position - connection->in);
        const uint8_t *answer = connection->greeted ? ack : hello;
        size_t size = connection->greeted ? ack_bytes : hello_bytes;
        memcpy(out + used, answer, size);
        used += size;
        connection->greeted = true;
    }
    connection->in_used -= taken;
    memmove(connection->in, connection->in + taken, connection->in_used);
    return used;
}

static void serve(struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->in + connection->in_used,
                       IN_BYTES - connection->in_used, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        end(connection);
        return;
    }
    connection->in_used += (size_t)got;
    size_t size = answer_frames(connection);
    if (size > 0 && send(connection->fd, out, size, MSG_NOSIGNAL) != (ssize_t)size)
        end(connection); /* the load generator always reads */
}

int main(int count, char **arguments)
{
    static const struct option OPTIONS[] = {{"address", required_argument, NULL, 'a'},
                                            {"ack-bytes", required_argument, NULL, 'b'},
                                            {0}};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int option; (option = getopt_long(count, arguments, "", OPTIONS, NULL)) >= 0;) {
        if (option == 'a')
            watch(epoll, bench_listen(optarg), true);
        else if (option == 'b')
            ack_bytes = size_min(strtoul(optarg, NULL, 10), sizeof(ack));
        else
            return EXIT_FAILURE;
    }
    prepare_answers();
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->listening)
                accept_all(epoll, connection);
            else
                serve(connection);
        }
    }
}
