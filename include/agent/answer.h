/* One NOTIFY and a snapshot in, one answer out: the decision.
 *
 * HAProxy sends the message `route` (see haproxy/owui.spoe.cfg) with the arguments
 *
 *     src   address   the peer, or what a PROXY line of a listed sender says
 *     tls   boolean   ssl_fc
 *     host  string    the Host header
 *     path  string    the path without the query
 *     up    string    the Upgrade header
 *     ck    string    the cookie owui_tenant, where some tenant has a path of mode "takeover"
 *     hb    boolean   true: headers are wanted in one binary value (set-headers-bin, HAProxy 3.4+)
 *
 * and, where some tenant needs it (see route/policy.h and hap/config.h),
 *
 *     org   string    the Origin header
 *     sni   string    the name of the TLS handshake
 *     meth  string    the method
 *     ath   string    the first bytes of Authorization: "Bearer sk-"
 *     tok   string    the first bytes of the cookie "token": "eyJ"
 *     key   integer   how many X-Api-Key headers there are
 *
 * and, where trusted proxies are configured, the lines of their headers from the last to the first,
 * with how many the request has: xff1..xff3 xffn (X-Forwarded-For), fwd1..fwd3 fwdn (Forwarded),
 * xri1 xrin (X-Real-IP), cfi1 cfin (CF-Connecting-IP), tci1 tcin (True-Client-IP), then xfp
 * (X-Forwarded-Proto) and rid (X-Request-ID). Where some tenant has replicas that need them, also
 *
 *     utk   string    the middle part of the JWT in the cookie `token`: its claims; not where all
 *                     of it is told as jc_token (below)
 *     uau   string    the same of Authorization, or of jh_authorization
 *     rep   string    the cookie owui_replica
 *
 * and, where some route is for a share of the clients,
 *
 *     shr   string    the cookie owui_share
 *
 * and, where decisions are recorded,
 *
 *     uid   string    HAProxy's name for the request, as its log has it
 *
 * The order is free, though agent/ahead.h finds a host soonest that comes first; unknown arguments
 * are skipped.
 *
 * Where tenants ask who the user is, there are also
 *
 *     strip     string  "/x_user_email/x_user_name/": headers that no client can send, as the names
 *                       of their variables have them
 *     cert      binary  DER of the client certificate, when HAProxy has verified one
 *     jh_NAME   string  the last header NAME, and jhn_NAME: how many there are
 *     jc_NAME   string  the last cookie NAME, and jcn_NAME: how many there are
 *
 * or the message `acme`, for a request below /.well-known/acme-challenge/, with the path alone.
 *
 * The answer sets variables of the transaction (HAProxy puts `owui.` in front). HAProxy refuses a
 * request that it has neither `answer`, nor `backend`, nor `dst` for. Each variable costs it as
 * much as several rules: what it can tell from another, or from none, is not told.
 *
 *     answer   string   absent: forward. "redirect": 308 to `to` + path + query, after the changes
 *                       of `path` and `strip`. "deny": `status` in a word, with `reason` in
 *                       X-Refused; "json": the same as JSON; "page": the same as a page for people.
 *                       "login": 302 to `to` as it is; "takeover": as "redirect", but 307, and
 *                       with a cookie
 *     status   integer  400, 401, 402, 403, 404, 421, 503
 *     reason   string   a word of REFUSAL_TABLE, or unknown-host, unknown-label, path-not-served,
 *                       upstream-unresolved, origin, sni, scanner, address, route, suspended,
 *                       maintenance, identity-required, email-domain, header-not-stripped,
 *                       identity-unverified, no-cookie-key
 *     retry    integer  Retry-After in seconds, only when the agent knows better than HAProxy
 *     to       string   "https://chat.example.com" without a trailing slash
 *     cookie   string   with "takeover", what follows "owui_tenant=": value, Max-Age, Secure
 *     forget   boolean  with "takeover", true when another tenant had the host's root: what it has
 *                       left in the browser is to go
 *     hsts     string   the value of Strict-Transport-Security, on https, where there is room
 *     tenant   string   its name
 *     ip       string   the client's address; as an address where there is no room for its text
 *     by_https integer  the port that the client sees, where it came over https
 *     by_http  integer  the same, where it did not; absent: 80
 *     host     string   the canonical Host, only when it differs from what the client sent
 *     path     string   the normal form, only when it differs
 *     more     string   what HAProxy has to count and to wait for (see src/agent/limits.h);
 *                       true, a boolean: it has a path to cut and no more; else absent
 *     strip    integer  how many leading segments to cut (1..8), only when some
 *     rid      string   a trusted proxy's request id, only when well-formed
 *     chain    string   the client and the trusted proxies behind it, where "forwarding" wants it
 *     gen      string   what is in force, for clients that are to be told
 *     backend  string   a named backend; else `dst` (address), and `sni` for TLS
 *     to_http to_https to_noverify
 *              integer  one of them with `dst`: the upstream's port, by how it is spoken to; the
 *                       last is TLS, too, with whatever certificate it has
 *     spent    boolean  Authorization told the identity, and is not for the upstream
 *     ts tt    integer  timeouts in ms, of the server, of a tunnel, where `more` is no string
 *     shr      string   what the cookie owui_share is to be set to, only when there is none
 *     rs       integer  what is done to the answer: 1 cookies are made Secure, 2 nosniff; 3 both
 *     stick    string   what the cookie owui_replica is to be set to, only when it is another
 *     h_NAME   string   a tenant's header (hb false)
 *     headers  binary   all of a tenant's headers (hb true): (name, value) pairs of varint-length
 *                       strings, closed by two empty ones
 *
 * and, when the decision holds for the connection's next requests too, some of the session: host,
 * stamp, since and what these requests get (see src/agent/reuse.h). To the message `acme`, of which
 * nothing else is told:
 *
 *     acme     string   the key authorization (RFC 8555 8.1), only when the token is known
 */
#pragma once

#include "agent/ahead.h"
#include "agent/seal.h"
#include "agent/snapshot.h"
#include "identity/verifier.h"
#include "route/path.h"
#include "route/replica.h"
#include "spop/spop_frame.h"

/* How a request was decided; counted, told by `explain`. */
#define OUTCOME_TABLE(X)                           \
    X(FORWARD, "forward")                          \
    X(REDIRECT_HTTPS, "redirect-https")            \
    X(REDIRECT_PATH, "redirect-path")              \
    X(REDIRECT_CANONICAL, "redirect-canonical")    \
    X(REDIRECT_UNKNOWN, "redirect-unknown-host")   \
    X(REDIRECT_UNLISTED, "redirect-unknown-label") \
    X(DENY_UNKNOWN_HOST, "deny-unknown-host")      \
    X(DENY_UNKNOWN_LABEL, "deny-unknown-label")    \
    X(DENY_PATH, "deny-path")                      \
    X(DENY_UNRESOLVED, "deny-upstream-unresolved") \
    X(DENY_ORIGIN, "deny-origin")                  \
    X(DENY_SNI, "deny-sni")                        \
    X(TAKEOVER, "takeover-enter")                  \
    X(TAKEOVER_LEAVE, "takeover-leave")            \
    X(DENY_UNSEALED, "deny-no-cookie-key")         \
    X(SUSPENDED, "suspended")                      \
    X(MAINTENANCE, "maintenance")                  \
    X(REDIRECT_LOGIN, "redirect-login")            \
    X(DENY_IDENTITY, "deny-identity")              \
    X(DENY_EMAIL_DOMAIN, "deny-email-domain")      \
    X(DENY_UNSTRIPPED, "deny-header-not-stripped") \
    X(DENY_UNVERIFIED, "deny-identity-unverified") \
    X(DENY_SCANNER, "deny-scanner")                \
    X(DENY_ADDRESS, "deny-address")                \
    X(DENY_ROUTE, "deny-route")                    \
    X(BAD_REQUEST, "bad-request")                  \
    X(CHALLENGE, "acme-challenge")                 \
    X(CHALLENGE_UNKNOWN, "acme-challenge-unknown")

enum outcome {
#define X(NAME, TEXT) OUTCOME_##NAME,
    OUTCOME_TABLE(X)
#undef X
        OUTCOME__MAX,
};

const char *outcome_name(enum outcome outcome);

/* The arguments of a message, decoded. Slices view the frame. */
struct request {
    struct client_question client;
    struct slice host;
    struct slice path;
    const struct route_guess *guess; /* what these lead to, perhaps, in the snapshot; or NULL */
    struct slice upgrade;
    struct slice cookie; /* ck */
    int64_t wall_s;      /* the time that the decision is about; 0: now */
    struct slice origin;
    struct slice sni;
    struct slice unique_id;    /* uid: HAProxy's own, told only where decisions are recorded */
    bool headers_in_one;       /* hb */
    struct slice token_claims; /* utk */
    struct slice authorization_claims; /* uau */
    struct slice replica_cookie;       /* rep */
    bool replica_told;                 /* whether there is such a cookie is known */
    struct slice share_cookie;         /* shr */
    struct identity_question identity;
    struct verifier *verifier; /* the loop's; NULL: nobody's identity can be verified */
    struct slice method;
    bool credential_told;
    struct slice bearer; /* the beginnings of Authorization and of the cookie "token" */
    struct slice token;
    uint32_t api_keys; /* X-Api-Key headers */
};

/* How a refusal is told. */
enum answer_form { FORM_TEXT, FORM_JSON, FORM_PAGE };

enum {
    LOCATION_MAX_BYTES = HOST_MAX_BYTES + 32,
    COOKIE_MAX_BYTES = SEAL_MAX_BYTES + 32,
    CHAIN_MAX_BYTES = 200, /* of X-Forwarded-For: four addresses of the longest */
};

/* The decision with everything that explains it. Slices view the request, the tenant or the
 * decision itself, so it is not to be copied. */
struct decision {
    enum outcome outcome;
    enum refusal refusal;
    uint16_t status;
    bool admitted;     /* maintenance holds, and the client is let through */
    bool path_changed; /* `path` is not what was asked for */
    enum answer_form form;
    uint32_t retry_after_s; /* 0: HAProxy's own */
    unsigned strip_segments;
    struct slice key_authorization; /* of a challenge; the table's */
    struct host host;
    struct slice path; /* normal form */
    char path_buffer[PATH_CHANGED_MAX_BYTES];
    struct client client;
    struct route_match match;
    /* Whose upstream and headers count: match.tenant, or its instance for the label (see
     * agent/instance.h). NULL before one was found. */
    const struct tenant_brief *target;
    /* Of a tenant that asks who the user is; the verifier's, until it is asked again. */
    const struct identity *identity;
    enum identity_refusal identity_refusal;
    bool taken_over;                  /* the tenant has the request by the cookie */
    bool forget;                      /* what another tenant has left in the browser is to go */
    bool is_sign_in;                  /* the tenant's policy limits how often */
    const struct policy_rule *rule;   /* of the tenant's policy; NULL: none matched */
    const struct tenant *led_from;    /* whose host it is that a route, the user's address or both
                                         led away from; or NULL */
    const struct policy_rule *led_by; /* the route that did; NULL: none */
    const struct tenant *asked;       /* whose `identity` tells who the user is; NULL: nobody's */
    bool sets_share;                  /* the client has no number in its cookie yet */
    uint8_t share;                    /* it has this one; SHARE_NOT_ASKED: no route asked for it */
    const struct tenant *sealed;      /* that the cookie names; NULL: none, or it is no good */
    struct slice cookie;              /* to be set */
    struct replica_choice replica;    /* of a target that has replicas */
    struct slice location;            /* for redirects: scheme, host and port */
    struct slice chain;               /* for X-Forwarded-For; empty: the client alone */
    uint64_t generation_hash;         /* to be told to the client; 0: it is not */
    struct slice reuse_stamp;         /* it holds for more than this request; empty: it does not */
    char location_buffer[LOCATION_MAX_BYTES];
    char cookie_buffer[COOKIE_MAX_BYTES];
    char chain_buffer[CHAIN_MAX_BYTES];
};

/* False when the message is not `route` or lacks an argument. */
MUST_CHECK bool request_decode(const struct spop_notify *notify, struct request *request);
/* What it authenticates with, as it came. */
enum credential request_credential(const struct request *request);
/* False when the message is not `acme` or lacks the path. */
MUST_CHECK bool challenge_decode(const struct spop_notify *notify, struct slice *path);
/* The decision about a challenge. */
void decide_challenge(const struct snapshot *snapshot, struct slice path,
                      struct decision *decision);
/* Pure: same request and snapshot, same decision, at the same time; but for what a verifier finds
 * in its time. */
void decide(const struct snapshot *snapshot, const struct request *request,
            struct decision *decision);
/* The decision about a message that could not be decoded, or one that does not fit: 400. */
void decide_refused(struct decision *decision, enum refusal refusal);
/* Where the client sees this host: the Host header's port, or its scheme's. With http, HAProxy
 * takes none for the usual one. */
enum { PUBLIC_PORT_NOT_TOLD = 80 };
uint16_t decision_public_port(const struct decision *decision);
/* The word that stands in X-Refused for a denial; never NULL. */
const char *decision_reason(const struct decision *decision);
/* Writes the decision's actions. False when they do not fit: `actions` is then as it was, and the
 * answer to give is a refusal (REFUSAL_ANSWER_TOO_BIG), which always fits. */
MUST_CHECK bool answer_write(const struct request *request, const struct decision *decision,
                             struct writer *actions);
/* All of the above: what a NOTIFY is answered with. `decision` tells how, for counters and traces;
 * its slices end with those of `notify`. `ahead` is what was found for the burst; it and the
 * verifier may be NULL. */
void answer_notify(const struct snapshot *snapshot, struct verifier *verifier, struct ahead *ahead,
                   const struct spop_notify *notify, struct decision *decision,
                   struct writer *actions);

/* Fills tenant->brief; to be called before the tenant is put into a registry. An error when
 * what it always carries leaves too little of an ACK for what depends on the request. */
MUST_CHECK enum error answer_prepare(struct tenant *tenant, struct error_text *text);
