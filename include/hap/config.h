/* The HAProxy side of the configuration as text: haproxy.cfg and a SPOE file that match the agent.
 *
 * Values in, text out; nothing is read or written here. What the two sides agree on (message,
 * arguments, variables) is told in agent/answer.h. Who writes the pair down is `haproxy-config`.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* What the text is for. HAP_ANY serves every version from 2.6 on, with .if guards. */
#define HAP_VERSION_TABLE(X) \
    X(ANY, "any")            \
    X(2_6, "2.6")            \
    X(3_0, "3.0")            \
    X(3_2, "3.2")            \
    X(3_4, "3.4")

enum hap_version {
#define X(NAME, TEXT) HAP_##NAME,
    HAP_VERSION_TABLE(X)
#undef X
        HAP_VERSION__MAX,
};

MUST_CHECK bool hap_version_parse(struct slice text, enum hap_version *version);

/* The headers that a trusted proxy may tell the client's address in, in the order of route's enum
 * client_source: name, prefix of the arguments, how many lines are told. */
#define HAP_SOURCE_TABLE(X)                           \
    X(X_FORWARDED_FOR, "X-Forwarded-For", "xff", 3)   \
    X(FORWARDED, "Forwarded", "fwd", 3)               \
    X(X_REAL_IP, "X-Real-IP", "xri", 1)               \
    X(CF_CONNECTING_IP, "CF-Connecting-IP", "cfi", 1) \
    X(TRUE_CLIENT_IP, "True-Client-IP", "tci", 1)

enum hap_source {
#define X(NAME, HEADER, ARGUMENT, LINES) HAP_SOURCE_##NAME,
    HAP_SOURCE_TABLE(X)
#undef X
        HAP_SOURCE__MAX,
};

/* Which replica of a tenant a browser is to stay at; set when the agent says so. */
#define HAP_REPLICA_COOKIE "owui_replica"
/* A browser's number among a hundred, for routes that are for a share of them. */
#define HAP_SHARE_COOKIE "owui_share"

/* What the agent is told only where some tenant needs it, the first in the order of route's enum
 * policy_need: name, arguments of the message. */
#define HAP_ARGUMENT_TABLE(X)                                                              \
    X(ORIGIN, "origin", "org=req.fhdr(origin)")                                            \
    X(SNI, "sni", "sni=ssl_fc_sni")                                                        \
    X(METHOD, "method", "meth=method")                                                     \
    /* the kind, not the secret: "Bearer sk-", see question_write.c, how many */           \
    X(CREDENTIAL, "credential",                                                            \
      "ath=req.fhdr(authorization,1),bytes(0,10) tok=var(txn.owui_token) "                 \
      "key=req.fhdr_cnt(x-api-key)")                                                       \
    /* claims alone, unless the whole is told for an identity: see put_user_arguments() */ \
    X(USER, "user", NULL)                                                                  \
    X(REPLICA, "replica", "rep=req.cook(" HAP_REPLICA_COOKIE ")")                          \
    X(SHARE, "share", "shr=req.cook(" HAP_SHARE_COOKIE ")")

enum hap_argument {
#define X(NAME, TEXT, ARGUMENTS) HAP_ARGUMENT_##NAME,
    HAP_ARGUMENT_TABLE(X)
#undef X
        HAP_ARGUMENT__MAX,
};

/* A header that tenants may get, and the variable that carries its value: "X-Team", "h_x_team". */
struct hap_header {
    char *name;
    char *variable;
};

/* Where tokens come from that some tenant believes: a header or a cookie, and the name of the
 * argument that tells it ("jh_authorization"; "jhn_authorization" tells how many there are). */
struct hap_token {
    char *name;
    char *argument;
    bool is_cookie;
};

/* A named backend: `use_backend owui_NAME`, with health checks, a cookie that keeps a browser on
 * its replica, and statistics by HAProxy. Without servers it is only known by name, and the admin
 * writes the section. */
struct hap_backend {
    char *name;
    char **servers; /* "10.2.0.11:8080" */
    size_t server_count;
    char *check_path; /* NULL: "/health" */
};

/* How long HAProxy waits; 0 is the default. */
struct hap_timeouts {
    unsigned connect_ms;      /* 5 s */
    unsigned http_request_ms; /* 10 s */
    unsigned keep_alive_ms;   /* 30 s; 11 m behind trusted proxies */
    unsigned client_ms;       /* 1 m; 11 m behind trusted proxies */
    unsigned server_ms;       /* 10 m: the time to a model's first token */
    unsigned tunnel_ms;       /* 1 h: Open WebUI pings its WebSockets every 25 s */
    unsigned agent_ms;        /* 400 ms: for the agent's answer */
};

/* How many entries HAProxy's tables have; 0 is the default. */
struct hap_tables {
    unsigned requests;   /* 200000: a tenant with limits each, and a route with its own */
    unsigned signin;     /* 200000: an address and a subnet each that signs in at a tenant */
    unsigned websockets; /* 100000: a tenant with limits each */
};

/* Owns everything it points to. Zeroed, with a bind and an agent, it is a configuration. */
struct hap_config {
    char **http; /* binds: "*:80" (IPv4), "[::]:80" (IPv6), "[::1]:8080" */
    size_t http_count;
    char **https;
    size_t https_count;
    char *crt_dir;    /* NULL: "/etc/haproxy/certs" */
    bool placeholder; /* names without a certificate are shown hap_placeholder_path() */
    char **runtime;   /* Runtime API sockets; HAProxy opens the first that is not "master:/path" */
    size_t runtime_count;
    char **agents; /* as in net/listener.h: "unix:/path", "unix:@name", "tcp:127.0.0.1:12345" */
    size_t agent_count;
    char *user; /* NULL: HAProxy stays who started it */
    char *group;
    char *chroot;               /* NULL: none; else HAProxy finds unix sockets below it only */
    char **proxy_protocol_from; /* networks whose connections begin with a PROXY line */
    size_t proxy_protocol_from_count;
    struct hap_backend *backends;
    size_t backend_count;

    char *challenge_listen; /* NULL: "127.0.0.1:8688"; where ACME challenges are answered */
    bool takeover;          /* some tenant looks at the cookie owui_tenant */
    char *pages_listen;     /* NULL: "127.0.0.1:8689"; where pages for people are served */
    char *thumbprint; /* of the ACME account's key: answers when nobody listens there; or NULL */
    char *upstream_ca_file; /* NULL: the system's; what https upstreams are verified against */
    char *tenant_header;    /* NULL: "X-Tenant-ID"; "": none */
    char **strip_headers;   /* never accepted from a client */
    size_t strip_header_count;
    struct hap_header *headers; /* every header that some tenant adds */
    size_t header_count;
    char **identity_headers; /* that tell some tenant who a user is; never accepted from a client */
    size_t identity_header_count;
    struct hap_token *tokens;
    size_t token_count;
    char *client_ca_file;     /* whose client certificates are believed; NULL: none is asked for */
    bool client_certificates; /* some tenant wants them */
    bool sources[HAP_SOURCE__MAX]; /* what groups of trusted proxies use; none: no such proxies */
    bool tells_request_id;         /* the agent records decisions under it */
    bool appends_forwarded_for;    /* X-Forwarded-For tells the trusted proxies, too */
    bool tells_forwarded;          /* upstreams get Forwarded (RFC 7239) */
    bool keeps_trace;              /* a client's traceparent goes on where it is a good one */
    bool secures_cookies;          /* some tenant's cookies are to be Secure */
    bool nosniffs;                 /* some tenant's answers say nosniff */
    bool tells_generation;         /* some clients are told what is in force */
    unsigned arguments;  /* a bit (1 << enum hap_argument) for each that some tenant needs */
    char *spoe_path;     /* NULL: "/etc/haproxy/owui.spoe.cfg" */
    char *fallback_map;  /* what is asked when no agent answers; NULL: nothing */
    char *decision_map;  /* where HAProxy sees that decisions still hold; NULL: for no more than one
                            request */
    unsigned https_port; /* where plain HTTP is sent to then; 0: 443 */
    struct hap_timeouts timeouts;
    struct hap_tables tables;
};

enum { HAP_TOKENS_MAX = 4, HAP_IDENTITY_HEADERS_MAX = 32 };

void hap_config_fini(struct hap_config *config);

/* Of `runtime`, the socket that the worker opens; NULL: none. The master's ("master:/path") is
 * opened by HAProxy's -S. */
const char *hap_worker_socket(const struct hap_config *config);
/* Where HAProxy finds the SPOE file. */
const char *hap_spoe_path(const struct hap_config *config) __attribute__((returns_nonnull));
/* haproxy.cfg, which is beside the SPOE file; for free(). */
char *hap_config_path(const struct hap_config *config) __attribute__((returns_nonnull));
/* The file of the certificate for names that have none. It lies in a folder below `crt_dir`, which
 * its owner may write to, and which HAProxy does not go into by itself. The caller frees it. */
char *hap_placeholder_path(const struct hap_config *config);

/* Whether owui_NAME is a section of the agent's own, so that no backend can have the name. */
bool hap_backend_is_reserved(const char *name);

/* Whether all values can stand in the file and every agent is within HAProxy's reach. */
MUST_CHECK enum error hap_config_check(const struct hap_config *config, struct error_text *text);

/* haproxy.cfg. What an admin wrote between the marks of `previous`, an older text of this function
 * (or empty), is kept. NULL, with the reason, when hap_config_check() fails; the caller frees it.
 */
char *hap_config_write(const struct hap_config *config, enum hap_version version,
                       struct slice previous, struct error_text *text);
/* Whether a text is one of hap_config_write(). */
bool hap_config_is_ours(struct slice text);
/* Whether all own lines in `previous` would be kept: not when the mark before some was deleted. */
MUST_CHECK enum error hap_config_check_own_lines(struct slice previous, struct error_text *text);
/* What a haproxy.cfg of hap_config_write(), or the SPOE file beside it, lacks for `config`: the
 * first line, for free(). NULL when it lacks nothing, or is somebody else's. What it has besides is
 * left alone. */
char *hap_config_missing(const struct hap_config *config, struct slice text, struct slice spoe);
/* The SPOE file, for a configuration that hap_config_write() took; the caller frees it. */
char *hap_spoe_write(const struct hap_config *config, enum hap_version version);

/* What HAProxy does with a request that it asks the agent no route for. */
enum hap_shortcut {
    HAP_ASK_AGENT,
    HAP_TO_ACME,       /* an ACME challenge: to `challenge_listen` */
    HAP_REFUSE_METHOD, /* 405 */
};
enum hap_shortcut hap_config_shortcut(struct slice method, struct slice path);

/* What haproxy.cfg does to the headers of a request, for those who tell it to people. */
struct hap_header_visitor {
    /* Deleted from every request; `is_prefix`: every header whose name begins so. */
    void (*on_deleted)(void *context, const char *name, bool is_prefix);
    /* Set to what the agent's answer says of it: the value of the variable, but for "host" (the
     * Host header as it is sent), "proto", "port" (both the public ones) and "forwarded". */
    void (*on_set)(void *context, const char *name, const char *variable);
    void *context;
};
void hap_config_visit_headers(const struct hap_config *config,
                              const struct hap_header_visitor *visitor);
/* Whether clients may send the header though some tenant sets it. */
bool hap_config_leaves_to_clients(struct slice name);

/* Where HAProxy finds an agent, as it stands on a `server` line: "unix@/agent.sock" for
 * "unix:/var/lib/haproxy/agent.sock" in the chroot /var/lib/haproxy. The caller frees it. */
char *hap_agent_address(struct slice agent, const char *chroot, struct error_text *text);
