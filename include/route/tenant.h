/* A tenant: one Open WebUI instance, the hosts and paths that lead to it, and what its requests
 * carry. Built from configuration, immutable once it is in a table (but for `has_use`), freed by
 * the registry when no snapshot can see it any more. */
#pragma once

#include "route/header.h"
#include "route/host.h"
#include "route/identity.h"
#include "route/outage.h"
#include "route/policy.h"

enum { TENANT_NAME_MAX_BYTES = 63 };

enum upstream_scheme { UPSTREAM_HTTP, UPSTREAM_HTTPS, UPSTREAM_HTTPS_NO_VERIFY };

/* What the fallback's map says: "http", "https", "https-noverify". */
const char *upstream_scheme_name(enum upstream_scheme scheme);

/* The variable of an answer that has the port: "to_http", "to_https", "to_noverify". */
const char *upstream_scheme_port(enum upstream_scheme scheme);

struct upstream {
    struct ip address; /* IP_NONE while the name is not resolved */
    bool per_label;    /* the address depends on the wildcard's label */
    uint16_t port;
    enum upstream_scheme scheme;
    char *host; /* a name or an address, without brackets; NULL when `per_label` */
    struct template host_template; /* for `per_label`: "{1}.internal"; none with a label_map */
    char *server_name;             /* for TLS: what is sent as SNI and verified */
};

/* Writes a copy of all that `upstream` owns to `copy`. */
void upstream_copy(const struct upstream *upstream, struct upstream *copy);
void upstream_fini(struct upstream *upstream);

struct tenant_host {
    char *name; /* without "*." */
    bool wildcard;
    struct place place;
};

enum path_mode {
    PATH_REDIRECT,   /* to the tenant's first host, without the prefix */
    PATH_STRIP,      /* the upstream sees the path without the prefix: for API clients */
    PATH_TAKEOVER,   /* sets a cookie with which the host's root is the tenant's */
    PATH_ROOT_SHARE, /* one of Open WebUI's own paths at the root of a host that is somebody's */
    PATH_KEEP,       /* the upstream sees the path as it is */
};

struct path_rule {
    char *host; /* exact host or, with `wildcard`, the part behind "*." */
    bool wildcard;
    char *prefix; /* "/a/b": leading slash, no trailing one; never "/" */
    uint8_t segments;
    enum path_mode mode;
    char **only; /* if any: what may follow the prefix ("/api/"); else everything */
    size_t only_count;
    struct place place;
};

/* How the health of a tenant's servers is looked at. */
struct check_rule {
    char *path;     /* "/ready" */
    char *fallback; /* "/health", where the server does not know `path`; NULL: none */
    unsigned every_ms;
    unsigned rise; /* so many good answers bring it back */
    unsigned fall; /* so many bad ones take it out */
};

struct replica_set; /* see route/replica.h */
struct replica_health;
struct label_pattern; /* compiled; see route/label.h */
struct label_map;     /* see route/label_map.h */

struct prepared {
    uint8_t *bytes;
    uint16_t size;
};

/* So many bytes of its answer are beside the rest of a brief. */
enum { BRIEF_NEAR_BYTES = 2 * CACHE_LINE_BYTES - 16 };

/* A tenant in brief: what most decisions read, prepared by the agent layer from what configuration
 * says (answer_prepare() of agent/answer.h), in two cache lines. With many tenants, what a request
 * costs is how much has to come from memory, and from how far apart: so briefs lie side by side, a
 * million in 128 MB, and the tenants elsewhere. */
struct tenant_brief {
    const struct tenant *tenant;

    /* What every ACK of this tenant carries, encoded once: actions, the first `plain_size` bytes of
     * which are without headers, for HAProxy that takes all headers in one value, and the first
     * `slots_size` with one variable per header, for HAProxy before 3.4. Behind these are all
     * headers in that one value, when none of them is dynamic, and last what its own hosts say of
     * HTTPS. */
    unsigned plain_size : 9; /* an ACK has no more than 512 bytes */
    unsigned slots_size : 9;
    unsigned headers_size : 9;
    bool is_far : 1;                 /* all that has no room in `near` */
    bool dynamic_headers : 1;        /* some of its headers depend on the request */
    bool headers_tell_ip : 1;        /* some of these use {client_ip} */
    bool asks_user : 1;              /* `identity` is there */
    bool token_in_authorization : 1; /* that is where `identity` is looked for */

    unsigned hsts_size : 6;  /* 0: `hsts` is NULL */
    bool has_policy : 1;     /* `policy` is there */
    bool https_redirect : 1; /* as the tenant's */
    bool canonical_host : 1;
    bool may_be_out : 1;   /* `maintenance` or `suspended` is there */
    bool is_by_label : 1;  /* an instance for the label has its requests */
    bool is_reachable : 1; /* where its requests go is in the answer */

    uint16_t count_place; /* where its decisions are counted; 0: among others' */
    union {
        uint8_t near[BRIEF_NEAR_BYTES];
        uint8_t *far; /* its own */
    };
};

static inline const uint8_t *tenant_brief_answer(const struct tenant_brief *brief)
{
    return brief->is_far ? brief->far : brief->near;
}

struct tenant {
    struct tenant_brief *brief; /* its own */
    /* What decisions about those that have it read besides, in the first cache line. */
    struct replica_set *replicas; /* if any: requests go to one of these, and `upstream` is empty */
    struct policy *policy;        /* NULL: what policy.h says of it; shared with other tenants */
    struct prepared *prepared_limits; /* its own, then those of each rule; NULL: none has any */
    struct header *headers;           /* the global ones that apply and its own */
    uint32_t prepared_limit_count;
    uint32_t header_count;

    uint32_t host_count;
    uint32_t path_count;
    bool https_redirect : 1;  /* plain HTTP is sent to https:// with 308 */
    bool canonical_host : 1;  /* its other hosts are sent to the first with 308 */
    bool takes_over : 1;      /* some path of it has the mode "takeover" */
    bool secures_cookies : 1; /* what its upstream sets is for https alone */
    bool nosniffs : 1;        /* browsers are to believe Content-Type */
    _Atomic bool has_use;     /* of an instance: a loop's note for its keeper (agent/instance.h) */
    char *backend;            /* use_backend owui_<backend>; NULL: the address in `upstream` */
    struct upstream upstream;
    struct maintenance *maintenance; /* NULL: none is planned */
    struct suspension *suspended;    /* NULL: it is not */
    char *hsts; /* the value of Strict-Transport-Security on its own hosts; NULL: none */
    struct label_pattern *label; /* NULL: any host label */
    struct label_map *labels;    /* if any: `upstream` is per label, and these are all */

    struct identity_rule *identity; /* NULL: nothing is known of users */

    char *name; /* [a-z0-9] and inner [a-z0-9._-]; is the file's key */
    struct place place;
    uint64_t content_hash;   /* of its JSON in canonical form, and its upstream's address */
    uint64_t own_hash;       /* of that JSON alone */
    uint64_t inherited_hash; /* of what it inherits: by an earlier global file where it is kept */
    struct tenant_host *hosts;
    struct path_rule *paths;

    char *certificate_file; /* in HAProxy's folder, and somebody else's to renew; NULL: its own */
    char *active_version; /* blue or green, whose upstream `upstream` is; NULL: there is but one */

    struct check_rule *check;      /* NULL: nobody looks */
    struct replica_health *health; /* of `upstream`, if it is checked: told, and not decided by */

    const struct tenant *instance_of; /* a label's own instance of a per_label tenant; not owned */
};

/* Zeroed, with a brief that knows its tenant and no more. */
struct tenant *tenant_new(void) __attribute__((malloc, returns_nonnull));
/* The upstreams whose addresses have to be known: its own or its replicas'; none where that is
 * somebody else's business (a backend, a label's instance). */
size_t tenant_upstream_count(const struct tenant *tenant);
struct upstream *tenant_upstream_at(struct tenant *tenant, size_t index);
const struct upstream *tenant_upstream_peek(const struct tenant *tenant, size_t index);
/* Whether the upstream is given by a name, whose address is found at run time. */
bool upstream_has_name(const struct upstream *upstream);
/* What HAProxy does to its answers, as the variable "rs" tells it. */
enum tenant_response { RESPONSE_SECURE_COOKIES = 1, RESPONSE_NOSNIFF = 2 };
unsigned tenant_response_set(const struct tenant *tenant);
/* Of the longest name that a request of the tenant can have, from its hosts and paths. */
size_t tenant_longest_host_bytes(const struct tenant *tenant);
/* Whether a path of the tenant's has its prefix cut. */
bool tenant_strips(const struct tenant *tenant);
/* "http://10.0.0.1:3000", for people and for free(). */
char *upstream_url(const struct upstream *upstream) __attribute__((returns_nonnull));
/* What to ask an upstream with a host for: `path` of it, by the name that its certificate has to
 * have where there is TLS. For free(). */
char *upstream_check_url(const struct upstream *upstream, const char *path)
    __attribute__((returns_nonnull));
/* The place of an answer of `size` bytes in its brief, instead of any earlier one. */
uint8_t *tenant_prepare(struct tenant *tenant, size_t size) __attribute__((returns_nonnull));
/* A deep copy, to be changed and put in the original's place; it is not prepared. */
struct tenant *tenant_clone(const struct tenant *tenant);
void tenant_drop_prepared_limits(struct tenant *tenant);
void tenant_free(struct tenant *tenant); /* NULL is fine */
MUST_CHECK bool tenant_name_valid(struct slice name);
