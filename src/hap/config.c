/* The values that HAProxy's side is written from: see hap/config.h. */
#include "hap/config.h"

#include "core/memory.h"

#include <stdlib.h>

static const char *const VERSION_NAMES[] = {
#define X(NAME, TEXT) [HAP_##NAME] = TEXT,
    HAP_VERSION_TABLE(X)
#undef X
};
static_assert(COUNT_OF(VERSION_NAMES) == HAP_VERSION__MAX, "a version has no name");

bool hap_version_parse(struct slice text, enum hap_version *version)
{
    for (size_t i = 0; i < COUNT_OF(VERSION_NAMES); i++) {
        if (slice_equal(text, slice_of(VERSION_NAMES[i]))) {
            *version = (enum hap_version)i;
            return true;
        }
    }
    return false;
}

void hap_config_fini(struct hap_config *config)
{
    memory_free_texts(config->http, config->http_count);
    memory_free_texts(config->https, config->https_count);
    memory_free_texts(config->runtime, config->runtime_count);
    memory_free_texts(config->agents, config->agent_count);
    memory_free_texts(config->proxy_protocol_from, config->proxy_protocol_from_count);
    memory_free_texts(config->strip_headers, config->strip_header_count);
    for (size_t i = 0; i < config->backend_count; i++) {
        free(config->backends[i].name);
        memory_free_texts(config->backends[i].servers, config->backends[i].server_count);
        free(config->backends[i].check_path);
    }
    free(config->backends);
    for (size_t i = 0; i < config->header_count; i++) {
        free(config->headers[i].name);
        free(config->headers[i].variable);
    }
    free(config->headers);
    memory_free_texts(config->identity_headers, config->identity_header_count);
    for (size_t i = 0; i < config->token_count; i++) {
        free(config->tokens[i].name);
        free(config->tokens[i].argument);
    }
    free(config->tokens);
    free(config->client_ca_file);
    free(config->crt_dir);
    free(config->user);
    free(config->group);
    free(config->chroot);
    free(config->challenge_listen);
    free(config->pages_listen);
    free(config->thumbprint);
    free(config->upstream_ca_file);
    free(config->tenant_header);
    free(config->spoe_path);
    free(config->fallback_map);
    free(config->decision_map);
    *config = (struct hap_config){0};
}

/* HAProxy resolves a server's unix path after chroot(), so it must be told without the chroot. */
static char *socket_file_address(struct slice path, struct slice chroot, struct error_text *text)
{
    while (chroot.size > 0 && chroot.data[chroot.size - 1] == '/')
        chroot.size--;
    if (path.size == 0 || path.data[0] != '/') {
        error_set(text, ERROR_INVALID, "a socket's path must be absolute, not \"%.*s\"",
                  SLICE_PRINT(path));
        return NULL;
    }
    if (!slice_starts_with(path, chroot) || path.size <= chroot.size ||
        path.data[chroot.size] != '/') {
        error_set(
            text, ERROR_INVALID,
            "HAProxy runs in the chroot %.*s and cannot reach the agent's socket %.*s: use a "
            "path below the chroot, an abstract name (unix:@owui-spoa) or tcp:127.0.0.1:12345",
            SLICE_PRINT(chroot), SLICE_PRINT(path));
        return NULL;
    }
    struct slice inside = slice_skip(path, chroot.size);
    return memory_format("unix@%.*s", SLICE_PRINT(inside));
}

char *hap_agent_address(struct slice agent, const char *chroot, struct error_text *text)
{
    if (slice_starts_with(agent, SLICE("unix:@"))) {
        struct slice name = slice_skip(agent, 6);
        return memory_format("abns@%.*s", SLICE_PRINT(name));
    }
    if (slice_starts_with(agent, SLICE("unix:")))
        return socket_file_address(slice_skip(agent, 5), slice_of(chroot), text);
    if (slice_starts_with(agent, SLICE("tcp:"))) {
        struct slice address = slice_skip(agent, 4);
        bool is_port = address.size > 0 && slice_consists_of(address, ascii_is_digit);
        return memory_format("%s%.*s", is_port ? "127.0.0.1:" : "", SLICE_PRINT(address));
    }
    error_set(text, ERROR_INVALID,
              "an agent is unix:/path, unix:@name or tcp:address:port, not \"%.*s\"",
              SLICE_PRINT(agent));
    return NULL;
}

/* Values stand in the file unquoted, so few bytes may be in them. */
static bool byte_is_plain(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "-_./:@[]*+,=~");
}

/* Of a converter, whose arguments are told apart by commas. */
static bool byte_is_argument(char c)
{
    return byte_is_plain(c) && c != ',';
}

static bool byte_is_name(char c)
{
    return byte_is_plain(c) && !byte_is_one_of(c, "/:@[]*+,=~");
}

static bool byte_is_base64url(char c)
{
    return byte_is_name(c) && c != '.';
}

static enum error check_value(const char *what, const char *value, bool (*byte_ok)(char c),
                              struct error_text *text)
{
    if (value == NULL)
        return ERROR_OK;
    for (const char *p = value; *p != '\0'; p++)
        if (!byte_ok(*p))
            return error_set(text, ERROR_INVALID,
                             "%s \"%s\" has a byte that cannot stand in haproxy.cfg", what, value);
    if (value[0] == '\0')
        return error_set(text, ERROR_INVALID, "%s is empty", what);
    return ERROR_OK;
}

static enum error check_values(const char *what, char *const *values, size_t count,
                               bool (*byte_ok)(char c), struct error_text *text)
{
    for (size_t i = 0; i < count; i++) {
        enum error error = check_value(what, values[i], byte_ok, text);
        if (error != ERROR_OK)
            return error;
    }
    return ERROR_OK;
}

bool hap_backend_is_reserved(const char *name)
{
    static const char *const RESERVED[] = {"acme",     "agents", "agents_other",   "answer",
                                           "http",     "https",  "https_noverify", "refuse",
                                           "requests", "signin", "websockets"};
    for (size_t i = 0; i < COUNT_OF(RESERVED); i++)
        if (strcmp(name, RESERVED[i]) == 0)
            return true;
    return false;
}

static enum error check_backends(const struct hap_config *config, struct error_text *text)
{
    for (size_t i = 0; i < config->backend_count; i++) {
        const struct hap_backend *backend = &config->backends[i];
        enum error error = check_value("a backend's name", backend->name, byte_is_name, text);
        if (error == ERROR_OK)
            error = check_values("a backend's server", backend->servers, backend->server_count,
                                 byte_is_plain, text);
        if (error == ERROR_OK && hap_backend_is_reserved(backend->name))
            error = error_set(text, ERROR_INVALID,
                              "a backend cannot have the name \"%s\": owui_%s is the agent's own",
                              backend->name, backend->name);
        if (error == ERROR_OK)
            error = check_value("a backend's check path", backend->check_path, byte_is_plain, text);
        if (error != ERROR_OK)
            return error;
    }
    return ERROR_OK;
}

static enum error check_headers(const struct hap_config *config, struct error_text *text)
{
    for (size_t i = 0; i < config->header_count; i++) {
        enum error error =
            check_value("a header's name", config->headers[i].name, byte_is_name, text);
        if (error == ERROR_OK)
            error =
                check_value("a header's variable", config->headers[i].variable, byte_is_name, text);
        if (error != ERROR_OK)
            return error;
    }
    for (size_t i = 0; i < config->token_count; i++) {
        enum error error =
            check_value("a token's name", config->tokens[i].name, byte_is_name, text);
        if (error == ERROR_OK)
            error =
                check_value("a token's argument", config->tokens[i].argument, byte_is_name, text);
        if (error != ERROR_OK)
            return error;
    }
    if (config->token_count > HAP_TOKENS_MAX)
        return error_set(text, ERROR_TOO_BIG,
                         "tenants take tokens from %zu headers and cookies of different names; at "
                         "most %d are possible",
                         config->token_count, HAP_TOKENS_MAX);
    if (config->identity_header_count > HAP_IDENTITY_HEADERS_MAX)
        return error_set(text, ERROR_TOO_BIG,
                         "tenants are told identities in %zu headers of different names; at most "
                         "%d are possible",
                         config->identity_header_count, HAP_IDENTITY_HEADERS_MAX);
    if (config->tenant_header != NULL && config->tenant_header[0] != '\0')
        return check_value("the tenant header", config->tenant_header, byte_is_name, text);
    return ERROR_OK;
}

enum error hap_config_check(const struct hap_config *config, struct error_text *text)
{
    const struct {
        const char *what;
        char *const *values;
        size_t count;
        bool (*byte_ok)(char c);
    } lists[] = {
        {"a bind", config->http, config->http_count, byte_is_plain},
        {"a bind", config->https, config->https_count, byte_is_plain},
        {"a Runtime API socket", config->runtime, config->runtime_count, byte_is_plain},
        {"an agent", config->agents, config->agent_count, byte_is_plain},
        {"a PROXY protocol sender", config->proxy_protocol_from, config->proxy_protocol_from_count,
         byte_is_plain},
        {"a header to strip", config->strip_headers, config->strip_header_count, byte_is_name},
        {"crt_dir", &config->crt_dir, 1, byte_is_plain},
        {"user", &config->user, 1, byte_is_name},
        {"group", &config->group, 1, byte_is_name},
        {"chroot", &config->chroot, 1, byte_is_plain},
        {"challenge_listen", &config->challenge_listen, 1, byte_is_plain},
        {"pages_listen", &config->pages_listen, 1, byte_is_plain},
        {"the thumbprint", &config->thumbprint, 1, byte_is_base64url},
        {"upstream_ca_file", &config->upstream_ca_file, 1, byte_is_plain},
        {"client_ca_file", &config->client_ca_file, 1, byte_is_plain},
        {"an identity's header", config->identity_headers, config->identity_header_count,
         byte_is_name},
        {"the SPOE file's path", &config->spoe_path, 1, byte_is_plain},
        {"fallback_map", &config->fallback_map, 1, byte_is_argument},
        {"decision_map", &config->decision_map, 1, byte_is_argument},
    };
    if (config->http_count + config->https_count == 0)
        return error_set(text, ERROR_INVALID,
                         "HAProxy has nothing to listen on: no http, no https");
    if (config->agent_count == 0)
        return error_set(text, ERROR_INVALID, "HAProxy has no agent to ask");
    if (config->decision_map != NULL && config->runtime_count == 0)
        return error_set(
            text, ERROR_INVALID,
            "decision_map needs HAProxy's Runtime API, to tell it of changes: name its "
            "socket in \"runtime\"");
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        enum error error =
            check_values(lists[i].what, lists[i].values, lists[i].count, lists[i].byte_ok, text);
        if (error != ERROR_OK)
            return error;
    }
    for (size_t i = 0; i < config->agent_count; i++) {
        char *address = hap_agent_address(slice_of(config->agents[i]), config->chroot, text);
        if (address == NULL)
            return ERROR_INVALID;
        free(address);
    }
    enum error error = check_backends(config, text);
    return error != ERROR_OK ? error : check_headers(config, text);
}
