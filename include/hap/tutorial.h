/* Reading a haproxy.cfg of the shape that Open WebUI's tutorial "HTTPS using HAProxy" has, to carry
 * it over: which host and which path lead to which server, and what was wrong with it.
 *
 * Text in, values out. What cannot be carried over (negations, conditions on anything but host and
 * path, several servers) is never guessed at: it becomes a note that says so, with its line.
 */
#pragma once

#include "core/error.h"
#include "core/slice.h"

/* A path that leads to a tenant: of one host, or (NULL) of any. */
struct tutorial_path {
    char *host;
    char *prefix;
};

/* What a backend was. */
struct tutorial_tenant {
    char *backend;
    char **hosts; /* "chat.example.com", "*.example.com" */
    size_t host_count;
    struct tutorial_path *paths;
    size_t path_count;
    char *server;      /* "127.0.0.1:3000" */
    bool tls;          /* to the server */
    bool no_verify;    /* of its certificate */
    char *server_name; /* that it is asked by; NULL: none is told */
};

enum tutorial_note_kind {
    TUTORIAL_MENDED, /* it was wrong; it is right now */
    TUTORIAL_LEFT,   /* it is not carried over: the admin has to look at it */
};

struct tutorial_note {
    enum tutorial_note_kind kind;
    unsigned line; /* 0: of the file as a whole */
    char *text;
};

struct tutorial {
    struct tutorial_tenant *tenants; /* in the order of the file */
    size_t tenant_count;
    struct tutorial_note *notes; /* in the order of the lines */
    size_t note_count;
};

/* `tutorial` is to be given to tutorial_fini(). */
void tutorial_read(struct slice text, struct tutorial *tutorial);
void tutorial_fini(struct tutorial *tutorial);

/* What listens by this haproxy.cfg: "frontend web, listen postgres"; NULL: nothing does. For
 * free().
 */
char *tutorial_doors(struct slice text);
