/* Whether HAProxy takes from every request the headers that some tenant believes.
 *
 * Whoever can send such a header is the user that it names. What is written for HAProxy deletes all
 * of them; what HAProxy has may be older, or changed by hand. */
#pragma once

#include "conf/whole.h"
#include "json/json.h"

/* Looks into the haproxy.cfg beside `haproxy.spoe_file`, if there is one. Adds a warning for each
 * header that it does not delete, and returns the names of those that it does, for json_free();
 * NULL when no tenant believes any, or there is no such file. */
struct json *stripped_check(const struct whole *whole, struct diagnostics *diagnostics);
