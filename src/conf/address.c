/* Addresses of sockets: see address.h. */
#include "address.h"

#include "core/memory.h"

#include <stdlib.h>

enum {
    SOCKET_PATH_MAX_BYTES = 107, /* sun_path with its NUL */
    NAME_MAX_BYTES = 253,
    LABEL_BYTES = 63,
};

/* Cuts "host:port" at its last colon. */
static bool split_port(struct slice text, struct slice *host, uint16_t *port)
{
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    *host = slice_head(text, colon - 1);
    return ip_port_parse(slice_skip(text, colon), port);
}

static bool take_brackets(struct slice *host)
{
    if (!slice_starts_with(*host, SLICE("[")))
        return false;
    if (host->size < 2 || host->data[host->size - 1] != ']')
        return false;
    *host = slice_head(slice_skip(*host, 1), host->size - 2);
    return true;
}

bool socket_address_parse(struct slice text, struct socket_address *address)
{
    struct slice host;
    *address = (struct socket_address){0};
    if (!split_port(text, &host, &address->port))
        return false;
    if (host.size == 0 || slice_equal(host, SLICE("*"))) {
        address->any = true;
        return true;
    }
    if (!ip_parse_with_port(text, &address->ip, &address->port))
        return false;
    address->any = ip_is_unspecified(&address->ip);
    if (address->any)
        address->ip = (struct ip){0};
    return true;
}

static bool is_path_byte(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "/._-@+");
}

static bool socket_path_valid(struct slice path)
{
    return path.size >= 2 && path.size <= SOCKET_PATH_MAX_BYTES && path.data[0] == '/' &&
           slice_consists_of(path, is_path_byte);
}

static bool unix_valid(struct slice text)
{
    if (!slice_starts_with(text, SLICE("unix:")))
        return false;
    struct slice path = slice_skip(text, 5);
    if (!slice_starts_with(path, SLICE("@")))
        return socket_path_valid(path);
    /* What would be valid behind a slash is a valid abstract name. */
    char name[SOCKET_PATH_MAX_BYTES + 1] = "/";
    if (path.size < 2 || path.size > SOCKET_PATH_MAX_BYTES)
        return false;
    memcpy(name + 1, path.data + 1, path.size - 1);
    return socket_path_valid(slice_from(name, path.size));
}

static bool tcp_valid(struct slice text, bool any_allowed)
{
    struct socket_address address;
    uint16_t port;
    if (!slice_starts_with(text, SLICE("tcp:")))
        return false;
    text = slice_skip(text, 4);
    if (ip_port_parse(text, &port))
        return true;
    return socket_address_parse(text, &address) && (!address.any || any_allowed) &&
           text.data[0] != '*' && text.data[0] != ':';
}

static char *bad_address(const struct node *element, struct slice text, const char *expected)
{
    node_report(element, JSON_PART_VALUE, CODE_BAD_ADDRESS, memory_format("%s", expected),
                "\"%.*s\" is not an address", SLICE_PRINT(text));
    return NULL;
}

char *check_bind(const struct node *element, struct slice text)
{
    struct socket_address address;
    if (socket_address_parse(text, &address))
        return memory_copy_text(text);
    return bad_address(element, text, "for example \"*:443\", \"192.0.2.1:443\", \"[::1]:443\"");
}

char *check_listen(const struct node *element, struct slice text)
{
    bool systemd = slice_starts_with(text, SLICE("systemd:")) && text.size > 8 && text.size < 108;
    for (size_t i = 8; systemd && i < text.size; i++)
        systemd = text.data[i] > ' ' && text.data[i] < 0x7f && text.data[i] != ':';
    if (systemd || unix_valid(text) || tcp_valid(text, true))
        return memory_copy_text(text);
    return bad_address(element, text,
                       "\"unix:/var/lib/haproxy/owui-spoa/agent.sock\", \"unix:@name\", "
                       "\"tcp:127.0.0.1:12345\" or \"systemd:NAME\"");
}

char *check_agent(const struct node *element, struct slice text)
{
    if (unix_valid(text) || tcp_valid(text, false))
        return memory_copy_text(text);
    return bad_address(element, text,
                       "\"unix:/var/lib/haproxy/owui-spoa/agent.sock\", \"unix:@name\" or "
                       "\"tcp:127.0.0.1:12345\"");
}

char *check_runtime(const struct node *element, struct slice text)
{
    struct slice path = slice_starts_with(text, SLICE("master:")) ? slice_skip(text, 7) : text;
    if (socket_path_valid(path))
        return memory_copy_text(text);
    return bad_address(element, text,
                       "\"/run/haproxy/admin.sock\", or \"master:/run/haproxy-master.sock\"");
}

char *check_local_address(const struct node *element, struct slice text)
{
    struct socket_address address;
    if (!socket_address_parse(text, &address))
        return bad_address(element, text, "for example \"127.0.0.1:8688\"");
    if (!address.any)
        return memory_copy_text(text);
    node_report(element, JSON_PART_VALUE, CODE_BAD_ADDRESS,
                memory_format("for example \"127.0.0.1:%u\"", address.port),
                "\"%.*s\" is every address of this machine, and one is needed, that HAProxy can "
                "connect to",
                SLICE_PRINT(text));
    return NULL;
}

void read_loopback(const struct node *node, const char *hint, const char *why, char **listen)
{
    struct socket_address address;
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (!socket_address_parse(text, &address)) {
        bad_address(node, text, hint);
    } else if (address.any || !ip_is_loopback(&address.ip)) {
        node_report(node, JSON_PART_VALUE, CODE_BAD_ADDRESS, memory_copy_text(slice_of(hint)),
                    "\"%.*s\" is no loopback address, and %s", SLICE_PRINT(text), why);
    } else {
        free(*listen);
        *listen = memory_copy_text(text);
    }
}

char *check_nameserver(const struct node *element, struct slice text)
{
    struct socket_address address;
    struct slice host = text;
    struct ip ip;
    bool brackets = take_brackets(&host);
    bool is_v6 = slice_has(text, ':');
    if (socket_address_parse(text, &address) && !address.any)
        return memory_copy_text(text);
    if (ip_parse(host, &ip) && brackets == is_v6)
        return memory_copy_text(text);
    return bad_address(element, text, "for example \"10.0.0.2\", \"127.0.0.1:8600\", \"[::1]:53\"");
}

char *check_server(const struct node *element, struct slice text)
{
    struct socket_address address;
    struct slice host;
    uint16_t port;
    if (socket_address_parse(text, &address) && !address.any)
        return memory_copy_text(text);
    if (split_port(text, &host, &port) && server_name_valid(host))
        return memory_copy_text(text);
    return bad_address(element, text,
                       "for example \"10.0.0.1:8080\", \"[fd00::1]:8080\", \"chat.internal:8080\"");
}

/* What getaddrinfo() would take for an address in one of its old forms. */
static bool looks_like_address(struct slice name)
{
    size_t dot = name.size;
    while (dot > 0 && name.data[dot - 1] != '.')
        dot--;
    struct slice last = slice_skip(name, dot);
    if (slice_starts_with(last, SLICE("0x")) || slice_starts_with(last, SLICE("0X")))
        return true;
    return slice_consists_of(last, ascii_is_digit);
}

bool server_name_valid(struct slice name)
{
    size_t label = 0;
    if (name.size == 0 || name.size > NAME_MAX_BYTES || looks_like_address(name))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool edge = label == 0 || i + 1 == name.size || name.data[i + 1] == '.';
        if (c == '.' ? label == 0 : c == '-' && edge)
            return false;
        if (!ascii_is_alphanumeric(c) && c != '.' && c != '-' && c != '_')
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_BYTES)
            return false;
    }
    return true;
}
