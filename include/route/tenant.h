/* A tenant: one Open WebUI instance, the hosts and paths that lead to it, and what its requests
 * carry. Built from configuration, immutable once it is in a table, freed by the registry when no
 * snapshot can see it any more. */
#pragma once

#include "route/header.h"
#include "route/host.h"
#include "route/identity.h"
#include "route/outage.h"
#include "route/policy.h"

enum { TENANT_NAME_MAX_BYTES = 63 };

enum upstream_scheme { UPSTREAM_HTTP, UPSTREAM_HTTPS, UPSTREAM_HTTPS_NO_VERIFY };

/* The value of txn.owui.via: "http", "https", "https-noverify". */
const char *upstream_scheme_via(enum upstream_scheme scheme);

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

/* So many bytes of its answer are beside what a decision reads of a tenant. */
enum { PREPARED_NEAR_BYTES = 2 * CACHE_LINE_BYTES - 16 };

/* What most decisions read comes first, in two cache lines: with many tenants, what a request costs
 * is how much of its tenant has to come from memory. The rest is for some requests, and for people.
 */
struct tenant {
    /* What every ACK of this tenant carries, encoded once by the agent layer: actions, the first
     * `prepared_plain_size` bytes of which are without headers, for HAProxy that takes all headers
     * in one value, and the first `prepared_slots_size` with one variable per header, for HAProxy
     * before 3.4. Behind these are all headers in that one value, when none of them is dynamic, and
     * last what its own hosts say of HTTPS. */
    uint8_t *prepared;                /* `near`, or a block of its own where that is too small */
    unsigned prepared_plain_size : 9; /* an ACK has no more than 512 bytes */
    unsigned prepared_slots_size : 9;
    unsigned prepared_headers_size : 9;
    bool dynamic_headers : 1;        /* prepared: some of its headers depend on the request */
    bool headers_tell_ip : 1;        /* prepared: some of these use {client_ip} */
    bool asks_user : 1;              /* prepared: `identity` is there */
    bool token_in_authorization : 1; /* prepared: that is where `identity` is looked for */
    bool has_policy : 1;             /* `policy` is there */
    unsigned prepared_hsts_size : 6; /* 0: `hsts` is NULL */

    bool https_redirect : 1;  /* plain HTTP is sent to https:// with 308 */
    bool takes_over : 1;      /* some path of it has the mode "takeover" */
    bool may_be_out : 1;      /* `maintenance` or `suspended` is there */
    bool canonical_host : 1;  /* its other hosts are sent to the first with 308 */
    bool is_by_label : 1;     /* prepared: an instance for the label has its requests */
    bool is_reachable : 1;    /* prepared: where its requests go is in `prepared` */
    bool secures_cookies : 1; /* what its upstream sets is for https alone */
    bool nosniffs : 1;        /* browsers are to believe Content-Type */
    uint16_t count_place;     /* where its decisions are counted; 0: among others' */
    uint8_t near[PREPARED_NEAR_BYTES];

    char *backend; /* use_backend owui_<backend>; NULL: the address in `upstream` */
    struct upstream upstream;
    /* In a line of their own, for those that have them. */
    struct replica_set *replicas; /* if any: requests go to one of these, and `upstream` is empty */
    struct policy *policy;        /* NULL: what policy.h says of it; shared with other tenants */
    struct prepared *prepared_limits; /* its own, then those of each rule; NULL: none has any */
    size_t prepared_limit_count;
    struct header *headers; /* the global ones that apply and its own */
    uint32_t header_count;
    uint32_t host_count;
    uint32_t path_count;
    uint32_t version_count;
    struct maintenance *maintenance; /* NULL: none is planned */
    struct suspension *suspended;    /* NULL: it is not */
    char *hsts; /* the value of Strict-Transport-Security on its own hosts; NULL: none */
    struct label_pattern *label; /* NULL: any host label */
    struct label_map *labels;    /* if any: `upstream` is per label, and these are all */

    struct identity_rule *identity; /* NULL: nothing is known of users */

    char *name; /* [a-z0-9] and inner [a-z0-9._-]; is the file's key */
    struct place place;
    uint64_t
        content_hash; /* of the tenant's JSON text in canonical form, and its upstream address */
    struct tenant_host *hosts;
    struct path_rule *paths;

    /* Blue and green: their names, and whose upstream `upstream` is; NULL: there is but one. */
    char **versions;
    char *active_version;

    struct check_rule *check;      /* NULL: nobody looks */
    struct replica_health *health; /* of `upstream`, if it is checked: told, and not decided by */

    const struct tenant *instance_of; /* a label's own instance of a per_label tenant; not owned */
};

/* Zeroed, at the start of a cache line. */
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
/* "http://10.0.0.1:3000", for people and for free(). */
char *upstream_url(const struct upstream *upstream) __attribute__((returns_nonnull));
/* The place of `size` prepared bytes, instead of any earlier ones. */
uint8_t *tenant_prepare(struct tenant *tenant, size_t size) __attribute__((returns_nonnull));
/* A deep copy, to be changed and put in the original's place; it is not prepared. */
struct tenant *tenant_clone(const struct tenant *tenant);
void tenant_drop_prepared_limits(struct tenant *tenant);
void tenant_free(struct tenant *tenant); /* NULL is fine */
MUST_CHECK bool tenant_name_valid(struct slice name);
