/* A verified identity, or why there is none. */
#pragma once

#include "route/identity.h"

/* X(NAME, word for logs and `explain`): what is wrong with what a request brought. Clients are told
 * none of it. */
#define IDENTITY_REFUSAL_TABLE(X)                                                     \
    X(NONE, "none")                                                                   \
    X(ABSENT, "absent")                  /* neither token nor certificate */          \
    X(UNSTRIPPED, "header-not-stripped") /* HAProxy lets clients send the headers */  \
    X(UNVERIFIED, "identity-unverified") /* the tenant gets too many bad ones */      \
    X(REPEATED, "token-repeated")        /* two headers or cookies */                 \
    X(TOO_BIG, "token-too-big")                                                       \
    X(NOT_A_TOKEN, "not-a-token")         /* not three parts in base64url */          \
    X(HEADER, "token-header-invalid")     /* not JSON, a key twice, no text */        \
    X(ALGORITHM, "algorithm-not-allowed") /* none, HS256, what is not configured */   \
    X(CRITICAL, "critical-extension")     /* "crit", "b64" */                         \
    X(TYPE, "token-type")                 /* encrypted, nested, or for another use */ \
    X(NO_KEYS, "no-keys")                 /* the issuer's keys are not known yet */   \
    X(UNKNOWN_KEY, "unknown-key")         /* none has the token's kid, or made it */  \
    X(KEY_KIND, "key-of-another-kind")    /* the kid's key is for other algorithms */ \
    X(SIGNATURE, "signature-invalid")                                                 \
    X(CLAIMS, "claims-invalid") /* not JSON, a claim twice, a wrong type */           \
    X(ISSUER, "issuer-wrong")                                                         \
    X(AUDIENCE, "audience-wrong")                                                     \
    X(EXPIRED, "expired")                                                             \
    X(NOT_YET, "not-yet-valid")                                                       \
    X(EMAIL, "email-missing")               /* or not one that a header may hold */   \
    X(EMAIL_UNVERIFIED, "email-unverified") /* the issuer says so */                  \
    X(VALUE, "value-unfit")                 /* of a name, groups or a role */         \
    X(CERTIFICATE, "certificate-invalid")                                             \
    X(CERTIFICATE_ISSUER, "certificate-issuer") /* not signed by the tenant's authority */

enum identity_refusal {
#define X(NAME, TEXT) IDENTITY_REFUSAL_##NAME,
    IDENTITY_REFUSAL_TABLE(X)
#undef X
        IDENTITY_REFUSAL__MAX,
};

const char *identity_refusal_name(enum identity_refusal refusal);

/* Values are fit for a header: no control bytes; an empty one is not known. The e-mail address is
 * ASCII in lower case; a name is percent-encoded where it is not plain ASCII, because Open WebUI
 * decodes it; groups are joined by commas, and Latin-1 where they can be, because it does not. */
struct identity {
    char text[IDENTITY_VALUE__MAX][IDENTITY_TEXT_MAX_BYTES];
    uint8_t size[IDENTITY_VALUE__MAX];
    int64_t good_until_s; /* wall clock */
};

static inline struct slice identity_text(const struct identity *identity, enum identity_value value)
{
    return slice_from(identity->text[value], identity->size[value]);
}

/* Each sets a value after having made it fit; false when it cannot be. */
MUST_CHECK bool identity_set_email(struct identity *identity, struct slice email);
/* A name that is too long is cut. */
MUST_CHECK bool identity_set_name(struct identity *identity, struct slice name);
MUST_CHECK bool identity_add_group(struct identity *identity, struct slice group);
MUST_CHECK bool identity_set_role(struct identity *identity, struct slice role);
