/* IP addresses and networks as values: see core/ip.h. */
#include "core/ip.h"

#include "core/decimal.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAPPED_BITS = 96 };

static const uint8_t MAPPED_PREFIX[MAPPED_BITS / 8] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_from_bytes(struct slice bytes, struct ip *ip)
{
    *ip = (struct ip){0};
    if (bytes.size == 4) {
        ip->family = IP_V4;
        memcpy(ip->bytes, bytes.data, 4);
        return true;
    }
    if (bytes.size != 16)
        return false;
    if (memcmp(bytes.data, MAPPED_PREFIX, sizeof(MAPPED_PREFIX)) == 0)
        return ip_from_bytes(slice_skip(bytes, sizeof(MAPPED_PREFIX)), ip);
    ip->family = IP_V6;
    memcpy(ip->bytes, bytes.data, 16);
    return true;
}

bool ip_from_socket(const struct sockaddr *address, struct ip *ip, uint16_t *port)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    uint16_t unwanted;
    port = port != NULL ? port : &unwanted;
    switch (address->sa_family) {
    case AF_INET:
        memcpy(&four, address, sizeof(four));
        *port = ntohs(four.sin_port);
        return ip_from_bytes(slice_from(&four.sin_addr, 4), ip);
    case AF_INET6:
        memcpy(&six, address, sizeof(six));
        *port = ntohs(six.sin6_port);
        return ip_from_bytes(slice_from(&six.sin6_addr, 16), ip);
    default: return false;
    }
}

bool ip_parse(struct slice text, struct ip *ip)
{
    char terminated[IP_TEXT_SIZE];
    uint8_t raw[16];

    *ip = (struct ip){0};
    if (text.size == 0 || text.size >= sizeof(terminated))
        return false;
    if (slice_has(text, '\0'))
        return false;
    memcpy(terminated, text.data, text.size);
    terminated[text.size] = '\0';
    if (inet_pton(AF_INET, terminated, raw) == 1)
        return ip_from_bytes(slice_from(raw, 4), ip);
    if (inet_pton(AF_INET6, terminated, raw) == 1)
        return ip_from_bytes(slice_from(raw, 16), ip);
    return false;
}

bool ip_port_parse(struct slice text, uint16_t *port)
{
    uint64_t value;
    if (slice_starts_with(text, SLICE("0")) || !decimal_parse(text, 5, &value))
        return false;
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

bool ip_parse_with_port(struct slice text, struct ip *ip, uint16_t *port)
{
    const char *colon = text.size > 0 ? memrchr(text.data, ':', text.size) : NULL;
    *ip = (struct ip){0};
    if (colon == NULL)
        return false;
    struct slice host = slice_head(text, (size_t)(colon - text.data));
    if (!ip_port_parse(slice_skip(text, host.size + 1), port))
        return false;
    if (!slice_starts_with(host, SLICE("[")))
        return !slice_has(host, ':') && ip_parse(host, ip);
    if (!slice_ends_with(host, SLICE("]")))
        return false;
    host = slice_head(slice_skip(host, 1), host.size - 2);
    /* A mapped address is IPv4 to ip_parse(), but is written with colons. */
    return slice_has(host, ':') && ip_parse(host, ip);
}

static char *print_octet(uint8_t octet, char *end)
{
    if (octet >= 100)
        *end++ = (char)('0' + octet / 100);
    if (octet >= 10)
        *end++ = (char)('0' + octet / 10 % 10);
    *end++ = (char)('0' + octet % 10);
    return end;
}

static char *print_v4(const uint8_t bytes[static 4], char *end)
{
    for (int i = 0; i < 4; i++) {
        end = print_octet(bytes[i], end);
        *end++ = '.';
    }
    return end - 1;
}

/* Four digits at most, without leading zeros. */
static char *print_group(unsigned group, char *end)
{
    for (int shift = 12; shift >= 0; shift -= 4)
        if (group >> shift != 0 || shift == 0)
            *end++ = "0123456789abcdef"[group >> shift & 15];
    return end;
}

struct run {
    int begin;
    int end;
};

/* RFC 5952 4.2: the longest run of zeros, the first one of several, and none of a single group. */
static struct run longest_zeros(const unsigned groups[static 8])
{
    struct run longest = {-1, -1};
    for (int begin = 0; begin < 8; begin++) {
        int end = begin;
        while (end < 8 && groups[end] == 0)
            end++;
        if (end - begin >= 2 && end - begin > longest.end - longest.begin)
            longest = (struct run){begin, end};
    }
    return longest;
}

static char *print_v6(const uint8_t bytes[static 16], char *end)
{
    unsigned groups[8];
    for (int i = 0; i < 8; i++)
        groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    struct run zeros = longest_zeros(groups);
    for (int i = 0; i < 8; i++) {
        if (i == zeros.begin) {
            *end++ = ':';
            i = zeros.end - 1;
            if (zeros.end == 8)
                *end++ = ':';
            continue;
        }
        if (i > 0)
            *end++ = ':';
        if (i == 6 && zeros.begin == 0 && zeros.end == 6)
            return print_v4(bytes + 12, end); /* RFC 4291 2.5.5.1 */
        end = print_group(groups[i], end);
    }
    return end;
}

/* Each answer to HAProxy has one, and inet_ntop(), which prints with formats, takes longer than all
 * the rest of a decision: 0.6 us for IPv6. */
const char *ip_print(const struct ip *ip, char text[static IP_TEXT_SIZE])
{
    char *end = text;
    switch (ip->family) {
    case IP_NONE: *end++ = '-'; break;
    case IP_V4: end = print_v4(ip->bytes, end); break;
    case IP_V6: end = print_v6(ip->bytes, end); break;
    }
    *end = '\0';
    return text;
}

const char *ip_print_with_port(const struct ip *ip, uint16_t port,
                               char text[static IP_PORT_TEXT_SIZE])
{
    char address[IP_TEXT_SIZE];
    snprintf(text, IP_PORT_TEXT_SIZE, ip->family == IP_V6 ? "[%s]:%u" : "%s:%u",
             ip_print(ip, address), port);
    return text;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
    static const struct ip V6 = {.bytes = {[15] = 1}, .family = IP_V6};
    return ip->family == IP_V4 ? ip->bytes[0] == 127 : ip_equal(ip, &V6);
}

/* A socket alone can be had where IPv6 was turned off, too, and be bound to ::. */
bool ip_v6_is_here(void)
{
    const struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_here = fd >= 0 && bind(fd, (const void *)&own, sizeof(own)) == 0;
    if (fd >= 0)
        close(fd);
    return is_here;
}

/* A datagram socket that is connected has been given a way, and sends nothing. */
bool ip_has_route(const struct ip *ip)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(1)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
    bool is_v6 = ip->family == IP_V6;
    memcpy(&four.sin_addr, ip->bytes, sizeof(four.sin_addr));
    memcpy(&six.sin6_addr, ip->bytes, sizeof(six.sin6_addr));
    const void *to = is_v6 ? (const void *)&six : (const void *)&four;
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has_route = fd >= 0 && connect(fd, to, is_v6 ? sizeof(six) : sizeof(four)) == 0;
    if (fd >= 0)
        close(fd);
    return has_route;
}

bool ip_is_unspecified(const struct ip *ip)
{
    const struct ip none = {.family = ip->family};
    return ip->family != IP_NONE && ip_equal(ip, &none);
}

/* In network order, so that the first bits are the highest. */
static uint64_t load_u64(const uint8_t bytes[static 8])
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return be64toh(value);
}

/* Whether the first `bits` of 64 are the same. */
static bool begin_alike(const uint8_t a[static 8], const uint8_t b[static 8], unsigned bits)
{
    return bits == 0 || (load_u64(a) ^ load_u64(b)) >> (64 - bits) == 0;
}

bool ip_network_contains(const struct ip_network *network, const struct ip *ip)
{
    const uint8_t *prefix = network->ip.bytes;
    unsigned bits = network->prefix_bits;
    if (network->ip.family != ip->family)
        return false;
    if (bits <= 64)
        return begin_alike(prefix, ip->bytes, bits);
    return begin_alike(prefix, ip->bytes, 64) && begin_alike(prefix + 8, ip->bytes + 8, bits - 64);
}

bool ip_networks_contain(const struct ip_network *networks, size_t count, const struct ip *ip)
{
    for (size_t i = 0; i < count; i++)
        if (ip_network_contains(&networks[i], ip))
            return true;
    return false;
}

/* True when nothing beyond the prefix is set. */
static bool host_bits_are_zero(const struct ip_network *network)
{
    struct ip_network other = *network;
    unsigned rest = network->prefix_bits % 8;
    size_t from = network->prefix_bits / 8;
    if (rest != 0) {
        other.ip.bytes[from] &= (uint8_t)(0xff << (8 - rest));
        from++;
    }
    memset(other.ip.bytes + from, 0, sizeof(other.ip.bytes) - from);
    return ip_equal(&other.ip, &network->ip);
}

bool ip_network_parse(struct slice text, struct ip_network *network)
{
    *network = (struct ip_network){0};
    struct slice address = slice_before(text, '/');
    bool has_prefix = address.size < text.size;
    if (!ip_parse(address, &network->ip))
        return false;
    bool is_mapped = network->ip.family == IP_V4 && slice_has(text, ':');
    uint64_t limit = network->ip.family == IP_V4 ? 32 : 128;
    uint64_t before = is_mapped ? MAPPED_BITS : 0;
    uint64_t bits = before + limit;
    if (has_prefix && !decimal_parse(slice_skip(text, address.size + 1), 3, &bits))
        return false;
    if (bits < before || bits - before > limit)
        return false;
    network->prefix_bits = (uint8_t)(bits - before);
    return host_bits_are_zero(network);
}
