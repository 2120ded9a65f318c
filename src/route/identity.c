/* Where identities come from, as values: see route/identity.h. */
#include "route/identity.h"

#include "core/memory.h"

#include <stdlib.h>

static const struct {
    const char *name;
    size_t max_bytes;
} VALUES[] = {
#define X(NAME, TEXT, BYTES) [IDENTITY_##NAME] = {TEXT, BYTES},
    IDENTITY_VALUE_TABLE(X)
#undef X
};
static_assert(COUNT_OF(VALUES) == IDENTITY_VALUE__MAX, "a value has no row");
#define X(NAME, TEXT, BYTES) static_assert((BYTES) <= IDENTITY_TEXT_MAX_BYTES, "no room for " TEXT);
IDENTITY_VALUE_TABLE(X)
#undef X

const char *identity_value_name(enum identity_value value)
{
    assert(value < IDENTITY_VALUE__MAX);
    return VALUES[value].name;
}

size_t identity_value_max_bytes(enum identity_value value)
{
    assert(value < IDENTITY_VALUE__MAX);
    return VALUES[value].max_bytes;
}

struct identity_rule *identity_rule_new(void)
{
    return memory_new(sizeof(struct identity_rule));
}

static void copy_text(char **text)
{
    if (*text != NULL)
        *text = memory_copy_text(slice_of(*text));
}

struct identity_rule *identity_rule_copy(const struct identity_rule *rule)
{
    if (rule == NULL)
        return NULL;
    struct identity_rule *copy = identity_rule_new();
    *copy = *rule;
    copy_text(&copy->login);
    copy_text(&copy->issuer_pem);
    copy_text(&copy->token_name);
    copy_text(&copy->token_argument);
    copy_text(&copy->issuer);
    copy_text(&copy->keys);
    for (size_t i = 0; i < IDENTITY_VALUE__MAX; i++)
        copy_text(&copy->field[i]);
    for (size_t i = 0; i < copy->audience_count; i++)
        copy_text(&copy->audiences[i]);
    copy->domains = NULL;
    if (copy->domain_count > 0)
        copy->domains = memory_resize(NULL, copy->domain_count, sizeof(*copy->domains));
    for (size_t i = 0; i < copy->domain_count; i++) {
        copy->domains[i] = rule->domains[i];
        copy_text(&copy->domains[i].domain);
        copy_text(&copy->domains[i].tenant);
    }
    return copy;
}

void identity_rule_free(struct identity_rule *rule)
{
    if (rule == NULL)
        return;
    for (size_t i = 0; i < rule->domain_count; i++) {
        free(rule->domains[i].domain);
        free(rule->domains[i].tenant);
    }
    free(rule->domains);
    for (size_t i = 0; i < IDENTITY_VALUE__MAX; i++)
        free(rule->field[i]);
    for (size_t i = 0; i < rule->audience_count; i++)
        free(rule->audiences[i]);
    free(rule->login);
    free(rule->issuer_pem);
    free(rule->token_name);
    free(rule->token_argument);
    free(rule->issuer);
    free(rule->keys);
    free(rule);
}

char *identity_token_argument(struct slice name, bool is_cookie)
{
    char *argument = memory_format("%s%.*s", is_cookie ? "jc_" : "jh_", SLICE_PRINT(name));
    /* "Token" and "token" are two cookies, and one header. */
    if (is_cookie)
        return argument;
    for (char *p = argument; *p != '\0'; p++) {
        *p = ascii_lower(*p);
        if (!ascii_is_alphanumeric(*p))
            *p = '_';
    }
    return argument;
}

const char *identity_rule_tenant(const struct identity_rule *rule, struct slice email)
{
    const char *at = email.size > 0 ? memrchr(email.data, '@', email.size) : NULL;
    const char *others = NULL;
    if (at == NULL)
        return NULL;
    struct slice domain = slice_skip(email, (size_t)(at + 1 - email.data));
    for (size_t i = 0; i < rule->domain_count; i++) {
        const struct identity_domain *candidate = &rule->domains[i];
        if (slice_equal(domain, slice_of(candidate->domain)))
            return candidate->tenant;
        if (strcmp(candidate->domain, "*") == 0)
            others = candidate->tenant;
    }
    return others;
}
