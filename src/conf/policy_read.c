/* What a tenant lets through: see policy_read.h. */
#include "policy_read.h"

#include "core/memory.h"
#include "route/origin.h"
#include "value.h"

enum { ORIGINS_MAX = 64 };

static struct policy *own(struct policy **policy)
{
    struct policy *shared = *policy;
    if (shared == NULL)
        *policy = policy_new();
    else if (shared->references > 1)
        *policy = policy_clone(shared);
    if (shared != *policy)
        policy_unref(shared);
    return *policy;
}

/* -- Who may open a WebSocket ----------------------------------------------------------------- */

static char *check_origin(const struct node *element, struct slice text)
{
    char buffer[ORIGIN_MAX_BYTES];
    struct origin origin;
    if (origin_parse(text, &origin))
        return memory_copy_text(origin_canonical(&origin, buffer));
    node_report(element, JSON_PART_VALUE, CODE_BAD_URL,
                memory_format("scheme and host without a path: \"https://portal.example.com\""),
                "\"%.*s\" is not an origin", SLICE_PRINT(text));
    return NULL;
}

static void read_origins(const struct node *node, void *target)
{
    struct policy *policy = target;
    struct texts texts = {policy->origins, policy->origin_count};
    node_texts(node, ORIGINS_MAX, check_origin, &texts);
    policy->origins = texts.items;
    policy->origin_count = texts.count;
}

static void read_origin_check(const struct node *node, void *target)
{
    static const struct choice CHOICES[] = {
        {"on", ORIGIN_CHECKED}, {"required", ORIGIN_REQUIRED}, {"off", ORIGIN_IGNORED}};
    int check;
    if (node_choice(node, CHOICES, COUNT_OF(CHOICES), &check))
        ((struct policy *)target)->origin_check = (enum origin_check)check;
}

static void read_require_sni_match(const struct node *node, void *target)
{
    node_bool(node, &((struct policy *)target)->require_sni_match);
}

/* -- Who may ask for what --------------------------------------------------------------------- */

static void read_allow_ips(const struct node *node, void *target)
{
    networks_read(node, &((struct policy *)target)->allow_ips);
}

static void read_deny_ips(const struct node *node, void *target)
{
    networks_read(node, &((struct policy *)target)->deny_ips);
}

static void read_refuse_scanners(const struct node *node, void *target)
{
    bool refuse;
    if (node_bool(node, &refuse))
        ((struct policy *)target)->let_scanners_in = !refuse;
}

/* -- How much --------------------------------------------------------------------------------- */

static void read_limits(const struct node *node, void *target)
{
    limits_read(node, &((struct policy *)target)->limits);
}

static void read_timeouts(const struct node *node, void *target)
{
    timeouts_read(node, &((struct policy *)target)->limits);
}

/* -- All -------------------------------------------------------------------------------------- */

void policy_part_read(const struct node *node, struct policy **policy)
{
    static const struct option PARTS[] = {
        {"origins", read_origins},
        {"origin_check", read_origin_check},
        {"require_sni_match", read_require_sni_match},
        {"allow_ips", read_allow_ips},
        {"deny_ips", read_deny_ips},
        {"refuse_scanners", read_refuse_scanners},
        {"limits", read_limits},
        {"timeouts", read_timeouts},
        {"routes", rules_read},
    };
    for (size_t i = 0; i < COUNT_OF(PARTS); i++)
        if (slice_equal(node->key, slice_of(PARTS[i].name)))
            PARTS[i].read(node, own(policy));
}
