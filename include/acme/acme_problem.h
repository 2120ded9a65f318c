/* What went wrong with a CA, sorted by what is to be done about it (RFC 7807, RFC 8555 6.7). */
#pragma once

#include "acme/acme_message.h"

#define ACME_CLASS_TABLE(X)                                                                   \
    X(NONE, "none")                                                                           \
    X(TRANSIENT, "transient")       /* the CA or the way to it: the same again, later */      \
    X(BAD_NONCE, "bad-nonce")       /* the same again, now, with another nonce */             \
    X(RATE_LIMITED, "rate-limited") /* not before retry_after_s */                            \
    X(ACCOUNT_GONE, "account-gone") /* register, then the same again */                       \
    X(KEY_REFUSED, "key-refused")   /* the account's key is burnt: register with a new one */ \
    X(ORDER_GONE, "order-gone")     /* a new order, later */                                  \
    X(VALIDATION, "validation")     /* the CA could not see the challenge: mend the way */    \
    X(REFUSED, "refused")           /* the CA will not do this, ever: about once a day */     \
    X(PERSON, "needs-a-person")     /* terms of service, paused account: see `url` */         \
    X(BAD_ANSWER, "bad-answer")     /* the CA, or a proxy, broke the protocol */              \
    X(LOCAL, "local")               /* our own side: memory, keys */

enum acme_class {
#define X(NAME, TEXT) ACME_CLASS_##NAME,
    ACME_CLASS_TABLE(X)
#undef X
        ACME_CLASS__MAX,
};

const char *acme_class_name(enum acme_class class);
MUST_CHECK bool acme_class_parse(struct slice name, enum acme_class *class);
/* Whether the CA, or the way to it, is at fault, and not what it was asked for. */
MUST_CHECK bool acme_class_is_the_cas(enum acme_class class);

struct acme_problem {
    enum acme_class class;
    int status;              /* of the answer, 0 when there was none */
    int32_t retry_after_s;   /* -1: the CA did not say */
    char type[64];           /* without "urn:ietf:params:acme:error:"; "" when there was none */
    char detail[400];        /* the CA's own words, or ours */
    char url[ACME_URL_SIZE]; /* for people: "instance", or the one in `detail`; may be "" */
};

enum {
    ACME_RETRY_AFTER_MAX_S = 7 * 86400, /* a CA that asks for more is not taken at its word */
    ACME_ANSWER_MAX_BYTES = 256 * 1024,
};

/* The problem of an answer that is not a success: a problem document, or whatever else came. */
void acme_problem_read(const struct http_response *answer, struct acme_problem *problem);
/* The problem that a JSON value describes, such as the "error" of a challenge or an order. */
void acme_problem_from_json(const struct json *document, struct acme_problem *problem);
/* A problem of our own making. */
void acme_problem_set(struct acme_problem *problem, enum acme_class class, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Retry-After in either form, -1 when absent or malformed. A date is taken relative to the CA's own
 * Date, so that a wrong clock here does no harm. */
int32_t acme_retry_after(const struct http_response *answer);
/* Every (name, problem) of the "subproblems" of a problem document. */
typedef void acme_subproblem_fn(void *context, struct slice name,
                                const struct acme_problem *problem);
void acme_problem_each_name(const struct json *document, acme_subproblem_fn *found, void *context);
