/* "routes" of a tenant: rules for some of its requests. See policy_read.h. */
#include "core/memory.h"
#include "hours_read.h"
#include "policy_read.h"
#include "route/path.h"
#include "route/tenant.h"
#include "value.h"

enum { RULES_MAX = 64, PATH_MAX_BYTES = 128, METHODS_MAX = 7 };

void networks_read(const struct node *node, struct networks *networks)
{
    if (!node_is(node, JSON_TYPE_ARRAY) || !node_is_short(node, NETWORKS_MAX))
        return;
    networks->items =
        memory_resize(networks->items, json_count(node->value) + 1, sizeof(*networks->items));
    networks->count = 0;
    for (struct node_iterator i = node_children(node); node_next(&i);)
        if (node_network(&i.node, &networks->items[networks->count]))
            networks->count++;
}

/* -- "match" -- */

/* Such bytes are never percent-encoded in a path in normal form, so that a rule cannot be dodged by
 * another spelling. */
static bool is_plain_byte(char c)
{
    return ascii_is_alphanumeric(c) || byte_is_one_of(c, "/-._~");
}

static bool is_plain_path(struct slice text)
{
    char buffer[PATH_CHANGED_MAX_BYTES];
    struct slice normal;
    return text.size > 0 && text.size <= PATH_MAX_BYTES && text.data[0] == '/' &&
           slice_consists_of(text, is_plain_byte) &&
           path_normalise(text, buffer, &normal) == REFUSAL_NONE && slice_equal(text, normal);
}

static void read_path(const struct node *node, void *target)
{
    struct policy_rule *rule = target;
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (!is_plain_path(text)) {
        node_report(node, JSON_PART_VALUE, CODE_PATH_PREFIX,
                    memory_format("for example \"/api/v1/scim/\": letters, digits and - . _ ~"),
                    "\"%.*s\" is not a path prefix", SLICE_PRINT(text));
        return;
    }
    if (text.data[text.size - 1] == '/')
        text.size--;
    policy_rule_set_path(rule, text);
}

static char *check_method(const struct node *element, struct slice text)
{
    static const struct choice METHODS[] = {{"GET", 0},   {"HEAD", 0},   {"POST", 0},   {"PUT", 0},
                                            {"PATCH", 0}, {"DELETE", 0}, {"OPTIONS", 0}};
    int value;
    return node_choice(element, METHODS, COUNT_OF(METHODS), &value) ? memory_copy_text(text) : NULL;
}

static void read_method(const struct node *node, void *target)
{
    struct policy_rule *rule = target;
    struct texts texts = {0};
    if (node_texts(node, METHODS_MAX, check_method, &texts) && texts.count == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("without this key, every method matches"),
                    "\"method\" must list one method at least");
    for (size_t i = 0; i < texts.count; i++)
        rule->methods |= policy_method(slice_of(texts.items[i]));
    texts_fini(&texts);
}

static void read_credential(const struct node *node, void *target)
{
    static const struct choice CREDENTIALS[] = {{"api_key", CREDENTIAL_API_KEY},
                                                {"session", CREDENTIAL_SESSION},
                                                {"none", CREDENTIAL_NONE}};
    int credential;
    if (node_choice(node, CREDENTIALS, COUNT_OF(CREDENTIALS), &credential))
        ((struct policy_rule *)target)->credentials = (unsigned)credential;
}

/* An empty list would mean every address, which is not what it says. */
static void read_some_networks(const struct node *node, struct networks *networks)
{
    networks_read(node, networks);
    if (json_type_of(node->value) == JSON_TYPE_ARRAY && json_count(node->value) == 0)
        node_report(node, JSON_PART_VALUE, CODE_OUT_OF_RANGE,
                    memory_format("without this key, every address matches"),
                    "the list must have one network at least");
}

static void read_ip(const struct node *node, void *target)
{
    read_some_networks(node, &((struct policy_rule *)target)->ip);
}

static void read_not_ip(const struct node *node, void *target)
{
    read_some_networks(node, &((struct policy_rule *)target)->not_ip);
}

static void read_hours(const struct node *node, void *target)
{
    ((struct policy_rule *)target)->hours = hours_read(node);
}

static void read_not_hours(const struct node *node, void *target)
{
    ((struct policy_rule *)target)->not_hours = hours_read(node);
}

static void read_share(const struct node *node, void *target)
{
    unsigned share;
    if (node_unsigned(node, 1, 99, &share))
        ((struct policy_rule *)target)->share = (uint8_t)share;
}

static void read_match(const struct node *node, void *target)
{
    static const struct option OPTIONS[] = {
        {"path", read_path},
        {"method", read_method},
        {"credential", read_credential},
        {"ip", read_ip},
        {"not_ip", read_not_ip},
        {"hours", read_hours},
        {"not_hours", read_not_hours},
        {"share", read_share},
    };
    if (node_is(node, JSON_TYPE_OBJECT))
        options_read(node, OPTIONS, COUNT_OF(OPTIONS), target);
}

/* -- A rule -- */

static void read_action(const struct node *node, void *target)
{
    static const struct choice ACTIONS[] = {{"allow", false}, {"deny", true}};
    int deny;
    if (node_choice(node, ACTIONS, COUNT_OF(ACTIONS), &deny))
        ((struct policy_rule *)target)->deny = deny != 0;
}

static void read_status(const struct node *node, void *target)
{
    unsigned status;
    if (!node_unsigned(node, 0, 999, &status))
        return;
    if (status == 403 || status == 404)
        ((struct policy_rule *)target)->status = (uint16_t)status;
    else
        node_report(node, JSON_PART_VALUE, CODE_NOT_A_CHOICE, memory_format("known: 403, 404"),
                    "status cannot be %u", status);
}

/* Whether they are there is looked at when all are known. */
static void read_tenant(const struct node *node, void *target)
{
    struct slice text;
    if (!node_text(node, &text))
        return;
    if (tenant_name_valid(text))
        node_copy_text(node, &((struct policy_rule *)target)->tenant);
    else
        node_report(node, JSON_PART_VALUE, CODE_TENANT_NAME, NULL,
                    "\"%.*s\" is not a name for a tenant", SLICE_PRINT(text));
}

static void read_pool(const struct node *node, void *target)
{
    node_plain_name(node, &((struct policy_rule *)target)->pool);
}

static void read_limits(const struct node *node, void *target)
{
    rule_limits_read(node, &((struct policy_rule *)target)->limits);
}

static void read_timeouts(const struct node *node, void *target)
{
    timeouts_read(node, &((struct policy_rule *)target)->limits);
}

static const struct limits INHERITED = {
    .requests_per_10s = (unsigned)LIMIT_INHERITED,
    .websockets = (unsigned)LIMIT_INHERITED,
    .max_body_bytes = (uint64_t)LIMIT_INHERITED,
    .server_timeout_ms = (unsigned)LIMIT_INHERITED,
    .tunnel_timeout_ms = (unsigned)LIMIT_INHERITED,
};

static void check_meaning(const struct node *node, const char *key, bool has_meaning,
                          const char *wanted)
{
    struct node member;
    if (!has_meaning && node_member(node, key, &member))
        node_report(&member, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                    memory_format("remove it, or write \"action\": \"%s\"", wanted),
                    "\"%s\" has no meaning with this action", key);
}

/* What is let through at another tenant is for that one to say. */
static void check_alone(const struct node *node, const struct policy_rule *rule)
{
    static const char *const MEANINGLESS[] = {"pool", "limits", "timeouts"};
    struct node member;
    for (size_t i = 0; rule->tenant != NULL && i < COUNT_OF(MEANINGLESS); i++)
        if (node_member(node, MEANINGLESS[i], &member))
            node_report(&member, JSON_PART_KEY, CODE_MEANINGLESS_KEY,
                        memory_format("those of tenant \"%s\" hold there", rule->tenant),
                        "\"%s\" has no meaning beside \"tenant\"", MEANINGLESS[i]);
}

static void read_rule(const struct node *node, struct policy *policy)
{
    static const struct option OPTIONS[] = {
        {"match", read_match},   {"action", read_action},     {"status", read_status},
        {"limits", read_limits}, {"timeouts", read_timeouts}, {"tenant", read_tenant},
        {"pool", read_pool},
    };
    struct node member;
    if (!node_is(node, JSON_TYPE_OBJECT))
        return;
    struct policy_rule *rule = &policy->rules[policy->rule_count++];
    *rule =
        (struct policy_rule){.status = 403, .limits = INHERITED, .place = node_value_place(node)};
    options_read(node, OPTIONS, COUNT_OF(OPTIONS), rule);
    check_meaning(node, "status", rule->deny, "deny");
    check_meaning(node, "limits", !rule->deny, "allow");
    check_meaning(node, "timeouts", !rule->deny, "allow");
    check_meaning(node, "tenant", !rule->deny, "allow");
    check_meaning(node, "pool", !rule->deny, "allow");
    check_alone(node, rule);
    if (!node_member(node, "match", &member))
        node_report(node, JSON_PART_VALUE, CODE_MISSING_KEY,
                    memory_format("{} matches every request"), "a route needs a \"match\"");
}

void rules_read(const struct node *node, void *target)
{
    struct policy *policy = target;
    if (!node_is(node, JSON_TYPE_ARRAY) || !node_is_short(node, RULES_MAX))
        return;
    policy->rules = memory_new(json_count(node->value) * sizeof(*policy->rules));
    for (struct node_iterator i = node_children_placed(node); node_next(&i);)
        read_rule(&i.node, policy);
}
