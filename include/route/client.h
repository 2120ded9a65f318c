/* Who the client is, when proxies stand before HAProxy: of the addresses that a trusted proxy's
 * header lists, the rightmost one that is not itself a trusted proxy's. Each group of trusted
 * proxies has the one header that it is believed in. */
#pragma once

#include "core/cursor.h"
#include "core/ip.h"

enum client_source { /* the header that a group of proxies tells the client's address in */
                     CLIENT_X_FORWARDED_FOR,
                     CLIENT_FORWARDED, /* RFC 7239 */
                     CLIENT_X_REAL_IP,
                     CLIENT_CF_CONNECTING_IP,
                     CLIENT_TRUE_CLIENT_IP,
                     CLIENT_SOURCE__MAX,
};

/* The header's name ("X-Forwarded-For") and back. */
const char *client_source_header(enum client_source source);
MUST_CHECK bool client_source_parse(struct slice header, enum client_source *source);

struct proxy_group {
    char *name;
    enum client_source source;
    struct ip_network *networks;
    size_t network_count;
};

struct trusted_proxies {
    struct proxy_group *groups;
    size_t group_count;
};

enum { CLIENT_MAX_LINES = 3, CLIENT_MAX_ELEMENTS = 20, CLIENT_MAX_BYTES = 2048 };

/* What HAProxy told about the connection and its headers. A slice of size 0 is an absent header.
 * `lines` are in the order of the request; `line_count` is how many the request has, which may be
 * more than are here: it is then not believed. */
struct client_question {
    struct ip peer;
    bool peer_tls;
    struct slice lines[CLIENT_SOURCE__MAX][CLIENT_MAX_LINES];
    uint32_t line_count[CLIENT_SOURCE__MAX];
    struct slice forwarded_proto; /* X-Forwarded-Proto */
    struct slice request_id;      /* X-Request-ID */
};

struct client {
    struct ip ip;
    bool https;
    bool trusted_peer;
    bool limits_exceeded; /* a trusted peer's header was over the limits, so not believed */
    bool is_untold;       /* that, or it has somebody in it whose address nobody can read: `ip` is
                             a proxy's, and what a list of addresses says of it is not meant */
    struct slice request_id; /* the trusted peer's, when well-formed; else empty */
};

/* What lists of addresses go by; NULL: nobody knows it. */
static inline const struct ip *client_known_ip(const struct client *client)
{
    return client->is_untold ? NULL : &client->ip;
}

void client_resolve(const struct trusted_proxies *trusted, const struct client_question *question,
                    struct client *client);

/* Writes who the client is and, behind it, the trusted proxies that its request has passed, up to
 * the peer: what X-Forwarded-For says when it tells a chain. Only for a trusted peer. The writer
 * fails when there is no room. */
void client_write_chain(const struct trusted_proxies *trusted,
                        const struct client_question *question, struct writer *chain);

/* The group that trusts `ip`, or NULL. */
const struct proxy_group *trusted_proxies_find(const struct trusted_proxies *trusted,
                                               const struct ip *ip);
void trusted_proxies_fini(struct trusted_proxies *trusted);
