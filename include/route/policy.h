/* What a tenant lets through and how much of it, besides what its hosts and paths say. Read from
 * configuration, then immutable and shared: by clones of a tenant, and by all tenants that say
 * nothing of their own. References are counted without locks: one thread reads configurations and
 * frees tenants.
 *
 * A tenant without a policy has POLICY_NEEDS_DEFAULT and the values of policy_new().
 */
#pragma once

#include "core/ip.h"

/* What a policy must be told about a request beyond host and path, in the order of hap's
 * HAP_ARGUMENT_TABLE: HAProxy tells it only where some tenant needs it. */
enum policy_need {
    POLICY_NEEDS_ORIGIN = 1 << 0, /* of a WebSocket */
    POLICY_NEEDS_SNI = 1 << 1,    /* the name of the TLS handshake */
};
enum { POLICY_NEEDS_DEFAULT = POLICY_NEEDS_ORIGIN };

enum origin_check {
    ORIGIN_CHECKED,  /* a browser's must be one of the tenant's; other clients send none */
    ORIGIN_REQUIRED, /* and there must be one */
    ORIGIN_IGNORED,
};

struct policy {
    unsigned references;
    bool require_sni_match; /* the name of the handshake must be the same tenant's as Host */
    enum origin_check origin_check;
    char **origins; /* as origin_canonical() writes them: allowed besides the tenant's hosts */
    size_t origin_count;
};

struct policy *policy_new(void) __attribute__((malloc, returns_nonnull));
/* A copy to be changed. */
struct policy *policy_clone(const struct policy *policy) __attribute__((malloc, returns_nonnull));
/* NULL is fine with both. */
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);
/* A set of enum policy_need; `policy` may be NULL. */
unsigned policy_needs(const struct policy *policy);
