/* IP addresses and networks as values: parsing, printing, matching. */
#pragma once

#include "core/slice.h"

struct sockaddr;

enum ip_family { IP_NONE, IP_V4, IP_V6 };

/* An IPv4 address uses the first 4 bytes; the others are zero, so that memcmp compares. */
struct ip {
    uint8_t bytes[16];
    uint8_t family; /* enum ip_family */
};

struct ip_network {
    struct ip ip; /* host bits are zero */
    uint8_t prefix_bits;
};

enum { IP_TEXT_SIZE = 46, IP_PORT_TEXT_SIZE = IP_TEXT_SIZE + 8 };

/* Strict: dotted quad or RFC 4291 text without brackets, zone or port. An IPv4-mapped IPv6 address
 * (::ffff:a.b.c.d) becomes IPv4, so that no list can be dodged by spelling. */
MUST_CHECK bool ip_parse(struct slice text, struct ip *ip);
/* 1 to 65535, in decimal digits without leading zeros. */
MUST_CHECK bool ip_port_parse(struct slice text, uint16_t *port);
/* "192.0.2.1:80", "[2001:db8::1]:80": brackets are around an IPv6 address, and around nothing else.
 */
MUST_CHECK bool ip_parse_with_port(struct slice text, struct ip *ip, uint16_t *port);
/* From 4 or 16 raw bytes; maps like ip_parse(). False for another size. */
MUST_CHECK bool ip_from_bytes(struct slice bytes, struct ip *ip);
/* Of a socket's address, as getsockname() and the like fill it; `port` may be NULL. False for
 * families other than AF_INET and AF_INET6. */
MUST_CHECK bool ip_from_socket(const struct sockaddr *address, struct ip *ip, uint16_t *port);
/* Both return `text`. For no address they print "-". */
const char *ip_print(const struct ip *ip, char text[static IP_TEXT_SIZE]);
/* As ip_parse_with_port() takes it. */
const char *ip_print_with_port(const struct ip *ip, uint16_t port,
                               char text[static IP_PORT_TEXT_SIZE]);
bool ip_equal(const struct ip *a, const struct ip *b);
bool ip_is_loopback(const struct ip *ip);
/* Whether programs on this machine can be reached by IPv6: false when the kernel lacks it, and when
 * it was turned off (net.ipv6.conf.all.disable_ipv6). */
MUST_CHECK bool ip_v6_is_here(void);
/* Whether this machine has a route to the address; nothing is sent. */
MUST_CHECK bool ip_has_route(const struct ip *ip);
/* 0.0.0.0 or ::, which stand for every address of this machine. */
bool ip_is_unspecified(const struct ip *ip);

/* "10.0.0.0/8", "2001:db8::/32", or an address alone; "::ffff:10.0.0.0/104" is the first of these.
 * Host bits must be zero. */
MUST_CHECK bool ip_network_parse(struct slice text, struct ip_network *network);
bool ip_network_contains(const struct ip_network *network, const struct ip *ip);
/* Whether one of `count` networks contains it. */
bool ip_networks_contain(const struct ip_network *networks, size_t count, const struct ip *ip);
