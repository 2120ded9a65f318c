/* The path of a request in normal form (RFC 3986 6.2.2), so that a rule sees what the upstream will
 * see. Duplicate slashes and "/./" are folded, encoded unreserved characters and slashes decoded;
 * whatever could mean two things to two parsers (encoded backslash, control character or dot
 * segment, double encoding of these or of a slash, "..") is refused. The query is not looked at and
 * never changed. */
#pragma once

#include "route/host.h"

enum {
    /* A path that had to be changed is told to HAProxy in the ACK, so it must be short. */
    PATH_CHANGED_MAX_BYTES = 256,
};

/* `*normal` is `raw` itself when nothing had to be changed, else it is in `buffer`. "*" (OPTIONS)
 * and "" (an absolute URI without a path: "/") are accepted. */
MUST_CHECK enum refusal path_normalise(struct slice raw, char buffer[static PATH_CHANGED_MAX_BYTES],
                                       struct slice *normal);

/* Whether a path is at `prefix` or below it: "/a" covers "/a" and "/a/b", not "/ab". */
bool path_covers(struct slice prefix, struct slice path);
/* What follows the first `segments` segments of a path in normal form; "/" when nothing does. */
struct slice path_behind(struct slice path, unsigned segments);
/* How many segments `prefix` ("/a/b" or "/a/b/") has; the empty prefix and "/" have none. */
unsigned path_segments(struct slice prefix);
