/* One conversation with a CA as a machine without sockets, clocks or files: answers in, requests
 * out (RFC 8555, RFC 9773).
 *
 *     order:    ORDER_NEW -> AUTHORIZATION -> PUBLISH -> CHALLENGE -> ORDER_POLL -> FINALIZE
 *               -> ORDER_POLL -> DOWNLOAD -> ALTERNATE -> DONE      (from ORDER_READ when resumed)
 *     account:  ACCOUNT_NEW -> ACCOUNT_UPDATE -> DONE
 *     others:   DIRECTORY, KEY_CHANGE -> KEY_CHECK, REVOKE, RENEWAL_INFO -> DONE
 *
 * and FAILED from each. A new order that is refused as malformed may be signed by a key that is the
 * account's no more: ORDER_NEW -> ACCOUNT_CHECK finds out. The owner drives it:
 *
 *     switch (acme_flow_next(flow, &request)) {
 *     case ACME_SEND:     sign and send `request`, then acme_flow_hear(flow, answer)
 *     case ACME_WAIT:     wait flow->wait_ms, then acme_flow_resume(flow)
 *     case ACME_PUBLISH:  make every challenge of flow->authorizations answer on port 80,
 *                         then acme_flow_resume(flow)
 *     case ACME_DONE:     the result is in the flow
 *     case ACME_FAILED:   flow->problem says why, and its class what to do
 *     }
 *
 * The flow repeats by itself what passes within a minute or two: bad nonces, lost connections, 5xx,
 * short Retry-Afters. All that is longer fails with what the scheduler needs to know.
 *
 * An order survives a crash: write down that one is about to be made, and whenever flow->order_url
 * changes, that, before the next request; and give it back in the wish. An order that can be of no
 * more use empties it. One whose URL could not be written down in time is looked for, where the CA
 * lists an account's orders: ACCOUNT_READ -> ORDER_LIST -> ORDER_FIND -> ORDER_READ or ORDER_NEW.
 */
#pragma once

#include "acme/acme_directory.h"
#include "acme/acme_problem.h"
#include "crypto/crypto.h"

#define ACME_STATE_TABLE(X)                \
    X(DIRECTORY, "directory")              \
    X(ACCOUNT_NEW, "new account")          \
    X(ACCOUNT_UPDATE, "account update")    \
    X(KEY_CHANGE, "key change")            \
    X(KEY_CHECK, "key check")              \
    X(REVOKE, "revocation")                \
    X(RENEWAL_INFO, "renewal information") \
    X(ACCOUNT_READ, "account")             \
    X(ORDER_LIST, "list of orders")        \
    X(ORDER_FIND, "looking for an order")  \
    X(ORDER_NEW, "new order")              \
    X(ACCOUNT_CHECK, "account check")      \
    X(ORDER_READ, "order")                 \
    X(AUTHORIZATION, "authorization")      \
    X(PUBLISH, "publishing challenges")    \
    X(CHALLENGE, "challenge")              \
    X(ORDER_POLL, "waiting for the CA")    \
    X(AUTOPSY, "reading what failed")      \
    X(FINALIZE, "finalize")                \
    X(DOWNLOAD, "download")                \
    X(ALTERNATE, "alternate chain")        \
    X(DONE, "done")                        \
    X(FAILED, "failed")

enum acme_state {
#define X(NAME, TEXT) ACME_STATE_##NAME,
    ACME_STATE_TABLE(X)
#undef X
        ACME_STATE__MAX,
};

const char *acme_state_name(enum acme_state state);

enum acme_action { ACME_SEND, ACME_WAIT, ACME_PUBLISH, ACME_DONE, ACME_FAILED };

enum {
    ACME_TOKEN_SIZE = 129,
    ACME_KEY_AUTHORIZATION_SIZE = ACME_TOKEN_SIZE + 1 + CRYPTO_THUMBPRINT_LENGTH,
    ACME_AUTHORIZATIONS_MAX = 200,
};

/* One name of an order and the HTTP-01 challenge for it. Those that fail are in `failures`. */
struct acme_authorization {
    enum {
        ACME_AUTHORIZATION_UNREAD,
        ACME_AUTHORIZATION_PENDING, /* the challenge is to be published and posted */
        ACME_AUTHORIZATION_POSTED,
        ACME_AUTHORIZATION_VALID,
    } state;
    char url[ACME_URL_SIZE];
    char challenge_url[ACME_URL_SIZE];
    char name[ACME_NAME_SIZE];
    char token[ACME_TOKEN_SIZE]; /* base64url, "" when no challenge is owed */
};

/* A name that the CA will not certify, and why: to be split off the bundle. */
struct acme_failure {
    char name[ACME_NAME_SIZE];
    struct acme_problem problem;
};

/* Whom the CA knows us as. */
struct acme_identity {
    const struct crypto_key *key;
    const char *url; /* of the account */
    const char *thumbprint;
};

/* What is wished. Everything pointed to is borrowed and must outlive the flow. */
struct acme_account_wish {
    const struct crypto_key *key;
    const char *const *contacts; /* "mailto:..." */
    size_t contact_count;
    const char *external_kid; /* NULL without external account binding */
    const char *external_secret;
    bool was_refused; /* the account that this key had: so a refusal is about the key */
};

struct acme_order_wish {
    struct acme_identity account;
    const struct crypto_key *key; /* of the certificate, already on disk */
    const char *const *names;
    size_t name_count;
    const char *replaces;        /* RFC 9773 5; NULL for none. Dropped if the CA minds. */
    const char *profile;         /* NULL for the CA's default. Dropped if the CA has it no more. */
    const char *preferred_chain; /* common name of the root; NULL for the CA's default */
    const char *order_url;       /* to resume; NULL for a new order */
    bool may_exist; /* an order for these names may have been made, whose URL is not known */
};

struct acme_flow {
    enum acme_state state; /* written by acme_flow_move() only */
    struct acme_problem problem;
    bool key_stays;  /* of a key change that failed: it is known that the new key is nobody's */
    int64_t wait_ms; /* 0: not waiting */

    /* Results. */
    struct acme_directory *directory_result;
    struct acme_renewal_info renewal_info;
    int32_t retry_after_s;           /* of the renewal information, -1: none */
    char account_url[ACME_URL_SIZE]; /* of a new account */
    bool account_existed;
    char order_url[ACME_URL_SIZE];
    bool replaces_dropped, profile_dropped;
    struct acme_authorization *authorizations;
    size_t authorization_count;
    struct acme_failure *failures;
    size_t failure_count;
    struct bytes chain; /* leaf first, tidy; without the key */
    struct crypto_certificate certificate;

    /* Private. */
    const char *url; /* of the directory or the renewal information */
    const struct acme_directory *directory;
    struct acme_account_wish account;
    struct acme_order_wish order;
    struct acme_identity identity; /* of a revocation or a key change */
    const struct crypto_key *new_key;
    struct slice certificate_der;
    const struct crypto_key *certificate_key; /* NULL once it has signed */
    struct bytes payload;
    unsigned attempts;   /* of this request */
    unsigned bad_nonces; /* in a row */
    unsigned polls;
    unsigned finalizes;
    int64_t polled_ms;
    size_t index; /* of the authorization or alternate in hand */
    bool order_invalid;
    bool order_unheard;    /* one may have been made of which nothing was heard */
    bool challenge_unseen; /* the CA has left one pending with an error */
    struct acme_problem challenge_refusal;
    char page_url[ACME_URL_SIZE]; /* of the account's list of orders */
    char (*found)[ACME_URL_SIZE]; /* what is listed; those behind `found_count` have been read */
    size_t found_count;
    unsigned pages, reads;
    char finalize_url[ACME_URL_SIZE];
    char certificate_url[ACME_URL_SIZE];
    char alternates[HTTP_LINKS_MAX][ACME_URL_SIZE];
    size_t alternate_count;
};

/* Each of these begins one conversation in an uninitialised flow. */
void acme_flow_directory(struct acme_flow *flow, const char *url, struct acme_directory *result);
void acme_flow_account(struct acme_flow *flow, const struct acme_directory *directory,
                       const struct acme_account_wish *wish);
void acme_flow_order(struct acme_flow *flow, const struct acme_directory *directory,
                     const struct acme_order_wish *wish);
/* `der` is the certificate, and `key` its own, which signs where the account may not, because
 * another one has ordered it (RFC 8555 7.6). Revoking twice is a success. */
void acme_flow_revoke(struct acme_flow *flow, const struct acme_directory *directory,
                      const struct acme_identity *account, struct slice der,
                      const struct crypto_key *key);
/* An account whose URL is "" is only asked for by the new key, which a change that was interrupted
 * may have given it. */
void acme_flow_key_change(struct acme_flow *flow, const struct acme_directory *directory,
                          const struct acme_identity *account, const struct crypto_key *new_key);
/* `url` is the directory's renewalInfo with "/" and the certificate's ari_id behind it. */
void acme_flow_renewal_info(struct acme_flow *flow, const char *url);
void acme_flow_fini(struct acme_flow *flow);

/* What is to be done now; `request` is filled for ACME_SEND and valid until the next call. */
MUST_CHECK enum acme_action acme_flow_next(struct acme_flow *flow, struct acme_request *request);
void acme_flow_hear(struct acme_flow *flow, const struct http_response *answer);
void acme_flow_resume(struct acme_flow *flow);
/* Fails the flow with a problem of our own. */
void acme_flow_end(struct acme_flow *flow, const struct acme_problem *problem);
/* What must be answered at /.well-known/acme-challenge/TOKEN (RFC 8555 8.1). */
void acme_flow_key_authorization(const struct acme_flow *flow, size_t index,
                                 char text[static ACME_KEY_AUTHORIZATION_SIZE]);
