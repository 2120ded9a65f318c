/* `owui-spoa doctor`: what breaks in the wild, looked at from this machine.
 *
 * Everything is asked at once, as many questions at a time as is polite, in one event loop, until
 * all is answered or time is up: the configuration (doctor.c), HAProxy (doctor_haproxy.c), tenants
 * as a browser meets them (doctor_host.c), and their servers (doctor_server.c). A check that finds
 * nothing counts as made; what it finds says which line to change.
 */
#pragma once

#include "conf/whole.h"
#include "dns/dns_client.h"
#include "doctor/haproxy_fault.h"
#include "hap/runtime.h"
#include "http/http_client.h"
#include "json/json.h"

#define DOCTOR_CHECK_TABLE(X)                                                            \
    X(CONFIGURATION, "configuration", "what the files say")                              \
    X(DAEMON, "daemon", "whether it runs and has what the files say")                    \
    X(HAPROXY, "haproxy", "whether it runs, and in a version without known faults")      \
    X(SPOE, "spoe", "whether HAProxy reaches the agent, rights included")                \
    X(FILES, "haproxy-files", "whether HAProxy's files are those of this configuration") \
    X(DNS, "dns", "whether names of hosts lead somewhere")                               \
    X(CHALLENGE, "challenge", "the way of ACME challenges on port 80")                   \
    X(CERTIFICATE, "certificate", "what HAProxy shows, against what is on disk")         \
    X(HTTPS, "https", "/health through HAProxy")                                         \
    X(WEBSOCKET, "websocket", "the Socket.IO handshake of a page of the tenant")         \
    X(ORIGINS, "origins", "what Open WebUI lets pages of others do")                     \
    X(SIGN_IN, "sign-in", "redirect_uri of OAuth, and the flags of cookies")             \
    X(SERVER, "server", "/ready, /health and /api/version of the tenant's servers")

enum doctor_check {
#define X(NAME, TEXT, ABOUT) DOCTOR_##NAME,
    DOCTOR_CHECK_TABLE(X)
#undef X
        DOCTOR_CHECK__MAX,
};

struct finding {
    enum doctor_severity severity;
    enum doctor_check check;
    char *tenant;  /* NULL: it is nobody's */
    char *about;   /* a host, a server, a file; NULL: nothing in particular */
    char *message; /* what was found, and what was expected */
    char *fix;     /* the line to change, or the command */
};

struct probe_job; /* a question that waits for its turn */
struct kept;      /* memory that lives until the end */
struct haproxy_look;

struct doctor {
    const char *configuration_path;
    const char *only_tenant; /* NULL: all */
    const char *token;       /* of one of its users; NULL: none */
    struct whole whole;
    bool sees_part; /* of `whole`: the rest may not be read */
    struct main_loop *loop;
    struct http_client *client; /* certificates of servers are verified as HAProxy does */
    struct dns_client *dns;
    char **http;               /* where HAProxy's binds are reached from here, and NULL */
    char **https;              /* the same */
    struct json *certificates; /* as the daemon tells them; NULL: it does not */

    struct finding *findings;
    size_t finding_count;
    size_t made[DOCTOR_CHECK__MAX]; /* checks */
    size_t under_way;               /* questions that are not answered */
    size_t asking;                  /* of these: probes that run */
    struct probe_job *first_job, **last_job;
    struct main_timer *end;
    bool is_late;                  /* time was up */
    struct haproxy_look *haproxys; /* each Runtime API that is asked */
    const char **path_hosts;       /* sorted: those without a tenant of their own that were met */
    size_t path_host_count;
    struct kept *kept;
};

/* What was found. `tenant` and `about` are copied, NULL is fine; takes `fix`. */
void doctor_find(struct doctor *doctor, enum doctor_severity severity, enum doctor_check check,
                 const char *tenant, const char *about, char *fix, const char *format, ...)
    PRINTF_LIKE(7, 8);
void doctor_made(struct doctor *doctor, enum doctor_check check);

/* Asks when it is its turn; what `probe` points to must live until `on_probed` is called, which may
 * ask again. Not called when time is up. */
void doctor_probe(struct doctor *doctor, const struct http_probe *probe, http_probed_fn *on_probed,
                  void *context);
void doctor_look(struct doctor *doctor, const struct http_look *look, http_probed_fn *on_probed,
                 void *context);
/* Something else is under way, and is not any more. */
void doctor_begin(struct doctor *doctor);
void doctor_end(struct doctor *doctor);

/* "/etc/owui-spoa/tenants.d/chat.json:3", for free(). */
char *doctor_place(const struct tenant *tenant) __attribute__((returns_nonnull));

/* The parts. Each begins to ask; what it keeps until it is answered is freed by the doctor's end.
 */
void doctor_haproxy(struct doctor *doctor);
void doctor_haproxy_close(struct doctor *doctor);
void doctor_host(struct doctor *doctor, const struct tenant *tenant, const char *host);
/* One that is no tenant's, with a path that is: of what is at its root there is nothing to say. */
void doctor_path_host(struct doctor *doctor, const struct tenant *tenant, const char *host);
/* "*.ai.example.com", without its first two characters. */
void doctor_wildcard(struct doctor *doctor, const struct tenant *tenant, const char *below);
void doctor_server(struct doctor *doctor, const struct tenant *tenant,
                   const struct upstream *upstream);

/* What an answer's Set-Cookie lines say of Open WebUI's cookies. */
void doctor_cookies(struct doctor *doctor, const struct tenant *tenant, const char *host, bool tls,
                    struct slice lines);

/* Keeps a block until the doctor's end. */
void *doctor_keep(struct doctor *doctor, size_t size) __attribute__((returns_nonnull));
char *doctor_format(struct doctor *doctor, const char *format, ...) PRINTF_LIKE(2, 3)
    __attribute__((returns_nonnull));
