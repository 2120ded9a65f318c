/* The Host header, validated before it can reach a table, a log or an upstream (RFC 9110 7.2, RFC
 * 3986 3.2.2, RFC 1123 2.1). A host that is not plainly a name or an address is refused: HAProxy
 * 2.6 passes on values such as "a.tld/health?x=" (CVE-2026-48710 in Starlette). */
#pragma once

#include "core/ip.h"

enum { HOST_MAX_BYTES = 253, LABEL_MAX_BYTES = 63 };

/* Why a request is refused with 400, as told in the answer's X-Refused header and counted. */
#define REFUSAL_TABLE(X)                                                                  \
    X(NONE, "none")                                                                       \
    X(HOST_MISSING, "host-missing")                                                       \
    X(HOST_TOO_LONG, "host-too-long")                                                     \
    X(HOST_SYNTAX, "host-syntax")                                                         \
    X(HOST_PORT, "host-port")                                                             \
    X(PATH_SYNTAX, "path-syntax")       /* not absolute, control or non-ASCII bytes */    \
    X(PATH_ENCODING, "path-encoding")   /* bad %xx, or an encoded \ NUL or dot segment */ \
    X(PATH_TRAVERSAL, "path-traversal") /* ".." */                                        \
    X(PATH_TOO_LONG, "path-too-long")   /* not in normal form and too long to be told */  \
    X(MESSAGE, "message")               /* HAProxy's message lacks an argument */         \
    X(ANSWER_TOO_BIG, "answer-too-big")

enum refusal {
#define X(NAME, TEXT) REFUSAL_##NAME,
    REFUSAL_TABLE(X)
#undef X
        REFUSAL__MAX,
};

const char *refusal_name(enum refusal refusal);

struct host {
    char name[HOST_MAX_BYTES + 1]; /* lower case, no trailing dot, no port, no brackets; no NUL */
    uint8_t name_size;
    uint16_t port;   /* 0: none given */
    bool is_address; /* IPv4 or bracketed IPv6 literal; `name` is then its canonical text */
    bool changed;    /* the canonical form differs from what the client sent */
};

/* Parses and normalises. IDN in raw UTF-8 is refused (browsers send xn--). After a refusal `host`
 * has no name to look at. */
MUST_CHECK enum refusal host_parse(struct slice raw, struct host *host);

static inline struct slice host_name(const struct host *host)
{
    return slice_from(host->name, host->name_size);
}

/* Writes name, and ":port" where one was given, as it must reach the upstream. */
struct writer;
void host_write(const struct host *host, struct writer *writer);

/* A host of the configuration: a name, or "*." and a name. Accepts UTF-8 (IDN, converted to xn--)
 * and any case. `name` gets the part behind "*.", NUL-terminated. */
MUST_CHECK bool host_pattern_parse(struct slice text, char name[static HOST_MAX_BYTES + 1],
                                   bool *wildcard);

/* The same of the label that a wildcard stands for, which may be digits alone. */
MUST_CHECK bool host_label_parse(struct slice text, char label[static LABEL_MAX_BYTES + 1]);
