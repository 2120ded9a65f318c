/* Who a tenant believes: where the identity of a user comes from, and what it must be like. Plain
 * values, as they were configured; the layer `identity` verifies. */
#pragma once

#include "core/base.h"
#include "core/slice.h"

/* What is known about a user. The names are placeholders of headers and, by default, claims. */
#define IDENTITY_VALUE_TABLE(X) \
    X(EMAIL, "email", 80)       \
    X(NAME, "name", 48)         \
    X(GROUPS, "groups", 80)     \
    X(ROLE, "role", 12)

enum identity_value {
#define X(NAME, TEXT, BYTES) IDENTITY_##NAME,
    IDENTITY_VALUE_TABLE(X)
#undef X
        IDENTITY_VALUE__MAX,
};

enum {
    IDENTITY_TEXT_MAX_BYTES = 80, /* of the longest of them */
    IDENTITY_AUDIENCES_MAX = 8,
    IDENTITY_DOMAINS_MAX = 256,
    IDENTITY_CLAIM_DEPTH_MAX = 8,
};

/* Between the names of a claim's path, none of which has a control byte. */
#define IDENTITY_CLAIM_SEPARATOR '\n'

/* "email"; never NULL. */
const char *identity_value_name(enum identity_value value);
size_t identity_value_max_bytes(enum identity_value value);

enum identity_from {
    IDENTITY_FROM_CLIENT_CERT, /* verified by HAProxy in the TLS handshake */
    IDENTITY_FROM_JWT,         /* verified by the agent */
    IDENTITY_FROM_SHARED,      /* by the tenant whose host is shared with this one */
};

/* Users whose verified address is in `domain` belong to another tenant. */
struct identity_domain {
    char *domain; /* in lower case; "*": every other one */
    char *tenant;
};

struct identity_rule {
    enum identity_from from;
    bool required; /* requests without a verified identity are not forwarded */
    char *login;   /* where pages of such requests are sent to; NULL: nowhere */
    struct identity_domain *domains;
    size_t domain_count;

    /* A client certificate: the field that each value comes from; "" for none. */
    char *field[IDENTITY_VALUE__MAX];
    unsigned unread;  /* a bit for each value of a token that nobody is told */
    char *issuer_pem; /* who must have signed it; NULL: any authority that HAProxy believes */

    /* A token: where its claims are is in `field`, the names on the way there separated. */
    char *token_name;     /* of the header or cookie */
    char *token_argument; /* of the message that HAProxy sends: "jh_authorization", "jc_token" */
    bool token_is_cookie;
    char *issuer;
    char *audiences[IDENTITY_AUDIENCES_MAX];
    size_t audience_count;
    char *keys;          /* where the issuer's keys are: an https URL or the name of a file */
    unsigned algorithms; /* a bit for each enum crypto_algorithm */
    unsigned leeway_s;
};

struct identity_rule *identity_rule_new(void) __attribute__((returns_nonnull));
struct identity_rule *identity_rule_copy(const struct identity_rule *rule); /* NULL for NULL */
void identity_rule_free(struct identity_rule *rule);                        /* NULL is fine */

/* "jh_authorization" for the header Authorization: letters and digits in lower case, all else "_".
 * "jc_token" for the cookie token, "jc_Token" for Token: its name as it is. For free(). */
char *identity_token_argument(struct slice name, bool is_cookie);

/* The tenant that users with this address belong to, in a rule with domains; NULL: none. */
const char *identity_rule_tenant(const struct identity_rule *rule, struct slice email);
