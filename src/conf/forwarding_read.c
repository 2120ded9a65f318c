/* The sections "forwarding" and "generation_header": see global_read.h. */
#include "global_read.h"

#include "core/memory.h"
#include "policy_read.h"

static struct configuration *configuration_of(void *target)
{
    return target;
}

/* -- What upstreams are told of the way ------------------------------------------------------- */

static void read_x_forwarded_for(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {{"single", false}, {"append", true}};
    struct configuration *configuration = configuration_of(target);
    int appends;
    if (!node_choice(node, CHOICES, COUNT_OF(CHOICES), &appends))
        return;
    configuration->haproxy.appends_forwarded_for = appends != 0;
    configuration->settings->tells_chain = appends != 0;
}

static void read_forwarded(const struct node *node, void *target)
{
    node_bool(node, &configuration_of(target)->haproxy.tells_forwarded);
}

static void read_trace(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {{"drop", false}, {"keep", true}};
    int keeps;
    if (node_choice(node, CHOICES, COUNT_OF(CHOICES), &keeps))
        configuration_of(target)->haproxy.keeps_trace = keeps != 0;
}

void forwarding_read(const struct node *node, void *configuration)
{
    static const struct option OPTIONS[] = {
        {"x_forwarded_for", read_x_forwarded_for},
        {"forwarded", read_forwarded},
        {"trace", read_trace},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), configuration);
}

/* -- What some clients are told --------------------------------------------------------------- */

static void read_for(const struct node *node, void *target)
{
    networks_read(node, &configuration_of(target)->settings->generation_to);
    if (json_type_of(node->value) == JSON_TYPE_ARRAY && json_count(node->value) == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("without the section, nobody is told"),
                    "\"for\" must list one network at least");
}

void generation_header_read(const struct node *node, void *configuration)
{
    static const struct option OPTIONS[] = {{"for", read_for}};
    struct node member;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), configuration);
    configuration_of(configuration)->haproxy.tells_generation = true;
    if (!node_member(node, "for", &member))
        node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY,
                    memory_format("\"for\": [\"10.0.0.0/8\"]: the admins' own addresses"),
                    "\"generation_header\" needs \"for\"");
}
