/* The Host header, validated: see route/host.h. */
#include "route/host.h"

#include "core/cursor.h"
#include "core/hex.h"
#include "idn.h"

#include <stdio.h>

enum {
    PORT_MAX_DIGITS = 5,
    RAW_MAX_BYTES = HOST_MAX_BYTES + 1 + 1 + PORT_MAX_DIGITS, /* a trailing dot, ":65535" */
};

static const char *const REFUSAL_NAMES[] = {
#define X(NAME, TEXT) [REFUSAL_##NAME] = TEXT,
    REFUSAL_TABLE(X)
#undef X
};
static_assert(COUNT_OF(REFUSAL_NAMES) == REFUSAL__MAX, "a refusal has no name");

const char *refusal_name(enum refusal refusal)
{
    assert(refusal < REFUSAL__MAX);
    return REFUSAL_NAMES[refusal];
}

/* What a name is made of, in lower case: letters, digits, hyphen, dot, and the underscore that
 * container names have. Anything else is NUL. A table, because every request's host is read. */
#define ITSELF(C)            [C] = (C)
#define LETTER(LOWER, UPPER) [LOWER] = (LOWER), [UPPER] = (LOWER)
static const char NAME_BYTES[UINT8_MAX + 1] = {
    LETTER('a', 'A'), LETTER('b', 'B'), LETTER('c', 'C'), LETTER('d', 'D'), LETTER('e', 'E'),
    LETTER('f', 'F'), LETTER('g', 'G'), LETTER('h', 'H'), LETTER('i', 'I'), LETTER('j', 'J'),
    LETTER('k', 'K'), LETTER('l', 'L'), LETTER('m', 'M'), LETTER('n', 'N'), LETTER('o', 'O'),
    LETTER('p', 'P'), LETTER('q', 'Q'), LETTER('r', 'R'), LETTER('s', 'S'), LETTER('t', 'T'),
    LETTER('u', 'U'), LETTER('v', 'V'), LETTER('w', 'W'), LETTER('x', 'X'), LETTER('y', 'Y'),
    LETTER('z', 'Z'), ITSELF('0'),      ITSELF('1'),      ITSELF('2'),      ITSELF('3'),
    ITSELF('4'),      ITSELF('5'),      ITSELF('6'),      ITSELF('7'),      ITSELF('8'),
    ITSELF('9'),      ITSELF('-'),      ITSELF('.'),      ITSELF('_'),
};
#undef ITSELF
#undef LETTER

/* Writes the text in lower case, and a NUL behind it. False when a byte is of no name. */
static bool fold(struct slice text, char *name)
{
    bool good = true;
    for (size_t i = 0; i < text.size; i++) {
        name[i] = NAME_BYTES[(uint8_t)text.data[i]];
        good &= name[i] != '\0';
    }
    name[text.size] = '\0';
    return good;
}

/* `text` is what follows the name: nothing, or ":" and a port without leading zeroes, so that the
 * canonical form of what is accepted is the text itself. */
static bool parse_port(struct slice text, uint16_t *port)
{
    *port = 0;
    return text.size == 0 || (text.data[0] == ':' && ip_port_parse(slice_skip(text, 1), port));
}

/* Takes the address, if it is one, in its canonical spelling. */
static bool take_address(struct slice text, struct host *host)
{
    struct ip ip;
    if (!ip_parse(text, &ip))
        return false;
    static_assert(IP_TEXT_SIZE <= HOST_MAX_BYTES + 1, "an address fits");
    ip_print(&ip, host->name);
    host->name_size = (uint8_t)strlen(host->name);
    host->is_address = true;
    return true;
}

static bool is_hex_digit(char c)
{
    return hex_digit(c) >= 0;
}

/* Whether a URL parser would read a name that ends in this label as an IPv4 address: decimal or
 * hexadecimal digits alone (WHATWG URL, "ends in a number"). */
static bool is_number(struct slice label)
{
    return slice_starts_with(label, SLICE("0x"))
               ? slice_consists_of(slice_skip(label, 2), is_hex_digit)
               : slice_consists_of(label, ascii_is_digit);
}

static bool is_label(struct slice text)
{
    return text.size > 0 && text.size <= LABEL_MAX_BYTES && text.data[0] != '-' &&
           text.data[text.size - 1] != '-';
}

/* Checks the labels of a folded name; `*last` gets the last one. */
static bool check_labels(struct slice name, struct slice *last)
{
    for (;;) {
        *last = slice_before(name, '.');
        if (!is_label(*last))
            return false;
        if (last->size == name.size)
            return true;
        name = slice_skip(name, last->size + 1);
    }
}

static enum refusal parse_name(struct slice raw, struct host *host)
{
    struct slice text = raw;
    if (text.size > 0 && text.data[text.size - 1] == '.')
        text.size--;
    if (text.size > HOST_MAX_BYTES)
        return REFUSAL_HOST_TOO_LONG;
    host->name_size = (uint8_t)text.size;

    struct slice last;
    if (!fold(text, host->name) || !check_labels(host_name(host), &last))
        return REFUSAL_HOST_SYNTAX;
    if (is_number(last) && !take_address(host_name(host), host))
        return REFUSAL_HOST_SYNTAX;
    return REFUSAL_NONE;
}

/* "[" IPv6 "]", without the brackets; RFC 6874 zones have no meaning to a server. */
static enum refusal parse_literal(struct slice text, struct host *host)
{
    if (!slice_has(text, ':') || !take_address(text, host))
        return REFUSAL_HOST_SYNTAX;
    return REFUSAL_NONE;
}

enum refusal host_parse(struct slice raw, struct host *host)
{
    enum refusal refusal;
    struct slice name;

    host->name_size = 0;
    host->name[0] = '\0';
    host->port = 0;
    host->is_address = false;
    host->changed = false;
    if (raw.size == 0)
        return REFUSAL_HOST_MISSING;
    if (raw.size > RAW_MAX_BYTES)
        return REFUSAL_HOST_TOO_LONG;
    if (raw.data[0] == '[') {
        struct slice before = slice_before(raw, ']');
        if (before.size == raw.size)
            return REFUSAL_HOST_SYNTAX;
        name = slice_head(raw, before.size + 1);
        refusal = parse_literal(slice_skip(before, 1), host);
    } else {
        name = slice_before(raw, ':');
        refusal = parse_name(name, host);
    }
    if (refusal != REFUSAL_NONE)
        return refusal;
    struct slice rest = slice_skip(raw, name.size);
    if (!parse_port(rest, &host->port))
        return rest.data[0] == ':' ? REFUSAL_HOST_PORT : REFUSAL_HOST_SYNTAX;
    if (raw.data[0] == '[' && slice_has(host_name(host), ':'))
        name = slice_from(name.data + 1, name.size - 2);
    host->changed = !slice_equal(name, host_name(host));
    return REFUSAL_NONE;
}

void host_write(const struct host *host, struct writer *writer)
{
    struct slice name = host_name(host);
    bool brackets = host->is_address && slice_has(name, ':');
    char port[2 + PORT_MAX_DIGITS];

    if (brackets)
        writer_u8(writer, '[');
    writer_bytes(writer, name);
    if (brackets)
        writer_u8(writer, ']');
    if (host->port == 0)
        return;
    snprintf(port, sizeof(port), ":%u", host->port);
    writer_bytes(writer, slice_of(port));
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((uint8_t)text.data[i] >= 0x80)
            return false;
    return true;
}

bool host_pattern_parse(struct slice text, char name[static HOST_MAX_BYTES + 1], bool *wildcard)
{
    char ascii[HOST_MAX_BYTES + 1];
    struct host host;

    *wildcard = slice_starts_with(text, SLICE("*."));
    struct slice plain = slice_skip(text, *wildcard ? 2 : 0);
    if (!is_ascii(plain)) {
        if (!idn_to_ascii(plain, ascii))
            return false;
        plain = slice_of(ascii);
    }
    if (host_parse(plain, &host) != REFUSAL_NONE || host.port != 0)
        return false;
    if (*wildcard && host.is_address)
        return false;
    memcpy(name, host.name, host.name_size + 1u);
    return true;
}

bool host_label_parse(struct slice text, char label[static LABEL_MAX_BYTES + 1])
{
    char ascii[HOST_MAX_BYTES + 1];
    struct slice last;

    if (!is_ascii(text)) {
        if (!idn_to_ascii(text, ascii))
            return false;
        text = slice_of(ascii);
    }
    if (text.size == 0 || text.size > LABEL_MAX_BYTES)
        return false;
    return fold(text, label) && check_labels(slice_from(label, text.size), &last) &&
           last.size == text.size;
}
