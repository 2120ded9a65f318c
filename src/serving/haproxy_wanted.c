/* What HAProxy's files are to be written from: see haproxy_wanted.h. */
#include "serving/haproxy_wanted.h"

#include "core/memory.h"

static void add_names(void *context, const struct tenant *tenant)
{
    if (tenant->instance_of != NULL)
        return;
    configuration_add_header_names(context, tenant);
    configuration_add_arguments(context, tenant);
}

void haproxy_wanted_init(struct haproxy_wanted *wanted, const struct configuration *configuration,
                         const struct snapshot *snapshot)
{
    wanted->names = memory_new(sizeof(*wanted->names));
    route_table_each_tenant(snapshot->table, add_names, wanted->names);
    const struct hap_config *names = &wanted->names->haproxy;
    struct hap_config *config = &wanted->config;
    *config = configuration->haproxy;
    config->headers = names->headers;
    config->header_count = names->header_count;
    config->identity_headers = names->identity_headers;
    config->identity_header_count = names->identity_header_count;
    config->tokens = names->tokens;
    config->token_count = names->token_count;
    config->takeover = names->takeover;
    config->client_certificates = names->client_certificates;
    config->secures_cookies = names->secures_cookies;
    config->nosniffs = names->nosniffs;
    config->arguments |= names->arguments;
}

void haproxy_wanted_fini(struct haproxy_wanted *wanted)
{
    configuration_free(wanted->names);
    wanted->names = NULL;
}
