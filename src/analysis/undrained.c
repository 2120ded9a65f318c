/* Servers that are taken out at once: see undrained.h. */
#include "undrained.h"

#include "route/replica.h"

#include <stdlib.h>

static bool is_same_server(const struct upstream *a, const struct upstream *b)
{
    return (a->scheme == UPSTREAM_HTTP) == (b->scheme == UPSTREAM_HTTP) && a->port == b->port &&
           strcmp(a->host, b->host) == 0;
}

static bool has_server(const struct tenant *tenant, const struct upstream *server)
{
    const struct replica_set *set = tenant->replicas;
    if (set == NULL)
        return tenant->backend == NULL && tenant->upstream.host != NULL &&
               is_same_server(&tenant->upstream, server);
    for (size_t i = 0; i < set->count; i++)
        if (is_same_server(&set->items[i].upstream, server))
            return true;
    return false;
}

static void append(struct json *list, const struct tenant *tenant, const struct upstream *server)
{
    struct json *one = json_new_object();
    char *url = upstream_url(server);
    json_put_text(one, "tenant", slice_of(tenant->name));
    json_put_text(one, "server", slice_of(url));
    json_append(list, one);
    free(url);
}

void undrained_list(const struct tenant *before, const struct tenant *after, struct json *list)
{
    const struct replica_set *set = before->replicas;
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (!set->items[i].draining && !has_server(after, &set->items[i].upstream))
            append(list, before, &set->items[i].upstream);
}
