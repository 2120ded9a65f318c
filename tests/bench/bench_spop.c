/* A load generator that plays HAProxy's side of SPOP and checks every answer.
 *
 *     bench_spop --address ADDRESS [--connections 8] [--depth 1] [--tenants 10] [--seconds 2]
 *                [--warmup-ms 300] [--pid PID] [--canned] [--more FILE --more-count N]
 *                [--wildcards | --paths]
 *
 * Each connection keeps DEPTH requests in flight: what one recv() brought is answered by as many
 * new NOTIFYs in one send(), as HAProxy 2.6 and 3.0 gather theirs. A NOTIFY asks for the host of a
 * random tenant, t000001.example.test to tN; its ACK must name both ids, set `ok` to true and
 * `tenant` to the name that belongs to the host. Whatever else comes ends the program with
 * status 1, an `answer` to the client too. With --canned, ACKs are counted in order and not looked
 * into: for bench_null. With --more, each NOTIFY has the N arguments behind its own that the file
 * holds in SPOP's coding.
 *
 * With --wildcards a tenant is asked for by a name below its own, chat.t000010.example.test, and
 * with --paths by the host that all share, shared.example.test/t000020/...: every tenth has the
 * one, every twentieth the other (tests/scale).
 *
 * Prints one JSON object: rates and latency over the measured time, and with --pid the CPU time
 * that all threads of the agent took meanwhile.
 */
#include "bench/bench_cpu.h"
#include "bench/bench_socket.h"
#include "core/clock.h"
#include "support/spop_peer.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DEPTH_MAX = 64,
    MORE_MAX_BYTES = 1856,
    NOTIFY_MAX_BYTES = 192 + MORE_MAX_BYTES,
    IN_BYTES = 65536,
    SILENCE_MAX_MS = 5000,
    EVENTS_MAX = 256,
};

struct options {
    const char *address;
    unsigned connections;
    unsigned depth;
    unsigned tenants;
    double seconds;
    unsigned warmup_ms;
    int pid;
    bool canned;
    const char *more;
    unsigned more_count;
    enum { BY_HOST, BY_WILDCARD, BY_PATH } kind;
};

struct request {
    uint64_t stream_id;
    unsigned tenant;
    int64_t sent_ns;
};

/* Requests are kept in slots; a NOTIFY's frame-id is its slot + 1. */
struct connection {
    int fd;
    bool greeted;
    uint64_t next_stream_id;
    unsigned canned_slot; /* the slot that is answered next */
    size_t in_used;
    uint8_t in[IN_BYTES];
    struct request slots[DEPTH_MAX];
};

/* Latencies by powers of two, each in 32 steps: 3 % wide. */
enum { STEP_BITS = 5, HISTOGRAM_SIZE = (64 - STEP_BITS) << STEP_BITS };

static struct {
    uint64_t acks;
    uint64_t ack_bytes;
    uint64_t histogram[HISTOGRAM_SIZE];
} measured;

static struct options options = {
    .connections = 8, .depth = 1, .tenants = 10, .seconds = 2, .warmup_ms = 300};
static uint8_t more_bytes[MORE_MAX_BYTES];
static size_t more_size;
static uint64_t random_state = 88172645463325252ULL;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32);
}

/* ---- Latency ---- */

static void count_latency(int64_t taken_ns)
{
    uint64_t value = taken_ns < (1 << STEP_BITS) ? (1 << STEP_BITS) : (uint64_t)taken_ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
    measured.histogram[(power << STEP_BITS) + (value >> power) - (1 << STEP_BITS)]++;
}

static double percentile_us(double share)
{
    uint64_t rank = (uint64_t)(share * (double)measured.acks);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += measured.histogram[i];
        if (seen > rank)
            return (double)(((i & 31) + 32ULL) << (i >> STEP_BITS)) / 1000;
    }
    return 0;
}

/* ---- Asking ---- */

static void write_tenant(char name[static 8], unsigned tenant)
{
    for (int i = 6; i > 0; i--, tenant /= 10)
        name[i] = (char)('0' + tenant % 10);
    name[0] = 't';
    name[7] = '\0';
}

/* How tenants are asked for: every so many one, by a text with its name at some place. */
static const struct kind {
    unsigned every;
    const char *host;
    const char *path;
    int name_in_host; /* -1: not there */
    int name_in_path;
} KINDS[] = {
    [BY_HOST] = {1, "t000000.example.test", "/api/v1/chats/", 0, -1},
    [BY_WILDCARD] = {10, "chat.t000000.example.test", "/api/v1/chats/", 5, -1},
    [BY_PATH] = {20, "shared.example.test", "/t000000/api/v1/chats/", -1, 1},
};

static void write_named(struct writer *writer, struct slice key, const char *text, int name_at,
                        unsigned tenant)
{
    char copy[40];
    char name[8];
    size_t size = strlen(text);
    memcpy(copy, text, size);
    write_tenant(name, tenant);
    if (name_at >= 0)
        memcpy(copy + name_at, name, sizeof(name) - 1);
    peer_write_string(writer, key, slice_from(copy, size));
}

/* The message `route` as haproxy/owui.spoe.cfg asks it for a request over TLS. */
static void write_notify(struct writer *writer, struct connection *connection, unsigned slot)
{
    struct request *request = &connection->slots[slot];
    const struct kind *kind = &KINDS[options.kind];
    unsigned tenant = (1 + next_random() % (options.tenants / kind->every)) * kind->every;
    request->stream_id = connection->next_stream_id++;
    request->tenant = tenant;

    uint8_t *start = writer->position;
    spop_frame_begin(writer, SPOP_FRAME_NOTIFY, request->stream_id, slot + 1);
    peer_write_message(writer, SLICE("route"), (uint8_t)(5 + options.more_count));
    write_named(writer, SLICE("host"), kind->host, kind->name_in_host, tenant);
    write_named(writer, SLICE("path"), kind->path, kind->name_in_path, tenant);
    peer_write_ip(writer, SLICE("src"), SLICE("\xcb\x00\x71\x07"));
    peer_write_boolean(writer, SLICE("tls"), true);
    peer_write_boolean(writer, SLICE("hb"), false);
    writer_bytes(writer, slice_from(more_bytes, more_size));
    spop_frame_end(writer, start);
}

static void send_all(const struct connection *connection, const struct writer *writer)
{
    size_t size = writer_used(writer);
    if (writer->failed || send(connection->fd, writer->start, size, MSG_NOSIGNAL) != (ssize_t)size)
        bench_give_up("send: %s", strerror(errno));
}

/* ---- Checking ---- */

/* The next SET-VAR of an ACK. */
static bool next_variable(struct reader *actions, struct slice *name, struct spop_value *value)
{
    if (actions->failed || reader_left(actions) == 0)
        return false;
    uint8_t action = reader_u8(actions);
    uint8_t arguments = reader_u8(actions);
    (void)reader_u8(actions);
    *name = spop_read_string(actions);
    *value = spop_read_value(actions);
    if (action != 1 || arguments != 3)
        bench_give_up("an action that is no SET-VAR");
    return !actions->failed;
}

static void check_actions(struct slice payload, unsigned tenant)
{
    char expected[8];
    struct slice told = {0};
    struct slice name;
    struct spop_value value;
    struct reader actions = reader_of(payload);
    while (next_variable(&actions, &name, &value)) {
        if (slice_equal(name, SLICE("tenant")))
            told = value.bytes;
        else if (slice_equal(name, SLICE("answer")))
            bench_give_up("asked for a request to forward, got the answer '%.*s'",
                          SLICE_PRINT(value.bytes));
    }
    write_tenant(expected, tenant);
    if (actions.failed || !slice_equal(told, slice_of(expected)))
        bench_give_up("asked for %s, got '%.*s'", expected, SLICE_PRINT(told));
}

/* Returns the slot that the ACK answers. */
static unsigned check_ack(struct connection *connection, struct slice bytes)
{
    struct spop_frame frame;
    if (options.canned) {
        unsigned slot = connection->canned_slot;
        connection->canned_slot = (slot + 1) % options.depth;
        return slot;
    }
    if (!spop_frame_parse(bytes, &frame) || frame.type != SPOP_FRAME_ACK ||
        frame.flags != SPOP_FLAG_FINAL)
        bench_give_up("a frame that is no ACK (type %d)", bytes.size > 0 ? bytes.data[0] : -1);
    if (frame.frame_id < 1 || frame.frame_id > options.depth)
        bench_give_up("an ACK for a frame-id that was never sent");
    unsigned slot = (unsigned)frame.frame_id - 1;
    if (connection->slots[slot].stream_id != frame.stream_id)
        bench_give_up("an ACK for a stream-id that is not in flight");
    check_actions(frame.payload, connection->slots[slot].tenant);
    return slot;
}

static void check_hello(struct slice bytes)
{
    struct spop_frame frame;
    bool pipelining = false;
    bool version = false;
    if (!spop_frame_parse(bytes, &frame) || frame.type != SPOP_FRAME_AGENT_HELLO)
        bench_give_up("no AGENT-HELLO");
    struct reader reader = reader_of(frame.payload);
    while (!reader.failed && reader_left(&reader) > 0) {
        struct slice key = spop_read_string(&reader);
        struct spop_value value = spop_read_value(&reader);
        version |= slice_equal(key, SLICE("version")) && slice_equal(value.bytes, SLICE("2.0"));
        pipelining |= slice_equal(key, SLICE("capabilities")) &&
                      slice_equal(value.bytes, SLICE("pipelining"));
    }
    if (reader.failed || !version || !pipelining)
        bench_give_up("an AGENT-HELLO without version 2.0 or pipelining");
}

/* ---- The connection ---- */

static void greet(struct connection *connection)
{
    uint8_t buffer[256];
    struct writer writer = writer_of(buffer, sizeof(buffer));
    connection->fd = bench_connect(options.address);
    peer_write_hello(&writer, 16380, false);
    send_all(connection, &writer);
}

static void take_frame(struct connection *connection, struct slice bytes, struct writer *out,
                       int64_t now)
{
    if (!connection->greeted) {
        check_hello(bytes);
        connection->greeted = true;
        for (unsigned slot = 0; slot < options.depth; slot++) {
            write_notify(out, connection, slot);
            connection->slots[slot].sent_ns = now;
        }
        return;
    }
    unsigned slot = check_ack(connection, bytes);
    count_latency(now - connection->slots[slot].sent_ns);
    measured.acks++;
    measured.ack_bytes += SPOP_LENGTH_BYTES + bytes.size;
    write_notify(out, connection, slot);
    connection->slots[slot].sent_ns = now;
}

static void serve(struct connection *connection)
{
    static uint8_t buffer[DEPTH_MAX * NOTIFY_MAX_BYTES];
    struct writer out = writer_of(buffer, sizeof(buffer));
    ssize_t got = recv(connection->fd, connection->in + connection->in_used,
                       IN_BYTES - connection->in_used, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        bench_give_up("the agent closed: %s", got < 0 ? strerror(errno) : "end of file");
    int64_t now = clock_mono_ns();
    size_t taken = 0;
    connection->in_used += (size_t)got;
    struct reader reader = reader_of(slice_from(connection->in, connection->in_used));
    for (;;) {
        struct slice bytes = reader_bytes(&reader, reader_u32(&reader));
        if (reader.failed)
            break;
        take_frame(connection, bytes, &out, now);
        taken = (size_t)(reader.position - connection->in);
    }
    connection->in_used -= taken;
    memmove(connection->in, connection->in + taken, connection->in_used);
    if (writer_used(&out) > 0)
        send_all(connection, &out);
}

static void run_until(int epoll, int64_t end_ns)
{
    while (clock_mono_ns() < end_ns) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(epoll, events, EVENTS_MAX, SILENCE_MAX_MS);
        if (ready == 0)
            bench_give_up("no answer for %d ms", SILENCE_MAX_MS);
        for (int i = 0; i < ready; i++)
            serve(events[i].data.ptr);
    }
}

/* ---- The program ---- */

static void print_result(double seconds, const struct cpu_time *before,
                         const struct cpu_time *after)
{
    double acks = (double)measured.acks;
    printf("{\"acks\": %lu, \"seconds\": %.4f, \"acks_per_s\": %.0f, \"ack_bytes\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f",
           measured.acks, seconds, acks / seconds, (double)measured.ack_bytes / acks,
           percentile_us(0.50), percentile_us(0.99), percentile_us(0.999));
    if (options.pid != 0) {
        double user_s = after->user_s - before->user_s;
        double system_s = after->system_s - before->system_s;
        double share = user_s + system_s > 0 ? user_s / (user_s + system_s) : 0;
        double cpu_us = (after->total_s - before->total_s) * 1e6 / acks;
        printf(", \"cpu_us\": %.4f, \"user_us\": %.4f, \"system_us\": %.4f", cpu_us, cpu_us * share,
               cpu_us * (1 - share));
    }
    puts("}");
}

static void parse_options(int count, char **arguments)
{
    static const struct option OPTIONS[] = {{"address", required_argument, NULL, 'a'},
                                            {"connections", required_argument, NULL, 'c'},
                                            {"depth", required_argument, NULL, 'd'},
                                            {"tenants", required_argument, NULL, 't'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"warmup-ms", required_argument, NULL, 'w'},
                                            {"pid", required_argument, NULL, 'p'},
                                            {"canned", no_argument, NULL, 'n'},
                                            {"more", required_argument, NULL, 'm'},
                                            {"more-count", required_argument, NULL, 'k'},
                                            {"wildcards", no_argument, NULL, 'W'},
                                            {"paths", no_argument, NULL, 'P'},
                                            {0}};
    for (int option; (option = getopt_long(count, arguments, "", OPTIONS, NULL)) >= 0;) {
        switch (option) {
        case 'a': options.address = optarg; break;
        case 'c': options.connections = (unsigned)atoi(optarg); break;
        case 'd': options.depth = (unsigned)atoi(optarg); break;
        case 't': options.tenants = (unsigned)atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.warmup_ms = (unsigned)atoi(optarg); break;
        case 'p': options.pid = atoi(optarg); break;
        case 'n': options.canned = true; break;
        case 'm': options.more = optarg; break;
        case 'k': options.more_count = (unsigned)atoi(optarg); break;
        case 'W': options.kind = BY_WILDCARD; break;
        case 'P': options.kind = BY_PATH; break;
        default: exit(EXIT_FAILURE);
        }
    }
    if (options.address == NULL)
        bench_give_up("--address is missing");
    if (options.depth < 1 || options.depth > DEPTH_MAX)
        bench_give_up("--depth: 1 to %d", DEPTH_MAX);
    if (options.connections < 1 || options.tenants < 1 || options.tenants > 999999)
        bench_give_up("--connections: from 1; --tenants: 1 to 999999");
    if (options.tenants < KINDS[options.kind].every)
        bench_give_up("--tenants: at least one that can be asked for so");
    if (options.more_count > 64)
        bench_give_up("--more-count: up to 64");
}

static void read_more(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL)
        bench_give_up("%s: %s", name, strerror(errno));
    more_size = fread(more_bytes, 1, sizeof(more_bytes), file);
    if (more_size == sizeof(more_bytes))
        bench_give_up("%s: %zu bytes or more, expected less", name, more_size);
    fclose(file);
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int count, char **arguments)
{
    parse_options(count, arguments);
    if (options.more != NULL)
        read_more(options.more);
    allow_descriptors();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *connections = calloc(options.connections, sizeof(*connections));
    if (connections == NULL)
        bench_give_up("out of memory");
    for (unsigned i = 0; i < options.connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        greet(&connections[i]);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) != 0)
            bench_give_up("epoll_ctl: %s", strerror(errno));
    }
    run_until(epoll, clock_mono_ns() + options.warmup_ms * 1000000LL);
    memset(&measured, 0, sizeof(measured));

    struct cpu_time before = cpu_time_of(options.pid);
    int64_t start_ns = clock_mono_ns();
    run_until(epoll, start_ns + (int64_t)(options.seconds * 1e9));
    double seconds = (double)(clock_mono_ns() - start_ns) / 1e9;
    struct cpu_time after = cpu_time_of(options.pid);
    if (measured.acks == 0)
        bench_give_up("nothing was answered");
    print_result(seconds, &before, &after);
    free(connections);
    return EXIT_SUCCESS;
}
