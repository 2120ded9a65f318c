/* The admin interface: what is for everybody. */
#pragma once

#include "admin/admin_server.h"

/* They have no context. */
extern const struct admin_operation OPEN_OPERATIONS[];
