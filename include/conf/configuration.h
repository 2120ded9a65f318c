/* The configuration: a global file and tenants' files, read, checked and turned into values.
 *
 * Reading never stops at the first error: everything that is wrong ends up in the diagnostics. What
 * is right is usable all the same: a broken tenant is left out by name and does not touch the
 * others (who keeps its last good version is the publisher's business).
 *
 * For one thread at a time.
 */
#pragma once

#include "conf/diagnostics.h"
#include "core/log.h"
#include "hap/config.h"
#include "route/settings.h"

/* The global file, unless another one is told. */
#define DEFAULT_CONFIGURATION "/etc/owui-spoa/owui-spoa.json"

enum acme_limits { ACME_LIMITS_AUTO, ACME_LIMITS_KEPT, ACME_LIMITS_NOT_KEPT };
enum acme_keys { ACME_KEYS_ECDSA, ACME_KEYS_RSA, ACME_KEYS_BOTH };

/* The "acme" section: for the sidecar, which runs when there is a directory. */
struct acme_settings {
    char *directory; /* https URL; "": certificates are deployed, but none is ordered; NULL: neither
                      */
    char *staging;   /* where what failed is tried again first; NULL: nowhere */
    char *ca_file;   /* what the directory is verified with; NULL: the system's */
    char **contacts; /* "mailto:..." */
    size_t contact_count;
    char *state_dir;    /* keys, accounts, history */
    char *webroot;      /* holds ".well-known", for other clients' challenges; NULL: none */
    char *certbot_live; /* another client's folder, whose renewals are deployed; NULL: none */
    bool no_haproxy_preflight; /* HAProxy cannot be reached by its binds from here */
    bool no_dns_preflight;     /* what DNS tells here is not what it tells the CA */
    char *owner;               /* of the certificates' files; NULL: the process's user */
    char *group;               /* the same: HAProxy's; NULL: the process's */
    enum acme_keys keys;
    enum acme_limits limits; /* AUTO: where the CA is Let's Encrypt, whose limits they are */
    char *profile;           /* NULL: the CA's default */
    char *preferred_chain;   /* common name of a root; NULL: the CA's default */
    char *external_kid;      /* external account binding; NULL: none */
    char *external_secret_file;
    /* Another CA, asked when the first has failed so often in a row. */
    char *second_directory; /* NULL: none */
    char *second_ca_file;   /* what that is verified with; NULL: the system's */
    char *second_external_kid;
    char *second_external_secret_file;
    unsigned second_after;   /* 0: the default */
    unsigned orders_at_once; /* 0: the default */
};

/* The "jwks" section: how the keys of those who issue tokens are fetched. */
struct jwks_settings {
    char *ca_file;   /* what they are verified with; NULL: the system's */
    char *cache_dir; /* where the last good ones are kept */
    unsigned refresh_ms;
};

/* The "admin_http" section: the admin interface and its page over loopback TCP. */
struct admin_http_settings {
    char *listen;      /* a loopback address; NULL: there is no section, nothing is opened */
    char *tokens_file; /* whom it answers; "tokens.json" in acme.state_dir unless told */
    char **hosts;      /* names for it besides "localhost" and loopback addresses */
    size_t host_count;
    unsigned requests_per_minute; /* of each token */
};

/* How many hosts a certificate of the profile that is asked for has room for. */
size_t acme_settings_hosts_max(const struct acme_settings *acme);
/* Whether the CA, and the second, if there is one, is known to issue for names of the public DNS
 * alone. */
MUST_CHECK bool acme_settings_is_public(const struct acme_settings *acme);

/* The "metrics" section. */
enum { METRICS_TENANTS_DEFAULT = 1000, METRICS_TENANTS_MAX = 10000 };

struct metrics_settings {
    char *listen;     /* a loopback address; NULL: on the admin socket alone */
    unsigned tenants; /* so many are counted by name */
};

/* What the daemon needs of the global file besides what decisions need. File names are absolute, or
 * relative to where the process was when it read them: a relative name in the file is one beside
 * the file. */
struct configuration {
    char *path;                /* of the global file */
    char *tenants_dir;         /* "tenants.d" beside the global file unless told; NULL: wrong */
    bool tenants_dir_optional; /* the default one: need not be there */
    char **listen;             /* addresses as net/listener.h parses them */
    size_t listen_count;
    char *listen_group;   /* of the unix sockets in `listen`; NULL: the process's */
    unsigned listen_mode; /* 0660 */
    unsigned loops;       /* threads that answer; 1 unless told */
    enum log_level log_level;
    enum log_format log_format;
    unsigned trace_entries; /* ring of recent decisions per loop; 0: off */
    char *trace_file;       /* where it is kept on disk; NULL: in memory alone */
    unsigned resolve_interval_s;
    char **nameservers; /* "10.0.0.2", "127.0.0.1:8600", "[::1]:53"; none: the system's */
    size_t nameserver_count;
    char *admin_socket;
    char *cookie_key_file; /* what the cookie of "takeover" is sealed with */

    char **network_files; /* that "trusted_proxies" are read from */
    size_t network_file_count;

    struct settings *settings;
    struct hap_config haproxy; /* what `haproxy-config` writes from */
    struct acme_settings acme;
    struct jwks_settings jwks;
    struct admin_http_settings admin_http;
    struct metrics_settings metrics;

    /* What tenants inherit. */
    bool default_https_redirect;
    bool default_canonical_host;
    bool default_secure_cookies;
    bool default_nosniff;
    char *default_hsts;             /* the header's value; NULL: none */
    struct policy *default_policy;  /* NULL: nothing said */
    struct header *default_headers; /* a tenant may change or drop these */
    size_t default_header_count;
    struct header *fixed_headers; /* and not these */
    size_t fixed_header_count;

    struct place unknown_host_place; /* of the tenant that unknown hosts go to */
    uint64_t inherited_hash;         /* of what tenants inherit */
    uint64_t content_hash; /* without the inline tenants, with the files that it names; equal for
                              what means the same, whatever the formatting and the order of keys */
};

/* A tenant as bytes of a file. */
struct tenant_text {
    char *name;
    uint64_t hash; /* 0: the tenant is wrong, or tenant_file_load_news() was not asked */
    bool is_broken;
    bool is_new; /* it is wrong, and was not in the file before it was: for sources_revive() */
};

/* The tenants of one file. */
struct tenant_file {
    char *path;
    struct tenant **tenants; /* the good ones; taken over by setting entries to NULL */
    size_t tenant_count;
    char **broken; /* names of tenants that are there but wrong */
    size_t broken_count;
    struct tenant_text *texts; /* of all, good or wrong, in the order of the file */
    size_t text_count;
    char **named; /* other files that its tenants are read from, there or not; each once */
    size_t named_count;
    bool unreadable;    /* the file as a whole could not be parsed: all its tenants keep their last
                           good version */
    uint64_t text_hash; /* of the whole file; 0: it could not be read */
};

/* Reads the global file, and its inline "tenants" into `inline_tenants`. NULL if the file cannot
 * serve at all (not readable, not JSON, or an error outside the tenants): then `inline_tenants`
 * tells no more than the text's hash and, as `named`, the files of "trusted_proxies". */
struct configuration *configuration_load(const char *path, struct tenant_file *inline_tenants,
                                         struct diagnostics *diagnostics);
void configuration_free(struct configuration *configuration);
/* The admin socket that a global file tells, wrong as it may be; the usual one where it does not,
 * or is not JSON. For free(). */
char *configuration_admin_socket(const char *path) __attribute__((returns_nonnull));

/* Reads one file of tenants.d against `configuration`. */
void tenant_file_load(const char *path, const struct configuration *configuration,
                      struct tenant_file *file, struct diagnostics *diagnostics);
/* The same, but a tenant that `is_known` by its name and its text's hash, which an earlier call for
 * the same configuration told, is not read again: of a large file that changed a little, only what
 * changed costs much. */
struct known_tenants {
    bool (*is_known)(void *context, struct slice name, uint64_t text_hash);
    void *context;
};
void tenant_file_load_news(const char *path, const struct configuration *configuration,
                           const struct known_tenants *known, struct tenant_file *file,
                           struct diagnostics *diagnostics);
/* The same of a text that is not in its file yet. */
void tenant_text_load_news(const char *path, struct slice text,
                           const struct configuration *configuration,
                           const struct known_tenants *known, struct tenant_file *file,
                           struct diagnostics *diagnostics);
void tenant_file_fini(struct tenant_file *file);

/* Whether a name in tenants.d is read at all: ends in ".json", no leading dot. */
bool tenant_file_name(const char *name);
/* The paths of the files in `folder` that are read, sorted by name. An error is one of the folder.
 */
MUST_CHECK enum error tenant_files_list(const char *folder, char ***paths, size_t *count,
                                        struct error_text *text);

/* HAProxy's side needs to know every header that some tenant sets, and whether one looks at the
 * cookie of "takeover". */
void configuration_add_header_names(struct configuration *configuration,
                                    const struct tenant *tenant);
/* Whether some tenant's header of the name was added; case does not count. */
bool configuration_has_header_name(const struct configuration *configuration, const char *name);

/* And what the agent must be told about requests to decide for it. */
unsigned configuration_arguments_for(const struct tenant *tenant); /* as hap_config.arguments */
void configuration_add_arguments(struct configuration *configuration, const struct tenant *tenant);
