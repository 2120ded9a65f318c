/* Headers that a tenant adds to its requests: a name, and a value with placeholders. Values are
 * filtered here, when the configuration is read, and again per placeholder when they are filled in:
 * HAProxy does not validate what an agent sends. */
#pragma once

#include "core/cursor.h"
#include "core/error.h"

#define HEADER_PLACEHOLDER_TABLE(X)                                                   \
    X(CLIENT_IP, "client_ip")                                                         \
    X(PROTO, "proto")   /* http or https, as the client sees it */                    \
    X(HOST, "host")     /* the public host, without port */                           \
    X(TENANT, "tenant") /* the tenant's name */                                       \
    X(LABEL, "label")   /* what "*" of a wildcard host matched; {1} means the same */ \
    X(EMAIL, "email")   /* these four of a verified identity */                       \
    X(NAME, "name")                                                                   \
    X(GROUPS, "groups")                                                               \
    X(ROLE, "role")

enum header_placeholder {
#define X(NAME, TEXT) HEADER_##NAME,
    HEADER_PLACEHOLDER_TABLE(X)
#undef X
        HEADER_PLACEHOLDER__MAX,
};

enum {
    /* "h_" and the name make a HAProxy variable name, which the agent keeps at 40 bytes. */
    HEADER_NAME_MAX_BYTES = 38,
    HEADER_VALUE_MAX_BYTES = 200,
    TEMPLATE_MAX_PARTS = 16,
};

/* A piece of a template: literal text, then perhaps a placeholder. */
struct template_part {
    char *literal; /* may be "" */
    size_t literal_size;
    int placeholder; /* enum header_placeholder, or -1 for none */
};

/* Text with placeholders; also used for an upstream that depends on a wildcard's label. */
struct template
{
    struct template_part *parts;
    uint32_t part_count;
    bool dynamic;      /* has a placeholder other than {tenant} */
    bool has_label;    /* uses {label} or {1} */
    bool has_identity; /* uses what only a verified identity tells */
};

struct header {
    char *name;                               /* as it is sent: "X-Team" */
    char variable[HEADER_NAME_MAX_BYTES + 3]; /* "h_x_team": HAProxy's variable for it */
    uint8_t variable_size;                    /* prepared */
    struct template value;
};

/* What the placeholders stand for; slices may be empty. */
struct template_values {
    struct slice value[HEADER_PLACEHOLDER__MAX];
};

/* Parses "{client_ip} via {tenant}"; "{{" is a brace. Control bytes and unknown placeholders are
 * errors, told in `text`. */
MUST_CHECK enum error template_parse(struct slice source, struct template *template,
                                     struct error_text *text);
/* Whether the values say something for each placeholder of an identity: without one of them,
 * nothing is to be sent. */
MUST_CHECK bool template_is_known(const struct template *template,
                                  const struct template_values *values);
/* How many bytes template_write() writes. */
size_t template_size(const struct template *template, const struct template_values *values);
/* Writes so many to where there is room for them, and returns what is behind. */
uint8_t *template_put(const struct template *template, const struct template_values *values,
                      uint8_t *to);
/* Bytes of a value that could end a header line (CR, LF, NUL) are written as "?". */
void template_write(const struct template *template, const struct template_values *values,
                    struct writer *writer);
/* A deep copy. */
void template_copy(const struct template *template, struct template *copy);
void template_fini(struct template *template);

/* A name is made of letters, digits and "-" (HAProxy's http-restrict-req-hdr-names takes nothing
 * else, and neither do names of its variables), at most HEADER_NAME_MAX_BYTES long, and none that
 * framing, routing or client identity depends on (Host, Connection, X-Forwarded-For, ...). */
MUST_CHECK enum error header_name_check(struct slice name, struct error_text *text);
/* "X-Team" -> "h_x_team"; the name has been checked. */
void header_variable_name(struct slice name, char variable[static HEADER_NAME_MAX_BYTES + 3]);
void header_copy(const struct header *header, struct header *copy); /* deep */
void header_fini(struct header *header);
