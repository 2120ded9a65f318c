/* What an Open WebUI has to be told of the host that it is reached by. */
#pragma once

#include "json/json.h"

/* Its environment, a text for each variable. `hosts` is a list as tenants have it, of which the
 * first is the main one; `identity` as they have it, or NULL; `https` whether browsers come by it,
 * `canonical_host` whether pages come from the main host alone. NULL when no host is known by name.
 */
struct json *environment_of(const struct json *hosts, const struct json *identity, bool https,
                            bool canonical_host);
/* Lines of "NAME=VALUE" on stdout. */
void environment_print(const struct json *environment);
/* Of a tenant as its file has it: the environment of its Open WebUI, and the names that have to
 * lead here. Nothing when it has no host that is known by name. `told` is the environment as the
 * daemon tells it, who knows the global file's "defaults"; NULL: it does not. */
void environment_print_tenant(const struct json *tenant, const struct json *told);
