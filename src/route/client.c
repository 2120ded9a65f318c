/* Who is the client: see route/client.h. */
#include "route/client.h"

#include "forwarded.h"

#include <stdlib.h>

enum {
    REQUEST_ID_MIN_BYTES = 8,
    REQUEST_ID_MAX_BYTES = 128,
    PORT_MAX_DIGITS = 5,
    NODE_MAX_BYTES = 128, /* "[" IPv6 "%" zone "]" ":" port, with room */
};

static const char *const SOURCE_HEADERS[] = {
    [CLIENT_X_FORWARDED_FOR] = "X-Forwarded-For",
    [CLIENT_FORWARDED] = "Forwarded",
    [CLIENT_X_REAL_IP] = "X-Real-IP",
    [CLIENT_CF_CONNECTING_IP] = "CF-Connecting-IP",
    [CLIENT_TRUE_CLIENT_IP] = "True-Client-IP",
};
static_assert(COUNT_OF(SOURCE_HEADERS) == CLIENT_SOURCE__MAX, "a source has no header");

const char *client_source_header(enum client_source source)
{
    assert(source < CLIENT_SOURCE__MAX);
    return SOURCE_HEADERS[source];
}

bool client_source_parse(struct slice header, enum client_source *source)
{
    for (size_t i = 0; i < COUNT_OF(SOURCE_HEADERS); i++) {
        if (slice_equal_nocase(header, slice_of(SOURCE_HEADERS[i]))) {
            *source = (enum client_source)i;
            return true;
        }
    }
    return false;
}

/* One hop, as a proxy told it. A node of size 0 is one that nobody can read. */
struct hop {
    struct slice node;
    struct slice proto; /* Forwarded alone tells it */
};

struct hops {
    struct hop list[CLIENT_MAX_ELEMENTS]; /* in the order of the request: the nearest proxy last */
    size_t count;
};

static bool add_hop(struct hops *hops, struct slice node, struct slice proto)
{
    if (hops->count == CLIENT_MAX_ELEMENTS)
        return false;
    hops->list[hops->count++] = (struct hop){node, proto};
    return true;
}

/* The next functions return false when there are too many elements. Empty elements count, and are
 * not skipped: a proxy that writes one did not know, so what is left of it is hearsay. */
static bool split_list(struct hops *hops, struct slice line)
{
    for (;;) {
        bool has_more = slice_has(line, ',');
        if (!add_hop(hops, slice_trim(slice_cut(&line, ',')), (struct slice){0}))
            return false;
        if (!has_more)
            return true;
    }
}

/* A line that does not parse is one unreadable hop: a client can leave a quote open, and what the
 * next proxy appends is then inside it. */
static bool split_forwarded(struct hops *hops, struct slice line)
{
    size_t before = hops->count;
    bool more = true;
    while (more) {
        struct forwarded_element element;
        if (!forwarded_take(&line, &element, &more)) {
            hops->count = before;
            return add_hop(hops, (struct slice){0}, (struct slice){0});
        }
        if (!add_hop(hops, element.node, element.proto))
            return false;
    }
    return true;
}

/* False when the header is over a limit. */
static bool collect_hops(const struct client_question *question, enum client_source source,
                         struct hops *hops)
{
    uint32_t line_count = question->line_count[source];
    size_t bytes = 0;

    hops->count = 0;
    if (line_count > CLIENT_MAX_LINES)
        return false;
    for (uint32_t i = 0; i < line_count; i++) {
        struct slice line = question->lines[source][i];
        bytes += line.size;
        if (bytes > CLIENT_MAX_BYTES)
            return false;
        bool fits =
            source == CLIENT_FORWARDED ? split_forwarded(hops, line) : split_list(hops, line);
        if (!fits)
            return false;
    }
    return true;
}

/* What ports and identifiers are made of besides digits (RFC 7239 section 6). */
static bool is_name_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
}

/* ":" and a number, or an obfuscated port, "_name"; or nothing. */
static bool is_port(struct slice text)
{
    if (text.size == 0)
        return true;
    if (text.size < 2 || text.data[0] != ':')
        return false;
    text = slice_skip(text, 1);
    return text.data[0] == '_'
               ? slice_consists_of(text, is_name_byte)
               : text.size <= PORT_MAX_DIGITS && slice_consists_of(text, ascii_is_digit);
}

/* An IPv6 address may carry the zone of the host that wrote it, which means nothing here. */
static bool parse_address(struct slice text, struct ip *ip)
{
    return ip_parse(slice_before(text, '%'), ip) && (!slice_has(text, '%') || ip->family == IP_V6);
}

/* a.b.c.d[:port], IPv6, [IPv6][:port]; "unknown", "_hidden" and the rest are no addresses. */
static bool parse_node(struct slice text, struct ip *ip)
{
    if (slice_starts_with(text, SLICE("["))) {
        bool is_closed = slice_has(text, ']');
        struct slice inside = slice_skip(slice_cut(&text, ']'), 1);
        return is_closed && slice_has(inside, ':') && parse_address(inside, ip) && is_port(text);
    }
    struct slice before = slice_before(text, ':');
    if (ip_parse(before, ip))
        return is_port(slice_skip(text, before.size));
    return before.size < text.size && parse_address(text, ip);
}

static bool hop_address(const struct hop *hop, struct ip *ip)
{
    char unquoted[NODE_MAX_BYTES];
    return parse_node(forwarded_unquote(hop->node, unquoted, sizeof(unquoted)), ip);
}

/* The walk from the nearest proxy towards the client. Returns the hop that is believed to be the
 * client, or NULL when that is the peer itself; `*is_cut` when the next one cannot be read. */
static const struct hop *walk(const struct trusted_proxies *trusted, const struct hops *hops,
                              struct ip *client, bool *is_cut)
{
    const struct hop *found = NULL;
    *is_cut = false;
    for (size_t i = hops->count; i > 0; i--) {
        struct ip ip;
        *is_cut = !hop_address(&hops->list[i - 1], &ip);
        if (*is_cut)
            break;
        found = &hops->list[i - 1];
        *client = ip;
        if (trusted_proxies_find(trusted, &ip) == NULL)
            break;
    }
    return found;
}

/* Exactly one of these; anything else leaves `*https` alone. Traefik tells a handshake's scheme as
 * that of the WebSocket. */
static void read_proto(struct slice proto, bool *https)
{
    if (slice_equal(proto, SLICE("https")) || slice_equal(proto, SLICE("wss")))
        *https = true;
    else if (slice_equal(proto, SLICE("http")) || slice_equal(proto, SLICE("ws")))
        *https = false;
}

static bool is_request_id(struct slice id)
{
    if (id.size < REQUEST_ID_MIN_BYTES || id.size > REQUEST_ID_MAX_BYTES)
        return false;
    for (size_t i = 0; i < id.size; i++)
        if (!is_name_byte(id.data[i]))
            return false;
    return true;
}

/* A proxy that speaks Forwarded lets X-Forwarded-Proto pass as the client wrote it, so that what
 * the client's own element says goes first. */
static void believe(const struct trusted_proxies *trusted, const struct client_question *question,
                    const struct hops *hops, struct client *client)
{
    char unquoted[NODE_MAX_BYTES];
    const struct hop *hop = walk(trusted, hops, &client->ip, &client->is_untold);

    if (hop != NULL && hop->proto.size > 0)
        read_proto(forwarded_unquote(hop->proto, unquoted, sizeof(unquoted)), &client->https);
    else
        read_proto(question->forwarded_proto, &client->https);
    if (is_request_id(question->request_id))
        client->request_id = question->request_id;
}

void client_resolve(const struct trusted_proxies *trusted, const struct client_question *question,
                    struct client *client)
{
    struct hops hops;
    *client = (struct client){.ip = question->peer, .https = question->peer_tls};

    const struct proxy_group *group = trusted_proxies_find(trusted, &question->peer);
    if (group == NULL)
        return;
    if (!collect_hops(question, group->source, &hops)) {
        client->limits_exceeded = client->is_untold = true;
        return;
    }
    client->trusted_peer = true;
    believe(trusted, question, &hops, client);
}

static void write_ip(struct writer *text, const struct ip *ip)
{
    char buffer[IP_TEXT_SIZE];
    writer_bytes(text, slice_of(ip_print(ip, buffer)));
}

/* All behind the client's hop were trusted, and so readable, when the client was found. */
void client_write_chain(const struct trusted_proxies *trusted,
                        const struct client_question *question, struct writer *chain)
{
    struct hops hops;
    struct ip ip;
    bool is_cut;
    const struct proxy_group *group = trusted_proxies_find(trusted, &question->peer);
    if (group != NULL && collect_hops(question, group->source, &hops)) {
        const struct hop *client = walk(trusted, &hops, &ip, &is_cut);
        for (const struct hop *hop = client; hop != NULL && hop < hops.list + hops.count; hop++) {
            if (!hop_address(hop, &ip))
                break;
            write_ip(chain, &ip);
            writer_bytes(chain, SLICE(", "));
        }
    }
    write_ip(chain, &question->peer);
}

const struct proxy_group *trusted_proxies_find(const struct trusted_proxies *trusted,
                                               const struct ip *ip)
{
    for (size_t i = 0; i < trusted->group_count; i++) {
        const struct proxy_group *group = &trusted->groups[i];
        if (ip_networks_contain(group->networks, group->network_count, ip))
            return group;
    }
    return NULL;
}

void trusted_proxies_fini(struct trusted_proxies *trusted)
{
    for (size_t i = 0; i < trusted->group_count; i++) {
        free(trusted->groups[i].name);
        free(trusted->groups[i].networks);
    }
    free(trusted->groups);
    *trusted = (struct trusted_proxies){0};
}
