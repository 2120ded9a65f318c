/* One line of the Forwarded header (RFC 7239 section 4). */
#pragma once

#include "core/slice.h"

/* The values as they are in the line: a token, or a quoted string with its quotes. Absent: size 0,
 * with which no value can be confused, because an empty one keeps its quotes. */
struct forwarded_element {
    struct slice node; /* for= */
    struct slice proto;
};

/* Takes one element, and the comma behind it, from the start of `*line`; `*more` tells whether
 * there was a comma. False when the line is not well-formed: what proxies wrote cannot then be told
 * from a client's own words. */
MUST_CHECK bool forwarded_take(struct slice *line, struct forwarded_element *element, bool *more);

/* Writes a value without quotes and escapes to `text` and returns it; a value longer than `size`
 * becomes empty. */
struct slice forwarded_unquote(struct slice value, char *text, size_t size);
