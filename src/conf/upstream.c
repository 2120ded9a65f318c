/* "upstream": see upstream.h. */
#include "upstream.h"

#include "address.h"
#include "conf/own_address.h"
#include "core/memory.h"
#include "headers.h"

#include <stdlib.h>

static bool syntax_error(const struct node *node, struct slice url, const char *problem, char *hint)
{
    if (hint == NULL)
        hint = memory_format("for example \"http://127.0.0.1:3000\" or \"https://chat.internal\"");
    node_report(node, JSON_PART_VALUE, CODE_UPSTREAM_SYNTAX, hint, "upstream \"%.*s\": %s",
                SLICE_PRINT(url), problem);
    return false;
}

/* -- host:port -- */

struct authority {
    struct slice host; /* without brackets */
    struct slice port; /* empty: the scheme's */
    bool brackets;
};

static bool split_authority(struct slice text, struct authority *authority)
{
    *authority = (struct authority){.host = text};
    if (slice_starts_with(text, SLICE("["))) {
        if (!slice_has(text, ']'))
            return false;
        authority->brackets = true;
        authority->host = slice_skip(slice_cut(&text, ']'), 1);
        if (text.size == 0)
            return true;
        authority->port = slice_skip(text, 1);
        return text.data[0] == ':';
    }
    bool has_port = slice_has(text, ':');
    authority->host = slice_cut(&text, ':');
    authority->port = text;
    return authority->port.size > 0 || !has_port;
}

#define BRACKETS "an IPv6 address stands in brackets, and nothing else does"

/* "{1}.internal": every part must be what a host name may hold. */
static bool read_host_template(const struct node *node, struct slice url, struct slice host,
                               struct upstream *upstream)
{
    struct error_text why;
    struct template *template = &upstream->host_template;
    if (template_parse(host, template, &why) != ERROR_OK)
        return syntax_error(node, url, why.text, NULL);
    char sample[HOST_MAX_BYTES + 1];
    size_t used = 0;
    for (size_t i = 0; i < template->part_count; i++) {
        const struct template_part *part = &template->parts[i];
        if (part->placeholder >= 0 && part->placeholder != HEADER_LABEL)
            return syntax_error(node, url, "only {1}, the wildcard's label, can be filled in",
                                NULL);
        if (used + part->literal_size + 1 > HOST_MAX_BYTES)
            return syntax_error(node, url, "the host is too long", NULL);
        memcpy(sample + used, part->literal, part->literal_size);
        used += part->literal_size;
        if (part->placeholder >= 0)
            sample[used++] = 'a';
    }
    /* The label may make it an address (10.0.0.{1}): whoever fills it in checks what comes out. */
    if (!server_name_valid(slice_from(sample, used)))
        return syntax_error(node, url, "the host is not a name", NULL);
    upstream->per_label = true;
    return true;
}

static bool read_host_name(const struct node *node, struct slice url, struct authority *authority,
                           struct upstream *upstream)
{
    char text[IP_TEXT_SIZE];
    bool address = ip_parse(authority->host, &upstream->address);
    bool colon = slice_has(authority->host, ':');
    if (address && colon != authority->brackets)
        return syntax_error(node, url, BRACKETS, NULL);
    if (slice_ends_with(authority->host, SLICE(".")))
        return syntax_error(node, url, "the host ends in a dot, which has to be left out", NULL);
    if (!address && (authority->brackets || !server_name_valid(authority->host)))
        return syntax_error(node, url, "the host is neither a name nor an address", NULL);
    upstream->host = address ? memory_format("%s", ip_print(&upstream->address, text))
                             : memory_copy_text(authority->host);
    ascii_lower_text(upstream->host);
    return true;
}

/* An IPv6 address without brackets, which may end in what is meant to be a port. */
static bool is_bare_v6(struct slice text)
{
    struct ip ip;
    return ip_parse(text, &ip) && slice_has(text, ':');
}

static bool read_host(const struct node *node, struct slice url, struct slice text,
                      struct upstream *upstream)
{
    struct authority authority;
    if (is_bare_v6(text))
        return syntax_error(node, url, BRACKETS, NULL);
    upstream->port = upstream->scheme == UPSTREAM_HTTP ? 80 : 443;
    if (!split_authority(text, &authority) ||
        (authority.port.size > 0 && !ip_port_parse(authority.port, &upstream->port)))
        return syntax_error(node, url, "the port must be a number from 1 to 65535", NULL);
    if (authority.host.size == 0)
        return syntax_error(node, url, "the host is missing", NULL);
    if (slice_has(authority.host, '{'))
        return read_host_template(node, url, authority.host, upstream);
    return read_host_name(node, url, &authority, upstream);
}

/* -- Addresses that a tenant may not have (SSRF): what this program itself or HAProxy listens on,
 * and what is outside "upstream_allow" -- */

static bool check_loop(const struct node *node, const struct configuration *configuration,
                       const struct upstream *upstream)
{
    const char *key;
    struct ip ip = upstream->address;
    if (upstream->host != NULL && strcmp(upstream->host, "localhost") == 0)
        ip = (struct ip){.bytes = {127, 0, 0, 1}, .family = IP_V4};
    const char *address = own_address_find(configuration, &ip, upstream->port, &key);
    if (address == NULL)
        return true;
    node_report(node, JSON_PART_VALUE, CODE_UPSTREAM_LOOP,
                memory_format("Open WebUI must listen somewhere else; without a port, http:// is "
                              "port 80 and https:// 443"),
                "the upstream is \"%s\" of this configuration's \"%s\"", address, key);
    return false;
}

static bool check_allowed(const struct node *node, const struct configuration *configuration,
                          const struct upstream *upstream)
{
    char text[IP_TEXT_SIZE];
    if (upstream->address.family == IP_NONE ||
        settings_upstream_allowed(configuration->settings, &upstream->address))
        return true;
    node_report(node, JSON_PART_VALUE, CODE_UPSTREAM_REFUSED,
                memory_format("\"upstream_allow\" of the global file lists the networks that "
                              "tenants may use;\nlink-local, multicast, broadcast and unspecified "
                              "addresses are never allowed, nor clouds' metadata"),
                "no tenant may have an upstream at %s", ip_print(&upstream->address, text));
    return false;
}

/* -- The URL -- */

/* `rest` is what stands behind the scheme of `url`. */
static bool read_behind_scheme(const struct node *node, struct slice url, struct slice rest,
                               const struct configuration *configuration, struct upstream *upstream)
{
    if (slice_ends_with(rest, SLICE("/")))
        rest.size--;
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.data[i] == '/' || rest.data[i] == '?' || rest.data[i] == '#')
            return syntax_error(node, url, "it must end behind the port",
                                memory_format("Open WebUI has no base path (open-webui#25971)"));
        if (rest.data[i] == '@')
            return syntax_error(node, url, "it cannot hold a user name", NULL);
    }
    return read_host(node, url, rest, upstream) && check_loop(node, configuration, upstream) &&
           check_allowed(node, configuration, upstream);
}

/* Takes the scheme; false when there is none. */
static bool take_scheme(struct slice *url, struct upstream *upstream)
{
    bool is_http = slice_starts_with(*url, SLICE("http://"));
    if (!is_http && !slice_starts_with(*url, SLICE("https://")))
        return false;
    upstream->scheme = is_http ? UPSTREAM_HTTP : UPSTREAM_HTTPS;
    *url = slice_skip(*url, is_http ? 7 : 8);
    return true;
}

bool upstream_read(const struct node *node, const struct configuration *configuration,
                   struct upstream *upstream)
{
    struct slice url;
    if (!node_text(node, &url))
        return false;
    struct slice rest = url;
    if (!take_scheme(&rest, upstream)) {
        char *hint = NULL;
        if (url.size > 0 && !slice_has(url, '/'))
            hint = memory_format("did you mean \"http://%.*s\"?", SLICE_PRINT(url));
        return syntax_error(node, url, "it must begin with http:// or https://", hint);
    }
    return read_behind_scheme(node, url, rest, configuration, upstream);
}

static bool ends_with_port(struct slice text)
{
    size_t digits = 0;
    while (digits < text.size && ascii_is_digit(text.data[text.size - 1 - digits]))
        digits++;
    return digits > 0 && digits < text.size && text.data[text.size - 1 - digits] == ':';
}

bool upstream_read_server(const struct node *node, struct slice text,
                          const struct configuration *configuration, struct upstream *upstream)
{
    struct slice rest = text;
    if (!take_scheme(&rest, upstream)) {
        if (!ends_with_port(text))
            return syntax_error(node, text, "it must be a URL, or a host and a port", NULL);
        upstream->scheme = UPSTREAM_HTTP;
    }
    return read_behind_scheme(node, text, rest, configuration, upstream);
}

/* -- "upstream_tls" -- */

static void read_server_name(const struct node *node, void *target)
{
    struct upstream_tls *tls = target;
    struct slice name;
    if (!node_text(node, &name))
        return;
    if (!server_name_valid(name)) {
        node_report(node, JSON_PART_VALUE, CODE_TLS_NAME, NULL, "\"%.*s\" is not a host name",
                    SLICE_PRINT(name));
        return;
    }
    tls->server_name = memory_copy_text(name);
    ascii_lower_text(tls->server_name);
}

static void read_verify(const struct node *node, void *target)
{
    struct upstream_tls *tls = target;
    bool verify;
    if (node_bool(node, &verify))
        tls->no_verify = !verify;
}

void upstream_tls_read(const struct node *node, struct upstream_tls *tls)
{
    static const struct option OPTIONS[] = {
        {"server_name", read_server_name},
        {"verify", read_verify},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), tls);
}

void upstream_apply_tls(const struct node *url, const struct upstream_tls *tls,
                        struct upstream *upstream)
{
    if (upstream->scheme == UPSTREAM_HTTP)
        return;
    if (tls->no_verify)
        upstream->scheme = UPSTREAM_HTTPS_NO_VERIFY;
    if (tls->server_name != NULL)
        upstream->server_name = memory_copy_text(slice_of(tls->server_name));
    if (upstream->server_name != NULL || upstream->per_label)
        return;
    if (upstream->address.family == IP_NONE) {
        upstream->server_name = memory_copy_text(slice_of(upstream->host));
    } else if (!tls->no_verify) {
        node_report(url, JSON_PART_VALUE, CODE_TLS_NAME,
                    memory_format("add \"upstream_tls\": {\"server_name\": \"...\"}, or "
                                  "{\"verify\": false} to trust the network"),
                    "an https upstream at an address has no name that its certificate could be "
                    "verified for");
    }
}
