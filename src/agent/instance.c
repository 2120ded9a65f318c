/* Instances of a tenant, one per label: see agent/instance.h. */
#include "agent/instance.h"

#include "core/memory.h"
#include "route/label_map.h"

#include <stdatomic.h>
#include <stdlib.h>

struct slice instance_name(const struct tenant *parent, struct slice label,
                           char name[static INSTANCE_NAME_MAX_BYTES])
{
    struct writer writer = writer_of(name, INSTANCE_NAME_MAX_BYTES);
    if (label.size == 0)
        return (struct slice){0};
    writer_bytes(&writer, slice_of(parent->name));
    writer_u8(&writer, '/');
    writer_bytes(&writer, label);
    return writer.failed ? (struct slice){0} : writer_written(&writer);
}

static bool is_name_byte(char c)
{
    return ascii_is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
}

static bool is_host_name(struct slice text)
{
    return text.size > 0 && text.data[0] != '.' && text.data[0] != '-' &&
           slice_consists_of(text, is_name_byte);
}

static const struct label_row *row_of(const struct tenant *parent, struct slice label)
{
    const struct label_row *row = label_map_find(parent->labels, label);
    return row != NULL && row->port != 0 ? row : NULL;
}

static char *listed_host(const struct tenant *parent, struct slice label)
{
    const struct label_row *row = row_of(parent, label);
    return row != NULL ? memory_copy_text(slice_of(label_map_text(parent->labels, row->host)))
                       : NULL;
}

char *instance_host(const struct tenant *parent, struct slice label)
{
    if (parent->labels != NULL)
        return listed_host(parent, label);
    char text[HOST_MAX_BYTES];
    struct writer writer = writer_of(text, sizeof(text));
    const struct template_values values = {
        .value = {[HEADER_LABEL] = label, [HEADER_TENANT] = slice_of(parent->name)}};
    template_write(&parent->upstream.host_template, &values, &writer);
    struct slice host = writer_written(&writer);
    return !writer.failed && is_host_name(host) ? memory_copy_text(host) : NULL;
}

uint16_t instance_port(const struct tenant *parent, struct slice label)
{
    if (parent->labels == NULL)
        return parent->upstream.port;
    const struct label_row *row = row_of(parent, label);
    return row != NULL ? row->port : 0;
}

/* An instance is found by its name alone. */
static void drop_hosts_and_paths(struct tenant *tenant)
{
    for (size_t i = 0; i < tenant->host_count; i++)
        free(tenant->hosts[i].name);
    tenant->host_count = 0;
    for (size_t i = 0; i < tenant->path_count; i++) {
        struct path_rule *path = &tenant->paths[i];
        free(path->host);
        free(path->prefix);
        for (size_t j = 0; j < path->only_count; j++)
            free(path->only[j]);
        free(path->only);
    }
    tenant->path_count = 0;
}

/* Of all that an instance has of its parent: the same as long as the tenant's text is. */
static uint64_t own_hash(const struct tenant *parent)
{
    return parent->content_hash ^ (parent->labels != NULL ? parent->labels->content_hash : 0);
}

bool instance_is_of(const struct tenant *instance, const struct tenant *parent, struct slice label)
{
    if (instance->instance_of == parent)
        return true;
    if (instance->content_hash != own_hash(parent) || parent->labels == NULL)
        return false;
    const struct label_row *row = row_of(parent, label);
    return row != NULL && row->port == instance->upstream.port &&
           row->scheme == (uint8_t)instance->upstream.scheme &&
           strcmp(label_map_text(parent->labels, row->host), instance->upstream.host) == 0;
}

/* It is in loops' tables, which change nothing else of it. */
static _Atomic bool *use_of(const struct tenant *instance)
{
    return &((struct tenant *)(uintptr_t)instance)->has_use;
}

/* Nearly always it is set already, so that the line stays in all caches. */
void instance_use(const struct tenant *instance)
{
    if (!atomic_load_explicit(&instance->has_use, memory_order_relaxed))
        atomic_store_explicit(use_of(instance), true, memory_order_relaxed);
}

bool instance_take_use(const struct tenant *instance)
{
    return atomic_exchange_explicit(use_of(instance), false, memory_order_relaxed);
}

static void take_row(const struct label_row *row, struct upstream *upstream)
{
    upstream->port = row->port;
    upstream->scheme = (enum upstream_scheme)row->scheme;
}

struct tenant *instance_new(const struct tenant *parent, struct slice label, const char *host,
                            const struct ip *address, struct error_text *text)
{
    char name[INSTANCE_NAME_MAX_BYTES];
    struct slice key = instance_name(parent, label, name);
    struct ip literal;
    assert(key.size > 0);

    struct tenant *instance = tenant_clone(parent);
    free(instance->name);
    instance->name = memory_copy_text(key);
    instance->instance_of = parent;
    instance->content_hash = own_hash(parent);
    label_map_unref(instance->labels); /* which is the parent's to look into, and to replace */
    instance->labels = NULL;

    struct upstream *upstream = &instance->upstream;
    upstream->per_label = false;
    free(upstream->host);
    upstream->host = memory_copy_text(slice_of(host));
    upstream->address = *address;
    if (parent->labels != NULL)
        take_row(row_of(parent, label), upstream);
    if (upstream->server_name == NULL && !ip_parse(slice_of(host), &literal))
        upstream->server_name = memory_copy_text(slice_of(host));
    /* While it still has the hosts that the size of an answer depends on. */
    if (answer_prepare(instance, text) != ERROR_OK) {
        tenant_free(instance);
        return NULL;
    }
    drop_hosts_and_paths(instance);
    return instance;
}
