/* What conf/configuration.h tells, for this layer. */
#pragma once

#include "conf/configuration.h"

/* As configuration_load(), but hands out what could be read even when it is not `usable`, so that
 * tenants can be checked against it. NULL only when the file is not JSON. */
struct configuration *configuration_read(const char *path, struct tenant_file *inline_tenants,
                                         struct diagnostics *diagnostics, bool *usable);
