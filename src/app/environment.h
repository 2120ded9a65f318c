/* What an Open WebUI has to be told of the host that it is reached by. */
#pragma once

#include "json/json.h"

/* Lines of "NAME=VALUE" on stdout. `origins` is what CORS_ALLOW_ORIGIN takes. */
void environment_print(const char *url, const char *origins);
/* Of a tenant as its file has it: the environment of its Open WebUI, and the names that have to
 * lead here. Nothing when it has no host that is known by name. */
void environment_print_tenant(const struct json *tenant);
