/* The section "haproxy": see global_read.h. */
#include "global_read.h"

#include "address.h"
#include "core/memory.h"

#include <stdlib.h>

static_assert(POLICY_NEEDS_ORIGIN == 1 << HAP_ARGUMENT_ORIGIN, "not in one order");
static_assert(POLICY_NEEDS_SNI == 1 << HAP_ARGUMENT_SNI, "not in one order");
static_assert(POLICY_NEEDS_METHOD == 1 << HAP_ARGUMENT_METHOD, "not in one order");
static_assert(POLICY_NEEDS_CREDENTIAL == 1 << HAP_ARGUMENT_CREDENTIAL, "not in one order");

static struct configuration *configuration_of(void *target)
{
    return target;
}

/* An array of texts into a pair of fields; what was there is freed. */
static void read_list(const struct node *node, node_check_fn *check, char ***items, size_t *count)
{
    struct texts texts = {*items, *count};
    node_texts(node, TEXTS_MAX, check, &texts);
    *items = texts.items;
    *count = texts.count;
}

static void require_some(const struct node *node, const char *what)
{
    if (json_type_of(node->value) != JSON_TYPE_ARRAY || json_count(node->value) > 0)
        return;
    char *name = node_name(node);
    node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL, "\"%s\" must list %s at least",
                name, what);
    free(name);
}

/* -- "haproxy" -- */

static void read_http(const struct node *node, void *target)
{
    struct hap_config *haproxy = &configuration_of(target)->haproxy;
    read_list(node, check_bind, &haproxy->http, &haproxy->http_count);
    require_some(node, "one bind, where ACME challenges arrive,");
}

static void read_https(const struct node *node, void *target)
{
    struct hap_config *haproxy = &configuration_of(target)->haproxy;
    read_list(node, check_bind, &haproxy->https, &haproxy->https_count);
}

static void read_https_port(const struct node *node, void *target)
{
    unsigned port;
    if (node_unsigned(node, 1, UINT16_MAX, &port))
        configuration_of(target)->settings->https_port = port == 443 ? 0 : (uint16_t)port;
}

static void read_runtime(const struct node *node, void *target)
{
    struct hap_config *haproxy = &configuration_of(target)->haproxy;
    read_list(node, check_runtime, &haproxy->runtime, &haproxy->runtime_count);
}

static void read_agents(const struct node *node, void *target)
{
    struct hap_config *haproxy = &configuration_of(target)->haproxy;
    read_list(node, check_agent, &haproxy->agents, &haproxy->agent_count);
    require_some(node, "one agent");
}

static void read_crt_dir(const struct node *node, void *target)
{
    node_file_name(node, &configuration_of(target)->haproxy.crt_dir);
}

static void read_spoe_file(const struct node *node, void *target)
{
    node_file_name(node, &configuration_of(target)->haproxy.spoe_path);
}

/* The map stands in the arguments of a converter, which commas tell apart. */
static void read_map(const struct node *node, char **path)
{
    if (node_file_name(node, path) && strchr(*path, ',') != NULL)
        node_report(node, JSON_PART_VALUE, CODE_BAD_FILE_NAME, NULL,
                    "\"%s\" cannot be a map of HAProxy's: it has a comma", *path);
}

static void read_fallback_map(const struct node *node, void *target)
{
    read_map(node, &configuration_of(target)->haproxy.fallback_map);
}

static void read_decision_map(const struct node *node, void *target)
{
    read_map(node, &configuration_of(target)->haproxy.decision_map);
}

static void read_upstream_ca_file(const struct node *node, void *target)
{
    node_file_name(node, &configuration_of(target)->haproxy.upstream_ca_file);
}

static void read_client_ca_file(const struct node *node, void *target)
{
    node_file_name(node, &configuration_of(target)->haproxy.client_ca_file);
}

/* null: none, where the default is some. */
static bool take_null(const struct node *node, char **text)
{
    if (json_type_of(node->value) != JSON_TYPE_NULL)
        return false;
    free(*text);
    *text = NULL;
    return true;
}

static void read_chroot(const struct node *node, void *target)
{
    char **chroot = &configuration_of(target)->haproxy.chroot;
    if (!take_null(node, chroot))
        node_file_name(node, chroot);
}

static void read_user(const struct node *node, void *target)
{
    char **user = &configuration_of(target)->haproxy.user;
    if (!take_null(node, user))
        node_plain_name(node, user);
}

static void read_group(const struct node *node, void *target)
{
    char **group = &configuration_of(target)->haproxy.group;
    if (!take_null(node, group))
        node_plain_name(node, group);
}

/* HAProxy is told networks of IPv4 as such, however they are written. */
static char *check_network(const struct node *element, struct slice text)
{
    char address[IP_TEXT_SIZE];
    struct ip_network network;
    if (!node_network(element, &network))
        return NULL;
    if (network.ip.family == IP_V4 && slice_has(text, ':'))
        return memory_format("%s/%u", ip_print(&network.ip, address), network.prefix_bits);
    return memory_copy_text(text);
}

static void read_from(const struct node *node, void *target)
{
    struct hap_config *haproxy = &configuration_of(target)->haproxy;
    read_list(node, check_network, &haproxy->proxy_protocol_from,
              &haproxy->proxy_protocol_from_count);
}

static void read_proxy_protocol(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {{"from", read_from}};
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
}

/* -- "haproxy.timeouts" -- */

enum { TIMEOUT_MAX_MS = 7 * 86400000, AGENT_TIMEOUT_MIN_MS = 10, AGENT_TIMEOUT_MAX_MS = 10000 };

static void read_timeout(const struct node *node, unsigned *timeout_ms)
{
    node_duration(node, 1, TIMEOUT_MAX_MS, timeout_ms);
}

static void read_connect(const struct node *node, void *target)
{
    read_timeout(node, &((struct hap_timeouts *)target)->connect_ms);
}

static void read_http_request(const struct node *node, void *target)
{
    read_timeout(node, &((struct hap_timeouts *)target)->http_request_ms);
}

static void read_keep_alive(const struct node *node, void *target)
{
    read_timeout(node, &((struct hap_timeouts *)target)->keep_alive_ms);
}

static void read_client(const struct node *node, void *target)
{
    read_timeout(node, &((struct hap_timeouts *)target)->client_ms);
}

static void read_server(const struct node *node, void *target)
{
    read_timeout(node, &((struct hap_timeouts *)target)->server_ms);
}

static void read_tunnel(const struct node *node, void *target)
{
    read_timeout(node, &((struct hap_timeouts *)target)->tunnel_ms);
}

static void read_agent(const struct node *node, void *target)
{
    node_duration(node, AGENT_TIMEOUT_MIN_MS, AGENT_TIMEOUT_MAX_MS,
                  &((struct hap_timeouts *)target)->agent_ms);
}

static void read_timeouts(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"connect", read_connect},       {"http_request", read_http_request},
        {"keep_alive", read_keep_alive}, {"client", read_client},
        {"server", read_server},         {"tunnel", read_tunnel},
        {"agent", read_agent},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), &configuration_of(target)->haproxy.timeouts);
}

/* -- "haproxy.tables" -- */

enum { TABLE_MIN = 1000, TABLE_MAX = 100000000 };

static void read_table_requests(const struct node *node, void *target)
{
    node_unsigned(node, TABLE_MIN, TABLE_MAX, &((struct hap_tables *)target)->requests);
}

static void read_table_signin(const struct node *node, void *target)
{
    node_unsigned(node, TABLE_MIN, TABLE_MAX, &((struct hap_tables *)target)->signin);
}

static void read_table_websockets(const struct node *node, void *target)
{
    node_unsigned(node, TABLE_MIN, TABLE_MAX, &((struct hap_tables *)target)->websockets);
}

static void read_tables(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"requests", read_table_requests},
        {"signin", read_table_signin},
        {"websockets", read_table_websockets},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), &configuration_of(target)->haproxy.tables);
}

/* -- "haproxy.backends" -- */

static void read_servers(const struct node *node, void *target)
{
    struct hap_backend *backend = target;
    read_list(node, check_server, &backend->servers, &backend->server_count);
}

static bool is_path_byte(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "/._-~");
}

static void read_check(const struct node *node, void *target)
{
    struct hap_backend *backend = target;
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (slice_starts_with(text, SLICE("/")) && text.size <= 128 &&
        slice_consists_of(text, is_path_byte))
        node_copy_text(node, &backend->check_path);
    else
        node_report(node, JSON_PART_VALUE, CODE_PATH_PREFIX, NULL, "\"%.*s\" is not a plain path",
                    SLICE_PRINT(text));
}

static bool is_name_byte(char c)
{
    return ascii_is_lower(c) || ascii_is_digit(c) || c == '_' || c == '-';
}

static bool is_backend_name(struct slice name)
{
    return name.size > 0 && name.size <= 40 && slice_consists_of(name, is_name_byte);
}

static void read_backend(const struct node *node, struct hap_config *haproxy)
{
    static const struct option OPTIONS[] = {
        {"servers", read_servers},
        {"check", read_check},
    };
    if (!is_backend_name(node->key)) {
        node_report(node, JSON_PART_KEY, CODE_BAD_NAME, NULL,
                    "\"%.*s\" is not a name for a backend: up to 40 of a-z, 0-9, \"_\", \"-\"",
                    SLICE_PRINT(node->key));
        return;
    }
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    struct hap_backend *backend = &haproxy->backends[haproxy->backend_count++];
    *backend = (struct hap_backend){.name = memory_copy_text(node->key)};
    if (hap_backend_is_reserved(backend->name))
        node_report(node, JSON_PART_KEY, CODE_BAD_NAME,
                    memory_copy_text(SLICE("give it another name")),
                    "a backend cannot have the name \"%s\": owui_%s is the agent's own",
                    backend->name, backend->name);
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), backend);
}

static void read_backends(const struct node *node, void *target)
{
    struct hap_config *haproxy = &configuration_of(target)->haproxy;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    haproxy->backends = memory_new(json_count(node->value) * sizeof(*haproxy->backends));
    for (struct node_iterator i = node_children(node); node_next(&i);)
        read_backend(&i.node, haproxy);
}

/* What HAProxy is to tell before some tenant needs it, so that no reload is due when one does. */
static void read_tell(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {
#define X(NAME, TEXT, ARGUMENTS) {TEXT, HAP_ARGUMENT_##NAME},
        HAP_ARGUMENT_TABLE(X)
#undef X
    };
    int argument;
    if (!node_is(node, JSON_TYPE_ARRAY))
        return;
    unsigned *arguments = &configuration_of(target)->haproxy.arguments;
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        if (!node_choice(&i.node, CHOICES, COUNT_OF(CHOICES), &argument))
            continue;
        if ((*arguments >> argument & 1) != 0)
            node_report(&i.node, JSON_PART_VALUE, CODE_LISTED_TWICE, NULL,
                        "\"%s\" is in the list already", CHOICES[argument].name);
        *arguments |= 1u << argument;
    }
}

void haproxy_read(const struct node *node, void *configuration)
{
    static const struct option OPTIONS[] = {
        {"http", read_http},
        {"https", read_https},
        {"https_port", read_https_port},
        {"runtime", read_runtime},
        {"agents", read_agents},
        {"crt_dir", read_crt_dir},
        {"spoe_file", read_spoe_file},
        {"fallback_map", read_fallback_map},
        {"decision_map", read_decision_map},
        {"upstream_ca_file", read_upstream_ca_file},
        {"client_ca_file", read_client_ca_file},
        {"chroot", read_chroot},
        {"user", read_user},
        {"group", read_group},
        {"proxy_protocol", read_proxy_protocol},
        {"backends", read_backends},
        {"timeouts", read_timeouts},
        {"tell", read_tell},
        {"tables", read_tables},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), configuration);
}

/* -- Together -- */

static void complete_agents(struct configuration *configuration)
{
    struct hap_config *haproxy = &configuration->haproxy;
    struct texts agents = {0};
    if (haproxy->agents != NULL)
        return;
    for (size_t i = 0; i < configuration->listen_count; i++) {
        struct slice listen = slice_of(configuration->listen[i]);
        struct slice address = listen;
        struct socket_address parsed;
        if (slice_starts_with(listen, SLICE("systemd:")))
            continue; /* where that is, only the socket unit knows */
        if (slice_starts_with(listen, SLICE("tcp:")))
            address = slice_skip(listen, 4);
        if (socket_address_parse(address, &parsed) && parsed.any)
            texts_add(&agents, memory_format("tcp:127.0.0.1:%u", parsed.port));
        else
            texts_add(&agents, memory_copy_text(listen));
    }
    haproxy->agents = agents.items;
    haproxy->agent_count = agents.count;
}

/* HAProxy resolves a socket file inside its chroot. */
static void check_agents(const struct node *root, const struct configuration *configuration)
{
    const struct hap_config *haproxy = &configuration->haproxy;
    struct node culprit = *root, section, member;
    struct error_text why;
    if (node_member(root, "haproxy", &section) && node_member(&section, "agents", &member))
        culprit = member;
    else if (node_member(root, "listen", &member))
        culprit = member;
    for (size_t i = 0; i < haproxy->agent_count; i++) {
        char *address = hap_agent_address(slice_of(haproxy->agents[i]), haproxy->chroot, &why);
        if (address == NULL)
            node_report(&culprit, JSON_PART_VALUE, CODE_BAD_ADDRESS, NULL, "%s", why.text);
        free(address);
    }
    if (haproxy->agent_count == 0)
        node_report(&culprit, JSON_PART_VALUE, CODE_MISSING_KEY,
                    memory_format("add \"haproxy\": {\"agents\": [\"unix:@owui-spoa\"]}"),
                    "nothing tells where HAProxy finds the agent");
}

/* What it says holds until HAProxy is told otherwise. */
static void check_decision_map(const struct node *root, const struct hap_config *haproxy)
{
    struct node section, map;
    if (haproxy->runtime_count == 0 && node_member(root, "haproxy", &section) &&
        node_member(&section, "decision_map", &map))
        node_report(&map, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("\"runtime\": [\"/run/haproxy/admin.sock\"]"),
                    "\"decision_map\" has no meaning without \"runtime\", where HAProxy is told of "
                    "changes");
}

void haproxy_complete(const struct node *root, struct configuration *configuration)
{
    struct hap_config *haproxy = &configuration->haproxy;
    struct settings *settings = configuration->settings;
    struct socket_address bind;
    struct node section, port;
    size_t errors = root->document->diagnostics->errors;
    complete_agents(configuration);
    if (errors == 0) {
        check_agents(root, configuration);
        check_decision_map(root, haproxy);
    }
    bool is_port_told =
        node_member(root, "haproxy", &section) && node_member(&section, "https_port", &port);
    if (!is_port_told && haproxy->https_count > 0 &&
        socket_address_parse(slice_of(haproxy->https[0]), &bind) && bind.port != 443)
        settings->https_port = bind.port;
    haproxy->https_port = settings->https_port;
    for (size_t i = 0; i < settings->trusted_proxies.group_count; i++)
        haproxy->sources[settings->trusted_proxies.groups[i].source] = true;
    haproxy->arguments |= policy_needs(configuration->default_policy);
    haproxy->tells_request_id = configuration->trace_file != NULL;
}
