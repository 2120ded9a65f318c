/* "hsts" of a tenant and of the defaults: see tenant_read.h. */
#include "core/memory.h"
#include "tenant_read.h"
#include "value.h"

#include <stdlib.h>

static const uint64_t DAY_MS = 86400000;

/* hstspreload.org: a year at least, with all subdomains. */
enum { MAX_AGE_MAX_DAYS = 3650, PRELOAD_MIN_DAYS = 365 };

struct hsts {
    uint64_t max_age_ms;
    bool subdomains;
    bool preload;
};

static void read_max_age(const struct node *node, void *target)
{
    struct hsts *hsts = target;
    node_long_duration(node, 0, MAX_AGE_MAX_DAYS * DAY_MS, &hsts->max_age_ms);
}

static void read_subdomains(const struct node *node, void *target)
{
    node_bool(node, &((struct hsts *)target)->subdomains);
}

static void read_preload(const struct node *node, void *target)
{
    node_bool(node, &((struct hsts *)target)->preload);
}

static bool may_be_preloaded(const struct node *node, const struct hsts *hsts)
{
    struct node preload;
    if (!hsts->preload || !node_member(node, "preload", &preload) ||
        (hsts->subdomains && hsts->max_age_ms >= PRELOAD_MIN_DAYS * DAY_MS))
        return true;
    node_report(&preload, JSON_PART_KEY, CODE_HSTS_PRELOAD,
                memory_format("it cannot be undone within months: remove \"preload\" unless every "
                              "host below is meant"),
                "preload lists want a \"max_age\" of 365d at least and \"subdomains\": true");
    return false;
}

void hsts_read(const struct node *node, char **value)
{
    static const struct option OPTIONS[] = {
        {"max_age", read_max_age}, {"subdomains", read_subdomains}, {"preload", read_preload}};
    size_t errors = node->document->diagnostics->errors;
    struct hsts hsts = {0};
    struct node max_age;

    if (json_type_of(node->value) == JSON_TYPE_NULL) {
        free(*value);
        *value = NULL;
        return;
    }
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), &hsts);
    if (node->document->diagnostics->errors != errors)
        return;
    if (!node_member(node, "max_age", &max_age)) {
        node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY,
                    memory_format("\"max_age\": \"1d\" to begin with"),
                    "\"hsts\" needs a \"max_age\"");
        return;
    }
    if (!may_be_preloaded(node, &hsts))
        return;
    free(*value);
    *value = memory_format("max-age=%llu%s%s", (unsigned long long)(hsts.max_age_ms / 1000),
                           hsts.subdomains ? "; includeSubDomains" : "",
                           hsts.preload ? "; preload" : "");
}

bool hsts_is_preloaded(const char *value)
{
    return slice_ends_with(slice_of(value), SLICE("; preload"));
}
