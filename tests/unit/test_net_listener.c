/* net: listening addresses, socket files, and the handing out of connections. */
#include "net/listener.h"

#include "loopback_listener.h"
#include "net/main_loop.h"
#include "support/net_peer.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Addresses ---- */

Test(address, what_is_an_address)
{
    static const struct {
        const char *text;
        enum listen_kind kind;
        const char *name;
    } ROWS[] = {
        {"unix:/run/owui-spoa/agent.sock", LISTEN_UNIX, "/run/owui-spoa/agent.sock"},
        {"unix:@owui-spoa", LISTEN_ABSTRACT, "owui-spoa"},
        {"tcp:127.0.0.1:12345", LISTEN_TCP, "127.0.0.1:12345"},
        {"tcp:[::1]:65535", LISTEN_TCP, "[::1]:65535"},
        {"tcp:0.0.0.0:1", LISTEN_TCP, "0.0.0.0:1"},
        {"tcp:12345", LISTEN_TCP, "12345"},
        {"systemd:agent", LISTEN_SYSTEMD, "agent"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct listen_address address;
        struct error_text reason = {""};
        enum error error = listen_address_parse(slice_of(ROWS[i].text), &address, &reason);
        cr_assert(eq(int, error, ERROR_OK), "%s: %s", ROWS[i].text, reason.text);
        cr_assert(eq(int, address.kind, ROWS[i].kind), "%s", ROWS[i].text);
        cr_assert_str_eq(address.name, ROWS[i].name);
    }
}

Test(address, a_port_alone_is_on_loopback)
{
    struct listen_address address;
    cr_assert(eq(int, listen_address_parse(SLICE("tcp:12345"), &address, NULL), ERROR_OK));
    const struct sockaddr_in *in = (const void *)&address.socket;
    cr_assert(eq(u32, ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK));
    cr_assert(eq(u16, ntohs(in->sin_port), 12345));
}

Test(address, what_is_none)
{
    char too_long[130] = "unix:/";
    memset(too_long + 6, 'x', 107);
    const char *const bad[] = {
        "",
        "/run/agent.sock",
        "unix:",
        "unix:@",
        "unix:agent.sock",
        "tcp:",
        "tcp:localhost:12345",
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:",
        "tcp:127.0.0.1:0",
        "tcp:65536",
        "tcp:127.0.0.1:123456",
        "tcp:::1:80",
        "tcp:[::1]",
        "tcp:[::1:80",
        "tcp::80",
        "tcp:1.2.3.4:8o",
        "systemd:",
        "systemd:a:b",
        "udp:127.0.0.1:1",
        "tcp:[]:80",
        too_long,
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct listen_address address;
        struct error_text reason = {""};
        cr_expect(ne(int, listen_address_parse(slice_of(bad[i]), &address, &reason), ERROR_OK),
                  "%s", bad[i]);
        cr_expect(lt(sz, 0, strlen(reason.text)), "%s", bad[i]);
    }
}

Test(address, the_longest_path_fits)
{
    char longest[130] = "unix:/";
    memset(longest + 6, 'x', 106);
    struct listen_address address;
    cr_assert(eq(int, listen_address_parse(slice_of(longest), &address, NULL), ERROR_OK));
    cr_assert(eq(sz, strlen(address.name), 107));
}

/* ---- Socket files ---- */

static char folder[] = "/tmp/net_listener.XXXXXX";
static char path[64];
static char address_text[80];

static void make_folder(void)
{
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    snprintf(path, sizeof(path), "%s/agent.sock", folder);
    snprintf(address_text, sizeof(address_text), "unix:%s", path);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

TestSuite(file, .init = make_folder, .fini = remove_folder);
TestSuite(accept, .init = make_folder, .fini = remove_folder);

static struct listener *open_at(const char *text, const struct listen_options *options,
                                struct error_text *reason)
{
    static const struct listen_options DEFAULTS = {0};
    struct listen_address address;
    cr_assert(eq(int, listen_address_parse(slice_of(text), &address, reason), ERROR_OK));
    return listener_open(&address, options != NULL ? options : &DEFAULTS, reason);
}

static int connect_to(const char *text)
{
    struct listen_address address;
    cr_assert(eq(int, listen_address_parse(slice_of(text), &address, NULL), ERROR_OK));
    int fd = socket(address.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address.socket, address.socket_size) == 0)
        return fd;
    close(fd);
    return -1;
}

static void expect_connects(const char *text, bool wanted)
{
    int fd = connect_to(text);
    cr_assert(eq(int, fd >= 0, wanted), "%s", text);
    if (fd >= 0)
        close(fd);
}

Test(file, has_the_mode_and_the_group_that_were_asked_for)
{
    struct error_text reason = {""};
    struct stat status;
    struct group *group = getgrgid(getgid());
    umask(077);
    const struct listen_options options = {.mode = 0620, .group = group->gr_name};
    struct listener *listener = open_at(address_text, &options, &reason);
    cr_assert(ne(ptr, listener, NULL), "%s", reason.text);
    cr_assert(eq(int, stat(path, &status), 0));
    cr_assert(eq(u32, status.st_mode & 07777, 0620));
    cr_assert(eq(u32, status.st_gid, getgid()));
    listener_close(listener);
    cr_assert(eq(int, access(path, F_OK), -1));
}

/* A directory has groups of all its people. */
Test(file, of_a_group_with_many_members)
{
    struct error_text reason = {""};
    struct stat status;
    char groups[] = "/tmp/owui-groups-XXXXXX";
    if (unshare(CLONE_NEWNS) != 0)
        cr_skip("root alone has another /etc/group in front of it");
    cr_assert(zero(int, mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)));
    FILE *file = fdopen(mkstemp(groups), "w");
    fprintf(file, "everybody:x:4321:first");
    for (int i = 0; i < 1000; i++)
        fprintf(file, ",person-%d", i);
    fprintf(file, "\n");
    fclose(file);
    cr_assert(zero(int, mount(groups, "/etc/group", NULL, MS_BIND, NULL)));
    cr_assert(zero(int, unlink(groups)));
    const struct listen_options options = {.group = "everybody"};
    struct listener *listener = open_at(address_text, &options, &reason);
    cr_assert(ne(ptr, listener, NULL), "%s", reason.text);
    cr_assert(eq(int, stat(path, &status), 0));
    cr_assert(eq(u32, status.st_gid, 4321));
    listener_close(listener);
}

Test(file, of_a_group_that_does_not_exist_is_an_error)
{
    struct error_text reason = {""};
    const struct listen_options options = {.group = "no-such-group"};
    cr_assert(eq(ptr, open_at(address_text, &options, &reason), NULL));
    cr_assert(ne(ptr, strstr(reason.text, "no-such-group"), NULL));
    cr_assert(eq(int, access(path, F_OK), -1));
}

Test(file, left_by_a_process_that_was_killed_is_replaced)
{
    struct error_text reason = {""};
    struct listen_address address;
    cr_assert(eq(int, listen_address_parse(slice_of(address_text), &address, NULL), ERROR_OK));
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(
        eq(int, bind(stale, (const struct sockaddr *)&address.socket, address.socket_size), 0));
    close(stale);
    struct listener *listener = open_at(address_text, NULL, &reason);
    cr_assert(ne(ptr, listener, NULL), "%s", reason.text);
    expect_connects(address_text, true);
    listener_close(listener);
}

Test(file, that_is_answered_is_left_alone)
{
    struct error_text reason = {""};
    struct listener *first = open_at(address_text, NULL, &reason);
    cr_assert(eq(ptr, open_at(address_text, NULL, &reason), NULL));
    cr_assert(ne(ptr, strstr(reason.text, "another process listens"), NULL), "%s", reason.text);
    expect_connects(address_text, true);
    listener_close(first);
}

/* Whoever owns it is slow, not dead. */
Test(file, whose_queue_is_full_is_left_alone)
{
    enum { CONNECTS_AT_MOST = 8 };
    struct error_text reason = {""};
    const struct listen_options short_queue = {.backlog = 1};
    struct listener *first = open_at(address_text, &short_queue, &reason);
    struct listen_address address;
    cr_assert(eq(int, listen_address_parse(slice_of(address_text), &address, NULL), ERROR_OK));
    int result = 0;
    for (int i = 0; i < CONNECTS_AT_MOST && result == 0; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        result = connect(fd, (const struct sockaddr *)&address.socket, address.socket_size);
    }
    cr_assert(eq(int, errno, EAGAIN), "the queue never filled");
    cr_assert(eq(ptr, open_at(address_text, NULL, &reason), NULL));
    cr_assert(ne(ptr, strstr(reason.text, "another process listens"), NULL), "%s", reason.text);
    listener_close(first);
}

Test(file, that_is_no_socket_is_left_alone)
{
    struct error_text reason = {""};
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    cr_assert(eq(ptr, open_at(address_text, NULL, &reason), NULL));
    cr_assert(ne(ptr, strstr(reason.text, "no socket"), NULL), "%s", reason.text);
    cr_assert(eq(int, access(path, F_OK), 0));
}

Test(file, of_a_successor_is_left_alone)
{
    struct error_text reason = {""};
    struct listener *old = open_at(address_text, NULL, &reason);
    cr_assert(eq(int, unlink(path), 0));
    struct listener *successor = open_at(address_text, NULL, &reason);
    listener_close(old);
    expect_connects(address_text, true);
    listener_close(successor);
    cr_assert(eq(int, access(path, F_OK), -1));
}

Test(file, in_a_folder_that_is_missing_is_an_error)
{
    struct error_text reason = {""};
    cr_assert(eq(ptr, open_at("unix:/no/such/folder/agent.sock", NULL, &reason), NULL));
    cr_assert(ne(ptr, strstr(reason.text, "No such file"), NULL), "%s", reason.text);
}

/* ---- Other sockets ---- */

Test(abstract, name_is_padded_to_its_full_length)
{
    struct error_text reason = {""};
    char text[64];
    snprintf(text, sizeof(text), "unix:@owui-test-%ld", (long)getpid());
    struct listener *listener = open_at(text, NULL, &reason);
    cr_assert(ne(ptr, listener, NULL), "%s", reason.text);

    struct sockaddr_un padded = {.sun_family = AF_UNIX};
    snprintf(padded.sun_path + 1, sizeof(padded.sun_path) - 1, "%s", text + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(eq(int, connect(fd, (struct sockaddr *)&padded, sizeof(padded)), 0));
    close(fd);
    cr_assert(eq(ptr, open_at(text, NULL, &reason), NULL));
    listener_close(listener);
}

/* A TCP listener on a port that is free. */
static struct listener *open_tcp(const char *host, char text[64])
{
    struct error_text reason = {""};
    for (unsigned i = 0; i < 200; i++) {
        snprintf(text, 64, "tcp:%s:%u", host, 20000 + ((unsigned)getpid() * 7 + i * 131) % 30000);
        struct listener *listener = open_at(text, NULL, &reason);
        if (listener != NULL)
            return listener;
    }
    cr_fatal("%s", reason.text);
}

Test(tcp, listens_on_ipv4)
{
    char text[64];
    struct error_text reason = {""};
    struct listener *listener = open_tcp("127.0.0.1", text);
    expect_connects(text, true);
    cr_assert(eq(ptr, open_at(text, NULL, &reason), NULL));
    listener_close(listener);
    expect_connects(text, false);
}

Test(tcp, listens_on_ipv6)
{
    char text[64];
    skip_without_ipv6();
    struct listener *listener = open_tcp("[::1]", text);
    expect_connects(text, true);
    listener_close(listener);
}

/* ---- Sockets from systemd: in a child, whose descriptors 3 and 4 are ours to set ---- */

static int listening_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s-%ld", name, (long)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 8) != 0)
        abort();
    return fd;
}

static int opens(const char *text, const char *expected_reason)
{
    struct error_text reason = {""};
    struct listener *listener = open_at(text, NULL, &reason);
    if (listener != NULL)
        return expected_reason == NULL;
    return expected_reason != NULL && strstr(reason.text, expected_reason) != NULL;
}

static int systemd_child(void)
{
    char pid[24];
    int first = fcntl(listening_socket("first"), F_DUPFD, 20);
    int second = fcntl(listening_socket("second"), F_DUPFD, 20);
    int connected[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, connected) != 0)
        return 9;
    int plain = fcntl(connected[0], F_DUPFD, 20);
    dup2(first, 3);
    dup2(second, 4);
    dup2(plain, 5);
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "other:agent:plain", 1);
    setenv("LISTEN_PID", "1", 1);
    if (!opens("systemd:agent", "passed no socket")) /* meant for another process */
        return 1;
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    setenv("LISTEN_PID", pid, 1);
    if (!opens("systemd:agent", NULL))
        return 2;
    if ((fcntl(4, F_GETFD) & FD_CLOEXEC) == 0 || (fcntl(4, F_GETFL) & O_NONBLOCK) == 0)
        return 3;
    if ((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0) /* not the one that was named */
        return 4;
    if (!opens("systemd:agent", "used twice"))
        return 5;
    if (!opens("systemd:plain", "not a listening stream socket"))
        return 6;
    if (!opens("systemd:missing", "passed no socket"))
        return 7;
    return 0;
}

Test(systemd, passes_sockets_by_name)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(systemd_child());
    cr_assert(eq(int, waitpid(child, &status, 0), child));
    cr_assert_neq(WIFEXITED(status), 0);
    cr_assert(eq(int, WEXITSTATUS(status), 0));
}

/* ---- Accepting ---- */

/* A main loop that runs until a number of connections has been accepted. */
struct door {
    struct main_loop *main_loop;
    struct main_timer *look;
    struct test_net *net;
    struct listener *listener;
    uint64_t wanted;
    int looks_left;
    int64_t paused_mono_ms; /* when last, as far as was looked */
    unsigned pauses;
};

static uint64_t taken_by(const struct door *door)
{
    return loops_counter(door->net->loops, LOOP_CONNECTIONS_TAKEN);
}

static void look(void *context)
{
    struct door *door = context;
    int64_t paused_mono_ms = listener_paused_mono_ms(door->listener);
    door->pauses += paused_mono_ms != door->paused_mono_ms;
    door->paused_mono_ms = paused_mono_ms;
    if (taken_by(door) >= door->wanted || door->looks_left-- == 0)
        main_loop_stop(door->main_loop);
}

static struct door door_open(const char *text, unsigned loop_count)
{
    struct error_text reason = {""};
    const struct loops_settings settings = {.loop_count = loop_count};
    struct door door = {.net = test_net_start(&settings), .main_loop = main_loop_new(&reason)};
    door.listener = open_at(text, NULL, &reason);
    cr_assert(ne(ptr, door.listener, NULL), "%s", reason.text);
    return door;
}

static void door_run(struct door *door, uint64_t wanted, int looks)
{
    door->wanted = wanted;
    door->looks_left = looks;
    door->look = main_timer_new(door->main_loop, look, door);
    main_timer_every(door->look, 1);
    main_loop_run(door->main_loop);
    main_timer_free(door->look);
}

static void door_close(struct door *door)
{
    listener_close(door->listener);
    main_loop_free(door->main_loop);
    test_net_free(door->net);
}

static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = count;
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &limit), 0));
}

Test(accept, a_thousand_at_once_are_all_served_and_spread)
{
    enum { PEERS = 1000, LOOPS = 4 };
    allow_descriptors(2 * PEERS + 100);
    struct door door = door_open(address_text, LOOPS);
    static int fds[PEERS];
    uint8_t bytes[256];
    struct writer hello = writer_of(bytes, sizeof(bytes));
    net_write_hello(&hello);
    for (size_t i = 0; i < PEERS; i++) {
        fds[i] = connect_to(address_text);
        cr_assert(ge(int, fds[i], 0), "connection %zu is refused", i);
        cr_assert(
            eq(int, (int)send(fds[i], bytes, writer_used(&hello), 0), (int)writer_used(&hello)));
    }
    listener_start(door.listener, door.main_loop, door.net->loops);
    door_run(&door, PEERS, 20000);
    for (size_t i = 0; i < PEERS; i++) {
        struct net_peer *peer = net_peer_new(fds[i]);
        net_peer_expect_hello(peer);
        net_peer_notify(peer, SLICE("echo"), i);
        net_peer_expect_ack(peer, i);
        net_peer_free(peer);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        cr_assert(eq(u64, loop_counter(loops_at(door.net->loops, i), LOOP_CONNECTIONS_TAKEN),
                     PEERS / LOOPS));
    door_close(&door);
}

/* The descriptor of this process that has this address, or whose other end has it. */
static int find_socket(const struct sockaddr_storage *wanted, bool at_other_end)
{
    enum { FDS_MAX = 1024 };
    for (int fd = 0; fd < FDS_MAX; fd++) {
        struct sockaddr_storage found = {0};
        socklen_t size = sizeof(found);
        int result = at_other_end ? getpeername(fd, (struct sockaddr *)&found, &size)
                                  : getsockname(fd, (struct sockaddr *)&found, &size);
        if (result == 0 && memcmp(&found, wanted, sizeof(found)) == 0)
            return fd;
    }
    cr_fatal("no socket has this address");
}

static int find_listening(const char *text)
{
    struct listen_address address;
    cr_assert(eq(int, listen_address_parse(slice_of(text), &address, NULL), ERROR_OK));
    return find_socket(&address.socket, false);
}

static int find_accepted(int connected)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    cr_assert(eq(int, getsockname(connected, (struct sockaddr *)&address, &size), 0));
    return find_socket(&address, true);
}

/* The queue of the kernel holds those for whom there is no descriptor; nobody is refused, and the
 * main thread does not spin. */
Test(accept, without_descriptors_it_waits)
{
    enum { PEERS = 40, SPARE = 10 };
    struct door door = door_open(address_text, 1);
    int fds[PEERS];
    for (size_t i = 0; i < PEERS; i++)
        fds[i] = connect_to(address_text);
    int next = dup(fds[0]);
    close(next);
    allow_descriptors((rlim_t)next + SPARE);
    cr_assert(eq(i64, listener_paused_mono_ms(door.listener), 0));
    listener_start(door.listener, door.main_loop, door.net->loops);
    door_run(&door, PEERS, 350);
    cr_assert(lt(i64, 0, listener_paused_mono_ms(door.listener)));
    cr_assert(lt(u64, taken_by(&door), PEERS));
    cr_assert(ge(uint, door.pauses, 1));
    /* A pause takes 100 ms, and 350 looks of a millisecond some more than that many. */
    cr_assert(le(uint, door.pauses, 20));
    for (size_t i = 0; i < PEERS; i++)
        close(fds[i]);
    door_run(&door, PEERS, 20000);
    cr_assert(eq(u64, taken_by(&door), PEERS));
    cr_assert(test_net_becomes(door.net, LOOP_CONNECTIONS_OPEN, 0));
    door_close(&door);
}

/* Where nobody is idle, nobody gives way, and the kernel's queue holds who comes. */
Test(accept, without_a_place_it_waits)
{
    enum { PEERS = 40, PLACES = 16 };
    struct error_text reason = {""};
    const struct loops_settings settings = {.loop_count = 1, .connections_max = PLACES};
    struct door door = {.net = test_net_start(&settings), .main_loop = main_loop_new(&reason)};
    struct net_peer *peers[PEERS];
    uint8_t bytes[256];
    struct writer burst = writer_of(bytes, sizeof(bytes));
    struct slice held = net_write_burst(&burst, SLICE("hold"), 1, 1);
    door.listener = open_at(address_text, NULL, &reason);
    for (size_t i = 0; i < PEERS; i++) {
        peers[i] = net_peer_new(connect_to(address_text));
        net_peer_send(peers[i], held);
    }
    listener_start(door.listener, door.main_loop, door.net->loops);
    door_run(&door, PEERS, 350);
    cr_assert(le(u64, taken_by(&door), PLACES));
    cr_assert(lt(i64, 0, listener_paused_mono_ms(door.listener)));
    cr_assert(zero(u64, loops_counter(door.net->loops, LOOP_CLOSED_GAVE_WAY)));
    for (size_t i = 0; i < PEERS; i++)
        net_peer_free(peers[i]);
    door_run(&door, PEERS, 20000);
    cr_assert(eq(u64, taken_by(&door), PEERS));
    door_close(&door);
}

static struct door door_open_tcp(char text[64])
{
    struct error_text reason = {""};
    const struct loops_settings settings = {.loop_count = 1};
    struct door door = {.net = test_net_start(&settings), .main_loop = main_loop_new(&reason)};
    door.listener = open_tcp("127.0.0.1", text);
    return door;
}

static void check_pauses(struct door *door, int shut)
{
    cr_assert(eq(int, shutdown(shut, SHUT_RDWR), 0));
    listener_start(door->listener, door->main_loop, door->net->loops);
    door_run(door, 1, 350);
    cr_expect(ge(uint, door->pauses, 1));
    cr_expect(le(uint, door->pauses, 20));
    door_close(door);
}

/* "ss -K" does it too, and whoever holds a copy of the descriptor: the main thread does not spin.
 */
Test(accept, from_a_socket_that_was_shut_down_it_pauses)
{
    char text[64];
    struct door tcp = door_open_tcp(text);
    check_pauses(&tcp, find_listening(text));
    struct door local = door_open(address_text, 1);
    check_pauses(&local, find_listening(address_text));
}

Test(accept, what_it_accepts_over_tcp_sends_at_once_and_is_probed)
{
    char text[64];
    struct door door = door_open_tcp(text);
    listener_start(door.listener, door.main_loop, door.net->loops);
    int fd = connect_to(text);
    door_run(&door, 1, 20000);
    int accepted = find_accepted(fd);
    int nodelay = 0, keepalive = 0;
    socklen_t size = sizeof(nodelay);
    cr_assert(eq(int, getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0));
    cr_assert(eq(int, getsockopt(accepted, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &size), 0));
    cr_assert(ne(int, nodelay, 0));
    cr_assert(ne(int, keepalive, 0));
    close(fd);
    door_close(&door);
}
