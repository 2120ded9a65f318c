/* The section "metrics": see global_read.h. */
#include "global_read.h"

#include "address.h"

static struct metrics_settings *metrics_of(void *configuration)
{
    return &((struct configuration *)configuration)->metrics;
}

/* Names of tenants and how busy they are is nobody's business but the machine's. */
static void read_listen(const struct node *node, void *target)
{
    read_loopback(node,
                  "\"127.0.0.1:9478\" or \"[::1]:9478\"; who asks from elsewhere needs a "
                  "proxy that knows whom to let in",
                  "metrics are told to whoever connects", &metrics_of(target)->listen);
}

static void read_tenants(const struct node *node, void *target)
{
    node_unsigned(node, 0, METRICS_TENANTS_MAX, &metrics_of(target)->tenants);
}

void metrics_read(const struct node *node, void *configuration)
{
    static const struct option OPTIONS[] = {
        {"listen", read_listen},
        {"tenants", read_tenants},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), configuration);
}
