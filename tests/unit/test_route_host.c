/* route/host: what a Host header may be, and what is made of it. */
#include "core/cursor.h"
#include "route/host.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#define LABEL_63 "a23456789012345678901234567890123456789012345678901234567890123"
#define NAME_253                       \
    LABEL_63 "." LABEL_63 "." LABEL_63 \
             ".a2345678901234567890123456789012345678901234567890123456789.b"

/* On the heap and exactly as long as it is, so that AddressSanitizer sees a read beyond its end. */
static enum refusal parse(struct slice raw, struct host *host)
{
    char *copy = malloc(raw.size > 0 ? raw.size : 1);
    memcpy(copy, raw.data, raw.size);
    memset(host, 0xee, sizeof(*host));
    enum refusal refusal = host_parse(slice_from(copy, raw.size), host);
    free(copy);
    return refusal;
}

struct accepted {
    char *raw;
    char *written;
    char *name;
    uint16_t port;
    bool is_address;
    bool changed;
};

static const struct accepted ACCEPTED[] = {
    {"chat.example.com", "chat.example.com", "chat.example.com", 0, false, false},
    {"a.tld:443", "a.tld:443", "a.tld", 443, false, false},
    {"a.tld:1", "a.tld:1", "a.tld", 1, false, false},
    {"a.tld:65535", "a.tld:65535", "a.tld", 65535, false, false},
    {"Chat.EXAMPLE.Com", "chat.example.com", "chat.example.com", 0, false, true},
    {"a.tld.", "a.tld", "a.tld", 0, false, true},
    {"a.tld.:8443", "a.tld:8443", "a.tld", 8443, false, true},
    {"localhost", "localhost", "localhost", 0, false, false},
    {"open_webui:8080", "open_webui:8080", "open_webui", 8080, false, false},
    {"xn--mnchen-3ya.example", "xn--mnchen-3ya.example", "xn--mnchen-3ya.example", 0, false, false},
    {"a--b.1a.tld", "a--b.1a.tld", "a--b.1a.tld", 0, false, false},
    {"1.2.3.a", "1.2.3.a", "1.2.3.a", 0, false, false},
    {"0xyz", "0xyz", "0xyz", 0, false, false},
    {LABEL_63 ".tld", LABEL_63 ".tld", LABEL_63 ".tld", 0, false, false},
    {NAME_253, NAME_253, NAME_253, 0, false, false},
    {NAME_253 ".:65535", NAME_253 ":65535", NAME_253, 65535, false, true},
    {"192.0.2.1", "192.0.2.1", "192.0.2.1", 0, true, false},
    {"192.0.2.1:3000", "192.0.2.1:3000", "192.0.2.1", 3000, true, false},
    {"192.0.2.1.", "192.0.2.1", "192.0.2.1", 0, true, true},
    {"[::1]", "[::1]", "::1", 0, true, false},
    {"[2001:db8::1]:8443", "[2001:db8::1]:8443", "2001:db8::1", 8443, true, false},
    {"[2001:DB8:0:0::1]", "[2001:db8::1]", "2001:db8::1", 0, true, true},
    {"[::ffff:127.0.0.1]", "127.0.0.1", "127.0.0.1", 0, true, true},
};

Test(host, is_accepted_in_canonical_form)
{
    for (size_t i = 0; i < COUNT_OF(ACCEPTED); i++) {
        const struct accepted *row = &ACCEPTED[i];
        struct host host;
        cr_expect(eq(int, parse(slice_of(row->raw), &host), REFUSAL_NONE), "%s", row->raw);
        cr_expect(eq(str, host.name, row->name), "%s", row->raw);
        cr_expect(eq(sz, host.name_size, strlen(row->name)), "%s", row->raw);
        cr_expect(eq(u16, host.port, row->port), "%s", row->raw);
        cr_expect(eq(int, host.is_address, row->is_address), "%s", row->raw);
        cr_expect(eq(int, host.changed, row->changed), "%s", row->raw);
        char text[300] = "";
        struct writer writer = writer_of(text, sizeof(text));
        host_write(&host, &writer);
        cr_expect(eq(str, text, row->written), "%s", row->raw);
    }
}

struct refused {
    struct slice raw;
    enum refusal refusal;
};

static const struct refused REFUSED[] = {
    {SLICE(""), REFUSAL_HOST_MISSING},
    {SLICE("a.tld/health?x="), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld?x"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld#x"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld\\x"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld@evil"), REFUSAL_HOST_SYNTAX},
    {SLICE("user:password@evil.tld"), REFUSAL_HOST_PORT},
    {SLICE("a.tld,b.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld, b.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("a b"), REFUSAL_HOST_SYNTAX},
    {SLICE(" a.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld "), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld\t"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld\r\nX: y"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld\0.evil"), REFUSAL_HOST_SYNTAX},
    {SLICE("a%2etld"), REFUSAL_HOST_SYNTAX},
    {SLICE("http://a.tld"), REFUSAL_HOST_PORT},
    {SLICE("m\xc3\xbcnchen.example"), REFUSAL_HOST_SYNTAX},
    {SLICE("\xff.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("*.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("."), REFUSAL_HOST_SYNTAX},
    {SLICE(".."), REFUSAL_HOST_SYNTAX},
    {SLICE(".a.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("a..tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.tld.."), REFUSAL_HOST_SYNTAX},
    {SLICE("-a.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("a-.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.-tld"), REFUSAL_HOST_SYNTAX},
    {SLICE(LABEL_63 "4.tld"), REFUSAL_HOST_SYNTAX},
    {SLICE(NAME_253 "c"), REFUSAL_HOST_TOO_LONG},
    {SLICE(NAME_253 NAME_253), REFUSAL_HOST_TOO_LONG},
    {SLICE("a.tld:"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:0"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:080"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:65536"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:99999"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:4294967377"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:80:81"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:+80"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:80a"), REFUSAL_HOST_PORT},
    {SLICE("a.tld:8 0"), REFUSAL_HOST_PORT},
    {SLICE(":80"), REFUSAL_HOST_SYNTAX},
    {SLICE("1.2.3"), REFUSAL_HOST_SYNTAX},
    {SLICE("256.1.1.1"), REFUSAL_HOST_SYNTAX},
    {SLICE("1.2.3.4.5"), REFUSAL_HOST_SYNTAX},
    {SLICE("2130706433"), REFUSAL_HOST_SYNTAX},
    {SLICE("0x7f000001"), REFUSAL_HOST_SYNTAX},
    {SLICE("127.0.0.0X1"), REFUSAL_HOST_SYNTAX},
    {SLICE("0177.0.0.1"), REFUSAL_HOST_SYNTAX},
    {SLICE("a.1"), REFUSAL_HOST_SYNTAX},
    {SLICE("::1"), REFUSAL_HOST_SYNTAX},
    {SLICE("2001:db8::1"), REFUSAL_HOST_SYNTAX},
    {SLICE("["), REFUSAL_HOST_SYNTAX},
    {SLICE("[]"), REFUSAL_HOST_SYNTAX},
    {SLICE("[::1"), REFUSAL_HOST_SYNTAX},
    {SLICE("[::1]a"), REFUSAL_HOST_SYNTAX},
    {SLICE("[::1]."), REFUSAL_HOST_SYNTAX},
    {SLICE("[::1]:"), REFUSAL_HOST_PORT},
    {SLICE("[::1]:80:81"), REFUSAL_HOST_PORT},
    {SLICE("[fe80::1%eth0]"), REFUSAL_HOST_SYNTAX},
    {SLICE("[fe80::1%25eth0]"), REFUSAL_HOST_SYNTAX},
    {SLICE("[127.0.0.1]"), REFUSAL_HOST_SYNTAX},
    {SLICE("[v1.a]"), REFUSAL_HOST_SYNTAX},
    {SLICE("[[::1]]"), REFUSAL_HOST_SYNTAX},
    {SLICE("::1]"), REFUSAL_HOST_SYNTAX},
};

Test(host, is_refused_when_it_is_not_plainly_a_name_or_an_address)
{
    for (size_t i = 0; i < COUNT_OF(REFUSED); i++) {
        struct host host;
        cr_expect(eq(int, parse(REFUSED[i].raw, &host), REFUSED[i].refusal), "row %zu: %.*s", i,
                  SLICE_PRINT(REFUSED[i].raw));
    }
}

/* The canonical form of whatever is accepted parses to itself, so that nobody behind sees another
 * host than the one that was routed. */
Test(host, canonical_form_is_a_fixed_point)
{
    static const char BYTES[] = "aZ01.:-_[]x%";
    uint32_t seed = 12345;
    for (unsigned round = 0; round < 200000; round++) {
        char raw[12], text[300], again_text[300];
        size_t size = 0;
        for (; size < sizeof(raw); size++) {
            seed = seed * 1664525u + 1013904223u;
            if (seed >> 24 < 16)
                break;
            raw[size] = BYTES[(seed >> 16) % (sizeof(BYTES) - 1)];
        }
        struct host host, again;
        if (host_parse(slice_from(raw, size), &host) != REFUSAL_NONE)
            continue;
        struct writer writer = writer_of(text, sizeof(text));
        host_write(&host, &writer);
        cr_assert_eq(host_parse(writer_written(&writer), &again), REFUSAL_NONE, "%.*s", (int)size,
                     raw);
        cr_assert_not(again.changed, "%.*s", (int)size, raw);
        struct writer again_writer = writer_of(again_text, sizeof(again_text));
        host_write(&again, &again_writer);
        cr_assert(slice_equal(writer_written(&writer), writer_written(&again_writer)), "%.*s",
                  (int)size, raw);
    }
}

Test(host, every_refusal_has_its_own_name)
{
    for (int i = 0; i < REFUSAL__MAX; i++)
        for (int j = 0; j < i; j++)
            cr_expect_str_neq(refusal_name((enum refusal)i), refusal_name((enum refusal)j));
}

struct pattern {
    char *text;
    char *name; /* NULL: refused */
    bool wildcard;
};

static const struct pattern PATTERNS[] = {
    {"chat.example.com", "chat.example.com", false},
    {"Chat.Example.COM.", "chat.example.com", false},
    {"*.ai.example.com", "ai.example.com", true},
    {"*.com", "com", true},
    {"m\xc3\xbcnchen.example", "xn--mnchen-3ya.example", false},
    {"*.M\xc3\x9cNCHEN.example", "xn--mnchen-3ya.example", true},
    {"stra\xc3\x9f"
     "e.example",
     "xn--strae-oqa.example", false},
    {"\xe4\xbe\x8b\xe3\x80\x82\xe6\xb5\x8b\xe8\xaf\x95", "xn--fsq.xn--0zwm56d", false},
    {"open_webui", "open_webui", false},
    {"192.0.2.1", "192.0.2.1", false},
    {"[2001:DB8::1]", "2001:db8::1", false},
    {"", NULL, false},
    {"*", NULL, false},
    {"*.", NULL, false},
    {"*.*.com", NULL, false},
    {"a.*.com", NULL, false},
    {"a*.com", NULL, false},
    {"*a.com", NULL, false},
    {"*.192.0.2.1", NULL, false},
    {"chat.example.com:443", NULL, false},
    {"https://chat.example.com", NULL, false},
    {"chat.example.com/owui", NULL, false},
    {"a..b", NULL, false},
    {"\xff\xfe.example", NULL, false},
    {"\xc3\xbc..example", NULL, false},
    {"\xc3\xbc.exa mple", NULL, false},
};

Test(host, pattern_of_the_configuration)
{
    for (size_t i = 0; i < COUNT_OF(PATTERNS); i++) {
        const struct pattern *row = &PATTERNS[i];
        char name[HOST_MAX_BYTES + 1] = "";
        bool wildcard;
        bool accepted = host_pattern_parse(slice_of(row->text), name, &wildcard);
        cr_expect(eq(int, accepted, row->name != NULL), "%s", row->text);
        if (row->name == NULL || !accepted)
            continue;
        cr_expect(eq(str, name, row->name), "%s", row->text);
        cr_expect(eq(int, wildcard, row->wildcard), "%s", row->text);
    }
}

Test(host, labels_of_wildcards)
{
    static const struct {
        const char *text;
        const char *label; /* NULL: it is none */
    } ROWS[] = {
        {"acme", "acme"},
        {"ACME-1", "acme-1"},
        {"1234", "1234"},
        {"0x7f", "0x7f"},
        {"a_b", "a_b"},
        {"b\xc3\xbc"
         "cher",
         "xn--bcher-kva"},
        {"", NULL},
        {"-a", NULL},
        {"a-", NULL},
        {"a.b", NULL},
        {"a.", NULL},
        {"*", NULL},
        {"a b", NULL},
        {"a:80", NULL},
        {"a\xe3\x80\x82"
         "b",
         NULL},
        {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmn", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char label[LABEL_MAX_BYTES + 1] = "";
        bool good = host_label_parse(slice_of(ROWS[i].text), label);
        cr_expect(eq(int, good, ROWS[i].label != NULL), "%s", ROWS[i].text);
        if (good && ROWS[i].label != NULL)
            cr_expect(eq(str, label, (char *)(uintptr_t)ROWS[i].label), "%s", ROWS[i].text);
    }
}
