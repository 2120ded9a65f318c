/* route/client: the rightmost address that is not a trusted proxy's. */
#include "route/client.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

static struct ip_network networks[4][2];
static struct proxy_group groups[4];
static struct trusted_proxies trusted = {groups, COUNT_OF(groups)};

static struct ip_network network(const char *text)
{
    struct ip_network network;
    cr_assert(ip_network_parse(slice_of(text), &network), "%s", text);
    return network;
}

static void set_up(void)
{
    networks[0][0] = network("10.0.0.0/8");
    networks[0][1] = network("fd00::/8");
    networks[1][0] = network("172.16.0.0/12");
    networks[2][0] = network("192.168.1.0/24");
    networks[3][0] = network("192.168.2.0/24");
    groups[0] = (struct proxy_group){"lb", CLIENT_X_FORWARDED_FOR, networks[0], 2};
    groups[1] = (struct proxy_group){"fwd", CLIENT_FORWARDED, networks[1], 1};
    groups[2] = (struct proxy_group){"nginx", CLIENT_X_REAL_IP, networks[2], 1};
    groups[3] = (struct proxy_group){"cdn", CLIENT_CF_CONNECTING_IP, networks[3], 1};
}

TestSuite(client, .init = set_up);

/* Lines on the heap and exactly as long as they are, for AddressSanitizer. */
static struct slice exact(const char *text)
{
    size_t size = strlen(text);
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    return slice_from(copy, size);
}

static struct client resolve(const char *peer, enum client_source source,
                             const char *const lines[CLIENT_MAX_LINES])
{
    struct client_question question = {0};
    struct client client;
    cr_assert(ip_parse(slice_of(peer), &question.peer));
    for (size_t i = 0; i < CLIENT_MAX_LINES && lines[i] != NULL; i++) {
        question.lines[source][i] = exact(lines[i]);
        question.line_count[source]++;
    }
    client_resolve(&trusted, &question, &client);
    for (size_t i = 0; i < CLIENT_MAX_LINES && lines[i] != NULL; i++)
        free((void *)(uintptr_t)question.lines[source][i].data);
    return client;
}

struct row {
    const char *peer;
    const char *lines[CLIENT_MAX_LINES];
    char *client;
};

static void check(enum client_source source, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[IP_TEXT_SIZE];
        struct client client = resolve(rows[i].peer, source, rows[i].lines);
        ip_print(&client.ip, text);
        cr_expect(eq(str, text, rows[i].client), "row %zu: %s", i,
                  rows[i].lines[0] != NULL ? rows[i].lines[0] : "");
        cr_expect_not(client.limits_exceeded);
    }
}

Test(client, x_forwarded_for)
{
    static const struct row ROWS[] = {
        /* a peer that nobody trusts is the client, whatever it says */
        {"203.0.113.9", {NULL}, "203.0.113.9"},
        {"203.0.113.9", {"6.6.6.6"}, "203.0.113.9"},
        {"203.0.113.9", {"6.6.6.6", "7.7.7.7"}, "203.0.113.9"},
        {"203.0.113.9", {"unknown"}, "203.0.113.9"},
        {"203.0.113.9", {"127.0.0.1"}, "203.0.113.9"},
        {"203.0.113.9", {"10.0.0.1"}, "203.0.113.9"},
        {"2001:db8::9", {"::ffff:127.0.0.1"}, "2001:db8::9"},
        {"127.0.0.1", {"6.6.6.6"}, "127.0.0.1"},
        /* a peer of another group is not asked for this header */
        {"192.168.1.1", {"6.6.6.6"}, "192.168.1.1"},
        /* a trusted peer: the rightmost address that is not trusted */
        {"10.0.0.1", {NULL}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.9"}, "203.0.113.9"},
        {"::ffff:10.0.0.1", {"203.0.113.9"}, "203.0.113.9"},
        {"fd00::1", {"203.0.113.9"}, "203.0.113.9"},
        {"10.0.0.1", {"6.6.6.6, 203.0.113.9"}, "203.0.113.9"},
        {"10.0.0.1", {"6.6.6.6, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
        {"10.0.0.1", {"203.0.113.9, 10.0.0.3,10.0.0.2"}, "203.0.113.9"},
        {"10.0.0.1", {"203.0.113.9, fd00::2, 10.0.0.2"}, "203.0.113.9"},
        {"10.0.0.1", {"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9"},
        {"10.0.0.1", {"6.6.6.6", "203.0.113.9"}, "203.0.113.9"},
        {"10.0.0.1", {"6.6.6.6", "203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
        {"10.0.0.1", {"6.6.6.6, 203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
        /* another group's proxy in the chain is a proxy */
        {"10.0.0.1", {"203.0.113.9, 192.168.2.7"}, "203.0.113.9"},
        /* all trusted: the leftmost */
        {"10.0.0.1", {"10.0.0.7"}, "10.0.0.7"},
        {"10.0.0.1", {"10.0.0.7, 10.0.0.8"}, "10.0.0.7"},
        /* the client says it is a trusted proxy */
        {"10.0.0.1", {"10.0.0.7, 203.0.113.9"}, "203.0.113.9"},
        {"10.0.0.1", {"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
        /* a client on the proxy's own host */
        {"10.0.0.1", {"127.0.0.1"}, "127.0.0.1"},
        {"10.0.0.1", {"::ffff:127.0.0.1"}, "127.0.0.1"},
        /* not an address: the last good one to its right, or the peer */
        {"10.0.0.1", {"unknown"}, "10.0.0.1"},
        {"10.0.0.1", {"_hidden"}, "10.0.0.1"},
        {"10.0.0.1", {"6.6.6.6, unknown"}, "10.0.0.1"},
        {"10.0.0.1", {"6.6.6.6, unknown, 10.0.0.2"}, "10.0.0.2"},
        {"10.0.0.1", {"6.6.6.6", "garbage", "10.0.0.2, 10.0.0.3"}, "10.0.0.2"},
        {"10.0.0.1", {"010.0.0.1"}, "10.0.0.1"},
        {"10.0.0.1", {"1.2.3"}, "10.0.0.1"},
        {"10.0.0.1", {"6.6.6.6 7.7.7.7"}, "10.0.0.1"},
        {"10.0.0.1", {"\"6.6.6.6"}, "10.0.0.1"},
        {"10.0.0.1", {"for=6.6.6.6"}, "10.0.0.1"},
        {"10.0.0.1", {"chat.example.com"}, "10.0.0.1"},
        {"10.0.0.1", {"6.6.6.6;"}, "10.0.0.1"},
        {"10.0.0.1", {"6.6.6.6%eth0"}, "10.0.0.1"},
        /* empty elements and lines are what a proxy writes that does not know */
        {"10.0.0.1", {""}, "10.0.0.1"},
        {"10.0.0.1", {","}, "10.0.0.1"},
        {"10.0.0.1", {"6.6.6.6,"}, "10.0.0.1"},
        {"10.0.0.1", {"6.6.6.6,,10.0.0.2"}, "10.0.0.2"},
        {"10.0.0.1", {",203.0.113.9"}, "203.0.113.9"},
        {"10.0.0.1", {"", "203.0.113.9"}, "203.0.113.9"},
        {"10.0.0.1", {"6.6.6.6", ""}, "10.0.0.1"},
        /* white space */
        {"10.0.0.1", {"\t 203.0.113.9 \t"}, "203.0.113.9"},
        {"10.0.0.1", {"6.6.6.6\t,\t203.0.113.9\t,10.0.0.2"}, "203.0.113.9"},
        /* ports, brackets, zones */
        {"10.0.0.1", {"203.0.113.9:51234"}, "203.0.113.9"},
        {"10.0.0.1", {"203.0.113.9:"}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.9:123456"}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.9:80:80"}, "10.0.0.1"},
        {"10.0.0.1", {"203.0.113.9:http"}, "10.0.0.1"},
        {"10.0.0.1", {"2001:db8::9"}, "2001:db8::9"},
        {"10.0.0.1", {"[2001:db8::9]"}, "2001:db8::9"},
        {"10.0.0.1", {"[2001:db8::9]:51234"}, "2001:db8::9"},
        {"10.0.0.1", {"[2001:db8::9]51234"}, "10.0.0.1"},
        {"10.0.0.1", {"[2001:db8::9"}, "10.0.0.1"},
        {"10.0.0.1", {"2001:db8::9]"}, "10.0.0.1"},
        {"10.0.0.1", {"[203.0.113.9]"}, "10.0.0.1"},
        {"10.0.0.1", {"[]"}, "10.0.0.1"},
        {"10.0.0.1", {"["}, "10.0.0.1"},
        {"10.0.0.1", {"fe80::1%eth0"}, "fe80::1"},
        {"10.0.0.1", {"[fe80::1%eth0]:80"}, "fe80::1"},
        {"10.0.0.1", {"[::ffff:203.0.113.9]:80"}, "203.0.113.9"},
        {"10.0.0.1", {"::ffff:203.0.113.9"}, "203.0.113.9"},
        {"10.0.0.1", {"%eth0"}, "10.0.0.1"},
    };
    check(CLIENT_X_FORWARDED_FOR, ROWS, COUNT_OF(ROWS));
}

Test(client, forwarded)
{
    static const struct row ROWS[] = {
        {"203.0.113.9", {"for=6.6.6.6"}, "203.0.113.9"},
        {"10.0.0.1", {"for=6.6.6.6"}, "10.0.0.1"}, /* another group's peer */
        {"172.16.0.1", {"for=203.0.113.9"}, "203.0.113.9"},
        {"172.16.0.1", {"For=203.0.113.9;Proto=http;By=172.16.0.1"}, "203.0.113.9"},
        {"172.16.0.1", {"by=172.16.0.1 ; for=203.0.113.9"}, "203.0.113.9"},
        {"172.16.0.1", {"for=6.6.6.6, for=203.0.113.9"}, "203.0.113.9"},
        {"172.16.0.1", {"for=6.6.6.6,for=203.0.113.9,for=172.16.0.2"}, "203.0.113.9"},
        {"172.16.0.1", {"for=6.6.6.6", "for=203.0.113.9"}, "203.0.113.9"},
        {"172.16.0.1", {"for=\"[2001:db8::9]\""}, "2001:db8::9"},
        {"172.16.0.1", {"for=\"[2001:db8::9]:4711\""}, "2001:db8::9"},
        {"172.16.0.1", {"for=\"203.0.113.9:4711\""}, "203.0.113.9"},
        {"172.16.0.1", {"for=\"203.0.113.9:_port\""}, "203.0.113.9"},
        {"172.16.0.1", {"for=\"203.0.\\113.9\""}, "203.0.113.9"},
        {"172.16.0.1", {"for=203.0.113.9:4711"}, "203.0.113.9"}, /* quotes forgotten */
        {"172.16.0.1", {"for=[2001:db8::9]:4711"}, "2001:db8::9"},
        {"172.16.0.1", {"host=\"a,b;for=6.6.6.6\";for=203.0.113.9"}, "203.0.113.9"},
        {"172.16.0.1", {"host=\"a\\\",for=6.6.6.6\";for=203.0.113.9"}, "203.0.113.9"},
        {"172.16.0.1", {";for=203.0.113.9;"}, "203.0.113.9"},
        /* obfuscated, unknown, absent: stop */
        {"172.16.0.1", {"for=_hidden"}, "172.16.0.1"},
        {"172.16.0.1", {"for=\"_hidden:_port\""}, "172.16.0.1"},
        {"172.16.0.1", {"for=unknown"}, "172.16.0.1"},
        {"172.16.0.1", {"for=6.6.6.6, for=_SEVKISEK, for=172.16.0.2"}, "172.16.0.2"},
        {"172.16.0.1", {"for=6.6.6.6, proto=https"}, "172.16.0.1"},
        {"172.16.0.1", {"for=\"\""}, "172.16.0.1"},
        {"172.16.0.1", {""}, "172.16.0.1"},
        {"172.16.0.1", {"for=6.6.6.6,"}, "172.16.0.1"},
        {"172.16.0.1", {",for=203.0.113.9"}, "203.0.113.9"},
        /* malformed: the whole line is nobody's word */
        {"172.16.0.1", {"for=\"6.6.6.6"}, "172.16.0.1"},
        {"172.16.0.1", {"for=\"6.6.6.6, for=203.0.113.9"}, "172.16.0.1"},
        {"172.16.0.1", {"for=\"6.6.6.6\\"}, "172.16.0.1"},
        {"172.16.0.1", {"for="}, "172.16.0.1"},
        {"172.16.0.1", {"for"}, "172.16.0.1"},
        {"172.16.0.1", {"=6.6.6.6"}, "172.16.0.1"},
        {"172.16.0.1", {"6.6.6.6"}, "172.16.0.1"},
        {"172.16.0.1", {"for = 6.6.6.6"}, "172.16.0.1"},
        {"172.16.0.1", {"for=6.6.6.6 for=7.7.7.7"}, "172.16.0.1"},
        {"172.16.0.1", {"for=6.6.6.6;for=7.7.7.7"}, "172.16.0.1"},
        {"172.16.0.1", {"for=\"6.6.6.6\"x"}, "172.16.0.1"},
        {"172.16.0.1", {"for=\"6.6.6.6", "for=203.0.113.9"}, "203.0.113.9"},
        {"172.16.0.1", {"for=\"6.6.6.6", "for=172.16.0.2"}, "172.16.0.2"},
    };
    check(CLIENT_FORWARDED, ROWS, COUNT_OF(ROWS));
}

Test(client, single_value_headers)
{
    static const struct row REAL_IP[] = {
        {"203.0.113.9", {"6.6.6.6"}, "203.0.113.9"},
        {"192.168.1.1", {"203.0.113.9"}, "203.0.113.9"},
        {"192.168.1.1", {"6.6.6.6", "203.0.113.9"}, "203.0.113.9"},
        {"192.168.1.1", {"garbage"}, "192.168.1.1"},
        {"192.168.2.1", {"6.6.6.6"}, "192.168.2.1"},
    };
    static const struct row CONNECTING_IP[] = {
        {"203.0.113.9", {"6.6.6.6"}, "203.0.113.9"},
        {"192.168.2.1", {"2001:db8::9"}, "2001:db8::9"},
    };
    check(CLIENT_X_REAL_IP, REAL_IP, COUNT_OF(REAL_IP));
    check(CLIENT_CF_CONNECTING_IP, CONNECTING_IP, COUNT_OF(CONNECTING_IP));
}

static struct client_question question_of(const char *peer, bool tls, const char *line)
{
    struct client_question question = {.peer_tls = tls};
    cr_assert(ip_parse(slice_of(peer), &question.peer));
    if (line == NULL)
        return question;
    for (int source = 0; source < CLIENT_SOURCE__MAX; source++) {
        question.lines[source][0] = slice_of(line);
        question.line_count[source] = 1;
    }
    return question;
}

struct proto_row {
    const char *peer;
    bool tls;
    const char *line;
    const char *forwarded_proto;
    bool https;
};

Test(client, proto)
{
    static const struct proto_row ROWS[] = {
        {"203.0.113.9", false, NULL, "", false},
        {"203.0.113.9", true, NULL, "", true},
        {"203.0.113.9", false, NULL, "https", false},
        {"203.0.113.9", true, NULL, "http", true},
        {"10.0.0.1", false, "203.0.113.9", "https", true},
        {"10.0.0.1", true, "203.0.113.9", "http", false},
        {"10.0.0.1", false, NULL, "https", true},
        {"10.0.0.1", false, "203.0.113.9", "HTTPS", false},
        {"10.0.0.1", false, "203.0.113.9", "https,http", false},
        {"10.0.0.1", false, "203.0.113.9", "https, https", false},
        {"203.0.113.9", false, NULL, "wss", false},
        {"10.0.0.1", false, "203.0.113.9", "wss", true},
        {"10.0.0.1", true, "203.0.113.9", "ws", false},
        {"10.0.0.1", false, "203.0.113.9", "wss,https", false},
        {"10.0.0.1", true, "203.0.113.9", "", true},
        {"10.0.0.1", true, "203.0.113.9", "ftp", true},
        /* Forwarded: the client's element first, then the header */
        {"172.16.0.1", false, "for=203.0.113.9;proto=https", "", true},
        {"172.16.0.1", false, "for=203.0.113.9;proto=\"https\"", "", true},
        {"172.16.0.1", false, "for=203.0.113.9;proto=http", "https", false},
        {"172.16.0.1", false, "for=203.0.113.9;proto=HTTPS", "https", false},
        {"172.16.0.1", false, "for=203.0.113.9", "https", true},
        {"172.16.0.1", false, "for=6.6.6.6;proto=https, for=203.0.113.9;proto=http", "", false},
        {"172.16.0.1", false, "for=6.6.6.6;proto=https, for=_x", "", false},
        {"172.16.0.1", false, "for=203.0.113.9;proto=https, for=172.16.0.2;proto=http", "", true},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct client client;
        struct client_question question = question_of(ROWS[i].peer, ROWS[i].tls, ROWS[i].line);
        question.forwarded_proto = slice_of(ROWS[i].forwarded_proto);
        client_resolve(&trusted, &question, &client);
        cr_expect(eq(int, client.https, ROWS[i].https), "row %zu", i);
    }
}

static void fill(char *text, size_t count, const char *element)
{
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            strcat(text, ",");
        strcat(text, element);
    }
}

/* Over a limit, a trusted peer is treated as any other, and it is told. */
static void expect_limit(struct client_question question, bool exceeded, const char *what)
{
    struct client client;
    question.forwarded_proto = SLICE("https");
    question.request_id = SLICE("0123456789");
    client_resolve(&trusted, &question, &client);
    cr_expect(eq(int, client.limits_exceeded, exceeded), "%s", what);
    cr_expect(eq(int, client.is_untold, exceeded), "%s", what);
    cr_expect(eq(int, client.trusted_peer, !exceeded), "%s", what);
    cr_expect(eq(int, client.https, !exceeded), "%s", what);
    cr_expect(eq(sz, client.request_id.size, exceeded ? 0 : 10), "%s", what);
    cr_expect(eq(int, ip_equal(&client.ip, &question.peer), exceeded), "%s", what);
}

/* A list of addresses is not to take the proxy's address for its client's. */
Test(client, whose_address_is_untold)
{
    static const struct {
        const char *peer, *line;
        bool is_untold;
    } ROWS[] = {
        {"10.0.0.1", NULL, false},
        {"10.0.0.1", "203.0.113.9", false},
        {"10.0.0.1", "unknown, 203.0.113.9", false},
        {"10.0.0.1", "203.0.113.9, unknown", true},
        {"10.0.0.1", "203.0.113.9, unknown, 10.0.0.2", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "", true},
        {"172.16.0.1", "for=203.0.113.9", false},
        {"172.16.0.1", "for=\", for=203.0.113.9", true},
        {"192.0.2.1", "unknown", false},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct client client;
        struct client_question question = question_of(ROWS[i].peer, false, ROWS[i].line);
        client_resolve(&trusted, &question, &client);
        cr_expect(eq(int, client.is_untold, ROWS[i].is_untold), "row %zu", i);
    }
}

Test(client, limits)
{
    char elements[10000];
    struct client_question question;

    fill(elements, CLIENT_MAX_ELEMENTS, "203.0.113.9");
    expect_limit(question_of("10.0.0.1", false, elements), false, "20 elements");
    fill(elements, CLIENT_MAX_ELEMENTS + 1, "203.0.113.9");
    expect_limit(question_of("10.0.0.1", false, elements), true, "21 elements");
    fill(elements, 1000, "6.6.6.6");
    expect_limit(question_of("10.0.0.1", false, elements), true, "1000 elements");
    fill(elements, CLIENT_MAX_ELEMENTS, "for=203.0.113.9");
    expect_limit(question_of("172.16.0.1", false, elements), false, "20 forwarded elements");
    fill(elements, CLIENT_MAX_ELEMENTS + 1, "for=203.0.113.9");
    expect_limit(question_of("172.16.0.1", false, elements), true, "21 forwarded elements");

    memset(elements, ' ', sizeof(elements));
    strcpy(elements + CLIENT_MAX_BYTES - 11, "203.0.113.9");
    expect_limit(question_of("10.0.0.1", false, elements), false, "2048 bytes");
    strcpy(elements + CLIENT_MAX_BYTES - 10, "203.0.113.9");
    expect_limit(question_of("10.0.0.1", false, elements), true, "2049 bytes");

    question = question_of("10.0.0.1", false, "203.0.113.9");
    question.lines[CLIENT_X_FORWARDED_FOR][1] = SLICE("203.0.113.9");
    question.lines[CLIENT_X_FORWARDED_FOR][2] = SLICE("203.0.113.9");
    question.line_count[CLIENT_X_FORWARDED_FOR] = 3;
    expect_limit(question, false, "3 lines");
    question.line_count[CLIENT_X_FORWARDED_FOR] = 4;
    expect_limit(question, true, "4 lines");
    question.line_count[CLIENT_X_FORWARDED_FOR] = UINT32_MAX;
    expect_limit(question, true, "very many lines");
}

Test(client, limits_do_not_concern_untrusted_peers)
{
    char elements[10000];
    struct client client;
    fill(elements, 1000, "6.6.6.6");
    struct client_question question = question_of("203.0.113.9", false, elements);
    client_resolve(&trusted, &question, &client);
    cr_assert_not(client.limits_exceeded);
    cr_assert(ip_equal(&client.ip, &question.peer));
}

Test(client, request_id)
{
    static const struct {
        const char *peer;
        const char *id;
        bool kept;
    } ROWS[] = {
        {"10.0.0.1", "0123-4567_89.aZ", true}, {"10.0.0.1", "01234567", true},
        {"10.0.0.1", "0123456", false},        {"10.0.0.1", "", false},
        {"10.0.0.1", "01234567 ", false},      {"10.0.0.1", "01234567\r\nX: y", false},
        {"10.0.0.1", "01234567,89", false},    {"203.0.113.9", "0123456789", false},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct client client;
        struct client_question question = question_of(ROWS[i].peer, false, NULL);
        question.request_id = slice_of(ROWS[i].id);
        client_resolve(&trusted, &question, &client);
        struct slice expected = ROWS[i].kept ? slice_of(ROWS[i].id) : (struct slice){0};
        cr_expect(slice_equal(client.request_id, expected), "row %zu", i);
    }
    char longest[129];
    struct client client;
    struct client_question question = question_of("10.0.0.1", false, NULL);
    memset(longest, 'a', sizeof(longest));
    question.request_id = slice_from(longest, 128);
    client_resolve(&trusted, &question, &client);
    cr_assert(eq(sz, client.request_id.size, 128));
    question.request_id = slice_from(longest, 129);
    client_resolve(&trusted, &question, &client);
    cr_assert(eq(sz, client.request_id.size, 0));
}

Test(client, sources_have_names)
{
    enum client_source source;
    for (int i = 0; i < CLIENT_SOURCE__MAX; i++) {
        const char *header = client_source_header((enum client_source)i);
        cr_assert(client_source_parse(slice_of(header), &source));
        cr_assert(eq(int, source, i));
    }
    cr_assert(client_source_parse(SLICE("x-forwarded-for"), &source));
    cr_assert_not(client_source_parse(SLICE("X-Forwarded-Fo"), &source));
    cr_assert_not(client_source_parse(SLICE(""), &source));
}

Test(client, a_peer_without_an_address_is_nobody)
{
    struct client_question question = {.peer_tls = true};
    struct client client;
    client_resolve(&trusted, &question, &client);
    cr_assert(eq(int, client.ip.family, IP_NONE));
    cr_assert(client.https);
    cr_assert_not(client.trusted_peer);
}
