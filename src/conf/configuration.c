/* Loading files of the configuration: see conf/configuration.h. */
#include "load.h"

#include "core/memory.h"
#include "file.h"
#include "global_read.h"
#include "headers.h"
#include "route/certified.h"
#include "route/replica.h"
#include "tenant_read.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

/* -- The global file -- */

struct configuration *configuration_read(const char *path, struct tenant_file *inline_tenants,
                                         struct diagnostics *diagnostics, bool *usable)
{
    struct document document;
    struct configuration *configuration = NULL;
    struct node tenants;

    *inline_tenants = (struct tenant_file){.path = memory_copy_text(slice_of(path))};
    size_t errors = diagnostics->errors;
    *usable = false;
    if (!document_open(&document, path, diagnostics)) {
        inline_tenants->unreadable = true;
        goto out;
    }
    struct node root = document_root(&document);
    configuration = memory_new(sizeof(*configuration));
    configuration_set_defaults(configuration, path);
    global_read(&root, configuration);
    *usable = diagnostics->errors == errors;
    if (node_member(&root, "tenants", &tenants)) {
        *usable = node_is(&tenants, JSON_TYPE_OBJECT) && *usable;
        tenants_read(&tenants, configuration, inline_tenants);
    }
out:
    inline_tenants->text_hash = document_hash(&document);
    document_close(&document);
    return configuration;
}

struct configuration *configuration_load(const char *path, struct tenant_file *inline_tenants,
                                         struct diagnostics *diagnostics)
{
    bool usable;
    struct configuration *configuration =
        configuration_read(path, inline_tenants, diagnostics, &usable);
    if (usable)
        return configuration;
    struct tenant_file rest = {.text_hash = inline_tenants->text_hash, .unreadable = true};
    if (configuration != NULL) {
        rest.named = configuration->network_files;
        rest.named_count = configuration->network_file_count;
        configuration->network_files = NULL;
        configuration->network_file_count = 0;
    }
    configuration_free(configuration);
    tenant_file_fini(inline_tenants);
    *inline_tenants = rest;
    return NULL;
}

char *configuration_admin_socket(const char *path)
{
    bool usable;
    struct tenant_file tenants;
    struct diagnostics diagnostics = {0};
    struct configuration *configuration = configuration_read(path, &tenants, &diagnostics, &usable);
    if (configuration == NULL) {
        configuration = memory_new(sizeof(*configuration));
        configuration_set_defaults(configuration, path);
    }
    char *socket = configuration->admin_socket;
    configuration->admin_socket = NULL;
    configuration_free(configuration);
    tenant_file_fini(&tenants);
    diagnostics_fini(&diagnostics);
    return socket;
}

static void free_headers(struct header *items, size_t count)
{
    struct header_section section = {.set = {items, count}};
    header_section_fini(&section);
}

static void acme_settings_fini(struct acme_settings *acme)
{
    free(acme->directory);
    free(acme->staging);
    free(acme->ca_file);
    memory_free_texts(acme->contacts, acme->contact_count);
    free(acme->state_dir);
    free(acme->webroot);
    free(acme->certbot_live);
    free(acme->owner);
    free(acme->group);
    free(acme->profile);
    free(acme->preferred_chain);
    free(acme->external_kid);
    free(acme->external_secret_file);
    free(acme->second_directory);
    free(acme->second_ca_file);
    free(acme->second_external_kid);
    free(acme->second_external_secret_file);
}

/* What a CA does not tell, and refuses as a whole: Let's Encrypt's newer profiles take 25. */
size_t acme_settings_hosts_max(const struct acme_settings *acme)
{
    static const char *const SMALL[] = {"tlsserver", "shortlived"};
    if (acme->profile == NULL || strstr(acme->directory, ".letsencrypt.org/") == NULL)
        return CERTIFIED_HOSTS_MAX;
    for (size_t i = 0; i < COUNT_OF(SMALL); i++)
        if (strcmp(acme->profile, SMALL[i]) == 0)
            return 25;
    return CERTIFIED_HOSTS_MAX;
}

/* Those that are held to the rules of browsers; whoever else it is may be the admin's own. */
static bool is_public(const char *directory)
{
    static const char *const DOMAINS[] = {".letsencrypt.org", ".zerossl.com", ".pki.goog",
                                          ".ssl.com",         ".sectigo.com", ".digicert.com",
                                          ".buypass.com",     ".actalis.com", ".globalsign.com"};
    struct slice url = slice_of(directory);
    if (!slice_starts_with(url, SLICE("https://")))
        return false;
    url = slice_skip(url, 8);
    struct slice host = slice_cut(&url, '/');
    host = slice_cut(&host, ':');
    for (size_t i = 0; i < COUNT_OF(DOMAINS); i++)
        if (slice_ends_with(host, slice_of(DOMAINS[i])))
            return true;
    return false;
}

bool acme_settings_is_public(const struct acme_settings *acme)
{
    return is_public(acme->directory) &&
           (acme->second_directory == NULL || is_public(acme->second_directory));
}

void configuration_free(struct configuration *configuration)
{
    if (configuration == NULL)
        return;
    free(configuration->path);
    free(configuration->tenants_dir);
    memory_free_texts(configuration->listen, configuration->listen_count);
    memory_free_texts(configuration->network_files, configuration->network_file_count);
    free(configuration->listen_group);
    free(configuration->trace_file);
    memory_free_texts(configuration->nameservers, configuration->nameserver_count);
    free(configuration->admin_socket);
    free(configuration->admin_http.listen);
    free(configuration->admin_http.tokens_file);
    memory_free_texts(configuration->admin_http.hosts, configuration->admin_http.host_count);
    free(configuration->cookie_key_file);
    settings_free(configuration->settings);
    hap_config_fini(&configuration->haproxy);
    acme_settings_fini(&configuration->acme);
    free(configuration->jwks.ca_file);
    free(configuration->jwks.cache_dir);
    free(configuration->metrics.listen);
    free(configuration->default_hsts);
    policy_unref(configuration->default_policy);
    free_headers(configuration->default_headers, configuration->default_header_count);
    free_headers(configuration->fixed_headers, configuration->fixed_header_count);
    free(configuration);
}

static int compare_tokens(const void *a, const void *b)
{
    return strcmp(((const struct hap_token *)a)->argument, ((const struct hap_token *)b)->argument);
}

/* As the agent compares it: the variable's name without "h_". */
static void add_identity_header(struct hap_config *haproxy, const struct header *header)
{
    const char *name = header->variable + 2;
    for (size_t i = 0; i < haproxy->identity_header_count; i++)
        if (strcmp(haproxy->identity_headers[i], name) == 0)
            return;
    struct texts texts = {haproxy->identity_headers, haproxy->identity_header_count};
    texts_add(&texts, memory_copy_text(slice_of(name)));
    haproxy->identity_headers = texts.items;
    haproxy->identity_header_count = texts.count;
    qsort(texts.items, texts.count, sizeof(*texts.items), memory_compare_texts);
}

static void add_token(struct hap_config *haproxy, const struct identity_rule *rule)
{
    for (size_t i = 0; i < haproxy->token_count; i++)
        if (strcmp(haproxy->tokens[i].argument, rule->token_argument) == 0)
            return;
    haproxy->tokens =
        memory_resize(haproxy->tokens, haproxy->token_count + 1, sizeof(*haproxy->tokens));
    haproxy->tokens[haproxy->token_count++] =
        (struct hap_token){.name = memory_copy_text(slice_of(rule->token_name)),
                           .argument = memory_copy_text(slice_of(rule->token_argument)),
                           .is_cookie = rule->token_is_cookie};
    qsort(haproxy->tokens, haproxy->token_count, sizeof(*haproxy->tokens), compare_tokens);
}

static void add_identity(struct hap_config *haproxy, const struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->header_count; i++)
        if (tenant->headers[i].value.has_identity)
            add_identity_header(haproxy, &tenant->headers[i]);
    if (tenant->identity->from == IDENTITY_FROM_JWT)
        add_token(haproxy, tenant->identity);
    if (tenant->identity->from == IDENTITY_FROM_CLIENT_CERT)
        haproxy->client_certificates = true;
}

static int compare_headers(const void *a, const void *b)
{
    return strcasecmp(((const struct hap_header *)a)->name, ((const struct hap_header *)b)->name);
}

bool configuration_has_header_name(const struct configuration *configuration, const char *name)
{
    const struct hap_config *haproxy = &configuration->haproxy;
    for (size_t i = 0; i < haproxy->header_count; i++)
        if (strcasecmp(haproxy->headers[i].name, name) == 0)
            return true;
    return false;
}

void configuration_add_header_names(struct configuration *configuration,
                                    const struct tenant *tenant)
{
    struct hap_config *haproxy = &configuration->haproxy;
    if (tenant->identity != NULL)
        add_identity(haproxy, tenant);
    haproxy->takeover |= tenant->takes_over;
    haproxy->secures_cookies |= tenant->secures_cookies;
    haproxy->nosniffs |= tenant->nosniffs;
    for (size_t i = 0; i < tenant->header_count; i++) {
        const struct header *header = &tenant->headers[i];
        if (configuration_has_header_name(configuration, header->name))
            continue;
        haproxy->headers =
            memory_resize(haproxy->headers, haproxy->header_count + 1, sizeof(*haproxy->headers));
        haproxy->headers[haproxy->header_count++] =
            (struct hap_header){.name = memory_copy_text(slice_of(header->name)),
                                .variable = memory_copy_text(slice_of(header->variable))};
        qsort(haproxy->headers, haproxy->header_count, sizeof(*haproxy->headers), compare_headers);
    }
}

unsigned configuration_arguments_for(const struct tenant *tenant)
{
    unsigned arguments = policy_needs(tenant->policy);
    if (tenant->replicas != NULL && replica_set_uses_user(tenant->replicas))
        arguments |= 1u << HAP_ARGUMENT_USER;
    if (tenant->replicas != NULL && replica_set_uses_cookie(tenant->replicas))
        arguments |= 1u << HAP_ARGUMENT_REPLICA;
    if (tenant->policy != NULL && tenant->policy->has_shares)
        arguments |= 1u << HAP_ARGUMENT_SHARE;
    return arguments;
}

void configuration_add_arguments(struct configuration *configuration, const struct tenant *tenant)
{
    configuration->haproxy.arguments |= configuration_arguments_for(tenant);
}

/* -- Tenants' files -- */

void tenant_file_load(const char *path, const struct configuration *configuration,
                      struct tenant_file *file, struct diagnostics *diagnostics)
{
    tenant_file_load_news(path, configuration, NULL, file, diagnostics);
}

/* Takes what was opened, and closes it. */
static void load_document(struct document *document, bool is_open,
                          const struct configuration *configuration, struct tenant_file *file)
{
    static const struct option OPTIONS[] = {
        {"$schema", option_read_schema_url},
        {"schema", option_read_schema},
        {"tenants", option_read_nothing},
    };
    struct node tenants;
    if (is_open) {
        struct node root = document_root(document);
        options_read(&root, OPTIONS, COUNT_OF(OPTIONS), NULL);
        if (node_member(&root, "tenants", &tenants))
            tenants_read(&tenants, configuration, file);
        else
            node_report(&root, JSON_PART_VALUE, CODE_MISSING_KEY,
                        memory_format("{\"tenants\": {\"NAME\": {...}}}"),
                        "a tenants file needs \"tenants\"");
    } else {
        file->unreadable = true;
    }
    file->text_hash = document_hash(document);
    document_close(document);
}

void tenant_file_load_news(const char *path, const struct configuration *configuration,
                           const struct known_tenants *known, struct tenant_file *file,
                           struct diagnostics *diagnostics)
{
    struct document document;
    *file = (struct tenant_file){.path = memory_copy_text(slice_of(path))};
    bool is_open = document_open_news(&document, path, known, diagnostics);
    load_document(&document, is_open, configuration, file);
}

void tenant_text_load_news(const char *path, struct slice text,
                           const struct configuration *configuration,
                           const struct known_tenants *known, struct tenant_file *file,
                           struct diagnostics *diagnostics)
{
    struct document document;
    *file = (struct tenant_file){.path = memory_copy_text(slice_of(path))};
    bool is_open = document_open_text(&document, path, text, known, diagnostics);
    load_document(&document, is_open, configuration, file);
}

void tenant_file_fini(struct tenant_file *file)
{
    for (size_t i = 0; i < file->tenant_count; i++)
        tenant_free(file->tenants[i]);
    free(file->tenants);
    memory_free_texts(file->broken, file->broken_count);
    memory_free_texts(file->named, file->named_count);
    for (size_t i = 0; i < file->text_count; i++)
        free(file->texts[i].name);
    free(file->texts);
    free(file->path);
    *file = (struct tenant_file){0};
}

bool tenant_file_name(const char *name)
{
    struct slice text = slice_of(name);
    return text.size > 5 && text.data[0] != '.' && slice_ends_with(text, SLICE(".json"));
}

enum error tenant_files_list(const char *folder, char ***paths, size_t *count,
                             struct error_text *text)
{
    size_t capacity = 0;
    *paths = NULL;
    *count = 0;
    DIR *opened = opendir(folder);
    if (opened == NULL)
        return error_set_errno(text, "cannot open the folder %s", folder);
    for (const struct dirent *entry; errno = 0, (entry = readdir(opened)) != NULL;) {
        if (!tenant_file_name(entry->d_name))
            continue;
        if (*count == capacity) {
            capacity = capacity * 2 + 16;
            *paths = memory_resize(*paths, capacity, sizeof(**paths));
        }
        (*paths)[(*count)++] = memory_format("%s/%s", folder, entry->d_name);
    }
    /* Half a list would be taken for all that there is. */
    enum error error =
        errno != 0 ? error_set_errno(text, "cannot read the folder %s", folder) : ERROR_OK;
    closedir(opened);
    if (error != ERROR_OK) {
        memory_free_texts(*paths, *count);
        *paths = NULL;
        *count = 0;
    } else if (*count > 0) {
        qsort(*paths, *count, sizeof(**paths), memory_compare_texts);
    }
    return error;
}
