/* The text form of a listening address: see net/listener.h. */
#include "net/listener.h"

#include "core/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

static_assert(sizeof(((struct listen_address *)0)->name) ==
                  sizeof(((struct sockaddr_un *)0)->sun_path),
              "a name is as long as a socket's path may be");

static void keep_name(struct listen_address *address, struct slice name)
{
    memcpy(address->name, name.data, name.size);
    address->name[name.size] = '\0';
}

static enum error parse_unix(struct slice name, struct listen_address *address,
                             struct error_text *reason)
{
    struct sockaddr_un socket_address = {.sun_family = AF_UNIX};
    bool is_abstract = name.size > 0 && name.data[0] == '@';

    if (is_abstract)
        name = slice_skip(name, 1);
    else if (name.size == 0 || name.data[0] != '/')
        return error_set(reason, ERROR_INVALID,
                         "a socket's path begins with '/', an abstract name with '@'");
    if (name.size == 0 || slice_has(name, '\0'))
        return error_set(reason, ERROR_INVALID, "the name is empty or has a NUL in it");
    size_t limit = sizeof(socket_address.sun_path) - 1;
    if (name.size > limit)
        return error_set(reason, ERROR_TOO_BIG,
                         "the name has %zu bytes, a socket's may have up to %zu", name.size, limit);
    /* The rest stays zero and belongs to an abstract name: HAProxy's abns@ is padded like this. */
    memcpy(socket_address.sun_path + (is_abstract ? 1 : 0), name.data, name.size);
    keep_name(address, name);
    address->kind = is_abstract ? LISTEN_ABSTRACT : LISTEN_UNIX;
    memcpy(&address->socket, &socket_address, sizeof(socket_address));
    address->socket_size = sizeof(socket_address);
    return ERROR_OK;
}

static enum error parse_tcp(struct slice text, struct listen_address *address,
                            struct error_text *reason)
{
    struct ip ip;
    uint16_t port = 0;
    static const struct ip LOCAL = {.bytes = {127, 0, 0, 1}, .family = IP_V4};

    if (ip_port_parse(text, &port))
        ip = LOCAL;
    else if (!ip_parse_with_port(text, &ip, &port))
        return error_set(reason, ERROR_INVALID,
                         "expected tcp:ADDRESS:PORT, like tcp:127.0.0.1:12345 or tcp:[::1]:12345");
    if (ip.family == IP_V4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in.sin_addr, ip.bytes, sizeof(in.sin_addr));
        memcpy(&address->socket, &in, sizeof(in));
        address->socket_size = sizeof(in);
    } else {
        struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&in.sin6_addr, ip.bytes, sizeof(in.sin6_addr));
        memcpy(&address->socket, &in, sizeof(in));
        address->socket_size = sizeof(in);
    }
    address->kind = LISTEN_TCP;
    keep_name(address, text);
    return ERROR_OK;
}

static enum error parse_systemd(struct slice name, struct listen_address *address,
                                struct error_text *reason)
{
    if (name.size == 0 || name.size >= sizeof(address->name) || slice_has(name, ':'))
        return error_set(reason, ERROR_INVALID,
                         "expected systemd:NAME, where NAME is the FileDescriptorName= of a "
                         "socket unit");
    address->kind = LISTEN_SYSTEMD;
    keep_name(address, name);
    return ERROR_OK;
}

enum error listen_address_parse(struct slice text, struct listen_address *address,
                                struct error_text *reason)
{
    static const struct {
        struct slice prefix;
        enum error (*parse)(struct slice, struct listen_address *, struct error_text *);
    } KINDS[] = {
        {{"unix:", 5}, parse_unix},
        {{"tcp:", 4}, parse_tcp},
        {{"systemd:", 8}, parse_systemd},
    };
    *address = (struct listen_address){0};
    for (size_t i = 0; i < COUNT_OF(KINDS); i++)
        if (slice_starts_with(text, KINDS[i].prefix))
            return KINDS[i].parse(slice_skip(text, KINDS[i].prefix.size), address, reason);
    return error_set(reason, ERROR_INVALID,
                     "expected unix:/PATH, unix:@NAME, tcp:ADDRESS:PORT or systemd:NAME");
}
