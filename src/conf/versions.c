/* Blue and green: see versions.h.
 *
 * A switch is all or nothing: versions of Open WebUI change the database as they start, so that two
 * of them must never serve one. Hence an active version is a name, and nothing can be written that
 * would send a part of the requests elsewhere. */
#include "versions.h"

#include "core/memory.h"
#include "core/nearest.h"

#include <stdlib.h>

enum { VERSIONS_MAX = 16 };

struct version {
    char *name;
    struct upstream upstream;
};

/* What people try who would like to send some of the requests to each. */
static void refuse_split(const struct node *node)
{
    node_report(node, JSON_PART_VALUE, CODE_VERSION_SPLIT,
                memory_format("Open WebUI's guide to several replicas: an old and a new version "
                              "must never run on one\ndatabase. Switch the whole tenant: "
                              "\"active\": \"green\", and back the same way"),
                "two versions cannot share a tenant's requests");
}

static bool read_version(const struct node *node, const struct configuration *configuration,
                         struct version *version)
{
    if (json_type_of(node->value) == JSON_TYPE_OBJECT ||
        json_type_of(node->value) == JSON_TYPE_INTEGER) {
        refuse_split(node);
        return false;
    }
    if (!tenant_name_valid(node->key)) {
        node_report(node, JSON_PART_KEY, CODE_BAD_NAME,
                    memory_format("up to 63 of a-z, 0-9 and, inside, \".\", \"_\", \"-\""),
                    "\"%.*s\" is not a name for a version", SLICE_PRINT(node->key));
        return false;
    }
    bool good = upstream_read(node, configuration, &version->upstream);
    if (good && version->upstream.per_label) {
        node_report(node, JSON_PART_VALUE, CODE_UPSTREAM_SYNTAX, NULL,
                    "only \"upstream\" can depend on {1}");
        good = false;
    }
    if (good)
        version->name = memory_copy_text(node->key);
    else
        upstream_fini(&version->upstream);
    return good;
}

void versions_read(const struct node *node, const struct configuration *configuration,
                   struct versions *versions)
{
    versions->given = true;
    if (!node_is(node, JSON_TYPE_OBJECT) || !node_is_short(node, VERSIONS_MAX))
        return;
    versions->items = memory_new((json_count(node->value) + 1) * sizeof(*versions->items));
    for (struct node_iterator i = node_children(node); node_next(&i);) {
        struct version version = {0};
        if (read_version(&i.node, configuration, &version))
            versions->items[versions->count++] = version;
    }
}

void versions_read_active(const struct node *node, struct versions *versions)
{
    struct slice name;
    versions->active_given = true;
    if (json_read_text(node->value, &name))
        versions->active = memory_copy_text(name);
    else
        refuse_split(node);
}

static const struct version *find(const struct versions *versions, const char *name)
{
    for (size_t i = 0; i < versions->count; i++)
        if (strcmp(versions->items[i].name, name) == 0)
            return &versions->items[i];
    return NULL;
}

/* NULL when there is none, which has been told then. */
static const struct version *find_active(const struct node *tenant_node,
                                         const struct versions *versions)
{
    struct node node;
    if (versions->active == NULL) {
        if (node_member(tenant_node, "versions", &node))
            node_report(&node, JSON_PART_KEY, CODE_MISSING_KEY,
                        memory_format("add \"active\": \"%s\"",
                                      versions->count > 0 ? versions->items[0].name : "blue"),
                        "\"versions\" needs \"active\"");
        return NULL;
    }
    const struct version *version = find(versions, versions->active);
    if (version == NULL && node_member(tenant_node, "active", &node))
        node_report(&node, JSON_PART_VALUE, CODE_VERSION_UNKNOWN,
                    versions->count > 0 ? nearest_hint(slice_of(versions->active), versions->items,
                                                       versions->count, sizeof(*versions->items))
                                        : NULL,
                    "version \"%s\" is not in \"versions\"", versions->active);
    return version;
}

/* All of them, for what is wrong with one should be known before it is switched to. */
static void apply_tls(const struct node *versions_node, const struct upstream_tls *tls,
                      struct versions *versions)
{
    for (size_t i = 0; i < versions->count; i++) {
        struct node url;
        if (node_member(versions_node, versions->items[i].name, &url))
            upstream_apply_tls(&url, tls, &versions->items[i].upstream);
    }
}

void versions_apply(const struct node *tenant_node, const struct upstream_tls *tls,
                    struct versions *versions, struct tenant *tenant)
{
    struct node node;
    if (!versions->given) {
        if (versions->active_given && node_member(tenant_node, "active", &node))
            node_report(&node, JSON_PART_KEY, CODE_MEANINGLESS_KEY, NULL,
                        "\"active\" has no meaning without \"versions\"");
        return;
    }
    if (node_member(tenant_node, "versions", &node))
        apply_tls(&node, tls, versions);
    const struct version *active = find_active(tenant_node, versions);
    if (active == NULL)
        return;
    upstream_copy(&active->upstream, &tenant->upstream);
    tenant->active_version = memory_copy_text(slice_of(active->name));
}

bool versions_use_https(const struct versions *versions)
{
    for (size_t i = 0; i < versions->count; i++)
        if (versions->items[i].upstream.scheme != UPSTREAM_HTTP)
            return true;
    return false;
}

void versions_fini(struct versions *versions)
{
    for (size_t i = 0; i < versions->count; i++) {
        free(versions->items[i].name);
        upstream_fini(&versions->items[i].upstream);
    }
    free(versions->items);
    free(versions->active);
    *versions = (struct versions){0};
}
