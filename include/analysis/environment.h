/* What an Open WebUI has to be told of the host that it is reached by. */
#pragma once

#include "route/policy.h"
#include "json/json.h"

/* How browsers come to it. */
struct environment_reach {
    bool https;
    unsigned https_port;         /* 0: 443, which they do not write out */
    bool canonical_host;         /* pages come from the main host alone */
    const struct policy *policy; /* which other pages may use it; may be NULL */
};

/* Its environment, a text for each variable. `hosts` is a list as tenants have it, of which the
 * first is the main one; `identity` as they have it, or NULL. NULL when no host is known by name.
 */
struct json *environment_of(const struct json *hosts, const struct json *identity,
                            const struct environment_reach *reach);
/* Lines of "NAME=VALUE" on stdout. */
void environment_print(const struct json *environment);
/* Of a tenant as its file has it: the environment of its Open WebUI, and the names that have to
 * lead here. Nothing when it has no host that is known by name. `told` is the environment as the
 * daemon tells it, who knows the global file's "defaults"; NULL: it does not. */
void environment_print_tenant(const struct json *tenant, const struct json *told);
