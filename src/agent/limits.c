/* Limits as actions: see limits.h. */
#include "limits.h"

#include "action_write.h"
#include "core/hash.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* What limits_text() writes at most: a key, and numbers of at most 20 digits. */
enum { FIELDS = 9, NUMBER_MAX_BYTES = 20 };
static_assert(LIMITS_TEXT_MAX_BYTES >=
                  LIMITS_KEY_MAX_BYTES + FIELDS * (1 + NUMBER_MAX_BYTES) + 1 /* NUL */,
              "a text does not fit");

struct slice limits_key(const struct tenant *tenant, char buffer[static LIMITS_KEY_MAX_BYTES + 1])
{
    struct slice name = slice_of(tenant->name);
    if (name.size <= LIMITS_KEY_MAX_BYTES)
        return name;
    snprintf(buffer, LIMITS_KEY_MAX_BYTES + 1, "~%016llx",
             (unsigned long long)hash_content(name, 0));
    return slice_of(buffer);
}

static bool counts(const struct limits *limits)
{
    return limits->requests_per_10s != 0 || limits->websockets != 0 ||
           limits->signin_per_minute_per_ip != 0 || limits->signin_per_minute_per_subnet != 0;
}

static bool look_further(const struct limits *limits)
{
    return limits->requests_per_10s != 0 || limits->websockets != 0 || limits->max_body_bytes != 0;
}

/* HAProxy takes the tenant's name where no other key is told. */
static struct slice told_key(const struct tenant *tenant,
                             char buffer[static LIMITS_KEY_MAX_BYTES + 1])
{
    struct slice key = limits_key(tenant, buffer);
    return tenant->instance_of == NULL && key.data == tenant->name ? (struct slice){0} : key;
}

static uint64_t rule_number(const struct policy *policy, const struct policy_rule *rule)
{
    return (uint64_t)(rule - policy->rules) + 1;
}

struct slice limits_text(const struct tenant *tenant, const struct policy *policy,
                         const struct policy_rule *rule, bool is_sign_in,
                         char buffer[static LIMITS_TEXT_MAX_BYTES])
{
    const struct limits *limits = rule != NULL ? &rule->limits : &policy->limits;
    char key_buffer[LIMITS_KEY_MAX_BYTES + 1];
    const uint64_t fields[FIELDS] = {
        limits->requests_per_10s,
        limits->websockets,
        limits->max_body_bytes,
        limits->server_timeout_ms,
        limits->tunnel_timeout_ms,
        is_sign_in ? limits->signin_per_minute_per_ip : 0,
        is_sign_in ? limits->signin_per_minute_per_subnet : 0,
        rule != NULL && rule->counts_requests ? rule_number(policy, rule) : 0,
        rule != NULL && rule->counts_websockets ? rule_number(policy, rule) : 0,
    };
    struct writer text = writer_of(buffer, LIMITS_TEXT_MAX_BYTES);
    writer_bytes(&text, told_key(tenant, key_buffer));
    size_t size = writer_used(&text);
    for (size_t i = 0; i < FIELDS; i++) {
        char number[NUMBER_MAX_BYTES + 1];
        writer_u8(&text, ':');
        if (fields[i] == 0)
            continue;
        snprintf(number, sizeof(number), "%llu", (unsigned long long)fields[i]);
        writer_bytes(&text, slice_of(number));
        size = writer_used(&text);
    }
    assert(!text.failed);
    return slice_from(buffer, size);
}

/* Timeouts alone are told by themselves, so that HAProxy need look no further. */
static void write_block(const struct tenant *tenant, const struct policy_rule *rule,
                        bool is_sign_in, struct writer *actions)
{
    const struct policy *policy = tenant->policy;
    const struct limits *limits = rule != NULL ? &rule->limits : &policy->limits;
    char buffer[LIMITS_TEXT_MAX_BYTES];
    if (look_further(limits) || is_sign_in) {
        action_set_text(actions, SLICE("more"),
                        limits_text(tenant, policy, rule, is_sign_in, buffer));
        return;
    }
    if (limits->server_timeout_ms != 0)
        action_set_number(actions, SLICE("ts"), limits->server_timeout_ms);
    if (limits->tunnel_timeout_ms != 0)
        action_set_number(actions, SLICE("tt"), limits->tunnel_timeout_ms);
}

static void prepare(const struct tenant *tenant, const struct policy_rule *rule, bool is_sign_in,
                    struct prepared *prepared)
{
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    struct writer actions = writer_of(buffer, sizeof(buffer));
    write_block(tenant, rule, is_sign_in, &actions);
    assert(!actions.failed);
    struct slice written = writer_written(&actions);
    prepared->bytes = memory_new(written.size + 1);
    prepared->size = (uint16_t)written.size;
    if (written.size > 0)
        memcpy(prepared->bytes, written.data, written.size);
}

/* A block for each rule, behind the tenant's own; where sign-ins are counted, another for each of
 * these behind it. */
static size_t block_index(const struct policy *policy, const struct policy_rule *rule,
                          bool is_sign_in)
{
    size_t number = rule != NULL ? rule_number(policy, rule) : 0;
    return policy_limits_sign_in(policy) ? 2 * number + is_sign_in : number;
}

void limits_prepare(struct tenant *tenant)
{
    const struct policy *policy = tenant->policy;

    tenant_drop_prepared_limits(tenant);
    if (policy == NULL || !policy_has_limits(policy))
        return;
    bool counts_sign_ins = policy_limits_sign_in(policy);
    size_t count = (policy->rule_count + 1) * (counts_sign_ins ? 2 : 1);
    tenant->prepared_limits = memory_new(count * sizeof(*tenant->prepared_limits));
    tenant->prepared_limit_count = (uint32_t)count;
    for (size_t i = 0; i <= policy->rule_count; i++) {
        const struct policy_rule *rule = i > 0 ? &policy->rules[i - 1] : NULL;
        for (int is_sign_in = 0; is_sign_in <= counts_sign_ins; is_sign_in++)
            prepare(tenant, rule, is_sign_in,
                    &tenant->prepared_limits[block_index(policy, rule, is_sign_in)]);
    }
}

size_t limits_largest(const struct tenant *tenant)
{
    size_t largest = 0;
    for (size_t i = 0; i < tenant->prepared_limit_count; i++)
        if (tenant->prepared_limits[i].size > largest)
            largest = tenant->prepared_limits[i].size;
    /* An instance tells its key. */
    return largest > 0 && tenant->upstream.per_label ? largest + LIMITS_KEY_MAX_BYTES : largest;
}

const struct limits *limits_of(const struct decision *decision)
{
    const struct policy *policy = decision->target->tenant->policy;
    static const struct limits NONE;
    if (policy == NULL)
        return &NONE;
    return decision->rule != NULL ? &decision->rule->limits : &policy->limits;
}

char *limits_counted_as(const struct decision *decision, bool is_of_websockets)
{
    const struct policy_rule *rule = decision->rule;
    char buffer[LIMITS_KEY_MAX_BYTES + 1];
    struct slice key = limits_key(decision->target->tenant, buffer);
    if (!counts(limits_of(decision)))
        return NULL;
    if (rule == NULL || !(is_of_websockets ? rule->counts_websockets : rule->counts_requests))
        return memory_format("%.*s/", SLICE_PRINT(key));
    return memory_format("%.*s/%llu", SLICE_PRINT(key),
                         (unsigned long long)rule_number(decision->match.tenant->policy, rule));
}

bool limits_look_further(const struct decision *decision)
{
    const struct tenant_brief *target = decision->target;
    return target->has_policy && target->tenant->prepared_limits != NULL &&
           ((decision->is_sign_in && policy_limits_sign_in(target->tenant->policy)) ||
            look_further(limits_of(decision)));
}

void limits_write(const struct decision *decision, struct writer *actions)
{
    const struct tenant *tenant = decision->target->tenant;
    if (!decision->target->has_policy || tenant->prepared_limits == NULL)
        return;
    /* An instance has the policy of its parent, whose rule it is, or one that says the same: of the
     * parent that it was made of. */
    size_t index =
        block_index(decision->match.tenant->policy, decision->rule, decision->is_sign_in);
    assert(index < tenant->prepared_limit_count);
    const struct prepared *prepared = &tenant->prepared_limits[index];
    writer_bytes(actions, slice_from(prepared->bytes, prepared->size));
}
