/* What a tenant lets through and how much of it, besides what its hosts and paths say. Read from
 * configuration, then immutable and shared: by clones of a tenant, and by all tenants that say
 * nothing of their own. References are counted without locks: one thread reads configurations and
 * frees tenants.
 *
 * A tenant without a policy has POLICY_NEEDS_DEFAULT and the values of policy_new().
 */
#pragma once

#include "core/ip.h"
#include "route/hours.h"
#include "route/place.h"

/* What a policy must be told about a request beyond host and path, in the order of hap's
 * HAP_ARGUMENT_TABLE: HAProxy tells it only where some tenant needs it. */
enum policy_need {
    POLICY_NEEDS_ORIGIN = 1 << 0, /* of a WebSocket */
    POLICY_NEEDS_SNI = 1 << 1,    /* the name of the TLS handshake */
    POLICY_NEEDS_METHOD = 1 << 2,
    POLICY_NEEDS_CREDENTIAL = 1 << 3,
};
enum { POLICY_NEEDS_DEFAULT = POLICY_NEEDS_ORIGIN };

enum origin_check {
    ORIGIN_CHECKED,  /* a browser's must be one of the tenant's; other clients send none */
    ORIGIN_REQUIRED, /* and there must be one */
    ORIGIN_IGNORED,
};

/* What a request authenticates with, as Open WebUI looks for it: Authorization: Bearer, then the
 * cookie "token", then X-Api-Key. A bit each, so that a set is a number. */
enum credential {
    CREDENTIAL_UNTOLD = 0, /* by HAProxy, or in a way that all would read alike */
    CREDENTIAL_NONE = 1 << 0,
    CREDENTIAL_SESSION = 1 << 1, /* what a browser has after it signed in */
    CREDENTIAL_API_KEY = 1 << 2, /* "sk-..." */
};

/* A bit for each known method, and one for all others; 0 for "", which is one that was not told. */
unsigned policy_method(struct slice method);
/* One that policy_method() takes for the same; "" for 0. */
struct slice policy_method_name(unsigned method);

struct networks {
    struct ip_network *items;
    size_t count;
};
bool networks_contain(const struct networks *networks, const struct ip *ip);

/* What HAProxy counts and how long it waits; 0: what holds for everybody. */
struct limits {
    unsigned requests_per_10s;
    unsigned signin_per_minute_per_ip;     /* of IPv6 its /64 */
    unsigned signin_per_minute_per_subnet; /* /24 or /56 */
    unsigned websockets;                   /* open at one time */
    uint64_t max_body_bytes;
    unsigned server_timeout_ms;
    unsigned tunnel_timeout_ms;
};

/* A rule of a tenant for some of its requests; the first that matches counts. */
struct policy_rule {
    char *path; /* "/api/v1/scim": matches whole segments; NULL: every path */
    size_t path_size;
    unsigned methods;     /* of policy_method(); 0: every */
    unsigned credentials; /* of enum credential; 0: every */
    struct networks ip;   /* none: every address */
    struct networks not_ip;
    struct hours *hours;     /* NULL: at any time */
    struct hours *not_hours; /* NULL: never is kept out */
    uint8_t share;           /* so many of a hundred clients; 0: all */
    char *tenant;            /* whose the request is then; NULL: it stays */
    char *pool;              /* of the tenant's replicas; NULL: those that are in none */
    uint64_t pool_mask;      /* the same, a bit for each replica */
    bool deny;
    uint16_t status; /* of a denial: 403 or 404 */
    /* Instead of the tenant's; LIMIT_INHERITED in a member stands for that one's value until
     * policy_complete(). */
    struct limits limits;
    /* Of policy_complete(): whose requests_per_10s or websockets is its own has its own count. */
    bool counts_requests;
    bool counts_websockets;
    struct place place;
};

enum { LIMIT_INHERITED = -1 };

struct policy {
    unsigned references;
    bool require_sni_match; /* the name of the handshake must be the same tenant's as Host */
    bool let_scanners_in;   /* paths that scanners ask for are passed on: see path_is_scanners() */
    enum origin_check origin_check;
    char **origins; /* as origin_canonical() writes them: allowed besides the tenant's hosts */
    size_t origin_count;
    struct networks allow_ips; /* none: every address */
    struct networks deny_ips;
    struct limits limits;
    struct policy_rule *rules;
    size_t rule_count;
    bool looks_at_method; /* of policy_complete(): some rule has methods, */
    bool looks_at_clock;  /* hours, */
    bool has_shares;      /* or a share */
};

/* Of a rule that has none: "/api/v1/scim", or nothing for every path. */
void policy_rule_set_path(struct policy_rule *rule, struct slice path);
struct policy *policy_new(void) __attribute__((malloc, returns_nonnull));
/* A copy to be changed. */
struct policy *policy_clone(const struct policy *policy) __attribute__((malloc, returns_nonnull));
/* NULL is fine with both. */
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);
/* A set of enum policy_need; `policy` may be NULL. */
unsigned policy_needs(const struct policy *policy);

/* What rules look at. */
struct policy_question {
    struct slice path;    /* in normal form, as the upstream sees it */
    unsigned method;      /* of policy_method(), where the policy looks at it; 0: not told */
    unsigned credentials; /* of enum credential: it is one of these */
    struct ip ip;         /* the client's, */
    bool ip_untold;       /* unless nobody knows it */
    int64_t wall_s;       /* where the policy looks at the clock */
    unsigned share_of;    /* the client's number, below 100 */
};

/* The first rule that matches, or NULL. What was not told may be anything: then a rule that denies
 * matches, and one that allows does not. */
const struct policy_rule *policy_find_rule(const struct policy *policy,
                                           const struct policy_question *question);
/* Has what finding a rule reads brought near. */
void policy_prefetch(const struct policy *policy);
/* Whether the address is one that the tenant's lists let in. NULL: nobody knows it, and a list that
 * has something lets it in nowhere. */
bool policy_allows_ip(const struct policy *policy, const struct ip *ip);

/* Once all is read: gives each rule the limits that it inherits, and tells what rules look at. */
void policy_complete(struct policy *policy);
/* Whether it or one of its rules has any. */
bool policy_has_limits(const struct policy *policy);
bool policy_limits_sign_in(const struct policy *policy);
/* Whether somebody signs in there: what guesses of passwords are sent to. */
bool path_is_sign_in(struct slice path);
