/* Limits as actions: see limits.h. */
#include "limits.h"

#include "action_write.h"
#include "core/hash.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    VARIABLE_BYTES = 3 + 1 + 2 + 1, /* action, name of two bytes, type */
    NUMBER_MAX_BYTES = 5,           /* of a varint below 2^32 */
    SIGN_IN_BYTES = 2 * (VARIABLE_BYTES + NUMBER_MAX_BYTES),
};

struct slice limits_key(const struct tenant *tenant, char buffer[static LIMITS_KEY_MAX_BYTES + 1])
{
    struct slice name = slice_of(tenant->name);
    if (name.size <= LIMITS_KEY_MAX_BYTES)
        return name;
    snprintf(buffer, LIMITS_KEY_MAX_BYTES + 1, "~%016llx",
             (unsigned long long)hash_content(name, 0));
    return slice_of(buffer);
}

static void set_some(struct writer *actions, struct slice name, uint64_t value)
{
    if (value != 0)
        action_set_number(actions, name, (int64_t)value);
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

static void set_more(struct writer *actions)
{
    spop_write_set_boolean(actions, SPOP_SCOPE_TRANSACTION, SLICE("more"), true);
}

/* `rule` is whose limits they are: NULL for the tenant's own. What a rule counts by itself has its
 * number, from 1 on, behind the key. */
static void write_block(struct slice key, const struct policy *policy,
                        const struct policy_rule *rule, struct writer *actions)
{
    const struct limits *limits = rule != NULL ? &rule->limits : &policy->limits;
    uint64_t number = rule != NULL ? (uint64_t)(rule - policy->rules) + 1 : 0;
    if (look_further(limits))
        set_more(actions);
    if (counts(limits))
        action_set_text(actions, SLICE("lk"), key);
    set_some(actions, SLICE("lo"), rule != NULL && rule->counts_requests ? number : 0);
    set_some(actions, SLICE("ls"), rule != NULL && rule->counts_websockets ? number : 0);
    set_some(actions, SLICE("lr"), limits->requests_per_10s);
    set_some(actions, SLICE("lw"), limits->websockets);
    set_some(actions, SLICE("lb"), limits->max_body_bytes);
    set_some(actions, SLICE("ts"), limits->server_timeout_ms);
    set_some(actions, SLICE("tt"), limits->tunnel_timeout_ms);
}

static void keep(const struct writer *actions, struct prepared *prepared)
{
    struct slice written = writer_written(actions);
    assert(!actions->failed);
    prepared->bytes = memory_new(written.size + 1);
    prepared->size = (uint16_t)written.size;
    if (written.size > 0)
        memcpy(prepared->bytes, written.data, written.size);
}

void limits_prepare(struct tenant *tenant)
{
    const struct policy *policy = tenant->policy;
    uint8_t buffer[SPOP_ACTIONS_MAX_BYTES];
    char key_buffer[LIMITS_KEY_MAX_BYTES + 1];
    struct slice key = limits_key(tenant, key_buffer);

    tenant_drop_prepared_limits(tenant);
    if (policy == NULL || !policy_has_limits(policy))
        return;
    size_t count = policy->rule_count + 1;
    tenant->prepared_limits = memory_new(count * sizeof(*tenant->prepared_limits));
    tenant->prepared_limit_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct writer actions = writer_of(buffer, sizeof(buffer));
        write_block(key, policy, i > 0 ? &policy->rules[i - 1] : NULL, &actions);
        keep(&actions, &tenant->prepared_limits[i]);
    }
}

size_t limits_largest(const struct tenant *tenant)
{
    size_t largest = 0;
    if (tenant->prepared_limits == NULL)
        return 0;
    for (size_t i = 0; i < tenant->prepared_limit_count; i++)
        if (tenant->prepared_limits[i].size > largest)
            largest = tenant->prepared_limits[i].size;
    if (policy_limits_sign_in(tenant->policy))
        largest += SIGN_IN_BYTES;
    /* The key of an instance may be longer than its parent's. */
    return largest + (tenant->upstream.per_label ? LIMITS_KEY_MAX_BYTES : 0);
}

const struct limits *limits_of(const struct decision *decision)
{
    const struct policy *policy = decision->target->tenant->policy;
    static const struct limits NONE;
    if (policy == NULL)
        return &NONE;
    return decision->rule != NULL ? &decision->rule->limits : &policy->limits;
}

bool limits_look_further(const struct decision *decision)
{
    const struct tenant_brief *target = decision->target;
    return target->has_policy && target->tenant->prepared_limits != NULL &&
           (decision->is_sign_in || look_further(limits_of(decision)));
}

void limits_write(const struct decision *decision, struct writer *actions)
{
    const struct tenant *tenant = decision->target->tenant;
    if (!decision->target->has_policy || tenant->prepared_limits == NULL)
        return;
    /* An instance has the policy of its parent, whose rule it is, or one that says the same: of the
     * parent that it was made of. */
    const struct policy *decided_by = decision->match.tenant->policy;
    size_t index = decision->rule != NULL ? (size_t)(decision->rule - decided_by->rules) + 1 : 0;
    assert(index < tenant->prepared_limit_count);
    const struct prepared *prepared = &tenant->prepared_limits[index];
    writer_bytes(actions, slice_from(prepared->bytes, prepared->size));
    if (decision->is_sign_in) {
        if (!look_further(limits_of(decision)))
            set_more(actions);
        set_some(actions, SLICE("si"), tenant->policy->limits.signin_per_minute_per_ip);
        set_some(actions, SLICE("sn"), tenant->policy->limits.signin_per_minute_per_subnet);
    }
}
