/* The code of every message about the configuration. A code is stable: it can be searched for, and
 * is never given to another meaning. 1xx: any value; 2xx: tenants; 5xx: warnings. */
#pragma once

#define CODE_TABLE(X)                                                                           \
    X(FILE_UNREADABLE, 101, ERROR, "a file cannot be read")                                     \
    X(JSON_SYNTAX, 102, ERROR, "the text is not valid JSON")                                    \
    X(DUPLICATE_KEY, 103, ERROR, "a key is there twice")                                        \
    X(WRONG_TYPE, 104, ERROR, "a value has the wrong JSON type")                                \
    X(OUT_OF_RANGE, 105, ERROR, "a number, duration or list is too small or too big")           \
    X(NOT_A_CHOICE, 106, ERROR, "a value is none of those that are known")                      \
    X(UNKNOWN_KEY, 107, ERROR, "a key is not known")                                            \
    X(MISSING_KEY, 108, ERROR, "a key is missing")                                              \
    X(MEANINGLESS_KEY, 109, ERROR, "a key has no meaning beside another")                       \
    X(LISTED_TWICE, 110, ERROR, "a list holds a value twice")                                   \
    X(BAD_ADDRESS, 111, ERROR, "not an address that can be listened on or connected to")        \
    X(BAD_NETWORK, 112, ERROR, "not an IP network in CIDR form")                                \
    X(BAD_DURATION, 113, ERROR, "not a duration such as \"30s\"")                               \
    X(BAD_FILE_NAME, 114, ERROR, "not a file name that can be used")                            \
    X(BAD_NAME, 115, ERROR, "not a name of a user, group, backend or proxy group")              \
    X(BAD_URL, 116, ERROR, "not a URL of the kind that is expected")                            \
    X(BAD_MODE, 117, ERROR, "not a file mode such as \"0660\"")                                 \
    X(BAD_SIZE, 118, ERROR, "not a size such as \"100MB\"")                                     \
    X(NO_ROOM, 119, ERROR, "a file needs more memory than there is")                            \
    X(ACCOUNT_UNKNOWN, 120, ERROR, "a user or group is not on this machine")                    \
    X(FILE_NEEDED, 121, ERROR, "a file or folder is not there that a start needs")              \
    X(TENANT_NAME, 201, ERROR, "not a name for a tenant")                                       \
    X(TENANT_TWICE, 202, ERROR, "two files hold a tenant of one name")                          \
    X(HOST_SYNTAX, 203, ERROR, "not a host name or wildcard")                                   \
    X(HOST_TAKEN, 204, ERROR, "a host or path belongs to another tenant already")               \
    X(NO_WAY_IN, 205, ERROR, "neither a host nor a path leads to the tenant")                   \
    X(NO_UPSTREAM, 206, ERROR, "a tenant has neither an upstream nor a backend")                \
    X(UPSTREAM_SYNTAX, 207, ERROR, "not a URL of an upstream")                                  \
    X(UPSTREAM_REFUSED, 208, ERROR, "an upstream's address is not allowed")                     \
    X(UPSTREAM_LOOP, 209, ERROR, "an upstream is HAProxy, its Runtime API or the agent itself") \
    X(BACKEND_UNKNOWN, 210, ERROR, "a backend is not in the global file")                       \
    X(LABEL_PATTERN, 211, ERROR, "not a regular expression for labels")                         \
    X(LABEL_WITHOUT_WILDCARD, 212, ERROR, "a label is used where no wildcard yields one")       \
    X(PATH_PREFIX, 213, ERROR, "not a path prefix")                                             \
    X(REDIRECT_WITHOUT_HOST, 214, ERROR,                                                        \
      "a path redirects to a tenant that has no host of its own")                               \
    X(HEADER_NAME, 215, ERROR, "not a header that a tenant may set")                            \
    X(HEADER_VALUE, 216, ERROR, "not a header value")                                           \
    X(HEADER_FIXED, 217, ERROR, "a header is set by the global file for all tenants")           \
    X(TLS_NAME, 218, ERROR, "an https upstream has no name that could be verified")             \
    X(ANSWER_TOO_BIG, 219, ERROR, "a tenant's headers do not fit into the agent's answer")      \
    X(TENANT_UNKNOWN, 220, ERROR, "a tenant is named that does not exist")                      \
    X(VERSION_SPLIT, 230, ERROR, "two versions cannot share a tenant's requests")               \
    X(VERSION_UNKNOWN, 231, ERROR, "the active version is none of the versions")                \
    X(REPLICA_UNKNOWN, 232, ERROR, "a server or pool is named that is none of the replicas")    \
    X(ROUTE_TENANT, 233, ERROR, "not a tenant that a route can lead to")                        \
    X(HSTS_PRELOAD, 240, ERROR, "HSTS lacks what preload lists demand")                         \
    X(BAD_TIME, 241, ERROR, "not a point in time such as \"2026-12-01T02:00Z\"")                \
    X(IDENTITY_HEADER, 244, ERROR, "not a header for an identity or a token")                   \
    X(IDENTITY_SOURCE, 245, ERROR, "an identity that nobody verifies")                          \
    X(IDENTITY_DOMAIN, 246, ERROR, "not a domain, or not a tenant, for users by e-mail")        \
    X(CLAIM, 247, ERROR, "not the name of a claim, or of one within others")                    \
    X(LABEL_LINE, 248, ERROR, "not a line of a list of labels")                                 \
    X(TOO_MANY_NAMES, 249, ERROR, "HAProxy's files have no room for one more token or header")  \
    X(PATH_STRIP, 501, WARNING, "path mode \"strip\" breaks browsers")                          \
    X(PATH_KEEP, 502, WARNING, "path mode \"keep\" cannot work with Open WebUI")                \
    X(HEADER_FROM_CLIENT, 503, WARNING, "a header takes a value that the client chooses")       \
    X(UPSTREAM_FROM_CLIENT, 504, WARNING, "an upstream takes a name that the client chooses")   \
    X(TRUSTS_EVERYBODY, 505, WARNING, "everybody may say who the client is")                    \
    X(NO_TENANTS, 507, WARNING, "there is no tenant")                                           \
    X(SHARED_ORIGIN, 508, WARNING, "two tenants share one browser origin")                      \
    X(UNCERTIFIED_HOSTS, 509, WARNING, "a tenant has more hosts than its certificate")          \
    X(TAKEOVER_SHARED, 510, WARNING, "a cookie cannot take over a root that is shared")         \
    X(ENDLESS_REDIRECT, 511, WARNING, "a redirect to https leads back to itself")               \
    X(NO_CERTIFICATE, 512, WARNING, "a host of a tenant gets no certificate")                   \
    X(CERTIFICATE_TAKEN, 513, WARNING,                                                          \
      "a certificate of the admin's has the name of one that is ordered")                       \
    X(UNCERTIFIABLE_HOST, 514, WARNING, "no certificate can be had, or shown, for a host")      \
    X(PAGE_UNREADABLE, 520, WARNING, "a tenant's own page cannot be served")                    \
    X(FILE_MISSED, 521, WARNING, "a file or folder will be missed later, or is hidden")         \
    X(FILE_PASSED_OVER, 522, WARNING, "a file beside those of tenants is not read")             \
    X(SHARED_DATABASE, 530, WARNING, "a share of the clients must have a database of its own")  \
    X(ANY_AUTHORITY, 540, WARNING, "any authority's certificates count for several tenants")

enum code {
#define X(NAME, NUMBER, SEVERITY, MEANING) CODE_##NAME = (NUMBER),
    CODE_TABLE(X)
#undef X
};

/* What the code stands for in general; NULL for a number that is no code. */
const char *code_meaning(unsigned code);
