/* core: cursors, characters, numbers, addresses, log lines, sorted lists, UTF-8, shares. */
#include "core/cursor.h"
#include "core/decimal.h"
#include "core/fair.h"
#include "core/hex.h"
#include "core/ip.h"
#include "core/log.h"
#include "core/sorted.h"
#include "core/utf8.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

Test(cursor, a_failed_read_is_sticky_and_yields_zero)
{
    struct reader reader = reader_of(SLICE("\x01\x02\x03"));
    cr_assert(eq(u8, reader_u8(&reader), 1));
    cr_assert(eq(u32, reader_u32(&reader), 0));
    cr_assert(reader.failed);
    cr_assert(eq(u8, reader_u8(&reader), 0));
    cr_assert(eq(sz, reader_bytes(&reader, 1).size, 0));
}

Test(cursor, a_length_from_the_peer_cannot_overflow)
{
    struct reader reader = reader_of(SLICE("abc"));
    reader_bytes(&reader, UINT64_MAX);
    cr_assert(reader.failed);
}

Test(cursor, a_write_that_does_not_fit_writes_nothing)
{
    uint8_t buffer[4] = {0};
    struct writer writer = writer_of(buffer, sizeof(buffer));
    writer_bytes(&writer, SLICE("abc"));
    writer_bytes(&writer, SLICE("de"));
    cr_assert(writer.failed);
    cr_assert(eq(sz, writer_used(&writer), 3));
    cr_assert(eq(u8, buffer[3], 0));
}

Test(slice, texts_are_cut_at_separators)
{
    struct slice rest = SLICE("a,,b,");
    cr_expect(slice_has(rest, ','));
    cr_expect(slice_equal(slice_before(rest, ','), SLICE("a")));
    cr_expect(slice_equal(slice_before(rest, ';'), rest));
    static const char *const PARTS[] = {"a", "", "b"};
    for (size_t i = 0; i < COUNT_OF(PARTS); i++)
        cr_expect(slice_equal(slice_cut(&rest, ','), slice_of(PARTS[i])), "%s", PARTS[i]);
    cr_expect(eq(sz, rest.size, 0)); /* nothing stands behind the last one */

    struct slice nothing = {0};
    cr_expect_not(slice_has(nothing, '\0'));
    cr_expect(eq(sz, slice_cut(&nothing, ',').size, 0));
    cr_expect(eq(sz, nothing.size, 0));
}

/* The tests run in the C locale, in which the library means ASCII too. */
Test(ascii, letters_and_digits_are_the_librarys)
{
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        cr_expect(eq(int, ascii_is_digit(c), isdigit(i) != 0), "%d", i);
        cr_expect(eq(int, ascii_is_lower(c), islower(i) != 0), "%d", i);
        cr_expect(eq(int, ascii_is_letter(c), isalpha(i) != 0), "%d", i);
        cr_expect(eq(int, ascii_is_alphanumeric(c), isalnum(i) != 0), "%d", i);
        cr_expect(eq(chr, ascii_lower(c), (char)tolower(i)), "%d", i);
    }
}

Test(decimal, digits_and_nothing_else)
{
    static const struct {
        const char *text;
        size_t most_digits;
        uint64_t number;
        bool is_whole;
        const char *rest;
    } ROWS[] = {
        {"0", 1, 0, true, ""},
        {"007", 3, 7, true, ""},
        {"007", 2, 0, false, "7"},
        {"12ms", 9, 12, false, "ms"},
        {"9999999999999999999", DECIMAL_MAX_DIGITS, 9999999999999999999u, true, ""},
        {"99999999999999999990", DECIMAL_MAX_DIGITS, 9999999999999999999u, false, "0"},
        {"", 9, 0, false, ""},
        {"-1", 9, 0, false, "-1"},
        {"+1", 9, 0, false, "+1"},
        {" 1", 9, 0, false, " 1"},
        {"1 ", 9, 1, false, " "},
        {"0x1", 9, 0, false, "x1"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct slice text = slice_of(ROWS[i].text), rest = text;
        uint64_t number = 1;
        cr_expect(eq(int, decimal_parse(text, ROWS[i].most_digits, &number), ROWS[i].is_whole),
                  "%s", ROWS[i].text);
        cr_expect(eq(int, decimal_take(&rest, ROWS[i].most_digits, &number),
                     !slice_equal(text, slice_of(ROWS[i].rest))),
                  "%s", ROWS[i].text);
        cr_expect(eq(u64, number, ROWS[i].number), "%s", ROWS[i].text);
        cr_expect(slice_equal(rest, slice_of(ROWS[i].rest)), "%s", ROWS[i].text);
    }
}

static bool network_holds(const char *network_text, const char *ip_text)
{
    struct ip_network network;
    struct ip ip;
    cr_assert(ip_network_parse(slice_of(network_text), &network), "%s", network_text);
    cr_assert(ip_parse(slice_of(ip_text), &ip), "%s", ip_text);
    return ip_network_contains(&network, &ip);
}

Test(utf8, text_is_cut_between_characters)
{
    struct slice text = SLICE("a\xc3\xbc\xe2\x82\xac");
    static const size_t SIZES[] = {0, 1, 1, 3, 3, 3, 6, 6};
    for (size_t most = 0; most < COUNT_OF(SIZES); most++)
        cr_expect_eq(utf8_head(text, most).size, SIZES[most]);
    cr_expect_eq(utf8_head(SLICE("\x80\x80\x80"), 2).size, 0);
    cr_expect_eq(utf8_head((struct slice){0}, 2).size, 0);
}

Test(utf8, characters_are_judged_by_their_bytes)
{
    static const struct {
        struct slice text;
        int bytes;
    } ROWS[] = {
        {SLICE("\0"), 1},
        {SLICE("\x7f"), 1},
        {SLICE("\xc2\x80\x80"), 2},
        {SLICE("\xe0\xa0\x80"), 3},
        {SLICE("\xed\x9f\xbf"), 3},
        {SLICE("\xf0\x90\x80\x80"), 4},
        {SLICE("\xf4\x8f\xbf\xbf"), 4},
        {SLICE(""), UTF8_UNFINISHED},
        {SLICE("\xc2"), UTF8_UNFINISHED},
        {SLICE("\xf0\x90\x80"), UTF8_UNFINISHED},
        {SLICE("\x80"), UTF8_BAD},
        {SLICE("\xc1\xbf"), UTF8_BAD},
        {SLICE("\xe0\x9f"), UTF8_BAD},
        {SLICE("\xed\xa0\x80"), UTF8_BAD},
        {SLICE("\xf0\x8f\xbf\xbf"), UTF8_BAD},
        {SLICE("\xf4\x90"), UTF8_BAD},
        {SLICE("\xf5\x80\x80\x80"), UTF8_BAD},
        {SLICE("\xe2\x82x"), UTF8_BAD},
        {SLICE("\xc2x"), UTF8_BAD},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        cr_expect(eq(int, utf8_judge(ROWS[i].text), ROWS[i].bytes), "row %zu", i);
    cr_expect_eq(utf8_first(SLICE("\xe2\x82\xacx")).size, 3);
    cr_expect_eq(utf8_first(SLICE("")).size, 0);
}

Test(ip, networks_hold_what_they_should)
{
    cr_assert(network_holds("10.0.0.0/8", "10.255.1.2"));
    cr_assert_not(network_holds("10.0.0.0/8", "11.0.0.0"));
    cr_assert(network_holds("0.0.0.0/0", "1.2.3.4"));
    cr_assert_not(network_holds("0.0.0.0/0", "::1"));
    cr_assert(network_holds("fd00:20::/28", "fd00:2f:1::9"));
    cr_assert_not(network_holds("fd00:20::/28", "fd00:30::"));
    cr_assert(network_holds("127.0.0.0/8", "::ffff:127.0.0.1"));
    cr_assert(network_holds("::ffff:127.0.0.0/104", "127.1.2.3"));
    cr_assert_not(network_holds("::ffff:127.0.0.0/104", "128.0.0.1"));
    cr_assert(network_holds("::ffff:0:0/96", "192.0.2.7"));
    cr_assert(network_holds("192.0.2.7", "192.0.2.7"));
    cr_assert(network_holds("192.0.2.128/25", "192.0.2.200"));
    cr_assert_not(network_holds("192.0.2.128/25", "192.0.2.100"));
}

Test(ip, what_is_not_an_address_is_refused)
{
    const char *bad[] = {"",      "1.2.3",      "1.2.3.4.5", "01.2.3.4", "fe80::1%eth0",
                         "[::1]", "1.2.3.4:80", "unknown",   "::g",      "1.2.3.4 "};
    struct ip ip;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        cr_expect_not(ip_parse(slice_of(bad[i]), &ip), "%s", bad[i]);
    const char *bad_networks[] = {
        "10.0.0.1/8", "10.0.0.0/33",       "10.0.0.0/",     "10.0.0.0/8x",
        "::/129",     "::ffff:10.0.0.0/8", "::ffff:0:0/95", "::ffff:10.0.0.0/129"};
    struct ip_network network;
    for (size_t i = 0; i < COUNT_OF(bad_networks); i++)
        cr_expect_not(ip_network_parse(slice_of(bad_networks[i]), &network), "%s", bad_networks[i]);
}

Test(ip, an_ipv4_address_is_printed_as_the_library_does)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        const uint8_t bytes[4] = {(uint8_t)octet, (uint8_t)(255 - octet), 0, (uint8_t)octet};
        char wanted[IP_TEXT_SIZE];
        char printed[IP_TEXT_SIZE];
        struct ip ip;
        cr_assert(ip_from_bytes(slice_from(bytes, sizeof(bytes)), &ip));
        cr_assert_not_null(inet_ntop(AF_INET, bytes, wanted, sizeof(wanted)));
        cr_expect_str_eq(ip_print(&ip, printed), wanted);
    }
}

/* All choices of groups that are none, short and long, and random ones. */
Test(ip, an_ipv6_address_is_printed_as_the_library_does)
{
    static const uint16_t GROUPS[] = {0, 1, 0xab0, 0xffff};
    unsigned random = 1;
    for (unsigned choice = 0; choice < 1u << 16; choice++) {
        uint8_t bytes[16];
        char wanted[IP_TEXT_SIZE];
        char printed[IP_TEXT_SIZE];
        for (unsigned i = 0; i < 8; i++) {
            random = random * 1664525 + 1013904223;
            unsigned kind = choice >> (2 * i) & 3;
            unsigned group = kind == 1 ? random >> 16 : GROUPS[kind];
            bytes[2 * i] = (uint8_t)(group >> 8);
            bytes[2 * i + 1] = (uint8_t)group;
        }
        struct ip ip;
        cr_assert(ip_from_bytes(slice_from(bytes, sizeof(bytes)), &ip));
        if (ip.family == IP_V4)
            continue; /* a mapped one */
        cr_assert_not_null(inet_ntop(AF_INET6, bytes, wanted, sizeof(wanted)));
        cr_assert_str_eq(ip_print(&ip, printed), wanted);
    }
}

Test(ip, with_a_port)
{
    static const struct {
        const char *text;
        const char *ip; /* NULL: it is none */
        unsigned port;
    } ROWS[] = {
        {"192.0.2.1:80", "192.0.2.1", 80},
        {"[2001:db8::1]:65535", "2001:db8::1", 65535},
        {"[::ffff:192.0.2.1]:1", "192.0.2.1", 1},
        {"", NULL, 0},
        {"192.0.2.1", NULL, 0},
        {"192.0.2.1:", NULL, 0},
        {":80", NULL, 0},
        {"192.0.2.1:0", NULL, 0},
        {"192.0.2.1:080", NULL, 0},
        {"192.0.2.1:65536", NULL, 0},
        {"192.0.2.1:100000", NULL, 0},
        {"192.0.2.1:8o", NULL, 0},
        {"192.0.2.1:+80", NULL, 0},
        {"[192.0.2.1]:80", NULL, 0},
        {"2001:db8::1:80", NULL, 0},
        {"[2001:db8::1]", NULL, 0},
        {"[2001:db8::1:80", NULL, 0},
        {"2001:db8::1]:80", NULL, 0},
        {"[]:80", NULL, 0},
        {"[:80", NULL, 0},
        {"]:80", NULL, 0},
        {"localhost:80", NULL, 0},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct ip ip, wanted = {0};
        uint16_t port = 0;
        bool is_one = ip_parse_with_port(slice_of(ROWS[i].text), &ip, &port);
        cr_assert(eq(int, is_one, ROWS[i].ip != NULL), "%s", ROWS[i].text);
        if (!is_one)
            continue;
        cr_assert(ip_parse(slice_of(ROWS[i].ip), &wanted));
        cr_expect(ip_equal(&ip, &wanted), "%s", ROWS[i].text);
        cr_expect(eq(u16, port, (uint16_t)ROWS[i].port), "%s", ROWS[i].text);
    }
}

Test(log, a_line_cannot_be_forged)
{
    char line[256];
    const struct log_field fields[] = {LOG_TEXT("path", "/x\ny z=\"1\""), LOG_NUMBER("n", 5), {0}};
    size_t length = log_format_line(line, sizeof(line), LOG_FORMAT_TEXT, false, 1763920800123,
                                    LOG_INFO, "probe", fields);
    line[length] = '\0';
    cr_assert(
        eq(str, line, "2025-11-23T18:00:00.123Z info probe path=\"/x\\x0ay z=\\\"1\\\"\" n=5\n"));
    length = log_format_line(line, sizeof(line), LOG_FORMAT_JSON, false, 1763920800123, LOG_INFO,
                             "probe", fields);
    line[length] = '\0';
    cr_assert(eq(str, line,
                 "{\"time\":\"2025-11-23T18:00:00.123Z\",\"level\":\"info\",\"event\":\"probe\","
                 "\"path\":\"/x\\u000ay z=\\\"1\\\"\",\"n\":5}\n"));
}

Test(log, is_the_journals_where_its_stream_is_stderr)
{
    char stream[64];
    struct stat about;
    cr_assert(zero(int, fstat(STDERR_FILENO, &about)));
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)about.st_dev, (uintmax_t)about.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    cr_expect(log_is_journal());
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)about.st_dev,
             (uintmax_t)about.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    cr_expect(not(log_is_journal()));
    unsetenv("JOURNAL_STREAM");
    cr_expect(not(log_is_journal()));
}

Test(log, a_pair_that_does_not_fit_is_left_out_whole)
{
    char line[80];
    char huge[200];
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    const struct log_field fields[] = {LOG_TEXT("huge", huge), LOG_NUMBER("n", 5), {0}};
    size_t length =
        log_format_line(line, sizeof(line), LOG_FORMAT_TEXT, true, 0, LOG_ERROR, "probe", fields);
    line[length] = '\0';
    cr_assert(eq(str, line, "<3>error probe n=5\n"));
}

static const char *text_at(const void *list, size_t index)
{
    return ((const char *const *)list)[index];
}

Test(sorted, a_name_is_where_it_stands_or_belongs)
{
    static const char *const LIST[] = {"b", "d", "dd", "f"};
    static const struct {
        const char *name;
        size_t place;
        bool is_there;
    } ROWS[] = {{"", 0, false},  {"a", 0, false},  {"b", 0, true},  {"c", 1, false},
                {"d", 1, true},  {"dd", 2, true},  {"e", 3, false}, {"f", 3, true},
                {"g", 4, false}, {"ddd", 3, false}};
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        bool is_there;
        cr_expect(eq(sz, sorted_place(LIST, COUNT_OF(LIST), text_at, ROWS[i].name, &is_there),
                     ROWS[i].place),
                  "\"%s\"", ROWS[i].name);
        cr_expect(eq(int, is_there, ROWS[i].is_there), "\"%s\"", ROWS[i].name);
        cr_expect(eq(sz, sorted_place(LIST, 0, text_at, ROWS[i].name, &is_there), 0));
        cr_expect_not(is_there);
    }
}

Test(hex, each_byte_is_two_digits)
{
    static const uint8_t BYTES[] = {0x00, 0x0f, 0x10, 0xab, 0xff};
    char text[2 * sizeof(BYTES) + 1];
    hex_print(BYTES, sizeof(BYTES), text);
    cr_expect(eq(str, text, "000f10abff"));
    hex_print(BYTES, 0, text);
    cr_expect(eq(str, text, ""));
}

Test(hex, what_is_printed_is_read_and_nothing_else)
{
    static const char *const OTHERS[] = {"",       "0",      "00ff1",  "00ff100",
                                         "00fg10", "00 f10", "0xff10", "00FF10"};
    uint8_t bytes[3] = {0};
    cr_expect(hex_read(SLICE("00ff1a"), bytes, sizeof(bytes)));
    cr_expect(bytes[0] == 0 && bytes[1] == 0xff && bytes[2] == 0x1a);
    for (size_t i = 0; i < COUNT_OF(OTHERS); i++)
        cr_expect_not(hex_read(slice_of(OTHERS[i]), bytes, sizeof(bytes)), "%s", OTHERS[i]);
    cr_expect_eq(hex_digit('F'), 15);
    cr_expect_eq(hex_digit('f'), 15);
    cr_expect_eq(hex_digit('9'), 9);
    cr_expect_eq(hex_digit('g'), -1);
    cr_expect_eq(hex_digit(':'), -1);
}

Test(fair, who_wants_all_gets_as_much_as_is_left_to_the_next_one)
{
    enum { PLACES = 60, COUNT_MAX = 5, ROUNDS = 100 };
    for (size_t count = 1; count <= COUNT_MAX; count++) {
        size_t own[COUNT_MAX] = {0};
        size_t taken = 0;
        for (size_t i = 0; i < ROUNDS * count;
             i++) { /* by turns: gives one back, takes all it can */
            size_t *mine = &own[i % count];
            if (*mine > 0) {
                --*mine;
                taken--;
            }
            for (; fair_has_room(*mine, taken, PLACES); taken++)
                ++*mine;
        }
        for (size_t i = 0; i < count; i++)
            cr_expect(eq(sz, own[i], PLACES / (count + 1)));
        cr_expect(eq(sz, PLACES - taken, PLACES / (count + 1)));
    }
}
