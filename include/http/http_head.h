/* The head of an HTTP/1.1 request (RFC 9112), as this project's servers take it: strictly.
 *
 * Lines end with CR LF, a target is a path or an http URL, a body has a Content-Length. What RFC
 * 9112 leaves to a server's leniency is refused, since two readings of one request are how requests
 * are smuggled; what it calls optional and nobody sends here (folded lines, chunked bodies) too.
 */
#pragma once

#include "core/slice.h"

enum { HTTP_HEAD_MAX_BYTES = 16 * 1024, HTTP_FIELDS_MAX = 64 };

struct http_field {
    struct slice name;
    struct slice value; /* without white space around it */
};

/* Views into the bytes that were parsed. */
struct http_head {
    struct slice method;
    struct slice path;  /* as sent, without the query */
    struct slice query; /* without "?" */
    uint64_t body_bytes;
    bool keep_alive;  /* another request may follow */
    bool wants_go_on; /* "100 Continue" before the body is sent */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t field_count;
};

/* Whether it can be a field's value (RFC 9110 5.5): no control characters but the tab; bytes above
 * ASCII are nobody's business here. */
MUST_CHECK bool http_is_field_value(struct slice text);

/* The size of the head, with the empty line that ends it; 0 while that has not come. The first
 * `seen` bytes were searched by an earlier call and do not hold the end. */
size_t http_head_size(struct slice bytes, size_t seen);

/* Parses a whole head: `bytes` ends with its empty line. 0, or the status to refuse the request
 * with: 400, 411 (a body without Content-Length), 417, 431 (too many fields), 505. */
MUST_CHECK unsigned http_head_parse(struct slice bytes, struct http_head *head);

/* The value of a field, by name in any case, of the first one; empty when there is none. */
struct slice http_head_field(const struct http_head *head, struct slice name);
