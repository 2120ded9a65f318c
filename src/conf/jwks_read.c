/* The section "jwks": see global_read.h. */
#include "global_read.h"

enum { REFRESH_MIN_MS = 1000, REFRESH_MAX_MS = 7 * 86400000 };

static struct jwks_settings *jwks_of(void *configuration)
{
    return &((struct configuration *)configuration)->jwks;
}

static void read_ca_file(const struct node *node, void *target)
{
    node_file_name(node, &jwks_of(target)->ca_file);
}

static void read_cache_dir(const struct node *node, void *target)
{
    node_file_name(node, &jwks_of(target)->cache_dir);
}

static void read_refresh(const struct node *node, void *target)
{
    node_duration(node, REFRESH_MIN_MS, REFRESH_MAX_MS, &jwks_of(target)->refresh_ms);
}

void jwks_read(const struct node *node, void *configuration)
{
    static const struct option OPTIONS[] = {
        {"ca_file", read_ca_file},
        {"cache_dir", read_cache_dir},
        {"refresh", read_refresh},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), configuration);
}
