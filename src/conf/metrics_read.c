/* The section "metrics": see global_read.h. */
#include "global_read.h"

#include "address.h"
#include "core/memory.h"

#include <stdlib.h>

static struct metrics_settings *metrics_of(void *configuration)
{
    return &((struct configuration *)configuration)->metrics;
}

/* Names of tenants and how busy they are is nobody's business but the machine's. */
static void read_listen(const struct node *node, void *target)
{
    struct socket_address address;
    struct slice text;
    char *checked = node_text(node, &text) ? check_local_address(node, text) : NULL;
    if (checked == NULL)
        return;
    if (socket_address_parse(text, &address) && ip_is_loopback(&address.ip)) {
        free(metrics_of(target)->listen);
        metrics_of(target)->listen = checked;
        return;
    }
    node_report(
        node, JSON_PART_VALUE, CODE_BAD_ADDRESS,
        memory_format("\"127.0.0.1:9478\" or \"[::1]:9478\"; who asks from elsewhere needs a "
                      "proxy that knows whom to let in"),
        "\"%s\" is no loopback address, and metrics are told to whoever connects", checked);
    free(checked);
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
