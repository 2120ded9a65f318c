/* The global file: see global_read.h. */
#include "global_read.h"

#include "address.h"
#include "core/file_path.h"
#include "core/hash.h"
#include "core/ip.h"
#include "core/memory.h"
#include "file.h"
#include "headers.h"
#include "policy_read.h"
#include "tenant_read.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    LOOPS_MAX = 64,
    TRACE_ENTRIES_MAX = 1000000,
    TRACE_ENTRIES_DEFAULT = 10000,
    RESOLVE_INTERVAL_MIN_MS = 5000,
    RESOLVE_INTERVAL_MAX_MS = 86400000,
    JWKS_REFRESH_MS = 3600000,
};

/* -- Defaults -- */

static void set_default_texts(struct configuration *configuration)
{
    struct hap_config *haproxy = &configuration->haproxy;
    struct texts http = {0}, https = {0}, runtime = {0}, listen = {0};
    texts_add(&http, memory_copy_text(SLICE("*:80")));
    texts_add(&https, memory_copy_text(SLICE("*:443")));
    if (ip_v6_is_here()) {
        texts_add(&http, memory_copy_text(SLICE("[::]:80")));
        texts_add(&https, memory_copy_text(SLICE("[::]:443")));
    }
    texts_add(&runtime, memory_copy_text(SLICE("/run/haproxy/admin.sock")));
    texts_add(&listen, memory_copy_text(SLICE("unix:/var/lib/haproxy/owui-spoa/agent.sock")));
    haproxy->http = http.items;
    haproxy->http_count = http.count;
    haproxy->https = https.items;
    haproxy->https_count = https.count;
    haproxy->runtime = runtime.items;
    haproxy->runtime_count = runtime.count;
    configuration->listen = listen.items;
    configuration->listen_count = listen.count;

    haproxy->crt_dir = memory_copy_text(SLICE("/etc/haproxy/certs"));
    haproxy->spoe_path = memory_copy_text(slice_of(hap_spoe_path(haproxy)));
    haproxy->user = memory_copy_text(SLICE("haproxy"));
    haproxy->group = memory_copy_text(SLICE("haproxy"));
    haproxy->chroot = memory_copy_text(SLICE("/var/lib/haproxy"));
    haproxy->challenge_listen = memory_copy_text(SLICE("127.0.0.1:8688"));
    haproxy->pages_listen = memory_copy_text(SLICE("127.0.0.1:8689"));
    haproxy->tenant_header = memory_copy_text(SLICE("X-Tenant-ID"));
    configuration->acme.state_dir = memory_copy_text(SLICE("/var/lib/owui-spoa"));
    configuration->jwks.cache_dir = memory_copy_text(SLICE("/var/lib/owui-spoa/jwks"));
    configuration->jwks.refresh_ms = JWKS_REFRESH_MS;
    configuration->metrics.tenants = METRICS_TENANTS_DEFAULT;
    configuration->admin_socket = memory_copy_text(SLICE("/run/owui-spoa/admin.sock"));
}

void configuration_set_defaults(struct configuration *configuration, const char *path)
{
    *configuration = (struct configuration){
        .path = memory_copy_text(slice_of(path)),
        .tenants_dir = file_path_beside(path, SLICE("tenants.d")),
        .tenants_dir_optional = true,
        .listen_mode = 0660,
        .loops = 1,
        .log_level = LOG_INFO,
        .log_format = LOG_FORMAT_TEXT,
        .resolve_interval_s = 30,
        .default_https_redirect = true,
        .settings = memory_new(sizeof(struct settings)),
    };
    configuration->settings->unknown_host = UNKNOWN_HOST_DENY;
    configuration->settings->unknown_host_status = 404;
    set_default_texts(configuration);
}

/* -- Plain keys -- */

static struct configuration *configuration_of(void *target)
{
    return target;
}

static void read_listen(const struct node *node, void *target)
{
    struct configuration *configuration = target;
    struct texts texts = {configuration->listen, configuration->listen_count};
    if (node_texts(node, TEXTS_MAX, check_listen, &texts) && texts.count == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "\"listen\" must name one address at least");
    configuration->listen = texts.items;
    configuration->listen_count = texts.count;
}

static void read_listen_group(const struct node *node, void *target)
{
    node_plain_name(node, &configuration_of(target)->listen_group);
}

static void read_listen_mode(const struct node *node, void *target)
{
    struct slice text;
    if (!node_text(node, &text))
        return;
    unsigned mode = 0;
    bool good = text.size == 3 || (text.size == 4 && text.data[0] == '0');
    for (size_t i = 0; good && i < text.size; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '7';
        mode = mode * 8 + (unsigned)(text.data[i] - '0');
    }
    if (good)
        configuration_of(target)->listen_mode = mode;
    else
        node_report(node, JSON_PART_VALUE, CODE_BAD_MODE, memory_format("for example \"0660\""),
                    "\"%.*s\" is not a file mode", SLICE_PRINT(text));
}

static bool is_folder(const char *name)
{
    struct stat status;
    return stat(name, &status) == 0 && S_ISDIR(status.st_mode);
}

static void read_tenants_dir(const struct node *node, void *target)
{
    struct configuration *configuration = target;
    char **folder = &configuration->tenants_dir;
    configuration->tenants_dir_optional = false;
    if (!node_file_name(node, folder) || is_folder(*folder))
        return;
    node_report(node, JSON_PART_VALUE, CODE_FILE_UNREADABLE, NULL, "%s is not a folder", *folder);
    free(*folder);
    *folder = NULL;
}

static void read_loops(const struct node *node, void *target)
{
    node_unsigned(node, 1, LOOPS_MAX, &configuration_of(target)->loops);
}

static void read_trace_entries(const struct node *node, void *target)
{
    node_unsigned(node, 1, TRACE_ENTRIES_MAX, &configuration_of(target)->trace_entries);
}

static void read_trace_file(const struct node *node, void *target)
{
    node_file_name(node, &configuration_of(target)->trace_file);
}

/* How many, in memory; or an object, which may say where on disk. */
static void read_trace(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"entries", read_trace_entries},
        {"file", read_trace_file},
    };
    struct configuration *configuration = configuration_of(target);
    if (json_type_of(node->value) != JSON_TYPE_OBJECT) {
        node_unsigned(node, 0, TRACE_ENTRIES_MAX, &configuration->trace_entries);
        return;
    }
    configuration->trace_entries = TRACE_ENTRIES_DEFAULT;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
}

static void read_admin_socket(const struct node *node, void *target)
{
    node_file_name(node, &configuration_of(target)->admin_socket);
}

static void read_pages_listen(const struct node *node, void *target)
{
    struct slice text;
    char **address = &configuration_of(target)->haproxy.pages_listen;
    char *checked = node_text(node, &text) ? check_local_address(node, text) : NULL;
    if (checked == NULL)
        return;
    free(*address);
    *address = checked;
}

static void read_cookie_key_file(const struct node *node, void *target)
{
    node_file_name(node, &configuration_of(target)->cookie_key_file);
}

static void read_tenant_id_header(const struct node *node, void *target)
{
    struct slice text;
    struct error_text why;
    if (!node_text(node, &text))
        return;
    /* The default is not a tenant's to set, and so is refused like the others. */
    if (slice_equal_nocase(text, SLICE("X-Tenant-ID")) || header_name_check(text, &why) == ERROR_OK)
        node_copy_text(node, &configuration_of(target)->haproxy.tenant_header);
    else
        node_report(node, JSON_PART_VALUE, CODE_HEADER_NAME, NULL, "%s", why.text);
}

static void read_level(const struct node *node, void *target)
{
    static const struct choice LEVELS[] = {
#define X(NAME, TEXT) {TEXT, LOG_##NAME},
        LOG_LEVEL_TABLE(X)
#undef X
    };
    int level;
    if (node_choice(node, LEVELS, COUNT_OF(LEVELS), &level))
        configuration_of(target)->log_level = (enum log_level)level;
}

static void read_format(const struct node *node, void *target)
{
    static const struct choice FORMATS[] = {{"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}};
    int format;
    if (node_choice(node, FORMATS, COUNT_OF(FORMATS), &format))
        configuration_of(target)->log_format = (enum log_format)format;
}

static void read_log(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"level", read_level},
        {"format", read_format},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
}

static void read_interval(const struct node *node, void *target)
{
    unsigned interval_ms;
    if (node_duration(node, RESOLVE_INTERVAL_MIN_MS, RESOLVE_INTERVAL_MAX_MS, &interval_ms))
        configuration_of(target)->resolve_interval_s = interval_ms / 1000;
}

static void read_nameservers(const struct node *node, void *target)
{
    struct texts texts = {0};
    if (node_texts(node, TEXTS_MAX, check_nameserver, &texts) && texts.count == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("without this key, the system's are asked"),
                    "\"nameservers\" must list one address at least");
    configuration_of(target)->nameservers = texts.items;
    configuration_of(target)->nameserver_count = texts.count;
}

static void read_resolver(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"interval", read_interval},
        {"nameservers", read_nameservers},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
}

static void read_upstream_allow(const struct node *node, void *target)
{
    struct settings *settings = configuration_of(target)->settings;
    if (!node_is(node, JSON_TYPE_ARRAY))
        return;
    if (json_count(node->value) == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("without this key, every network is allowed"),
                    "\"upstream_allow\" must list one network at least");
    settings->upstream_allow = memory_new(json_count(node->value) * sizeof(struct ip_network));
    settings->upstream_allow_count = 0;
    for (struct node_iterator i = node_children(node); node_next(&i);)
        if (node_network(&i.node, &settings->upstream_allow[settings->upstream_allow_count]))
            settings->upstream_allow_count++;
}

/* No pattern, and none that every request, or every browser's, has to have. */
static char *check_strip_header(const struct node *element, struct slice text)
{
    bool good = text.size > 0 && text.size <= 64 && slice_consists_of(text, value_is_header_byte);
    static const char *const NEEDED[] = {"host",   "connection",     "upgrade", "cookie",
                                         "origin", "content-length", "te",      "transfer-encoding",
                                         "accept", "content-type",   "trailer", "authorization"};
    for (size_t i = 0; good && i < COUNT_OF(NEEDED); i++) {
        if (slice_equal_nocase(text, slice_of(NEEDED[i]))) {
            node_report(element, JSON_PART_VALUE, CODE_HEADER_NAME, NULL,
                        "no request would work without \"%.*s\"", SLICE_PRINT(text));
            return NULL;
        }
    }
    if (good)
        return memory_copy_text(text);
    node_report(element, JSON_PART_VALUE, CODE_HEADER_NAME,
                memory_format("letters, digits and \"-\"; names with \"_\" are always deleted"),
                "\"%.*s\" is not a header name", SLICE_PRINT(text));
    return NULL;
}

static void read_strip_headers(const struct node *node, void *target)
{
    struct hap_config *haproxy = &configuration_of(target)->haproxy;
    struct texts texts = {haproxy->strip_headers, haproxy->strip_header_count};
    node_texts(node, TEXTS_MAX, check_strip_header, &texts);
    haproxy->strip_headers = texts.items;
    haproxy->strip_header_count = texts.count;
}

/* -- "unknown_host" -- */

static void read_action(const struct node *node, void *target)
{
    static const struct choice ACTIONS[] = {{"deny", UNKNOWN_HOST_DENY},
                                            {"redirect", UNKNOWN_HOST_REDIRECT},
                                            {"tenant", UNKNOWN_HOST_TENANT}};
    int action;
    if (node_choice(node, ACTIONS, COUNT_OF(ACTIONS), &action))
        configuration_of(target)->settings->unknown_host = (enum unknown_host_action)action;
}

static void read_status(const struct node *node, void *target)
{
    node_denial_status(node, &configuration_of(target)->settings->unknown_host_status);
}

static void read_to(const struct node *node, void *target)
{
    struct settings *settings = configuration_of(target)->settings;
    struct slice url, rest = {0};
    struct host host = {0};
    if (!node_text(node, &url))
        return;
    if (slice_starts_with(url, SLICE("https://")))
        rest = slice_skip(url, 8);
    else if (slice_starts_with(url, SLICE("http://")))
        rest = slice_skip(url, 7);
    if (slice_ends_with(rest, SLICE("/")))
        rest.size--;
    if (host_parse(rest, &host) != REFUSAL_NONE || host.changed) {
        node_report(node, JSON_PART_VALUE, CODE_BAD_URL,
                    memory_format("scheme and host, as in \"https://example.com\": the path that "
                                  "was asked for is kept"),
                    "\"%.*s\" is not a place to redirect to", SLICE_PRINT(url));
        return;
    }
    free(settings->unknown_host_location);
    settings->unknown_host_location =
        memory_copy_text(slice_from(url.data, (size_t)(rest.data + rest.size - url.data)));
}

static void read_unknown_tenant(const struct node *node, void *target)
{
    struct configuration *configuration = target;
    if (node_copy_text(node, &configuration->settings->unknown_host_tenant))
        configuration->unknown_host_place = node_value_place(node);
}

static void read_unknown_host(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"action", read_action},
        {"status", read_status},
        {"to", read_to},
        {"tenant", read_unknown_tenant},
    };
    static const struct {
        const char *key, *action;
        enum unknown_host_action value;
        bool required;
    } MEANINGS[] = {{"status", "deny", UNKNOWN_HOST_DENY, false},
                    {"to", "redirect", UNKNOWN_HOST_REDIRECT, true},
                    {"tenant", "tenant", UNKNOWN_HOST_TENANT, true}};
    size_t errors = node->document->diagnostics->errors;
    struct node member;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
    if (node->document->diagnostics->errors != errors)
        return;
    for (size_t i = 0; i < COUNT_OF(MEANINGS); i++) {
        bool there = node_member(node, MEANINGS[i].key, &member);
        bool wanted = configuration_of(target)->settings->unknown_host == MEANINGS[i].value;
        if (there && !wanted)
            node_report(&member, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                        memory_format("remove it, or write \"action\": \"%s\"", MEANINGS[i].action),
                        "\"%s\" has no meaning with this action", MEANINGS[i].key);
        if (!there && wanted && MEANINGS[i].required)
            node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY, NULL,
                        "\"action\": \"%s\" needs \"%s\"", MEANINGS[i].action, MEANINGS[i].key);
    }
}

/* -- What tenants inherit -- */

static void read_default_https(const struct node *node, void *target)
{
    https_read(node, &configuration_of(target)->default_https_redirect);
}

static void read_default_canonical_host(const struct node *node, void *target)
{
    node_bool(node, &configuration_of(target)->default_canonical_host);
}

static void read_default_secure_cookies(const struct node *node, void *target)
{
    node_bool(node, &configuration_of(target)->default_secure_cookies);
}

static void read_default_nosniff(const struct node *node, void *target)
{
    node_bool(node, &configuration_of(target)->default_nosniff);
}

static void read_default_hsts(const struct node *node, void *target)
{
    hsts_read(node, &configuration_of(target)->default_hsts);
}

static void read_headers(const struct node *node, const struct configuration *configuration,
                         struct header **items, size_t *count)
{
    struct header_rules rules = {
        .fixed = configuration->fixed_headers,
        .fixed_count = configuration->fixed_header_count,
        .tenant_id_header = configuration->haproxy.tenant_header,
    };
    struct header_section section = {0};
    headers_read(node, &rules, &section);
    *items = section.set.items;
    *count = section.set.count;
    section.set = (struct header_list){0};
    header_section_fini(&section);
}

static void read_default_headers(const struct node *node, void *target)
{
    struct configuration *configuration = target;
    read_headers(node, configuration, &configuration->default_headers,
                 &configuration->default_header_count);
}

static void read_fixed_headers(const struct node *node, void *target)
{
    struct configuration *configuration = target;
    read_headers(node, configuration, &configuration->fixed_headers,
                 &configuration->fixed_header_count);
}

static void read_default_policy(const struct node *node, void *target)
{
    policy_part_read(node, &configuration_of(target)->default_policy);
}

static void read_defaults(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"https", read_default_https},
        {"canonical_host", read_default_canonical_host},
        {"hsts", read_default_hsts},
        {"secure_cookies", read_default_secure_cookies},
        {"nosniff", read_default_nosniff},
        {"headers", read_default_headers},
        {"origins", read_default_policy},
        {"origin_check", read_default_policy},
        {"require_sni_match", read_default_policy},
        {"allow_ips", read_default_policy},
        {"deny_ips", read_default_policy},
        {"refuse_scanners", read_default_policy},
        {"limits", read_default_policy},
        {"timeouts", read_default_policy},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
}

/* -- The file -- */

/* Headers are read when the name of the tenant's own header is known, whatever the order in the
 * file, and the defaults when the fixed ones are. */
static void read_inherited(const struct node *root, struct configuration *configuration)
{
    struct node headers, defaults;
    uint64_t hash = 0;
    if (node_member(root, "headers", &headers)) {
        read_fixed_headers(&headers, configuration);
        hash = node_content_hash(headers.value);
    }
    if (node_member(root, "defaults", &defaults)) {
        read_defaults(&defaults, configuration);
        hash = hash_content(SLICE("defaults"), hash + node_content_hash(defaults.value));
    }
    configuration->inherited_hash = hash;
}

static uint64_t hash_without_tenants(const struct node *root)
{
    uint64_t sum = 0;
    for (struct node_iterator i = node_children(root); node_next(&i);)
        if (!slice_equal(i.node.key, SLICE("tenants")))
            sum += hash_content(i.node.key, node_content_hash(i.node.value));
    return sum;
}

/* What comes from other files is no text of this one. A line that moves from one group's file to
 * the next one's is believed in another header. */
static uint64_t hash_networks(const struct trusted_proxies *trusted, uint64_t hash)
{
    for (size_t i = 0; i < trusted->group_count; i++)
        for (size_t j = 0; j < trusted->groups[i].network_count; j++) {
            const struct ip_network *network = &trusted->groups[i].networks[j];
            hash = hash_content(slice_from(network->ip.bytes, sizeof(network->ip.bytes)),
                                hash + network->prefix_bits + ((uint64_t)network->ip.family << 8) +
                                    ((uint64_t)i << 16));
        }
    return hash;
}

void global_read(const struct node *root, struct configuration *configuration)
{
    static const struct option OPTIONS[] = {
        {"$schema", option_read_schema_url},
        {"schema", option_read_schema},
        {"listen", read_listen},
        {"listen_group", read_listen_group},
        {"listen_mode", read_listen_mode},
        {"tenants_dir", read_tenants_dir},
        {"loops", read_loops},
        {"log", read_log},
        {"trace", read_trace},
        {"admin_socket", read_admin_socket},
        {"admin_http", admin_http_read},
        {"pages_listen", read_pages_listen},
        {"cookie_key_file", read_cookie_key_file},
        {"trusted_proxies", trusted_proxies_read},
        {"upstream_allow", read_upstream_allow},
        {"unknown_host", read_unknown_host},
        {"resolver", read_resolver},
        {"strip_headers", read_strip_headers},
        {"tenant_id_header", read_tenant_id_header},
        {"forwarding", forwarding_read},
        {"generation_header", generation_header_read},
        {"haproxy", haproxy_read},
        {"acme", acme_read},
        {"jwks", jwks_read},
        {"metrics", metrics_read},
        {"headers", option_read_nothing}, /* these three are read in their own time */
        {"defaults", option_read_nothing},
        {"tenants", option_read_nothing},
    };
    options_read(root, OPTIONS, COUNT_OF(OPTIONS), configuration);
    read_inherited(root, configuration);
    if (configuration->cookie_key_file == NULL)
        configuration->cookie_key_file =
            memory_format("%s/cookie.key", configuration->acme.state_dir);
    if (configuration->admin_http.tokens_file == NULL)
        configuration->admin_http.tokens_file =
            memory_format("%s/tokens.json", configuration->acme.state_dir);
    haproxy_complete(root, configuration);
    configuration->content_hash =
        hash_networks(&configuration->settings->trusted_proxies, hash_without_tenants(root));
}
