/* The admin interface: tenants, what changes them, and what has been changed. Their context is a
 * `struct live` (serving/live.h). */
#pragma once

#include "admin/admin_server.h"

extern const struct admin_operation TENANT_OPERATIONS[];
extern const struct admin_operation TENANT_CHANGE_OPERATIONS[];
extern const struct admin_operation HISTORY_OPERATIONS[];
