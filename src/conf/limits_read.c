/* "limits" and "timeouts" of a tenant, of one of its routes and of "defaults": see policy_read.h.
 */
#include "core/decimal.h"
#include "core/memory.h"
#include "policy_read.h"
#include "value.h"

enum {
    COUNT_MAX = 10000000,
    TIMEOUT_MIN_MS = 100,
    TIMEOUT_MAX_MS = 7 * 86400000,
};
static const uint64_t BODY_MAX_BYTES = (uint64_t)1 << 40;

/* null: none, where the defaults or the tenant have one. */
static bool is_none(const struct node *node)
{
    return json_type_of(node->value) == JSON_TYPE_NULL;
}

static void read_count(const struct node *node, unsigned *count)
{
    if (is_none(node))
        *count = 0;
    else
        node_unsigned(node, 1, COUNT_MAX, count);
}

static void read_requests(const struct node *node, void *target)
{
    read_count(node, &((struct limits *)target)->requests_per_10s);
}

static void read_signin_per_ip(const struct node *node, void *target)
{
    read_count(node, &((struct limits *)target)->signin_per_minute_per_ip);
}

static void read_signin_per_subnet(const struct node *node, void *target)
{
    read_count(node, &((struct limits *)target)->signin_per_minute_per_subnet);
}

static void read_websockets(const struct node *node, void *target)
{
    read_count(node, &((struct limits *)target)->websockets);
}

static bool size_parse(struct slice text, uint64_t *size)
{
    struct slice unit = text;
    uint64_t number;
    if (!decimal_take(&unit, VALUE_MAX_DIGITS, &number))
        return false;
    unsigned shift = slice_equal(unit, SLICE("KB"))   ? 10
                     : slice_equal(unit, SLICE("MB")) ? 20
                     : slice_equal(unit, SLICE("GB")) ? 30
                                                      : 0;
    *size = number << shift;
    return shift != 0;
}

static void read_max_body(const struct node *node, void *target)
{
    struct limits *limits = target;
    struct slice text;
    uint64_t size;
    if (is_none(node))
        limits->max_body_bytes = 0;
    else if (!node_text(node, &text))
        return;
    else if (!size_parse(text, &size))
        node_report(node, JSON_PART_VALUE, CODE_BAD_SIZE,
                    memory_format("a number and KB, MB or GB: \"512KB\", \"100MB\""),
                    "\"%.*s\" is not a size", SLICE_PRINT(text));
    else if (size == 0 || size > BODY_MAX_BYTES)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE, NULL,
                    "\"%.*s\" is out of range: from 1KB to 1024GB", SLICE_PRINT(text));
    else
        limits->max_body_bytes = size;
}

static void read_timeout(const struct node *node, unsigned *timeout_ms)
{
    if (is_none(node))
        *timeout_ms = 0;
    else
        node_duration(node, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, timeout_ms);
}

static void read_server(const struct node *node, void *target)
{
    read_timeout(node, &((struct limits *)target)->server_timeout_ms);
}

static void read_tunnel(const struct node *node, void *target)
{
    read_timeout(node, &((struct limits *)target)->tunnel_timeout_ms);
}

void limits_read(const struct node *node, struct limits *limits)
{
    static const struct option OPTIONS[] = {
        {"requests_per_10s", read_requests},
        {"signin_per_minute_per_ip", read_signin_per_ip},
        {"signin_per_minute_per_subnet", read_signin_per_subnet},
        {"max_body", read_max_body},
        {"websockets", read_websockets},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), limits);
}

void rule_limits_read(const struct node *node, struct limits *limits)
{
    static const struct option OPTIONS[] = {
        {"requests_per_10s", read_requests},
        {"max_body", read_max_body},
        {"websockets", read_websockets},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), limits);
}

void timeouts_read(const struct node *node, struct limits *limits)
{
    static const struct option OPTIONS[] = {
        {"server", read_server},
        {"tunnel", read_tunnel},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), limits);
}
