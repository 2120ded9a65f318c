/* HTTPS requests without blocking, on the main loop of a thread: the cover over libcurl, which is
 * loaded when the first client is made.
 *
 * Whatever a server does, a request ends: there are limits on time and size, no redirects, no
 * cookies, and https only unless a function below says otherwise. (There is no limit on speed,
 * which is nil while a CA thinks.) Several requests run at once, each on a connection of its own
 * that the next one reuses. One that waits for its turn takes as much memory as one that runs, so
 * callers that may have thousands keep them in a list of their own (health.c, doctor.c).
 *
 * http_client_send() goes by the proxy that the environment names (https_proxy, no_proxy), for CAs
 * and issuers; probes and looks go by none, since they ask an address.
 */
#pragma once

#include "http/http_response.h"
#include "net/main_loop.h"

/* Zero means the default that the comment names. */
struct http_client_settings {
    const char *ca_file;     /* trusted roots; NULL: the system's */
    int64_t timeout_ms;      /* 60000: for a whole exchange */
    int64_t connect_ms;      /* 15000: of that for the connection */
    size_t answer_max_bytes; /* 256 KiB */
    const char *post_type;   /* "application/json", of all bodies; NULL: there is no POST */
    size_t at_once; /* 8: exchanges; others wait for their turn, and their time begins with it */
};

struct http_client;
struct http_exchange;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };

struct http_client_request {
    enum http_method method;
    const char *url;
    struct slice body; /* of a POST; copied */
};

/* Called once, from the loop, never before http_client_send() returned. `answer` is gone when it
 * returns; its status is 0 when none came, and `failure` tells why. */
typedef void http_response_fn(void *context, const struct http_response *answer);

/* NULL with the reason, which says what to install when that is libcurl. */
MUST_CHECK struct http_client *http_client_new(struct main_loop *loop,
                                               const struct http_client_settings *settings,
                                               struct error_text *why);
/* Whether there can be a client here. Any thread. */
MUST_CHECK enum error http_client_possible(struct error_text *why);
/* Exchanges that have not ended are dropped without a call. NULL is fine. */
void http_client_free(struct http_client *client);
/* NULL when memory runs out. */
MUST_CHECK struct http_exchange *http_client_send(struct http_client *client,
                                                  const struct http_client_request *request,
                                                  http_response_fn *on_answer, void *context);
/* Gives up without a call. NULL is fine. */
void http_exchange_cancel(struct http_exchange *exchange);

/* -- Looking at what a server on this machine does for a name -- */

/* Whatever DNS says, `connect_to` ("127.0.0.1:80", "[::1]:443") is asked as if it were `host`. No
 * certificate is trusted or refused: the caller looks at it. */
struct http_probe {
    const char *host;
    const char *connect_to;
    const char *path;             /* what to GET; NULL: shake hands with SNI `host`, and no more */
    bool tls;                     /* GET it over TLS */
    const char *websocket_origin; /* ask for a WebSocket there, as a page of this origin does: the
                                   * answer hoped for is 101 */
    const char *origin;           /* GET it as a page of this origin does */
    const char *bearer;           /* GET it with this token */
    enum { HTTP_PROBE_ANY_KEY, HTTP_PROBE_ECDSA, HTTP_PROBE_RSA } key; /* the client's choice */
    bool proxy_line;                                                   /* begin with "PROXY ..." */
};

struct http_probe_answer {
    /* HTTP_PROBE_ANSWERED: `status` and what goes with it, or `certificate`. */
    enum {
        HTTP_PROBE_ANSWERED,
        HTTP_PROBE_REFUSED,   /* nobody listens there */
        HTTP_PROBE_TIMED_OUT, /* somebody does, perhaps */
        HTTP_PROBE_NO_TLS,    /* the handshake failed */
        HTTP_PROBE_BROKEN,    /* the connection ended, or what came is not HTTP */
    } result;
    const char *failure; /* unless answered: in words */
    int status;
    struct slice body;
    struct slice location;
    struct slice cookies;      /* all Set-Cookie, one a line */
    struct slice allow_origin; /* Access-Control-Allow-Origin */
    struct slice refused;      /* X-Refused */
    struct slice certificate;  /* PEM of the first one, */
    struct slice chain;        /* and of all that came, that one among them */
};

/* What a server at an address answers a GET with, over HTTP or HTTPS: a health check. */
struct http_look {
    const char *url;        /* "http://10.2.0.11:8080/ready": Host, SNI, and the name to verify */
    const char *connect_to; /* "10.2.0.11:8080": whatever DNS says of the URL's host */
    bool no_verify;         /* any certificate will do */
};

typedef void http_probed_fn(void *context, const struct http_probe_answer *answer);

/* As http_client_send(), with the client's limits. */
MUST_CHECK struct http_exchange *http_client_probe(struct http_client *client,
                                                   const struct http_probe *probe,
                                                   http_probed_fn *on_probed, void *context);
MUST_CHECK struct http_exchange *http_client_look(struct http_client *client,
                                                  const struct http_look *look,
                                                  http_probed_fn *on_probed, void *context);
