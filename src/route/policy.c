/* Policies as values: see route/policy.h. */
#include "route/policy.h"

#include "core/memory.h"

#include <stdlib.h>

struct policy *policy_new(void)
{
    struct policy *policy = memory_new(sizeof(*policy));
    policy->references = 1;
    return policy;
}

static char **copy_texts(char *const *texts, size_t count)
{
    char **copy = count > 0 ? memory_resize(NULL, count, sizeof(*copy)) : NULL;
    for (size_t i = 0; i < count; i++)
        copy[i] = memory_copy_text(slice_of(texts[i]));
    return copy;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

struct policy *policy_clone(const struct policy *policy)
{
    struct policy *copy = memory_new(sizeof(*copy));
    *copy = *policy;
    copy->references = 1;
    copy->origins = copy_texts(policy->origins, policy->origin_count);
    return copy;
}

struct policy *policy_ref(struct policy *policy)
{
    if (policy != NULL)
        policy->references++;
    return policy;
}

void policy_unref(struct policy *policy)
{
    if (policy == NULL || --policy->references > 0)
        return;
    free_texts(policy->origins, policy->origin_count);
    free(policy);
}

unsigned policy_needs(const struct policy *policy)
{
    if (policy == NULL)
        return POLICY_NEEDS_DEFAULT;
    unsigned needs = policy->origin_check != ORIGIN_IGNORED ? POLICY_NEEDS_ORIGIN : 0;
    if (policy->require_sni_match)
        needs |= POLICY_NEEDS_SNI;
    return needs;
}
