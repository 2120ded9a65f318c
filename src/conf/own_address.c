/* Where HAProxy and this service listen: see own_address.h. */
#include "conf/own_address.h"

#include "address.h"
#include "core/memory.h"

#include <stdlib.h>

/* The digits that an address ends in; another port than the upstream's needs no further look, of
 * which lists of labels are grateful. */
static uint32_t number_at_end(struct slice text)
{
    uint32_t number = 0;
    for (uint32_t unit = 1; text.size > 0 && unit <= 10000; unit *= 10, text.size--) {
        char digit = text.data[text.size - 1];
        if (!ascii_is_digit(digit))
            break;
        number += (uint32_t)(digit - '0') * unit;
    }
    return number;
}

static bool reaches(const struct ip *ip, uint16_t port, struct slice address)
{
    struct socket_address listening = {0};
    if (number_at_end(address) != port)
        return false;
    if (slice_starts_with(address, SLICE("tcp:")))
        address = slice_skip(address, 4);
    if (ip_port_parse(address, &listening.port))
        return listening.port == port && ip_is_loopback(ip);
    if (!socket_address_parse(address, &listening) || listening.port != port)
        return false;
    return listening.any ? ip_is_loopback(ip) : ip_equal(&listening.ip, ip);
}

const char *own_address_find(const struct configuration *configuration, const struct ip *ip,
                             uint16_t port, const char **key)
{
    const struct hap_config *haproxy = &configuration->haproxy;
    struct {
        const char *key;
        char *const *addresses;
        size_t count;
    } own[] = {
        {"haproxy.http", haproxy->http, haproxy->http_count},
        {"haproxy.https", haproxy->https, haproxy->https_count},
        {"haproxy.runtime", haproxy->runtime, haproxy->runtime_count},
        {"haproxy.agents", haproxy->agents, haproxy->agent_count},
        {"listen", configuration->listen, configuration->listen_count},
        {"acme.challenge_listen", &haproxy->challenge_listen, haproxy->challenge_listen != NULL},
        {"pages_listen", &haproxy->pages_listen, haproxy->pages_listen != NULL},
        {"admin_http.listen", &configuration->admin_http.listen,
         configuration->admin_http.listen != NULL},
        {"metrics.listen", &configuration->metrics.listen, configuration->metrics.listen != NULL},
    };
    for (size_t i = 0; i < COUNT_OF(own); i++)
        for (size_t j = 0; j < own[i].count; j++)
            if (reaches(ip, port, slice_of(own[i].addresses[j]))) {
                *key = own[i].key;
                return own[i].addresses[j];
            }
    return NULL;
}

bool own_address_allowed(const struct configuration *configuration, const struct ip *ip,
                         uint16_t port)
{
    const char *key;
    return settings_upstream_allowed(configuration->settings, ip) &&
           own_address_find(configuration, ip, port, &key) == NULL;
}

/* -- Other agents ------------------------------------------------------------------------------ */

static bool tcp_parse(struct slice text, struct socket_address *address)
{
    if (slice_starts_with(text, SLICE("tcp:")))
        text = slice_skip(text, 4);
    if (!ip_port_parse(text, &address->port))
        return socket_address_parse(text, address);
    return ip_parse(SLICE("127.0.0.1"), &address->ip);
}

/* Who listens everywhere is found on loopback; which other address is its own is not known. */
static bool is_same_place(const char *listen, const char *agent)
{
    struct socket_address listening = {0}, asked = {0};
    if (strcmp(listen, agent) == 0)
        return true;
    if (!tcp_parse(slice_of(listen), &listening) || !tcp_parse(slice_of(agent), &asked) ||
        listening.port != asked.port)
        return false;
    return listening.any ? ip_is_loopback(&asked.ip) : ip_equal(&listening.ip, &asked.ip);
}

static bool is_own(const struct configuration *configuration, const char *agent)
{
    bool is = false;
    for (size_t i = 0; i < configuration->listen_count && !is; i++)
        is = is_same_place(configuration->listen[i], agent);
    return is;
}

static bool is_anywhere(const char *listen)
{
    struct socket_address address = {0};
    return tcp_parse(slice_of(listen), &address) && address.any;
}

static bool is_named(const struct hap_config *haproxy, const char *listen)
{
    bool is = false;
    for (size_t i = 0; i < haproxy->agent_count && !is; i++)
        is = is_same_place(listen, haproxy->agents[i]);
    return is;
}

/* Addresses of this service that HAProxy may have under another name. */
static size_t count_unknown(const struct configuration *configuration)
{
    size_t count = 0;
    for (size_t i = 0; i < configuration->listen_count; i++) {
        const char *listen = configuration->listen[i];
        count += slice_starts_with(slice_of(listen), SLICE("systemd:")) ||
                 (is_anywhere(listen) && !is_named(&configuration->haproxy, listen));
    }
    return count;
}

char *own_address_others(const struct configuration *configuration)
{
    const struct hap_config *haproxy = &configuration->haproxy;
    char *others = NULL;
    size_t count = 0;
    for (size_t i = 0; i < haproxy->agent_count; i++) {
        if (is_own(configuration, haproxy->agents[i]))
            continue;
        char *before = others;
        others = memory_format("%s%s%s", count > 0 ? before : "", count > 0 ? ", " : "",
                               haproxy->agents[i]);
        free(before);
        count++;
    }
    if (count > count_unknown(configuration))
        return others;
    free(others);
    return NULL;
}
