/* Whether HAProxy takes from every request the headers that tenants set.
 *
 * Whoever can send one that a tenant believes is the user that it names, and any other may be a key
 * to an upstream: HAProxy before 3.4 passes on what a client says in a header that it was not told
 * of. What is written for HAProxy deletes all of them; what HAProxy has may be older, or changed by
 * hand. It is looked at in the haproxy.cfg beside `haproxy.spoe_file`, if there is one. */
#pragma once

#include "conf/whole.h"
#include "json/json.h"

/* Adds a warning for each header of all tenants that is not deleted there, and returns the names of
 * those that are and tell who a user is, for json_free(); NULL when no tenant believes any, or
 * there is no such file. */
struct json *stripped_check(const struct whole *whole, struct diagnostics *diagnostics);
/* The warnings about one tenant's headers. */
void stripped_check_tenant(const struct hap_config *haproxy, const struct tenant *tenant,
                           struct diagnostics *diagnostics);
